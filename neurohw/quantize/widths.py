"""Widths by proof: intervals that sums, currents and membranes can never leave.

The sum over one step lies in [sum of negative weights, sum of positive weights] times the largest count, whatever fires.
A leaky state driven by |input| <= D stays within the `bound` of its decay (see `neurohw.fixedpoint`); without
leak it stays within steps * D. A soft reset only moves a membrane toward zero from above, and a hard reset sets a value that must fit.
"""

from dataclasses import dataclass

import numpy as np

from neurohw.fixedpoint import Decay, IntArray, IntFormat


@dataclass(frozen=True)
class Widths:
    """Formats of one population and whether the membrane's is a user's cap instead of the proved one."""

    accumulator: IntFormat
    current: IntFormat
    membrane: IntFormat
    proved_membrane: IntFormat
    capped: bool


def prove_widths(
    weights: list[tuple[IntArray, int, int]],
    bias: IntArray,
    threshold: IntArray,
    v_reset: IntArray,
    decay: Decay,
    synapse_decay: Decay | None,
    steps: int,
    membrane_cap: int | None = None,
) -> Widths:
    """The narrowest formats in which nothing can overflow within `steps` steps.

    weights: per incoming projection (weight [target, source], exponent, largest source count). membrane_cap: width in bits at which the
    user accepts saturation; it never narrows below what threshold and v_reset need, and never widens.
    """
    lowest, highest, accumulator = bias.copy(), bias.copy(), IntFormat(1)
    for weight, exponent, count in weights:
        down = count * np.minimum(weight, 0).sum(axis=1)
        up = count * np.maximum(weight, 0).sum(axis=1)
        accumulator = IntFormat.holding(min(int(down.min()), accumulator.min), max(int(up.max()), accumulator.max))
        lowest, highest = lowest + (down << exponent), highest + (up << exponent)
    drive = max(int(np.abs(lowest).max()), int(np.abs(highest).max()))
    current_bound = drive if synapse_decay is None else max(drive, synapse_decay.bound(drive, steps))
    current = IntFormat.holding(-current_bound, current_bound)
    membrane_bound = max(decay.bound(current_bound, steps), current_bound)
    extremes = [-membrane_bound, membrane_bound, *map(int, threshold), *map(int, v_reset)]
    proved = IntFormat.holding(min(extremes), max(extremes))
    constants = [int(threshold.max()), int(v_reset.min()), int(v_reset.max())]
    needed = IntFormat.holding(min(constants), max(constants))
    if membrane_cap is None or membrane_cap >= proved.bits:
        return Widths(accumulator, current, proved, proved, False)
    return Widths(accumulator, current, IntFormat(max(membrane_cap, needed.bits)), proved, True)
