"""Datasets drawn from a seed, for methods whose effect must be plain to see."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.data.dataset import Dataset
from neurohw.errors import InvalidData


def coincidences(
    classes: int = 4, channels: int = 8, spacing: int = 2, start: int = 10, samples: int = 200, seed: int = 0
) -> Dataset:
    """Patterns that differ in nothing but the order of their spikes, which only delays can bring together.

    Every channel fires once; in class k channel j fires `spacing` times permutation_k(j) steps after a random beginning of 0 to `start` - 1. No two channels
    fire together, and every class has the same spikes in every channel: neurons without memory and without delays see no difference. samples: of each class and
    part. Raises InvalidData where there are not that many orders.
    """
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
        raise InvalidData(f"{channels} channels have no {classes} orders that differ enough: use more channels")
    steps = start + spacing * channels + spacing * channels
    arrays: dict[str, Any] = {}
    for part in ("train", "validation", "test"):
        labels = np.repeat(np.arange(classes), samples)
        x = np.zeros((len(labels), steps, channels), np.uint8)
        first = rng.integers(start, size=len(labels))
        for j in range(channels):
            x[np.arange(len(labels)), first + spacing * np.array([o[j] for o in orders])[labels], j] = 1
        arrays |= {f"x_{part}": x, f"y_{part}": labels}
    return Dataset("coincidences", **arrays, classes=classes)
