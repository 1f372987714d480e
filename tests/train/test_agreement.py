# SPDX-License-Identifier: Apache-2.0
"""SpikingModule in float64 equals the NumPy reference: identical rasters, membranes within 1e-9."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurohw import (
    Integrator,
    Lif,
    Network,
    Population,
    Projection,
    Source,
    Trace,
    TrainedNetwork,
    feed_forward,
    first_mismatch,
    run_reference,
)
from neurohw.errors import InvalidData, InvalidModel
from neurohw.stimulus import Spikes
from neurohw.train import SpikingModule
from neurohw.train.module import groups
from tests.random_networks import random_graph, random_network, random_stimulus, random_trained


def run_module(module: SpikingModule, spikes: np.ndarray) -> Trace:
    with torch.no_grad():
        result = {k: t.numpy() for k, t in module(torch.from_numpy(spikes)).items()}
    return Trace(
        {
            k.removeprefix("spikes."): a.astype(np.uint8)
            for k, a in result.items()
            if k.startswith("spikes.")
        },
        {k: a for k, a in result.items() if not k.startswith("spikes.")},
    )


def assert_agrees(trained: TrainedNetwork, spikes: np.ndarray) -> Trace:
    expected = run_reference(trained, Spikes(spikes))
    actual = run_module(SpikingModule.from_trained(trained), spikes)
    assert set(actual.arrays()) == set(expected.arrays())
    assert first_mismatch(expected, actual, 1e-9) is None
    return expected


def branching_network(rng: np.random.Generator) -> Network:
    """Two hidden populations that feed each other and themselves with delays, and a shortcut from
    the input.
    """
    lif = Lif(
        float(rng.choice([0.5, 0.75])), reset="hard", v_reset=-0.25, synapse_decay=0.5, refractory=1
    )
    return Network(
        (
            Population("input", 5, Source()),
            Population("first", 6, lif),
            Population("second", 4, Lif(0.5)),
            Population("output", 3, Integrator(0.5)),
        ),
        (
            Projection("input", "first"),
            Projection("first", "second", int(rng.integers(0, 3))),
            Projection("second", "first", int(rng.integers(1, 3))),
            Projection("first", "first", int(rng.integers(1, 12))),
            Projection("input", "second", int(rng.integers(0, 12))),
            Projection("second", "output", int(rng.integers(0, 3))),
            Projection("first", "output"),
        ),
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_random_networks_agree(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    steps = int(rng.integers(1, 10))
    assert_agrees(
        random_trained(rng, network, steps, dyadic=True), random_stimulus(rng, network, steps, 3, 2)
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_delayed_and_recurrent_networks_agree(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = branching_network(rng)
    assert_agrees(random_trained(rng, network, 8, dyadic=True), random_stimulus(rng, network, 8, 3))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_random_graphs_agree(seed: int) -> None:
    rng = np.random.default_rng(seed)
    trained = random_trained(rng, random_graph(rng), 9, dyadic=True, each_neuron=True)
    assert_agrees(trained, random_stimulus(rng, trained.network, 9, 3, 2))


def test_the_comparison_sees_spikes_and_every_kind_of_neuron() -> None:
    rng = np.random.default_rng(6)
    network = branching_network(rng)
    trace = assert_agrees(
        random_trained(rng, network, 8, dyadic=True), random_stimulus(rng, network, 8, 20)
    )
    assert all(trace.spikes[name].any() for name in ("first", "second"))
    assert trace.states["r.first"].any() and not trace.spikes["output"].any()


def test_batch_normalisation_is_folded_as_in_the_reference() -> None:
    rng = np.random.default_rng(5)
    network = Network(
        (
            Population("input", 9, Source()),
            Population("hidden", 7, Lif(0.5)),
            Population("output", 3, Integrator()),
        ),
        (
            Projection("input", "hidden", 2, batch_norm=True),
            Projection("hidden", "output", 0, batch_norm=True),
        ),
    )
    drawn = random_trained(rng, network, 6)
    # large enough for spikes, of both signs
    gamma = {"input_to_hidden.gamma": rng.uniform(-2.0, 2.0, 7)}
    trained = TrainedNetwork(network, drawn.parameters | gamma, 6)
    trace = assert_agrees(trained, random_stimulus(rng, network, 6, 8))
    assert trace.spikes["hidden"].any()


def test_trained_batch_normalisation_centres_the_current_of_every_step() -> None:
    rng = np.random.default_rng(6)
    network = Network(
        (Population("input", 9, Source()), Population("output", 4, Integrator(0.0))),
        (Projection("input", "output", 2, batch_norm=True),),
    )
    module = SpikingModule(network, dtype=torch.float64)
    c = module(torch.from_numpy(random_stimulus(rng, network, 6, 50)))["c.output"].detach()
    torch.testing.assert_close(
        c.mean((0, 1)), torch.zeros(4, dtype=torch.float64), atol=1e-9, rtol=0
    )
    torch.testing.assert_close(
        c.var((0, 1), unbiased=False), torch.ones(4, dtype=torch.float64), atol=1e-3, rtol=0
    )


def test_recurrent_batch_normalisation_cannot_be_trained() -> None:
    network = Network(
        (Population("input", 2, Source()), Population("output", 2, Lif())),
        (Projection("input", "output"), Projection("output", "output", 1, batch_norm=True)),
    )
    module = SpikingModule(network)
    with pytest.raises(InvalidModel, match="output_to_output"):
        module(torch.zeros(3, 1, 2))
    module.eval()
    assert module(torch.zeros(3, 1, 2))["spikes.output"].shape == (3, 1, 2)


def test_groups_follow_the_flow_of_spikes() -> None:
    network = branching_network(np.random.default_rng(0))
    assert [[p.name for p in group] for group in groups(network)] == [
        ["first", "second"],
        ["output"],
    ]
    assert [len(g) for g in groups(feed_forward([3, 4, 5, 2]))] == [1, 1, 1]


def test_parameters_survive_the_module() -> None:
    trained = random_trained(np.random.default_rng(7), branching_network(np.random.default_rng(7)))
    back = SpikingModule.from_trained(trained).to_trained(trained.steps)
    assert set(back.parameters) == set(trained.parameters)
    assert all(np.array_equal(back.parameters[n], a) for n, a in trained.parameters.items())


def test_a_module_refuses_another_network_and_a_wrong_stimulus() -> None:
    trained = random_trained(np.random.default_rng(8), feed_forward([3, 2]))
    with pytest.raises(InvalidModel, match="two different networks"):
        SpikingModule(feed_forward([4, 2])).load_trained(trained)
    for shape in ((2, 1, 4), (2, 3), (0, 1, 3)):
        with pytest.raises(InvalidData, match="stimulus"):
            SpikingModule(trained.network)(torch.zeros(shape))


def test_thresholds_are_fixed_and_initial_weights_come_from_the_seed() -> None:
    network = feed_forward([6, 5, 2])
    modules = [SpikingModule(network, seed=s) for s in (1, 1, 2)]
    assert not any("threshold" in name for name, _ in modules[0].named_parameters())
    weights = [m.array("input_to_hidden1.weight") for m in modules]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
