# SPDX-License-Identifier: Apache-2.0
"""The rule, calculated by hand and on random networks."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from neurohw import Lif, Network, Population, Projection, TrainedNetwork, run_reference
from neurohw.connections import Dense, Sparse
from neurohw.errors import InvalidData, InvalidModel
from neurohw.neurons import Source
from neurohw.plasticity import (
    AstrocyteControl,
    Plasticity,
    PlasticProjection,
    Stdp,
    nalsm,
    run_plastic_reference,
)
from tests.plasticity.random_plastic import random_plastic, random_spikes

RECURRENT = (PlasticProjection("liquid_to_liquid"),)


def pair(weight: float, inhibitory: bool = False, delay: int = 1) -> TrainedNetwork:
    """Two neurons, each driven by an input of its own one step later, and a synapse 0 -> 1 that
    alone fires nobody.
    """
    lif = Lif(decay=0.0, threshold=5.0, reset="hard")
    projections = (
        Projection("input", "liquid", 1, connection=Sparse(2)),
        Projection("liquid", "liquid", delay, connection=Sparse(1)),
    )
    network = Network((Population("input", 2, Source()), Population("liquid", 2, lif)), projections)
    arrays = {
        "input_to_liquid.source": [0, 1],
        "input_to_liquid.target": [0, 1],
        "input_to_liquid.weight": [10.0, 10.0],
        "liquid_to_liquid.source": [0],
        "liquid_to_liquid.target": [1],
        "liquid_to_liquid.weight": [weight],
        "liquid.bias": [0.0, 0.0],
        "liquid.threshold": [5.0, 5.0],
    }
    return TrainedNetwork(network, {name: np.array(a, np.float64) for name, a in arrays.items()}, 8)


def rule(inhibitory: bool = False, **changes: object) -> Plasticity:
    """A+ = 2, A = 1; a trace of 1/2, 1/4, 1/8 ... after the step of the spike."""
    stdp = Stdp(potentiation=2.0, depression=1.0, trace_increment=1.0, trace_decay=0.5)
    return replace(Plasticity(stdp, RECURRENT, np.array([inhibitory, False])), **changes)


def spikes_at(*when: tuple[int, int], steps: int = 8) -> NDArray[np.uint8]:
    """Input spikes that make neuron n fire at step t, for every (n, t)."""
    spikes = np.zeros((steps, 2), np.uint8)
    for neuron, step in when:
        spikes[step - 1, neuron] = 1
    return spikes


@pytest.mark.parametrize(
    ("weight", "inhibitory", "when", "expected"),
    [
        (1.0, False, ((0, 1), (1, 3)), 1.0 + 2 * 0.25),  # excitatory, source first: potentiated
        (1.0, False, ((1, 1), (0, 3)), 1.0 - 1 * 0.25),  # excitatory, target first: depressed
        (-1.0, True, ((0, 1), (1, 3)), -1.0 - 1 * 0.25),  # inhibitory, source first: inhibits more
        (-1.0, True, ((1, 1), (0, 3)), -1.0 + 2 * 0.25),  # inhibitory, target first: inhibits less
    ],
)
def test_pairs_by_hand(
    weight: float, inhibitory: bool, when: tuple[tuple[int, int], ...], expected: float
) -> None:
    run = run_plastic_reference(pair(weight), rule(inhibitory), spikes_at(*when))
    assert [(n, t) for t, n in np.argwhere(run.trace.spikes["liquid"][:, 0])] == sorted(
        when, key=lambda x: x[1]
    )
    assert run.weights["liquid_to_liquid"].tolist() == [expected]


def test_spikes_in_one_step_see_the_traces_before_it() -> None:
    assert run_plastic_reference(pair(1.0), rule(), spikes_at((0, 2), (1, 2))).weights[
        "liquid_to_liquid"
    ].tolist() == [1.0]


def test_depression_is_clipped_before_potentiation() -> None:
    # at step 2 both fire, both traces are 1/2: 0.25 - 0.5 -> 0, then + 1; the sum of the two,
    # clipped once, would be 0.75
    run = run_plastic_reference(pair(0.25), rule(), spikes_at((0, 1), (1, 1), (0, 2), (1, 2)))
    assert run.weights["liquid_to_liquid"].tolist() == [1.0]


def test_new_weights_act_from_the_next_step_on() -> None:
    # potentiated to 1.5 at step 3, delivered at step 4 with a delay of 3 steps; the spike of step 1
    # arrives then, as its synapse is now
    run = run_plastic_reference(pair(1.0, delay=3), rule(), spikes_at((0, 1), (1, 3)))
    assert run.trace.states["v.liquid"][:, 0, 1].tolist() == [0, 0, 0, 0, 1.5, 0, 0, 0]


def test_the_astrocyte_by_hand() -> None:
    # steps 0 ... 3: an input spike, a spike of the network, nothing, both
    astrocyte = AstrocyteControl(gain=0.5, bias=0.2, time_constant=10.0)
    spikes = np.zeros((4, 2), np.uint8)
    spikes[[0, 2, 3], 0] = 1
    amplitude, expected = 1.0, []
    for surplus in (-1, 1, -1, 0):
        amplitude += (0.5 * surplus + 0.2 - amplitude) / 10
        expected.append(amplitude)
    run = run_plastic_reference(pair(1.0), rule(astrocyte=astrocyte), spikes)
    assert np.allclose(run.depression, expected, rtol=0, atol=1e-15)


def test_without_gain_the_amplitude_stays_at_its_bias() -> None:
    rng = np.random.default_rng(0)
    trained, plasticity = random_plastic(rng)
    stdp = replace(plasticity.stdp, depression=0.15)
    constant = replace(
        plasticity, stdp=stdp, astrocyte=AstrocyteControl(gain=0.0, bias=0.15), fading=1.0
    )
    run = run_plastic_reference(
        trained, constant, random_spikes(rng, 60, trained.network.input.size)
    )
    assert run.trace.spikes["liquid"].any() and np.allclose(
        run.depression, 0.15, rtol=0, atol=1e-15
    )


def test_amplitudes_fade() -> None:
    run = run_plastic_reference(pair(1.0), rule(fading=0.5), spikes_at((0, 1), (1, 3)))
    assert run.weights["liquid_to_liquid"].tolist() == [1.0 + 2 * 0.5**3 * 0.25]
    assert run.depression.tolist() == [0.5**t for t in range(8)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_weights_keep_their_bounds_and_signs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    trained, plasticity = random_plastic(rng)
    run = run_plastic_reference(
        trained, plasticity, random_spikes(rng, 30, trained.network.input.size)
    )
    for projection in trained.network.projections:
        source = trained.parameters[f"{projection.name}.source"].astype(int)
        weight, plastic = run.weights[projection.name], plasticity.plastic(projection)
        if plastic is None:
            assert np.array_equal(weight, trained.parameters[f"{projection.name}.weight"])
            continue
        assert np.all(np.abs(weight) <= plastic.limit)
        if not plastic.crosses_zero and projection.source == "liquid":
            assert np.all(np.where(plasticity.inhibitory[source], weight <= 0, weight >= 0))


def test_without_amplitudes_the_run_is_that_of_the_static_reference() -> None:
    rng = np.random.default_rng(5)
    trained, plasticity = random_plastic(rng)
    # multiples of 1/64: sums do not depend on their order
    arrays = {
        n: np.round(a * 64) / 64 if n.endswith(("weight", "bias")) else a
        for n, a in trained.parameters.items()
    }
    trained = TrainedNetwork(trained.network, arrays, trained.steps)
    still = replace(plasticity, stdp=Stdp(0.0, 0.0), astrocyte=None)
    spikes = random_spikes(rng, 50, trained.network.input.size)
    run, expected = (
        run_plastic_reference(trained, still, spikes),
        run_reference(trained, spikes[:, None]),
    )
    assert run.trace.spikes["liquid"].any()
    assert all(np.array_equal(run.trace.spikes[n], a) for n, a in expected.spikes.items())
    assert all(np.array_equal(run.trace.states[n], a) for n, a in expected.states.items())


def test_the_rule_of_the_paper() -> None:
    published = nalsm(np.zeros(3, np.bool_))
    assert (published.stdp.potentiation, published.stdp.trace_increment) == (0.15, 0.1)
    assert published.stdp.trace_decay**10 == pytest.approx(np.exp(-1))
    assert published.astrocyte == AstrocyteControl(0.015, 0.15, 100.0)
    assert nalsm(np.zeros(3, np.bool_), None).astrocyte is None


def test_values_out_of_range_are_named() -> None:
    with pytest.raises(InvalidModel, match=r"trace_decay .* not 1.0"):
        Stdp(trace_decay=1.0)
    with pytest.raises(InvalidModel, match=r"potentiation .* not -1"):
        Stdp(potentiation=-1)
    with pytest.raises(InvalidModel, match=r"time_constant .* not 0"):
        AstrocyteControl(time_constant=0)
    with pytest.raises(InvalidModel, match=r"limit .* not 0"):
        PlasticProjection("a", 0)
    with pytest.raises(InvalidModel, match=r"fading .* not 2"):
        rule(fading=2)


def test_networks_that_do_not_fit_are_named() -> None:
    trained = pair(1.0)
    network, spikes = trained.network, spikes_at()

    def changed(**changes: object) -> Network:
        return replace(
            network,
            projections=(network.projections[0], replace(network.projections[1], **changes)),
        )  # type: ignore[arg-type]

    for wrong, message in (
        (
            replace(network, projections=(replace(network.projections[0], delay=0),)),
            "delay is 0 steps",
        ),
        (changed(connection=Dense()), "sparse synapses of one delay"),
        (changed(max_delay=3), "sparse synapses of one delay"),
        (changed(batch_norm=True), "fold the batch normalisation"),
        (
            replace(
                network, populations=(network.input, Population("liquid", 3, network.output.neuron))
            ),
            r"shape \(2,\).* 3 neurons",
        ),
    ):
        with pytest.raises(InvalidModel, match=message):
            replace(rule(), projections=()).check(wrong)
    with pytest.raises(InvalidModel, match=r"'other': the network has"):
        rule(projections=(PlasticProjection("other"),)).check(network)
    with pytest.raises(InvalidModel, match="2 times"):
        rule(projections=RECURRENT * 2).check(network)
    for weight, inhibitory, allowed in (
        (-1.0, False, "0..3"),
        (1.0, True, "-3..0"),
        (4.0, False, "0..3"),
    ):
        with pytest.raises(
            InvalidModel, match=rf"synapse 0 from neuron 0 is {weight:g}, allowed are {allowed}"
        ):
            run_plastic_reference(pair(weight), rule(inhibitory), spikes)
    with pytest.raises(InvalidData, match="stimulus has shape"):
        run_plastic_reference(trained, rule(), np.zeros((4, 3), np.uint8))
