# SPDX-License-Identifier: Apache-2.0
"""The network in sinabs:

LIF, LIFRecurrent and ExpLeak layers over whole sequences [sample, time, neuron], with our
surrogate, which it lets one pass in.
"""

import math
from typing import Any

import sinabs.activation as activation
import sinabs.layers as layers
import torch
from torch import Tensor, nn
from training_worker import Built, linear, main
from training_workload import DECAY

TAU = -1 / math.log(DECAY)


def arctan(v_mem: Tensor, spike_threshold: Tensor) -> Tensor:
    """The derivative of arctan with slope 2."""
    return 1 / (1 + (math.pi * (v_mem - spike_threshold)) ** 2)


def build(weights: dict[str, Tensor], dtype: torch.dtype, options: dict[str, Any]) -> Built:
    """The network."""
    lif = {"spike_fn": activation.SingleSpike, "surrogate_grad_fn": arctan, "norm_input": False}
    first = layers.LIF(TAU, **lif)
    if "recurrent" in weights:
        first = layers.LIFRecurrent(TAU, linear(weights["recurrent"], bias=False), **lif)
    net = nn.Sequential(
        linear(weights["w1"]),
        first,
        linear(weights["w2"]),
        layers.LIF(TAU, **lif),
        linear(weights["w3"]),
        layers.ExpLeak(TAU, norm_input=False),
    ).to(dtype)
    stateful = [layer for layer in net if hasattr(layer, "tau_mem")]
    for layer in stateful:
        layer.tau_mem.requires_grad_(False)  # time constants do not learn in this comparison

    def scores(spikes: Tensor) -> Tensor:
        for layer in stateful:
            if layer.is_state_initialised():
                layer.reset_states()
        result: Tensor = net(spikes)[:, -1]
        return result

    return Built(
        [p for p in net.parameters() if p.requires_grad],
        scores,
        "sinabs",
        lambda x: x.transpose(0, 1),
    )


if __name__ == "__main__":
    main(build)
