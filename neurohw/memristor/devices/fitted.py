# SPDX-License-Identifier: Apache-2.0
"""Programming errors alone, fitted by CrossSim (Sandia National Laboratories,
`simulator/devices/custom/`) to published figures. No drift.

CrossSim's own `PCM_Joshi.py` adds the deviation itself and not a random multiple of it; here every
one is random.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neurohw.memristor.devices.base import Array, GaussianProgramming, polynomial


@dataclass(frozen=True)
class PcmJoshi(GaussianProgramming):
    """PCM, 27.36 s after programming: sigma = 0.28638599 + 0.07585724 G - 0.00178767 G^2
    microsiemens, G up to 25.

    Source: Joshi et al., "Accurate deep neural network inference using computational phase-change
    memory" (Nature Communications 2020), figure 3b.
    """

    g_max_microsiemens: float = 25.0

    kind: ClassVar[str] = "pcm_joshi"
    characterized_microsiemens = (0.0, 25.0)
    characterized_seconds = 0.0

    def programming_deviation(self, target: Array) -> Array:
        """sigma, microsiemens."""
        return np.maximum(polynomial(target, (0.28638599, 0.07585724, -0.00178767)), 0)


@dataclass(frozen=True)
class ReramMilo(GaussianProgramming):
    """ReRAM: sigma = 4.782321 - 0.009107 G microsiemens, which falls with G, for 50 to 225.

    Source: Milo et al., "Optimized programming algorithms for multilevel RRAM in hardware neural
    networks" (IRPS 2021), figure 4, IGVVA-100.
    """

    g_max_microsiemens: float = 225.0
    g_min_microsiemens: float = 50.0

    kind: ClassVar[str] = "reram_milo"
    characterized_microsiemens = (50.0, 225.0)
    characterized_seconds = 0.0

    def programming_deviation(self, target: Array) -> Array:
        """sigma, microsiemens."""
        return polynomial(target, (4.782321, -0.009107))


@dataclass(frozen=True)
class ReramWanFit(GaussianProgramming):
    """ReRAM, 1 s after programming: sigma = 1.053 + 0.2374 G - 0.01167 G^2 + 1.536e-4 G^3
    microsiemens, G up to 39.26.

    Source: Wan et al. (Nature 2022), extended data figure 3. aihwkit's fit to the same paper
    (`ReramWan`) gives a third of this at G = 0.
    """

    g_max_microsiemens: float = 39.26

    kind: ClassVar[str] = "reram_wan_fit"
    characterized_microsiemens = (0.0, 39.26)
    characterized_seconds = 0.0

    def programming_deviation(self, target: Array) -> Array:
        """sigma, microsiemens."""
        return polynomial(target, (1.053, 0.2374, -0.01167, 1.536e-4))
