# SPDX-License-Identifier: Apache-2.0
"""Products of spikes with sparse weights: forward, backward and optimizer hold one number per
synapse, and never a matrix [target, source].

    current_i = sum over synapses k with target_k = i of w_k s_source_k
    dL/dw_k   = sum over rows of dL/dcurrent_target_k s_source_k
              computed where synapses are, and nowhere else
    dL/ds_j   = sum over synapses k with source_k = j of w_k dL/dcurrent_target_k

Rows are samples, or samples and steps. PyTorch's own product of a sparse with a dense matrix makes
its gradient [target, source] before it picks the synapses.
"""

import functools
import warnings
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

INT16 = 1 << 15


class Compressed(NamedTuple):
    """Synapses in the order of one of their ends: where each neuron's begin [neuron + 1], the other
    end and the number of each synapse [synapse].
    """

    begin: Tensor
    other: Tensor
    order: Tensor


class Layout(NamedTuple):
    """Where the synapses of a projection are, for both directions; sizes of target and source."""

    by_target: Compressed
    by_source: Compressed
    shape: tuple[int, int]


@functools.cache
def _announced() -> None:
    """Take the one warning of PyTorch that its compressed matrices are new."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.sparse_csr_tensor(
            torch.tensor([0, 0]), torch.empty(0, dtype=torch.int64), torch.empty(0), (1, 1)
        )


def _compressed(end: Tensor, other: Tensor, size: int) -> Compressed:
    keys = end.to(torch.int16) if size <= INT16 else end  # five times faster to sort
    order = torch.argsort(keys, stable=True)
    begin = torch.zeros(size + 1, dtype=torch.int64, device=end.device)
    begin[1:] = torch.bincount(end, minlength=size).cumsum(0)
    return Compressed(begin, other[order], order)


def layout(target: Tensor, source: Tensor, shape: tuple[int, int]) -> Layout:
    """The layout of synapses with these ends [synapse] between populations of shape (targets,
    sources).
    """
    target, source = target.long(), source.long()
    return Layout(
        _compressed(target, source, shape[0]), _compressed(source, target, shape[1]), shape
    )


def _matrix(part: Compressed, values: Tensor, shape: tuple[int, int]) -> Tensor:
    _announced()
    return torch.sparse_csr_tensor(part.begin, part.other, values, shape, check_invariants=False)


def _by_weight(where: Layout, given: Tensor, spikes: Tensor) -> Tensor:
    """The gradient by the weights [synapse] from the one by the currents [target, row] and the
    spikes [row, source].
    """
    part, (targets, sources) = where.by_target, where.shape
    result = given.new_empty(len(part.order))
    if (
        len(result) > targets * sources
        # pairs come twice: the matrix is the smaller of the two, and the product below takes no
        # more
    ):
        target = torch.repeat_interleave(
            torch.arange(targets, device=given.device), part.begin.diff()
        )
        found = (given @ spikes)[target, part.other]
    else:
        found = torch.sparse.sampled_addmm(
            _matrix(part, torch.zeros_like(result), where.shape), given, spikes
        ).values()
    result[part.order] = found
    return result


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, spikes: Tensor, where: Layout) -> Tensor:
        ctx.save_for_backward(weight, spikes)
        ctx.where = where
        return (
            _matrix(where.by_target, weight[where.by_target.order], where.shape)
            @ spikes.T.contiguous()
        ).T

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, Tensor | None, None]:
        weight, spikes = ctx.saved_tensors
        where, given = ctx.where, gradients[0].T.contiguous()  # [target, row]
        by_weight = by_spikes = None
        if ctx.needs_input_grad[0]:
            by_weight = _by_weight(where, given, spikes.contiguous())
        if ctx.needs_input_grad[1]:
            part = where.by_source
            by_spikes = (_matrix(part, weight[part.order], where.shape[::-1]) @ given).T
        return by_weight, by_spikes, None


def sparse_product(spikes: Tensor, weight: Tensor, where: Layout) -> Tensor:
    """spikes [..., source] through weights [synapse] that lie where `where` says: [..., target]."""
    targets, sources = where.shape
    rows: Tensor = _Product.apply(weight, spikes.reshape(-1, sources), where)  # type: ignore[no-untyped-call]
    return rows.reshape(*spikes.shape[:-1], targets)
