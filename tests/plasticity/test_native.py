# SPDX-License-Identifier: Apache-2.0
"""The plastic kernel in C++ equals the specification on every spike, state, trace, weight and
amplitude.
"""

import platform
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurohw import Lif, first_mismatch
from neurohw.errors import InvalidData, InvalidModel, Unsupported
from neurohw.neurons import Adaptation
from neurohw.plasticity import native
from neurohw.plasticity.native import PlasticKernel, run_plastic_native
from neurohw.plasticity.reference import run_plastic_reference
from tests.plasticity.random_plastic import random_plastic, random_spikes


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_native_equals_the_specification(seed: int) -> None:
    rng = np.random.default_rng(seed)
    trained, plasticity = random_plastic(rng)
    spikes = random_spikes(rng, int(rng.integers(1, 40)), trained.network.input.size)
    expected, actual = (
        run_plastic_reference(trained, plasticity, spikes),
        run_plastic_native(trained, plasticity, spikes),
    )
    assert set(expected.trace.arrays()) == set(actual.trace.arrays())
    assert first_mismatch(expected.trace, actual.trace) is None
    assert np.array_equal(expected.depression, actual.depression)
    for kind in ("weights", "traces"):
        left, right = getattr(expected, kind), getattr(actual, kind)
        assert left.keys() == right.keys() and all(
            np.array_equal(left[name], right[name]) for name in left
        )


def test_the_loops_without_vectors_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = native.EXACT_FLAGS + (("-mno-avx512f",) if platform.machine() == "x86_64" else ())
    monkeypatch.setattr(native, "EXACT_FLAGS", flags)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        trained, plasticity = random_plastic(rng)
        spikes = random_spikes(rng, 30, trained.network.input.size)
        expected, actual = (
            run_plastic_reference(trained, plasticity, spikes),
            run_plastic_native(trained, plasticity, spikes),
        )
        assert first_mismatch(expected.trace, actual.trace) is None
        assert all(np.array_equal(actual.weights[name], w) for name, w in expected.weights.items())


def test_neurons_that_the_kernel_does_not_know_are_named() -> None:
    rng = np.random.default_rng(0)
    trained, plasticity = random_plastic(rng)
    neuron = trained.network.output.neuron
    assert isinstance(neuron, Lif)

    def kernel(**changes: object) -> None:
        lif = replace(neuron, synapse_decay=0.5, refractory=0, integrates_refractory=False)
        population = replace(trained.network.output, neuron=replace(lif, **changes))
        network = replace(trained.network, populations=(trained.network.input, population))
        PlasticKernel(replace(trained, network=network), plasticity)

    kernel()
    for option in ("strict", "delayed_reset", "membrane_bias", "delayed_current", "clears_current"):
        with pytest.raises(Unsupported, match=f"'liquid'.*no {option}"):
            kernel(**{option: True})
    with pytest.raises(Unsupported, match="no adaptation"):
        kernel(adaptation=Adaptation(0.5, 1.0))
    with pytest.raises(Unsupported, match="not 'soft'"):
        kernel(reset="soft", v_reset=0.0)


def test_synapses_that_are_given_twice_and_counts_are_refused() -> None:
    rng = np.random.default_rng(0)
    trained, plasticity = random_plastic(rng)
    arrays = {n: a.copy() for n, a in trained.parameters.items()}
    for end in ("source", "target"):
        arrays[f"liquid_to_liquid.{end}"][:2] = 0
    arrays["liquid_to_liquid.weight"][:] = 0
    with pytest.raises(InvalidModel, match="neuron 0 reaches neuron 0 twice"):
        PlasticKernel(replace(trained, parameters=arrays), plasticity)
    with pytest.raises(InvalidData, match="a count of 2"):
        run_plastic_native(
            trained, plasticity, np.full((3, trained.network.input.size), 2, np.uint8)
        )
