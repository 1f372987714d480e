"""The specification of integer behaviour. RTL and every integer engine equal this, bit for bit.

Per population and step, in integers, with all sums complete before the one saturation:

    sum_p = sum_j w_ij s_j[t - d]                       in the accumulator format (proved, never exceeded)
    I     = bias + sum over projections of sum_p << exponent
    c     = saturate(decay_c(c) + I)                    with a synaptic current, else c = I
    refractory (r > 0):  s = 0, v unchanged, r = r - 1
    otherwise:           u = saturate(decay(v) + c)
                         s = u >= threshold
                         v = u - threshold (soft) or v_reset (hard) where s, else u
                         r = refractory where s
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.errors import InvalidModel
from neurohw.fixedpoint import IntArray, exact_matmul
from neurohw.neurons import Lif
from neurohw.quantize.quantized import QuantizedNetwork
from neurohw.reference import check_stimulus
from neurohw.trace import Trace


def run_golden(model: QuantizedNetwork, spikes: NDArray[Any], states: bool = True) -> Trace:
    """Simulate in integers.

    spikes: counts [time, sample, input neuron]. Returns spikes and (if `states`) v, c and r of every population, int64.
    Raises InvalidData for a stimulus of the wrong shape, InvalidModel if a sum leaves its accumulator format.
    """
    network = model.network
    check_stimulus(network, spikes)
    steps, samples, _ = spikes.shape
    order = network.update_order()
    sent: dict[str, NDArray[np.uint8]] = {network.input.name: spikes.astype(np.uint8)}
    trace: dict[str, IntArray] = {}
    for population in order:
        sent[population.name] = np.zeros((steps, samples, population.size), np.uint8)
        if states:
            for letter in "vcr":
                trace[f"{letter}.{population.name}"] = np.zeros((steps, samples, population.size), np.int64)
    v = {p.name: np.zeros((samples, p.size), np.int64) for p in order}
    c = {p.name: np.zeros((samples, p.size), np.int64) for p in order}
    r = {p.name: np.zeros((samples, p.size), np.int64) for p in order}
    for t in range(steps):
        for population in order:
            name, neuron, q = population.name, population.neuron, model.populations[population.name]
            current = np.broadcast_to(q.bias, (samples, population.size))
            for projection in network.into(name):
                if t < projection.delay:
                    continue
                synapses = model.projections[projection.name]
                arriving = sent[projection.source][t - projection.delay].astype(np.int64)
                total = exact_matmul(arriving, synapses.weight.T)
                if not q.accumulator.allows(total):
                    raise InvalidModel(
                        f"projection {projection.name!r}: a sum left its {q.accumulator.bits}-bit accumulator at step {t}"
                    )
                current = current + (total << synapses.exponent)
            if q.synapse_decay is not None:
                current = q.current.saturate(q.synapse_decay.apply(c[name]) + current)
            c[name] = current
            u = q.membrane.saturate(q.decay.apply(v[name]) + current)
            if isinstance(neuron, Lif):
                able = r[name] == 0
                fired = able & (u >= q.threshold)
                after = np.where(fired, q.v_reset if neuron.reset == "hard" else u - q.threshold, u)
                v[name] = np.where(able, after, v[name])
                r[name] = np.where(fired, neuron.refractory, np.maximum(r[name] - 1, 0))
                sent[name][t] = fired
            else:
                v[name] = u
            if states:
                for letter, state in (("v", v), ("c", c), ("r", r)):
                    trace[f"{letter}.{name}"][t] = state[name]
    return Trace(sent, trace)
