# SPDX-License-Identifier: Apache-2.0
"""Leaks and biases in integers beside the float reference: guard bits, bounds, refusals,
warnings."""

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurohw import (
    Integrator,
    Lif,
    TrainedNetwork,
    feed_forward,
    quantize,
    run_golden,
    run_reference,
)
from neurohw.errors import InvalidModel, PrecisionWarning
from neurohw.fixedpoint import MultiplyDecay, MultiplyDecays, NoDecay, ShiftDecay
from neurohw.integers import QuantizedNetwork, dequantize
from neurohw.integers.post_training import quantize_decay
from neurohw.integers.precision import (
    Needs,
    Roundings,
    aim_bits,
    guard_bits,
    leak_error,
    step_response,
    step_rounding,
)
from neurohw.integers.to_float import decay_factor
from neurohw.neurons import Adaptation, Neuron
from neurohw.readout import scores


def single(
    neuron: Neuron, weights: list[float], steps: int, bias: list[float] | None = None
) -> TrainedNetwork:
    """One input and a neuron for every weight, threshold 1."""
    network = feed_forward([1, len(weights)], output=neuron)
    parameters = {
        n: np.full(s, 1.0 if n.endswith("threshold") else 0.0) for n, s in network.shapes().items()
    }
    parameters["input_to_output.weight"] = np.array(weights)[:, None]
    if bias is not None:
        parameters["output.bias"] = np.array(bias)
    return TrainedNetwork(network, parameters, steps)


def events(steps: int, at: list[int]) -> np.ndarray:
    """One sample of one input with a spike at these steps."""
    spikes = np.zeros((steps, 1, 1), np.uint8)
    spikes[at] = 1
    return spikes


def spikes_of(trained: TrainedNetwork, at: list[int], bits: int) -> tuple[int, int]:
    """Spikes of the float reference and of the integers."""
    stimulus = events(trained.steps, at)
    model = quantize(trained, bits)
    wanted, found = run_reference(trained, stimulus), run_golden(model, stimulus)
    return int(wanted.spikes["output"].sum()), int(found.spikes["output"].sum())


SIXTEENTH = 1 - 2.0**-4
EVERY_20 = list(range(0, 2000, 20))


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize(
    ("neuron", "weight", "steps", "at", "wanted"),
    [
        # the charge of one spike is 0.1 x 16 x 16 = 25.6 in all, but never above 0.6 at once
        (Lif(SIXTEENTH, synapse_decay=SIXTEENTH), 0.1, 1000, [0], 0),
        (Lif(0.5, adaptation=Adaptation(1 - 2.0**-7, 0.3)), 1.5, 2000, EVERY_20, 34),
        (Lif(0.5, adaptation=Adaptation(0.995, 0.3)), 1.5, 2000, EVERY_20, 22),
        # 0.6 (1 - 2^-7)^900 + 0.6 = 0.6005 is below the threshold
        (Lif(1 - 2.0**-7), 0.6, 1000, [0, 900], 0),
    ],
    ids=["current", "adaptation-shift", "adaptation-multiply", "membrane"],
)
@pytest.mark.filterwarnings("ignore::neurohw.errors.PrecisionWarning")
def test_slow_leaks_do_not_stall(
    neuron: Lif, weight: float, steps: int, at: list[int], wanted: int, bits: int
) -> None:
    """Before guard bits followed every leak: 71, 2, 81 and 1 spikes (the float reference is the
    judge)."""
    expected, found = spikes_of(single(neuron, [weight], steps), at, bits)
    assert expected == wanted
    assert abs(found - expected) <= 1


def test_a_slow_readout_leaks_like_in_float() -> None:
    """0.99^10 = 0.904 after one spike of weight 1; integers may be off by an eighth of a weight
    step, 1/56."""
    trained = single(Integrator(0.99), [1.0], 20)
    model = quantize(trained, 4)
    found = run_golden(model, events(20, [0])).states["v.output"][10, 0, 0]
    assert found * model.info["populations"]["output"]["unit"][0] == pytest.approx(
        0.99**10, abs=1 / 56
    )


