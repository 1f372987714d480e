# SPDX-License-Identifier: Apache-2.0
"""Figures of reservoirs of every shape, silent ones among them."""

import re

import numpy as np
import pytest

from neurohw.report.reservoir_figures import (
    avalanche_sizes,
    connections,
    degrees,
    raster,
    reservoir_drawings,
    weights,
)
from neurohw.reservoir import Liquid, gaussian_reservoir, grid_liquid, random_liquid
from neurohw.reservoir.avalanches import Avalanches
from neurohw.reservoir.summary import summarise
from neurohw.stimulus import Spikes


def texts(svg: str) -> str:
    """What is written in a figure."""
    assert svg.startswith("<svg") and svg.rstrip().endswith("</svg>")
    return " ".join(re.findall(r">([^<>\n]+)<", svg))


def test_all_figures_of_a_driven_liquid() -> None:
    liquid = grid_liquid(8, (3, 3, 3), input_weight=6.0, input_density=0.5)
    inputs = (np.random.default_rng(0).random((60, 3, 8)) < 0.3).astype(np.uint8)
    summary = summarise(liquid, Spikes(inputs))
    drawings = reservoir_drawings(liquid, summary, inputs[:, 0])
    assert set(drawings) == {
        "connections",
        "raster",
        "avalanches",
        "branching",
        "weights",
        "degrees",
    }
    assert "inhibitory" in texts(drawings["raster"]) and "excitatory" in texts(
        drawings["connections"]
    )
    assert f"mean {summary.values['branching_factor']:.3f}" in texts(drawings["branching"])
    assert "coming in" in texts(drawings["degrees"]) and "recurrent" in texts(drawings["weights"])
    again = reservoir_drawings(liquid, summary, inputs[:, 0])
    assert again == drawings  # the same run makes the same page


@pytest.mark.parametrize(
    "liquid",
    [
        gaussian_reservoir(4, 12),
        random_liquid(4, 30, in_degree=3),
        grid_liquid(4, (5, 5, 1), length=1.0),
    ],
)
def test_other_topologies(liquid: Liquid) -> None:
    shown = texts(connections(liquid))
    assert ("negative" in shown) == (not liquid.inhibitory.any())
    assert "neurons" in texts(degrees(liquid)) and "weight" in texts(weights(liquid))


def test_silence_is_drawn_as_silence() -> None:
    nothing = np.zeros(0, np.int64)
    shown = texts(avalanche_sizes(Avalanches(nothing, nothing), {"size": None, "duration": None}))
    assert shown.count("no avalanche") == 2
    silent = raster(np.zeros((20, 10)), np.zeros((20, 4)), np.zeros(10, bool), 1e-3)
    assert "time, ms" in texts(silent) and "inhibitory" not in texts(silent)


def test_a_fit_is_named_with_its_error() -> None:
    values = np.random.default_rng(0).zipf(2.0, 300)
    fit = {"exponent": 2.03, "error": 0.06, "minimum": 2, "events": 150, "distance": 0.03}
    shown = texts(
        avalanche_sizes(Avalanches(values, np.ones(300, np.int64)), {"size": fit, "duration": None})
    )
    assert "exponent 2.03 ± 0.06" in shown and shown.count("exponent") == 1
