"""Read noise: a new draw at every read, limited to conductances that a device can have.

    G(read) = clip(G + deviation N(0, 1), low, high)

1/f noise that was accumulated since programming has the deviation Q G sqrt(ln((t + t_read) / (2 t_read))) in the PCM fits (Nandakumar et al., ICECS 2019).
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Limits = tuple[float, float]


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

    With a = (low - mean) / deviation, b = (high - mean) / deviation, phi and Phi of the standard normal, and z = a ... b inside the limits:
    E = low Phi(a) + high (1 - Phi(b)) + mean (Phi(b) - Phi(a)) + deviation (phi(a) - phi(b)), and E of the square likewise.
    """
    mean, deviation = np.asarray(mean, np.float64), np.asarray(deviation, np.float64)
    low, high = limits
    sigma = np.where(deviation > 0, deviation, 1.0)
    a, b = (low - mean) / sigma, (high - mean) / sigma

    def density(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.exp(-0.5 * np.minimum(x * x, 1400.0)) / math.sqrt(2 * math.pi)

    below, above, inside = ndtr(a), ndtr(-b), ndtr(b) - ndtr(a)
    phi_a, phi_b = density(a), density(b)
    # about the mean, so that the variance does not come from a difference of large numbers
    top = np.where(np.isinf(b), 0.0, b)
    first = a * below + top * above + phi_a - phi_b
    second = a * a * below + top * top * above + inside + a * phi_a - top * phi_b
    noisy = deviation > 0
    return (
        np.where(noisy, mean + sigma * first, np.clip(mean, low, high)),
        np.where(noisy, sigma**2 * np.maximum(second - first**2, 0.0), 0.0),
    )
