# SPDX-License-Identifier: Apache-2.0
"""Saturations are counted, equally in the specification and in C++, and `infer` does not clip in
silence."""

import dataclasses
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurohw import (
    Integrator,
    Lif,
    Trace,
    feed_forward,
    infer,
    load_trace,
    quantize,
    run_golden,
    run_reference,
    save,
)
from neurohw.crosscheck import compare
from neurohw.errors import PrecisionWarning, SaturationWarning
from neurohw.fixedpoint import Decay, IntFormat, NoDecay, ShiftDecay
from neurohw.golden.native import run_native
from neurohw.integers import QuantizedNetwork, QuantizedPopulation, QuantizedProjection
from neurohw.neurons import Adaptation, Neuron
from neurohw.stimulus import Spikes
from neurohw.trace import saturation_mismatch
from tests.mutations import mutate_native
from tests.random_networks import random_graph, random_stimulus, random_trained


def single(
    weight: int,
    neuron: Neuron,
    membrane_bits: int,
    current_bits: int = 16,
    threshold: int = 15,
    synapse: Decay | None = None,
    adaptation: tuple[Decay, int] | None = None,
) -> QuantizedNetwork:
    """One input, one neuron without a leak, every constant given; nothing is proved."""
    population = QuantizedPopulation(
        np.array([0]),
        np.array([threshold]),
        np.array([0]),
        NoDecay(),
        synapse,
        IntFormat(membrane_bits),
        IntFormat(current_bits),
        IntFormat(12),
        adaptation_decay=None if adaptation is None else adaptation[0],
        adaptation_strength=None if adaptation is None else np.array([adaptation[1]]),
    )
    network = feed_forward([1, 1], output=neuron)
    weights = QuantizedProjection(np.array([[weight]]), 8)
    return QuantizedNetwork(network, {"output": population}, {"input_to_output": weights}, 100)


def saturations(model: QuantizedNetwork, counts: list[int]) -> int:
    """The count of the specification; that of C++ is the same."""
    spikes = Spikes(np.array(counts, np.uint8).reshape(-1, 1, 1))
    expected = run_golden(model, spikes, beyond_proof=True)
    actual = run_native(model, spikes, beyond_proof=True)
    assert expected.saturations == actual.saturations
    return expected.saturations["output"]


def test_membranes() -> None:
    """5 bits, -16..15, weight -12: -12, then -24, -28 and -28 are clipped to -16. Input ends: -16
    stays."""
    assert saturations(single(-12, Lif(), 5), [1, 1, 1, 1, 0, 0]) == 3
    assert saturations(single(-12, Lif(), 7), [1, 1, 1, 1, 0, 0]) == 0


def test_a_value_at_the_end_of_its_format_is_not_clipped() -> None:
    """-16 in one step fits 5 bits just."""
    assert saturations(single(-16, Lif(), 5), [1, 0, 0]) == 0
    assert saturations(single(-17, Lif(), 5), [1, 0, 0]) == 1


def test_a_neuron_counts_once_a_step() -> None:
    """Current of 5 bits without decay, weight 12, Integrator of 5 bits: step 1 c = 12, v = 12; step
    2 both are clipped,
    c to 15 and v to 15; then c = 27 -> 15 and v = 30 -> 15; without input c = 15 fits and v = 30 is
    clipped."""
    model = single(12, Integrator(1.0, 1.0), 5, current_bits=5, synapse=NoDecay())
    assert saturations(model, [1, 1, 1, 0, 0]) == 4
    only_current = single(12, Integrator(1.0, 1.0), 16, current_bits=5, synapse=NoDecay())
    assert saturations(only_current, [1, 1, 1, 0, 0]) == 2


def test_adaptations() -> None:
    """6 bits, -32..31, threshold 5, strength 20 without decay: u = 25 fires, a = 20, v = 20; u = 25
    fires at 25, a = 40 -> 31;
    v = 0; later nothing fires above 36."""
    neuron = Lif(adaptation=Adaptation(1.0, 1.0))
    assert (
        saturations(single(25, neuron, 6, threshold=5, adaptation=(NoDecay(), 20)), [1, 0, 0]) == 0
    )
    assert (
        saturations(single(25, neuron, 6, threshold=5, adaptation=(NoDecay(), 20)), [1, 0, 0, 0])
        == 0
    )
    # u = 20 + 25 = 45 -> 31 fires at 25, and a = 40 -> 31: one neuron update
    assert saturations(single(25, neuron, 6, threshold=5, adaptation=(NoDecay(), 20)), [1, 1]) == 1


