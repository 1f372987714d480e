# SPDX-License-Identifier: Apache-2.0
"""The data of a run as its liquid is fed with them."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.data import Dataset, Encoder
from neurohw.data.dataset import PARTS, stratified_split
from neurohw.errors import InvalidData
from neurohw.reservoir import LiquidConfig


def _at_most(labels: NDArray[np.int64], count: int | None, seed: int) -> NDArray[np.int64]:
    """Indices of at most `count` samples, as many of each class as its share allows."""
    if count is None or count >= len(labels):
        return np.arange(len(labels))
    return stratified_split(labels, count / len(labels), seed)[1]


def prepared(dataset: Dataset, liquid: LiquidConfig, seed: int) -> Dataset:
    """The dataset with as many samples as the liquid asks for, and with the values of images as
    shares of their sums.

    A share is divided by the largest of all training images, and cut at 1.
    Raises InvalidData for an image of zeros.
    """
    arrays: dict[str, Any] = {}
    for part in PARTS:
        x, y = dataset.part(part)
        count = (
            liquid.test_samples
            if part == "test"
            else liquid.train_samples
            if part == "train"
            else None
        )
        chosen = _at_most(y, count, seed)
        arrays |= {f"x_{part}": x[chosen], f"y_{part}": y[chosen]}
    if liquid.share and dataset.steps is None:
        largest = 0.0
        for part in PARTS:
            values = arrays[f"x_{part}"].astype(np.float64)
            total = values.sum(axis=1, keepdims=True)
            if total.min() <= 0:
                raise InvalidData(
                    f"dataset {dataset.name!r}, {part}: sample {int(total.argmin())} is empty"
                )
            shares = values / total
            largest = largest or float(shares.max())  # of the training part, which comes first
            arrays[f"x_{part}"] = np.minimum(shares / largest, 1.0).astype(np.float32)
    return dataclasses.replace(dataset, **arrays)


def liquid_encoder(dataset: Dataset, liquid: LiquidConfig, seed: int) -> Encoder:
    """Random spikes for images; recorded spikes as they are, at most one per step and channel."""
    if dataset.steps is not None:
        return Encoder("spikes", dataset.steps, saturate=True)
    return Encoder("rate", liquid.steps, seed=seed)
