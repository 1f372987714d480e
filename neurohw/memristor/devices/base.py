# SPDX-License-Identifier: Apache-2.0
"""What every resistive device offers: it is programmed once, keeps a history, and is read at any
time.

Conductances are microsiemens, times are seconds after programming, everywhere in
`neurohw.memristor`. Arrays may have any shape, one entry per device, and keep their type: float32
targets stay float32, for use in training.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from neurohw.checks import POSITIVE, Range, at_least, check_fields, real
from neurohw.errors import InvalidModel
from neurohw.memristor.read import Limits, clipped_moments, redraw

Array = NDArray[Any]
Kept = dict[str, Array]


@dataclass(frozen=True)
class Device(ABC):
    """One device technology: the range that is programmed, and three factors for its three kinds of
    noise, 0 for none and 1 as measured.

    g_max_microsiemens, g_min_microsiemens: largest and smallest target.
    programming_scale, drift_scale, read_scale: of programming errors, drift (or relaxation) and
        read noise.
    Raises InvalidModel for a range or factor that makes no sense.
    """

    g_max_microsiemens: float
    g_min_microsiemens: float = 0.0
    programming_scale: float = 1.0
    drift_scale: float = 1.0
    read_scale: float = 1.0

    kind: ClassVar[str]
    ranges: ClassVar[dict[str, Range]] = {  # of the fields; a device adds those of its own
        "g_max_microsiemens": POSITIVE,
        "g_min_microsiemens": at_least(0),
        "programming_scale": at_least(0),
        "drift_scale": at_least(0),
        "read_scale": at_least(0),
    }
    # targets that the source's measurement covers
    characterized_microsiemens: ClassVar[Limits] = (0.0, math.inf)
    characterized_seconds: ClassVar[float] = (
        math.inf
    )  # the latest time that it covers; 0 for a model of programming alone

    def __post_init__(self) -> None:
        check_fields(self, f"device {self.kind!r}: ", self.ranges)
        low, high = self.g_min_microsiemens, self.g_max_microsiemens
        if not 0 <= low < high:
            raise InvalidModel(
                f"device {self.kind!r}: conductances of {low:g}..{high:g} microsiemens, "
                "needed is 0 <= g_min < g_max"
            )
        least, most = self.characterized_microsiemens
        if low < least or high > most:
            raise InvalidModel(
                f"device {self.kind!r}: conductances of {low:g}..{high:g} microsiemens, its "
                f"source covers {least:g}..{most:g}: choose a range inside"
            )

    @property
    def limits(self) -> Limits:
        """Smallest and largest conductance that a device can have, microsiemens."""
        return (0.0, math.inf)

    @abstractmethod
    def program(self, target: Array, rng: np.random.Generator) -> Kept:
        """Program every device to its target, once:

        `programmed` (microsiemens) and whatever else the device keeps, all of the target's shape.
        """

    def drifted(self, kept: Kept, time_seconds: float) -> Array:
        """Conductances at a time, without read noise and before `limits`, from what `program`
        returned. Here: as programmed.
        """
        return kept["programmed"]

    def read_deviation(self, kept: Kept, conductance: Array, time_seconds: float) -> Array | None:
        """Standard deviation of one read of devices that are at `conductance`;

        None where the model has no read noise.
        """
        return None

    def conductance(self, kept: Kept, time_seconds: float) -> Array:
        """Conductances at a time, without read noise.

        Raises InvalidModel for a time before the end of programming.
        """
        return np.clip(self.drifted(kept, checked_time(time_seconds)), *self.limits)

    def read(self, kept: Kept, time_seconds: float, rng: np.random.Generator) -> Array:
        """One read of every device at a time: each call draws new noise."""
        drifted = self.drifted(kept, checked_time(time_seconds))
        deviation = self.read_deviation(kept, drifted, time_seconds)
        if deviation is None:
            return np.clip(drifted, *self.limits)
        return redraw(drifted, deviation, self.limits, rng)

    def read_moments(self, kept: Kept, time_seconds: float) -> tuple[Array, Array | None]:
        """Mean of a read of every device at a time, and its variance;

        None where the model has no read noise.
        """
        drifted = self.drifted(kept, checked_time(time_seconds))
        deviation = self.read_deviation(kept, drifted, time_seconds)
        if deviation is None:
            return np.clip(drifted, *self.limits), None
        return clipped_moments(drifted, deviation, self.limits)

    def relative(self, conductance: Array) -> Array:
        """r = G / g_max."""
        return conductance / float(self.g_max_microsiemens)

    def to_json(self) -> dict[str, Any]:
        """A JSON value from which `device_from_json` gives an equal device; fields at their default
        are left out.
        """
        return {"kind": self.kind} | {
            f.name: v for f in fields(self) if (v := getattr(self, f.name)) != f.default
        }


@dataclass(frozen=True)
class GaussianProgramming(Device):
    """G = max(0, target + N(0, deviation(target)^2)), no drift, and a read noise of a constant
    deviation.

    read_fraction: deviation of a read in units of g_max.
    """

    read_fraction: float = 0.0

    ranges = {**Device.ranges, "read_fraction": at_least(0)}

    @abstractmethod
    def programming_deviation(self, target: Array) -> Array:
        """Standard deviation of programming, microsiemens, for targets in microsiemens."""

    def program(self, target: Array, rng: np.random.Generator) -> Kept:
        """See `Device.program`."""
        return {
            "programmed": gaussian(
                target, self.programming_scale * self.programming_deviation(target), rng
            )
        }

    def read_deviation(self, kept: Kept, conductance: Array, time_seconds: float) -> Array | None:
        """See `Device.read_deviation`."""
        deviation = self.read_scale * self.read_fraction * self.g_max_microsiemens
        return np.full_like(conductance, deviation) if deviation else None


def checked_time(time_seconds: float) -> float:
    """The time, InvalidModel unless it is a finite number of seconds, 0 or more."""
    return real("time in seconds from the end of programming", time_seconds, at_least(0))


def gaussian(target: Array, deviation: Array, rng: np.random.Generator) -> Array:
    """max(0, target + deviation N(0, 1)) of the target's shape and type."""
    return np.maximum(
        target + deviation * rng.standard_normal(target.shape, dtype=target.dtype.type), 0
    )


def polynomial(x: Array, coefficients: Sequence[float]) -> Array:
    """sum of c_i x^i, constant first, in the type of x."""
    result = np.full_like(x, coefficients[-1])
    for c in coefficients[-2::-1]:
        result = result * x + c
    return result
