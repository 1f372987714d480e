# SPDX-License-Identifier: Apache-2.0
"""Sparse projections, golden against RTL: every spike and every state at every step, and the clocks
that an event costs.
"""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from neurohw import (
    Integrator,
    Lif,
    Network,
    Population,
    Projection,
    Source,
    TrainedNetwork,
    first_mismatch,
    quantize,
    run_golden,
)
from neurohw.connections import Connection, Dense, Sparse
from neurohw.engines import rtl
from neurohw.fixedpoint import IntFormat
from neurohw.hardware.generate import emit
from neurohw.hardware.verify.harness import build_harness, run_harness
from neurohw.hardware.verify.operations import fan_out
from neurohw.integers import QuantizedNetwork
from tests.random_networks import random_neuron, random_stimulus, random_trained

pytestmark = pytest.mark.rtl


def random_liquid(rng: np.random.Generator, delays: bool) -> TrainedNetwork:
    """Two populations with sparse projections from the input, each other and themselves, and a
    dense or sparse readout.
    """
    inputs, first, second = (int(n) for n in rng.integers(1, 40, 3))
    sizes = {"input": inputs, "a": first, "b": second, "out": 3}

    def join(
        source: str, target: str, delay: int, connection: Connection | None = None
    ) -> Projection:
        pairs = sizes[source] * sizes[target]
        connection = connection or Sparse(int(rng.integers(1, 1 + min(pairs, 4 * sizes[target]))))
        most = delay + int(rng.integers(6)) if delays and rng.random() < 0.5 else None
        return Projection(source, target, delay, connection=connection, max_delay=most)

    projections = [
        join("input", "a", int(rng.integers(2))),
        join("a", "b", 0),
        join("b", "a", 1),
        join("a", "a", 1),
    ]
    if rng.random() < 0.5:
        projections.append(join("input", "b", 0, Dense() if rng.random() < 0.5 else None))
    projections.append(join("b", "out", 0, Dense() if rng.random() < 0.5 else None))
    neurons = (Source(), random_neuron(rng), random_neuron(rng), Integrator(0.75))
    populations = tuple(
        Population(n, s, neuron) for (n, s), neuron in zip(sizes.items(), neurons, strict=True)
    )
    return random_trained(rng, Network(populations, tuple(projections)))


def assert_equal(
    model: QuantizedNetwork, stimulus: np.ndarray, lanes: int, **conditions: float
) -> None:
    golden = run_golden(model, stimulus)
    mismatch = first_mismatch(golden, rtl.run(model, stimulus, lanes, optimize=False, **conditions))
    assert mismatch is None, str(mismatch)


def check_random_liquid(seed: int) -> None:
    rng = np.random.default_rng(seed)
    model = quantize(random_liquid(rng, delays=seed % 2 == 1), int(rng.integers(2, 9)), max_count=2)
    stimulus = random_stimulus(rng, model.network, 7, 12, max_count=2)
    assert_equal(
        model,
        stimulus,
        int(rng.integers(1, 10)),
        idle=0.4 * (seed % 3 == 0),
        backpressure=0.5 * (seed % 4 > 1),
    )


@pytest.mark.parametrize("seed", range(3))
def test_random_sparse_graphs(seed: int) -> None:
    check_random_liquid(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 112))
def test_more_random_sparse_graphs(seed: int) -> None:
    check_random_liquid(seed)


def hub(neurons: int, rng: np.random.Generator) -> TrainedNetwork:
    """Source 0 reaches nobody, source 1 everybody, source 2 one neuron, the rest five each; a
    sparse recurrence.

    Synapses of one pair come several times.
    """
    ends = [(1, n) for n in range(neurons)] + [(2, neurons - 1)]
    ends += [(s, int(t)) for s in range(3, 20) for t in rng.choice(neurons, 5)]
    network = Network(
        (Population("input", 20, Source()), Population("a", neurons, Lif(0.75, reset="hard"))),
        (
            Projection("input", "a", connection=Sparse(len(ends))),
            Projection("a", "a", 1, connection=Sparse(3 * neurons)),
        ),
    )
    trained = random_trained(rng, network)
    source, target = np.array(ends).T
    return dataclasses.replace(
        trained,
        parameters={**trained.parameters, "input_to_a.source": source, "input_to_a.target": target},
    )


def test_fan_out_of_nobody_and_everybody_at_the_ends_of_the_weights() -> None:
    rng = np.random.default_rng(5)
    model = quantize(hub(37, rng), 4, max_count=3, resolution_bits=0)
    ends = {
        name: dataclasses.replace(
            p, weight=rng.choice([IntFormat(4).min, IntFormat(4).max], p.weight.shape)
        )
        for name, p in model.projections.items()
    }
    wide = dataclasses.replace(
        model.populations["a"],
        accumulator=IntFormat(11),
        current=IntFormat(16),
        membrane=IntFormat(10),
        capped=True,
    )
    model = dataclasses.replace(model, projections=ends, populations={"a": wide})
    stimulus = random_stimulus(rng, model.network, 7, 12, max_count=3)
    membranes = run_golden(model, stimulus).states["v.a"]
    assert membranes.min() == IntFormat(10).min  # it saturates, after the whole sum
    assert_equal(model, stimulus, 4)


def test_an_event_costs_its_fan_out_over_the_lanes(tmp_path: Path) -> None:
    """While events wait, ceil(F / LANES) clocks an event, and a few where a step begins: groups of
    lanes would cost twice as much.
    """
    rng, lanes = np.random.default_rng(6), 4
    full = hub(64, rng)
    network = dataclasses.replace(full.network, projections=full.network.projections[:1])
    kept = {name: array for name, array in full.parameters.items() if not name.startswith("a_to_a")}
    model = quantize(TrainedNetwork(network, kept, 10), 4)
    stimulus = (rng.random((10, 4, 20)) < 0.8).astype(np.uint8)
    emit(model, lanes).write(tmp_path / "rtl")
    program = build_harness(tmp_path / "rtl", tmp_path / "sim", optimize=False)
    result = run_harness(program, tmp_path / "rtl", stimulus)
    assert np.array_equal(result.spikes["a"], run_golden(model, stimulus).spikes["a"])
    events = stimulus.sum(axis=(0, 1), dtype=np.int64)
    floor = int(events @ -(-fan_out(model, network.projections[0]) // lanes))
    assert result.events[0] == events.sum()
    assert floor <= result.waiting[0] <= floor + 6 * stimulus.shape[0] * stimulus.shape[1]
