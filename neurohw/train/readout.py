"""The readouts of `neurohw.readout` in PyTorch, differentiable: the same numbers from the same formula."""

import torch
from torch import Tensor

from neurohw.network import Network
from neurohw.readout import Readout


def rate_scores(spikes: Tensor) -> Tensor:
    """Spike counts [sample, neuron] of spikes [time, sample, neuron]."""
    return spikes.sum(0)


def membrane_scores(v: Tensor) -> Tensor:
    """The membranes of the last step [sample, neuron]."""
    return v[-1]


def first_spike_scores(spikes: Tensor) -> Tensor:
    """sum over t of (T - t) s[t] (1 - s[0]) ... (1 - s[t-1]), [sample, neuron]: T - t of the first spike, 0 without one.

    Each spike is weighted by the time that remains, and counts only while none came before.
    """
    steps = spikes.shape[0]
    silent = torch.ones_like(spikes[0])
    total = torch.zeros_like(spikes[0])
    for t, fired in enumerate(spikes.unbind(0)):
        total = total + (steps - t) * fired * silent
        silent = silent * (1 - fired)
    return total


def scores(result: dict[str, Tensor], network: Network, readout: Readout) -> Tensor:
    """Scores [sample, class] of the output population of `SpikingModule.forward`."""
    output = network.output.name
    match readout:
        case "membrane":
            return membrane_scores(result[f"v.{output}"])
        case "rate":
            return rate_scores(result[f"spikes.{output}"])
        case "first_spike":
            return first_spike_scores(result[f"spikes.{output}"])
