# SPDX-License-Identifier: Apache-2.0
"""The network in SpikingJelly: multi-step mode with its PyTorch kernels, the ones it has for a
processor; a recurrent population step by step.
"""

from typing import Any

import torch
from spikingjelly.activation_based import functional, neuron, surrogate
from torch import Tensor, nn
from training_worker import Built, linear, main
from training_workload import DECAY

TAU = 1 / (1 - DECAY)


def lif(mode: str) -> nn.Module:
    """The neuron with our equations."""
    options = {
        "decay_input": False,
        "v_threshold": 1.0,
        "v_reset": None,
        "detach_reset": True,
        "step_mode": mode,
    }
    node: nn.Module = neuron.LIFNode(
        tau=TAU, surrogate_function=surrogate.ATan(alpha=2.0), **options
    )
    return node


def build(weights: dict[str, Tensor], dtype: torch.dtype, options: dict[str, Any]) -> Built:
    """The network."""
    recurrent = linear(weights["recurrent"], bias=False) if "recurrent" in weights else None
    net = nn.ModuleDict(
        {
            "l1": linear(weights["w1"]),
            "n1": lif("m" if recurrent is None else "s"),
            "l2": linear(weights["w2"]),
            "n2": lif("m"),
            "l3": linear(weights["w3"]),
            "out": neuron.NonSpikingLIFNode(tau=TAU, decode="last_mem"),
        }
    )
    if recurrent is not None:
        net["recurrent"] = recurrent

    def first(currents: Tensor) -> Tensor:
        if recurrent is None:
            fired: Tensor = net["n1"](currents)
            return fired
        sent = [net["n1"](currents[0])]
        for current in currents.unbind(0)[1:]:
            sent.append(net["n1"](current + recurrent(sent[-1])))
        return torch.stack(sent)

    def scores(spikes: Tensor) -> Tensor:
        functional.reset_net(net)
        v: Tensor = net["out"](net["l3"](net["n2"](net["l2"](first(net["l1"](spikes))))))
        return TAU * v  # its readout divides the current by tau

    return Built(list(net.parameters()), scores, "spikingjelly")


if __name__ == "__main__":
    main(build)
