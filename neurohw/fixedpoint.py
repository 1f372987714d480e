# SPDX-License-Identifier: Apache-2.0
"""Integer formats and the integer arithmetic that golden model, quantizer and RTL share."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.checks import Range, check_fields
from neurohw.errors import InvalidModel
from neurohw.support import attributes

IntArray = NDArray[np.int64]

MULTIPLY_UNIT = 4096  # Loihi's decay is a 12-bit fraction


@dataclass(frozen=True)
class IntFormat:
    """A signed two's-complement format of `bits` bits, 1 to 63."""

    bits: int

    def __post_init__(self) -> None:
        check_fields(self, bits=Range(1, 63))

    @property
    def min(self) -> int:
        """Smallest value, -2^(bits-1)."""
        return -(1 << (self.bits - 1))

    @property
    def max(self) -> int:
        """Largest value, 2^(bits-1) - 1."""
        return (1 << (self.bits - 1)) - 1

    def allows(self, values: IntArray) -> bool:
        """True if every value lies in [min, max]; an empty array is allowed."""
        return bool(np.all((values >= self.min) & (values <= self.max)))

    def saturate(self, values: IntArray) -> IntArray:
        """Values clipped to [min, max], any shape."""
        return np.clip(values, self.min, self.max)

    @staticmethod
    def holding(lowest: int, highest: int) -> "IntFormat":
        """The narrowest format that holds both bounds."""
        bits = 1
        while not (-(1 << (bits - 1)) <= lowest and highest <= (1 << (bits - 1)) - 1):
            bits += 1
        return IntFormat(bits)


@dataclass(frozen=True)
class NoDecay:
    """decay(v) = v: a perfect integrator."""

    def apply(self, values: IntArray) -> IntArray:
        """The values unchanged."""
        return values

    def bound(self, drive: int, steps: int) -> int:
        """Largest |v| after `steps` steps of |input| <= drive."""
        return drive * steps


@dataclass(frozen=True)
class ShiftDecay:
    """decay(v) = v - (v >>> shift), the arithmetic shift rounding toward minus infinity;

    1 <= shift <= 15.
    """

    shift: int

    def __post_init__(self) -> None:
        check_fields(self, shift=Range(1, 15))

    def apply(self, values: IntArray) -> IntArray:
        """v - floor(v / 2^shift), any shape."""
        return values - (values >> self.shift)

    def bound(self, drive: int, steps: int) -> int:
        """Largest |v| for |input| <= drive, for any number of steps: v < (drive + 1) 2^shift.

        v - floor(v / 2^shift) grows with v, and maps (drive+1) 2^shift - 1 to itself less `drive`,
        so that the interval [-drive 2^shift, (drive+1) 2^shift - 1] is never left.
        """
        return min(drive * steps, ((drive + 1) << self.shift) - 1) if drive else 0


@dataclass(frozen=True)
class MultiplyDecay:
    """decay(v) = trunc(v (4096 - delta) / 4096), rounded toward zero as on Loihi;

    0 <= delta <= 4096.
    """

    delta: int

    def __post_init__(self) -> None:
        check_fields(self, delta=Range(0, MULTIPLY_UNIT))

    def apply(self, values: IntArray) -> IntArray:
        """trunc(v (4096 - delta) / 4096), any shape; exact while |v| < 2^50."""
        product = np.abs(values) * (MULTIPLY_UNIT - self.delta)
        return np.sign(values) * (product >> 12)

    def bound(self, drive: int, steps: int) -> int:
        """Largest |v| for |input| <= drive:

        V (1 - delta/4096) + drive <= V for V = drive 4096 / delta.
        """
        unlimited = drive * steps
        return min(unlimited, drive * MULTIPLY_UNIT // self.delta) if self.delta else unlimited


@dataclass(frozen=True)
class MultiplyDecays:
    """A multiplying decay of its own for every parameter (neuron or channel): deltas[p] in
    0..4096.
    """

    deltas: tuple[int, ...]

    def __post_init__(self) -> None:
        check_fields(self, deltas=Range(0, MULTIPLY_UNIT))
        if not self.deltas:
            raise InvalidModel("decays of single neurons need at least one delta")

    def apply(self, values: IntArray) -> IntArray:
        """trunc(v (4096 - delta) / 4096) along the last axis, [..., neuron]; neurons of a channel
        share its delta.
        """
        deltas = np.repeat(self.deltas, values.shape[-1] // len(self.deltas))
        return np.sign(values) * ((np.abs(values) * (MULTIPLY_UNIT - deltas)) >> 12)

    def bound(self, drive: int, steps: int) -> int:
        """Largest |v| of any neuron: that of the slowest decay."""
        return MultiplyDecay(min(self.deltas)).bound(drive, steps)


Decay = NoDecay | ShiftDecay | MultiplyDecay | MultiplyDecays
DecayJson = dict[str, Any]
DECAYS = {
    NoDecay: attributes(),
    ShiftDecay: attributes("shift"),
    MultiplyDecay: attributes("delta"),
    MultiplyDecays: attributes("deltas"),
}


def decay_to_json(decay: Decay | None) -> DecayJson | None:
    """A JSON value from which `decay_from_json` gives the same decay."""
    match decay:
        case None:
            return None
        case NoDecay():
            return {"kind": "none"}
        case ShiftDecay(shift):
            return {"kind": "shift", "shift": shift}
        case MultiplyDecay(delta):
            return {"kind": "multiply", "delta": delta}
        case MultiplyDecays(deltas):
            return {"kind": "multiply_each", "deltas": list(deltas)}
    raise InvalidModel(
        f"decay {decay!r} cannot be saved: known kinds are none, shift, multiply and multiply_each"
    )


def decay_from_json(value: DecayJson | None) -> Decay | None:
    """The decay that `decay_to_json` wrote; InvalidModel for an unknown kind."""
    match value:
        case None:
            return None
        case {"kind": "none"}:
            return NoDecay()
        case {"kind": "shift", "shift": int(shift)}:
            return ShiftDecay(shift)
        case {"kind": "multiply", "delta": int(delta)}:
            return MultiplyDecay(delta)
        case {"kind": "multiply_each", "deltas": list(deltas)}:
            return MultiplyDecays(tuple(deltas))
    raise InvalidModel(
        f"unknown decay {value!r}: known kinds are none, shift, multiply and multiply_each"
    )


def exact_matmul(left: IntArray, right: IntArray) -> IntArray:
    """left @ right for integers, through float64 BLAS.

    Products and sums below 2^53 are exact in float64 in whatever order BLAS adds them; a product
    that could reach 2^53 is refused with InvalidModel, so that the result is always the integer
    one.
    """
    if left.size and right.size:
        largest = int(np.abs(left).max()) * int(np.abs(right).max()) * left.shape[-1]
        if largest >= 1 << 53:
            raise InvalidModel(f"integer product may reach {largest}, beyond the exact range 2^53")
    return np.asarray(left.astype(np.float64) @ right.astype(np.float64)).astype(np.int64)
