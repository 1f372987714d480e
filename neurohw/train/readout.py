# SPDX-License-Identifier: Apache-2.0
"""The readouts of `neurohw.readout` in PyTorch, differentiable: the same numbers from the same
formula.

A readout may take its steps in windows: a `Tally` holds what it knows of those before.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from neurohw.network import Network
from neurohw.readout import Readout


class Tally(NamedTuple):
    """A readout in the middle of a sample: scores so far, and 1 where the neuron has not fired yet,
    each [sample, neuron].
    """

    scores: Tensor
    silent: Tensor


def rate_scores(spikes: Tensor) -> Tensor:
    """Spike counts [sample, neuron] of spikes [time, sample, neuron]."""
    return spikes.sum(0)


def membrane_scores(v: Tensor) -> Tensor:
    """The membranes of the last step [sample, neuron]."""
    return v[-1]


def first_spike_scores(spikes: Tensor) -> Tensor:
    """sum over t of (T - t) s[t] (1 - s[0]) ...

    (1 - s[t-1]), [sample, neuron]: T - t of the first spike, 0 without one.

    Each spike is weighted by the time that remains, and counts only while none came before.
    """
    return _first_spike(spikes, start(spikes[0]), spikes.shape[0]).scores


def _first_spike(spikes: Tensor, tally: Tally, remaining: int) -> Tally:
    total, silent = tally
    for t, fired in enumerate(spikes.unbind(0)):
        total = total + (remaining - t) * fired * silent
        silent = silent * (1 - fired)
    return Tally(total, silent)


def start(like: Tensor) -> Tally:
    """The tally before the first step, of the shape of `like` [sample, neuron]."""
    return Tally(torch.zeros_like(like), torch.ones_like(like))


def advance(
    tally: Tally, result: dict[str, Tensor], network: Network, readout: Readout, remaining: int
) -> Tally:
    """The tally after a window of `SpikingModule.advance`;

    remaining: steps of the sample from the window's first to the last.
    """
    output = network.output.name
    match readout:
        case "membrane":
            return Tally(membrane_scores(result[f"v.{output}"]), tally.silent)
        case "rate":
            return Tally(tally.scores + rate_scores(result[f"spikes.{output}"]), tally.silent)
        case "first_spike":
            return _first_spike(result[f"spikes.{output}"], tally, remaining)


def scores(result: dict[str, Tensor], network: Network, readout: Readout) -> Tensor:
    """Scores [sample, class] of the output population of `SpikingModule.forward`."""
    fired = result[f"spikes.{network.output.name}"]
    return advance(start(fired[0]), result, network, readout, fired.shape[0]).scores
