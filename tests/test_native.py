"""The golden model in C++ equals the specification on every spike and state."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurohw import first_mismatch, native_library, quantize, run_golden
from neurohw.errors import InvalidData, MissingTool
from neurohw.fixedpoint import IntFormat
from neurohw.golden import native
from neurohw.golden.native import run_native
from tests.random_networks import random_graph, random_stimulus, random_trained


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_native_equals_the_specification(seed: int) -> None:
    rng = np.random.default_rng(seed)
    trained = random_trained(rng, random_graph(rng), 12, each_neuron=True)
    cap = int(rng.integers(4, 12)) if rng.random() < 0.3 else None  # narrow membranes saturate
    model = quantize(trained, int(rng.integers(2, 9)), membrane_cap=cap, max_count=2)
    if rng.random() < 0.3:  # 64-bit states
        wide = {n: dataclasses.replace(p, membrane=IntFormat(45)) for n, p in model.populations.items()}
        model = dataclasses.replace(model, populations=wide)
    spikes = random_stimulus(rng, model.network, 12, 5, 2)
    expected, actual = run_golden(model, spikes), run_native(model, spikes, threads=2)
    assert set(expected.arrays()) == set(actual.arrays())
    assert first_mismatch(expected, actual) is None
    assert all(a.dtype == actual.arrays()[n].dtype for n, a in expected.arrays().items())


def test_without_states_only_spikes_are_returned() -> None:
    rng = np.random.default_rng(1)
    model = quantize(random_trained(rng))
    spikes = random_stimulus(rng, model.network, 6, 4)
    trace = run_native(model, spikes, states=False)
    assert not trace.states and first_mismatch(run_golden(model, spikes), trace) is None


def test_counts_beyond_the_proof_are_left_to_the_specification(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    model = quantize(random_trained(rng), max_count=1)
    spikes = random_stimulus(rng, model.network, 6, 4) * np.uint8(200)
    asked: list[int] = []
    monkeypatch.setattr(native, "run_golden", lambda *a: asked.append(1))
    run_native(model, spikes)
    assert asked == [1]


def test_a_missing_compiler_and_a_wrong_stimulus_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    model = quantize(random_trained(rng))
    with pytest.raises(InvalidData, match="stimulus has shape"):
        run_native(model, np.zeros((2, 3), np.uint8))
    monkeypatch.setattr(native_library.shutil, "which", lambda name: None)
    native_library.compiled.cache_clear()
    with pytest.raises(MissingTool, match=r"g\+\+"):
        run_native(model, random_stimulus(rng, model.network, 3, 1))
    native_library.compiled.cache_clear()
