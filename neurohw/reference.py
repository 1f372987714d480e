"""The float64 reference: the step of `neurohw.neurons`, executed in NumPy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.errors import InvalidData
from neurohw.network import FloatArray, Network, TrainedNetwork
from neurohw.neurons import Integrator, Lif, Source
from neurohw.trace import Trace


def check_stimulus(network: Network, spikes: NDArray[Any]) -> None:
    """Raise InvalidData unless `spikes` is [time, sample, input neuron] of non-negative whole counts."""
    size = network.input.size
    if spikes.ndim != 3 or spikes.shape[2] != size:
        raise InvalidData(f"stimulus has shape {spikes.shape}, the network needs [time, sample, {size}]")
    if spikes.shape[0] < 1 or spikes.shape[1] < 1:
        raise InvalidData(f"stimulus of shape {spikes.shape} is empty: at least one step and one sample are needed")
    if spikes.dtype.kind not in "ub" and (np.any(spikes < 0) or np.any(spikes != np.floor(spikes))):
        raise InvalidData("stimulus must hold whole counts of 0 or more")


def run_reference(trained: TrainedNetwork, spikes: NDArray[Any], states: bool = True) -> Trace:
    """Simulate in float64.

    spikes: counts [time, sample, input neuron]. Returns spikes and (if `states`) v, c and r of every population.
    Raises InvalidData for a stimulus of the wrong shape.
    """
    model = trained.folded()
    network, parameters = model.network, model.parameters
    check_stimulus(network, spikes)
    steps, samples, _ = spikes.shape
    sent: dict[str, FloatArray] = {network.input.name: spikes.astype(np.float64)}
    out_spikes, out_states = {network.input.name: spikes.astype(np.uint8)}, {}
    order = network.update_order()
    for population in order:
        shape = (steps, samples, population.size)
        sent[population.name] = np.zeros(shape)
        for letter in "vcr":
            out_states[f"{letter}.{population.name}"] = np.zeros(shape)
    v = {p.name: np.zeros((samples, p.size)) for p in order}
    c = {p.name: np.zeros((samples, p.size)) for p in order}
    r = {p.name: np.zeros((samples, p.size)) for p in order}
    for t in range(steps):
        for population in order:
            name, neuron = population.name, population.neuron
            current = np.broadcast_to(parameters[f"{name}.bias"], (samples, population.size)).copy()
            for projection in network.into(name):
                if t >= projection.delay:
                    arriving = sent[projection.source][t - projection.delay]
                    current += arriving @ parameters[f"{projection.name}.weight"].T
            assert not isinstance(neuron, Source)
            if neuron.synapse_decay is not None:
                current = neuron.synapse_decay * c[name] + current
            c[name] = current
            u = neuron.decay * v[name] + current
            if isinstance(neuron, Integrator):
                v[name] = u
            elif isinstance(neuron, Lif):
                threshold = parameters[f"{name}.threshold"]
                able = r[name] == 0
                fired = able & (u >= threshold)
                after = np.where(fired, neuron.v_reset if neuron.reset == "hard" else u - threshold, u)
                v[name] = np.where(able, after, v[name])
                r[name] = np.where(fired, neuron.refractory, np.maximum(r[name] - 1, 0))
                sent[name][t] = fired
            for letter, state in (("v", v), ("c", c), ("r", r)):
                out_states[f"{letter}.{name}"][t] = state[name]
    for population in order:
        out_spikes[population.name] = sent[population.name].astype(np.uint8)
    return Trace(out_spikes, out_states if states else {})
