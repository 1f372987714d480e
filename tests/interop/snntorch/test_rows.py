# SPDX-License-Identifier: Apache-2.0
"""Rows of layers: one object at several places, and what was put over a layer or a container."""

import copy
import types
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.nn.utils import parametrizations, parametrize, prune

from neurohw import Spikes, run_reference
from neurohw.errors import InvalidModel, NeurohwError, Unsupported
from neurohw.interop.snntorch import from_snntorch
from tests.interop.snntorch.judge import assert_same, counts, scaled, simulate


def leaky(hidden: bool = False) -> Any:
    return snn.Leaky(0.8, threshold=0.4, init_hidden=hidden)


def linear(inputs: int = 6, outputs: int = 6, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return scaled(nn.Linear(inputs, outputs), 2.0)


def shared_linear() -> tuple[nn.Module, tuple[int, ...]]:
    again = linear()
    return nn.Sequential(again, leaky(), again, leaky()), (6,)


def shared_row() -> tuple[nn.Module, tuple[int, ...]]:
    again = nn.Sequential(linear(), nn.Dropout(0.5))
    return nn.Sequential(again, leaky(), again, leaky(), again), (6,)


def shared_pool(pool: nn.Module) -> tuple[nn.Module, tuple[int, ...]]:
    torch.manual_seed(3)
    first, second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
    layers = [scaled(first, 3.0), leaky(), pool, scaled(second, 3.0), leaky(), pool, nn.Flatten()]
    return nn.Sequential(*layers, linear(16, 5), leaky()), (1, 8, 8)


SHARED = [
    shared_linear,
    shared_row,
    lambda: shared_pool(nn.MaxPool2d(2)),
    lambda: shared_pool(nn.AvgPool2d(2)),
]


@pytest.mark.parametrize("make", SHARED)
def test_a_layer_without_state_may_stand_twice(make: Any) -> None:
    """The judge calls the very objects in a row; a copy at every place is the same network."""
    module, shape = make()
    flat: list[Any] = []
    for child in module:
        flat += list(child) if isinstance(child, nn.Sequential) else [child]
    model = assert_same(flat, shape)
    nested = from_snntorch(module, shape, model.steps)
    apart = from_snntorch([copy.deepcopy(layer) for layer in flat], shape, model.steps)
    assert len(nested.network.populations) == len(apart.network.populations)
    x = Spikes(counts(np.random.default_rng(1), shape).reshape(30, 6, -1))
    ours, theirs = (run_reference(m, x) for m in (nested, apart))
    for a, b in zip(nested.network.populations, apart.network.populations, strict=True):
        assert np.array_equal(ours.spikes[a.name], theirs.spikes[b.name])


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("kind", [nn.Sequential, lambda *layers: list(layers)])
def test_neurons_that_stand_twice_in_a_row_are_refused(hidden: bool, kind: Any) -> None:
    lif = leaky(hidden)
    with pytest.raises(Unsupported, match=r"layer '3' \(Leaky\): it is layer '1' once more") as e:
        from_snntorch(kind(linear(), lif, linear(seed=1), lif), 6)
    assert "\n" not in str(e.value)
    inner = nn.Sequential(linear(), lif)
    with pytest.raises(Unsupported, match=r"layer '1.1' \(Leaky\): it is layer '0.1' once more"):
        from_snntorch(nn.Sequential(inner, inner), 6)


def test_neurons_that_stand_twice_share_one_state_in_snntorch() -> None:
    """The reason for the refusal: two populations are not what snnTorch computes."""
    lif, first, second = leaky(True), linear(), linear(seed=1)
    x = counts(np.random.default_rng(0), (6,))
    shared = simulate([first, lif, second, lif], x)
    apart = simulate([first, leaky(True), second, leaky(True)], x)
    assert np.count_nonzero(shared[3][0] != apart[3][0]) > 100


class Twice(nn.Module):
    """One neuron layer at two places; every place has its own membrane, or one has both."""

    def __init__(self, hidden: bool, carried: bool = True) -> None:
        super().__init__()
        self.carried = carried
        self.fc1, self.fc2, self.lif = linear(), linear(seed=1), leaky(hidden)

    def forward(self, x: torch.Tensor) -> Any:
        if self.lif.init_hidden:
            return torch.stack([self.lif(self.fc2(self.lif(self.fc1(step)))) for step in x])
        one = two = torch.zeros(x.shape[1], 6)
        out = []
        for step in x:
            spk, one = self.lif(self.fc1(step), one)
            spk, two = self.lif(self.fc2(spk), two if self.carried else one)
            out.append(spk)
        return torch.stack(out)


def test_a_forward_that_hands_each_place_its_own_state_is_two_populations() -> None:
    model = from_snntorch(Twice(False), 6)
    assert [p.name for p in model.network.populations] == ["input", "lif", "lif_"]
    x = counts(np.random.default_rng(1), (6,))
    with torch.no_grad():
        expected = Twice(False)(torch.from_numpy(x).float()).numpy()
    assert 50 < expected.sum() < 0.9 * expected.size
    assert np.array_equal(run_reference(model, Spikes(x)).spikes["lif_"], expected)


def test_a_forward_that_shares_a_state_is_refused() -> None:
    with pytest.raises(Unsupported, match=r"layer 'lif' \(Leaky\): .* keeps one state"):
        from_snntorch(Twice(True), 6)
    with pytest.raises(Unsupported, match="layer 'lif': forward gives .* spikes other than"):
        from_snntorch(Twice(False, carried=False), 6)


class SharedPool(nn.Module):
    """A pool first of all, and once more behind the neurons."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(2)
        torch.manual_seed(0)
        self.conv = scaled(nn.Conv2d(1, 3, 3, padding=1), 3.0)
        self.lif1, self.lif2 = leaky(True), leaky(True)
        self.fc = linear(12, 4)

    def forward(self, x: torch.Tensor) -> Any:
        spk = self.pool(self.lif1(self.conv(self.pool(x))))
        return self.lif2(self.fc(spk.flatten(1)))


def test_a_forward_may_call_a_layer_without_state_twice() -> None:
    model = from_snntorch(SharedPool(), (1, 8, 8))
    x = counts(np.random.default_rng(1), (1, 8, 8), highest=4)
    module = SharedPool()
    with torch.no_grad():
        expected = np.array([module(torch.from_numpy(step).float()).numpy() for step in x])
    assert 30 < expected.sum() < 0.9 * expected.size
    trace = run_reference(model, Spikes(x.reshape(*x.shape[:2], -1)))
    assert np.array_equal(trace.spikes["lif2"], expected)


def times(factor: float) -> Any:
    return lambda module, args: (args[0] * factor,)


def doubled(self: Any, x: torch.Tensor) -> torch.Tensor:
    return 2 * type(self).forward(self, x)


def hooked(layer: Any) -> Any:
    layer.register_forward_pre_hook(times(3))
    return layer


def overridden(layer: Any, name: str = "forward") -> Any:
    setattr(layer, name, types.MethodType(doubled, layer))
    return layer


def pruned(layer: Any) -> Any:
    return prune.l1_unstructured(layer, "weight", 0.5)


ROW = nn.Sequential
CHANGED = [
    (lambda: hooked(ROW(linear(), leaky())), r"Sequential: it has hooks"),
    (lambda: ROW(hooked(ROW(linear())), leaky()), r"'0' \(Sequential\): it has hooks"),
    (lambda: ROW(ROW(linear(), hooked(leaky()))), r"'0.1' \(Leaky\): it has hooks"),
    (lambda: overridden(ROW(linear(), leaky())), r"Sequential: its forward was replaced"),
    (lambda: ROW(overridden(ROW(linear())), leaky()), r"'0' \(Sequential\): its forward was"),
    (lambda: ROW(overridden(linear()), leaky()), r"'0' \(Linear\): its forward was replaced"),
    (lambda: ROW(linear(), overridden(nn.Flatten()), leaky()), r"'1' \(Flatten\): its forward"),
    (lambda: ROW(linear(), overridden(nn.Dropout()), leaky()), r"'1' \(Dropout\): its forward"),
    (lambda: ROW(linear(), overridden(leaky())), r"'1' \(Leaky\): its forward was replaced"),
    (lambda: ROW(linear(), overridden(leaky(), "fire")), r"'1' \(Leaky\): its fire was replaced"),
    (lambda: ROW(linear(), overridden(nn.Dropout(), "train"), leaky()), r"'1' .Dropout.: its tr"),
    (lambda: ROW(pruned(linear()), leaky()), r"'0' \(Linear\): it has hooks.*prune.remove"),
    (
        lambda: ROW(linear(), snn.RLeaky(0.8, linear_features=6)),
        r"'1.recurrent' \(Linear\): it has hooks",
    ),
]


@pytest.mark.parametrize(("make", "message"), CHANGED)
def test_what_was_put_over_a_layer_or_a_row_is_refused(make: Any, message: str) -> None:
    module = make()
    for layer in module.modules():
        if isinstance(layer, snn.RLeaky):
            hooked(layer.recurrent)
    with pytest.raises(NeurohwError, match=message) as caught:
        from_snntorch(module, 6)
    assert "\n" not in str(caught.value)


def test_a_layer_changed_inside_a_module_is_refused() -> None:
    module = Twice(False)
    overridden(module.fc2)
    with pytest.raises(Unsupported, match=r"layer 'fc2' \(Linear\): its forward was replaced"):
        from_snntorch(module, 6)


def test_hooks_of_all_modules_are_refused() -> None:
    handle = register_module_forward_pre_hook(times(3))
    try:
        with pytest.raises(Unsupported, match="hooks of all modules"):
            from_snntorch(nn.Sequential(linear(), leaky()), 6)
    finally:
        handle.remove()
    from_snntorch(nn.Sequential(linear(), leaky()), 6)


def test_a_pruned_layer_after_prune_remove_is_exact() -> None:
    layer = prune.remove(pruned(linear()), "weight")
    assert (layer.weight == 0).sum() == 18
    assert_same([layer, leaky()], (6,))


@pytest.mark.parametrize("kind", [parametrizations.spectral_norm, parametrizations.weight_norm])
def test_a_parametrization_is_exact(kind: Any) -> None:
    assert_same([kind(linear()), leaky(), linear(seed=1), leaky()], (6,))


class Noise(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.rand_like(x)


def test_a_weight_that_changes_with_every_read_is_refused() -> None:
    layer = linear()
    parametrize.register_parametrization(layer, "weight", Noise())
    with pytest.raises(Unsupported, match=r"layer '0' \(Linear\): its weight changes with every"):
        from_snntorch([layer, leaky()], 6)


def test_a_place_without_a_layer_is_refused() -> None:
    row = nn.Sequential(linear(), leaky())
    row.register_module("2", None)
    with pytest.raises(InvalidModel, match="place '2' of the Sequential is None"):
        from_snntorch(row, 6)
