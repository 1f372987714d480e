# SPDX-License-Identifier: Apache-2.0
"""Encoders by hand and by their invariants."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurohw.data import Encoder
from neurohw.data.encode import events, phase
from neurohw.errors import InvalidData
from neurohw.stimulus import Spikes

X = np.array([[0.0, 0.25, 0.5, 0.75, 1.0]])


def column(encoder: Encoder) -> list[list[int]]:
    return encoder.encode(X).counts[:, 0].T.tolist()


def test_by_hand() -> None:
    assert column(Encoder("phase", 4)) == [
        [0, 0, 0, 0],
        [0, 0, 0, 1],
        [0, 1, 0, 1],
        [0, 1, 1, 1],
        [1, 1, 1, 1],
    ]
    assert column(Encoder("phase", 4, offset=0.5)) == [
        [0, 0, 0, 0],
        [0, 1, 0, 0],
        [1, 0, 1, 0],
        [1, 1, 0, 1],
        [1, 1, 1, 1],
    ]
    assert column(Encoder("latency", 4)) == [
        [0, 0, 0, 0],
        [0, 0, 0, 1],
        [0, 0, 1, 0],
        [0, 1, 0, 0],
        [1, 0, 0, 0],
    ]
    assert column(Encoder("direct", 2, levels=4)) == [[0, 0], [1, 1], [2, 2], [3, 3], [4, 4]]


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 1, width=32), st.integers(1, 40), st.floats(0, 0.9375))
def test_phase_counts_the_whole_turns(x: float, steps: int, offset: float) -> None:
    counts = phase(np.array([[x]]), steps, offset)
    assert set(np.unique(counts)) <= {0, 1}
    assert counts.sum() == np.floor(steps * x + offset)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1, width=32), min_size=2, max_size=20), st.integers(1, 20))
def test_latency_fires_once_and_brighter_is_never_later(values: list[float], steps: int) -> None:
    x = np.sort(np.array([values], np.float32))
    counts = Encoder("latency", steps).encode(x).counts
    assert np.array_equal(counts.sum(axis=0), (x > 0).astype(int))
    when = counts[:, 0].argmax(axis=0)[x[0] > 0]
    assert np.all(np.diff(when) <= 0)


@pytest.mark.parametrize("steps", [4, 7, 10, 25, 100])
@pytest.mark.parametrize("parts", [7, 10, 16, 100, 255])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_latency_is_exact(kind: type, parts: int, steps: int) -> None:
    """x = k / parts, divided or multiplied: the step is floor((1 - x) T) of the fraction, so 2 of x
    = 0.8 at T = 10.
    """
    expected = [
        min(math.floor((1 - Fraction(k, parts)) * steps), steps - 1) for k in range(1, parts + 1)
    ]
    k = np.arange(1, parts + 1).astype(kind)
    for x in (k / kind(parts), 1 - (parts - k) / kind(parts), k * kind(1 / parts)):
        x = np.minimum(x, kind(1))[None]
        assert Encoder("latency", steps).encode(x).counts[:, 0].argmax(axis=0).tolist() == expected
    assert Encoder("latency", 10).encode(np.array([[0.8]], kind)).counts[2, 0, 0] == 1


@pytest.mark.parametrize("steps", [4, 10, 100])
@pytest.mark.parametrize("parts", [10, 16, 100, 255])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_phase_is_exact(kind: type, parts: int, steps: int) -> None:
    """x = k / parts fires in step t where floor((t+1) x + offset) of the fraction grows."""
    x = (np.arange(parts + 1) / parts).astype(kind)[None]
    for offset in (0.0, 0.5):
        turns = [
            [math.floor(t * Fraction(k, parts) + Fraction(offset)) for k in range(parts + 1)]
            for t in range(steps + 1)
        ]
        assert phase(x, steps, offset)[:, 0].tolist() == np.diff(turns, axis=0).tolist()


def test_rate_comes_from_the_seed_and_has_the_rate() -> None:
    x = np.tile(X, (2000, 1))
    first = Encoder("rate", 5, seed=1).encode(x).counts
    assert np.array_equal(first, Encoder("rate", 5, seed=1).encode(x).counts)
    assert not np.array_equal(first, Encoder("rate", 5, seed=2).encode(x).counts)
    assert not np.array_equal(first, Encoder("rate", 5, seed=1).encode(x, (1,)).counts)
    means = first.mean(axis=(0, 1))
    assert means[0] == 0 and means[4] == 1
    np.testing.assert_allclose(means, X[0], atol=0.025)  # five standard deviations


@pytest.mark.parametrize("kind", ["rate", "phase", "latency", "direct"])
def test_shape_type_count_and_json(kind: str) -> None:
    encoder = Encoder(kind, 3, levels=5, offset=0.25, seed=7)  # type: ignore[arg-type]
    counts = encoder.encode(np.random.default_rng(0).random((4, 6))).counts
    assert counts.shape == (3, 4, 6) and counts.dtype == np.uint8
    assert counts.max() <= encoder.max_count == (5 if kind == "direct" else 1)
    assert Encoder.from_json(json.loads(json.dumps(encoder.to_json()))) == encoder


def test_events_by_hand() -> None:
    counts = events([0, 1, 1, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 999, 1000, 5000], (2, 2), 3, 1000)
    assert counts.shape == (3, 8)
    expected = np.zeros((3, 8), int)
    expected[0, 0], expected[0, 7], expected[1, 7] = 1, 1, 1  # the last event lies after the end
    assert np.array_equal(counts, expected)


def at(time: object, step_duration: float, steps: int, **options: float) -> list[int]:
    """Counts of a sensor of one pixel, by step."""
    zeros = np.zeros(len(np.atleast_1d(time)), int)  # type: ignore[arg-type]
    return events(zeros, zeros, zeros, time, (1, 1), steps, step_duration, 1, **options)[
        :, 0
    ].tolist()  # type: ignore[arg-type]


def test_an_event_on_a_border_belongs_to_the_step_that_begins_there() -> None:
    assert at([0.3], 0.1, 5) == [0, 0, 0, 1, 0]
    for times in (
        np.arange(100) * 0.1,
        np.arange(100) / 10,
        np.array([float(f"{k}e-1") for k in range(100)]),
    ):
        assert at(times, 0.1, 100) == [1] * 100
        assert at(times.astype(np.float32), 0.1, 100) == [1] * 100
    assert at(np.arange(300) * 1000, 1000, 300) == [1] * 300  # microseconds, whole
    assert at(np.arange(300) * 0.3, 0.3, 300) == [1] * 300


def test_a_recording_that_does_not_start_at_0_is_never_lost() -> None:
    with pytest.raises(InvalidData, match=r"begins at 1000.*nothing would be left.*origin"):
        at([1000, 1001], 1, 10)
    assert at([1000, 1001, 1009, 1010], 1, 10, origin=1000) == [1, 1, 0, 0, 0, 0, 0, 0, 0, 1]
    assert at([1000.3, 1000.5], 0.1, 4, origin=1000.2) == [0, 1, 0, 1]
    assert at([1000], 1, 10, origin=0) == [0] * 10  # said so
    with pytest.raises(InvalidData, match="event time 1000 lies before 2000"):
        at([1000], 1, 10, origin=2000)
    assert events([], [], [], [], (1, 1), 2, 1, 1).tolist() == [[0], [0]]


def test_counts_above_255_are_refused_or_saturate_by_name() -> None:
    with pytest.raises(InvalidData, match="neuron 0 has a count of 300 in step 1"):
        at([1] * 300, 1, 2)
    assert at([1] * 300, 1, 2, saturate=True) == [0, 255]


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        (([0], [0], [0], [0, 1]), "length"),
        (([2], [0], [0], [0]), "event x = 2"),
        (([0], [-1], [0], [0]), "event y = -1"),
        (([0], [0], [2], [0]), "event p = 2"),
        (([0], [0], [0], [-1]), "before 0"),
        (([0.5], [0], [0], [0]), "event x: whole numbers are needed, not 0.5"),
        (([0], [0], [np.nan], [0]), "event p: whole numbers are needed, not nan"),
        (([0], [0], [0], [np.nan]), "finite"),
        (([0], [0], [0], [np.inf]), "finite"),
    ],
)
def test_events_outside_are_refused(lists: tuple[list[int], ...], message: str) -> None:
    with pytest.raises(InvalidData, match=message):
        events(*lists, (2, 2), 3, 1.0)  # type: ignore[misc]


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "morse"},
        {"steps": 0},
        {"steps": 3.5},
        {"steps": 3.0},
        {"steps": True},
        {"steps": "3"},
        {"levels": 256},
        {"levels": 0},
        {"levels": 1.5},
        {"offset": 1.0},
        {"offset": float("nan")},
        {"offset": "0.5"},
        {"seed_": 1},
        {"seed": -1},
        {"seed": 0.5},
        {"saturate": True},  # of spikes alone
        {"kind": "spikes", "saturate": 1},
    ],
)
def test_wrong_parameters_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(InvalidData):
        Encoder.from_json({"kind": "phase", "steps": 3, **fields})


@pytest.mark.parametrize(
    "x",
    [
        np.array([[1.5]]),
        np.array([[-0.1]]),
        np.array([[np.nan]]),
        np.array([[np.inf]]),
        np.zeros(3),
        np.zeros((0, 2)),
        np.array([["a"]]),
        Spikes(np.zeros((2, 1, 3), np.uint8)),
    ],
)
def test_wrong_values_are_refused(x: np.ndarray) -> None:
    with pytest.raises(InvalidData):
        Encoder("phase", 2).encode(x)


def test_spikes_pass_unchanged_or_not_at_all() -> None:
    """Counts above `levels` are refused, not cut, unless that is asked for."""
    x = np.zeros((2, 3, 4), np.uint8)
    x[1, 2, 3], x[0, 0, 1] = 9, 1
    counts = Encoder("spikes", steps=3, levels=9).encode(x).counts
    assert counts.shape == (3, 2, 4) and np.array_equal(counts, x.transpose(1, 0, 2))
    with pytest.raises(InvalidData, match="a count of 9, encoder 'spikes' allows 4.*levels=9"):
        Encoder("spikes", steps=3, levels=4).encode(x)
    cut = Encoder("spikes", steps=3, levels=4, saturate=True).encode(x).counts
    assert cut[2, 1, 3] == 4 and cut[0, 0, 1] == 1 and cut.sum() == 5
    assert Encoder("spikes", steps=3, levels=4).max_count == 4


def test_spikes_of_an_unknown_order_are_refused() -> None:
    encoder = Encoder("spikes", steps=3)
    square = np.eye(3, dtype=np.uint8)[:, :, None]
    square[0, 1] = 1
    with pytest.raises(InvalidData, match="time and sample may be exchanged"):
        encoder.encode(square)
    assert np.array_equal(
        encoder.encode(Spikes.sample_first(square)).counts, square.transpose(1, 0, 2)
    )
    assert np.array_equal(encoder.encode(Spikes.time_first(square)).counts, square)
    with pytest.raises(InvalidData, match="its samples are 3, the steps of the model"):
        encoder.encode(np.zeros((3, 7, 2), np.uint8))
    for wrong in (np.zeros((2, 3, 4)), np.zeros((2, 3), np.uint8)):
        with pytest.raises(InvalidData, match=r"needs uint8 \[sample, 3, neuron\]"):
            encoder.encode(wrong)
    with pytest.raises(InvalidData, match=r"4 steps, the encoder needs 3"):
        encoder.encode(Spikes(np.zeros((4, 1, 2), np.uint8)))
