"""Running a liquid in float64, fast where the event-driven kernel knows its neuron."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.errors import Unsupported
from neurohw.plasticity.native import PlasticKernel
from neurohw.plasticity.stimulus import Events
from neurohw.reference import check_stimulus, run_reference
from neurohw.reservoir.liquid import Liquid
from neurohw.trace import Trace


def run_liquid(liquid: Liquid, spikes: NDArray[Any], states: bool = False) -> Trace:
    """Simulate spikes [time, sample, input neuron] with weights that stay: spikes, and with `states` v, c and r, of the liquid.

    The C++ kernel of plasticity, without any, for neurons with a hard reset and inputs of at most one spike per step; else `run_reference`.
    """
    check_stimulus(liquid.network, spikes)
    try:
        if spikes.max(initial=0) > 1:
            raise Unsupported("the kernel takes one spike per step and input")
        kernel = PlasticKernel(liquid.trained, None)
    except Unsupported:
        return run_reference(liquid.trained, spikes, states)
    record = ("spikes", "states") if states else ("spikes",)
    got = kernel.run(Events.of_spikes(spikes), len(spikes), record=record)
    assert got.spikes is not None
    name = liquid.network.output.name
    sent = {liquid.network.input.name: spikes.astype(np.uint8), name: got.spikes.transpose(1, 0, 2)}
    kept = {f"{letter}.{name}": array.transpose(1, 0, 2) for letter, array in zip("vcr", got.states, strict=False)}
    return Trace(sent, kept)