def test_a_leak_below_12_bits_is_refused_or_accepted_by_name() -> None:
    """0.9999 per step: the nearest leaks are 2^-13 (a shift) and 0 or 1 / 4096. After 10,000 steps
    a constant
    input is worth (1 - 0.99988^10000) / (1 - 0.99988) = 5,775 instead of 6,321, 8.6 % less."""
    trained = single(Integrator(0.9999), [1.0], 10_000)
    with pytest.raises(
        InvalidModel,
        match=r"output.decay: the factor 0.9999 is 0.99987793 in integers .*-8.64 % after 10000",
    ):
        quantize(trained, 8)
    with pytest.warns(PrecisionWarning, match="output.decay: the factor 0.9999"):
        model = quantize(trained, 8, leak_tolerance=0.1)
    assert model.populations["output"].decay == ShiftDecay(13)
    with warnings.catch_warnings():  # in 10 steps nobody sees the difference
        warnings.simplefilter("error")
        assert quantize(trained, 8, steps=10).info["warnings"] == []


def test_leaks_that_are_a_little_off_are_told() -> None:
    """0.995: a leak of 20.48 / 4096 becomes 20 / 4096, which is worth 2.4 % more in the end."""
    with pytest.warns(
        PrecisionWarning, match=r"the factor 0.995 is 0.995117188 .*\+2.3\d? % after 1000"
    ):
        model = quantize(single(Lif(0.995), [0.5], 1000), 8)
    report = model.info["populations"]["output"]
    assert report["leak_error"] == {"decay": pytest.approx(0.0231, abs=1e-4)}
    assert len(model.info["warnings"]) == 1


def test_decays_of_single_neurons_name_the_neuron() -> None:
    with pytest.raises(
        InvalidModel, match="cells.decay: the factor 0.99995 of parameter 1 is 1 in integers"
    ):
        quantize_decay(np.array([0.5, 0.99995]), "auto", "cells.decay", 100_000)
    assert quantize_decay(np.array([0.5, 0.75]), "auto") == MultiplyDecays((2048, 1024))


def test_slow_shifts_stand_in_where_a_multiply_has_no_bits() -> None:
    """A leak of 6e-5 is nearer to 2^-14 than to 0 or 2^-12; the multiply alone would not leak at
    all."""
    assert quantize_decay(1 - 6e-5, "auto", tolerance=1.0) == ShiftDecay(14)
    with pytest.raises(InvalidModel, match="in the end"):
        quantize_decay(1 - 6e-5, "multiply", tolerance=1.0)
    assert quantize_decay(0.999) == MultiplyDecay(4)


def test_step_responses_and_their_errors() -> None:
    """1 + f + f^2 = 1.75 for f = 0.5; without a leak it is the number of steps."""
    assert step_response(0.5, 3) == 1.75
    assert step_response(np.array([1.0, 0.5]), None).tolist() == [np.inf, 2.0]
    assert leak_error(0.5, 0.75, 2) == pytest.approx(1.75 / 1.5 - 1)
    assert leak_error(0.9999, 1.0, None) == np.inf
    assert leak_error(1.0, 0.9999, None) == -1.0
    assert leak_error(np.array([1.0, 0.5]), np.array([1.0, 0.75]), None).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_biases_of_readouts_keep_guard_bits(bits: int) -> None:
    """Weights -1 and 1, biases 0.05 and 0: after 100 steps and one spike -1 + 5 against 1, class 0.
    Whole weight steps
    lost the bias from 4 bits down, and answered class 1."""
    trained = single(Integrator(1.0), [-1.0, 1.0], 100, bias=[0.05, 0.0])
    stimulus = events(100, [0])
    model = quantize(trained, bits)
    assert np.argmax(scores(run_reference(trained, stimulus), trained.network)) == 0
    found = scores(run_golden(model, stimulus), model.network)[0] * np.array(
        model.info["populations"]["output"]["unit"]
    )
    # weights are exact, and 100 biases are off by an eighth of a step of at most 1
    np.testing.assert_allclose(found, [4.0, 1.0], atol=1 / 8)


def test_biases_that_are_whole_steps_cost_no_guard_bits() -> None:
    trained = single(Integrator(1.0), [127.0, 5.0], 100, bias=[3.0, 0.0])
    model = quantize(trained, 8)
    assert model.info["populations"]["output"]["guard_bits"] == 0
    assert model.populations["output"].bias.tolist() == [3, 0]


