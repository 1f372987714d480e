# SPDX-License-Identifier: Apache-2.0
"""The network in this package.

The stimulus is in bytes, as this package's own data sets are, or with option `floats` in the
weights' type, as its peers need it. Option `delayed_reset`: with the conventions of snnTorch.
"""

from typing import Any

import torch
from torch import Tensor
from training_worker import Built, main
from training_workload import DECAY

from neurohw import Integrator, Lif, Network, Population, Projection, Source
from neurohw.train import SpikingModule


def build(weights: dict[str, Tensor], dtype: torch.dtype, options: dict[str, Any]) -> Built:
    """The network."""
    delayed = bool(options.get("delayed_reset"))
    lif = Lif(DECAY, strict=delayed, delayed_reset=delayed)
    width, inputs = weights["w1"].shape
    populations = (
        Population("input", inputs, Source()),
        Population("hidden1", width, lif),
        Population("hidden2", width, lif),
        Population("output", len(weights["w3"]), Integrator(DECAY)),
    )
    chain = [Projection(a.name, b.name) for a, b in zip(populations, populations[1:], strict=False)]
    values = dict(
        zip([p.name for p in chain], (weights["w1"], weights["w2"], weights["w3"]), strict=True)
    )
    if "recurrent" in weights:
        chain.append(Projection("hidden1", "hidden1", 1))
        values[chain[-1].name] = weights["recurrent"]
    module = SpikingModule(Network(populations, tuple(chain)), "arctan", dtype=dtype)
    with torch.no_grad():
        for name, weight in values.items():
            module.array(f"{name}.weight").copy_(weight)
    return Built(
        list(module.parameters()),
        lambda spikes: module(spikes, states=False, hidden=False)["v.output"][-1],
        "neurohw",
        (lambda spikes: spikes)
        if options.get("floats")
        else (lambda spikes: spikes.to(torch.uint8)),
    )


if __name__ == "__main__":
    main(build)
