# SPDX-License-Identifier: Apache-2.0
"""Devices without a technology:

Gaussian errors of a constant or proportional size, and log-normal ones. No drift.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neurohw.checks import at_least
from neurohw.memristor.devices.base import Array, Device, GaussianProgramming, Kept


@dataclass(frozen=True)
class Additive(GaussianProgramming):
    """G = max(0, target + N(0, (fraction (g_max - g_min))^2)):

    CrossSim's generic independent error.
    """

    g_max_microsiemens: float = 25.0
    fraction: float = 0.05

    kind: ClassVar[str] = "additive"
    ranges = {**GaussianProgramming.ranges, "fraction": at_least(0)}

    def programming_deviation(self, target: Array) -> Array:
        """sigma, microsiemens."""
        return np.full_like(
            target, self.fraction * (self.g_max_microsiemens - self.g_min_microsiemens)
        )


@dataclass(frozen=True)
class Proportional(GaussianProgramming):
    """G = max(0, target (1 + N(0, fraction^2))): CrossSim's generic proportional error."""

    g_max_microsiemens: float = 25.0
    fraction: float = 0.05

    kind: ClassVar[str] = "proportional"
    ranges = {**GaussianProgramming.ranges, "fraction": at_least(0)}

    def programming_deviation(self, target: Array) -> Array:
        """sigma, microsiemens."""
        return self.fraction * target


@dataclass(frozen=True)
class LogNormal(Device):
    """G = target exp(N(-sigma^2 / 2, sigma^2)), whose mean is the target.

    sigma goes linearly in r = target / g_max from high_resistance_sigma (r = 0) to
    low_resistance_sigma (r = 1): the high-resistance state spreads more. The defaults are of the
    order that is usually reported for ReRAM, and no fit to one device.
    """

    g_max_microsiemens: float = 25.0
    low_resistance_sigma: float = 0.1
    high_resistance_sigma: float = 0.5

    kind: ClassVar[str] = "log_normal"
    ranges = {
        **Device.ranges,
        "low_resistance_sigma": at_least(0),
        "high_resistance_sigma": at_least(0),
    }

    def sigma(self, target: Array) -> Array:
        """sigma of the logarithm, without unit."""
        r = self.relative(target)
        low, high = self.low_resistance_sigma, self.high_resistance_sigma
        return self.programming_scale * (high + (low - high) * r)

    def program(self, target: Array, rng: np.random.Generator) -> Kept:
        """See `Device.program`."""
        sigma = self.sigma(target)
        noise = rng.standard_normal(target.shape, dtype=target.dtype.type)
        return {"programmed": target * np.exp(sigma * noise - 0.5 * sigma**2)}
