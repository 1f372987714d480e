# SPDX-License-Identifier: Apache-2.0
"""How finely a population counts, from what its roundings add up to within a run.

One step of a decay is off by less than one unit, and always to the same side (toward plus infinity
after a shift, toward zero after a multiply), a bias by at most half a unit. A state that keeps the
factor f per step keeps these errors, too. After T steps, in units:

    own(state)  = e (1 - f^T) / (1 - f)               e: largest error of one step, see
    `step_rounding`
    leak        = own(membrane) + own(current) (1 - f^T) / (1 - f) + own(adaptation)
    bias        = 1/2 (less, or 0, where the bias is), through the current and the membrane
    gain        = the part of a unit that a modulated sum loses, through the same, in `leak`

Guard bits make the unit small enough. Spiking populations: a threshold is worth 2^resolution_bits
units, and what earlier steps have left (all but one unit) at most 2^-`aim_bits` of a threshold,
1/256 by default; after a leak by a half nothing is left, so that fast leaks need no more bits.
Readouts and astrocytes, which have no threshold: at most 2^-3 of a weight step, or of what the
astrocyte's level is worth to its target. Constants are worth 2^resolution_bits units, too: the way
from a reset value to the threshold, and the strength of an adaptation unless a rounding of it adds
up to less than that of a threshold.
"""

import math
from dataclasses import dataclass

import numpy as np

from neurohw.errors import InvalidModel
from neurohw.fixedpoint import (
    MULTIPLY_UNIT,
    Decay,
    MultiplyDecay,
    MultiplyDecays,
    NoDecay,
    ShiftDecay,
)
from neurohw.integers.to_float import decay_factor
from neurohw.network import FloatArray

LARGEST_GUARD = 16
BITS_BELOW_RESOLUTION, ENOUGH_BITS = 3, 8  # of what leaks and biases leave, of a threshold
BITS_BELOW_STEP = 3  # the same of a weight step, where there is no threshold
LARGEST_RESOLUTION = 16
LEAK_TOLERANCE = 0.05  # refused above,
LEAK_WARNING = 0.01  # and said above
SLOW_SHIFTS = (13, 14, 15)  # leaks below the last bit of a multiply


def check_resolution(resolution_bits: int) -> None:
    """Raise InvalidModel unless resolution_bits is a whole number of 0 to LARGEST_RESOLUTION."""
    if (
        not isinstance(resolution_bits, int | np.integer)
        or isinstance(resolution_bits, bool)
        or not 0 <= resolution_bits <= LARGEST_RESOLUTION
    ):
        raise InvalidModel(
            f"resolution_bits is a whole number of 0 to {LARGEST_RESOLUTION}, not "
            f"{resolution_bits!r}: "
            "a threshold is worth at least 2^resolution_bits units of the membrane"
        )


def aim_bits(resolution_bits: int) -> int:
    """What leaks and biases leave is at most 2^-aim_bits of a threshold.

    Three bits below the resolution, but not below 8 bits or the resolution itself.
    """
    return max(resolution_bits, min(resolution_bits + BITS_BELOW_RESOLUTION, ENOUGH_BITS))


def step_response(factor: float | FloatArray, steps: int | None) -> FloatArray:
    """1 + f + ... + f^(steps-1): what a state has of a constant input of 1.

    steps: None for any number of steps.
    """
    kept = np.asarray(factor, np.float64)
    endless = kept >= 1.0
    leak = np.where(endless, 1.0, 1.0 - kept)
    if steps is None:
        return np.where(endless, np.inf, 1.0 / leak)
    return np.where(endless, float(steps), (1.0 - kept**steps) / leak)


def leak_error(
    factor: float | FloatArray, integer: float | FloatArray, steps: int | None
) -> FloatArray:
    """How much more (or, negative, less) a constant input is worth with another factor.

    steps: after which it is looked at, see `step_response`.
    """
    with np.errstate(invalid="ignore"):  # of two that never leak
        change = step_response(integer, steps) / step_response(factor, steps) - 1.0
    return np.where(np.asarray(factor) == integer, 0.0, change)


def nearest_decay(factor: float, multiply: bool = False) -> Decay:
    """The integer decay whose leak is nearest.

    An exact shift comes first, then a multiply, and slow shifts where a multiply has no bits.
    multiply: nothing but a multiply.
    """
    if factor == 1.0:
        return NoDecay()
    product = MultiplyDecay(round((1.0 - factor) * MULTIPLY_UNIT))
    if multiply:
        return product
    shift = round(-math.log2(1.0 - factor))
    if 1 <= shift <= SLOW_SHIFTS[-1] and factor == 1.0 - 2.0**-shift:
        return ShiftDecay(shift)
    candidates: list[Decay] = [product, *(ShiftDecay(s) for s in SLOW_SHIFTS)]
    return min(candidates, key=lambda d: abs(float(decay_factor(d)) - factor))


@dataclass(frozen=True)
class LeakError:
    """Largest |leak_error| of a state, and where: in words."""

    size: float
    text: str

    @staticmethod
    def of(factors: float | FloatArray, decay: Decay, steps: int | None, node: str) -> "LeakError":
        """That of the float factors per step [parameter] and their integer decay."""
        wanted = np.ravel(factors)
        kept = np.broadcast_to(decay_factor(decay), wanted.shape)
        errors = leak_error(wanted, kept, steps)
        worst = int(np.argmax(np.abs(errors)))
        where = f" of parameter {worst}" if len(np.unique(wanted)) > 1 else ""
        when = "in the end" if steps is None else f"after {steps} steps"
        text = (
            f"{node}: the factor {wanted[worst]:.9g}{where} is {kept[worst]:.9g} in integers (a "
            "leak is a multiple of "
            f"1/{MULTIPLY_UNIT}, or 2^-k), with which a constant input is worth "
            f"{100 * errors[worst]:+.3g} % {when}"
        )
        return LeakError(float(abs(errors[worst])), text)


