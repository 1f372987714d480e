# SPDX-License-Identifier: Apache-2.0
"""Device models against the formulas of their sources, written out again here."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from neurohw.errors import InvalidModel
from neurohw.memristor.devices import (
    KINDS,
    Additive,
    Device,
    Forming,
    HermesOne,
    HermesTwo,
    LogNormal,
    Pcm,
    PcmJoshi,
    PhaseChange,
    Proportional,
    ReramCmo,
    ReramMilo,
    ReramWan,
    ReramWanFit,
    device_from_json,
    device_named,
    without_noise,
)
from neurohw.memristor.read import clipped_moments

COUNT = 200_000
DAY = 86400.0
NORMAL = norm.ppf((np.arange(1_000_000) + 0.5) / 1_000_000)  # a standard normal without randomness
RELATIVE = (0.0, 0.25, 0.5, 1.0)

# standard deviation of programming, microsiemens, at RELATIVE
SIGMA: list[tuple[Device, tuple[float, ...]]] = [
    (Pcm(), (0.2635, 0.6814, 0.9527, 1.0554)),
    (Pcm(g_max_microsiemens=50.0), (0.527, 1.3628, 1.9054, 2.1108)),
    (
        HermesTwo(),
        tuple(
            0.16603222 + 4.71806468 * r - 8.48101252 * r**2 + 4.68961419 * r**3 for r in RELATIVE
        ),
    ),
    (
        HermesOne(),
        tuple(
            0.15781817 + 2.32443916 * r - 2.16310839 * r**2 + 0.68841818 * r**3 for r in RELATIVE
        ),
    ),
    (
        ReramWan(),
        tuple(0.348 + 16.030 * r - 43.853 * r**2 + 45.393 * r**3 - 16.815 * r**4 for r in RELATIVE),
    ),
    (
        ReramCmo(acceptance_percent=0.2),
        tuple(0.00081107 + 0.00106879 * (9 + 79.199997 * r) for r in RELATIVE),
    ),
    (ReramCmo(), tuple(0.0112185391 + 0.01129027418 * (9 + 79.199997 * r) for r in RELATIVE)),
    (
        PcmJoshi(),
        tuple(-0.00178767 * (25 * r) ** 2 + 0.07585724 * 25 * r + 0.28638599 for r in RELATIVE),
    ),
    (ReramMilo(), tuple(4.782321 - 0.009107 * (50 + 175 * r) for r in RELATIVE)),
    (
        ReramWanFit(),
        tuple(
            1.053 + 0.2374 * g - 0.01167 * g**2 + 1.536e-4 * g**3
            for g in (39.26 * r for r in RELATIVE)
        ),
    ),
    (Additive(fraction=0.03), (0.75,) * 4),
    (Proportional(fraction=0.2), tuple(5.0 * r for r in RELATIVE)),
]


def targets(device: Device, r: float, count: int = COUNT) -> NDArray[np.float64]:
    """Targets at a share of g_max, or of the range where it does not begin at 0."""
    low, high = device.g_min_microsiemens, device.g_max_microsiemens
    return np.full(count, low + (high - low) * r)


def check_moments(sample: NDArray[np.float64], expected: NDArray[np.float64]) -> None:
    assert sample.mean() == pytest.approx(expected.mean(), rel=0.02, abs=1e-12)
    assert sample.std() == pytest.approx(expected.std(), rel=0.02, abs=1e-12)


@pytest.mark.parametrize("position", range(4), ids=[f"r{r}" for r in RELATIVE])
@pytest.mark.parametrize(
    "device,sigmas", SIGMA, ids=[f"{d.kind}-{i}" for i, (d, _) in enumerate(SIGMA)]
)
def test_programming_has_the_mean_and_deviation_of_its_source(
    device: Device, sigmas: tuple[float, ...], position: int
) -> None:
    target = targets(device, RELATIVE[position])
    programmed = device.program(target, np.random.default_rng(position))["programmed"]
    check_moments(programmed, np.maximum(0, target[0] + sigmas[position] * NORMAL))


@pytest.mark.parametrize("r", RELATIVE)
def test_log_normal_keeps_the_mean(r: float) -> None:
    device = LogNormal(low_resistance_sigma=0.1, high_resistance_sigma=0.5)
    sigma = 0.5 - 0.4 * r
    programmed = device.program(targets(device, r), np.random.default_rng(0))["programmed"]
    assert programmed.mean() == pytest.approx(25 * r, rel=0.02)
    assert programmed.std() == pytest.approx(25 * r * math.sqrt(math.exp(sigma**2) - 1), rel=0.02)


@pytest.mark.parametrize("r", RELATIVE)
@pytest.mark.parametrize(
    "seconds,fit",
    [
        (1.0, (0.348, 16.030, -43.853, 45.393, -16.815)),
        (DAY, (0.701, 22.086, -50.773, 47.095, -16.458)),
        (2 * DAY, (0.782, 20.274, -43.507, 37.062, -11.934)),
        (300 * DAY, (0.782, 20.274, -43.507, 37.062, -11.934)),
    ],
)
def test_wan_deviates_as_measured_at_every_time(
    r: float, seconds: float, fit: tuple[float, ...]
) -> None:
    for device in (ReramWan(), ReramWan(g_max_microsiemens=20.0)):
        target = targets(device, r)
        kept = device.program(target, np.random.default_rng(1))
        sigma = sum(c * r**i for i, c in enumerate(fit)) * device.g_max_microsiemens / 40
        check_moments(device.conductance(kept, seconds), np.maximum(0, target[0] + sigma * NORMAL))


def test_wan_is_one_history() -> None:
    device = ReramWan()
    target = targets(device, 0.25)
    kept = device.program(target, np.random.default_rng(2))
    first, day, later = (device.drifted(kept, t) - target for t in (1.0, DAY, 400 * DAY))
    # the walk: independent increments where the deviation grows, so that correlation = ratio of
    # deviations
    assert np.corrcoef(first, day)[0, 1] == pytest.approx(first.std() / day.std(), abs=0.01)
    # where it shrinks nothing is drawn; at r = 0.25 it does from the first day to the second
    assert later.std() < day.std()
    assert np.corrcoef(day, later)[0, 1] == pytest.approx(1.0, abs=1e-9)
    between = device.drifted(kept, math.sqrt(DAY)) - target
    assert between.std() == pytest.approx((first.std() + day.std()) / 2, rel=0.02)


@pytest.mark.parametrize("seconds", [0.5, 1.0, 3600.0, DAY])
@pytest.mark.parametrize("g", [30.0, 60.0])
def test_cmo_relaxes_as_its_source(g: float, seconds: float) -> None:
    device = ReramCmo(acceptance_percent=0.2, g_max_microsiemens=100.0, g_min_microsiemens=1.0)
    kept = device.program(np.full(COUNT, g), np.random.default_rng(3))
    age = math.log(max(seconds, 1.0))
    spread = math.hypot(0.04201137 * age + 0.41183342, 0.00081107 + 0.00106879 * g)
    relaxed = device.conductance(kept, seconds)
    check_moments(relaxed, g - 0.08900206 * age + spread * NORMAL)
    shift = relaxed - kept["programmed"]
    assert shift.mean() == pytest.approx(
        -0.08900206 * age, rel=0.01, abs=5 * shift.std() / math.sqrt(COUNT)
    )
    growth = math.sqrt(math.log((seconds + 1e-6) / 2e-6))
    noise = device.read(kept, seconds, np.random.default_rng(4)) - device.conductance(kept, seconds)
    assert noise.std() == pytest.approx(0.0277316483 * math.log10(g) * growth, rel=0.02)


def test_cmo_stays_in_its_range() -> None:
    device = ReramCmo()
    for r, edge in ((0.0, device.g_min_microsiemens), (1.0, device.g_max_microsiemens)):
        kept = device.program(targets(device, r), np.random.default_rng(5))
        for conductance in (
            device.conductance(kept, DAY),
            device.read(kept, DAY, np.random.default_rng(6)),
        ):
            assert (conductance >= 9.0).all() and (conductance <= 88.199997).all()
            assert np.mean(conductance == edge) > 0.05


# (device, r, mean and deviation of the exponent before folding, Q)
DRIFT: list[tuple[PhaseChange, float, float, float, float]] = [
    (Pcm(), 0.001, 0.1, 0.045, 0.2),
    (Pcm(), 0.01, 0.0244 - 0.0155 * math.log(0.01), 0.045, 0.0088 / 0.01**0.65),
    (Pcm(), 0.25, 0.049, -0.0125 * math.log(0.25) - 0.0059, 0.0088 / 0.25**0.65),
    (Pcm(), 1.0, 0.049, 0.008, 0.0088),
    (HermesTwo(), 0.05, -0.0387 * math.log(0.05) - 0.0182, -0.0117 * math.log(0.05) - 0.0057,
        -0.0117 * math.log(0.05) - 0.0069),
    (HermesTwo(), 0.25, 0.0736 - 0.0126 / 4 - 0.0436 / 16, -0.0117 * math.log(0.25) - 0.0057,
        0.0123 + 0.0211 / 4 - 0.0280 / 16 + 0.0069 / 64),
    (HermesTwo(), 1.0, 0.0174, 0.0048, 0.0123),
    (HermesOne(), 0.05, -0.0387 * math.log(0.05) - 0.0182, -0.0120 * math.log(0.05) - 0.0023,
        0.0038 - 0.0078 * math.log(0.05)),
    (HermesOne(), 0.25, 0.0736 - 0.0126 / 4 - 0.0436 / 16, -0.0120 * math.log(0.25) - 0.0023,
        0.0088 + 0.0768 / 4 - 0.1352 / 16 + 0.0664 / 64),
    (HermesOne(), 1.0, 0.0174, 0.0055, 0.0168),
]  # fmt: skip


@pytest.mark.parametrize(
    "device,r,mean,deviation,q", DRIFT, ids=[f"{d[0].kind}-{d[1]}" for d in DRIFT]
)
def test_phase_change_drifts_by_a_power_law(
    device: PhaseChange, r: float, mean: float, deviation: float, q: float
) -> None:
    silent = type(device)(programming_scale=0.0)
    kept = silent.program(targets(silent, r), np.random.default_rng(7))
    # the exponent of each device, recovered from what is read, by a line through ln G over ln (t +
    # t0)
    times = np.array([0.0, 25.0, 3600.0, DAY, 365 * DAY])
    x = np.log(times + silent.t0_seconds)
    y = np.log([silent.conductance(kept, t) for t in times])
    slope = ((x - x.mean()) @ y) / np.sum((x - x.mean()) ** 2)
    np.testing.assert_allclose(-slope, kept["exponent"], rtol=0, atol=1e-12)
    residual = y - y.mean(axis=0) - np.outer(x - x.mean(), slope)
    assert np.abs(residual).max() < 1e-12
    check_moments(-slope, np.abs(mean + deviation * NORMAL))
    # read noise of accumulated 1/f noise, where the clip at 0 is out of reach
    for seconds in (0.0, DAY):
        growth = math.sqrt(
            math.log(
                (seconds + silent.t0_seconds + silent.t_read_seconds) / (2 * silent.t_read_seconds)
            )
        )
        steady = silent.conductance(kept, seconds)
        read = silent.read(kept, seconds, np.random.default_rng(8))
        check_moments(read / steady, np.maximum(0, 1 + q * growth * NORMAL))


def test_pcm_read_noise_grows_with_the_logarithm_of_time() -> None:
    from neurohw.memristor.read import flicker_growth

    assert flicker_growth(20.0, 250e-9) == pytest.approx(4.184, abs=5e-4)
    assert flicker_growth(DAY + 20.0, 250e-9) == pytest.approx(5.087, abs=5e-4)
    assert flicker_growth(0.0, 250e-9) == 0.0


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "forming"])
def test_without_noise_every_device_is_its_target(kind: str) -> None:
    device = without_noise(device_named(kind))
    target = np.linspace(device.g_min_microsiemens, device.g_max_microsiemens, 33)
    kept = device.program(target, np.random.default_rng(9))
    for seconds in (0.0, 1.0, 1e5, 1e9):
        np.testing.assert_array_equal(device.conductance(kept, seconds), target)
        np.testing.assert_array_equal(device.read(kept, seconds, np.random.default_rng(0)), target)
        mean, variance = device.read_moments(kept, seconds)
        np.testing.assert_array_equal(mean, target)
        assert variance is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_device_is_read_at_any_time_in_any_order(kind: str, dtype: type) -> None:
    device = device_named(kind)
    target = (
        np.linspace(device.g_min_microsiemens, device.g_max_microsiemens, 64)
        .astype(dtype)
        .reshape(4, 16)
    )
    kept = device.program(target, np.random.default_rng(10))
    again = device.program(target, np.random.default_rng(10))
    times = (0.0, 1e-3, 1.0, 25.0, 1e5, 1e9)
    forward = [device.conductance(kept, t) for t in times]
    backward = [device.conductance(again, t) for t in reversed(times)][::-1]
    np.testing.assert_array_equal(forward, backward)
    np.testing.assert_array_equal(forward[0], np.clip(kept["programmed"], *device.limits))
    for conductance in [*forward, *(device.read(kept, t, np.random.default_rng(0)) for t in times)]:
        assert conductance.shape == target.shape and conductance.dtype == dtype
        assert np.isfinite(conductance).all() and (conductance >= 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_read_moments_are_those_of_reads(kind: str) -> None:
    device = device_named(kind)
    target = targets(device, 0.3, 4)
    kept = {
        n: np.repeat(a[:1], COUNT)
        for n, a in device.program(target, np.random.default_rng(1)).items()
    }
    mean, variance = device.read_moments(kept, 3600.0)
    reads = device.read(kept, 3600.0, np.random.default_rng(12))
    assert reads.mean() == pytest.approx(mean[0], rel=0.01)
    assert (0.0 if variance is None else variance[0]) == pytest.approx(
        reads.var(), rel=0.02, abs=1e-20
    )


@pytest.mark.parametrize("limits", [(0.0, math.inf), (0.5, 2.0), (0.0, 0.1)])
@pytest.mark.parametrize(
    "mean,deviation", [(0.0, 0.3), (1.0, 0.01), (-1.0, 0.2), (0.02, 5.0), (3.0, 0.5), (0.7, 0.0)]
)
def test_moments_of_a_clipped_normal(
    limits: tuple[float, float], mean: float, deviation: float
) -> None:
    sample = np.clip(mean + deviation * NORMAL, *limits)
    m, v = clipped_moments(np.array([mean]), np.array([deviation]), limits)
    assert m[0] == pytest.approx(sample.mean(), rel=1e-4, abs=1e-5)
    assert v[0] == pytest.approx(sample.var(), rel=1e-4, abs=1e-5)


def test_forming_ignores_its_target() -> None:
    device = Forming(g_max_microsiemens=30.0, probability=0.4, spread=0.25)
    for r in (0.0, 1.0):
        kept = device.program(targets(device, r), np.random.default_rng(13))
        g = kept["programmed"]
        assert np.mean(g > 0) == pytest.approx(0.4, rel=0.02)
        check_moments(g[g > 0], (lambda x: x[x > 0])(30 + 7.5 * NORMAL))
    assert Forming(probability=1.0, programming_scale=0.0).program(
        np.zeros(3), np.random.default_rng(0)
    )["programmed"] == pytest.approx([25.0] * 3)


@pytest.mark.parametrize(
    "make,message",
    [
        (
            lambda: Pcm(g_max_microsiemens=-1.0),
            "'pcm'.*g_max_microsiemens must be a number, above 0, not -1",
        ),
        (lambda: Pcm(g_min_microsiemens=25.0), "'pcm'.*25..25"),
        (lambda: HermesOne(g_max_microsiemens=20.0), "hermes_one.*0..20 .*covers 0..10.35"),
        (lambda: ReramMilo(g_min_microsiemens=0.0), "reram_milo.*covers 50..225"),
        (lambda: ReramWanFit(g_max_microsiemens=40.0), "covers 0..39.26"),
        (
            lambda: ReramCmo(acceptance_percent=0.02),
            r"acceptance_percent is one of \[0.2, 2.0\], not 0.02",
        ),
        (lambda: Pcm(drift_scale=-1.0), "drift_scale must be a number, 0 or more"),
        (lambda: Forming(probability=1.5), "probability must be a number, in 0..1"),
        (lambda: device_named("flash"), "unknown device 'flash': known are pcm"),
        (lambda: device_named("pcm", gmax=3), "device pcm:.*gmax"),
        (
            lambda: Pcm().conductance(Pcm().program(np.ones(2), np.random.default_rng(0)), -1.0),
            "time in seconds .* not -1",
        ),
        (
            lambda: Pcm().conductance(
                Pcm().program(np.ones(2), np.random.default_rng(0)), math.nan
            ),
            "time in seconds .* not nan",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(make: object, message: str) -> None:
    with pytest.raises(InvalidModel, match=message):
        make()  # type: ignore[operator]


@pytest.mark.parametrize("kind", KINDS)
def test_devices_survive_json(kind: str) -> None:
    import json

    device = without_noise(device_named(kind))
    assert device_from_json(json.loads(json.dumps(device.to_json()))) == device
    special = Pcm(coefficients=(0.1, 0.2), reference_microsiemens=30.0)
    assert device_from_json(json.loads(json.dumps(special.to_json()))) == special
