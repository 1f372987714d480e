# SPDX-License-Identifier: Apache-2.0
"""Delays that learn: against the published package, the C++ against PyTorch, rounding, annealing,
and a task that only delays solve.
"""

import dataclasses
import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from DCLS.construct.modules import Dcls1d  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from neurohw import (
    Integrator,
    Lif,
    Network,
    Population,
    Projection,
    Source,
    first_mismatch,
    run_reference,
)
from neurohw.connections import Convolution, Sparse
from neurohw.data import Encoder, coincidences
from neurohw.engines import torch as torch_engine
from neurohw.errors import InvalidModel, MissingTool
from neurohw.train import SpikingModule, TrainConfig, delays, evaluate, fit
from neurohw.train.recipes import delayed
from tests.random_networks import random_stimulus


def case(
    seed: int, steps: int, sources: int, targets: int, shortest: int, longest: int
) -> tuple[Tensor, ...]:
    """Spikes, weight, delay and a gradient of the current, float32."""
    generator = torch.Generator().manual_seed(seed)
    spikes = (torch.rand(steps, 3, sources, generator=generator) < 0.2) * torch.randint(
        1, 4, (steps, 3, sources), generator=generator
    )
    delay = shortest + torch.rand(targets, sources, generator=generator) * (longest - shortest)
    delay[0, 0], delay[-1, -1] = shortest, longest
    weight = torch.randn(targets, sources, generator=generator)
    return spikes.float(), weight, delay, torch.randn(steps, 3, targets, generator=generator)


def current_and_gradients(
    spikes: Tensor, weight: Tensor, delay: Tensor, given: Tensor, *limits: Any
) -> list[Tensor]:
    leaves = [t.clone().requires_grad_() for t in (spikes, weight, delay)]
    current = delays.gaussian_current(*leaves, *limits)
    return [current.detach(), *torch.autograd.grad(current, leaves, given)]


