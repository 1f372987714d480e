# SPDX-License-Identifier: Apache-2.0
"""Lyapunov exponents against linear systems and against the distance that a single spike makes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from neurohw.errors import InvalidData, Unsupported
from neurohw.neurons import Adaptation, Lif
from neurohw.reference import run_reference
from neurohw.reservoir import Liquid, gaussian_reservoir
from neurohw.reservoir.lyapunov import lyapunov_exponents, spike_separation, with_one_more_spike
from neurohw.stimulus import Spikes


def stimulus(inputs: int, steps: int = 250, samples: int = 8, rate: float = 0.05) -> np.ndarray:
    return (np.random.default_rng(0).random((steps, samples, inputs)) < rate).astype(np.uint8)


def exponents(liquid: Liquid, spikes: np.ndarray, **options: Any) -> np.ndarray:
    return lyapunov_exponents(
        liquid.trained, run_reference(liquid.trained, Spikes(spikes)), **options
    )


def test_far_from_the_threshold_only_the_leaks_are_left() -> None:
    neuron = Lif(decay=0.9, threshold=1e6, synapse_decay=0.6, reset="hard")
    found = exponents(gaussian_reservoir(4, 5, neuron=neuron), stimulus(4), width=1.0, count=12)
    assert np.allclose(found[:5], np.log(0.9), atol=1e-3) and np.allclose(
        found[5:10], np.log(0.6), atol=1e-2
    )
    assert np.all(found[10:] == -np.inf)  # nothing remembers beyond membranes and currents


@pytest.mark.parametrize("reset", ["none", "soft", "hard"])
def test_a_spike_that_is_smooth_everywhere_makes_a_linear_system(reset: Any) -> None:
    # membranes stay near 0, so that the slope at the threshold, which lies one width above, is the
    # same everywhere
    width = 50.0
    neuron = Lif(
        decay=0.8, threshold=width, reset=reset, v_reset=-width if reset == "hard" else 0.0
    )
    liquid = gaussian_reservoir(6, 200, scale=1.0, input_scale=0.01, neuron=neuron, seed=4)
    found = exponents(liquid, stimulus(6, steps=500), width=width, settle=200)
    ((_, matrix),) = liquid.trained.matrices(liquid.network.projections[1])
    slope = np.exp(-0.5) / (width * np.sqrt(2 * np.pi))
    # both resets fall by one width where the spike is certain
    kept = 1.0 if reset == "none" else 1 - width * slope
    # du[t] = decay kept du[t-1] + slope W du[t-1]
    tangent = 0.8 * kept * np.eye(200) + slope * matrix.toarray()
    expected = np.log(np.abs(np.linalg.eigvals(tangent)).max())
    assert expected - np.log(0.8 * kept) > 0.03  # the synapses matter
    assert found[0] == pytest.approx(expected, abs=3e-3)


def test_refractory_neurons_hold_or_integrate() -> None:
    # drives the neurons over the threshold in every step that they may fire
    spikes = np.ones((300, 1, 1), np.uint8)
    for integrates, expected in ((False, np.log(0.9) / 3), (True, np.log(0.9))):
        neuron = Lif(
            decay=0.9, threshold=1.0, reset="none", refractory=2, integrates_refractory=integrates
        )
        liquid = gaussian_reservoir(1, 4, scale=1e-9, input_scale=1.0, neuron=neuron, seed=0)
        arrays = {**liquid.trained.parameters, "input_to_liquid.weight": np.full(4, 50.0)}
        found = exponents(
            replace(liquid, trained=replace(liquid.trained, parameters=arrays)), spikes, width=0.1
        )
        assert found[0] == pytest.approx(expected, abs=2e-3)


def test_the_sign_says_whether_one_spike_is_forgotten() -> None:
    for scale, chaotic in ((0.03, False), (0.1, False), (0.8, True), (1.5, True)):
        liquid = gaussian_reservoir(100, 200, scale=scale, input_scale=0.3, steps=250, seed=1)
        spikes = stimulus(100)
        trace = run_reference(liquid.trained, spikes)
        changed = run_reference(
            liquid.trained, with_one_more_spike(spikes, 50, seed=3), states=False
        )
        distance = spike_separation(trace.spikes["liquid"], changed.spikes["liquid"])
        assert distance[:50].max() == 0 < distance[50:].max()
        assert (distance[-1] > 1) == chaotic and (distance[-1] < 0.1) == (not chaotic)
        found = [float(lyapunov_exponents(liquid.trained, trace, sample=i)[0]) for i in range(3)]
        assert min(found) > 0.1 if chaotic else max(found) < -0.02


def test_one_spike_more_or_less() -> None:
    spikes = stimulus(7, steps=30, samples=5, rate=0.5)
    changed = with_one_more_spike(spikes, 9, seed=1)
    differs = spikes != changed
    assert differs[9].sum(axis=1).tolist() == [1] * 5 and differs.sum() == 5


def test_separation_of_known_rasters() -> None:
    first, second = np.zeros((4, 1, 2), np.uint8), np.zeros((4, 1, 2), np.uint8)
    first[1, 0, 0] = second[1, 0, 1] = 1
    assert np.allclose(
        spike_separation(first, second, 0.5), np.sqrt(2) * np.array([0, 1, 0.5, 0.25])
    )
    with pytest.raises(InvalidData, match="shape"):
        spike_separation(first, second[:, :, :1])


def test_what_has_no_exponents_is_refused() -> None:
    liquid = gaussian_reservoir(4, 5)
    trace = run_reference(liquid.trained, Spikes(stimulus(4)))
    with pytest.raises(InvalidData, match="states=True"):
        lyapunov_exponents(
            liquid.trained, run_reference(liquid.trained, Spikes(stimulus(4)), states=False)
        )
    for options, message in (
        ({"width": 0.0}, "width"),
        ({"count": 16}, "1..15"),
        ({"settle": 249}, "too few"),
    ):
        with pytest.raises(InvalidData, match=message):
            lyapunov_exponents(liquid.trained, trace, **options)  # type: ignore[arg-type]
    adaptive = gaussian_reservoir(4, 5, neuron=Lif(adaptation=Adaptation(0.9, 0.1)))
    with pytest.raises(Unsupported, match="adaptation"):
        exponents(adaptive, stimulus(4))
    projections = (liquid.network.projections[0], replace(liquid.network.projections[1], delay=2))
    late = replace(liquid.trained, network=replace(liquid.network, projections=projections))
    with pytest.raises(Unsupported, match="delay"):
        lyapunov_exponents(late, trace)
