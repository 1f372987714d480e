# SPDX-License-Identifier: Apache-2.0
"""What one chip did."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Outcome:
    """confusion: samples [time, class, output neuron that won].

    spikes: of every population in all steps of all samples, [time] each.
    """

    confusion: NDArray[np.int64]
    spikes: dict[str, tuple[int, ...]]

    @property
    def samples(self) -> int:
        """Samples that it was judged on."""
        return int(self.confusion[0].sum())

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """Fraction of samples whose winner is their class, [time]."""
        return np.trace(self.confusion, axis1=1, axis2=2) / self.samples

    @staticmethod
    def together(outcomes: Sequence["Outcome"]) -> "Outcome":
        """One after another in time."""
        names = outcomes[0].spikes
        spikes = {n: tuple(count for o in outcomes for count in o.spikes[n]) for n in names}
        return Outcome(np.concatenate([o.confusion for o in outcomes]), spikes)

    def to_json(self) -> dict[str, Any]:
        """A JSON value from which `from_json` gives an equal outcome."""
        return {
            "confusion": self.confusion.tolist(),
            "spikes": {n: list(v) for n, v in self.spikes.items()},
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Outcome":
        """The outcome that `to_json` wrote; ValueError or KeyError where it did not."""
        confusion = np.array(value["confusion"], np.int64)
        if confusion.ndim != 3:
            raise ValueError(f"a confusion of shape {confusion.shape}")
        return Outcome(confusion, {n: tuple(v) for n, v in value["spikes"].items()})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Outcome) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]
