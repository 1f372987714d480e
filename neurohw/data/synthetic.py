# SPDX-License-Identifier: Apache-2.0
"""Datasets drawn from a seed, for methods whose effect must be plain to see."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.data.dataset import Dataset
from neurohw.data.stepping import whole
from neurohw.errors import InvalidData


def coincidences(
    classes: int = 4,
    channels: int = 8,
    spacing: int = 2,
    start: int = 10,
    samples: int = 200,
    seed: int = 0,
) -> Dataset:
    """Patterns that differ in nothing but the order of their spikes, which only delays can bring
    together.

    Every channel fires once; in class k channel j fires `spacing` times permutation_k(j) steps
    after a random beginning of 0 to `start` - 1. No two channels fire together, and every class has
    the same spikes in every channel: neurons without memory and without delays see no difference.
    samples: of each class and part.
    Raises InvalidData where there are not that many orders, and for numbers that are not whole or
    below 1.
    """
    numbers = {
        "classes": (classes, 1),
        "channels": (channels, 1),
        "spacing": (spacing, 1),
        "start": (start, 1),
    }
    for name, (value, smallest) in (numbers | {"samples": (samples, 1), "seed": (seed, 0)}).items():
        whole(value, f"coincidences: {name}", smallest)
    rng = np.random.default_rng(seed)
    orders: list[NDArray[np.int64]] = []
    for _ in range(100 * classes):
        order = rng.permutation(channels)
        # every two classes agree in few channels
        if all(np.sum(order == other) <= channels // 4 for other in orders):
            orders.append(order)
        if len(orders) == classes:
            break
    else:
        raise InvalidData(
            f"{channels} channels have no {classes} orders that differ enough: use more channels"
        )
    steps = start + spacing * channels + spacing * channels
    arrays: dict[str, Any] = {}
    for part in ("train", "validation", "test"):
        labels = np.repeat(np.arange(classes), samples)
        x = np.zeros((len(labels), steps, channels), np.uint8)
        first = rng.integers(start, size=len(labels))
        for j in range(channels):
            x[
                np.arange(len(labels)),
                first + spacing * np.array([o[j] for o in orders])[labels],
                j,
            ] = 1
        arrays |= {f"x_{part}": x, f"y_{part}": labels}
    return Dataset("coincidences", **arrays, classes=classes)


def delayed_recall(
    classes: int = 4,
    lines: int = 5,
    gap: int = 50,
    cue: int = 10,
    answer: int = 10,
    rate: float = 0.5,
    noise: float = 0.03,
    samples: int = 100,
    seed: int = 0,
) -> Dataset:
    """A cue that is asked for after a gap, behind distractors: what counts is how long a network
    remembers.

    Inputs are `lines` channels for each class, and one last channel that says go. In the first
    `cue` steps each channel of the sample's class fires with probability `rate` per step; in the
    last `answer` steps the go channel fires in every step; `gap` steps lie between. All class
    channels fire with probability `noise` in every step, whatever happens: nothing from the end of
    the cue on depends on the class.
    samples: of each class and part.
    Raises InvalidData for fewer than 2 classes, numbers below 1 (the gap below 0) and probabilities
    outside 0..1.
    """
    least = {
        "classes": (classes, 2),
        "lines": (lines, 1),
        "gap": (gap, 0),
        "cue": (cue, 1),
        "answer": (answer, 1),
    }
    for name, (value, smallest) in (least | {"samples": (samples, 1), "seed": (seed, 0)}).items():
        whole(value, f"delayed recall: {name}", smallest)
    for name, probability in (("rate", rate), ("noise", noise)):
        if not 0.0 <= probability <= 1.0:
            raise InvalidData(f"delayed recall: {name} is a probability in 0..1, not {probability}")
    rng = np.random.default_rng(seed)
    steps, channels = cue + gap + answer, classes * lines
    arrays: dict[str, Any] = {}
    for part in ("train", "validation", "test"):
        labels = np.repeat(np.arange(classes), samples)
        x = np.zeros((len(labels), steps, channels + 1), np.uint8)
        x[:, :, :channels] = rng.random((len(labels), steps, channels)) < noise
        own = np.repeat(labels[:, None] == np.arange(classes), lines, axis=1)
        x[:, :cue, :channels] |= (rng.random((len(labels), cue, channels)) < rate) & own[:, None]
        x[:, -answer:, channels] = 1
        arrays |= {f"x_{part}": x, f"y_{part}": labels}
    return Dataset("delayed recall", **arrays, classes=classes)