@pytest.mark.parametrize("length", [5, 25])
@pytest.mark.parametrize("spread", [0.0, 0.23, 2.0, 12.0])
def test_the_published_package_gives_the_same(length: int, spread: float) -> None:
    """Dcls1d 0.1.1 with d = floor(L/2) - P and sigma = |SIG| + 0.27, in current and in all three
    gradients, to float32 rounding.
    """
    spikes, weight, delay, given = case(1, 30, 7, 6, 0, length - 1)
    layer = Dcls1d(
        7, 6, kernel_count=1, dilated_kernel_size=length, padding=0, bias=False, version="gauss"
    )
    with torch.no_grad():
        layer.weight.copy_(weight[..., None])
        layer.P.copy_((length // 2 - delay)[None, ..., None])
        layer.SIG.fill_(spread)
    layer.SIG.requires_grad_(False)
    source = spikes.clone().requires_grad_()
    padded = torch.nn.functional.pad(source.permute(1, 2, 0), (length - 1, 0))
    expected = layer(padded).permute(2, 0, 1)
    expected.backward(given)
    wanted = [expected.detach(), source.grad, layer.weight.grad[..., 0], -layer.P.grad[0, ..., 0]]
    actual = current_and_gradients(
        spikes, weight, delay, given, spread + 0.27, 0, length - 1, length
    )
    for left, right in zip(wanted, actual, strict=True):
        assert left is not None and torch.allclose(
            left, right, rtol=2e-4, atol=2e-5 * float(left.abs().max())
        )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_cpp_operators_equal_pytorch(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shortest, span = int(rng.integers(0, 4)), int(rng.choice([0, 1, 3, 9, 24, 40]))
    steps, sources, targets = (
        int(rng.choice([1, 5, 40, 130])),
        int(rng.integers(1, 20)),
        int(rng.integers(1, 40)),
    )
    sigma = float(rng.choice([0.27, 0.5, 1.1, 3.0, 12.0]))
    arrays = case(seed, steps, sources, targets, shortest, shortest + span)
    limits = (sigma, shortest, shortest + span)
    single = current_and_gradients(*arrays, *limits)
    double = current_and_gradients(*(a.double() for a in arrays), *limits)
    for left, right in zip(double, single, strict=True):
        assert float((left - right).abs().max()) <= 2e-5 * max(1.0, float(left.abs().max()))
    whole = arrays[2].round()
    late = delays.whole_current(arrays[0], arrays[1], whole, shortest, shortest + span)
    exact = delays.whole_current(
        arrays[0].double(), arrays[1].double(), whole.double(), shortest, shortest + span
    )
    assert torch.allclose(late.double(), exact, atol=1e-4)


def test_what_is_cut_off_is_as_small_as_stated() -> None:
    """A window of CUT sigmas against all steps: the current of a spike differs by less than 4e-4 of
    its weight.
    """
    for sigma in (0.5, 1.0, 2.0):
        delay = torch.linspace(0, 24, 999, dtype=torch.float64)
        cut = delays.gaussian(delay, sigma, 25, delays.taps_for(sigma, 25))
        full = delays.gaussian(delay, sigma, 25, 25)
        assert (
            float((cut - full).abs().sum(1).max()) < 8e-4 and float((cut - full).abs().max()) < 4e-4
        )
    assert [delays.taps_for(s, 25) for s in (0.5, 1.0, 2.0, 12.0)] == [4, 8, 16, 25]


def test_one_spike_arrives_after_its_delay() -> None:
    spikes = torch.zeros(12, 1, 2)
    spikes[3, 0, 1] = 2
    weight, delay = torch.tensor([[1.0, 0.5]]), torch.tensor([[0.0, 5.0]])
    assert (
        delays.whole_current(spikes, weight, delay, 0, 6)[:, 0, 0].tolist()
        == [0.0] * 8 + [1.0] + [0.0] * 3
    )
    smooth = delays.gaussian_current(spikes, weight, delay + 0.3, 0.5, 0, 6)[:, 0, 0]
    # METHODS: shares of a delay 0.3 steps later than a whole one
    assert torch.allclose(smooth[7:11], torch.tensor([0.0268, 0.6694, 0.3007, 0.0029]), atol=4e-3)


def test_threads_do_not_change_a_bit() -> None:
    arrays = case(5, 40, 30, 50, 0, 9)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(current_and_gradients(*arrays, 0.5, 0, 9))
    finally:
        torch.set_num_threads(before)
    assert all(
        torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True)
    )


def test_without_a_compiler_pytorch_does_it_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = case(5, 20, 6, 5, 0, 9)
    native = current_and_gradients(*arrays, 0.5, 0, 9)

    def missing(*_: Any) -> None:
        raise MissingTool("g++ is not installed")

    monkeypatch.setattr(delays, "compiled", missing)
    delays._library.cache_clear()
    try:
        with pytest.warns(UserWarning, match="dense convolutions"):
            slow = current_and_gradients(*arrays, 0.5, 0, 9)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # once is enough
            current_and_gradients(*arrays, 0.5, 0, 9)
    finally:
        delays._library.cache_clear()
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(native, slow, strict=True))


# --- the module
# --------------------------------------------------------------------------------------------------


def network(**more: Any) -> Network:
    hidden = Population("hidden", 9, Lif(0.5))
    return Network(
        (Population("input", 6, Source()), hidden, Population("output", 4, Integrator(0.5))),
        (
            Projection("input", "hidden", 1, max_delay=7, **more),
            Projection("hidden", "output", max_delay=5),
        ),
    )


@pytest.mark.parametrize("per", ["synapse", "source"])
@pytest.mark.parametrize("recurrent", [False, True])
def test_evaluation_rounds_and_equals_the_reference(per: str, recurrent: bool) -> None:
    net = network(delay_per=per)
    if recurrent:
        loop = Projection("hidden", "hidden", 1, max_delay=3)
        net = Network(net.populations, (*net.projections, loop))
    module = SpikingModule(net, seed=3, dtype=torch.float64, learn_delays=True)
    real = module.array("input_to_hidden.delay").detach().clone()
    assert not torch.equal(real, real.round()) and 1 <= float(real.min()) and float(real.max()) <= 7
    trained = module.to_trained(20)
    assert np.array_equal(trained.parameters["input_to_hidden.delay"], np.rint(real.numpy()))
    spikes = random_stimulus(np.random.default_rng(0), net, 20, 3, 2)
    expected = run_reference(trained, spikes)
    assert first_mismatch(expected, torch_engine.run(trained, spikes), 1e-9) is None
    module.eval()
    with torch.no_grad():
        output = module(torch.from_numpy(spikes))["v.output"].numpy()
    assert np.abs(output - expected.states["v.output"]).max() < 1e-9
    module.train()
    for annealing in (0.0, 1.0):
        module.annealing = annealing
        module.zero_grad()
        module(torch.from_numpy(spikes))["v.output"][-1].square().sum().backward()
        for projection in net.projections:
            gradient = module.array(f"{projection.name}.delay").grad
            assert gradient is not None and float(gradient.abs().max()) > 0


def test_float32_training_equals_float64() -> None:
    """The C++ way and the PyTorch way through the whole module: the same loss and gradients, but
    for rounding.
    """
    net = dataclasses.replace(network())
    spikes = torch.from_numpy(random_stimulus(np.random.default_rng(0), net, 20, 8, 2))
    results = []
    for dtype in (torch.float32, torch.float64):
        module = SpikingModule(net, seed=3, dtype=dtype, learn_delays=True)
        for name in ("input_to_hidden", "hidden_to_output"):
            with torch.no_grad():  # the same drawn numbers in both
                module.array(f"{name}.delay").copy_(module.array(f"{name}.delay").float())
                module.array(f"{name}.weight").copy_(module.array(f"{name}.weight").float())
        module.annealing = 1.0
        loss = module(spikes)["v.output"][-1].square().mean()
        loss.backward()
        results.append(
            [loss.detach().double()]
            + [p.grad.double() for p in module.parameters() if p.grad is not None]
        )
    for left, right in zip(*results, strict=True):
        assert torch.allclose(left, right, rtol=1e-3, atol=1e-4 * float(right.abs().max()) + 1e-7)


def test_the_spread_narrows_as_published() -> None:
    """SHD: L = 25, factor 0.8986 an epoch over a quarter of 150 epochs, then 0.23 + 0.27 steps."""
    net = Network(
        (Population("input", 3, Source()), Population("output", 2, Integrator())),
        (Projection("input", "output", max_delay=24),),
    )
    module = SpikingModule(net, learn_delays=True)
    sigmas = []
    for epoch in range(60):
        module.annealing = min(1.0, epoch / (0.25 * 150))
        sigmas.append(module.sigma(net.projections[0]) - 0.27)
    assert sigmas[0] == pytest.approx(12) and sigmas[50] == pytest.approx(0.23)
    assert (
        sigmas[11] / sigmas[10]
        == pytest.approx((0.23 / 12) ** (1 / 37.5))
        == pytest.approx(0.9, abs=2e-3)
    )


def test_delays_are_kept_in_their_range_and_have_their_own_rate() -> None:
    from neurohw.train.fitting import _make_optimizer

    module = SpikingModule(network(), learn_delays=True)
    optimizer = _make_optimizer(
        module, TrainConfig(learn_delays=True, delay_learning_rate=0.7, weight_decay=0.1)
    )
    group = optimizer.param_groups[2]
    assert group["lr"] == 0.7 and group["weight_decay"] == 0.0 and len(group["params"]) == 2
    with torch.no_grad():
        module.array("input_to_hidden.delay").fill_(99.0)
        module.array("hidden_to_output.delay").fill_(-3.0)
    module.clamp()
    assert (
        module.array("input_to_hidden.delay").max() == 7
        and module.array("hidden_to_output.delay").min() == 0
    )


def test_what_cannot_learn_is_named() -> None:
    with pytest.raises(InvalidModel, match="no projection has delays"):
        SpikingModule(
            Network(
                (Population("input", 3, Source()), Population("o", 2, Lif())),
                (Projection("input", "o"),),
            ),
            learn_delays=True,
        )
    for connection in (Sparse(5), Convolution((1, 2, 3), 9, (2, 3))):
        with pytest.raises(InvalidModel, match="'input_to_hidden'.*dense"):
            SpikingModule(network(connection=connection), learn_delays=True)
    # axons may learn in front of anything
    SpikingModule(network(connection=Sparse(5), delay_per="source"), learn_delays=True)
    for wrong in (
        {"dropout": 1.0},
        {"delay_annealing": 0.0},
        {"delay_learning_rate": 0.0},
        {"time_shift": -1},
    ):
        with pytest.raises(InvalidModel):
            TrainConfig(**wrong)


def test_dropout_draws_from_the_generator_and_keeps_the_mean() -> None:
    net = network()
    module = SpikingModule(net, dropout=0.4)
    ones = torch.ones(50, 20, 9)
    module.generator.manual_seed(1)
    first = module._dropped(ones)
    module.generator.manual_seed(1)
    assert torch.equal(first, module._dropped(ones)) and abs(float(first.mean()) - 1) < 0.02
    assert abs(float((first == 0).float().mean()) - 0.4) < 0.02
    module.eval()
    assert torch.equal(module._dropped(ones), ones)


def accuracy_on_coincidences(seed: int, delayed_steps: int | None) -> float:
    dataset = coincidences(seed=seed)
    assert dataset.steps is not None
    net = delayed([8, 32, 4], Lif(decay=0.0), delayed_steps)
    config = TrainConfig(
        epochs=20,
        batch_size=32,
        learning_rate=1e-2,
        learn_delays=delayed_steps is not None,
        delay_learning_rate=0.3,
        seed=seed,
    )
    encoder = Encoder("spikes", steps=dataset.steps)
    trained = fit(net, dataset, encoder, config)
    module = SpikingModule.from_trained(trained)
    return evaluate(module, encoder, dataset.x_test, dataset.y_test, "membrane")[0]


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2, 3, 4))]
)
def test_coincidences_need_delays(seed: int) -> None:
    """The same 8-32-4 network: learned delays at least 99 %, no delays exactly at chance."""
    assert accuracy_on_coincidences(seed, 16) >= 0.99
    assert math.isclose(accuracy_on_coincidences(seed, None), 0.25)
