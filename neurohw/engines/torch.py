# SPDX-License-Identifier: Apache-2.0
"""The training module, in float64, as an engine."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neurohw.model_files import digest_of
from neurohw.network import TrainedNetwork
from neurohw.step import letters
from neurohw.stimulus import Spikes, stimulus_of
from neurohw.trace import Trace
from neurohw.train import SpikingModule
from neurohw.train.module import IMPLEMENTS


def check(model: TrainedNetwork) -> None:
    """Raise Unsupported, naming node and attribute, for what training does not name."""
    IMPLEMENTS.check(model.network)


def run(model: TrainedNetwork, spikes: Spikes | NDArray[Any], states: bool = True) -> Trace:
    """Spikes and states of the PyTorch module for counts [time, sample, input neuron]."""
    check(model)
    counts = stimulus_of(model, spikes).counts
    module = SpikingModule.from_trained(model)
    with torch.no_grad():
        arrays = module(torch.from_numpy(np.ascontiguousarray(counts)).double())
    fired = {
        p.name: arrays[f"spikes.{p.name}"].numpy().astype(np.uint8)
        for p in model.network.populations
    }
    values: dict[str, NDArray[Any]] = {}
    if states:
        for population in model.network.update_order():
            for letter in letters(population.neuron):  # type: ignore[arg-type]
                values[f"{letter}.{population.name}"] = arrays[
                    f"{letter}.{population.name}"
                ].numpy()
    return Trace(fired, values, digest_of(model))
