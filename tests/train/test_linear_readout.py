# SPDX-License-Identifier: Apache-2.0
"""The gradient-trained readout of spike counts."""

import numpy as np
import pytest
import torch

from neurohw.errors import InvalidData, InvalidModel
from neurohw.reservoir.readout import normalised, ridge
from neurohw.train.linear_readout import fit_linear_readout, soft_targets


def problem(samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rates = np.random.default_rng(99).gamma(1.0, 1.0, (4, 30))
    rng = np.random.default_rng(seed)
    labels = rng.integers(4, size=samples)
    return rng.poisson(rates[labels] * rng.uniform(0.5, 2, (samples, 1))), labels


def test_targets_are_a_softmax_of_one_hot() -> None:
    target = soft_targets(torch.tensor([3, 0]), 10)
    assert torch.allclose(target.sum(1), torch.ones(2))
    assert float(target[0, 3]) == pytest.approx(np.e / (np.e + 9)) and float(
        target[0, 0]
    ) == pytest.approx(1 / (np.e + 9))


def test_it_learns_and_keeps_its_best_epoch() -> None:
    train, check, test = (problem(n, seed) for n, seed in ((600, 0), (200, 1), (600, 2)))
    seen: list[float] = []
    found = fit_linear_readout(
        *train, *check, epochs=60, progress=lambda epoch, epochs, a: seen.append(a)
    )
    assert len(seen) == 60 and found.info["validation_accuracy"] == max(seen)
    assert found.info["epoch"] == seen.index(max(seen)) + 1
    assert (found.predict(check[0]) == check[1]).mean() == max(seen)
    reached, closed = ((r.predict(test[0]) == test[1]).mean() for r in (found, ridge(*train)))
    assert reached > 0.9 and reached > closed - 0.08
    assert not found.bias.any()
    again = fit_linear_readout(*train, *check, epochs=60)
    assert np.array_equal(found.weight, again.weight)
    assert not np.array_equal(
        found.weight, fit_linear_readout(*train, *check, epochs=60, seed=1).weight
    )


def test_one_step_is_the_gradient_of_the_definition() -> None:
    counts, labels = problem(50, 3)
    found = fit_linear_readout(
        counts, labels, counts, labels, epochs=1, batch_size=50, weight_decay=0.0
    )
    x = normalised(counts)
    target = np.full((50, 4), 1 / (np.e + 3))
    target[np.arange(50), labels] = np.e / (np.e + 3)
    error = (0.25 - target) / 50  # of the softmax at zero weights
    # Adadelta's first step: lr sqrt(eps) / sqrt(0.1 g^2 + eps) g
    gradient, constant = error.T @ (x / x.max()), error.sum(0)
    step = [-0.1 * np.sqrt(1e-6) / np.sqrt(0.1 * g**2 + 1e-6) * g for g in (gradient, constant)]
    expected = step[0] / x.max() + step[1][:, None]
    assert np.allclose(found.weight, expected - expected.mean(0), rtol=1e-3, atol=1e-9)


def test_what_does_not_match_is_refused() -> None:
    counts, labels = problem(20, 0)
    with pytest.raises(InvalidData, match="validation"):
        fit_linear_readout(counts, labels, counts[:, 1:], labels)
    with pytest.raises(InvalidModel, match="epochs"):
        fit_linear_readout(counts, labels, counts, labels, epochs=0)
