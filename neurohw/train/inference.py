# SPDX-License-Identifier: Apache-2.0
"""Judging many networks of one definition on the same samples, by the training module in
float64.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from neurohw.network import TrainedNetwork
from neurohw.readout import Readout
from neurohw.train.module import SpikingModule
from neurohw.train.readout import scores


class Judged(NamedTuple):
    """Scores [sample, class], and the spikes of every population in all steps and samples."""

    scores: NDArray[np.float64]
    spikes: dict[str, int]


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """PyTorch with that many threads; the number before comes back, also after an interruption."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Judge:
    """Networks that are built once and run on one chunk of samples after another."""

    def __init__(self, networks: Sequence[TrainedNetwork], readout: Readout) -> None:
        """networks: of any parameters. readout: see `neurohw.readout`."""
        self.readout: Readout = readout
        self.modules = [SpikingModule.from_trained(network) for network in networks]

    def __call__(self, spikes: NDArray[np.uint8]) -> list[Judged]:
        """What every network makes of counts [time, sample, input neuron], on one thread; the
        counts become float64 once for all of them.
        """
        with torch.no_grad(), torch_threads(1):
            counts = torch.from_numpy(np.ascontiguousarray(spikes)).double()
            return [self._judged(module, counts) for module in self.modules]

    def _judged(self, module: SpikingModule, counts: torch.Tensor) -> Judged:
        arrays = module(counts, states=False)
        fired = {p.name: int(arrays[f"spikes.{p.name}"].sum()) for p in module.network.populations}
        return Judged(scores(arrays, module.network, self.readout).numpy(), fired)
