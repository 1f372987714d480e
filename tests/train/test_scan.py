# SPDX-License-Identifier: Apache-2.0
"""The scan in C++ against the scan of `functional.lif_step` in PyTorch: spikes and membranes to the
last bit, gradients to rounding.
"""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurohw.neurons import Adaptation, Integrator, Lif
from neurohw.train import SpikingModule, recipes, scan
from neurohw.train.functional import Constants
from neurohw.train.functional import scan as slow_scan
from neurohw.train.surrogate import SLOPES, surrogate

DECAYS = st.sampled_from([0.0, 0.25, 0.9, 1.0])
NEURONS = st.builds(
    Lif,
    decay=DECAYS,
    reset=st.sampled_from(["soft", "hard", "none"]),
    v_reset=st.sampled_from([0.0, -0.5]),
    synapse_decay=st.none() | DECAYS,
    refractory=st.integers(0, 3),
    adaptation=st.none()
    | st.builds(Adaptation, decay=DECAYS, strength=st.sampled_from([0.0, 0.4])),
    strict=st.booleans(),
    integrates_refractory=st.booleans(),
)

LATE = st.builds(
    Lif,
    decay=DECAYS,
    synapse_decay=st.none() | DECAYS,
    strict=st.booleans(),
    delayed_reset=st.just(True),
)


def constants_of(neuron, neurons, dtype, single):
    """Constants of a population; single: values of every neuron."""
    if isinstance(neuron, Integrator):
        return Constants(neuron.decay, neuron.synapse_decay)
    rises = neuron.adaptation or Adaptation(0.0, 0.0)
    threshold = torch.linspace(0.5, 1.5, neurons, dtype=dtype) if single else 1.0
    return Constants(
        neuron.decay, neuron.synapse_decay, threshold, neuron.v_reset, rises.decay, rises.strength
    )


def both(neuron, currents, name, slope, detach, single):
    """Spikes, membranes and gradient by the currents from the fast and the slow scan, of the same
    random loss.
    """
    constants = constants_of(neuron, currents.shape[2], currents.dtype, single)
    generator = torch.Generator().manual_seed(5)
    by_spikes, by_membrane = (
        torch.randn(currents.shape, generator=generator, dtype=currents.dtype) for _ in range(2)
    )
    results = []
    for fast in (True, False):
        given = currents.clone().requires_grad_()
        if fast:
            spikes, v = scan.fast_scan(neuron, constants, given, name, slope, detach, True)
        else:
            record = slow_scan(neuron, constants, given, surrogate(name, slope), detach)
            spikes, v = record.spikes, record.v
        ((spikes * by_spikes).sum() + (v * by_membrane).sum()).backward()
        results.append((spikes.detach(), v.detach(), given.grad))
    return results


@settings(max_examples=150, deadline=None)
@given(
    neuron=NEURONS | LATE | st.builds(Integrator, decay=DECAYS, synapse_decay=st.none() | DECAYS),
    name=st.sampled_from(sorted(SLOPES)),
    slope=st.none() | st.just(3.0),
    detach=st.booleans(),
    single=st.booleans(),
    shape=st.sampled_from([(1, 1, 1), (7, 3, 5), (12, 2, 64), (9, 2, 131)]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    coarse=st.booleans(),
    seed=st.integers(0, 99),
)
def test_as_in_pytorch(neuron, name, slope, detach, single, shape, dtype, coarse, seed):
    currents = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    if coarse:  # quarters: membranes meet the threshold exactly
        currents = (currents * 4).round() / 4
    if not scan.usable(neuron, currents, detach):
        assert (neuron.adaptation is not None or neuron.delayed_reset) and not detach
        return
    fast, slow = both(neuron, currents, name, slope, detach, single)
    assert torch.equal(fast[0], slow[0])
    assert torch.equal(fast[1], slow[1])
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    scale = max(1.0, float(slow[2].abs().max()))
    torch.testing.assert_close(fast[2] / scale, slow[2] / scale, atol=tolerance, rtol=tolerance)


def test_registered_operators():
    currents = torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True)
    constants = (
        torch.tensor([0.9, 0.5, 1.0, 0.0, 0.8, 0.1], dtype=torch.float64)[:, None]
        .expand(6, 3)
        .contiguous()
    )
    torch.library.opcheck(
        scan.lif_scan,
        (currents, constants, 1, 0, 2.0, 0, False, False, False, True),
        test_utils=("test_schema", "test_faketensor", "test_autograd_registration"),
    )


@pytest.mark.parametrize(
    "conventions",
    [{"delayed_reset": True, "reset": "hard"}, {"delayed_current": True}, {"clears_current": True}],
)
def test_conventions_of_other_simulators_stay_in_pytorch(conventions):
    neuron = replace(Lif(synapse_decay=0.5), **conventions)
    assert not scan.usable(neuron, torch.zeros(1, 1, 1), True)


def test_module_without_states_is_the_module():
    """Spikes and gradients of a recipe's network do not depend on whether states are wanted.

    Membranes are equal up to the order of float32 sums, which differs between processors.
    """
    network = recipes.spoken_digits_recipe().network
    spikes = (
        torch.rand(20, 3, network.input.size, generator=torch.Generator().manual_seed(1)) < 0.3
    ).float()
    results, gradients = [], []
    for states in (True, False):
        module = SpikingModule(network, seed=2)
        result = module(spikes, states=states)
        result[f"v.{network.output.name}"][-1].square().sum().backward()
        results.append(result)
        gradients.append({n: p.grad for n, p in module.named_parameters()})
    assert set(results[1]) < set(results[0])
    for name, value in results[1].items():
        if name.startswith("spikes."):
            assert torch.equal(results[0][name], value)
        torch.testing.assert_close(results[0][name], value, rtol=1e-5, atol=1e-5)
    for name, gradient in gradients[0].items():
        scale = max(1.0, float(gradient.abs().max()))
        torch.testing.assert_close(
            gradients[1][name] / scale, gradient / scale, rtol=1e-4, atol=1e-5
        )
