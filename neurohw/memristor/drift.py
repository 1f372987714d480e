# SPDX-License-Identifier: Apache-2.0
"""Drift of a conductance by a power law, with the exponent of every device drawn once.

    G(t) = G(programmed) ((t + t0) / t0)^-exponent
           t seconds after programming, t0 the first read of the measurement

Source: Nandakumar et al., "Phase-change memory models for deep learning training and inference"
(ICECS 2019).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def power_law(
    programmed: NDArray[Any], exponent: NDArray[Any], time_seconds: float, t0_seconds: float
) -> NDArray[Any]:
    """Conductances at a time after programming, of the shape and unit of `programmed`; at time 0
    exactly `programmed`.
    """
    if time_seconds == 0:
        return programmed
    result: NDArray[Any] = programmed * float((time_seconds + t0_seconds) / t0_seconds) ** -exponent
    return result


def folded_normal(
    mean: NDArray[Any], deviation: NDArray[Any], rng: np.random.Generator
) -> NDArray[Any]:
    """|N(mean, deviation^2)| per device: exponents are not negative."""
    return np.abs(mean + deviation * rng.standard_normal(mean.shape, dtype=mean.dtype.type))
