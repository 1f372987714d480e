# SPDX-License-Identifier: Apache-2.0
"""Events of spikes, and products of spikes with dense weights: event driven where few neurons fire,
a matrix product where many do.

Spikes are 95 % zeros: an event adds one row of weights to the sums of its step, so that the work is
that of the events and not of all pairs. The operator counts the events first and falls back to the
matrix product above DENSEST, where that was measured to be faster; so it never loses much. Only the
products of the spikes are sparse: their gradient is dense in time, and stays a matrix product.
float32 on the processor; everything else is a matrix product.
"""

import ctypes
import functools
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from neurohw.errors import MissingTool
from neurohw.native_library import compiled

SOURCE = Path(__file__).with_name("events.cpp")
DENSEST = 0.25  # events per value above which the matrix product is taken
LEAST = 1 << 20  # multiply-adds below which counting events does not pay


@functools.cache
def _library() -> ctypes.CDLL | None:
    """The compiled operators, or None, with a warning, without a compiler."""
    try:
        library = compiled(SOURCE)
        library.neurohw_events_find.restype = ctypes.c_void_p
        return library
    except MissingTool as error:
        warnings.warn(
            f"{error}; spikes are multiplied with weights as if all neurons fired", stacklevel=2
        )
        return None


class Events(NamedTuple):
    """The events of spikes [row, source], row after row: where each row begins [row + 1], sources,
    and values, or none where all are 1.
    """

    first: Tensor
    source: Tensor
    value: Tensor | None


LINE = 16  # floats: targets are padded to whole lines


def padded(rows: Tensor) -> Tensor:
    """Rows of weights [source, target], each padded with 0 to whole lines, contiguous."""
    return pad(rows, (0, -rows.shape[-1] % LINE)).contiguous()


def address(tensor: Tensor | None) -> ctypes.c_void_p:
    """For C++: null for None."""
    return ctypes.c_void_p(None if tensor is None or not tensor.numel() else tensor.data_ptr())


def _sizes(*sizes: int) -> tuple[ctypes.c_int64, ...]:
    return tuple(ctypes.c_int64(size) for size in sizes)


def _threads() -> ctypes.c_int32:
    return ctypes.c_int32(torch.get_num_threads())


def is_bytes(spikes: Tensor) -> bool:
    """True for counts of spikes that take a byte each, a quarter of what has to be read."""
    return spikes.dtype in (torch.uint8, torch.bool)


def find_events(spikes: Tensor) -> Events | None:
    """The events of float32 spikes or bytes (see `is_bytes`) [..., source] on the processor;

    None if more than DENSEST of the values are events, and without a compiler.
    """
    library = _library()
    if library is None:
        return None
    spikes = spikes.detach().contiguous().reshape(-1, spikes.shape[-1])
    sizes = _sizes(*spikes.shape)
    first, ones = torch.empty(len(spikes) + 1, dtype=torch.int64), ctypes.c_int32()
    room = ctypes.c_int64(int(DENSEST * spikes.numel()))
    stored = (address(spikes), ctypes.c_int32(is_bytes(spikes)))
    found = library.neurohw_events_find(
        *sizes, *stored, room, address(first), ctypes.byref(ones), _threads()
    )
    if found is None:
        return None
    source = torch.empty(int(first[-1]), dtype=torch.int32)
    value = None if ones.value else torch.empty(len(source))
    taken = (address(t) for t in (first, source, value))
    library.neurohw_events_take(ctypes.c_void_p(found), *sizes, *stored, *taken)
    return Events(first, source, value)


@torch.library.custom_op("neurohw::event_product", mutates_args=(), device_types="cpu")
def event_product(spikes: Tensor, weight: Tensor) -> Tensor:
    """spikes [row, source] times weight [target, source], transposed: [row, target]."""
    spikes = spikes.contiguous()
    found = find_events(spikes)
    library = _library()
    if found is None or library is None:
        return spikes @ weight.T
    by_source = padded(weight.T)
    result = torch.empty(len(spikes), by_source.shape[1])
    library.neurohw_event_product(
        *_sizes(*result.shape), *(address(t) for t in (*found, by_source, result)), _threads()
    )
    return result if result.shape[1] == len(weight) else result[:, : len(weight)].contiguous()


@torch.library.custom_op("neurohw::event_product_gradient", mutates_args=(), device_types="cpu")
def event_product_gradient(spikes: Tensor, given: Tensor) -> Tensor:
    """The gradient by the weight [target, source] of spikes [row, source] from the one by their
    product [row, target].
    """
    spikes = spikes.contiguous()
    found = find_events(spikes)
    library = _library()
    if found is None or library is None:
        return given.T @ spikes
    targets, given = given.shape[1], padded(given)
    result = torch.empty(spikes.shape[1], given.shape[1])
    sizes = _sizes(*spikes.shape, given.shape[1])
    library.neurohw_event_product_gradient(
        *sizes, *(address(t) for t in (*found, given, result)), _threads()
    )
    return result[:, :targets].T.contiguous()


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


@torch.compiler.assume_constant_result
def _available() -> bool:
    return _library() is not None


def product(spikes: Tensor, weight: Tensor) -> Tensor:
    """spikes [..., source] times weight [target, source]: [..., target]."""
    work = spikes.numel() * weight.shape[0]
    plain = weight.dtype != torch.float32 or weight.device.type != "cpu" or work < LEAST
    if plain or not _available():
        return spikes @ weight.T
    result: Tensor = event_product(spikes.reshape(-1, spikes.shape[-1]), weight)
    return result.reshape(*spikes.shape[:-1], weight.shape[0])
