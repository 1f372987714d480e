# SPDX-License-Identifier: Apache-2.0
"""Datasets drawn from a seed: what they say is in them, and nothing else."""

from typing import Any

import numpy as np
import pytest

from neurohw.data import delayed_recall
from neurohw.errors import InvalidData


def test_delayed_recall_has_a_cue_a_gap_with_distractors_and_a_go_signal() -> None:
    dataset = delayed_recall(
        classes=3, lines=4, gap=40, cue=8, answer=6, rate=0.6, noise=0.05, samples=200, seed=3
    )
    assert dataset.steps == 54 and dataset.features == 13 and dataset.classes == 3
    for part in ("train", "validation", "test"):
        x, y = dataset.part(part)
        assert np.bincount(y).tolist() == [200] * 3 and x.max() == 1
        go = x[:, :, 12]
        assert go[:, -6:].all() and not go[:, :-6].any()
        by_class = x[:, :, :12].reshape(600, 54, 3, 4).transpose(0, 2, 1, 3)
        own = by_class[np.arange(600), y]
        others = by_class[np.arange(3) != y[:, None]].reshape(600, 2, 54, 4)
        # five standard errors of a mean of Bernoulli draws
        assert own[:, :8].mean() == pytest.approx(
            1 - 0.4 * 0.95, abs=5 * np.sqrt(0.25 / own[:, :8].size)
        )
        for noise in (own[:, 8:], others):
            assert noise.mean() == pytest.approx(0.05, abs=5 * np.sqrt(0.0475 / noise.size))


def test_nothing_after_the_cue_tells_the_class() -> None:
    """With a rate of 0 the cue is empty, and the draws after it are those of any rate."""
    with_cue, without = (
        delayed_recall(gap=20, rate=rate, samples=10, seed=1) for rate in (0.7, 0.0)
    )
    assert np.array_equal(with_cue.x_test[:, 10:], without.x_test[:, 10:])
    assert (
        with_cue.x_test >= without.x_test
    ).all() and with_cue.x_test.sum() > without.x_test.sum()


def test_the_seed_decides_and_parts_differ() -> None:
    a, b, other = (delayed_recall(samples=5, seed=seed) for seed in (1, 1, 2))
    assert a.digest() == b.digest() != other.digest()
    assert not np.array_equal(a.x_train, a.x_test)


@pytest.mark.parametrize(
    "wrong",
    [
        {"classes": 1},
        {"lines": 0},
        {"gap": -1},
        {"cue": 0},
        {"answer": 0},
        {"samples": 0},
        {"noise": 1.1},
        {"rate": -0.1},
    ],
)
def test_what_has_no_meaning_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidData, match=next(iter(wrong))):
        delayed_recall(**wrong)
