# SPDX-License-Identifier: Apache-2.0
"""The executable specification of learning in integers.

The RTL equals this, bit for bit: every spike, state, trace, weight and the astrocyte.

The step of the neurons is `neurohw.step.advance` with the arithmetic of `neurohw.golden`; what
learning adds is `neurohw.plasticity.integer`, in the order of `neurohw.plasticity.rule`: weights
with the old traces and the old amplitude, then traces, then the astrocyte.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.errors import InvalidData, InvalidModel
from neurohw.fixedpoint import IntArray
from neurohw.golden.specification import IMPLEMENTS, integer_arithmetic
from neurohw.network import Projection
from neurohw.neurons import Lif
from neurohw.plasticity.integer import QuantizedPlasticity
from neurohw.step import State, advance, letters
from neurohw.stimulus import Spikes, proved_stimulus
from neurohw.trace import Trace


@dataclass(frozen=True)
class PlasticTrace:
    """What learning did.

    trace: spikes and states, each [time, sample, neuron].
    traces: r of either population after the step [time, sample, neuron].
    astrocyte: S after the step [time, sample].
    weights: at the end, by projection [synapse], hidden bits included.
    snapshots: weights after every `every` steps [snapshot, synapse].
    """

    trace: Trace
    traces: dict[str, IntArray]
    astrocyte: IntArray
    weights: dict[str, IntArray]
    snapshots: dict[str, IntArray]


def run_plastic_golden(
    quantized: QuantizedPlasticity,
    spikes: Spikes | NDArray[Any],
    learning: bool | NDArray[np.bool_] = True,
    every: int = 0,
    beyond_proof: bool = False,
) -> PlasticTrace:
    """Learn from spikes [time, sample, input neuron], sample after sample: states start anew with
    each, weights are carried over.

    learning: whether weights change, for all samples or for each [sample].
    every: steps between two snapshots, counted over all samples; 0 for none.
    beyond_proof: as of `run_golden`.
    Raises InvalidData for a stimulus of the wrong shape or with counts, InvalidModel if a sum
    leaves its accumulator format.
    """
    model, network = quantized.model, quantized.model.network
    population, neuron = network.output, network.output.neuron
    IMPLEMENTS.check(network, model.populations)
    assert isinstance(neuron, Lif)
    given, beyond = proved_stimulus(model, spikes, beyond_proof)
    if given.counts.max() > 1:
        raise InvalidData(
            f"the stimulus has a count of {given.counts.max()}: learning takes spikes, 0 or 1"
        )
    steps, samples = given.steps, given.samples
    enabled = np.broadcast_to(np.asarray(learning, np.bool_), (samples,))
    constants, format_ = integer_arithmetic(model, population), model.populations[population.name]
    weights = {p.name: quantized.projections[p.name].weight.copy() for p in network.projections}
    sent = {
        network.input.name: given.counts,
        population.name: np.zeros((steps, samples, population.size), np.uint8),
    }
    states = {
        f"{x}.{population.name}": np.zeros((steps, samples, population.size), np.int64)
        for x in letters(neuron)
    }
    recorded = {name: np.zeros(array.shape, np.int64) for name, array in sent.items()}
    astrocyte = np.zeros((steps, samples), np.int64)
    snapshots: dict[str, list[IntArray]] = {name: [] for name in weights}

    def change(
        projection: Projection,
        traces: dict[str, IntArray],
        amplitude: int,
        now: dict[str, NDArray[np.bool_]],
    ) -> None:
        own, w = quantized.projections[projection.name], weights[projection.name]
        source, target = quantized.source(projection), quantized.target(projection)
        low, high, inhibitory = own.low[source], own.high[source], own.inhibitory[source]
        early, late = traces[projection.source][source], traces[projection.target][target]
        first = np.where(
            inhibitory,
            quantized.amount(quantized.potentiation, late),
            -quantized.amount(amplitude, late),
        )
        second = np.where(
            inhibitory,
            -quantized.amount(amplitude, early),
            quantized.amount(quantized.potentiation, early),
        )
        w = np.clip(w + first * now[projection.source][source], low, high)
        weights[projection.name] = np.clip(w + second * now[projection.target][target], low, high)

    for sample in range(samples):
        state, s = State.rest(1, population.size, np.int64), quantized.depression
        traces = {name: np.zeros(array.shape[2], np.int64) for name, array in sent.items()}
        for t in range(steps):
            arriving = np.zeros(population.size, np.int64)
            for projection in network.projections:
                if t > 0:
                    arrived = (
                        quantized.delivered(weights[projection.name])
                        * sent[projection.source][t - 1, sample][quantized.source(projection)]
                    )
                    np.add.at(arriving, quantized.target(projection), arrived)
            if not format_.accumulator.allows(arriving):
                raise InvalidModel(
                    f"population {population.name!r}: a sum left its "
                    f"{format_.accumulator.bits}-bit accumulator"
                )
            exponent = model.projections[network.projections[0].name].exponent
            sent[population.name][t, sample] = advance(
                neuron, constants, state, arriving[None] << exponent
            )[0]
            for letter in letters(neuron):
                states[f"{letter}.{population.name}"][t, sample] = getattr(state, letter)
            now = {name: array[t, sample] > 0 for name, array in sent.items()}
            if enabled[sample]:
                for projection in network.projections:
                    if quantized.projections[projection.name].learns:
                        change(projection, traces, s >> quantized.guard, now)
            for name, spiked in now.items():
                traces[name] = quantized.trace_decay.apply(
                    traces[name] + quantized.trace_increment * spiked
                )
                recorded[name][t, sample] = traces[name]
            surplus = int(now[population.name].sum()) - int(now[network.input.name].sum())
            s += (quantized.gain * surplus + quantized.bias - s) >> quantized.leak
            astrocyte[t, sample] = s
            if every and (sample * steps + t + 1) % every == 0:
                for name, w in weights.items():
                    snapshots[name].append(w.copy())
    return PlasticTrace(
        Trace(sent, states, beyond_proof=beyond),
        recorded,
        astrocyte,
        weights,
        {
            name: np.array(kept, np.int64).reshape(-1, len(weights[name]))
            for name, kept in snapshots.items()
        },
    )