def step_rounding(decay: Decay | None) -> float | FloatArray:
    """Largest error of one step of a decay in units.

    1 less the smallest fraction that its result can have; 0 where it is exact.
    """
    match decay:
        case None | NoDecay():
            return 0.0
        case ShiftDecay(shift):
            return 1.0 - 2.0**-shift
        case MultiplyDecay(delta):
            return 1.0 - math.gcd(delta, MULTIPLY_UNIT) / MULTIPLY_UNIT
        case MultiplyDecays(deltas):
            return 1.0 - np.gcd(deltas, MULTIPLY_UNIT) / MULTIPLY_UNIT


@dataclass(frozen=True)
class Roundings:
    """What roundings add up to after the steps of a run, [parameter].

    leak: units of the membrane. bias, sum: units for each unit that the bias, or the sum of the
    synapses, is off in every step. adaptation: the same of its strength, a spike in every step.
    """

    leak: FloatArray
    bias: FloatArray
    sum: FloatArray
    adaptation: FloatArray

    @staticmethod
    def of(
        decay: Decay,
        synapse_decay: Decay | None,
        adaptation_decay: Decay | None,
        membrane_bias: bool,
        steps: int,
        parameters: int,
    ) -> "Roundings":
        """Those of a population with these decays."""

        def response(state: Decay | None) -> FloatArray:
            return np.asarray(1.0) if state is None else step_response(decay_factor(state), steps)

        def own(state: Decay | None) -> FloatArray:
            return response(state) * step_rounding(state)

        membrane, current = response(decay), response(synapse_decay)
        leak = own(decay) + own(synapse_decay) * membrane + own(adaptation_decay)
        bias = membrane if membrane_bias else membrane * current
        parts = (leak, bias, membrane * current, response(adaptation_decay))
        return Roundings(*(np.broadcast_to(part, parameters) for part in parts))

    def constants(
        self,
        threshold: FloatArray,
        v_reset: FloatArray | None,
        strength: FloatArray | None,
        resolution_bits: int,
    ) -> FloatArray:
        """What must be worth 2^resolution_bits units [constant, parameter]; infinite where a
        constant needs no units.
        """
        sizes = [threshold]
        if v_reset is not None:
            way = np.abs(threshold - v_reset)
            sizes.append(np.where(way > 0, way, np.inf))
        if strength is not None:
            enough = threshold / self.adaptation
            needed = strength > enough * 2.0 ** -(resolution_bits + 1)
            sizes.append(np.where(needed, np.maximum(strength, enough), np.inf))
        return np.stack(sizes)


@dataclass(frozen=True)
class Guard:
    """The guard bits of a population and what is left with them.

    leak, bias: largest sum of roundings, in thresholds or, without a threshold, in weight steps.
    constant: largest rounding of a constant, in shares of it.
    aim: what leak and bias, less the units of the last step, should stay below; met: they do, and
    constants have their units.
    """

    bits: int
    leak: float
    bias: float
    constant: float
    aim: float
    met: bool


@dataclass(frozen=True)
class Needs:
    """What a population's guard bits must serve beside the decays, [parameter], in the trained
    network's units.

    constants: [constant, parameter], see `Roundings.constants`; None for a readout or an astrocyte.
    scale: what roundings are compared with, a threshold or a weight step.
    exact_gain: guard bits from which the product with a gain is exact.
    least, most: fewest and most guard bits.
    """

    bias: FloatArray
    scale: FloatArray
    constants: FloatArray | None = None
    exact_gain: int = 0
    least: int = 0
    most: int = LARGEST_GUARD


def guard_bits(roundings: Roundings, step: FloatArray, needs: Needs, resolution_bits: int) -> Guard:
    """The fewest guard bits that serve a population.

    step: weight of one unit without guard bits [parameter], in the trained network's units.
    """
    spiking, bias, scale = needs.constants is not None, needs.bias, needs.scale
    whole = np.isclose(
        bias / step, np.round(bias / step), rtol=0.0, atol=1e-9
    )  # exact without guard bits
    aim = 2.0 ** -aim_bits(resolution_bits) if spiking else 2.0**-BITS_BELOW_STEP
    smallest = np.full_like(step, np.inf) if needs.constants is None else needs.constants.min(0)
    for bits in range(min(needs.least, needs.most), needs.most + 1):
        unit = step * 2.0**-bits
        last = (
            unit / scale if spiking else np.zeros_like(unit)
        )  # the step itself: resolution_bits is for that
        floor = max(0.0, 1.0 - 2.0 ** (bits - needs.exact_gain))
        leak = (roundings.leak + roundings.sum * floor) * unit / scale
        off = np.where(whole, 0.0, roundings.bias * np.minimum(unit / 2, np.abs(bias)) / scale)
        fine = bool(np.all(smallest >= 2.0**resolution_bits * unit))
        met = fine and bool(np.all(np.maximum(leak, off) - last <= aim))
        if met:
            break
    constant = float(np.max(unit / 2 / smallest))
    of = np.ones_like(step) if spiking else scale / step
    sums = float((leak * of).max()), float((off * of).max())
    return Guard(bits, *sums, constant, aim * float(of.min()), met)
