# SPDX-License-Identifier: Apache-2.0
"""The network as a plain loop in PyTorch, as one would write it by hand; option `compile`: under
torch.compile.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from training_worker import Built, main
from training_workload import DECAY


class Spike(torch.autograd.Function):
    """u >= 1, and the derivative of arctan with slope 2."""

    @staticmethod
    def forward(ctx: Any, u: Tensor) -> Tensor:
        ctx.save_for_backward(u)
        return (u >= 1).to(u.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        (u,) = ctx.saved_tensors
        return gradient / (1 + (math.pi * (u - 1)) ** 2)


class Loop(nn.Module):
    """Products of all steps at once, neurons step by step."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__()
        self.weights = nn.ParameterDict(weights)
        self.biases = nn.ParameterList(
            [torch.zeros(len(weights[k])).to(weights[k]) for k in ("w1", "w2", "w3")]
        )

    def lif(self, currents: Tensor, among: Tensor | None = None) -> Tensor:
        """Spikes of all steps."""
        v = torch.zeros_like(currents[0])
        fired: list[Tensor] = []
        for current in currents.unbind(0):
            u = DECAY * v + current
            if among is not None and fired:
                u = u + nn.functional.linear(fired[-1], among)
            s = Spike.apply(u)
            v = u - s.detach()
            fired.append(s)
        return torch.stack(fired)

    def forward(self, spikes: Tensor) -> Tensor:
        """Scores [sample, class]."""
        among = self.weights["recurrent"] if "recurrent" in self.weights else None
        first = self.lif(nn.functional.linear(spikes, self.weights["w1"], self.biases[0]), among)
        second = self.lif(nn.functional.linear(first, self.weights["w2"], self.biases[1]))
        y = torch.zeros(())
        for current in nn.functional.linear(second, self.weights["w3"], self.biases[2]).unbind(0):
            y = DECAY * y + current
        return y


def build(weights: dict[str, Tensor], dtype: torch.dtype, options: dict[str, Any]) -> Built:
    """The network."""
    loop = Loop(weights)
    scores = torch.compile(loop) if options.get("compile") else loop
    return Built(list(loop.parameters()), scores, "torch")


if __name__ == "__main__":
    main(build)
