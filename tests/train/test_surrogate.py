# SPDX-License-Identifier: Apache-2.0
"""Surrogates: a step going forward, the documented derivative going back."""

import math

import pytest
import torch

from neurohw.errors import InvalidModel
from neurohw.neurons import Lif
from neurohw.train.functional import Constants, NeuronState, lif_step
from neurohw.train.surrogate import SURROGATES, arctan, fast_sigmoid, surrogate, triangular


@pytest.mark.parametrize("name", SURROGATES)
def test_the_spike_is_a_step_that_includes_the_threshold(name: str) -> None:
    u = torch.tensor([0.5, 1.0 - 1e-12, 1.0, 1.5], dtype=torch.float64)
    assert surrogate(name)(u, torch.tensor(1.0, dtype=torch.float64)).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("function", "slope", "antiderivative"),
    [
        (arctan, 2.0, lambda x, k: torch.atan(math.pi / 2 * k * x) / math.pi),
        (fast_sigmoid, 5.0, lambda x, k: x / (1 + k * x.abs())),
        (
            triangular,
            1.5,
            lambda x, k: torch.where(
                x.abs() < 1 / k, k * x - k * k * x * x.abs() / 2, x.sign() / 2
            ),
        ),
    ],
)
def test_the_derivative_is_that_of_the_smooth_step(function, slope, antiderivative) -> None:
    # The surrogate's gradient must equal autograd's gradient of its antiderivative.
    x = torch.linspace(-2, 2, 41, dtype=torch.float64)
    threshold = torch.tensor(0.75, dtype=torch.float64, requires_grad=True)
    u = (x + 0.75).requires_grad_()
    function(u, threshold, slope).sum().backward()
    smooth = x.clone().requires_grad_()
    antiderivative(smooth, slope).sum().backward()
    torch.testing.assert_close(u.grad, smooth.grad)
    torch.testing.assert_close(threshold.grad, -smooth.grad.sum())


def test_unknown_names_and_slopes_are_refused() -> None:
    with pytest.raises(InvalidModel, match="arctan"):
        surrogate("step")
    with pytest.raises(InvalidModel, match="slope"):
        surrogate("arctan", 0.0)


def test_a_detached_soft_reset_leaves_the_gradient_of_the_membrane_alone() -> None:
    current = torch.tensor([[1.5]], dtype=torch.float64, requires_grad=True)
    zero = torch.zeros(1, 1, dtype=torch.float64)
    threshold = torch.ones(1, dtype=torch.float64)
    gradients = []
    for detach in (True, False):
        _, state = lif_step(
            Lif(0.5),
            Constants(0.5, threshold=threshold),
            current,
            NeuronState(zero, zero, zero, zero),
            arctan,
            detach,
        )
        gradients.append(torch.autograd.grad(state.v.sum(), current)[0].item())
    bump = 1 / (1 + (math.pi * 0.5) ** 2)
    assert gradients == pytest.approx([1.0, 1.0 - bump])
