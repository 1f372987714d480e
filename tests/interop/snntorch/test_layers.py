# SPDX-License-Identifier: Apache-2.0
"""Layers of PyTorch between neurons: exact against PyTorch's and snnTorch's own run, or refused by
name.
"""

import itertools
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from torch import nn

from neurohw import run_reference
from neurohw.connections import Convolution, Sparse
from neurohw.errors import InvalidModel, NeurohwError, Unsupported
from neurohw.interop.snntorch import from_snntorch
from tests.interop.snntorch.judge import SAMPLES, STEPS, assert_same, counts, simulate


def values(layers: list[nn.Module], shape: tuple[int, ...], highest: int = 3) -> None:
    """A row without neurons: what it gives at every step is PyTorch's."""
    x = counts(np.random.default_rng(0), shape, highest=highest)
    expected = simulate(layers, x)[-1][0]
    model = from_snntorch(layers, shape, STEPS)
    trace = run_reference(model, x.reshape(STEPS, SAMPLES, -1))
    assert np.allclose(trace.states["v.readout"], expected, rtol=1e-12, atol=1e-12)
    assert expected.any()


CONVOLUTIONS = [
    {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "bias": bias}
    for (stride, padding, dilation), groups, bias in zip(
        itertools.product((1, (2, 1)), (0, (1, 2)), (1, (1, 2))),
        itertools.cycle((1, 2, 4)),
        itertools.cycle((True, False)),
        strict=False,
    )
]


@pytest.mark.parametrize("arguments", CONVOLUTIONS, ids=str)
def test_a_convolution_over_two_axes(arguments: dict[str, Any]) -> None:
    torch.manual_seed(0)
    values([nn.Conv2d(4, 8, (3, 2), **arguments)], (4, 7, 6))


@pytest.mark.parametrize("arguments", CONVOLUTIONS, ids=str)
def test_a_convolution_over_one_axis(arguments: dict[str, Any]) -> None:
    torch.manual_seed(0)
    one = {k: v[1] if isinstance(v, tuple) else v for k, v in arguments.items()}
    row = [nn.Conv1d(4, 8, 3, **one), snn.Leaky(0.8, threshold=torch.rand(8, 1) * 0.5 + 0.2)]
    assert_same(row, (4, 9), highest=3)
    values([nn.Conv1d(4, 8, 3, **one), nn.Flatten()], (4, 9))


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        ({"padding": "same"}, None),
        ({"padding": "valid"}, None),
        ({"padding": 1, "padding_mode": "circular"}, "padding_mode 'circular'"),
        ({"padding_mode": "reflect"}, None),  # of nothing
        ({"padding": "same", "kernel_size": 2}, "not the same on both sides"),
    ],
)
def test_paddings(arguments: dict[str, Any], refusal: str | None) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 3, **({"kernel_size": 3} | arguments))
    if refusal is None:
        values([layer], (2, 6, 5))
    else:
        with pytest.raises(Unsupported, match=f"layer '0' .Conv2d.*{refusal}"):
            from_snntorch([layer], (2, 6, 5))


MEANS = [
    nn.AvgPool2d(2),
    nn.AvgPool2d(2, divisor_override=3),
    nn.AvgPool2d((3, 2), stride=(2, 1)),
    nn.AvgPool2d(3, stride=2, padding=1),
    nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False),
    nn.AvgPool2d(3, stride=2, padding=1, divisor_override=5, count_include_pad=False),
    nn.AvgPool2d(3, stride=2, ceil_mode=True),
    nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True, count_include_pad=False),
    nn.AdaptiveAvgPool2d((3, 2)),
]


