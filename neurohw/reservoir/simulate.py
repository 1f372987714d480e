# SPDX-License-Identifier: Apache-2.0
"""Running a liquid in float64, fast where the event-driven kernel knows its neuron."""

from typing import Any

from numpy.typing import NDArray

from neurohw.errors import Unsupported
from neurohw.plasticity.native import PlasticKernel
from neurohw.plasticity.stimulus import Events
from neurohw.reference import run_reference
from neurohw.reservoir.liquid import Liquid
from neurohw.stimulus import Spikes, stimulus_of
from neurohw.trace import Trace


def run_liquid(liquid: Liquid, spikes: Spikes | NDArray[Any], states: bool = False) -> Trace:
    """Simulate spikes [time, sample, input neuron] with weights that stay: spikes, and with
    `states` v, c and r, of the liquid.

    The C++ kernel of plasticity, without any, for neurons with a hard reset and inputs of at most
    one spike per step; else `run_reference`.
    """
    given = stimulus_of(liquid.trained, spikes)
    try:
        if given.counts.max() > 1:
            raise Unsupported("the kernel takes one spike per step and input")
        kernel = PlasticKernel(liquid.trained, None)
    except Unsupported:
        return run_reference(liquid.trained, given, states)
    record = ("spikes", "states") if states else ("spikes",)
    got = kernel.run(Events.of_spikes(given), given.steps, record=record)
    assert got.spikes is not None
    name = liquid.network.output.name
    sent = {liquid.network.input.name: given.counts, name: got.spikes.transpose(1, 0, 2)}
    kept = {
        f"{letter}.{name}": array.transpose(1, 0, 2)
        for letter, array in zip("vcr", got.states, strict=False)
    }
    return Trace(sent, kept)
