# SPDX-License-Identifier: Apache-2.0
"""Avalanches of hand-made rasters, and power laws whose exponent is known."""

import numpy as np
import pytest

from neurohw.errors import InvalidData
from neurohw.reservoir.avalanches import avalanches, power_law


def raster(*samples: list[int]) -> np.ndarray:
    """Spikes [time, sample, neuron] with these numbers of spikes per step."""
    counts = np.array(samples).T
    return (np.arange(9)[None, None] < counts[:, :, None]).astype(np.uint8)


def test_avalanches_lie_between_silent_steps() -> None:
    found = avalanches(raster([0, 1, 2, 0, 0, 5, 0, 3], [4, 0, 1, 0, 0, 2, 2, 0]))
    assert found.size.tolist() == [3, 5, 1, 4]  # the one at an end of its sample is cut off
    assert found.duration.tolist() == [2, 1, 1, 2]
    found = avalanches(raster([1, 2, 2, 4, 1, 3, 1]), quiet=1)
    assert found.size.tolist() == [1 + 1 + 3, 2] and found.duration.tolist() == [3, 1]
    assert len(avalanches(raster([3, 3, 3])).size) == len(avalanches(raster([0, 0])).size) == 0
    assert len(avalanches(raster([2, 0, 0, 1])).size) == 0


@pytest.mark.parametrize("exponent", [1.5, 2.0, 3.3])
@pytest.mark.parametrize("minimum", [1, 4])
def test_the_exponent_of_a_power_law(exponent: float, minimum: int) -> None:
    fits = []
    for seed in range(40):
        values = np.random.default_rng(seed).zipf(exponent, 6000)
        fits.append(power_law(values[values < 10**12], minimum))
    found, said = np.array([f.exponent for f in fits]), np.mean([f.error for f in fits])
    assert abs(found.mean() - exponent) < 4.5 * said / np.sqrt(40) + 1e-3
    assert 0.7 < found.std() / said < 1.4  # the error that it states is the one that it makes
    assert all(f.distance < 1.9 / np.sqrt(f.events) for f in fits)


def test_the_minimum_is_found() -> None:
    rng = np.random.default_rng(1)
    tail = rng.zipf(2.5, 200_000)
    values = np.concatenate([tail[tail >= 8][:3000], rng.integers(1, 8, 3000)])  # flat below 8
    found = power_law(values, minimum=None)
    assert 7 <= found.minimum <= 12 and abs(found.exponent - 2.5) < 4.5 * found.error
    assert power_law(values, minimum=1).distance > 3 * found.distance


def test_critical_branching_has_sizes_of_exponent_3_halves() -> None:
    rng = np.random.default_rng(0)
    alive, size = np.ones(40_000, np.int64), np.ones(40_000, np.int64)
    for _ in range(2000):
        alive = rng.poisson(alive)  # every spike makes one spike on average
        size += alive
    ended = size[(alive == 0)]
    found = power_law(ended, minimum=10)
    assert abs(found.exponent - 1.5) < 0.05


def test_few_events_are_refused() -> None:
    with pytest.raises(InvalidData, match="50"):
        power_law(np.arange(1, 30))
    with pytest.raises(InvalidData, match="50"):
        power_law(np.arange(1, 30), minimum=None)
    with pytest.raises(InvalidData, match="0 of"):
        power_law(np.ones(100, int), minimum=2)
