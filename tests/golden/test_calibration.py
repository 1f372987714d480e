# SPDX-License-Identifier: Apache-2.0
"""Differences between float and integers on calibration data, against the same numbers by hand."""

import dataclasses
import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from neurohw import (
    Integrator,
    Lif,
    TrainedNetwork,
    feed_forward,
    load_quantized,
    quantize,
    run_golden,
    run_reference,
    save,
)
from neurohw.errors import InvalidData, InvalidModel, PrecisionWarning
from neurohw.golden import calibrated, calibration_differences
from neurohw.neurons import Adaptation
from tests.random_networks import random_stimulus, random_trained


def test_every_state_is_compared_in_the_units_of_the_trained_network() -> None:
    """The same maxima and roots of mean squares, from two whole traces in one go; 20 samples are
    more than one part."""
    rng = np.random.default_rng(0)
    neuron = Lif(0.75, synapse_decay=0.5, adaptation=Adaptation(0.5, 0.3))
    network = feed_forward([12, 9, 4], neuron, Integrator(0.9))
    trained = random_trained(rng, network, 15)
    model, spikes = quantize(trained, 4), random_stimulus(rng, network, 15, 20)
    found = calibration_differences(trained, model, spikes)
    wanted, integers = run_reference(trained, spikes), run_golden(model, spikes)
    assert (found.samples, found.steps) == (20, 15)
    hidden = found.populations["hidden1"]
    assert set(hidden.states) == {"v", "c", "a"}
    assert set(found.populations["output"].states) == {"v"}
    for name, population in found.populations.items():
        a, b = wanted.spikes[name], integers.spikes[name]
        assert population.spikes_float == a.sum() and population.spikes_integer == b.sum()
        assert population.spikes_differing == (a != b).sum() and population.updates == a.size
        unit = np.array(model.info["populations"][name]["unit"])
        for letter, state in population.states.items():
            key = f"{letter}.{name}"
            difference = np.abs(wanted.states[key] - integers.states[key] * unit)
            assert state.largest == pytest.approx(difference.max())
            assert state.rms == pytest.approx(np.sqrt((difference**2).mean()))
            if name == "output":
                assert state.largest_thresholds is None and state.rms_thresholds is None
                continue
            relative = difference / trained.parameters["hidden1.threshold"]
            assert state.largest_thresholds == pytest.approx(relative.max())
            assert state.rms_thresholds == pytest.approx(np.sqrt((relative**2).mean()))
    assert (
        json.loads(json.dumps(found.to_json()))["populations"]["hidden1"]["updates"] == 15 * 20 * 9
    )


def slow(resolution_bits: int) -> tuple[TrainedNetwork, np.ndarray, dict[str, int]]:
    """A weakly driven population of leak 1 - 2^-6."""
    rng = np.random.default_rng(1)
    network = feed_forward([50, 40], output=Lif(1 - 2.0**-6))
    weight = rng.normal(1.0, 0.5, (40, 50))
    weight *= 0.9 / (weight.sum(axis=1).mean() * 0.05 * 64)
    parameters = {
        "input_to_output.weight": weight,
        "output.bias": np.zeros(40),
        "output.threshold": np.ones(40),
    }
    spikes = (rng.random((1000, 2, 50)) < 0.05).astype(np.uint8)
    return TrainedNetwork(network, parameters, 1000), spikes, {"resolution_bits": resolution_bits}


def test_lost_spikes_are_told_with_their_numbers() -> None:
    trained, spikes, options = slow(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrecisionWarning)
        model = quantize(trained, 4, **options)
    found = calibration_differences(trained, model, spikes)
    population = found.populations["output"]
    assert abs(population.share) > 0.05
    [text] = found.warnings()
    assert (
        f"{population.spikes_integer:,} spikes in integers, {population.spikes_float:,} in float"
        in text
    )
    assert found.warnings(share=10.0) == []


def test_the_default_loses_few() -> None:
    trained, spikes, _ = slow(5)
    found = calibration_differences(trained, quantize(trained, 8), spikes)
    assert found.populations["output"].spikes_float > 100
    assert found.warnings() == []


def test_the_model_carries_its_calibration(tmp_path: Path) -> None:
    trained, spikes, options = slow(0)
    model = calibrated(trained, quantize(trained, 4, **options), spikes)
    save(model, tmp_path / "quantized")
    info = load_quantized(tmp_path / "quantized").info
    assert info["calibration"] == calibration_differences(trained, model, spikes).to_json()
    assert any("spikes in integers" in text for text in info["warnings"])


def test_exact_integers_do_not_differ() -> None:
    """Weights of 127 and 5, no leak, no bias: integers are the network."""
    network = feed_forward([2, 1], output=Integrator(1.0))
    weights = {"input_to_output.weight": np.array([[127.0, 5.0]]), "output.bias": np.zeros(1)}
    trained = TrainedNetwork(network, weights, 6)
    spikes = random_stimulus(np.random.default_rng(0), network, 6, 3)
    state = (
        calibration_differences(trained, quantize(trained, 8), spikes)
        .populations["output"]
        .states["v"]
    )
    assert (state.largest, state.rms) == (0.0, 0.0)


def test_others_are_refused() -> None:
    rng = np.random.default_rng(0)
    one, two = (random_trained(rng, feed_forward([3, n], output=Lif()), 5) for n in (2, 4))
    model, spikes = quantize(one), random_stimulus(rng, one.network, 5, 1)
    with pytest.raises(InvalidModel, match="belong to another network"):
        calibration_differences(two, model, spikes)
    with pytest.raises(
        InvalidModel, match="population 'output': its integers came without a scale"
    ):
        calibration_differences(one, dataclasses.replace(model, info={}), spikes)
    with pytest.raises(InvalidData, match="stimulus has shape"):
        calibration_differences(one, model, spikes[..., :1])
