"""Sparse products against dense ones, and the size of everything that a step with them keeps."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from neurohw import Integrator, Lif, Network, Population, Projection, Source
from neurohw.connections import Sparse
from neurohw.train import SpikingModule
from neurohw.train.sparse import layout, sparse_product


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
        return spikes @ torch.zeros(targets, sources).double().index_put((target, source), weight, accumulate=True).T

    results = []
    for current in (dense(), sparse_product(spikes, weight, layout(target, source, (targets, sources)))):
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
        (Population("input", size, Source()), Population("hidden", size, Lif()), Population("output", 2, Integrator())),
        (
            Projection("input", "hidden", connection=Sparse(synapses), max_delay=longest),
            Projection("hidden", "hidden", 1, connection=Sparse(synapses), max_delay=longest),
            Projection("hidden", "output"),
        ),
    )
    module = SpikingModule(network)
    optimizer = torch.optim.AdamW(module.parameters())
    spikes = (torch.rand(steps, samples, size, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    with Largest() as seen:
        loss = module(spikes, states=False)["v.output"][-1].square().sum()
        loss.backward()
        optimizer.step()
    assert seen.elements < size * size // 5  # currents of all steps, by delay, are the largest
    for name in ("input_to_hidden", "hidden_to_hidden"):
        gradient = module.array(f"{name}.weight").grad
        assert gradient is not None and gradient.shape == (synapses,) and gradient.abs().max() > 0
