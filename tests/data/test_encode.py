"""Encoders by hand and by their invariants."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurohw.data import Encoder
from neurohw.data.encode import events, phase
from neurohw.errors import InvalidData

X = np.array([[0.0, 0.25, 0.5, 0.75, 1.0]])


def column(encoder: Encoder) -> list[list[int]]:
    return encoder.encode(X)[:, 0].T.tolist()


def test_by_hand() -> None:
    assert column(Encoder("phase", 4)) == [[0, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 1], [0, 1, 1, 1], [1, 1, 1, 1]]
    assert column(Encoder("phase", 4, offset=0.5)) == [
        [0, 0, 0, 0],
        [0, 1, 0, 0],
        [1, 0, 1, 0],
        [1, 1, 0, 1],
        [1, 1, 1, 1],
    ]
    assert column(Encoder("latency", 4)) == [[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0]]
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
    counts = Encoder("latency", steps).encode(x)
    assert np.array_equal(counts.sum(axis=0), (x > 0).astype(int))
    when = counts[:, 0].argmax(axis=0)[x[0] > 0]
    assert np.all(np.diff(when) <= 0)


def test_rate_comes_from_the_seed_and_has_the_rate() -> None:
    x = np.tile(X, (2000, 1))
    first = Encoder("rate", 5, seed=1).encode(x)
    assert np.array_equal(first, Encoder("rate", 5, seed=1).encode(x))
    assert not np.array_equal(first, Encoder("rate", 5, seed=2).encode(x))
    assert not np.array_equal(first, Encoder("rate", 5, seed=1).encode(x, (1,)))
    means = first.mean(axis=(0, 1))
    assert means[0] == 0 and means[4] == 1
    np.testing.assert_allclose(means, X[0], atol=0.025)  # five standard deviations


@pytest.mark.parametrize("kind", ["rate", "phase", "latency", "direct"])
def test_shape_type_count_and_json(kind: str) -> None:
    encoder = Encoder(kind, 3, levels=5, offset=0.25, seed=7)  # type: ignore[arg-type]
    counts = encoder.encode(np.random.default_rng(0).random((4, 6)))
    assert counts.shape == (3, 4, 6) and counts.dtype == np.uint8
    assert counts.max() <= encoder.max_count == (5 if kind == "direct" else 1)
    assert Encoder.from_json(json.loads(json.dumps(encoder.to_json()))) == encoder


def test_events_by_hand() -> None:
    counts = events([0, 1, 1, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 999, 1000, 5000], (2, 2), 3, 1000)
    assert counts.shape == (3, 8)
    expected = np.zeros((3, 8), int)
    expected[0, 0], expected[0, 7], expected[1, 7] = 1, 1, 1  # the last event lies after the end
    assert np.array_equal(counts, expected)
    assert events([0] * 300, [0] * 300, [0] * 300, [0] * 300, (1, 1), 1, 1.0)[0, 0] == 255


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        (([0], [0], [0], [0, 1]), "length"),
        (([2], [0], [0], [0]), "event x = 2"),
        (([0], [-1], [0], [0]), "event y = -1"),
        (([0], [0], [2], [0]), "event p = 2"),
        (([0], [0], [0], [-1]), "before 0"),
    ],
)
def test_events_outside_are_refused(lists: tuple[list[int], ...], message: str) -> None:
    with pytest.raises(InvalidData, match=message):
        events(*lists, (2, 2), 3, 1.0)  # type: ignore[misc]


@pytest.mark.parametrize(
    "fields",
    [{"kind": "morse"}, {"steps": 0}, {"levels": 256}, {"levels": 0}, {"offset": 1.0}, {"seed_": 1}],
)
def test_wrong_parameters_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(InvalidData):
        Encoder.from_json({"kind": "phase", "steps": 3, **fields})


@pytest.mark.parametrize(
    "x", [np.array([[1.5]]), np.array([[-0.1]]), np.array([[np.nan]]), np.zeros(3), np.zeros((0, 2))]
)
def test_wrong_values_are_refused(x: np.ndarray) -> None:
    with pytest.raises(InvalidData):
        Encoder("phase", 2).encode(x)
