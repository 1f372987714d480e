# SPDX-License-Identifier: Apache-2.0
"""ReRAM of a conductive metal oxide on HfOx (CMO/HfOx), one bidirectional device of 9 to 88.2
microsiemens.

    programming   target + (a + b target) N
                  a, b by the acceptance range of program and verify
    relaxation    - 0.08900 ln t + (0.04201 ln t + 0.41183) N
                  from t = 1 s on, the N of a device drawn once; before, as programmed at t = 0 and
                  else as at 1 s
    read          + K log10(G) sqrt(ln((t + t_read) / (2 t_read))) N       after t = 0
    clip to g_min ... g_max

Source: Falcone et al. (IBM Research Europe, Zurich), as published in aihwkit
(`inference/noise/reram.py`, `ReRamCMONoiseModel`). There the default acceptance range is a key that
does not exist, so that 0.2 % is used in silence; here it is named, and only the two that were
measured are accepted. Logarithms of t below 1 s and of G below 1 microsiemens, which turn
deviations negative there, are 0 here.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neurohw.errors import InvalidModel
from neurohw.memristor.devices.base import Array, Device, Kept, gaussian
from neurohw.memristor.read import Limits, flicker_growth

PROGRAMMING = {0.2: (0.00081107, 0.00106879), 2.0: (0.0112185391, 0.01129027418)}  # percent: (a, b)


@dataclass(frozen=True)
class ReramCmo(Device):
    """See the module.

    acceptance_percent: 0.2 or 2, of the target. drift_scale scales shift and spread of the
        relaxation.
    """

    g_max_microsiemens: float = 88.199997
    g_min_microsiemens: float = 9.0
    acceptance_percent: float = 2.0

    kind: ClassVar[str] = "reram_cmo"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.acceptance_percent not in PROGRAMMING:
            raise InvalidModel(
                f"device {self.kind!r}: acceptance_percent is one of {sorted(PROGRAMMING)}, "
                f"not {self.acceptance_percent}"
            )

    @property
    def limits(self) -> Limits:
        """g_min ... g_max."""
        return (self.g_min_microsiemens, self.g_max_microsiemens)

    def programming_deviation(self, target: Array) -> Array:
        """a + b target, microsiemens."""
        a, b = PROGRAMMING[float(self.acceptance_percent)]
        return a + b * target

    def program(self, target: Array, rng: np.random.Generator) -> Kept:
        """See `Device.program`; `relaxation` is the standard normal draw of every device."""
        programmed = gaussian(
            target, self.programming_scale * self.programming_deviation(target), rng
        )
        return {
            "programmed": programmed,
            "relaxation": rng.standard_normal(target.shape, dtype=target.dtype.type),
        }

    def drifted(self, kept: Kept, time_seconds: float) -> Array:
        """See `Device.drifted`."""
        if time_seconds == 0:
            return kept["programmed"]
        age = math.log(max(time_seconds, 1.0))
        shift, spread = -0.08900206 * age, 0.04201137 * age + 0.41183342
        return kept["programmed"] + self.drift_scale * (shift + spread * kept["relaxation"])

    def read_deviation(self, kept: Kept, conductance: Array, time_seconds: float) -> Array | None:
        """See `Device.read_deviation`."""
        growth = self.read_scale * 0.0277316483 * flicker_growth(time_seconds, 1e-6)
        return growth * np.log10(np.maximum(conductance, 1)) if growth else None
