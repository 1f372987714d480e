# SPDX-License-Identifier: Apache-2.0
"""Retrieval on cases that can be counted by hand, and at chance where there is nothing to find."""

import math

import numpy as np
import pytest

from neurohw.errors import InvalidData
from neurohw.reservoir import Retrieval, retrieve


def test_cases_by_hand() -> None:
    gallery = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    labels = np.array([4, 7, 7])
    queries = np.array([[0.9, 0.1], [0.1, 0.9], [-1.0, 0.2], [0.5, 0.6]])
    found = retrieve(queries, np.array([4, 7, 7, 4]), gallery, labels)
    assert found.right.tolist() == [True, True, True, False]
    assert found.accuracy == 0.75
    assert found.chance == pytest.approx((1 / 3 + 2 / 3 + 2 / 3 + 1 / 3) / 4)
    # of equal items the first
    assert retrieve(np.array([[1.0, 1.0]]), np.array([4]), gallery, labels).right.all()
    # a longer vector wins: it is the dot product that ranks
    assert not retrieve(
        queries[:1], np.array([4]), gallery * np.array([[1.0], [1.0], [-2.0]]), labels
    ).right.any()
    # a class that the gallery does not hold is never found, and its chance is 0
    missing = retrieve(queries, np.full(4, 9), gallery, labels)
    assert missing.accuracy == missing.chance == 0.0 and missing.p_value() == 1.0


@pytest.mark.parametrize(
    ("right", "queries", "chance"), [(8, 10, 0.5), (3, 12, 0.1), (0, 5, 0.3), (5, 5, 0.2)]
)
def test_the_p_value_is_the_tail_of_the_binomial(right: int, queries: int, chance: float) -> None:
    found = Retrieval(np.arange(queries) < right, chance)
    tail = sum(
        math.comb(queries, k) * chance**k * (1 - chance) ** (queries - k)
        for k in range(right, queries + 1)
    )
    assert found.p_value() == pytest.approx(tail, rel=1e-9)
    low, high = found.interval()
    # Clopper and Pearson: at either end of the interval the result is a 2.5 % tail
    for end, counts in ((low, range(right, queries + 1)), (high, range(right + 1))):
        if 0 < end < 1:
            assert sum(
                math.comb(queries, k) * end**k * (1 - end) ** (queries - k) for k in counts
            ) == pytest.approx(0.025, rel=1e-6)
    assert low <= right / queries <= high


def test_random_vectors_are_found_by_chance() -> None:
    rng = np.random.default_rng(0)
    right, p = [], []
    for _ in range(200):
        labels = [rng.integers(0, 5, n) for n in (60, 80)]
        found = retrieve(rng.normal(size=(60, 8)), labels[0], rng.normal(size=(80, 8)), labels[1])
        assert found.chance == pytest.approx(0.2, abs=0.05)
        right.append(found.accuracy)
        p.append(found.p_value())
    assert np.mean(right) == pytest.approx(0.2, abs=0.01)
    assert np.mean(np.array(p) < 0.05) < 0.1 and 0.4 < np.mean(p) < 0.7


@pytest.mark.parametrize(
    ("queries", "labels", "message"),
    [
        (np.zeros((2, 3)), np.zeros(3, int), "queries"),
        (np.zeros((2, 4)), np.zeros(2, int), "4 dimensions, the gallery 3"),
        (np.full((2, 3), np.nan), np.zeros(2, int), "must be finite"),
        (np.zeros((0, 3)), np.zeros(0, int), "queries"),
    ],
)
def test_errors(queries: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidData, match=message):
        retrieve(queries, labels, np.ones((5, 3)), np.zeros(5, int))
