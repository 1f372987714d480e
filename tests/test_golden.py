# SPDX-License-Identifier: Apache-2.0
"""Hand-calculated vectors of the specification, and properties over random networks."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurohw import (
    Integrator,
    Lif,
    Source,
    Trace,
    feed_forward,
    first_mismatch,
    quantize,
    run_golden,
    run_reference,
)
from neurohw.errors import InvalidData, InvalidModel
from neurohw.fixedpoint import Decay, IntFormat, MultiplyDecay, NoDecay, ShiftDecay
from neurohw.integers import QuantizedNetwork, QuantizedPopulation, QuantizedProjection
from neurohw.neurons import Adaptation, Neuron
from tests.random_networks import random_stimulus, random_trained


def single(
    weight: int,
    neuron: Neuron,
    decay: Decay,
    threshold: int = 10,
    v_reset: int = 0,
    bias: int = 0,
    membrane_bits: int = 16,
    synapse: Decay | None = None,
    exponent: int = 0,
) -> QuantizedNetwork:
    """One input, one neuron, every constant given."""
    population = QuantizedPopulation(
        np.array([bias]),
        np.array([threshold]),
        np.array([v_reset]),
        decay,
        synapse,
        IntFormat(membrane_bits),
        IntFormat(16),
        IntFormat(12),
    )
    network = feed_forward([1, 1], output=neuron)
    return QuantizedNetwork(
        network,
        {"output": population},
        {"input_to_output": QuantizedProjection(np.array([[weight]]), 8, exponent)},
        100,
    )


def run(model: QuantizedNetwork, counts: list[int]) -> Trace:
    return run_golden(
        model, np.array(counts, np.uint8).reshape(-1, 1, 1), beyond_proof=max(counts) > 1
    )


def membranes(trace: Trace) -> list[int]:
    return [int(x) for x in trace.states["v.output"][:, 0, 0]]


def spikes(trace: Trace) -> list[int]:
    return [int(x) for x in trace.spikes["output"][:, 0, 0]]


def test_soft_reset_with_shift_decay_and_threshold_equality() -> None:
    """shift 1, weight 6, threshold 10: u = 6;

    6-3+6 = 9; 9-4+6 = 11 fires -> 1; 1-0+6 = 7; 7-3 = 4; 4-2+6 = 8; 8-4+6 = 10 fires at equality ->
    0.
    """
    trace = run(single(6, Lif(), ShiftDecay(1)), [1, 1, 1, 1, 0, 1, 1])
    assert membranes(trace) == [6, 9, 1, 7, 4, 8, 0]
    assert spikes(trace) == [0, 0, 1, 0, 0, 0, 1]


def test_hard_reset_to_a_value() -> None:
    """No decay, weight 6, threshold 10, v_reset -3: 6; 12 fires -> -3; 3; 9; 15 fires -> -3."""
    trace = run(single(6, Lif(reset="hard", v_reset=-0.1), NoDecay(), v_reset=-3), [1] * 5)
    assert membranes(trace) == [6, -3, 3, 9, -3]
    assert spikes(trace) == [0, 1, 0, 0, 1]


def test_negative_membrane_with_both_decays() -> None:
    """From -7: the shift by 2 floors (-7+2 = -5, -3, -2, -1, 0), the multiply by 3/4 rounds toward
    zero (-5, -3, -2, -1, 0).
    """
    assert membranes(run(single(-7, Lif(), ShiftDecay(2)), [1, 0, 0, 0, 0, 0])) == [
        -7,
        -5,
        -3,
        -2,
        -1,
        0,
    ]
    assert membranes(run(single(-7, Lif(), MultiplyDecay(1024)), [1, 0, 0, 0, 0, 0])) == [
        -7,
        -5,
        -3,
        -2,
        -1,
        0,
    ]
    # they differ above zero: 7 -> 7-1 = 6 against trunc(5.25) = 5
    assert membranes(run(single(7, Lif(), ShiftDecay(2)), [1, 0, 0])) == [7, 6, 5]
    assert membranes(run(single(7, Lif(), MultiplyDecay(1024)), [1, 0, 0])) == [7, 5, 3]


def test_saturation_at_a_cap_happens_once_after_the_whole_sum() -> None:
    """5-bit membrane (-16..15):

    12; 24 saturates to 15 and fires (threshold 15) -> 0; -12 twice saturates to -16.
    """
    model = single(12, Lif(), NoDecay(), threshold=15, membrane_bits=5)
    trace = run(model, [1, 1, 0])
    assert (membranes(trace), spikes(trace)) == ([12, 0, 0], [0, 1, 0])
    assert membranes(
        run(single(-12, Lif(), NoDecay(), threshold=15, membrane_bits=5), [1, 1, 1])
    ) == [-12, -16, -16]
    # a count of 3 with a bias of -30 sums to 6 before saturating; saturating on every event would
    # give another value
    assert membranes(
        run(single(12, Lif(), NoDecay(), threshold=15, membrane_bits=5, bias=-30), [3])
    ) == [6]


def test_refractory_holds_the_membrane() -> None:
    """Soft reset, weight 12, threshold 10, refractory 2: fires -> 2, held for two steps, then 2+12
    = 14 fires -> 4.
    """
    trace = run(single(12, Lif(refractory=2), NoDecay()), [1] * 5)
    assert membranes(trace) == [2, 2, 2, 4, 4]
    assert spikes(trace) == [1, 0, 0, 1, 0]
    assert trace.states["r.output"][:, 0, 0].tolist() == [2, 1, 0, 2, 1]


def test_synaptic_current_goes_on_while_refractory() -> None:
    """Current shift 1, no membrane decay, weight 8, threshold 10: c = 8, 4, 2, 1, 1; u = 8, 12
    fires -> 2, held, then 2+1 = 3, 4.
    """
    trace = run(
        single(8, Lif(refractory=1, synapse_decay=0.5), NoDecay(), synapse=ShiftDecay(1)),
        [1, 0, 0, 0, 0],
    )
    assert trace.states["c.output"][:, 0, 0].tolist() == [8, 4, 2, 1, 1]
    assert membranes(trace) == [8, 2, 2, 3, 4]


def test_integrator_never_fires_and_exponent_shifts_the_sum() -> None:
    trace = run(single(5, Integrator(), NoDecay(), threshold=1, bias=1, exponent=2), [1, 0, 2])
    assert membranes(trace) == [21, 22, 63]
    assert spikes(trace) == [0, 0, 0]


def test_bad_stimulus_is_refused() -> None:
    model = single(5, Lif(), NoDecay())
    with pytest.raises(InvalidData, match=r"needs \[time, sample, 1\]"):
        run_golden(model, np.zeros((3, 1, 2), np.uint8))
    with pytest.raises(InvalidData, match="empty"):
        run_golden(model, np.zeros((3, 0, 1), np.uint8))
    with pytest.raises(InvalidData, match="whole counts"):
        run_golden(model, np.full((3, 1, 1), 0.5))


def test_out_of_format_weight_is_refused() -> None:
    with pytest.raises(
        InvalidModel,
        match=r"input_to_output.weight holds 128 at \(0, 0\), outside the 8-bit range -128..127",
    ):
        single(128, Lif(), NoDecay())
    with pytest.raises(InvalidModel, match="threshold is at least 1"):
        single(1, Lif(), NoDecay(), threshold=0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 8), st.integers(1, 3))
def test_no_state_leaves_its_proved_range(seed: int, bits: int, max_count: int) -> None:
    """With worst-case and random input, in the proved formats and in 63-bit formats, everything is
    equal: nothing ever saturated.
    """
    rng = np.random.default_rng(seed)
    trained = random_trained(rng)
    model = quantize(trained, bits, max_count=max_count)
    check_proved_range(
        model, random_stimulus(rng, model.network, trained.steps, 5, max_count), max_count
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 8))
@pytest.mark.filterwarnings("ignore::neurohw.errors.PrecisionWarning")
def test_no_slow_state_leaves_its_proved_range(seed: int, bits: int) -> None:
    """The same with leaks of 0.98 to 1 - 2^-10 in every state, their guard bits, and runs of
    hundreds of steps.
    """
    rng = np.random.default_rng(seed)

    def factor() -> float:
        return float(rng.choice([0.98, 0.99, 0.995, 0.998, 1 - 2.0**-6, 1 - 2.0**-8, 1 - 2.0**-10]))

    lif = Lif(
        factor(),
        reset="soft" if rng.random() < 0.5 else "hard",
        synapse_decay=factor() if rng.random() < 0.5 else None,
        adaptation=Adaptation(factor(), 0.2) if rng.random() < 0.5 else None,
        delayed_reset=bool(rng.random() < 0.3),
    )
    sizes = [int(n) for n in rng.integers(1, 9, 3)]
    steps = int(rng.integers(100, 500))
    trained = random_trained(rng, feed_forward(sizes, lif, Integrator(factor(), factor())), steps)
    model = quantize(trained, bits)
    check_proved_range(model, random_stimulus(rng, model.network, steps, 4), 1)


def check_proved_range(model: QuantizedNetwork, stimulus: np.ndarray, max_count: int) -> None:
    """No state of the stimulus, with two samples that drive the first neuron as far as it goes,
    leaves its format.
    """
    wide = {
        n: dataclasses.replace(
            p, membrane=IntFormat(63), current=IntFormat(63), accumulator=IntFormat(63)
        )
        for n, p in model.populations.items()
    }
    unlimited = dataclasses.replace(model, populations=wide)
    weight = model.projections[model.network.projections[0].name].weight
    stimulus[:, 0] = max_count * (weight[0] > 0)  # drives the first neuron as high as it goes
    stimulus[:, 1] = max_count * (weight[0] < 0)
    narrow = run_golden(model, stimulus)
    assert first_mismatch(run_golden(unlimited, stimulus), narrow) is None
    assert set(narrow.saturations.values()) == {0}
    for name, population in model.populations.items():
        assert population.membrane.allows(narrow.states[f"v.{name}"])
        assert population.current.allows(narrow.states[f"c.{name}"])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_golden_equals_reference_on_exact_numbers(seed: int) -> None:
    """Without decay, on integer parameters, float64 and integers are the same model."""
    rng = np.random.default_rng(seed)
    lif = Lif(decay=1.0, reset=("soft", "hard")[seed % 2], refractory=int(rng.integers(3)))
    network = feed_forward([int(n) for n in rng.integers(1, 9, 3)], lif)
    parameters = {
        n: rng.integers(1, 90, s) * 1.0
        if n.endswith("threshold")
        else rng.integers(-60, 61, s) * 1.0
        for n, s in network.shapes().items()
    }
    for projection in network.projections:
        parameters[f"{projection.name}.weight"].flat[0] = 127.0
        parameters[f"{projection.name}.step"] = np.ones(network.population(projection.target).size)
    trained = dataclasses.replace(random_trained(rng, network), parameters=parameters)
    stimulus = random_stimulus(rng, network, 7, 4)
    float_trace, int_trace = (
        run_reference(trained, stimulus),
        run_golden(quantize(trained, 8, resolution_bits=0), stimulus),
    )
    assert isinstance(network.input.neuron, Source)
    assert first_mismatch(float_trace, int_trace) is None


def test_cap_is_reported_and_saturates() -> None:
    rng = np.random.default_rng(3)
    trained = random_trained(rng, feed_forward([12, 6], output=Lif(decay=1.0)), steps=20)
    proved, capped = quantize(trained), quantize(trained, membrane_cap=9)
    assert not proved.populations["output"].capped
    assert capped.populations["output"].capped
    assert capped.populations["output"].membrane.bits < proved.populations["output"].membrane.bits
    stimulus = np.ones((20, 1, 12), np.uint8)
    assert first_mismatch(run_golden(proved, stimulus), run_golden(capped, stimulus)) is not None
