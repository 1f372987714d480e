# SPDX-License-Identifier: Apache-2.0
"""Delays that learn: every synapse sends a spike through a Gaussian around its delay, which narrows
while training.

    p_ij[k] = exp(-(k - d_ij)^2 / (2 sigma^2)) / (sum over k' of the same + 1e-7)
              k = 0 .. L-1 steps after the shortest delay
    I_i[t] = sum over j and k of w_ij p_ij[k] s_j[t - shortest - k]

This is the convolution with learnable spacings of Hammouamri, Khalfaoui-Hassani, Masquelier (ICLR
2024): with position P, L taps and their SIG, d = floor(L/2) - P and sigma = |SIG| + 0.27. At the
end delays are rounded, and the Gaussian is a single step.

A sigma is far smaller than L most of the time: only the `taps` steps around a delay are computed,
at least CUT sigma to each side, and the sum is over these. With all L taps the result is that of
the full convolution. On the processor, float32 runs in C++ (`delays.cpp`), event driven; everything
else is a convolution over time in PyTorch.
"""

import ctypes
import functools
import math
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as nn_functional

from neurohw.errors import MissingTool
from neurohw.native_library import FLAGS, compiled

SOURCE = Path(__file__).with_name("delays.cpp")
WIDTHS = (4, 8, 16, 32, 64)  # taps that the C++ has code for
CUT = 4.0  # sigmas; what is left out weighs less than 4e-4 of a synapse
SMALLEST = 1e-7


@functools.cache
def _library() -> ctypes.CDLL | None:
    """The compiled operators, or None, with a warning, without a compiler."""
    try:
        return compiled(SOURCE, (*FLAGS, "-ffp-contract=fast", "-fno-math-errno"))
    except MissingTool as error:
        warnings.warn(
            f"{error}; delays are trained by dense convolutions, about ten times slower",
            stacklevel=2,
        )
        return None


def taps_for(sigma: float, length: int) -> int:
    """Taps that reach CUT sigma to both sides of any delay, in a width that the C++ has, at most
    `length`.
    """
    needed = min(length, math.ceil(2 * CUT * sigma))
    return min(length, next((w for w in WIDTHS if w >= needed), length))


def _usable(*tensors: Tensor, taps: int) -> ctypes.CDLL | None:
    if taps > WIDTHS[-1] or any(
        t.dtype != torch.float32 or t.device.type != "cpu" for t in tensors
    ):
        return None
    return _library()


def _address(tensor: Tensor | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())


def _width(taps: int) -> int:
    return next(w for w in WIDTHS if w >= taps)


class _GaussianKernel(torch.autograd.Function):
    """Kernel [source, target, width] and first tap [source, target] of weights and delays [target,
    source].
    """

    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, delay: Tensor, sigma: float, length: int, taps: int
    ) -> tuple[Tensor, Tensor]:
        library = _library()
        assert library is not None
        weight, delay = weight.contiguous(), delay.contiguous()
        targets, sources = weight.shape
        kernel = torch.empty(sources, targets, _width(taps))
        first = torch.empty(sources, targets, dtype=torch.int32)
        library.neurohw_delay_kernel(
            *(ctypes.c_int64(n) for n in (sources, targets, length, taps, kernel.shape[2])),
            ctypes.c_float(sigma),
            *(_address(t) for t in (weight, delay, kernel, first)),
            ctypes.c_int32(torch.get_num_threads()),
        )
        ctx.save_for_backward(weight, delay, first)
        ctx.sigma, ctx.taps = sigma, taps
        ctx.mark_non_differentiable(first)
        return kernel, first

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        weight, delay, first = ctx.saved_tensors
        library = _library()
        assert library is not None
        given = gradients[0].contiguous()
        dweight, ddelay = torch.empty_like(weight), torch.empty_like(delay)
        targets, sources = weight.shape
        library.neurohw_delay_kernel_gradient(
            *(ctypes.c_int64(n) for n in (sources, targets, ctx.taps, given.shape[2])),
            ctypes.c_float(ctx.sigma),
            *(_address(t) for t in (weight, delay, first, given, dweight, ddelay)),
            ctypes.c_int32(torch.get_num_threads()),
        )
        return dweight, ddelay, None, None, None


