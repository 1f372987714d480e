# SPDX-License-Identifier: Apache-2.0
"""Avalanches of activity, and the power law that their sizes and durations follow at criticality
(Beggs & Plenz 2003).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import zeta

from neurohw.errors import InvalidData
from neurohw.reservoir.measure import check_raster

LARGEST_EXPONENT = 10.0
FEWEST = 50  # events that an exponent is taken from


@dataclass(frozen=True)
class Avalanches:
    """Arrays [avalanche] of whole numbers: size in spikes, duration in steps."""

    size: NDArray[np.int64]
    duration: NDArray[np.int64]


def avalanches(spikes: NDArray[Any], quiet: int = 0) -> Avalanches:
    """Runs of steps with more than `quiet` spikes in the whole population, each between two steps
    with no more.

    spikes: [time, sample, neuron]. Size counts the spikes above `quiet` per step. A run that the
        start or end of a sample cuts off is left out. A liquid that never falls silent has one
        endless avalanche: set `quiet` to the level that it returns to.
    """
    check_raster(spikes)
    sizes, durations = [], []
    for sample in range(spikes.shape[1]):
        active = np.maximum(spikes[:, sample].sum(axis=1, dtype=np.int64) - quiet, 0)
        edge = np.diff((active > 0).astype(np.int8))
        start, end = np.flatnonzero(edge == 1) + 1, np.flatnonzero(edge == -1) + 1
        end = end[end > start[0]] if len(start) else end[:0]
        start = start[: len(end)]
        until = np.concatenate([[0], np.cumsum(active)])
        sizes.append(until[end] - until[start])
        durations.append(end - start)
    return Avalanches(np.concatenate(sizes), np.concatenate(durations))


@dataclass(frozen=True)
class PowerLaw:
    """p(x) = x^-exponent / zeta(exponent, minimum) for whole x >= minimum, fitted by maximum
    likelihood.

    error: standard deviation of the exponent, from the curvature of the likelihood.
    events: x >= minimum.
    distance: largest difference of the fitted and the observed cumulative distribution
        (Kolmogorov-Smirnov); near 1 / sqrt(events) for a true power law.
    """

    exponent: float
    error: float
    minimum: int
    events: int
    distance: float


def _fit(values: NDArray[np.int64], minimum: int) -> PowerLaw:
    """Maximum likelihood for x >= minimum."""
    tail = values[values >= minimum]
    mean_log = float(np.log(tail).mean())

    def cost(exponent: float) -> float:
        return exponent * mean_log + float(np.log(zeta(exponent, minimum)))

    exponent = float(
        minimize_scalar(cost, bounds=(1.0 + 1e-6, LARGEST_EXPONENT), method="bounded").x
    )
    step = 1e-3 * (exponent - 1)
    curvature = (cost(exponent + step) - 2 * cost(exponent) + cost(exponent - step)) / step**2
    x, count = np.unique(tail, return_counts=True)
    observed = np.cumsum(count) / len(tail)
    expected = 1 - zeta(exponent, x + 1.0) / zeta(exponent, minimum)
    before = 1 - zeta(exponent, x.astype(np.float64)) / zeta(exponent, minimum)
    distance = max(
        np.abs(observed - expected).max(),
        np.abs(np.concatenate([[0.0], observed[:-1]]) - before).max(),
    )
    error = 1 / np.sqrt(len(tail) * curvature)
    return PowerLaw(exponent, float(error), minimum, len(tail), float(distance))


def power_law(values: NDArray[np.int64], minimum: int | None = 1) -> PowerLaw:
    """The power law of whole numbers >= 1 (Clauset, Shalizi & Newman 2009).

    minimum: smallest x of the fit; None for the one whose fit is closest.

    Raises InvalidData for fewer than 50 values at or above the minimum: an exponent of fewer says
    nothing.
    """
    values = np.asarray(values)
    if minimum is not None:
        found = int(np.count_nonzero(values >= minimum))
        if minimum < 1 or found < FEWEST:
            raise InvalidData(
                f"a power law needs {FEWEST} values of at least minimum >= 1; there are "
                f"{found} of {minimum} and more"
            )
        return _fit(values, minimum)
    candidates = [
        int(x) for x in np.unique(values) if x >= 1 and np.count_nonzero(values >= x) >= FEWEST
    ]
    if not candidates:
        raise InvalidData(
            f"a power law needs {FEWEST} values of 1 and more, not {np.count_nonzero(values >= 1)}"
        )
    # of very many candidates, some on every scale
    chosen = np.unique(np.geomspace(1, len(candidates), 40).astype(int)) - 1
    return min((_fit(values, candidates[i]) for i in chosen), key=lambda fit: fit.distance)
