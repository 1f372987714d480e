# SPDX-License-Identifier: Apache-2.0
"""The one step of a population, written once for float64 and for integers.

`advance` is the text of `neurohw.neurons` in NumPy. What differs between the float reference and
the integer golden model (how a value decays, where it saturates) is the `Arithmetic` that they hand
over.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.neurons import Adaptation, Astrocyte, Integrator, Lif, Source, as_lif
from neurohw.support import attributes

Array = NDArray[Any]
Function = Callable[[Array], Array]
# the neurons that `advance` computes
STEP = {
    Lif: attributes(
        "decay threshold v_reset synapse_decay refractory adaptation strict delayed_reset "
        "membrane_bias delayed_current clears_current integrates_refractory",
        reset=("soft", "hard", "none"),
    ),
    Adaptation: attributes("decay strength"),
    Integrator: attributes("decay synapse_decay"),
    Astrocyte: attributes("decay synapse_decay"),
    Source: attributes(),
}


@dataclass(frozen=True)
class Arithmetic:
    """The constants of a population [neuron] and how its numbers behave.

    decay_*: one step of decay of the membrane v, the synaptic current c and the adaptation a.
    saturate_*: into the format of a membrane or a current (float: unchanged). None where the neuron
    has no such state.
    offset: of an Astrocyte's level above its membrane, else 0.
    scale: a sum of synapses times a gain.
    """

    bias: Array
    threshold: Array
    v_reset: Array
    adaptation_strength: Array
    decay_v: Function
    decay_c: Function | None
    decay_a: Function | None
    saturate_v: Function
    saturate_c: Function
    offset: Array | int = 0
    scale: Callable[[Array, Array], Array] = np.multiply


@dataclass
class State:
    """v, c, r and a of one population [sample, neuron], after the last step.

    saturated: where the last step's saturation changed u, c or a, boolean; None where the
    arithmetic does not saturate. A refractory neuron counts, too, although it discards its u.
    """

    v: Array
    c: Array
    r: Array
    a: Array
    saturated: Array | None = None

    @staticmethod
    def rest(samples: int, size: int, dtype: Any) -> "State":
        """All zero."""
        return State(*(np.zeros((samples, size), dtype) for _ in "vcra"))


def advance(
    neuron: Lif | Integrator,
    arithmetic: Arithmetic,
    state: State,
    arriving: Array,
    gain: Array | None = None,
    raised: Array | None = None,
) -> Array:
    """Advance `state` by one step under the sum of all projections `arriving` [sample, neuron];
    returns the spikes, boolean.

    gain, raised: what astrocytes do, [sample, neuron]: the factor of the sum and the rise of the
        threshold; None without a modulation.
    """
    lif, spiking = as_lif(neuron), neuron.spiking
    clipped: list[Array] = []

    def saturate(function: Function, value: Array) -> Array:
        result = function(value)
        if result is not value:
            clipped.append(result != value)
        return result

    if gain is not None:
        arriving = arithmetic.scale(arriving, gain)
    current = arriving if lif.membrane_bias else arriving + arithmetic.bias
    if arithmetic.decay_c is not None:
        current = saturate(arithmetic.saturate_c, arithmetic.decay_c(state.c) + current)
    if lif.clears_current:
        current = np.where(state.r > 0, 0, current)
    drive = state.c if lif.delayed_current else current
    if lif.membrane_bias:
        drive = drive + arithmetic.bias
    threshold = arithmetic.threshold + state.a
    if raised is not None:
        threshold = threshold + raised
    before, pending = state.v, state.r > 0
    if lif.delayed_reset and lif.reset == "hard":
        before = np.where(pending, arithmetic.v_reset, before)
    if lif.delayed_reset and lif.reset == "soft":
        drive = drive - np.where(pending, threshold, 0)
    u = saturate(arithmetic.saturate_v, arithmetic.decay_v(before) + drive)
    able = np.full(u.shape, spiking) if lif.delayed_reset or not spiking else ~pending
    spikes = able & ((u > threshold) if lif.strict else (u >= threshold))
    after = u
    if not lif.delayed_reset and lif.reset == "soft":
        after = np.where(spikes, u - threshold, u)
    if not lif.delayed_reset and lif.reset == "hard":
        after = np.where(spikes, arithmetic.v_reset, u)
    state.c = current
    moves = able | (not spiking or lif.integrates_refractory)
    state.v = np.where(moves, after, state.v)
    hold = 1 if lif.delayed_reset else lif.refractory
    state.r = np.where(spikes, hold, 0 if lif.delayed_reset else np.maximum(state.r - 1, 0))
    if arithmetic.decay_a is not None:
        risen = arithmetic.decay_a(state.a) + np.where(spikes, arithmetic.adaptation_strength, 0)
        state.a = saturate(arithmetic.saturate_v, risen)
    state.saturated = np.logical_or.reduce(clipped) if clipped else None
    return spikes


def letters(neuron: Lif | Integrator) -> str:
    """The states that a trace of the neuron holds: v, c, r, and a with an adaptive threshold."""
    return "vcra" if as_lif(neuron).adaptation is not None else "vcr"
