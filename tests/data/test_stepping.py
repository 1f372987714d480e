# SPDX-License-Identifier: Apache-2.0
"""Times and steps, against exact fractions."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurohw.data.encode import events
from neurohw.data.spikes import Recordings
from neurohw.data.stepping import as_doubles, duration, step_of, whole
from neurohw.errors import InvalidData

STEPS = 50
DECIMALS = st.integers(0, 4).flatmap(
    lambda places: st.integers(0, 60000).map(lambda n: float(f"{n}e-{places}"))
)
DURATIONS = st.sampled_from([1.0, 0.1, 0.2, 0.3, 0.05, 0.07, 0.01, 0.001, 0.0025, 1000.0, 12.5])


def exact(time: Any, step: Any, origin: Any = 0) -> int:
    """floor((time - origin) / step) of the decimals, cut to -1 ... STEPS."""
    found = math.floor((Fraction(str(time)) - Fraction(str(origin))) / Fraction(str(step)))
    return max(-1, min(found, STEPS))


@settings(max_examples=300, deadline=None)
@given(st.lists(DECIMALS, min_size=1, max_size=8), DURATIONS, DECIMALS)
def test_steps_are_those_of_the_decimals(times: list[float], step: float, origin: float) -> None:
    for start in (0.0, origin):
        expected = [exact(t, step, start) for t in times]
        assert step_of(times, step, STEPS, start).tolist() == expected


@settings(max_examples=300, deadline=None)
@given(st.floats(0, 1e6), DURATIONS)
def test_any_double_lies_between_its_borders(time: float, step: float) -> None:
    """Off a border the step is that of the very double; within 4 units in the last place below one
    it is the border's.
    """
    found = int(step_of(time, step, STEPS))
    slack = 4 * Fraction(math.ulp(time))
    border = Fraction(str(step))
    assert found == 0 or found * border <= Fraction(time) + slack
    assert found == STEPS or Fraction(time) < (found + 1) * border


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(-(10**9), 10**12), min_size=1, max_size=8),
    st.integers(1, 10**6),
    st.integers(0, 10**9),
)
def test_whole_times_are_divided_exactly(times: list[int], step: int, origin: int) -> None:
    expected = [max(-1, min((t - origin) // step, STEPS)) for t in times]
    assert step_of(np.array(times), step, STEPS, origin).tolist() == expected
    thirds = [exact(3 * t, 1) for t in times]  # steps of a third
    assert step_of(np.array(times), Fraction(1, 3), STEPS).tolist() == thirds


@settings(max_examples=100, deadline=None)
@given(st.integers(0, STEPS - 1), DURATIONS, st.booleans())
def test_sums_and_products_are_on_their_borders(k: int, step: float, summed: bool) -> None:
    assert step_of(k * step, step, STEPS) == k
    if summed and k <= 5:  # errors of long sums grow without bound
        assert step_of(sum([step] * k), step, STEPS) == k


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_short_floats_stand_for_their_decimals(kind: type) -> None:
    short = np.concatenate([np.arange(2000) / 1000, [1e-5, 1e-7, 12.5, 0.33333334]]).astype(kind)
    assert as_doubles(short).tolist() == [float(str(v)) for v in short]
    tiny = np.array([1e-30], np.float32)  # too many places: the very number
    assert as_doubles(tiny)[0] == float(tiny[0])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(DECIMALS, min_size=1, max_size=20),
    DURATIONS,
    st.sampled_from([np.float64, np.float32]),
)
def test_events_and_recordings_are_binned_by_the_one_rule(
    times: list[float], step: float, kind: type
) -> None:
    short = np.array(times).astype(kind)
    zeros = np.zeros(len(times), int)
    expected = np.bincount([exact(t, step) for t in short], minlength=STEPS + 1)[:STEPS]
    found = events(zeros, zeros, zeros, short, (1, 1), STEPS, step, 1, origin=0)
    recorded = Recordings("r", short, zeros, np.array([0, len(times)]), np.array([0]), 1)
    assert found[:, 0].tolist() == expected.tolist()
    assert recorded.counts(STEPS, step, origin=0)[0, :, 0].tolist() == expected.tolist()


@pytest.mark.parametrize("value", [0, -1, 0.0, math.nan, math.inf, "a", None])
def test_what_is_no_duration_is_refused(value: Any) -> None:
    with pytest.raises(InvalidData, match="step_duration must be"):
        duration(value)


@pytest.mark.parametrize("value", [3.0, 3.5, True, "3", None, np.float64(3), math.nan])
def test_what_is_no_whole_number_is_refused(value: Any) -> None:
    assert whole(np.int8(3), "n", 0) == 3 and isinstance(whole(np.int8(3), "n", 0), int)
    with pytest.raises(InvalidData, match="n must be a whole number"):
        whole(value, "n", 0)
    for outside in (-1, 6):
        with pytest.raises(InvalidData, match=r"n must be in 0\.\.5"):
            whole(outside, "n", 0, 5)


@pytest.mark.parametrize("times", [[math.nan], [math.inf], ["1"], [1j]])
def test_times_that_are_no_numbers_are_refused(times: list[Any]) -> None:
    with pytest.raises(InvalidData, match="finite numbers"):
        step_of(times, 1, 3)
