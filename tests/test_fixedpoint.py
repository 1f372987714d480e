# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurohw.errors import InvalidModel
from neurohw.fixedpoint import (
    IntFormat,
    MultiplyDecay,
    NoDecay,
    ShiftDecay,
    decay_from_json,
    decay_to_json,
    exact_matmul,
)


def test_format_ranges() -> None:
    assert (IntFormat(4).min, IntFormat(4).max) == (-8, 7)
    assert (IntFormat(1).min, IntFormat(1).max) == (-1, 0)
    assert IntFormat.holding(-8, 7) == IntFormat(4)
    assert IntFormat.holding(0, 8) == IntFormat(5)
    assert IntFormat(4).saturate(np.array([-9, -8, 7, 8])).tolist() == [-8, -8, 7, 7]
    with pytest.raises(
        InvalidModel, match="IntFormat.bits must be a whole number, in 1..63, not 64"
    ):
        IntFormat(64)


def test_shift_decay_floors() -> None:
    """By hand, shift 2: 7 - 1 = 6; 3 - 0 = 3 (never leaks below 4); -1 - (-1) = 0; -5 - (-2) =
    -3.
    """
    assert ShiftDecay(2).apply(np.array([7, 3, 4, -1, -5, 0])).tolist() == [6, 3, 3, 0, -3, 0]


def test_multiply_decay_rounds_toward_zero() -> None:
    """By hand, delta 1024 (factor 3/4): 7 -> 5.25 -> 5; -7 -> -5; 1 -> 0; -1 -> 0."""
    assert MultiplyDecay(1024).apply(np.array([7, -7, 1, -1, 0, 4096])).tolist() == [
        5,
        -5,
        0,
        0,
        0,
        3072,
    ]
    assert MultiplyDecay(4096).apply(np.array([9])).tolist() == [0]


@given(
    st.integers(0, 5000),
    st.integers(1, 200),
    st.sampled_from(
        [NoDecay(), ShiftDecay(1), ShiftDecay(4), MultiplyDecay(1), MultiplyDecay(700)]
    ),
    st.integers(0, 2**32 - 1),
)
def test_a_driven_state_never_leaves_its_bound(
    drive: int, steps: int, decay: NoDecay | ShiftDecay | MultiplyDecay, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    bound = decay.bound(drive, steps)
    drives = rng.integers(-drive, drive + 1, (steps, 3))
    drives[:, 1], drives[:, 2] = drive, -drive
    state = np.zeros(3, np.int64)
    for step in range(steps):
        state = decay.apply(state) + drives[step]
        assert np.abs(state).max() <= bound


@pytest.mark.parametrize("decay", [None, NoDecay(), ShiftDecay(3), MultiplyDecay(17)])
def test_decay_survives_json(decay: NoDecay | None) -> None:
    assert decay_from_json(decay_to_json(decay)) == decay


def test_bad_decays_are_refused() -> None:
    with pytest.raises(InvalidModel, match="1..15, not 0"):
        ShiftDecay(0)
    with pytest.raises(InvalidModel, match="not 4097"):
        MultiplyDecay(4097)
    with pytest.raises(InvalidModel, match="unknown decay"):
        decay_from_json({"kind": "exponential"})


def test_exact_matmul_is_integer_and_refuses_the_inexact() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.integers(-(2**20), 2**20, (5, 40)), rng.integers(-(2**20), 2**20, (40, 3))
    assert np.array_equal(
        exact_matmul(a, b), (a.astype(object) @ b.astype(object)).astype(np.int64)
    )
    with pytest.raises(InvalidModel, match="2\\^53"):
        exact_matmul(np.array([[2**30]]), np.array([[2**30]]))
