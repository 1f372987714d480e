# SPDX-License-Identifier: Apache-2.0
"""What the quantize stage measures beside the accuracy: differences to float, saturations."""

from collections import Counter
from collections.abc import Callable

from neurohw.data import Dataset, Encoder
from neurohw.integers import QuantizedNetwork
from neurohw.stimulus import Spikes
from neurohw.trace import Trace

CALIBRATION_SAMPLES = 32


def calibration_stimulus(dataset: Dataset, encoder: Encoder) -> Spikes:
    """Spikes of the first CALIBRATION_SAMPLES samples of the training split."""
    return encoder.encode(dataset.samples("train", slice(CALIBRATION_SAMPLES)))


class SaturationCount:
    """An integer simulation that adds up the saturations and updates of all its runs."""

    def __init__(self, simulate: Callable[[QuantizedNetwork, Spikes], Trace]) -> None:
        self.simulate = simulate
        self.saturated: Counter[str] = Counter()
        self.updates: Counter[str] = Counter()

    def run(self, model: QuantizedNetwork, spikes: Spikes) -> Trace:
        """The trace of the simulation."""
        trace = self.simulate(model, spikes)
        self.saturated.update(trace.saturations)
        self.updates.update({name: trace.spikes[name].size for name in trace.saturations})
        return trace

    def to_json(self) -> dict[str, dict[str, int]]:
        """By population: neuron updates that saturated, and all."""
        return {n: {"saturated": k, "updates": self.updates[n]} for n, k in self.saturated.items()}