@pytest.mark.parametrize("bits", range(2, 9))
def test_fast_leaks_cost_what_they_did(bits: int) -> None:
    """A leak by a half forgets its roundings: the fewest bits that give a threshold 2^5 units are
    enough."""
    rng = np.random.default_rng(bits)
    network = feed_forward([20, 10], output=Lif(0.5))
    parameters = {n: rng.normal(0.0, 0.3, s) for n, s in network.shapes().items()}
    trained = TrainedNetwork(network, {**parameters, "output.threshold": np.ones(10)}, 100)
    model = quantize(trained, bits)
    least = model.populations["output"].threshold.min()
    guard = model.info["populations"]["output"]["guard_bits"]
    assert least >= 32
    assert guard == 0 or least <= 64


@pytest.mark.parametrize("resolution_bits", [-1, 17, 2.5, True, "5", None])
def test_resolution_bits_are_validated(resolution_bits: Any) -> None:
    with pytest.raises(InvalidModel, match="resolution_bits is a whole number of 0 to 16"):
        quantize(single(Lif(), [1.0], 5), 8, resolution_bits=resolution_bits)


def test_resolution_bits_mean_units_of_a_threshold() -> None:
    """Threshold 1, weight 1 at 8 bits: 127 units without guard bits; 2^10 units need 4 of them (127
    x 16 = 2,032)."""
    trained = single(Lif(0.5), [1.0], 5)
    thresholds = [
        quantize(trained, 8, resolution_bits=r).populations["output"].threshold[0]
        for r in (0, 6, 7, 10)
    ]
    assert thresholds == [127, 127, 254, 2032]


def test_what_sixteen_guard_bits_do_not_serve_is_told() -> None:
    """Weights 1,000 times the threshold: a step at 4 bits is 143 thresholds."""
    trained = single(Lif(0.998, synapse_decay=0.998), [1000.0], 1000)
    with pytest.warns(
        PrecisionWarning,
        match="population 'output': with 16 guard bits, the most there are, roundings of leaks "
        "add up to",
    ):
        model = quantize(trained, 4)
    assert model.info["populations"]["output"]["guard_bits"] == 16
    assert model.info["populations"]["output"]["rounding"]["leak"] > 2.0**-8


def weakly_driven(
    decay: float, drive: float, synapse: float | None
) -> tuple[TrainedNetwork, np.ndarray]:
    """50 inputs of 5 % into 40 neurons, whose membranes stand at `drive` thresholds on average."""
    rng = np.random.default_rng(1)
    network = feed_forward([50, 40], output=Lif(decay, synapse_decay=synapse))
    parameters = {n: np.zeros(s) for n, s in network.shapes().items()}
    parameters["output.threshold"][:] = 1.0
    weight = rng.normal(1.0, 0.5, (40, 50))
    gain = 1 / (1 - decay) / (1 - (synapse or 0.0))
    parameters["input_to_output.weight"] = (
        weight * drive / (weight.sum(axis=1).mean() * 0.05 * gain)
    )
    return TrainedNetwork(network, parameters, 1000), (rng.random((1000, 4, 50)) < 0.05).astype(
        np.uint8
    )


