"""Networks, encoders and training parameters that are known to work, and the accuracies that they reach."""

from dataclasses import dataclass

from neurohw.data import Encoder
from neurohw.errors import InvalidModel
from neurohw.network import Network, feed_forward
from neurohw.neurons import Integrator, Lif
from neurohw.train.config import TrainConfig


@dataclass(frozen=True)
class Recipe:
    """What `fit` needs beside the dataset. finetune: a second, quantization-aware training from the first one's result."""

    network: Network
    encoder: Encoder
    config: TrainConfig
    finetune: TrainConfig | None = None


def digits_recipe() -> Recipe:
    """64-64-10 for the 8x8 digits, 4 steps: about 98 % of the test digits, in float and with 8-bit weights."""
    return Recipe(
        feed_forward([64, 64, 10], Lif(decay=0.5), Integrator(1.0)),
        Encoder("phase", steps=4, offset=0.5),
        TrainConfig(
            epochs=60, batch_size=32, learning_rate=4e-3, weight_decay=1e-2, shift=0.5, rotation=8, label_smoothing=0.05
        ),
    )


def mnist_recipe() -> Recipe:
    """784-128-10 for MNIST, 4 steps, then 4-bit weights: see benchmarks/mnist_accuracy.md for what it reaches."""
    return Recipe(
        feed_forward([784, 128, 10], Lif(decay=0.5), Integrator(1.0)),
        Encoder("phase", steps=4, offset=0.5),
        TrainConfig(epochs=20, batch_size=128, learning_rate=3e-3, weight_decay=1e-3, shift=1.0, rotation=8),
        TrainConfig(epochs=8, batch_size=128, learning_rate=1e-3, shift=1.0, rotation=8, weight_bits=4),
    )


RECIPES = {"digits": digits_recipe, "mnist": mnist_recipe}


def recipe_named(name: str) -> Recipe:
    """The recipe of that name; InvalidModel listing the known ones otherwise."""
    if name not in RECIPES:
        raise InvalidModel(f"unknown recipe {name!r}: known recipes are {', '.join(RECIPES)}")
    return RECIPES[name]()
