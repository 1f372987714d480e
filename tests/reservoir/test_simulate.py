# SPDX-License-Identifier: Apache-2.0
"""Liquids run fast are liquids run by the reference, and the summary says what the single measures
say.
"""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from neurohw.errors import InvalidModel
from neurohw.neurons import Lif
from neurohw.reference import run_reference
from neurohw.reservoir import (
    LIQUIDS,
    Liquid,
    LiquidConfig,
    gaussian_reservoir,
    grid_liquid,
    liquid_named,
    run_liquid,
    spectral_radius,
)
from neurohw.reservoir.avalanches import avalanches
from neurohw.reservoir.measure import branching_factor, connectivity, firing_statistics
from neurohw.reservoir.summary import summarise
from neurohw.stimulus import Spikes
from neurohw.trace import first_mismatch


def stimulus(
    inputs: int, steps: int = 60, samples: int = 5, rate: float = 0.2, largest: int = 1
) -> Spikes:
    return Spikes(
        (np.random.default_rng(0).random((steps, samples, inputs)) < rate) * np.uint8(largest)
    )


@pytest.mark.parametrize(
    ("liquid", "largest"),
    [
        (grid_liquid(15, (4, 4, 4), input_weight=5.0, input_density=0.5), 1),
        (gaussian_reservoir(15, 40, scale=0.5, input_scale=1.0), 1),
        # more than one spike in a step
        (gaussian_reservoir(15, 40, scale=0.5, input_scale=1.0), 3),
        (gaussian_reservoir(15, 40, scale=0.3, input_scale=1.0, neuron=Lif(0.8, 2.0, "soft")), 1),
    ],
)
def test_the_fast_run_is_the_reference(liquid: Liquid, largest: int) -> None:
    spikes = stimulus(15, largest=largest)
    expected, found = run_reference(liquid.trained, spikes), run_liquid(liquid, spikes, states=True)
    assert expected.spikes["liquid"].sum() > 50
    assert set(found.states) >= {"v.liquid", "c.liquid", "r.liquid"}
    assert first_mismatch(expected, found, 1e-9) is None
    without = run_liquid(liquid, spikes)
    assert np.array_equal(without.spikes["liquid"], expected.spikes["liquid"])


def test_the_summary_agrees_with_the_measures() -> None:
    liquid = grid_liquid(20, (4, 4, 4), input_weight=6.0, input_density=0.5, seed=3)
    inputs = stimulus(20, 120, 8)
    said: list[str] = []
    summary = summarise(liquid, inputs, progress=lambda text, done: said.append(text))
    spikes = run_liquid(liquid, inputs).spikes["liquid"]
    values = summary.values
    assert np.array_equal(summary.spikes, spikes) and said[-1] == "done"
    assert values["branching_factor"] == pytest.approx(
        branching_factor(spikes, connectivity(liquid.trained))
    )
    assert values["statistics"] == firing_statistics(spikes).to_json()
    matrix = liquid.trained.matrices(liquid.network.projections[1])[0][1].toarray()
    assert (
        values["spectral_radius"]
        == pytest.approx(np.abs(np.linalg.eigvals(matrix)).max())
        == spectral_radius(matrix)
    )
    assert values["quiet"] == int(spikes.sum(2).mean() / 2)
    assert values["avalanches"]["count"] == len(avalanches(spikes, values["quiet"]).size)
    assert values["ranks"]["inputs"] == 8 and 1 < values["ranks"]["kernel"] <= 8
    assert (values["neurons"], values["inhibitory"], values["steps"], values["samples"]) == (
        64,
        13,
        120,
        8,
    )
    json.dumps(values, allow_nan=False)
    assert summarise(liquid, inputs).values == values


def test_a_silent_liquid_has_a_summary() -> None:
    liquid = grid_liquid(5, (3, 3, 3))
    values = summarise(liquid, Spikes(np.zeros((40, 2, 5), np.uint8))).values
    assert values["branching_factor"] is None and values["statistics"]["rate"] == 0
    assert values["ranks"]["kernel"] == 0 and values["avalanches"]["size"] is None
    json.dumps(values, allow_nan=False)


@pytest.mark.parametrize("topology", ["grid", "small-world", "random", "gaussian"])
def test_a_configuration_builds_and_is_saved(topology: Any) -> None:
    config = LiquidConfig(
        topology, (4, 4, 3), degree=6, weight=0.5, input_density=0.4, spectral_radius=0.9
    )
    liquid = config.build(7, 33, seed=2)
    assert liquid.neurons == 48 and liquid.trained.steps == 33
    assert (
        liquid.digest()
        == LiquidConfig.from_json(json.loads(json.dumps(config.to_json()))).build(7, 33, 2).digest()
    )
    matrix = liquid.trained.matrices(liquid.network.projections[1])[0][1].toarray()
    assert np.abs(np.linalg.eigvals(matrix)).max() == pytest.approx(0.9)
    assert (liquid.positions is None) == (topology != "grid")
    assert len(liquid.trained.parameters["input_to_liquid.weight"]) == round(0.4 * 7 * 48)
    free = (
        replace(config, spectral_radius=None)
        .build(7, 33, 2)
        .trained.parameters["liquid_to_liquid.weight"]
    )
    assert topology == "gaussian" or set(np.abs(free)) == {0.5}


def test_unknown_names_of_a_configuration_are_refused() -> None:
    with pytest.raises(InvalidModel, match="topology must be 'grid'"):
        LiquidConfig("torus")  # type: ignore[arg-type]
    with pytest.raises(InvalidModel, match="readout must be 'ridge'"):
        LiquidConfig(readout="svm")  # type: ignore[arg-type]
    with pytest.raises(InvalidModel, match="test_samples"):
        LiquidConfig(test_samples=0)
    with pytest.raises(InvalidModel, match="colour"):
        LiquidConfig.from_json({"colour": 1})
    with pytest.raises(InvalidModel, match="known are digits"):
        liquid_named("cifar")
    assert set(LIQUIDS) == {"digits", "mnist", "spoken-digits"}