@pytest.mark.parametrize("synapse", [None, 0.9])
@pytest.mark.parametrize("decay", [0.9, 0.98, 0.99])
def test_weakly_driven_networks_keep_their_spikes_at_four_bits(
    decay: float, synapse: float | None
) -> None:
    """Against the same rounded parameters in float: 30 to 60 % were lost. The judge is the float
    reference."""
    trained, stimulus = weakly_driven(decay, 0.9, synapse)
    model = quantize(trained, 4)
    rounded = run_reference(dequantize(model), stimulus, states=False).spikes["output"].sum()
    found = run_golden(model, stimulus, states=False).spikes["output"].sum()
    assert rounded > 50
    assert abs(int(found) - int(rounded)) <= max(0.03 * rounded, 2)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_roundings_of_leaks_stay_within_their_bound(seed: int) -> None:
    """Exact weights, one readout with random leaks: integers and exact arithmetic with the same
    factors differ by at most
    the bound, over hundreds of steps of input of one sign, which is the worst for a rounding to one
    side."""
    rng = np.random.default_rng(seed)
    factors = [0.25, 0.5, 0.9, 0.98, 0.995, 1 - 2.0**-7, 1 - 2.0**-10, 1.0]
    decay = float(rng.choice(factors))
    synapse = None if rng.random() < 0.4 else float(rng.choice(factors[:-1]))
    steps = int(rng.integers(1, 400))
    sign = 1.0 if rng.random() < 0.5 else -1.0
    trained = single(Integrator(decay, synapse), [sign, 0.25 * sign], steps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrecisionWarning)
        model = quantize(trained, 8)
    q = model.populations["output"]
    stimulus = (rng.random((steps, 1, 1)) < rng.choice([0.02, 0.3, 1.0])).astype(np.uint8)
    exact, found = run_reference(dequantize(model), stimulus), run_golden(model, stimulus)
    unit = np.array(model.info["populations"]["output"]["unit"])
    roundings = Roundings.of(q.decay, q.synapse_decay, None, False, steps, 2)
    difference = np.abs(found.states["v.output"] * unit - exact.states["v.output"]).max(axis=(0, 1))
    assert np.all(difference <= roundings.leak * unit + 1e-9)
    step = unit * 2.0 ** model.info["populations"]["output"]["guard_bits"]
    if model.info["populations"]["output"]["guard_bits"] < 16:
        assert np.all(difference <= step / 8 + 1e-9)


def test_one_step_of_a_decay_rounds_by_less_than_a_unit() -> None:
    """All results of 4096 consecutive values, against exact fractions."""
    values = np.arange(-4096, 4097)
    for decay in (
        NoDecay(),
        ShiftDecay(1),
        ShiftDecay(7),
        MultiplyDecay(2048),
        MultiplyDecay(41),
        MultiplyDecay(4096),
    ):
        error = np.abs(decay.apply(values) - values * decay_factor(decay)).max()
        assert error == pytest.approx(step_rounding(decay), abs=1e-12)


def test_guard_bits_are_the_fewest() -> None:
    """Leak by 2^-7: 127 units at most. A threshold of 10 steps needs 126 / 2^-8 = 32,256 units: 12
    bits (40,960), not 11."""
    roundings = Roundings.of(ShiftDecay(7), None, None, False, 10**6, 1)
    assert roundings.leak[0] == pytest.approx(127.0)
    threshold = np.array([10.0])
    spiking = Needs(np.zeros(1), threshold, threshold[None])
    found = guard_bits(roundings, np.array([1.0]), spiking, 5)
    assert (found.bits, found.met) == (12, True)
    # a readout: 127 units are an eighth of a step with 10 bits
    readout = Needs(np.zeros(1), np.ones(1))
    assert guard_bits(roundings, np.array([1.0]), readout, 5).bits == 10
    # within 4 steps only 4 (1 - 2^-7) x 0.99 units
    assert (
        guard_bits(
            Roundings.of(ShiftDecay(7), None, None, False, 4, 1),
            np.array([1.0]),
            readout,
            5,
        ).bits
        == 5
    )


@pytest.mark.parametrize(("strength", "bits"), [(0.005, 4), (0.002, 8), (0.02, 4)])
def test_small_strengths_of_adaptation_keep_their_value(strength: float, bits: int) -> None:
    """A strength of a hundredth of a weight step was 0 in integers, and the neuron fired in every
    step."""
    network = feed_forward([4, 1], output=Lif(1.0, adaptation=Adaptation(1.0, strength)))
    parameters = {
        "input_to_output.weight": np.full((1, 4), 0.2),
        "output.bias": np.zeros(1),
        "output.threshold": np.ones(1),
    }
    trained = TrainedNetwork(network, parameters, 500)
    model = quantize(trained, bits)
    units = model.populations["output"].adaptation_strength
    assert units is not None and units[0] >= 32
    stimulus = (np.random.default_rng(0).random((500, 4, 4)) < 0.5).astype(np.uint8)
    wanted = run_reference(trained, stimulus, states=False).spikes["output"].sum()
    found = run_golden(model, stimulus, states=False).spikes["output"].sum()
    assert wanted > 50
    assert abs(int(found) - int(wanted)) <= 0.03 * wanted


