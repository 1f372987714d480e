# SPDX-License-Identifier: Apache-2.0
"""Networks, encoders and training parameters that are known to work, and the accuracies that they
reach.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from neurohw.checks import check_fields
from neurohw.connections import Convolution, sum_pool
from neurohw.data import Encoder
from neurohw.errors import InvalidModel
from neurohw.memristor import CrossbarMapping, device_named
from neurohw.network import Network, Population, Projection, feed_forward
from neurohw.neurons import Integrator, Lif, Neuron, Source
from neurohw.train.config import DeviceNoise, TrainConfig


@dataclass(frozen=True)
class Recipe:
    """What `fit` needs beside the dataset.

    finetune: a second, quantization-aware training from the first one's result.

    dataset: "digits", which comes with the package; "spoken-digits", "shd", "ssc" or
        "speech-commands", whose files the user names; or None for any images.
    """

    network: Network
    encoder: Encoder
    config: TrainConfig
    finetune: TrainConfig | None = None
    dataset: str | None = None

    def __post_init__(self) -> None:
        check_fields(self)


def convolutional(
    shape: tuple[int, int, int], channels: list[int], classes: int, neuron: Lif
) -> Network:
    """Input -> 3x3 convolutions with batch normalisation, a 2x2 pooling between each two ->
    integrators, one per class.

    The neurons of a pooling count the spikes of their window without leak, and send one in every
    step until none is left.
    """
    pooling = Lif(decay=1.0, threshold=1.0, reset="soft")
    populations = [Population("input", math.prod(shape), Source())]
    projections: list[Projection] = []

    def append(name: str, connection: Convolution, model: Lif, trainable: bool) -> None:
        before = populations[-1].name
        populations.append(
            Population(name, math.prod(connection.output_shape), model, connection.channels)
        )
        projections.append(
            Projection(
                before, name, batch_norm=trainable, connection=connection, trainable=trainable
            )
        )

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
    """64-64-10 for the 8x8 digits, 4 steps: about 98 % of the test digits, in float and with 8-bit
    weights.
    """
    return Recipe(
        feed_forward([64, 64, 10], Lif(decay=0.5), Integrator(1.0)),
        Encoder("phase", steps=4, offset=0.5),
        TrainConfig(
            epochs=60,
            batch_size=32,
            learning_rate=4e-3,
            weight_decay=1e-2,
            shift=0.5,
            rotation=8,
            label_smoothing=0.05,
        ),
        dataset="digits",
    )


def digits_cnn_recipe() -> Recipe:
    """8x8 digits through 3x3 convolutions of 12 and 24 channels with a 2x2 pooling between, 4
    steps: about 98 %.
    """
    return Recipe(
        convolutional((1, 8, 8), [12, 24], 10, Lif(decay=0.5)),
        Encoder("phase", steps=4, offset=0.5),
        TrainConfig(
            epochs=40, batch_size=32, learning_rate=4e-3, weight_decay=1e-3, shift=0.5, rotation=8
        ),
        dataset="digits",
    )


def mnist_cnn_recipe() -> Recipe:
    """28x28 digits through 3x3 convolutions of 8 and 16 channels with a 2x2 pooling between, 4
    steps, then 4-bit weights.
    """
    return Recipe(
        convolutional((1, 28, 28), [8, 16], 10, Lif(decay=0.5)),
        Encoder("phase", steps=4, offset=0.5),
        TrainConfig(
            epochs=6, batch_size=128, learning_rate=4e-3, weight_decay=1e-4, shift=1.0, rotation=8
        ),
        TrainConfig(
            epochs=2, batch_size=128, learning_rate=1e-3, shift=1.0, rotation=8, weight_bits=4
        ),
    )


def mnist_recipe() -> Recipe:
    """784-128-10 for MNIST, 4 steps, then 4-bit weights: see benchmarks/mnist_accuracy.md for what
    it reaches.
    """
    return Recipe(
        feed_forward([784, 128, 10], Lif(decay=0.5), Integrator(1.0)),
        Encoder("phase", steps=4, offset=0.5),
        TrainConfig(
            epochs=20, batch_size=128, learning_rate=3e-3, weight_decay=1e-3, shift=1.0, rotation=8
        ),
        TrainConfig(
            epochs=8, batch_size=128, learning_rate=1e-3, shift=1.0, rotation=8, weight_bits=4
        ),
    )


def for_pcm(recipe: Recipe) -> Recipe:
    """The same, trained for phase-change memory at 25 seconds to a year after programming: a new
    chip for every mini-batch, with drift compensation.

    Scales are per column of a tile, so that every column uses the whole range of conductances. It
    is the set-up of pcm in benchmarks/noise_aware_training.py.
    """
    noise = DeviceNoise(device_named("pcm"), CrossbarMapping(scale_per="column"), compensate=True)
    tuned = None if recipe.finetune is None else replace(recipe.finetune, device_noise=noise)
    return replace(recipe, config=replace(recipe.config, device_noise=noise), finetune=tuned)


def digits_pcm_recipe() -> Recipe:
    """digits, trained with the noise of phase-change memory."""
    return for_pcm(digits_recipe())


def mnist_pcm_recipe() -> Recipe:
    """mnist, trained with the noise of phase-change memory."""
    return for_pcm(mnist_recipe())


def delayed(
    sizes: list[int],
    neuron: Lif,
    steps_of_delay: int | None,
    delay_per: Literal["synapse", "source"] = "synapse",
) -> Network:
    """A chain with batch normalisation, whose projections between spiking populations have delays
    of 0 to steps_of_delay - 1 steps, or none (None).

    The output integrates without leak: what counts is the sum over all steps.
    """
    longest = None if steps_of_delay is None else steps_of_delay - 1
    names = ["input", *[f"hidden{i}" for i in range(1, len(sizes) - 1)], "output"]
    models: list[Neuron] = [Source(), *[neuron] * (len(sizes) - 2), Integrator(1.0)]
    populations = tuple(
        Population(n, size, model) for n, size, model in zip(names, sizes, models, strict=True)
    )
    pairs = list(zip(names, names[1:], strict=False))
    projections = [
        Projection(a, b, batch_norm=True, max_delay=longest, delay_per=delay_per)
        for a, b in pairs[:-1]
    ]
    return Network(populations, (*projections, Projection(*pairs[-1])))


def spoken_digits_recipe() -> Recipe:
    """64-128-128-10 for spoken digits in 10 ms steps, delays of up to 240 ms: see
    benchmarks/spoken_digits.md for what it reaches.
    """
    config = TrainConfig(
        epochs=30,
        batch_size=64,
        learning_rate=4e-3,
        weight_decay=1e-3,
        label_smoothing=0.05,
        learn_delays=True,
        delay_learning_rate=0.3,
        dropout=0.25,
        channel_shift=2,
        event_drop=0.2,
    )
    tuned = replace(config, epochs=8, learning_rate=1e-3, learn_delays=False, weight_bits=4)
    network, encoder = (
        delayed([64, 128, 128, 10], Lif(decay=0.75), 25),
        Encoder("spikes", steps=70, levels=3),
    )
    return Recipe(network, encoder, config, tuned, dataset="spoken-digits")


def _published(
    name: str, sizes: list[int], steps_of_delay: int, decay: float, **training: Any
) -> Recipe:
    """What the networks of Hammouamri et al.

    (2024) have in common: 10 ms steps, hard reset, arctan of slope 5, delays by an Adam of their
    own.

    Differences: the readout is the sum over time of the output's current, which the hardware has,
    and not of its softmax; one cosine schedule serves both optimizers; the best epoch is chosen on
    a validation part.
    """
    neuron = Lif(decay=decay, reset="hard")
    config = TrainConfig(
        learning_rate=5e-3,
        weight_decay=1e-5,
        optimizer="adam",
        surrogate="arctan",
        slope=5.0,
        learn_delays=True,
        delay_learning_rate=0.1,
        **training,
    )
    tuned = replace(
        config,
        epochs=max(2, config.epochs // 5),
        learning_rate=1e-3,
        learn_delays=False,
        weight_bits=4,
    )
    encoder = Encoder("spikes", steps=100, levels=15, saturate=True)
    return Recipe(delayed(sizes, neuron, steps_of_delay), encoder, config, tuned, dataset=name)


def shd_recipe() -> Recipe:
    """140-256-256-20 for Spiking Heidelberg Digits, delays of up to 240 ms; not trained here for
    want of the data.
    """
    return _published(
        "shd", [140, 256, 256, 20], 25, 0.005, epochs=150, batch_size=256, dropout=0.4
    )


def ssc_recipe() -> Recipe:
    """140-512-512-512-35 for Spiking Speech Commands, delays of up to 300 ms; not trained here for
    want of the data.
    """
    return _published(
        "ssc", [140, 512, 512, 512, 35], 31, 0.333, epochs=60, batch_size=128, dropout=0.25
    )


def speech_commands_recipe() -> Recipe:
    """64-512-512-512-35 for Google Speech Commands heard by the cochlea (published: mel spectra),
    delays of up to 300 ms; not trained here for want of the data.
    """
    return _published(
        "speech-commands",
        [64, 512, 512, 512, 35],
        31,
        0.333,
        epochs=100,
        batch_size=128,
        dropout=0.25,
    )


RECIPES = {
    "digits": digits_recipe,
    "digits-cnn": digits_cnn_recipe,
    "mnist": mnist_recipe,
    "mnist-cnn": mnist_cnn_recipe,
    "digits-pcm": digits_pcm_recipe,
    "mnist-pcm": mnist_pcm_recipe,
    "spoken-digits": spoken_digits_recipe,
    "shd": shd_recipe,
    "ssc": ssc_recipe,
    "speech-commands": speech_commands_recipe,
}


def recipe_named(name: str) -> Recipe:
    """The recipe of that name; InvalidModel listing the known ones otherwise."""
    if name not in RECIPES:
        raise InvalidModel(f"unknown recipe {name!r}: known recipes are {', '.join(RECIPES)}")
    return RECIPES[name]()
