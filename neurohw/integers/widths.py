# SPDX-License-Identifier: Apache-2.0
"""Widths by proof: intervals that sums, currents and membranes can never leave.

The sum over one step lies in [sum of negative weights, sum of positive weights] times the largest
count, whatever fires. A leaky state driven by |input| <= D stays within the `bound` of its decay
(see `neurohw.fixedpoint`); without leak it stays within steps * D. A soft reset only moves a
membrane toward zero from above. A hard reset starts it anew at v_reset, and a delayed soft reset
takes the threshold from a membrane that has already decayed: both add their constant to the bound.
A gain scales a sum by at most its largest entry, and rounding toward minus infinity never leaves
the scaled interval; the sum before it must fit, too. A modulated threshold is at most the
astrocyte's largest level above the others.
"""

from dataclasses import dataclass

import numpy as np

from neurohw.connections import Matrix
from neurohw.errors import InvalidModel
from neurohw.fixedpoint import Decay, IntArray, IntFormat, MultiplyDecay, MultiplyDecays
from neurohw.integers.quantized import scaled
from neurohw.neurons import Adaptation, Astrocyte, Integrator, Lif, as_lif
from neurohw.support import Implements, attributes

IMPLEMENTS = Implements(
    "the proof of widths",
    {
        Lif: attributes(
            "decay threshold v_reset synapse_decay refractory adaptation strict delayed_reset "
            "membrane_bias delayed_current clears_current integrates_refractory",
            reset=("soft", "hard", "none"),
        ),
        Adaptation: attributes("decay strength"),
        Integrator: attributes("decay synapse_decay"),
        Astrocyte: attributes("decay synapse_decay"),
    },
)


@dataclass(frozen=True)
class Widths:
    """Formats of one population, whether the membrane's is a user's cap instead of the proved one,
    and the largest membrane that can happen.
    """

    accumulator: IntFormat
    current: IntFormat
    membrane: IntFormat
    proved_membrane: IntFormat
    capped: bool
    largest: int


@dataclass(frozen=True)
class Drive:
    """What one projection can add in one step: lowest and highest unshifted sum [neuron], and the
    exponent of its weights.
    """

    lowest: IntArray
    highest: IntArray
    exponent: int

    @staticmethod
    def of(matrices: list[tuple[int, Matrix]], exponent: int, max_count: int) -> "Drive":
        """The drive of a projection with these integer matrices, from source counts of at most
        max_count.
        """
        lowest = sum(np.asarray(_part(m, np.minimum).sum(axis=1)) for _, m in matrices)
        highest = sum(np.asarray(_part(m, np.maximum).sum(axis=1)) for _, m in matrices)
        return Drive(np.asarray(lowest) * max_count, np.asarray(highest) * max_count, exponent)


def _part(matrix: Matrix, side: np.ufunc) -> Matrix:
    if isinstance(matrix, np.ndarray):
        return np.asarray(side(matrix, 0))
    part = matrix.copy()
    part.data = side(part.data, 0)
    return part


@dataclass(frozen=True)
class Constants:
    """The integer constants of a population [parameter] and its decays.

    offset: of an Astrocyte.
    largest_gain: of a modulation, in 256ths.
    largest_rise: of the threshold, by a modulation.
    """

    bias: IntArray
    threshold: IntArray
    v_reset: IntArray
    decay: Decay
    synapse_decay: Decay | None
    adaptation_decay: Decay | None = None
    adaptation_strength: IntArray | None = None
    offset: IntArray | None = None
    largest_gain: int | None = None
    largest_rise: int = 0


EXACT_PRODUCT_BITS = 51  # of a state that a multiplying decay keeps exact in 64 bits


def check_products(name: str, widths: Widths, constants: Constants) -> None:
    """Raise InvalidModel, naming population and state, where a multiplying decay leaves 64 bits."""
    states = {
        "membrane": (widths.membrane, constants.decay),
        "synaptic current": (widths.current, constants.synapse_decay),
        "adaptation": (widths.membrane, constants.adaptation_decay),
    }
    for state, (limits, decay) in states.items():
        if isinstance(decay, MultiplyDecay | MultiplyDecays) and limits.bits > EXACT_PRODUCT_BITS:
            raise InvalidModel(
                f"population {name!r}: its {state} needs {limits.bits} bits, a multiplying decay "
                f"is exact up to {EXACT_PRODUCT_BITS}: quantize with a smaller resolution_bits, "
                "for fewer steps or with a membrane_cap"
            )


def prove_widths(
    neuron: Lif | Integrator,
    drives: list[Drive],
    constants: Constants,
    steps: int,
    membrane_cap: int | None = None,
) -> Widths:
    """The narrowest formats in which nothing can overflow within `steps` steps.

    membrane_cap: width in bits at which the user accepts saturation; it never narrows below what
        threshold and v_reset need, and never widens.
    """
    IMPLEMENTS.refuse("neuron", neuron)
    lif = as_lif(neuron)
    largest_bias = int(np.abs(constants.bias).max())
    down, up = sum(d.lowest for d in drives), sum(d.highest for d in drives)
    accumulator = IntFormat.holding(int(np.min(down)), int(np.max(up)))
    lowest = np.asarray(sum(d.lowest << d.exponent for d in drives))
    highest = np.asarray(sum(d.highest << d.exponent for d in drives))
    if constants.largest_gain is not None:
        gain = np.asarray(constants.largest_gain)
        lowest, highest = (
            np.minimum(lowest, scaled(lowest, gain)),
            np.maximum(highest, scaled(highest, gain)),
        )
    # a bias may be added after the sum
    unbiased = max(int(np.abs(lowest).max()), int(np.abs(highest).max()))
    if not lif.membrane_bias:
        bias = np.repeat(constants.bias, len(lowest) // len(constants.bias))
        lowest, highest = lowest + bias, highest + bias
    drive = max(int(np.abs(lowest).max()), int(np.abs(highest).max()), unbiased)
    synapse = constants.synapse_decay
    current_bound = max(drive, largest_bias, 0 if synapse is None else synapse.bound(drive, steps))
    current = IntFormat.holding(-current_bound, current_bound)
    membrane_drive = current_bound + (largest_bias if lif.membrane_bias else 0)
    membrane_bound = max(constants.decay.bound(membrane_drive, steps), membrane_drive)
    top = int(constants.threshold.max()) + constants.largest_rise
    if constants.adaptation_decay is not None and constants.adaptation_strength is not None:
        strength = int(constants.adaptation_strength.max())
        top += max(constants.adaptation_decay.bound(strength, steps), strength)
    resets = [int(constants.v_reset.min()), int(constants.v_reset.max())]
    if lif.reset == "hard":
        membrane_bound += max(map(abs, resets))
    if lif.reset == "soft" and lif.delayed_reset:
        membrane_bound += membrane_drive + top
    offset = 0 if constants.offset is None else int(np.abs(constants.offset).max())
    level_bound = membrane_bound + offset
    proved = IntFormat.holding(min(-level_bound, *resets), max(level_bound, top, *resets))
    needed = IntFormat.holding(min(-offset, *resets), max(top, offset, *resets))
    if membrane_cap is None or membrane_cap >= proved.bits:
        return Widths(accumulator, current, proved, proved, False, membrane_bound)
    capped = IntFormat(max(membrane_cap, needed.bits))
    return Widths(accumulator, current, capped, proved, True, min(membrane_bound, capped.max))
