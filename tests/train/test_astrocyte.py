# SPDX-License-Identifier: Apache-2.0
"""Modulated networks in PyTorch: the reference's numbers, and gradients that reach an astrocyte's
weights, bias and offset.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurohw import (
    Astrocyte,
    Integrator,
    Lif,
    Modulation,
    Network,
    Population,
    Projection,
    Source,
    quantize,
)
from neurohw.errors import InvalidModel
from neurohw.train import SpikingModule
from neurohw.train.module import groups
from tests.random_networks import random_graph, random_stimulus, random_trained
from tests.train.test_agreement import assert_agrees

ASTROCYTE = ("input_to_astrocyte__weight", "astrocyte__bias", "astrocyte__offset")


def network(effect: str, cells: Lif | Integrator, *more: Projection) -> Network:
    """input -> cells -> output, and an astrocyte of two domains over the input that acts on the
    cells.
    """
    populations = (
        Population("input", 5, Source()),
        Population("astrocyte", 2, Astrocyte(0.9)),
        Population("cells", 6, cells),
    )
    projections = (Projection("input", "cells"), Projection("input", "astrocyte"))
    return Network(populations, (*projections, *more),
        modulations=(Modulation("astrocyte", "cells", effect, 2.0 if effect == "gain" else 1.0),
            ))  # type: ignore[arg-type]  # fmt: skip


LOOP = Projection("cells", "astrocyte", 2, trainable=False)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_random_modulated_graphs_agree(seed: int) -> None:
    rng = np.random.default_rng(seed)
    features = frozenset({"astrocyte", "integrates_refractory", "recurrence", "skip", "sparse",
        "membrane_bias", "adaptation", "delayed_reset"})  # fmt: skip
    trained = random_trained(rng, random_graph(rng, features), 10, dyadic=True)
    assert_agrees(trained, random_stimulus(rng, trained.network, 10, 3, 2))


def test_gradients_of_a_gain_are_those_of_finite_differences() -> None:
    """The membranes of integrators are smooth in everything:

    PyTorch's derivative is the difference quotient.
    """
    plan = network("gain", Integrator(0.8))
    module = SpikingModule(plan, dtype=torch.float64, seed=3)
    spikes = torch.from_numpy(random_stimulus(np.random.default_rng(2), plan, 8, 3)).double()

    def loss() -> torch.Tensor:
        return module(spikes)["v.cells"].square().sum()

    loss().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None
        for place in ([0] * parameter.ndim, [-1] * parameter.ndim):
            values = []
            for step in (1e-6, -1e-6):
                with torch.no_grad():
                    parameter[tuple(place)] += step
                    values.append(float(loss()))
                    parameter[tuple(place)] -= step
            expected = (values[0] - values[1]) / 2e-6
            assert float(parameter.grad[tuple(place)]) == pytest.approx(
                expected, rel=1e-5, abs=1e-5
            ), name
    assert all(module.get_parameter(n).grad.abs().min() > 0 for n in ASTROCYTE)


@pytest.mark.parametrize("effect", ["gain", "threshold"])
@pytest.mark.parametrize(
    "neuron", [Lif(0.8), Lif(0.8, refractory=2, integrates_refractory=True, membrane_bias=True)]
)
def test_a_loop_through_an_astrocyte_steps_to_the_same_gradients(effect: str, neuron: Lif) -> None:
    """A projection back to the astrocyte with weights of 0 makes a loop and changes nothing; both
    ways and the fused scan agree.
    """
    results, gradients = [], []
    for plan, states in (
        (network(effect, neuron), True),
        (network(effect, neuron), False),
        (network(effect, neuron, LOOP), True),
    ):
        module = SpikingModule(plan, dtype=torch.float64, seed=3)
        with torch.no_grad():
            for name, value in (("astrocyte__offset", 0.3), ("cells__bias", 0.2)):
                module.get_parameter(name).fill_(value)
            if LOOP in plan.projections:
                module.array(f"{LOOP.name}.weight").zero_()
        spikes = torch.from_numpy(random_stimulus(np.random.default_rng(2), plan, 12, 4)).double()
        result = module(spikes, states=states)
        (result["v.cells"].square().sum() + result["spikes.cells"].sum()).backward()
        results.append(result)
        gradients.append({n: p.grad for n, p in module.named_parameters()})
    assert [len(g) for g in groups(network(effect, neuron, LOOP))] == [2]
    assert results[0]["spikes.cells"].sum() > 10
    for other, gradient in zip(results[1:], gradients[1:], strict=True):
        assert all(torch.allclose(results[0][k], v, rtol=0, atol=1e-12) for k, v in other.items())
        assert all(
            torch.allclose(gradients[0][n], g, rtol=1e-9, atol=1e-12) for n, g in gradient.items()
        )
    assert all(gradients[0][n].abs().max() > 0 for n in ASTROCYTE)


def test_an_astrocyte_learns_from_the_spikes_of_its_own_cells() -> None:
    """In a loop through trainable weights every parameter of the astrocyte gets a gradient."""
    plan = network("threshold", Lif(0.8), replace(LOOP, trainable=True))
    module = SpikingModule(plan, seed=1)
    with torch.no_grad():
        module.get_parameter("astrocyte__offset").fill_(2.0)
    spikes = torch.from_numpy(random_stimulus(np.random.default_rng(2), plan, 12, 4)).float()
    module(spikes)["v.cells"].square().sum().backward()
    for name in (*ASTROCYTE, "cells_to_astrocyte__weight"):
        assert module.get_parameter(name).grad.abs().max() > 0, name  # type: ignore[union-attr]


def test_steps_of_a_gain_are_learned_and_those_of_a_threshold_are_refused() -> None:
    plan = network("gain", Lif(0.5))
    module = SpikingModule(plan, weight_bits=4, dtype=torch.float64)
    assert module.array("input_to_astrocyte.step").shape == (1,)
    trained = module.to_trained(8)
    model = quantize(trained, 4)
    for projection in plan.projections:
        step = trained.parameters[f"{projection.name}.step"]
        back = model.projections[projection.name].weight * step[:, None]
        assert np.array_equal(back, trained.parameters[f"{projection.name}.weight"])
    with pytest.raises(InvalidModel, match="'astrocyte_threshold_cells'.*not learned"):
        SpikingModule(network("threshold", Lif(0.5)), weight_bits=4)
