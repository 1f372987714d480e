"""The plastic kernel in C++ equals the specification on every spike, state, trace, weight and amplitude."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from neurohw import first_mismatch
from neurohw.plasticity.native import run_plastic_native
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
        assert left.keys() == right.keys() and all(np.array_equal(left[name], right[name]) for name in left)