@pytest.mark.parametrize("pool", MEANS, ids=str)
@pytest.mark.parametrize("shape", [(2, 6, 6), (3, 7, 8)])
def test_a_mean_over_windows_and_what_may_follow(pool: nn.Module, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    values([pool], shape)
    size = pool(torch.zeros(1, *shape)).numel()
    values([pool, nn.Flatten(), nn.Linear(size, 5)], shape)
    assert_same([pool, snn.Leaky(0.8, threshold=1.5)], shape, highest=3)


@pytest.mark.parametrize(
    "pool", [nn.AvgPool1d(2), nn.AvgPool1d(3, 2, 1), nn.AdaptiveAvgPool1d(4)], ids=str
)
def test_a_mean_over_one_axis(pool: nn.Module) -> None:
    torch.manual_seed(0)
    values([pool], (3, 9))
    assert_same([pool, snn.Leaky(0.8, threshold=0.4), nn.Conv1d(3, 4, 3)], (3, 9), highest=3)


@pytest.mark.parametrize("pool", MEANS, ids=str)
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("dilation", [1, 2])
def test_a_mean_before_a_convolution_is_exact_or_refused(
    pool: nn.Module, padding: int, dilation: int
) -> None:
    """One convolution does both if zeros around the one are zeros around the other."""
    torch.manual_seed(0)
    row = [pool, nn.Conv2d(3, 4, 2, padding=padding, dilation=dilation)]
    shape = (3, 8, 8)
    convolved = hasattr(pool, "kernel_size") and not pool.ceil_mode  # windows that are all alike
    if isinstance(pool, nn.AvgPool2d) and pool.padding and not pool.count_include_pad:
        convolved = pool.divisor_override is not None
    tiles = isinstance(pool, nn.AvgPool2d) and pool.kernel_size == pool.stride == 2
    if convolved and (padding == 0 or tiles):
        values(row, shape)
        model = from_snntorch(row, shape)
        assert isinstance(model.network.projections[0].connection, Convolution)
    else:
        with pytest.raises(Unsupported, match="layer '1' .Conv2d.*windows"):
            from_snntorch(row, shape)


@pytest.mark.parametrize("pool", MEANS, ids=str)
@pytest.mark.parametrize("dilation", [1, 2])
def test_a_mean_after_a_convolution_is_exact_or_refused(pool: nn.Module, dilation: int) -> None:
    torch.manual_seed(0)
    row = [
        nn.Conv2d(2, 4, 2, stride=(1, 2), padding=1, dilation=dilation, groups=2),
        nn.BatchNorm2d(4),
        pool,
    ]
    row[1].running_mean.normal_()  # type: ignore[operator, union-attr]
    shape = (2, 7, 12)
    exact = isinstance(pool, nn.AvgPool2d) and not pool.ceil_mode and not pool.padding
    if exact:
        values(row, shape)
    else:
        with pytest.raises(Unsupported, match="layer '2' .*Pool2d.*(padding|not all alike)"):
            from_snntorch(row, shape)


def test_random_pools_around_random_convolutions() -> None:
    """Exact or refused: 120 stacks of a convolution or pooling, a pooling or convolution, and
    neurons.
    """
    rng = np.random.default_rng(3)
    exact = 0
    for seed in range(120):
        torch.manual_seed(seed)
        two = lambda low, high: tuple(int(n) for n in rng.integers(low, high, 2))  # noqa: E731
        kernel = two(1, 4)
        padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
        pool = nn.AvgPool2d(
            kernel,
            two(1, 4),
            padding if rng.random() < 0.4 else 0,
            bool(rng.random() < 0.2),
            bool(rng.random() < 0.6),
            [None, 1, 7][int(rng.integers(3))],
        )
        convolution = nn.Conv2d(
            2, 4, two(1, 3), two(1, 3), two(0, 2), two(1, 3), int(rng.integers(1, 3))
        )
        row = [pool, convolution] if seed % 2 else [convolution, pool]
        shape = (2, *two(12, 17))
        try:
            from_snntorch(row, shape)
        except Unsupported:
            continue
        exact += 1
        values(row, shape)
    assert exact > 30


MAXIMA = [
    nn.MaxPool2d(2),
    nn.MaxPool2d(3, stride=2, padding=1),
    nn.MaxPool2d(2, stride=1, dilation=2),
    nn.MaxPool2d(3, stride=2, ceil_mode=True),
    nn.AdaptiveMaxPool2d((3, 2)),
]


@pytest.mark.parametrize("pool", MAXIMA, ids=str)
def test_a_maximum_of_spikes_fires_when_any_does(pool: nn.Module) -> None:
    torch.manual_seed(0)
    shape = (3, 7, 8)
    size = pool(torch.zeros(1, *shape)).numel()
    row = [snn.Leaky(0.8, threshold=1.5), pool, nn.Flatten(), nn.Linear(size, 4), snn.Leaky(0.9)]
    model = assert_same(row, shape, highest=3, rate=0.15)
    assert [p.name for p in model.network.populations] == ["input", "layer0", "layer1", "layer4"]


def test_a_maximum_over_one_axis() -> None:
    torch.manual_seed(0)
    row = [
        snn.Leaky(0.8, threshold=1.5),
        nn.MaxPool1d(2),
        nn.Conv1d(3, 4, 2),
        snn.Leaky(0.7, threshold=0.3),
    ]
    assert_same(row, (3, 8), rate=0.2)


@pytest.mark.parametrize("first", [[], [nn.Identity()], [nn.Dropout()]])
def test_a_maximum_of_the_input_is_refused(first: list[nn.Module]) -> None:
    """Its counts may be above 1: the maximum of 2 and 3 is 3, no neuron of one spike says that."""
    with pytest.raises(
        Unsupported, match="MaxPool2d.: a maximum of the input.*counts may be above 1"
    ):
        from_snntorch([*first, nn.MaxPool2d(2), snn.Leaky(0.5)], (1, 4, 4))


def test_axes_are_pytorchs() -> None:
    torch.manual_seed(0)
    row = [
        nn.Conv2d(2, 3, 3, padding=1),
        nn.Flatten(2),  # [channel, position]
        snn.Leaky(0.7, threshold=torch.rand(20) * 0.4 + 0.2),  # one threshold for every position
        nn.Unflatten(2, (5, 4)),
        nn.Conv2d(3, 2, 2),
        nn.Flatten(1, -1),
        nn.Unflatten(1, (2, 12)),
        snn.Leaky(torch.tensor([[0.5], [0.9]]), threshold=0.3),
        nn.Flatten(-2),
        nn.Linear(24, 3),
    ]
    model = assert_same(row, (2, 4, 5), highest=2)
    assert len(set(model.parameters["layer2.threshold"])) == 20


def test_linear_works_on_the_last_axis() -> None:
    torch.manual_seed(0)
    row = [
        nn.Unflatten(1, (1, 6)),
        nn.Linear(6, 4),
        snn.Leaky(0.8, threshold=torch.rand(1, 4) * 0.3),
    ]
    assert_same(row, (6,))
    with pytest.raises(
        Unsupported, match=r"layer '0' .Linear.: it works on the last axis of \(2, 3\)"
    ):
        from_snntorch([nn.Linear(3, 4), snn.Leaky(0.5)], (2, 3))


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_batch_normalisation_uses_its_running_statistics(affine: bool, training: bool) -> None:
    """Evaluation mode, also of a module that is left in training mode."""
    torch.manual_seed(0)
    row: list[Any] = [
        nn.Conv1d(2, 4, 3),
        nn.BatchNorm1d(4, eps=0.1, momentum=None, affine=affine),
        snn.Leaky(0.8, threshold=0.3),
        nn.Flatten(),
        nn.Linear(24, 5, bias=False),
        nn.BatchNorm1d(5, affine=affine),
    ]
    for layer in (row[1], row[5]):
        layer.running_mean.normal_()
        layer.running_var.uniform_(0.2, 2)
        if affine:
            nn.init.normal_(layer.weight)
            nn.init.normal_(layer.bias)
    nn.ModuleList(row).train(training)
    model = from_snntorch(row, (2, 8), STEPS)
    x = counts(np.random.default_rng(0), (2, 8))
    trace = run_reference(model, x.reshape(STEPS, SAMPLES, -1))
    expected = simulate(row, x)
    assert np.array_equal(trace.spikes["layer2"], expected[2][0])
    assert np.allclose(trace.states["v.readout"], expected[-1][0])


def test_an_own_parametrization_gives_the_weights_that_it_makes() -> None:
    torch.manual_seed(0)
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(7, 5))
    with torch.no_grad():
        layer.parametrizations.weight.original0.fill_(2.5)
    assert_same([layer, snn.Leaky(0.8)], (7,))


