# SPDX-License-Identifier: Apache-2.0
"""Resistive reservoirs: statistics of their weights against the formulas of forming, one chip seen
in two ways, and read noise.
"""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ks_2samp

from neurohw import run_reference
from neurohw.errors import InvalidModel
from neurohw.memristor import device_named, load_chip
from neurohw.memristor.devices import Forming
from neurohw.neurons import Lif
from neurohw.reservoir import Liquid, LiquidConfig, resistive_chip, resistive_liquid, run_liquid
from neurohw.reservoir.resistive import formed_moments
from neurohw.stimulus import Spikes

NEURON = Lif(decay=0.9, threshold=2.0, reset="hard")


def stimulus(inputs: int, steps: int = 40, samples: int = 6) -> Spikes:
    return Spikes(
        (np.random.default_rng(0).random((steps, samples, inputs)) < 0.2).astype(np.uint8)
    )


def dense_weights(liquid: Liquid, projection: str, sources: int) -> np.ndarray:
    arrays = liquid.trained.parameters
    dense = np.zeros((liquid.neurons, sources))
    source, target = (arrays[f"{projection}.{end}"].astype(int) for end in ("source", "target"))
    assert len(np.unique(source * liquid.neurons + target)) == len(source)
    dense[target, source] = arrays[f"{projection}.weight"]
    return dense


@pytest.mark.parametrize(
    ("probability", "spread"), [(0.5, 0.3), (0.2, 0.4), (0.9, 0.2), (0.5, 1.5), (1.0, 0.3)]
)
def test_moments_of_a_device_that_may_be_formed(probability: float, spread: float) -> None:
    device = Forming(g_max_microsiemens=40.0, probability=probability, spread=spread)
    rng = np.random.default_rng(1)
    conductance = (
        40
        * np.maximum(1 + spread * rng.standard_normal(10**6), 0)
        * (rng.random(10**6) < probability)
    )
    mean, variance = formed_moments(device)
    assert mean == pytest.approx(conductance.mean(), rel=0.01)
    assert variance == pytest.approx(conductance.var(), rel=0.01)


@pytest.mark.parametrize(("probability", "spread"), [(0.5, 0.3), (0.3, 0.2), (0.8, 0.25)])
def test_weights_are_those_of_the_formulas(probability: float, spread: float) -> None:
    device = device_named("forming", probability=probability, spread=spread)
    liquid = resistive_liquid(resistive_chip(100, 400, 0.2, 1.5, device, seed=5))
    for projection, sources, scale in (
        ("input_to_liquid", 100, 1.5),
        ("liquid_to_liquid", 400, 0.2),
    ):
        w = dense_weights(liquid, projection, sources).ravel()
        count = len(w)
        assert np.mean(w == 0) == pytest.approx((1 - probability) ** 2, abs=4 / np.sqrt(count))
        assert abs(w.mean()) < 4 * scale / np.sqrt(count)
        assert w.std() == pytest.approx(scale, rel=0.02)
        # one device formed of a pair: its mean, in the unit that makes the deviation of all weights
        # `scale`
        unit = scale / np.sqrt(2 * (probability * (1 + spread**2) - probability**2))
        formed = 2 * probability * (
            1 - probability
        ) * unit + probability**2 * unit * spread * np.sqrt(4 / np.pi)
        assert np.abs(w).mean() == pytest.approx(formed, rel=0.02)
        # a pair is as often turned the one way as the other
        assert ks_2samp(w[w > 0], -w[w < 0]).pvalue > 0.01
        assert np.mean(w[w != 0] > 0) == pytest.approx(0.5, abs=2 / np.sqrt(count))
    # no structure: rows and columns have equal sums within their errors
    for axis in (0, 1):
        sums = dense_weights(liquid, "liquid_to_liquid", 400).sum(axis=axis)
        assert sums.std() == pytest.approx(0.2 * 20, rel=0.15)


def test_one_seed_one_reservoir(tmp_path: Path) -> None:
    chip = resistive_chip(7, 30, seed=3)
    liquid = resistive_liquid(chip)
    assert (
        liquid.digest()
        == resistive_liquid(resistive_chip(7, 30, seed=3)).digest()
        != resistive_liquid(resistive_chip(7, 30, seed=4)).digest()
    )
    assert (
        liquid.save(tmp_path / "liquid")
        == liquid.digest()
        == Liquid.load(tmp_path / "liquid").digest()
    )
    chip.save(tmp_path / "chip")
    assert resistive_liquid(load_chip(tmp_path / "chip")).digest() == liquid.digest()
    assert liquid.trained.parent == chip.digest() and liquid.trained.info["topology"] == "resistive"
    # another scale is another gain of the same devices
    larger = resistive_liquid(resistive_chip(7, 30, scale=0.14, seed=3)).trained.parameters
    for name in ("input_to_liquid", "liquid_to_liquid"):
        same = liquid.trained.parameters
        assert np.array_equal(larger[f"{name}.source"], same[f"{name}.source"])
        np.testing.assert_allclose(larger[f"{name}.weight"], 2 * same[f"{name}.weight"], rtol=1e-12)