class _Delayed(torch.autograd.Function):
    """Spikes [time, sample, source] through kernel [source, target, width] to currents [time,
    sample, target].
    """

    @staticmethod
    def forward(
        ctx: Any, spikes: Tensor, kernel: Tensor, first: Tensor, lowest: int, reach: int
    ) -> Tensor:
        library = _library()
        assert library is not None
        spikes, kernel, first = spikes.contiguous(), kernel.contiguous(), first.contiguous()
        steps, samples, sources = spikes.shape
        targets, width = kernel.shape[1:]
        shape = (ctypes.c_int64 * 6)(steps, samples, sources, targets, lowest, reach + width)
        current = torch.empty(steps, samples, targets)
        library.neurohw_delayed(
            shape,
            ctypes.c_int64(width),
            *(_address(t) for t in (spikes, kernel, first, current)),
            ctypes.c_int32(torch.get_num_threads()),
        )
        ctx.save_for_backward(spikes, kernel, first)
        ctx.shape = shape
        return current

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        spikes, kernel, first = ctx.saved_tensors
        library = _library()
        assert library is not None
        given = gradients[0].contiguous()
        dspikes = torch.empty_like(spikes) if ctx.needs_input_grad[0] else None
        dkernel = torch.empty_like(kernel) if ctx.needs_input_grad[1] else None
        library.neurohw_delayed_gradient(
            ctx.shape,
            ctypes.c_int64(kernel.shape[2]),
            *(_address(t) for t in (spikes, given, kernel, first, dkernel, dspikes)),
            ctypes.c_int32(torch.get_num_threads()),
        )
        return dspikes, dkernel, None, None, None


def gaussian(delay: Tensor, sigma: float, length: int, taps: int) -> Tensor:
    """p [..., length] of delays [...] counted from the shortest:

    0 outside of the `taps` steps around each.
    """
    steps = torch.arange(length, dtype=delay.dtype, device=delay.device)
    begin = torch.floor(delay.detach() - 0.5 * (taps - 1) + 0.5).clamp(0, length - taps)[..., None]
    inside = (steps >= begin) & (steps < begin + taps)
    g = torch.exp(-((steps - delay[..., None]) ** 2) / (2 * sigma**2)) * inside
    return g / (g.sum(-1, keepdim=True) + SMALLEST)


def convolve(spikes: Tensor, kernel: Tensor, lowest: int) -> Tensor:
    """Spikes [time, sample, source] through kernel [target, source, step] to currents [time,
    sample, target]: plain PyTorch.
    """
    steps, length = spikes.shape[0], kernel.shape[2]
    padded = nn_functional.pad(spikes.permute(1, 2, 0), (lowest + length - 1, 0))[
        ..., : steps + length - 1
    ]
    return nn_functional.conv1d(padded, kernel.flip(2)).permute(2, 0, 1)


def gaussian_current(
    spikes: Tensor,
    weight: Tensor,
    delay: Tensor,
    sigma: float,
    shortest: int,
    longest: int,
    taps: int | None = None,
) -> Tensor:
    """Currents [time, sample, target] of spikes [time, sample, source], differentiable in all three
    tensors.

    weight, delay: [target, source], delays in steps from `shortest` to `longest`; sigma in steps.
    taps: None for those that reach CUT sigma.
    """
    length = longest - shortest + 1
    taps = min(taps or taps_for(sigma, length), length)
    relative = delay - shortest if shortest else delay
    if _usable(spikes, weight, delay, taps=taps) is None:
        return convolve(
            spikes, weight[..., None] * gaussian(relative, sigma, length, taps), shortest
        )
    kernel, first = _GaussianKernel.apply(weight, relative, sigma, length, taps)  # type: ignore[no-untyped-call]
    result: Tensor = _Delayed.apply(spikes, kernel, first, shortest, length)  # type: ignore[no-untyped-call]
    return result


def whole_current(
    spikes: Tensor, weight: Tensor, delay: Tensor, shortest: int, longest: int
) -> Tensor:
    """Currents with delays of whole steps [target, source], differentiable in spikes and weight."""
    if _usable(spikes, weight, taps=1) is None:
        steps = torch.arange(shortest, longest + 1, dtype=delay.dtype, device=delay.device)
        return convolve(
            spikes, weight[..., None] * (delay[..., None] == steps).to(weight.dtype), shortest
        )
    kernel = nn_functional.pad(weight.T[..., None], (0, WIDTHS[0] - 1))
    first = (delay.T - shortest).to(torch.int32)
    result: Tensor = _Delayed.apply(spikes, kernel, first, shortest, longest - shortest)  # type: ignore[no-untyped-call]
    return result


def gaussian_of_sources(
    spikes: Tensor, delay: Tensor, sigma: float, shortest: int, longest: int
) -> Tensor:
    """Spikes [time, sample, source] behind axons whose delays [source] learn: smoothed and late,
    before any weight.
    """
    kernel = gaussian(delay - shortest, sigma, longest - shortest + 1, longest - shortest + 1)
    steps, samples, sources = spikes.shape
    length = kernel.shape[1]
    padded = nn_functional.pad(spikes.permute(1, 2, 0), (shortest + length - 1, 0))[
        ..., : steps + length - 1
    ]
    late = nn_functional.conv1d(padded, kernel.flip(1)[:, None], groups=sources)
    return late.permute(2, 0, 1)
