"""Networks, encoders and training parameters that are known to work, and the accuracies that they reach."""

import math
from dataclasses import dataclass

from neurohw.connections import Convolution, sum_pool
from neurohw.data import Encoder
from neurohw.errors import InvalidModel
from neurohw.network import Network, Population, Projection, feed_forward
from neurohw.neurons import Integrator, Lif, Source
from neurohw.train.config import TrainConfig


@dataclass(frozen=True)
class Recipe:
    """What `fit` needs beside the dataset. finetune: a second, quantization-aware training from the first one's result.

    dataset: "digits", which comes with the package, or None where the user names the data.
    """

    network: Network
    encoder: Encoder
    config: TrainConfig
    finetune: TrainConfig | None = None
    dataset: str | None = None


def convolutional(shape: tuple[int, int, int], channels: list[int], classes: int, neuron: Lif) -> Network:
    """Input -> 3x3 convolutions with batch normalisation, a 2x2 pooling between each two -> integrators, one per class.

    The neurons of a pooling count the spikes of their window without leak, and send one in every step until none is left.
    """
    pooling = Lif(decay=1.0, threshold=1.0, reset="soft")
    populations = [Population("input", math.prod(shape), Source())]
    projections: list[Projection] = []

    def append(name: str, connection: Convolution, model: Lif, trainable: bool) -> None:
        before = populations[-1].name
        populations.append(Population(name, math.prod(connection.output_shape), model, connection.channels))
        projections.append(Projection(before, name, batch_norm=trainable, connection=connection, trainable=trainable))

    for number, count in enumerate(channels, 1):
        if number > 1:
            pool, _ = sum_pool(shape, 2)
            append(f"pool{number - 1}", pool, pooling, trainable=False)
            shape = pool.output_shape
        convolution = Convolution(shape, count, (3, 3), padding=(1, 1))
        append(f"convolution{number}", convolution, neuron, trainable=True)
        shape = convolution.output_shape
    populations.append(Population("output", classes, Integrator(1.0)))
    projections.append(Projection(populations[-2].name, "output"))
    return Network(tuple(populations), tuple(projections))


def digits_recipe() -> Recipe:
    """64-64-10 for the 8x8 digits, 4 steps: about 98 % of the test digits, in float and with 8-bit weights."""
    return Recipe(
        feed_forward([64, 64, 10], Lif(decay=0.5), Integrator(1.0)),
        Encoder("phase", steps=4, offset=0.5),
        TrainConfig(
            epochs=60, batch_size=32, learning_rate=4e-3, weight_decay=1e-2, shift=0.5, rotation=8, label_smoothing=0.05
        ),
        dataset="digits",
    )


def digits_cnn_recipe() -> Recipe:
    """8x8 digits through 3x3 convolutions of 12 and 24 channels with a 2x2 pooling between, 4 steps: about 98 %."""
    return Recipe(
        convolutional((1, 8, 8), [12, 24], 10, Lif(decay=0.5)),
        Encoder("phase", steps=4, offset=0.5),
        TrainConfig(epochs=40, batch_size=32, learning_rate=4e-3, weight_decay=1e-3, shift=0.5, rotation=8),
        dataset="digits",
    )


def mnist_cnn_recipe() -> Recipe:
    """28x28 digits through 3x3 convolutions of 8 and 16 channels with a 2x2 pooling between, 4 steps, then 4-bit weights."""
    return Recipe(
        convolutional((1, 28, 28), [8, 16], 10, Lif(decay=0.5)),
        Encoder("phase", steps=4, offset=0.5),
        TrainConfig(epochs=6, batch_size=128, learning_rate=4e-3, weight_decay=1e-4, shift=1.0, rotation=8),
        TrainConfig(epochs=2, batch_size=128, learning_rate=1e-3, shift=1.0, rotation=8, weight_bits=4),
    )


def mnist_recipe() -> Recipe:
    """784-128-10 for MNIST, 4 steps, then 4-bit weights: see benchmarks/mnist_accuracy.md for what it reaches."""
    return Recipe(
        feed_forward([784, 128, 10], Lif(decay=0.5), Integrator(1.0)),
        Encoder("phase", steps=4, offset=0.5),
        TrainConfig(epochs=20, batch_size=128, learning_rate=3e-3, weight_decay=1e-3, shift=1.0, rotation=8),
        TrainConfig(epochs=8, batch_size=128, learning_rate=1e-3, shift=1.0, rotation=8, weight_bits=4),
    )


RECIPES = {
    "digits": digits_recipe,
    "digits-cnn": digits_cnn_recipe,
    "mnist": mnist_recipe,
    "mnist-cnn": mnist_cnn_recipe,
}


def recipe_named(name: str) -> Recipe:
    """The recipe of that name; InvalidModel listing the known ones otherwise."""
    if name not in RECIPES:
        raise InvalidModel(f"unknown recipe {name!r}: known recipes are {', '.join(RECIPES)}")
    return RECIPES[name]()
