# SPDX-License-Identifier: Apache-2.0
"""Straight-through quantization of weights with a learned step (Esser et al.

2020, Learned step size quantization).
"""

from typing import Any

import torch
from torch import Tensor

from neurohw.connections import Convolution, Sparse
from neurohw.errors import InvalidModel
from neurohw.fixedpoint import IntFormat
from neurohw.network import Network


class _Round(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return values.round()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return gradient


def straight_round(values: Tensor) -> Tensor:
    """The nearest whole numbers, ties to even; the gradient passes as if nothing was rounded."""
    return _Round.apply(values)  # type: ignore[no-any-return]


def weight_limits(bits: int, symmetric: bool) -> tuple[int, int]:
    """Smallest and largest integer weight.

    symmetric: leave out -2^(bits-1), because a batch normalisation with a negative gamma flips the
        sign of a row when it is folded.
    """
    limits = IntFormat(bits)
    return (-limits.max if symmetric else limits.min), limits.max


def integer_weights(weight: Tensor, step: Tensor, limits: tuple[int, int]) -> Tensor:
    """round(clip(weight / step)), ties to even; step broadcasts against weight.

    The rounding passes the gradient through.
    """
    return straight_round((weight / step).clamp(*limits))


def fake_quantize(weight: Tensor, step: Tensor, limits: tuple[int, int]) -> Tensor:
    """step * round(clip(weight / step)), differentiable by weight and step, which broadcasts
    against weight.
    """
    return integer_weights(weight, step, limits) * step


def check_quantizable(network: Network, bits: int) -> None:
    """Raise InvalidModel where weights of `bits` bits with learned steps cannot be trained."""
    if not 2 <= bits <= 8:
        raise InvalidModel(f"weights have 2 to 8 bits, not {bits}")
    for modulation in network.modulations:
        if modulation.effect == "threshold":
            raise InvalidModel(
                f"modulation {modulation.name!r}: {modulation.source!r} and "
                f"{modulation.target!r} share scales that are powers of two, which are not "
                "learned; train in float and quantize afterwards"
            )
    for population in network.populations[1:]:
        incoming = network.into(population.name)
        if len(incoming) > 1:
            names = ", ".join(p.name for p in incoming)
            raise InvalidModel(
                f"population {population.name!r} has {len(incoming)} incoming projections "
                f"({names}), which share one scale: steps can be learned for one projection "
                "only; train in float and quantize afterwards"
            )
        connection = incoming[0].connection
        if isinstance(connection, Sparse) or (
            isinstance(connection, Convolution) and population.channels is None
        ):
            raise InvalidModel(
                f"projection {incoming[0].name!r}: weight steps can be learned for dense "
                "projections and for convolutions into a population with channels; train in "
                "float and quantize afterwards"
            )