def test_the_chip_and_its_liquid_fire_alike() -> None:
    chip = resistive_chip(11, 50, 0.3, 1.5, neuron=NEURON, seed=2)
    liquid, spikes = resistive_liquid(chip), stimulus(11)
    assert np.array_equal(
        dense_weights(liquid, "liquid_to_liquid", 50),
        chip.network(0.0).parameters["liquid_to_liquid.weight"],
    )
    fired = run_liquid(liquid, spikes).spikes["liquid"]
    assert 0.02 < fired.mean() < 0.6
    for other in (
        run_reference(liquid.trained, spikes),
        chip.run(spikes, 0.0, states=False),  # the device has no read noise
        chip.run(spikes, 0.0, states=False, read_noise=False),
    ):
        assert np.array_equal(other.spikes["liquid"], fired)


def test_read_noise_is_in_proportion_to_each_device_and_new_at_every_step() -> None:
    device = device_named("forming", read_fraction=0.05)
    quiet, noisy = resistive_chip(11, 200, seed=2), resistive_chip(11, 200, device=device, seed=2)
    still = quiet.network(0.0).parameters["liquid_to_liquid.weight"]
    assert np.array_equal(noisy.network(0.0).parameters["liquid_to_liquid.weight"], still)
    reads = np.stack(
        [noisy.network(0.0, read=k).parameters["liquid_to_liquid.weight"] for k in range(20)]
    )
    assert np.all(reads[:, still == 0] == 0)
    plus, minus = noisy.crossbars["liquid_to_liquid"].conductances(0.0)[0]
    step = noisy.crossbars["liquid_to_liquid"].mapped.step
    alone = (plus > 0) != (minus > 0)  # of a pair with one formed device the weight is that device
    assert np.std(reads[:, alone] / still[alone] - 1) == pytest.approx(0.05, rel=0.02)
    both = (plus > 0) & (minus > 0)
    expected = 0.05 * step[both] * np.sqrt(plus[both] ** 2 + minus[both] ** 2)
    assert np.std((reads[:, both] - still[both]) / expected) == pytest.approx(1.0, rel=0.02)
    # equal spikes at every step from equal states: only the noise differs
    neuron = Lif(decay=0.0, threshold=1e9, reset="hard")
    silent = resistive_chip(11, 50, device=device, neuron=neuron, seed=2)
    current = silent.run(np.ones((30, 1, 11), np.uint8), 0.0).states["v.liquid"][1:, 0]
    assert (
        np.all(current.std(axis=0) > 0)
        and abs(
            np.corrcoef(
                current[:-1].ravel() - np.tile(current.mean(0), 28),
                current[1:].ravel() - np.tile(current.mean(0), 28),
            )[0, 1]
        )
        < 0.15
    )


def test_the_configuration_builds_it() -> None:
    config = LiquidConfig(
        "resistive",
        (5, 4, 2),
        weight=0.3,
        input_weight=2.0,
        formed=0.4,
        spread=0.2,
        decay=0.75,
        threshold=3.0,
    )
    liquid = config.build(9, 33, 7)
    device = device_named("forming", probability=0.4, spread=0.2)
    neuron = Lif(decay=0.75, threshold=3.0, reset="hard")
    assert (
        liquid.digest()
        == resistive_liquid(resistive_chip(9, 40, 0.3, 2.0, device, neuron, 33, 7)).digest()
    )
    assert LiquidConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": device_named("pcm")}, "'forming', not 'pcm'"),
        (
            {"device": device_named("forming", probability=0.0)},
            "all weights are 0 with probability 0.0",
        ),
        ({"device": device_named("forming", probability=1.0, spread=0.0)}, "all weights are 0"),
        ({"scale": 0.0}, "scale of random weights must be a number, above 0"),
        ({"input_scale": -1.0}, "input_scale of random weights"),
        ({"seed": -1}, "seed of a chip"),
        (
            {"device": device_named("forming", probability=1e-9)},
            "'input_to_liquid': no device was formed",
        ),
    ],
)
def test_errors_say_what_is_wrong(options: dict, message: str) -> None:
    with pytest.raises(InvalidModel, match=message):
        resistive_liquid(resistive_chip(3, 5, **options))
