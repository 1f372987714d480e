# SPDX-License-Identifier: Apache-2.0
"""A classification dataset in three parts."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.data.stepping import whole
from neurohw.errors import InvalidData
from neurohw.stimulus import Spikes
from neurohw.storage import digest

PARTS = ("train", "validation", "test")


def whole_numbers(values: Any, where: str) -> NDArray[np.int64]:
    """The values as int64;

    InvalidData, naming the place, for fractions, infinities and other types.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise InvalidData(f"{where}: whole numbers are needed, not {array.dtype}")
    if array.dtype.kind == "f" and not np.all(
        whole_ones := np.isfinite(array) & (array == np.floor(array))
    ):
        raise InvalidData(f"{where}: whole numbers are needed, not {array[~whole_ones][0]}")
    return array.astype(np.int64, copy=False)


def _frozen(values: Any, kind: type) -> NDArray[Any]:
    """The values as an array that cannot be written to: itself if it is one already, else a
    copy.
    """
    array: NDArray[Any] = np.asarray(values, kind)
    if array.flags.writeable or not array.flags.owndata:
        array = np.array(values, kind)
        array.setflags(write=False)
    return array


@dataclass(frozen=True)
class Dataset:
    """Features float32 [sample, feature] in 0..1, or spike counts uint8 [sample, step, feature],
    and labels int64 [sample] in 0..classes-1.

    Spikes are told by their type and shape, uint8 with three axes, in all parts. image: (height,
    width) where the features are the pixels of an image, row by row.
    Raises InvalidData, naming the part, for empty or mismatched arrays, values out of range, and
    labels that are no whole numbers.
    """

    name: str
    x_train: NDArray[Any]
    y_train: NDArray[np.int64]
    x_validation: NDArray[Any]
    y_validation: NDArray[np.int64]
    x_test: NDArray[Any]
    y_test: NDArray[np.int64]
    classes: int
    image: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "classes", whole(self.classes, f"dataset {self.name!r}: classes", 1)
        )
        first = np.asarray(self.x_train)
        spikes = first.dtype == np.uint8 and first.ndim == 3
        shape = first.shape[1:] if spikes else first.shape[-1:]
        for part in PARTS:
            where, given = f"dataset {self.name!r}, {part}", np.asarray(getattr(self, f"x_{part}"))
            if (
                given.dtype == np.uint8 and given.ndim == 3
            ) != spikes or given.dtype.kind not in "buif":
                raise InvalidData(
                    f"{where}: features are {given.dtype} {list(given.shape)}; every part has "
                    "spike counts, uint8 [sample, step, feature], "
                    "or every part has numbers in 0..1, [sample, feature]"
                )
            x = _frozen(getattr(self, f"x_{part}"), np.uint8 if spikes else np.float32)
            y = _frozen(whole_numbers(getattr(self, f"y_{part}"), f"{where}, labels"), np.int64)
            if y.ndim != 1 or x.shape != (len(y), *shape):
                wanted = ", ".join(str(n) for n in shape)
                raise InvalidData(
                    f"{where}: features {x.shape} and labels {y.shape} do not match [n, "
                    f"{wanted}] and [n]"
                )
            if x.size == 0:
                raise InvalidData(f"{where}: no samples")
            if not spikes and not (x.min() >= 0 and x.max() <= 1):
                raise InvalidData(
                    f"{where}: features range from {x.min():g} to {x.max():g}, 0..1 is needed"
                )
            if y.min() < 0 or y.max() >= self.classes:
                raise InvalidData(
                    f"{where}: labels {y.min()}..{y.max()} lie outside 0..{self.classes - 1}"
                )
            for key, array in ((f"x_{part}", x), (f"y_{part}", y)):
                object.__setattr__(self, key, array)
        if self.image is not None and self.image[0] * self.image[1] != self.features:
            raise InvalidData(
                f"dataset {self.name!r}: {self.features} features are no image of "
                f"{self.image} pixels"
            )

    @property
    def features(self) -> int:
        """Number of features of a sample, or of its channels."""
        return int(self.x_train.shape[-1])

    @property
    def steps(self) -> int | None:
        """Steps of a sample of spikes, None for features without time."""
        return int(self.x_train.shape[1]) if self.x_train.ndim == 3 else None

    def part(self, name: str) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Features and labels of `train`, `validation` or `test`."""
        if name not in PARTS:
            raise InvalidData(f"unknown part {name!r}: known are {', '.join(PARTS)}")
        return getattr(self, f"x_{name}"), getattr(self, f"y_{name}")

    def samples(
        self, name: str, chosen: slice | NDArray[np.int64] | None = None
    ) -> NDArray[Any] | Spikes:
        """The chosen samples of a part, all by default, as an encoder takes them.

        Features [sample, feature], or `Spikes`, whose order of axes is known.
        """
        x, _ = self.part(name)
        return known_order(x if chosen is None else x[chosen])

    def digest(self) -> str:
        """SHA-256 of the dataset, 64 hexadecimal digits."""
        fields: dict[str, Any] = {"name": self.name, "classes": self.classes, "image": self.image}
        return digest(
            "dataset",
            fields,
            {f"{a}_{part}": getattr(self, f"{a}_{part}") for part in PARTS for a in "xy"},
        )


def known_order(x: NDArray[Any]) -> NDArray[Any] | Spikes:
    """Samples of a Dataset: features as they are, spikes [sample, step, feature] as `Spikes`."""
    return Spikes.sample_first(x) if x.ndim == 3 else x


def stratified_split(
    labels: NDArray[np.int64], fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices (kept, taken), sorted:

    `fraction` of every class is taken, at least one sample, drawn from `seed`.

    Raises InvalidData for a fraction outside 0..1 and a class too small to be split.
    """
    if not 0.0 < fraction < 1.0:
        raise InvalidData(f"a part of a dataset is a fraction between 0 and 1, not {fraction}")
    whole(seed, "the seed of a split", 0)
    rng = np.random.default_rng(seed)
    taken: list[NDArray[np.int64]] = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            raise InvalidData(
                f"class {label} has {len(members)} sample: at least 2 are needed to split it"
            )
        count = min(max(round(fraction * len(members)), 1), len(members) - 1)
        taken.append(rng.permutation(members)[:count])
    chosen = np.sort(np.concatenate(taken))
    return np.setdiff1d(np.arange(len(labels)), chosen), chosen
