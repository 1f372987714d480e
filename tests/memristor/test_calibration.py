# SPDX-License-Identifier: Apache-2.0
"""Calibration: what drift took is given back, exactly where it is uniform, and what it recovers on
chips.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from neurohw import Integrator, Lif, Network, TrainedNetwork, feed_forward, run_reference
from neurohw.connections import Convolution
from neurohw.errors import InvalidModel
from neurohw.memristor import (
    Chip,
    Converter,
    CrossbarMapping,
    calibrate_columns,
    calibrate_thresholds,
    device_named,
    load_chip,
    program,
    without_noise,
)
from neurohw.memristor.calibration import projection_currents
from neurohw.memristor.devices.base import Array, GaussianProgramming, Kept
from neurohw.network import Population, Projection
from neurohw.neurons import Source
from neurohw.stimulus import Spikes
from tests.random_networks import random_graph, random_network, random_stimulus, random_trained

DAY = 86400.0


@dataclass(frozen=True)
class Uniform(GaussianProgramming):
    """All devices lose the same share of their conductance: G(t) = G / (1 + t)."""

    g_max_microsiemens: float = 25.0
    kind: ClassVar[str] = "uniform"

    def programming_deviation(self, target: Array) -> Array:
        return np.zeros_like(target)

    def drifted(self, kept: Kept, time_seconds: float) -> Array:
        return kept["programmed"] / (1.0 + time_seconds)


def active(rng: np.random.Generator, network: Network) -> TrainedNetwork:
    """Random weights, and thresholds at which about a fifth of the neurons fire in a step."""
    arrays = {n: rng.normal(0.1, 1.0, s) for n, s in network.shapes().items()}
    for name in arrays:
        if name.endswith(".threshold"):
            arrays[name] = rng.uniform(2.0, 4.0, arrays[name].shape)
        elif name.endswith(".bias"):
            arrays[name] = rng.normal(0.0, 0.2, arrays[name].shape)
    return TrainedNetwork(network, arrays, 6)


def convolutional() -> Network:
    shared, single = Convolution((1, 6, 6), 3, (3, 3)), Convolution((3, 4, 4), 2, (3, 3))
    return Network(
        (
            Population("input", 36, Source()),
            Population("shared", 48, Lif(0.5), channels=3),
            Population("single", 8, Lif(0.5)),
            Population("output", 4, Integrator(1.0)),
        ),
        (
            Projection("input", "shared", connection=shared),
            Projection("shared", "single", connection=single),
            Projection("single", "output"),
        ),
    )


@pytest.mark.parametrize(
    "network", [feed_forward([30, 20, 12, 5]), convolutional()], ids=["dense", "convolutional"]
)
def test_columns_give_back_a_uniform_drift(network: Network) -> None:
    rng = np.random.default_rng(0)
    trained = active(rng, network)
    spikes = (rng.random((6, 40, network.input.size)) < 0.4).astype(np.uint8)
    chip = program(trained, Uniform(), 0)
    expected = run_reference(trained, spikes)
    assert all(expected.spikes[p.name].any() for p in network.populations[1:-1])
    drifted = chip.run(spikes, 3.0)
    assert (
        drifted.spikes[network.populations[1].name].sum()
        < 0.7 * expected.spikes[network.populations[1].name].sum()
    )
    calibrated = calibrate_columns(chip, spikes, 3.0)
    for projection in network.projections:
        np.testing.assert_allclose(
            calibrated.calibration[f"{projection.name}.gain"], 4.0, rtol=1e-9
        )
    for trace in (calibrated.run(spikes, 3.0), run_reference(calibrated.network(3.0), spikes)):
        for name, array in expected.spikes.items():
            np.testing.assert_array_equal(trace.spikes[name], array)
        np.testing.assert_allclose(trace.states["v.output"], expected.states["v.output"], atol=1e-9)


@pytest.mark.parametrize("per", ["neuron", "population"])
def test_thresholds_give_back_the_rates_under_a_uniform_drift(per: str) -> None:
    rng = np.random.default_rng(1)
    network = feed_forward([30, 20, 12, 5])
    plain = active(rng, network)
    # without biases a factor on all currents is the same factor on the threshold
    parameters = {
        n: np.zeros_like(a) if n.endswith(".bias") else a for n, a in plain.parameters.items()
    }
    trained = replace(plain, parameters=parameters)
    spikes = (rng.random((6, 40, 30)) < 0.4).astype(np.uint8)
    expected = run_reference(trained, spikes)
    chip = calibrate_thresholds(program(trained, Uniform(), 0), spikes, 3.0, per=per)
    actual = chip.run(spikes, 3.0)
    for name in ("hidden1", "hidden2"):
        counts, wanted = (t.spikes[name].sum(axis=(0, 1), dtype=int) for t in (actual, expected))
        if per == "population":
            counts, wanted = counts.sum(keepdims=True), wanted.sum(keepdims=True)
        assert wanted.any()
        np.testing.assert_array_equal(counts, wanted)
        factor = chip.calibration[f"{name}.threshold"] / trained.parameters[f"{name}.threshold"]
        fired = np.broadcast_to(wanted > 0, factor.shape)
        np.testing.assert_allclose(factor[fired], 0.25, rtol=0.2)


def test_a_chip_without_error_keeps_its_values() -> None:
    rng = np.random.default_rng(2)
    for _ in range(8):
        trained = random_trained(rng, random_graph(rng))
        spikes = Spikes(random_stimulus(rng, trained.network, 6, 3, 2))
        chip = program(
            trained,
            without_noise(device_named("pcm")),
            0,
            CrossbarMapping(tile_rows=4, tile_columns=3),
        )
        calibrated = calibrate_columns(chip, spikes, DAY)
        for name, values in calibrated.calibration.items():
            expected = 1.0 if name.endswith(".gain") else trained.parameters[name]
            np.testing.assert_allclose(values, np.broadcast_to(expected, values.shape), atol=1e-9)
        if any(isinstance(p.neuron, Lif) for p in trained.network.populations):
            for name, values in calibrate_thresholds(chip, spikes, DAY).calibration.items():
                np.testing.assert_array_equal(values, trained.parameters[name])


def test_means_and_deviations_of_currents_are_those_of_the_trained_network() -> None:
    rng = np.random.default_rng(3)
    network = feed_forward([40, 25, 6])
    trained = active(rng, network)
    spikes = (rng.random((6, 60, 40)) < 0.4).astype(np.uint8)
    chip = program(trained, device_named("pcm", read_scale=0.0), 5)
    weights = calibrate_columns(chip, spikes, DAY, compensate=True).network(DAY, compensate=True)
    before, after = run_reference(trained, spikes), run_reference(weights, spikes)
    for projection in network.projections:
        bias = f"{projection.target}.bias"
        expected = (
            projection_currents(trained, projection, before.spikes[projection.source])
            + trained.parameters[bias]
        )
        actual = (
            projection_currents(weights, projection, after.spikes[projection.source])
            + weights.parameters[bias]
        )
        np.testing.assert_allclose(actual.mean(axis=(0, 1)), expected.mean(axis=(0, 1)), atol=1e-9)
        np.testing.assert_allclose(actual.std(axis=(0, 1)), expected.std(axis=(0, 1)), rtol=1e-9)


def rates(chip: Chip, spikes: np.ndarray) -> np.ndarray:
    return chip.run(spikes, DAY, draw=1).spikes["hidden1"].mean(axis=(0, 1))


def test_rates_of_noisy_chips_come_back_on_other_input() -> None:
    rng = np.random.default_rng(4)
    trained = active(rng, feed_forward([100, 40, 6], Lif(0.5)))
    typical, other = ((rng.random((6, 300, 100)) < 0.3).astype(np.uint8) for _ in range(2))
    expected = run_reference(trained, other, states=False).spikes["hidden1"].mean(axis=(0, 1))
    for seed in range(3):
        chip = program(trained, device_named("pcm"), seed)
        off = np.abs(rates(chip, other) - expected).mean()
        by_columns = np.abs(rates(calibrate_columns(chip, typical, DAY), other) - expected).mean()
        by_thresholds = np.abs(
            rates(calibrate_thresholds(chip, typical, DAY), other) - expected
        ).mean()
        assert max(by_columns, by_thresholds) < 0.35 * off


def test_a_calibrated_chip_is_saved_and_calibrated_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    trained = active(rng, feed_forward([20, 10, 4]))
    spikes = (rng.random((6, 30, 20)) < 0.4).astype(np.uint8)
    chip = program(trained, device_named("pcm"), 0)
    calibrated = calibrate_thresholds(calibrate_columns(chip, spikes, DAY), spikes, DAY)
    assert {n.split(".")[1] for n in calibrated.calibration} == {"gain", "bias", "threshold"}
    assert (
        calibrated.save(tmp_path / "chip") == load_chip(tmp_path / "chip").digest() != chip.digest()
    )
    assert (
        calibrate_columns(calibrated, spikes, 25.0).digest()
        == calibrate_columns(chip, spikes, 25.0).digest()
    )
    digital = calibrated.network(DAY)
    assert np.array_equal(
        digital.parameters["hidden1.threshold"], calibrated.calibration["hidden1.threshold"]
    )
    with_adc = replace(chip, adc=Converter(8)).calibrated(spikes)
    assert calibrate_thresholds(with_adc, spikes, DAY).calibration.keys() == {"hidden1.threshold"}


def test_what_cannot_be_calibrated_is_named() -> None:
    rng = np.random.default_rng(6)
    trained = random_trained(rng, random_network(rng, [5, 4]))
    silent = TrainedNetwork(
        feed_forward([5, 4], output=Integrator()),
        {"input_to_output.weight": rng.normal(size=(4, 5)), "output.bias": np.zeros(4)},
        2,
    )
    spikes = np.ones((2, 3, 5), np.uint8)
    with pytest.raises(InvalidModel, match="no population of the network has a threshold"):
        calibrate_thresholds(program(silent, device_named("pcm"), 0), spikes, 0.0)
    with pytest.raises(InvalidModel, match="'neuron' or 'population'"):
        calibrate_thresholds(program(trained, device_named("pcm"), 0), spikes, 0.0, per="layer")
    # its currents do not vary
    constant = calibrate_columns(program(silent, device_named("pcm"), 0), spikes, DAY)
    np.testing.assert_array_equal(constant.calibration["input_to_output.gain"], 1.0)
    traces = [run_reference(t, spikes).states["v.output"] for t in (constant.network(DAY), silent)]
    np.testing.assert_allclose(*traces)
