# SPDX-License-Identifier: Apache-2.0
"""The float64 reference: the step of `neurohw.neurons`, executed in NumPy."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.checks import exactly
from neurohw.connections import MATRICES, Matrix, apply_matrix
from neurohw.modulation import MODULATION, Modulation, spread
from neurohw.network import GRAPH, Network, Population, Projection, TrainedNetwork
from neurohw.neurons import Astrocyte, Lif, Source
from neurohw.step import STEP, Arithmetic, State, advance, letters
from neurohw.stimulus import Spikes, stimulus_of
from neurohw.support import Implements
from neurohw.trace import Trace

IMPLEMENTS = Implements("the simulation in NumPy", STEP | GRAPH | MATRICES | MODULATION)


def simulate(
    network: Network,
    given: Spikes,
    arithmetic: Callable[[Population], Arithmetic],
    arriving: Callable[[Projection, Matrix, NDArray[np.uint8]], NDArray[Any]],
    matrices: Callable[[Projection], list[tuple[int, Matrix]]],
    modulated: Callable[[Modulation, NDArray[Any]], NDArray[Any]],
    dtype: Any,
    states: bool,
) -> Trace:
    """Run every population in `update_order`, step by step, on spikes that are known to fit the
    network.

    arithmetic: of a population.
    arriving: the current that a projection's matrix makes of spikes [sample, source].
    matrices: of a projection, by delay.
    modulated: gains or rises of the threshold that a modulation makes of levels [sample, domain].
    Raises Unsupported, naming the node, for what `IMPLEMENTS` does not name.
    """
    IMPLEMENTS.check(network)
    steps, samples = given.steps, given.samples
    order = network.update_order()
    sent: dict[str, NDArray[np.uint8]] = {network.input.name: given.counts}
    trace: dict[str, NDArray[Any]] = {}
    saturations: dict[str, int] = {}
    incoming = {
        p.name: [(q, *entry) for q in network.into(p.name) for entry in matrices(q)] for p in order
    }
    state = {p.name: State.rest(samples, p.size, dtype) for p in order}
    constants = {p.name: arithmetic(p) for p in order}
    for population in order:
        shape = (steps, samples, population.size)
        sent[population.name] = np.zeros(shape, np.uint8)
        assert not isinstance(population.neuron, Source)
        if states:
            trace |= {
                f"{letter}.{population.name}": np.zeros(shape, dtype)
                for letter in letters(population.neuron)
            }
    for t in range(steps):
        # an astrocyte acts from the next step on, wherever it stands in the order
        acting: dict[str, dict[str, NDArray[Any]]] = {p.name: {} for p in order}
        for modulation in network.modulations:
            levels = state[modulation.source].v + constants[modulation.source].offset
            neurons = network.population(modulation.target).size
            acting[modulation.target][modulation.effect] = spread(
                modulated(modulation, levels), neurons
            )
        for population in order:
            name, neuron = population.name, population.neuron
            assert not isinstance(neuron, Source)
            current = np.zeros((samples, population.size), dtype)
            for projection, delay, matrix in incoming[name]:
                if t >= delay:
                    current = current + arriving(
                        projection, matrix, sent[projection.source][t - delay]
                    )
            act = acting[name]
            sent[name][t] = advance(
                neuron, constants[name], state[name], current, act.get("gain"), act.get("threshold")
            )
            saturated = state[name].saturated
            if saturated is not None:
                saturations[name] = saturations.get(name, 0) + int(saturated.sum())
            if states:
                for letter in letters(neuron):
                    trace[f"{letter}.{name}"][t] = getattr(state[name], letter)
    return Trace(sent, trace, saturations=saturations)


def float_arithmetic(trained: TrainedNetwork, population: Population) -> Arithmetic:
    """The constants of a population in float64; nothing saturates."""
    neuron = population.neuron

    def values(name: str) -> NDArray[np.float64]:
        return population.expand(trained.values(population, name))

    def decay(name: str) -> Callable[[NDArray[Any]], NDArray[Any]]:
        factor = values(name)
        return lambda value: factor * value

    lif = neuron if isinstance(neuron, Lif) else None
    assert not isinstance(neuron, Source)
    adaptive = lif is not None and lif.adaptation is not None
    zero = np.zeros(population.size)
    return Arithmetic(
        bias=values("bias"),
        threshold=values("threshold") if lif else zero,
        v_reset=values("v_reset") if lif and lif.reset == "hard" else zero,
        adaptation_strength=values("adaptation_strength") if adaptive else zero,
        decay_v=decay("decay"),
        decay_c=None if neuron.synapse_decay is None else decay("synapse_decay"),
        decay_a=decay("adaptation_decay") if adaptive else None,
        saturate_v=lambda value: value,
        saturate_c=lambda value: value,
        offset=values("offset") if isinstance(neuron, Astrocyte) else zero,
    )


def run_reference(
    trained: TrainedNetwork, spikes: Spikes | NDArray[Any], states: bool = True
) -> Trace:
    """Simulate in float64.

    spikes: counts [time, sample, input neuron]. Returns spikes and (if `states`) v, c, r and a of
        every population.
    Raises InvalidData for a stimulus of the wrong shape, or whose order of axes is not known
    (`neurohw.stimulus`), Unsupported for a node that the simulation does not know.
    """
    exactly("run_reference: trained", trained, TrainedNetwork)
    IMPLEMENTS.check(trained.network)
    given = stimulus_of(trained, spikes)
    model = trained.folded()
    return simulate(
        model.network,
        given,
        lambda population: float_arithmetic(model, population),
        lambda projection, matrix, sent: apply_matrix(matrix, sent.astype(np.float64)),
        model.matrices,
        lambda modulation, levels: modulation.values(levels),
        np.float64,
        states,
    )
