"""Products of spikes with dense weights: event driven where few neurons fire, a matrix product where many do.

Spikes are 95 % zeros: an event adds one row of weights to the sums of its step, so that the work is that of the events and not of all pairs. The operator counts
the events first and falls back to the matrix product above DENSEST, where that was measured to be faster; so it never loses much. Only the products of the spikes
are sparse: their gradient is dense in time, and stays a matrix product. float32 on the processor; everything else is a matrix product.
"""

import ctypes
import functools
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neurohw.errors import MissingTool
from neurohw.native_library import FLAGS, compiled

SOURCE = Path(__file__).with_name("events.cpp")
DENSEST = 0.25  # events per value above which the matrix product is taken
LEAST = 1 << 20  # multiply-adds below which counting events does not pay


@functools.cache
def _library() -> ctypes.CDLL | None:
    """The compiled operators, or None, with a warning, without a compiler."""
    try:
        library = compiled(SOURCE, (*FLAGS, "-ffp-contract=fast"))
        library.neurohw_events.restype = ctypes.c_int64
        return library
    except MissingTool as error:
        warnings.warn(f"{error}; spikes are multiplied with weights as if all neurons fired", stacklevel=2)
        return None


def _address(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


def _sizes(*sizes: int) -> tuple[ctypes.c_int64, ...]:
    return tuple(ctypes.c_int64(size) for size in sizes)


def _events(spikes: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
    """The events of spikes [row, source]: where each row begins [row + 1], sources and values; None if more than DENSEST of the values are events."""
    library = _library()
    assert library is not None
    rows, sources = spikes.shape
    room = int(DENSEST * rows * sources)
    first = torch.empty(rows + 1, dtype=torch.int64)
    source, value = torch.empty(room, dtype=torch.int32), torch.empty(room)
    count = library.neurohw_events(
        *_sizes(rows, sources), _address(spikes), *_sizes(room), *(_address(t) for t in (first, source, value))
    )
    return None if count > room else (first, source, value)


@torch.library.custom_op("neurohw::event_product", mutates_args=(), device_types="cpu")
def event_product(spikes: Tensor, weight: Tensor) -> Tensor:
    """spikes [row, source] times weight [target, source], transposed: [row, target]."""
    spikes = spikes.contiguous()
    found = _events(spikes)
    if found is None:
        return spikes @ weight.T
    library = _library()
    assert library is not None
    by_source = weight.T.contiguous()
    result = torch.empty(spikes.shape[0], weight.shape[0])
    library.neurohw_event_product(
        *_sizes(*result.shape),
        *(_address(t) for t in (*found, by_source, result)),
        ctypes.c_int32(torch.get_num_threads()),
    )
    return result


@torch.library.custom_op("neurohw::event_product_gradient", mutates_args=(), device_types="cpu")
def event_product_gradient(spikes: Tensor, given: Tensor) -> Tensor:
    """The gradient by the weight [target, source] of spikes [row, source] from the one by their product [row, target]."""
    spikes, given = spikes.contiguous(), given.contiguous()
    found = _events(spikes)
    if found is None:
        return given.T @ spikes
    library = _library()
    assert library is not None
    result = torch.empty(spikes.shape[1], given.shape[1])
    library.neurohw_event_product_gradient(
        *_sizes(*spikes.shape, given.shape[1]),
        *(_address(t) for t in (*found, given, result)),
        ctypes.c_int32(torch.get_num_threads()),
    )
    return result.T.contiguous()


@event_product.register_fake
def _(spikes: Tensor, weight: Tensor) -> Tensor:
    return spikes.new_empty(spikes.shape[0], weight.shape[0])


@event_product_gradient.register_fake
def _(spikes: Tensor, given: Tensor) -> Tensor:
    return spikes.new_empty(given.shape[1], spikes.shape[1])


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _back(ctx: Any, given: Tensor) -> tuple[Tensor | None, Tensor | None]:
    spikes, weight = ctx.saved_tensors
    by_spikes = given @ weight if ctx.needs_input_grad[0] else None
    return by_spikes, event_product_gradient(spikes, given) if ctx.needs_input_grad[1] else None


event_product.register_autograd(_back, setup_context=_keep)


def product(spikes: Tensor, weight: Tensor) -> Tensor:
    """spikes [..., source] times weight [target, source]: [..., target]."""
    work = spikes.numel() * weight.shape[0]
    plain = weight.dtype != torch.float32 or weight.device.type != "cpu" or work < LEAST
    if plain or _library() is None:
        return spikes @ weight.T
    result: Tensor = event_product(spikes.reshape(-1, spikes.shape[-1]), weight)
    return result.reshape(*spikes.shape[:-1], weight.shape[0])
