# SPDX-License-Identifier: Apache-2.0
"""Populations with their projections as one operator against `functional.lif_step` and matrix
products: spikes and membranes to the last bit, gradients to rounding.

Weights, currents and biases are multiples of 1/64, whose sums are exact in any order.
"""

import platform

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurohw import Integrator, Lif, Network, Population, Projection, native_library
from neurohw.neurons import Source
from neurohw.train import SpikingModule, chain, events
from neurohw.train.chain import Member, known, run_chain
from neurohw.train.events import find_events
from neurohw.train.functional import integrator_step, lif_step, record, rest
from neurohw.train.inference import torch_threads
from neurohw.train.surrogate import SLOPES, surrogate
from neurohw.train.synapses import delayed
from tests.train.test_scan import DECAYS, LATE, NEURONS, constants_of


def coarse(shape, generator, scale=1.0):
    return (torch.randn(shape, generator=generator) * scale * 64).round() / 64


def in_pytorch(
    neuron, constants, spikes, weight, delay, loop, loop_delay, bias, currents, spike, detach
):
    """Spikes and membranes, step by step."""
    if currents is None:
        currents = bias + delayed(spikes, delay) @ weight.T
    state, fired, states = rest(currents[0]), [], []
    for t, current in enumerate(currents.unbind(0)):
        if loop is not None and t >= loop_delay:
            current = current + fired[t - loop_delay] @ loop.T
        if isinstance(neuron, Integrator):
            state = integrator_step(constants, current, state)
            fired.append(torch.zeros_like(current))
        else:
            sent, state = lif_step(neuron, constants, current, state, spike, detach)
            fired.append(sent)
        states.append(state)
    done = record(fired, states)
    return done.spikes, done.v


@settings(max_examples=200, deadline=None)
@given(
    neuron=NEURONS | LATE | st.builds(Integrator, decay=DECAYS, synapse_decay=st.none() | DECAYS),
    name=st.sampled_from(sorted(SLOPES)),
    detach=st.booleans(),
    single=st.booleans(),
    shape=st.sampled_from(
        [(1, 1, 1, 1), (7, 3, 5, 4), (9, 2, 15, 33), (6, 17, 40, 16), (5, 33, 20, 130)]
    ),
    density=st.sampled_from([0.0, 0.05, 0.2]),
    most=st.sampled_from([1, 3]),
    delay=st.sampled_from([0, 1, 4, 20]),
    loop_delay=st.none() | st.sampled_from([1, 2, 9]),
    from_currents=st.booleans(),
    threads=st.sampled_from([1, 3]),
    seed=st.integers(0, 99),
)
def test_as_in_pytorch(
    neuron,
    name,
    detach,
    single,
    shape,
    density,
    most,
    delay,
    loop_delay,
    from_currents,
    threads,
    seed,
):
    steps, samples, sources, neurons = shape
    generator = torch.Generator().manual_seed(seed)
    constants = constants_of(neuron, neurons, torch.float32, single)
    loop_delay = None if isinstance(neuron, Integrator) else loop_delay
    if not known(neuron, torch.zeros(1, 1, 1), detach) or (from_currents and loop_delay is None):
        return
    spikes = torch.randint(1, most + 1, (steps, samples, sources), generator=generator).float()
    spikes = spikes * (torch.rand(spikes.shape, generator=generator) < density)
    found = find_events(spikes)
    if found is None and not from_currents:  # too many for a chain
        return
    assert found is None or (found.value is None) == bool((spikes <= 1).all())
    weight, bias = coarse((neurons, sources), generator), coarse(neurons, generator)
    recurrent = coarse((neurons, neurons), generator, 0.5)
    currents = coarse((steps, samples, neurons), generator) if from_currents else None
    by_spikes, by_membrane = (
        torch.randn((steps, samples, neurons), generator=generator) for _ in range(2)
    )
    results = []
    for ours in (True, False):
        x, w, r, b = (t.clone().requires_grad_() for t in (spikes, weight, recurrent, bias))
        i = None if currents is None else currents.clone().requires_grad_()
        loop = None if loop_delay is None else r
        if ours:
            fed = (
                (w, delay, loop, loop_delay or 0, b)
                if i is None
                else (None, 0, loop, loop_delay or 0, None)
            )
            member = Member(neuron, constants, *fed, True, True)
            with torch_threads(threads):
                (record_,) = run_chain([member], x, found, i, (name, None), detach)
                result = record_["spikes"], record_["membrane"]
                ((result[0] * by_spikes).sum() + (result[1] * by_membrane).sum()).backward()
        else:
            spike = surrogate(name)
            result = in_pytorch(
                neuron, constants, x, w, delay, loop, loop_delay, b, i, spike, detach
            )
            ((result[0] * by_spikes).sum() + (result[1] * by_membrane).sum()).backward()
        results.append(
            ([t.detach() for t in result], [t.grad for t in (x, w, r, b, i) if t is not None])
        )
    (ours, ours_gradients), (plain, plain_gradients) = results
    assert torch.equal(ours[0], plain[0])
    assert torch.equal(ours[1], plain[1])
    for a, b in zip(ours_gradients, plain_gradients, strict=True):
        if a is None or b is None:  # nothing of it takes part
            assert a is None or not a.any()
            assert b is None or not b.any()
            continue
        scale = max(1.0, float(b.abs().max()))
        torch.testing.assert_close(a / scale, b / scale, atol=1e-5, rtol=1e-5)


def recurrent_network(neuron, skip=True):
    """Loops, a readout and, with a skip, a population with two feeds."""
    populations = (
        Population("input", 40, Source()),
        Population("first", 24, neuron),
        Population("second", 33, neuron),
        Population("output", 5, Integrator(0.5)),
    )
    projections = (
        Projection("input", "first"),
        Projection("first", "first", delay=2),
        Projection("first", "second", delay=1),
        Projection("second", "second", delay=1),
        Projection("second", "output"),
    )
    return Network(
        populations, (*projections, Projection("input", "second")) if skip else projections
    )


