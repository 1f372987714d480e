# SPDX-License-Identifier: Apache-2.0
"""Surrogate gradients: the spike is a step going forward and a smooth bump going back.

Each function returns the spikes (u >= threshold) as 0 and 1 in the dtype of u. Its derivative by u,
at x = u - threshold and slope k:

    arctan         k/2 / (1 + (pi/2 k x)^2)
                   Fang et al. 2021, Incorporating learnable membrane time constants, eq. 12
    fast_sigmoid   1 / (1 + k |x|)^2               Zenke and Ganguli 2018, SuperSpike
    triangular     k max(0, 1 - k |x|)
                   Bellec et al. 2018, Long short-term memory in spiking networks
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from neurohw.errors import InvalidModel

SpikeFunction = Callable[[Tensor, Tensor], Tensor]
SLOPES = {"arctan": 2.0, "fast_sigmoid": 5.0, "triangular": 1.0}  # where none is given


def _sum_to(gradient: Tensor, shape: torch.Size) -> Tensor:
    """The gradient of a broadcast operand: summed over the axes along which it was repeated."""
    return gradient.sum_to_size(shape)


class _Arctan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: Tensor, threshold: Tensor, slope: float) -> Tensor:
        ctx.save_for_backward(u, threshold)
        ctx.slope = slope
        return (u >= threshold).to(u.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:  # type: ignore[override]
        u, threshold = ctx.saved_tensors
        x = (u - threshold) * (math.pi / 2 * ctx.slope)
        result = gradient * (ctx.slope / 2) / (1 + x * x)
        return result, -_sum_to(result, threshold.shape) if ctx.needs_input_grad[1] else None, None


class _FastSigmoid(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: Tensor, threshold: Tensor, slope: float) -> Tensor:
        ctx.save_for_backward(u, threshold)
        ctx.slope = slope
        return (u >= threshold).to(u.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:  # type: ignore[override]
        u, threshold = ctx.saved_tensors
        result = gradient / (1 + ctx.slope * (u - threshold).abs()) ** 2
        return result, -_sum_to(result, threshold.shape) if ctx.needs_input_grad[1] else None, None


class _Triangular(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: Tensor, threshold: Tensor, slope: float) -> Tensor:
        ctx.save_for_backward(u, threshold)
        ctx.slope = slope
        return (u >= threshold).to(u.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:  # type: ignore[override]
        u, threshold = ctx.saved_tensors
        result = gradient * ctx.slope * (1 - ctx.slope * (u - threshold).abs()).clamp_min(0)
        return result, -_sum_to(result, threshold.shape) if ctx.needs_input_grad[1] else None, None


def arctan(u: Tensor, threshold: Tensor, slope: float = SLOPES["arctan"]) -> Tensor:
    """Spikes of the shape of u, with the arctan derivative."""
    return _Arctan.apply(u, threshold, slope)  # type: ignore[no-any-return]


def fast_sigmoid(u: Tensor, threshold: Tensor, slope: float = SLOPES["fast_sigmoid"]) -> Tensor:
    """Spikes of the shape of u, with the fast-sigmoid derivative."""
    return _FastSigmoid.apply(u, threshold, slope)  # type: ignore[no-any-return]


def triangular(u: Tensor, threshold: Tensor, slope: float = SLOPES["triangular"]) -> Tensor:
    """Spikes of the shape of u, with the triangular derivative."""
    return _Triangular.apply(u, threshold, slope)  # type: ignore[no-any-return]


SURROGATES = {"arctan": arctan, "fast_sigmoid": fast_sigmoid, "triangular": triangular}


def surrogate(name: str, slope: float | None = None) -> SpikeFunction:
    """The spike function of that name with its slope fixed (None: its default);

    InvalidModel for an unknown name or slope <= 0.
    """
    if name not in SURROGATES:
        raise InvalidModel(f"unknown surrogate {name!r}: known are {', '.join(SURROGATES)}")
    if slope is None:
        return SURROGATES[name]
    if not slope > 0:
        raise InvalidModel(f"surrogate {name!r}: the slope must be above 0, not {slope}")
    return partial(SURROGATES[name], slope=slope)
