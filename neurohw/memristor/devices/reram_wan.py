# SPDX-License-Identifier: Apache-2.0
"""ReRAM of Wan et al.

2022: deviations from the target measured 1 second, 1 day and 2 days after programming.

    G(t) = max(0, target + X(t)),  X(t) normal with the deviation sigma(t, r), r = target / g_max

At the three times sigma is a polynomial of r; between them it is interpolated in ln t, before the
first it is the first, after the last the last (which is an extrapolation). The measurement says
nothing of how deviations of one device at two times belong together. Here they are a walk, so that
a device has one history: where sigma grows, an independent increment supplies what is missing;
where it shrinks, X shrinks with it. Every marginal is the measured one.

Source: Wan et al., "A compute-in-memory chip based on resistive random-access memory" (Nature
2022); coefficients as in aihwkit (`inference/noise/reram.py`, `ReRamWan2022NoiseModel`), which
never applies its own rescaling from 40 microsiemens; here sigma scales with g_max. Read noise of
about 1 % of the range is the same file's advice.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neurohw.memristor.devices.base import Array, GaussianProgramming, Kept, polynomial

DAY = 86400.0
MEASURED = (
    (1.0, (0.348, 16.030, -43.853, 45.393, -16.815)),
    (DAY, (0.701, 22.086, -50.773, 47.095, -16.458)),
    (2 * DAY, (0.782, 20.274, -43.507, 37.062, -11.934)),
)


@dataclass(frozen=True)
class ReramWan(GaussianProgramming):
    """See the module. drift_scale: of the growth of sigma after the first second."""

    g_max_microsiemens: float = 40.0
    read_fraction: float = 0.01

    kind: ClassVar[str] = "reram_wan"
    characterized_seconds = 2 * DAY

    def deviation(self, target: Array, k: int) -> Array:
        """sigma at the measured time k, microsiemens, without programming_scale."""
        r, scale = self.relative(target), self.g_max_microsiemens / 40.0
        first = polynomial(r, MEASURED[0][1]) * scale
        return (
            first
            if k == 0
            else first + self.drift_scale * (polynomial(r, MEASURED[k][1]) * scale - first)
        )

    def programming_deviation(self, target: Array) -> Array:
        """sigma one second after programming, microsiemens."""
        return self.deviation(target, 0)

    def program(self, target: Array, rng: np.random.Generator) -> Kept:
        """See `Device.program`; `target`, and in `walk<k>` the standard normal draws of the
        walk.
        """
        walk = {
            f"walk{k}": rng.standard_normal(target.shape, dtype=target.dtype.type)
            for k in range(len(MEASURED))
        }
        kept = {"target": target, **walk}
        return {"programmed": np.maximum(self.drifted(kept, 0.0), 0), **kept}

    def drifted(self, kept: Kept, time_seconds: float) -> Array:
        """See `Device.drifted`."""
        reached = self.deviation(kept["target"], 0)
        x = reached * kept["walk0"]
        for k in range(1, len(MEASURED)):
            earlier, later = MEASURED[k - 1][0], MEASURED[k][0]
            if time_seconds <= earlier:
                break
            share = min(math.log(time_seconds / earlier) / math.log(later / earlier), 1.0)
            sigma = reached + share * (self.deviation(kept["target"], k) - reached)
            grown = x + np.sqrt(np.maximum(sigma**2 - reached**2, 0)) * kept[f"walk{k}"]
            x = np.where(sigma >= reached, grown, x * (sigma / reached))
            reached = sigma
        return kept["target"] + self.programming_scale * x
