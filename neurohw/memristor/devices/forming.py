# SPDX-License-Identifier: Apache-2.0
"""Devices whose conductance is what forming left: the randomness that a random array is made of.

    formed ~ Bernoulli(probability),  G = max(0, N(mean, (spread mean)^2)) where formed, else 0

Targets are ignored. Two such devices as a pair give a weight that is often exactly 0 and symmetric
about it. `g_max_microsiemens` is the mean of a formed device, so that a formed device against an
unformed one is the largest weight of the network that is programmed. Model of the 40 nm TaOx array
whose spread of forming voltages makes a random subset conduct: Lin et al., resistive memory-based
zero-shot liquid state machine; probability and spread are of its order and no fit.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neurohw.checks import FRACTION, at_least
from neurohw.memristor.devices.base import Array, GaussianProgramming, Kept, gaussian


@dataclass(frozen=True)
class Forming(GaussianProgramming):
    """See the module. programming_scale scales the spread; read_fraction is the deviation of a read
    in units of the device's own conductance.
    """

    g_max_microsiemens: float = 25.0
    probability: float = 0.5
    spread: float = 0.3

    kind: ClassVar[str] = "forming"
    ranges = {**GaussianProgramming.ranges, "probability": FRACTION, "spread": at_least(0)}

    def programming_deviation(self, target: Array) -> Array:
        """Of a formed device, microsiemens, whatever the target."""
        return np.full_like(target, self.spread * self.g_max_microsiemens)

    def program(self, target: Array, rng: np.random.Generator) -> Kept:
        """See `Device.program`; `formed` is 1 where the device conducts."""
        formed = (rng.random(target.shape) < self.probability).astype(target.dtype)
        mean = np.full_like(target, self.g_max_microsiemens)
        return {
            "programmed": formed
            * gaussian(mean, self.programming_scale * self.programming_deviation(mean), rng),
            "formed": formed,
        }

    def read_deviation(self, kept: Kept, conductance: Array, time_seconds: float) -> Array | None:
        """See `Device.read_deviation`; an unformed device has no noise."""
        fraction = self.read_scale * self.read_fraction
        return fraction * conductance if fraction else None