def old_weight_norm() -> nn.Module:
    with pytest.warns(FutureWarning):
        return nn.utils.weight_norm(nn.Linear(4, 4))


REFUSED: list[tuple[Any, tuple[int, ...], type[NeurohwError], str]] = [
    (
        lambda: [nn.Linear(3, 3), nn.ReLU(), snn.Leaky(0.5)],
        (3,),
        Unsupported,
        "'1' .ReLU.: this layer",
    ),
    (lambda: [nn.Linear(3, 3), nn.Linear(3, 3)], (3,), Unsupported, "'1' .Linear.*second weighted"),
    (lambda: [nn.Linear(4, 3)], (3,), InvalidModel, "'0' .Linear.*weight has shape"),
    (lambda: [old_weight_norm()], (4,), Unsupported, "'0' .Linear.: it has hooks"),
    (lambda: [nn.Flatten(0)], (4,), Unsupported, "'0' .Flatten.: it joins the samples"),
    (
        lambda: [nn.BatchNorm1d(4)],
        (4,),
        Unsupported,
        "'0' .BatchNorm1d.: a batch normalisation needs",
    ),
    (
        lambda: [nn.Linear(4, 4), nn.BatchNorm1d(4, track_running_stats=False)],
        (4,),
        Unsupported,
        "'1' .BatchNorm1d.*running statistics",
    ),
    (lambda: [nn.Linear(4, 4), nn.BatchNorm1d(3)], (4,), InvalidModel, "'1'.*3 features"),
    (lambda: [nn.Conv2d(2, 2, 1)], (2, 4), InvalidModel, "'0' .Conv2d.: it takes 3 axes"),
    (lambda: [nn.Conv1d(2, 2, 1)], (2, 4, 4), InvalidModel, "'0' .Conv1d.: it takes 2 axes"),
    (lambda: [nn.AvgPool2d(2)], (4, 4), InvalidModel, "'0' .AvgPool2d.: it takes 3 axes"),
    (
        lambda: [nn.AvgPool2d(5)],
        (1, 4, 4),
        InvalidModel,
        r"'0' .AvgPool2d.: it does not take planes of \(4, 4\)",
    ),
    (
        lambda: [nn.AvgPool2d(2), nn.AvgPool2d(2)],
        (1, 8, 8),
        Unsupported,
        "'1'.*another pooling needs a neuron",
    ),
    (
        lambda: [snn.Leaky(0.5), nn.MaxPool2d(2, return_indices=True)],
        (1, 4, 4),
        Unsupported,
        "'1' .MaxPool2d.*return_indices",
    ),
    (
        lambda: [snn.Leaky(0.5), nn.MaxPool2d((1, 2), 1, (0, 1), (1, 3))],
        (1, 1, 2),
        Unsupported,
        "'1' .MaxPool2d.: a window lies outside",
    ),
    (
        lambda: [nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), snn.Leaky(0.5)],
        (1, 8, 8),
        Unsupported,
        "'1' .MaxPool2d.*maximum of currents",
    ),
    (lambda: [nn.Linear(3, 4), nn.Softmax(1)], (3,), Unsupported, "'1' .Softmax.: this layer"),
    (
        lambda: [nn.Conv2d(1, 2, 2), nn.Flatten(), nn.Unflatten(1, (1, 3, 6)), nn.AvgPool2d(2)],
        (1, 4, 4),
        Unsupported,
        "'3'.*in other axes",
    ),
]


@pytest.mark.parametrize(("make", "shape", "error", "message"), REFUSED)
def test_what_cannot_be_exact_is_refused(
    make: Any, shape: tuple[int, ...], error: type[NeurohwError], message: str
) -> None:
    with pytest.raises(error, match=f"layer {message}"):
        from_snntorch(make(), shape)


def test_windows_that_are_not_alike_are_synapses() -> None:
    model = from_snntorch([nn.AvgPool2d(3, 2, ceil_mode=True), snn.Leaky(0.5)], (2, 6, 6))
    assert isinstance(model.network.projections[0].connection, Sparse)