def module_of(network, seed=0):
    module = SpikingModule(network, seed=seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_((parameter * 64).round() / 64)
    return module


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("density", [0.1, 0.9])
@pytest.mark.parametrize(
    "neuron", [Lif(0.5), Lif(0.75, delayed_reset=True), Lif(0.5, reset="hard", refractory=2)]
)
def test_a_recurrent_module_is_the_one_that_steps_in_pytorch(neuron, density, skip):
    network = recurrent_network(neuron, skip)
    spikes = (torch.rand(15, 18, 40, generator=torch.Generator().manual_seed(1)) < density).float()
    results, gradients = [], []
    for options in ({"states": True}, {"states": False}, {"states": False, "hidden": False}):
        module = module_of(network)
        result = module(spikes, **options)
        result["v.output"][-1].square().sum().backward()
        results.append(result)
        gradients.append({n: p.grad for n, p in module.named_parameters()})
    assert set(results[2]) <= set(results[1]) < set(results[0])
    assert ("spikes.first" in results[2]) == skip
    for fewer, other in zip(results[1:], gradients[1:], strict=True):
        assert all(torch.equal(results[0][name], value) for name, value in fewer.items())
        for name, gradient in gradients[0].items():
            scale = max(1.0, float(gradient.abs().max()))
            torch.testing.assert_close(other[name] / scale, gradient / scale, rtol=1e-5, atol=1e-5)
    assert results[0]["spikes.second"].any()


# events from the input on, or behind a matrix product
@pytest.mark.parametrize("density", [0.1, 0.9])
@pytest.mark.parametrize("kind", [torch.uint8, torch.bool, torch.float64])
def test_a_stimulus_of_any_type(kind, density):
    populations = [p for p in recurrent_network(Lif(0.5)).populations]
    plain = tuple(
        Projection(a.name, b.name) for a, b in zip(populations, populations[1:], strict=False)
    )
    network = Network(tuple(populations), (*plain, Projection("input", "second", delay=1)))
    for graph in (Network(tuple(populations), plain), network, recurrent_network(Lif(0.5))):
        spikes = (
            torch.rand(300, 9, 40, generator=torch.Generator().manual_seed(1)) < density
        ).float()
        results, gradients = [], []
        for stimulus, options in (
            (spikes, {}),
            (spikes.to(kind), {"states": False}),
            (spikes.to(kind), {"states": False, "hidden": False}),
        ):
            module = module_of(graph)
            results.append(module(stimulus, **options))
            results[-1]["v.output"][-1].square().sum().backward()
            gradients.append({n: p.grad for n, p in module.named_parameters()})
        assert (
            results[1]["spikes.input"].dtype == torch.float32 and "spikes.input" not in results[2]
        )
        for fewer, other in zip(results[1:], gradients[1:], strict=True):
            assert all(torch.equal(results[0][name], value) for name, value in fewer.items())
            for name, gradient in gradients[0].items():
                scale = max(1.0, float(gradient.abs().max()))
                torch.testing.assert_close(
                    other[name] / scale, gradient / scale, rtol=1e-5, atol=1e-5
                )


@pytest.fixture(params=["x86-64", "x86-64-v3"])
def older_processor(request, monkeypatch):
    """Kernels for a processor without the vectors of this one."""
    if platform.machine() != "x86_64":
        pytest.skip("other processors have one kind of kernels")
    caches = (chain._library, events._library)
    for module in (native_library, chain):
        monkeypatch.setattr(
            module, "FLAGS", tuple(f.replace("native", request.param) for f in native_library.FLAGS)
        )
    monkeypatch.setattr(
        events, "compiled", lambda source: native_library.compiled(source, chain.FLAGS)
    )
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


def test_on_an_older_processor(older_processor):
    """Sums of multiples of 1/64 are exact with and without fused multiply-add."""
    network = recurrent_network(Lif(0.5))
    spikes = (torch.rand(15, 18, 40, generator=torch.Generator().manual_seed(1)) < 0.2).float()
    spikes[0, 0, 0] = 2
    fast, slow = module_of(network), module_of(network)
    results = fast(spikes, states=False), slow(spikes)
    for result in results:
        result["v.output"][-1].square().sum().backward()
    assert all(torch.equal(results[1][name], value) for name, value in results[0].items())
    for a, b in zip(fast.parameters(), slow.parameters(), strict=True):
        scale = max(1.0, float(b.grad.abs().max()))
        torch.testing.assert_close(a.grad / scale, b.grad / scale, rtol=1e-5, atol=1e-5)


def test_gradients_do_not_depend_on_threads():
    """Where no matrix product of PyTorch takes part: it has other sums for other threads."""
    spikes = (torch.rand(20, 50, 40, generator=torch.Generator().manual_seed(1)) < 0.1).float()
    found = []
    for threads in (1, 2, 5):
        with torch_threads(threads):
            module = module_of(recurrent_network(Lif(0.5), skip=False))
            module(spikes, states=False)["v.output"][-1].square().sum().backward()
            found.append([p.grad for p in module.parameters()])
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_without_gradients_nothing_is_kept():
    module = module_of(recurrent_network(Lif(0.5)))
    spikes = (torch.rand(4, 3, 40, generator=torch.Generator().manual_seed(1)) < 0.1).float()
    expected = module(spikes, states=False)
    with torch.no_grad():
        plain = module(spikes, states=False)
    assert all(torch.equal(expected[name], value) for name, value in plain.items())
    assert expected["v.output"].requires_grad and not plain["v.output"].requires_grad
