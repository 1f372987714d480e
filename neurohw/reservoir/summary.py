# SPDX-License-Identifier: Apache-2.0
"""Everything that is measured of a liquid, in one go."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.errors import InvalidData
from neurohw.reservoir.avalanches import Avalanches, avalanches, power_law
from neurohw.reservoir.liquid import Liquid
from neurohw.reservoir.lyapunov import lyapunov_exponents
from neurohw.reservoir.measure import (
    branching_factors,
    connectivity,
    firing_statistics,
    kernel_and_generalisation_rank,
)
from neurohw.reservoir.simulate import run_liquid
from neurohw.reservoir.spectrum import spectral_radius
from neurohw.stimulus import Spikes, stimulus_of

WINDOW, MARGIN = 4, 25
LYAPUNOV_SAMPLES = 3
NOISE = 0.01  # probability with which an entry of an input is flipped, for the generalisation rank
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class LiquidSummary:
    """values: every number, as JSON.

    spikes: of the liquid [time, sample, neuron].
    branching: [sample, neuron], nan where unknown.
    avalanches: of all samples.
    """

    values: dict[str, Any]
    spikes: NDArray[np.uint8]
    branching: NDArray[np.float64]
    avalanches: Avalanches


def _number(value: float) -> float | None:
    """For JSON, which knows neither nan nor infinity."""
    return float(value) if np.isfinite(value) else None


def _fit(values: NDArray[np.int64]) -> dict[str, Any] | None:
    """The power law of the sizes or durations of avalanches, None where they are too few."""
    try:
        return asdict(power_law(values, minimum=None))
    except InvalidData:
        return None


def summarise(
    liquid: Liquid,
    spikes: Spikes | NDArray[Any],
    seed: int = 0,
    progress: Progress = lambda text, done: None,
) -> LiquidSummary:
    """Measure a liquid on input spikes [time, sample, neuron].

    The branching factor leaves out 25 steps at both ends, or a quarter of a sample that is too
    short for that. An avalanche is activity above half the mean activity of all steps, because a
    driven liquid is never silent. The generalisation rank flips 1 % of the first input's entries.
    progress: called with what comes next and the fraction done.
    """
    progress("running", 0.0)
    given = stimulus_of(liquid.trained, spikes)
    inputs, fired = given.counts, run_liquid(liquid, given).spikes["liquid"]
    margin = min(MARGIN, max((len(fired) - 2 * WINDOW) // 4, 0))
    progress("branching and statistics", 0.3)
    branching = branching_factors(fired, connectivity(liquid.trained), WINDOW, margin)
    known = branching[~np.isnan(branching).all(axis=1)]
    statistics = firing_statistics(fired, liquid.network.dt, min(25, len(fired)))
    quiet = int(fired.sum(axis=2).mean() / 2)
    found = avalanches(fired, quiet)
    progress("Lyapunov exponents", 0.4)
    part = given.part(slice(LYAPUNOV_SAMPLES))
    trace = run_liquid(liquid, part, states=True)
    settle = min(20, len(inputs) // 4)
    exponents = [
        lyapunov_exponents(liquid.trained, trace, sample=i, settle=settle)[0]
        for i in range(part.samples)
    ]
    progress("ranks", 0.7)
    ranks = kernel_and_generalisation_rank(
        lambda x: run_liquid(liquid, Spikes(x)).spikes["liquid"],
        inputs,
        probability=NOISE,
        seed=seed,
    )
    matrix = next(m for _, m in liquid.trained.matrices(liquid.network.projections[1]))
    values = {
        "topology": liquid.trained.info.get("topology"),
        "neurons": liquid.neurons,
        "inhibitory": int(liquid.inhibitory.sum()),
        "synapses": {p.name: int(p.connection.synapses) for p in liquid.network.projections},  # type: ignore[union-attr]
        "spectral_radius": spectral_radius(matrix),
        "samples": inputs.shape[1],
        "steps": len(inputs),
        "dt": liquid.network.dt,
        "branching_factor": _number(float(np.mean([np.nanmean(row) for row in known])))
        if len(known)
        else None,
        "margin": margin,
        "statistics": statistics.to_json(),
        "lyapunov_exponent": _number(float(np.mean(exponents))),
        "ranks": asdict(ranks),
        "quiet": quiet,
        "avalanches": {
            "count": len(found.size),
            "size": _fit(found.size),
            "duration": _fit(found.duration),
        },
    }
    progress("done", 1.0)
    return LiquidSummary(values, fired, branching, found)
