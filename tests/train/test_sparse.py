# SPDX-License-Identifier: Apache-2.0
"""Sparse products against dense ones, and the size of everything that a step with them keeps."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

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
from neurohw.connections import Sparse
from neurohw.golden.native import run_native
from neurohw.train import SpikingModule
from neurohw.train.sparse import layout, sparse_product
from tests.train.test_agreement import assert_agrees


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_products_and_both_gradients_equal_the_dense_ones(seed: int) -> None:
    """Synapses in any order, some pairs twice, neurons without any."""
    rng = np.random.default_rng(seed)
    targets, sources, synapses = (int(n) for n in rng.integers(1, 12, 3))
    target, source = (torch.from_numpy(rng.integers(n, size=synapses)) for n in (targets, sources))
    shape = (int(rng.integers(1, 4)), int(rng.integers(1, 5)), sources)
    weight = torch.from_numpy(rng.normal(size=synapses)).requires_grad_()
    spikes = torch.from_numpy(rng.normal(size=shape)).requires_grad_()
    given_ = torch.from_numpy(rng.normal(size=(*shape[:2], targets)))

    def dense() -> torch.Tensor:
        return (
            spikes
            @ torch.zeros(targets, sources)
            .double()
            .index_put((target, source), weight, accumulate=True)
            .T
        )

    results = []
    for current in (
        dense(),
        sparse_product(spikes, weight, layout(target, source, (targets, sources))),
    ):
        gradient = torch.autograd.grad(current, (weight, spikes), given_)
        results.append((current.detach(), *gradient))
    torch.testing.assert_close(results[1], results[0])


class Largest(TorchDispatchMode):
    """The most elements of any tensor that an operator makes."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, torch.Tensor):
                stored = tensor.values() if tensor.layout != torch.strided else tensor
                self.elements = max(self.elements, stored.numel())
        return result


@pytest.mark.parametrize("longest", [None, 4])
def test_no_step_of_training_makes_a_dense_matrix(longest: int | None) -> None:
    size, synapses, samples, steps = 400, 3000, 2, 5
    network = Network(
        (
            Population("input", size, Source()),
            Population("hidden", size, Lif()),
            Population("output", 2, Integrator()),
        ),
        (
            Projection("input", "hidden", connection=Sparse(synapses), max_delay=longest),
            Projection("hidden", "hidden", 1, connection=Sparse(synapses), max_delay=longest),
            Projection("hidden", "output"),
        ),
    )
    module = SpikingModule(network)
    optimizer = torch.optim.AdamW(module.parameters())
    spikes = (
        torch.rand(steps, samples, size, generator=torch.Generator().manual_seed(0)) < 0.3
    ).float()
    with Largest() as seen:
        loss = module(spikes, states=False)["v.output"][-1].square().sum()
        loss.backward()
        optimizer.step()
    assert seen.elements < size * size // 5  # currents of all steps, by delay, are the largest
    for name in ("input_to_hidden", "hidden_to_hidden"):
        gradient = module.array(f"{name}.weight").grad
        assert gradient is not None and gradient.shape == (synapses,) and gradient.abs().max() > 0


def liquid(neurons: int, synapses: int) -> TrainedNetwork:
    """A recurrent population with random synapses, weights in eighths."""
    rng = np.random.default_rng(3)
    populations = (
        Population("input", 50, Source()),
        Population("liquid", neurons, Lif(0.875, refractory=2, integrates_refractory=True)),
    )
    counts = {"input": neurons * 5, "liquid": synapses}
    network = Network(populations, tuple(Projection(n, "liquid", int(n == "liquid"),
        connection=Sparse(c)) for n, c in counts.items()))  # fmt: skip
    parameters = {"liquid.bias": np.zeros(neurons), "liquid.threshold": np.full(neurons, 2.0)}
    for name, count in counts.items():
        size = network.population(name).size
        pairs = rng.choice(size * neurons, count, replace=False)
        ends = {
            "source": pairs % size,
            "target": pairs // size,
            "weight": rng.integers(-7, 8, count) / 8,
        }
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
    """A matrix of 8,000 x 8,000 would take 256 MB; the largest tensor of a training step holds the
    synapses.
    """
    trained = liquid(8000, 1_200_000)
    module = SpikingModule.from_trained(trained, dtype=torch.float32)
    module.train()
    spikes = (torch.rand(2, 1, 50, generator=torch.Generator().manual_seed(1)) < 0.3).float()
    with torch.profiler.profile(profile_memory=True) as profile:
        module(spikes)["v.liquid"].square().sum().backward()
    assert module.get_parameter("liquid_to_liquid__weight").grad.abs().sum() > 0
    largest = max(event.cpu_memory_usage for event in profile.events())
    assert 4_800_000 <= largest < 64_000_000
