# SPDX-License-Identifier: Apache-2.0
"""What a simulation did: spikes and states of every population at every step."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.errors import InvalidData


@dataclass(frozen=True)
class Trace:
    """Spikes and, if recorded, states. Every array is [time, sample, neuron].

    spikes: per population, uint8.
    states: `v.<population>` the membrane after the reset, `c.<population>` the synaptic current,
        `r.<population>` the refractory steps left; float64 from float engines, int64 from integer
        ones.
    parent: digest of the model that ran.
    saturations: per population, the number of neuron updates (sample, step, neuron) in which
        saturation changed the membrane, the synaptic current or the adaptation; empty where the
        engine does not count them or cannot saturate.
    beyond_proof: the stimulus had more steps or larger counts than the integers are proved for, so
        that they may have saturated.
    """

    spikes: dict[str, NDArray[np.uint8]]
    states: dict[str, NDArray[Any]] = field(default_factory=dict)
    parent: str = ""
    saturations: dict[str, int] = field(default_factory=dict)
    beyond_proof: bool = False

    def __post_init__(self) -> None:
        shapes = {a.shape[:2] for a in [*self.spikes.values(), *self.states.values()]}
        if len(shapes) > 1:
            raise InvalidData(f"arrays of one trace differ in [time, sample]: {sorted(shapes)}")

    def arrays(self) -> dict[str, NDArray[Any]]:
        """`spikes.<population>` and the states under one roof, in a fixed order."""
        return {**{f"spikes.{n}": a for n, a in self.spikes.items()}, **self.states}


@dataclass(frozen=True)
class Mismatch:
    """The earliest place where two traces differ."""

    array: str
    step: int
    sample: int
    neuron: int
    expected: float
    actual: float

    def __str__(self) -> str:
        kind, _, population = self.array.partition(".")
        what = {
            "spikes": "spike",
            "v": "membrane",
            "c": "synaptic current",
            "r": "refractory count",
        }.get(kind, kind)
        return (
            f"{what} of population {population!r}, neuron {self.neuron}, sample {self.sample}, "
            f"step {self.step}: expected {self.expected:g}, got {self.actual:g}"
        )


def first_mismatch(expected: Trace, actual: Trace, tolerance: float = 0.0) -> Mismatch | None:
    """The earliest difference (by sample, then step, then array in the order of `expected`), or
    None.

    Spikes must be equal; states may differ by `tolerance`. Arrays that only one trace recorded are
    not compared, but an `actual` without any array in common raises InvalidData, as do different
    shapes.
    """
    left, right = expected.arrays(), actual.arrays()
    common = [name for name in left if name in right]
    if not common:
        raise InvalidData("the two traces have no array in common")
    found: list[tuple[int, int, int, Mismatch]] = []
    for rank, name in enumerate(common):
        a, b = left[name], right[name]
        if a.shape != b.shape:
            raise InvalidData(f"array {name!r}: shapes {a.shape} and {b.shape} differ")
        limit = 0.0 if name.startswith("spikes.") else tolerance
        differs = (a != b) if limit == 0 else np.abs(a - b) > limit
        if not differs.any():
            continue
        sample = int(np.argmax(differs.any(axis=(0, 2))))
        step = int(np.argmax(differs[:, sample].any(axis=1)))
        neuron = int(np.argmax(differs[step, sample]))
        where = (step, sample, neuron)
        found.append((sample, step, rank, Mismatch(name, *where, float(a[where]), float(b[where]))))
    return min(found, key=lambda entry: entry[:3])[3] if found else None


def saturation_mismatch(expected: Trace, actual: Trace) -> str | None:
    """The first population whose saturations both traces counted, and differently, in words."""
    for name, count in expected.saturations.items():
        other = actual.saturations.get(name, count)
        if other != count:
            return f"saturations of population {name!r}: expected {count}, got {other}"
    return None


def count_mismatches(expected: Trace, actual: Trace) -> tuple[int, int]:
    """Number of spike entries compared, and how many of them differ."""
    compared = differing = 0
    for name, spikes in expected.spikes.items():
        if name in actual.spikes:
            compared += spikes.size
            differing += int(np.count_nonzero(spikes != actual.spikes[name]))
    return compared, differing