def test_an_adaptation_that_does_not_matter_costs_nothing() -> None:
    """A strength of 1e-6 adds up to 2e-6 thresholds: it may be 0."""
    models = [
        quantize(single(Lif(0.5, adaptation=Adaptation(0.5, a)), [0.7], 100), 4)
        for a in (0.7, 1e-6)
    ]
    one, other = (m.info["populations"]["output"]["guard_bits"] for m in models)
    assert one == other and models[1].info["warnings"] == []


def test_reset_values_near_the_threshold_keep_their_distance() -> None:
    """From 0.99 to a threshold of 1 is a hundredth: 32 units, and every input of 0.004 counts."""
    trained = single(Lif(1.0, reset="hard", v_reset=0.99), [0.004], 1000)
    model = quantize(trained, 8)
    q = model.populations["output"]
    assert q.threshold[0] - q.v_reset[0] >= 32
    stimulus = np.ones((1000, 1, 1), np.uint8)
    wanted = run_reference(trained, stimulus).spikes["output"].sum()
    assert abs(int(run_golden(model, stimulus).spikes["output"].sum()) - int(wanted)) <= 5


def test_constants_that_sixteen_guard_bits_do_not_serve_are_told() -> None:
    trained = single(Lif(1.0, adaptation=Adaptation(1.0, 1e-6)), [0.9], 10_000_000)
    with pytest.warns(PrecisionWarning, match=r"a strength of adaptation to .* of itself"):
        quantize(trained, 2)


def test_the_slowest_state_decides() -> None:
    def guard(neuron: Lif) -> int:
        model: QuantizedNetwork = quantize(single(neuron, [0.7], 400), 8)
        return int(model.info["populations"]["output"]["guard_bits"])

    plain = guard(Lif(0.5))
    assert guard(Lif(1 - 2.0**-5)) > plain
    assert guard(Lif(0.5, synapse_decay=1 - 2.0**-5)) > plain
    assert guard(Lif(0.5, adaptation=Adaptation(1 - 2.0**-5, 0.2))) > plain


def test_eight_bits_are_enough_unless_the_resolution_is_finer() -> None:
    assert [aim_bits(r) for r in (0, 4, 5, 6, 8, 10, 16)] == [3, 7, 8, 8, 8, 10, 16]


def test_the_report_says_of_every_state_whether_it_can_saturate() -> None:
    """A cap is for the membrane and the adaptation, which has its format; currents are proved."""
    neuron = Lif(0.5, synapse_decay=0.5, adaptation=Adaptation(0.5, 0.2))
    trained = single(neuron, [3.0, -3.0], 20)
    proved = quantize(trained, 8).info["populations"]["output"]["saturation"]
    assert proved == dict.fromkeys("vca", "proved: cannot saturate within 20 steps")
    capped = quantize(trained, 8, membrane_cap=9).info["populations"]["output"]["saturation"]
    assert capped == {"v": "capped", "c": proved["c"], "a": "capped"}


@pytest.mark.filterwarnings("ignore::neurohw.errors.PrecisionWarning")
def test_states_beyond_exact_products_are_refused_by_name() -> None:
    """Two leaks of 1 / 4096 multiply a sum of weights by 2^24, and 16 guard bits come on top:
    products with 4,096 leave 64 bits."""
    leak = 1 - 1.5 / 4096
    network = feed_forward([200, 1], output=Lif(leak, synapse_decay=leak))
    weights = {
        "input_to_output.weight": np.full((1, 200), 1000.0),
        "output.bias": np.zeros(1),
        "output.threshold": np.ones(1),
    }
    trained = TrainedNetwork(network, weights, 100_000)
    with pytest.raises(
        InvalidModel,
        match="population 'output': its membrane needs .* bits, a multiplying decay is exact up "
        "to 51",
    ):
        quantize(trained, 8, leak_tolerance=1.0)
    model = quantize(trained, 8, leak_tolerance=1.0, membrane_cap=40)
    assert model.populations["output"].membrane.bits == 40
