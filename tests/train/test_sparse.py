"""Sparse projections in PyTorch: the products and gradients of the dense matrix, without ever holding it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurohw import Lif, Network, Population, Projection, Source, TrainedNetwork, first_mismatch, quantize, run_golden
from neurohw.connections import Sparse
from neurohw.golden.native import run_native
from neurohw.train import SpikingModule, sparse
from neurohw.train.sparse import SynapseTable, sparse_product
from tests.train.test_agreement import assert_agrees


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9), st.integers(1, 30), st.sampled_from([(), (3,), (4, 2)]))  # fmt: skip
def test_as_the_dense_matrix(seed: int, targets: int, sources: int, count: int, rows: tuple[int, ...]) -> None:
    """Synapses in any order, neurons without any, and several between the same pair, whose weights add."""
    generator = torch.Generator().manual_seed(seed)
    target, source = (torch.randint(n, (count,), generator=generator) for n in (targets, sources))
    weight = torch.randn(count, generator=generator, dtype=torch.float64, requires_grad=True)
    spikes = torch.randn(*rows, sources, generator=generator, dtype=torch.float64, requires_grad=True)
    table = SynapseTable(target, source, (targets, sources))
    dense = torch.zeros(targets, sources, dtype=torch.float64).index_put((target, source), weight, accumulate=True)
    results = [sparse_product(spikes, weight[table.order], table), spikes @ dense.T]
    with pytest.MonkeyPatch.context() as patch:  # without a compiler, in pieces of few values
        patch.setattr(sparse, "_library", lambda: None)
        patch.setattr(sparse, "GATHERED", 20)
        results.append(sparse_product(spikes, weight[table.order], table))
        given_gradient = torch.randn(results[0].shape, generator=generator, dtype=torch.float64)
        gradients = [torch.autograd.grad(r, (spikes, weight), given_gradient) for r in results[1:]]
    gradients.append(torch.autograd.grad(results[0], (spikes, weight), given_gradient))
    torch.testing.assert_close(results[0], results[1])
    torch.testing.assert_close(results[2], results[1])
    for expected, *others in zip(*gradients, strict=True):
        for actual in others:
            torch.testing.assert_close(actual, expected)


def liquid(neurons: int, synapses: int) -> TrainedNetwork:
    """A recurrent population with random synapses, weights in eighths."""
    rng = np.random.default_rng(3)
    populations = (Population("input", 50, Source()), Population("liquid", neurons, Lif(0.875, refractory=2, integrates_refractory=True)))  # fmt: skip
    counts = {"input": neurons * 5, "liquid": synapses}
    network = Network(populations, tuple(Projection(n, "liquid", int(n == "liquid"), connection=Sparse(c)) for n, c in counts.items()))  # fmt: skip
    parameters = {"liquid.bias": np.zeros(neurons), "liquid.threshold": np.full(neurons, 2.0)}
    for name, count in counts.items():
        size = network.population(name).size
        pairs = rng.choice(size * neurons, count, replace=False)
        ends = {"source": pairs % size, "target": pairs // size, "weight": rng.integers(-7, 8, count) / 8}
        parameters |= {f"{name}_to_liquid.{k}": v.astype(float) for k, v in ends.items()}
    return TrainedNetwork(network, parameters, 12)


def test_a_thousand_recurrent_neurons_are_one_network_in_every_engine() -> None:
    trained = liquid(1000, 137_000)
    spikes = (np.random.default_rng(4).random((12, 2, 50)) < 0.3).astype(np.uint8)
    trace = assert_agrees(trained, spikes)
    assert 0.02 < trace.spikes["liquid"].mean() < 0.5
    model = quantize(trained, 4)
    assert first_mismatch(run_golden(model, spikes), run_native(model, spikes)) is None


def test_eight_thousand_neurons_learn_without_a_dense_matrix() -> None:
    """A matrix of 8,000 x 8,000 would take 256 MB; the largest tensor of a training step holds the synapses."""
    trained = liquid(8000, 1_200_000)
    module = SpikingModule.from_trained(trained, dtype=torch.float32)
    module.train()
    spikes = (torch.rand(2, 1, 50, generator=torch.Generator().manual_seed(1)) < 0.3).float()
    with torch.profiler.profile(profile_memory=True) as profile:
        module(spikes)["v.liquid"].square().sum().backward()
    assert module.get_parameter("liquid_to_liquid__weight").grad.abs().sum() > 0  # type: ignore[union-attr]
    largest = max(event.cpu_memory_usage for event in profile.events())
    assert 4_800_000 <= largest < 64_000_000
