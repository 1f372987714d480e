# SPDX-License-Identifier: Apache-2.0
"""The float64 specification of plasticity:

`neurohw.plasticity.rule`, executed in NumPy for one sample.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.network import Projection, TrainedNetwork
from neurohw.plasticity.rule import Plasticity
from neurohw.reference import float_arithmetic
from neurohw.step import State, advance
from neurohw.stimulus import stimulus_of
from neurohw.trace import Trace

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class PlasticRun:
    """trace: spikes, and v, c, r of the population [time, 1, neuron]. depression: A[t], [time].

    At the end of the sample: weights of every projection [synapse], traces of every population
    [neuron].
    """

    trace: Trace
    weights: dict[str, FloatArray]
    traces: dict[str, FloatArray]
    depression: FloatArray


def run_plastic_reference(
    trained: TrainedNetwork, plasticity: Plasticity, spikes: NDArray[Any]
) -> PlasticRun:
    """Simulate one sample, spikes [time, input neuron], with weights that change.

    The current of a projection is summed in the order of its sources.

    Raises InvalidModel where the rule or a weight does not fit the network, InvalidData for a
    stimulus of the wrong shape.
    """
    network, population = trained.network, trained.network.output
    plasticity.check(network)
    plasticity.check_weights(trained)
    given = stimulus_of(trained, spikes[:, None]).counts[:, 0]
    neuron: Any = population.neuron
    steps = len(given)
    sent = {
        network.input.name: given,
        population.name: np.zeros((steps, population.size), np.uint8),
    }
    ends = {
        p.name: tuple(
            trained.parameters[f"{p.name}.{end}"].astype(np.int64) for end in ("source", "target")
        )
        for p in network.projections
    }
    # as events arrive
    order = {name: np.argsort(source, kind="stable") for name, (source, _) in ends.items()}
    weights = {p.name: trained.parameters[f"{p.name}.weight"].copy() for p in network.projections}
    state, constants = (
        State.rest(1, population.size, np.float64),
        float_arithmetic(trained, population),
    )
    states = {
        f"{letter}.{population.name}": np.zeros((steps, 1, population.size)) for letter in "vcr"
    }
    rule, astrocyte = plasticity.stdp, plasticity.astrocyte
    traces = {name: np.zeros(array.shape[1]) for name, array in sent.items()}
    potentiation, depression = rule.potentiation, rule.depression
    gain, bias = (astrocyte.gain, astrocyte.bias) if astrocyte else (0.0, 0.0)
    course = np.zeros(steps)

    def change(projection: Projection, t: int) -> None:
        source, target = ends[projection.name]
        before, after = (
            sent[projection.source][t][source] > 0,
            sent[projection.target][t][target] > 0,
        )
        inhibitory = plasticity.source_is_inhibitory(network, projection)[source]
        low, high = (bound[source] for bound in plasticity.bounds(network, projection))
        w = weights[projection.name]
        early, late = traces[projection.source][source], traces[projection.target][target]
        step = np.where(inhibitory, potentiation * late, -(depression * late))
        w = np.where(before, np.clip(w + step, low, high), w)
        step = np.where(inhibitory, -(depression * early), potentiation * early)
        weights[projection.name] = np.where(after, np.clip(w + step, low, high), w)

    for t in range(steps):
        current = np.zeros(population.size)
        for projection in network.projections:
            if t >= projection.delay:
                source, target = (end[order[projection.name]] for end in ends[projection.name])
                arrived = (
                    weights[projection.name][order[projection.name]]
                    * sent[projection.source][t - projection.delay][source]
                )
                current += np.bincount(target, arrived, population.size)
        sent[population.name][t] = advance(neuron, constants, state, current[None])[0]
        for letter in "vcr":
            states[f"{letter}.{population.name}"][t] = getattr(state, letter)
        for projection in network.projections:
            if plasticity.plastic(projection):
                change(projection, t)
        for name, spiked in sent.items():
            traces[name] = rule.trace_decay * (
                traces[name] + rule.trace_increment * (spiked[t] > 0)
            )
        if astrocyte is not None:
            surplus = int((sent[population.name][t] > 0).sum()) - int(
                (sent[network.input.name][t] > 0).sum()
            )
            depression = depression + (gain * surplus + bias - depression) / astrocyte.time_constant
        course[t] = depression
        if plasticity.fading != 1.0:
            potentiation, depression, gain, bias = (
                value * plasticity.fading for value in (potentiation, depression, gain, bias)
            )
    trace = Trace({name: array[:, None] for name, array in sent.items()}, states)
    return PlasticRun(trace, weights, traces, course)