def test_refractory_neurons_count_although_they_discard_the_value() -> None:
    """Weight 12 twice fires (24 -> 15, threshold 15), v = 0; the refractory step has u = 0 + 3 x 12
    = 36 -> 15, too."""
    assert saturations(single(12, Lif(refractory=1), 5), [1, 1, 3]) == 2


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2]))
def test_native_counts_as_the_specification(seed: int, threads: int) -> None:
    """Random graphs of all features, membranes of 4 to 8 bits and narrowed currents."""
    rng = np.random.default_rng(seed)
    trained = random_trained(rng, random_graph(rng), 12, each_neuron=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrecisionWarning)
        model = quantize(
            trained, int(rng.integers(2, 9)), membrane_cap=int(rng.integers(4, 9)), max_count=2
        )
    narrow = {}
    for name, p in model.populations.items():
        least = max(4, IntFormat.holding(int(p.bias.min()), int(p.bias.max())).bits)
        narrow[name] = dataclasses.replace(
            p, current=IntFormat(max(least, p.current.bits - int(rng.integers(4))))
        )
    model = dataclasses.replace(model, populations=narrow)
    spikes = random_stimulus(rng, model.network, 12, 5, 2)
    expected = run_golden(model, spikes)
    assert set(expected.saturations) == set(model.populations)
    assert run_native(model, spikes, threads=threads).saturations == expected.saturations
    assert (
        run_native(model, spikes, states=False, threads=threads).saturations == expected.saturations
    )


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("if (changed) saturated = true;", ""),
        (
            "clipped[i] |= static_cast<T>((x[i] < least) | (x[i] > most))",
            "clipped[i] |= static_cast<T>(x[i] < least)",
        ),
        ("saturations += one;", "saturations += 1;"),
        ("plain && !counting", "plain"),
        ("saturations[k] += active[k]->saturations;", "saturations[k] = active[k]->saturations;"),
        ("    saturations = 0;\n", ""),
    ],
)
def test_an_error_in_counting_is_noticed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, right: str, wrong: str
) -> None:
    rng = np.random.default_rng(0)
    cases = []
    for synapse in (None, 0.5):
        network = feed_forward([12, 9, 4], Lif(0.5, synapse_decay=synapse))
        model = quantize(random_trained(rng, network, 12), 8, membrane_cap=8)
        cases.append((model, random_stimulus(rng, network, 12, 6)))
    expected = [run_golden(m, s).saturations for m, s in cases]
    assert all(sum(counts.values()) > 10 for counts in expected)
    assert all(run_native(m, s).saturations == e for (m, s), e in zip(cases, expected, strict=True))
    mutate_native(monkeypatch, tmp_path, right, wrong)
    assert any(run_native(m, s).saturations != e for (m, s), e in zip(cases, expected, strict=True))


def narrowed() -> tuple[QuantizedNetwork, np.ndarray]:
    """A readout that is proved for 10 steps of one input, and would run 640: its width is set here,
    as a longer run would find it."""
    network = feed_forward([1, 1], output=Integrator(1.0))
    trained = random_trained(np.random.default_rng(0), network, 10)
    weights = {"input_to_output.weight": np.ones((1, 1)), "output.bias": np.zeros(1)}
    model = quantize(dataclasses.replace(trained, parameters=weights), 8)
    assert model.populations["output"].membrane.bits == 12  # 10 x 127 = 1270
    longer = dataclasses.replace(model, steps=640)
    return longer, np.ones((640, 1, 1), np.uint8)


def test_inference_warns_of_saturation() -> None:
    """The 17th spike of 127 leaves 12 bits: 17 x 127 = 2159 > 2047. From there on every one of the
    624 updates is clipped."""
    model, spikes = narrowed()
    with pytest.warns(
        SaturationWarning,
        match="population 'output': 624 of 640 neuron updates of 640 steps saturated",
    ):
        assert infer(model, spikes).tolist() == [[2047]]
    capped = dataclasses.replace(model.populations["output"], capped=True)
    with pytest.warns(SaturationWarning, match="the 12-bit cap of its membrane"):
        infer(dataclasses.replace(model, populations={"output": capped}), spikes)


def test_inference_is_silent_where_nothing_saturates() -> None:
    model, spikes = narrowed()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert infer(model, spikes[:16]).tolist() == [[16 * 127]]


def test_float_traces_count_nothing() -> None:
    trained = random_trained(np.random.default_rng(0), feed_forward([3, 2], output=Lif()))
    assert run_reference(trained, np.ones((4, 1, 3), np.uint8)).saturations == {}


def test_counts_are_saved_and_loaded(tmp_path: Path) -> None:
    trace = run_golden(single(-12, Lif(), 5), np.ones((4, 1, 1), np.uint8))
    save(trace, tmp_path / "trace")
    assert load_trace(tmp_path / "trace").saturations == trace.saturations == {"output": 3}


def test_differing_counts_are_a_mismatch() -> None:
    trace = run_golden(single(-12, Lif(), 5), np.ones((4, 1, 1), np.uint8))
    other = dataclasses.replace(trace, saturations={"output": 2})
    assert (
        saturation_mismatch(trace, other) == "saturations of population 'output': expected 3, got 2"
    )
    assert saturation_mismatch(trace, dataclasses.replace(trace, saturations={})) is None
    pair = compare("integer", "golden", "native", trace, other)
    assert pair.first_mismatch == "saturations of population 'output': golden says 3, native says 2"
    assert not pair.agrees


def test_shift_decays_do_not_saturate_by_themselves() -> None:
    """A decayed value is never farther from 0, so that a population at rest stays silent."""
    population = dataclasses.replace(
        single(-12, Lif(), 5).populations["output"], decay=ShiftDecay(2)
    )
    model = dataclasses.replace(single(-12, Lif(), 5), populations={"output": population})
    assert saturations(model, [1, 0, 0, 0, 0]) == 0


def test_a_trace_says_nothing_of_what_was_not_counted() -> None:
    assert Trace({"input": np.zeros((1, 1, 1), np.uint8)}).saturations == {}
