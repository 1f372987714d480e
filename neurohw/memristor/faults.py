# SPDX-License-Identifier: Apache-2.0
"""Devices that do not obey: stuck at the smallest or largest conductance, or never formed.

A device has at most one fault, at every time: it does not drift and has no read noise. Published
arrays report some 9 % of devices that stay in the high-resistance state and 2 % in the
low-resistance state as a stress case; the fractions here have no such default.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.checks import FRACTION, check_fields
from neurohw.errors import InvalidModel

NONE, LOW, HIGH, UNFORMED = 0, 1, 2, 3


@dataclass(frozen=True)
class Faults:
    """Probabilities of a device to be stuck at g_min, stuck at g_max, or unformed (no conductance).

    Raises InvalidModel unless they are 0 or more and sum to at most 1.
    """

    stuck_low: float = 0.0
    stuck_high: float = 0.0
    unformed: float = 0.0

    def __post_init__(self) -> None:
        check_fields(self, stuck_low=FRACTION, stuck_high=FRACTION, unformed=FRACTION)
        values = (self.stuck_low, self.stuck_high, self.unformed)
        if not sum(values) <= 1:
            raise InvalidModel(
                f"Faults {asdict(self)}: probabilities are 0 or more and their sum is at most 1"
            )

    @property
    def any(self) -> bool:
        """Whether there can be a fault."""
        return self.stuck_low + self.stuck_high + self.unformed > 0

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.uint8]:
        """NONE, LOW, HIGH or UNFORMED for every device, disjoint because one draw decides."""
        edges = np.cumsum([self.stuck_low, self.stuck_high, self.unformed])
        codes = np.array([LOW, HIGH, UNFORMED, NONE], np.uint8)
        return codes[np.searchsorted(edges, rng.random(shape), side="right")]


def apply_faults(
    conductance: NDArray[Any], codes: NDArray[np.uint8], g_min: float, g_max: float
) -> NDArray[Any]:
    """Conductances with those of faulty devices replaced, microsiemens."""
    stuck = np.array([np.nan, g_min, g_max, 0.0], conductance.dtype)
    return np.where(codes == NONE, conductance, stuck[codes])
