# SPDX-License-Identifier: Apache-2.0
"""Read noise: a new draw at every read, limited to conductances that a device can have.

    G(read) = clip(G + deviation N(0, 1), low, high)

1/f noise that was accumulated since programming has the deviation Q G sqrt(ln((t + t_read) / (2
t_read))) in the PCM fits (Nandakumar et al., ICECS 2019).
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Limits = tuple[float, float]
NEAR = 8.0  # deviations


def flicker_growth(time_seconds: float, t_read_seconds: float) -> float:
    """sqrt(ln((t + t_read) / (2 t_read))), 0 where t is not above t_read. Without unit."""
    return math.sqrt(max(math.log((time_seconds + t_read_seconds) / (2 * t_read_seconds)), 0.0))


def redraw(
    conductance: NDArray[Any], deviation: NDArray[Any], limits: Limits, rng: np.random.Generator
) -> NDArray[Any]:
    """One read of every device: shapes and unit as `conductance`."""
    noise = rng.standard_normal(conductance.shape, dtype=conductance.dtype.type)
    return np.clip(conductance + deviation * noise, *limits)


def clipped_moments(
    mean: NDArray[Any], deviation: NDArray[Any], limits: Limits
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance of clip(N(mean, deviation^2), low, high), exactly; high may be infinite.

    With a = (low - mean) / deviation and phi, Phi of the standard normal, clipping at low alone
    changes the mean by deviation (a Phi(a) + phi(a)), and so on for high and for the second moment
    about the mean. Where both limits are 8 deviations away nothing changes by more than 1e-15 of
    it.
    """
    first, second = np.array(mean, np.float64), np.square(deviation, dtype=np.float64)
    low, high = limits
    near = (deviation > 0) & ((first - low < NEAR * deviation) | (high - first < NEAR * deviation))
    center, sigma = first[near], np.asarray(deviation, np.float64)[near]
    shift, square = np.zeros_like(center), np.ones_like(center)
    for limit, side in ((low, -1.0), (high, 1.0)):
        if math.isinf(limit):
            continue
        # the share beyond the limit, which is z deviations away, moves onto it
        z = (limit - center) / sigma
        beyond, density = (
            ndtr(-side * z),
            np.exp(-0.5 * np.minimum(z * z, 1400.0)) / math.sqrt(2 * math.pi),
        )
        shift += z * beyond - side * density
        square += (z * z - 1) * beyond - side * z * density
    first[near] += sigma * shift
    second[near] *= np.maximum(square - shift**2, 0.0)
    return np.clip(first, low, high), second
