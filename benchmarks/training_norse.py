# SPDX-License-Identifier: Apache-2.0
"""The network in norse:

LIFBoxCell, its neuron without a synaptic current, and LIBoxCell in a loop over time.

Its membrane is (1 - decay) times ours, and so is the threshold given to it; its surrogate is
SuperSpike, since it has no arctan.
"""

from typing import Any

import norse.torch as norse
import torch
from norse.torch.functional.leaky_integrator_box import LIBoxParameters
from norse.torch.functional.lif_box import LIFBoxParameters
from norse.torch.functional.reset import reset_subtract
from norse.torch.module.leaky_integrator_box import LIBoxCell
from torch import Tensor, nn
from training_worker import Built, linear, main
from training_workload import DECAY

DT = 0.001


def build(weights: dict[str, Tensor], dtype: torch.dtype, options: dict[str, Any]) -> Built:
    """The network."""
    rate = torch.tensor((1 - DECAY) / DT, dtype=dtype)
    threshold = torch.tensor(1 - DECAY, dtype=dtype)
    alpha = torch.tensor(2 / (1 - DECAY), dtype=dtype)
    zero = torch.tensor(0.0, dtype=dtype)
    spiking = LIFBoxParameters(rate, zero, threshold, zero, "super", alpha, reset_subtract)
    layers = nn.ModuleList([linear(weights[name]) for name in ("w1", "w2", "w3")])
    cells = [
        norse.LIFBoxCell(spiking, dt=DT),
        norse.LIFBoxCell(spiking, dt=DT),
        LIBoxCell(LIBoxParameters(rate, zero), dt=DT),
    ]
    recurrent = linear(weights["recurrent"], bias=False) if "recurrent" in weights else None

    def scores(spikes: Tensor) -> Tensor:
        states: list[Any] = [None, None, None]
        s1 = None
        for current in layers[0](spikes).unbind(0):
            if recurrent is not None and s1 is not None:
                current = current + recurrent(s1)
            s1, states[0] = cells[0](current, states[0])
            s2, states[1] = cells[1](layers[1](s1), states[1])
            v, states[2] = cells[2](layers[2](s2), states[2])
        result: Tensor = v / (1 - DECAY)
        return result

    more = [] if recurrent is None else list(recurrent.parameters())
    return Built([*layers.parameters(), *more], scores, "norse")


if __name__ == "__main__":
    main(build)
