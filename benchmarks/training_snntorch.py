# SPDX-License-Identifier: Apache-2.0
"""The network in snnTorch:

Leaky and RLeaky in a loop over time. Its reset acts one step later, and a spike is u > threshold.
"""

import math
from typing import Any

import snntorch as snn
import torch
from snntorch import surrogate
from torch import Tensor, nn
from training_worker import Built, linear, main
from training_workload import DECAY


class Arctan(torch.autograd.Function):
    """`snntorch.surrogate.atan` for float64: that one returns float32 spikes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        (x,) = ctx.saved_tensors
        return gradient / (1 + (math.pi * x) ** 2)


def build(weights: dict[str, Tensor], dtype: torch.dtype, options: dict[str, Any]) -> Built:
    """The network."""
    width = len(weights["w1"])
    arctan = Arctan.apply if dtype == torch.float64 else surrogate.atan(alpha=2.0)
    layers = nn.ModuleList([linear(weights[name]) for name in ("w1", "w2", "w3")])
    first: nn.Module = snn.Leaky(DECAY, spike_grad=arctan)
    recurrent = "recurrent" in weights
    if recurrent:
        first = snn.RLeaky(DECAY, linear_features=width, all_to_all=True, spike_grad=arctan)
        first.recurrent = linear(weights["recurrent"], bias=False)
    neurons = nn.ModuleList(
        [first, snn.Leaky(DECAY, spike_grad=arctan), snn.Leaky(DECAY, reset_mechanism="none")]
    )
    neurons.to(dtype)
    for layer in neurons:
        layer.beta.fill_(DECAY)  # in float64 it would be the float32 number nearest to it

    def scores(spikes: Tensor) -> Tensor:
        zeros = [spikes.new_zeros(spikes.shape[1], layer.out_features) for layer in layers]
        v1, v2, v3 = zeros
        s1 = zeros[0]
        # the product of all steps at once is faster than one in every step
        for current in layers[0](spikes).unbind(0):
            s1, v1 = neurons[0](current, s1, v1) if recurrent else neurons[0](current, v1)
            s2, v2 = neurons[1](layers[1](s1), v2)
            _, v3 = neurons[2](layers[2](s2), v3)
        return v3

    parameters = [*layers.parameters(), *(p for p in neurons.parameters() if p.requires_grad)]
    return Built(parameters, scores, "snntorch")


if __name__ == "__main__":
    main(build)
