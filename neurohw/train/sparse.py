"""Products of spikes with sparse projections, and their gradients: nothing is ever as large as all pairs of neurons.

On the processor they are event driven, in C++ (`sparse.cpp`); elsewhere PyTorch gathers and adds synapse by synapse. PyTorch's own product with a sparse matrix has a
gradient that passes through a dense one.
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

SOURCE = Path(__file__).with_name("sparse.cpp")
CODES = {torch.float32: "float", torch.float64: "double"}
GATHERED = 1 << 24  # values that PyTorch gathers at once


@functools.cache
def _library() -> ctypes.CDLL | None:
    """The compiled operators, or None, with a warning, without a compiler."""
    try:
        return compiled(SOURCE, FLAGS)
    except MissingTool as error:
        warnings.warn(f"{error}; sparse projections are trained by gathering every synapse, several times slower", stacklevel=2)  # fmt: skip
        return None


class SynapseTable:
    """The ends of synapses (target, source: whole numbers [synapse]) of a matrix [target, source], sorted by source.

    order: the synapses in the order of the table. first: where those of each source begin [source + 1].
    """

    def __init__(self, target: Tensor, source: Tensor, shape: tuple[int, int]) -> None:
        self.shape = shape
        self.order = torch.argsort(source, stable=True)
        sizes = torch.bincount(source, minlength=shape[1])
        self.first = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
        self.target, self.source = target[self.order].to(torch.int32), source[self.order].to(torch.int32)


def _call(name: str, table: SynapseTable, left: Tensor, right: Tensor, result: Tensor, rows: int) -> Tensor | None:
    """One operator of sparse.cpp into `result`, or None where it does not run."""
    if result.device.type != "cpu" or result.dtype not in CODES or _library() is None:
        return None
    kept = [t.contiguous() for t in (table.first, table.target, left, right, result)]  # alive until C++ has read them
    getattr(_library(), f"neurohw_sparse_{name}_{CODES[result.dtype]}")(
        (ctypes.c_int64 * 3)(rows, table.shape[1], table.shape[0]),
        *(ctypes.c_void_p(t.data_ptr()) for t in kept),
        ctypes.c_int32(torch.get_num_threads()),
    )
    return result


def _parts(table: SynapseTable, rows: int) -> list[slice]:
    """Synapses in pieces of which PyTorch gathers one at once."""
    size = max(1, GATHERED // rows)
    return [slice(begin, begin + size) for begin in range(0, len(table.order), size)]


def _product(spikes: Tensor, weight: Tensor, table: SynapseTable) -> Tensor:
    result = spikes.new_empty(len(spikes), table.shape[0])
    if _call("product", table, weight, spikes, result, len(spikes)) is None:
        result.zero_()
        for k in _parts(table, len(spikes)):
            result.index_add_(1, table.target[k], spikes[:, table.source[k]] * weight[k])
    return result


def _by_weight(spikes: Tensor, given: Tensor, table: SynapseTable) -> Tensor:
    result = spikes.new_empty(len(table.order))
    if _call("by_weight", table, spikes, given, result, len(spikes)) is None:
        for k in _parts(table, len(spikes)):
            result[k] = (spikes[:, table.source[k]] * given[:, table.target[k]]).sum(0)
    return result


def _by_spikes(weight: Tensor, given: Tensor, table: SynapseTable) -> Tensor:
    result = given.new_empty(len(given), table.shape[1])
    if _call("by_spikes", table, weight, given, result, len(given)) is None:
        result.zero_()
        for k in _parts(table, len(given)):
            result.index_add_(1, table.source[k], given[:, table.target[k]] * weight[k])
    return result


class _SparseProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, spikes: Tensor, weight: Tensor, table: SynapseTable) -> Tensor:
        ctx.save_for_backward(spikes, weight)
        ctx.table = table
        return _product(spikes, weight, table)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        spikes, weight = ctx.saved_tensors
        by_spikes = _by_spikes(weight, gradients[0], ctx.table) if ctx.needs_input_grad[0] else None
        by_weight = _by_weight(spikes, gradients[0], ctx.table) if ctx.needs_input_grad[1] else None
        return by_spikes, by_weight, None


def sparse_product(spikes: Tensor, weight: Tensor, table: SynapseTable) -> Tensor:
    """Spikes [..., source] through weights [synapse], in the order of the table: [..., target], differentiable by both."""
    flat: Tensor = _SparseProduct.apply(spikes.reshape(-1, table.shape[1]), weight, table)  # type: ignore[no-untyped-call]
    return flat.reshape(*spikes.shape[:-1], table.shape[0])
