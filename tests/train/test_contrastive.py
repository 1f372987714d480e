# SPDX-License-Identifier: Apache-2.0
"""The contrastive projections: the loss against a computation without torch, and classes held out
that are really never seen.
"""

import numpy as np
import pytest
import torch

from neurohw.errors import InvalidData, InvalidModel
from neurohw.reservoir import retrieve
from neurohw.train.contrastive import Contrastive, fit_contrastive, info_nce


def loss_by_hand(
    first: np.ndarray, second: np.ndarray, same: np.ndarray, temperature: float
) -> float:
    """Sample by sample, with sums of exponentials."""
    terms = []
    for a, b, positive in ((first, second, same), (second, first, same.T)):
        total = 0.0
        for i in range(len(a)):
            likeness = [float(a[i] @ b[j]) / temperature for j in range(len(b))]
            logarithm = np.log(sum(np.exp(z) for z in likeness))
            mine = [z - logarithm for z, p in zip(likeness, positive[i], strict=True) if p]
            total -= sum(mine) / len(mine)
        terms.append(total / len(a))
    return sum(terms) / 2


def unit(rng: np.random.Generator, samples: int, dimensions: int) -> np.ndarray:
    x = rng.normal(size=(samples, dimensions))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("seed", range(5))
def test_the_loss_is_that_of_its_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = [np.concatenate([np.arange(3), rng.integers(0, 3, n)]) for n in rng.integers(1, 6, 2)]
    first, second = (unit(rng, len(y), 4) for y in labels)
    same, temperature = labels[0][:, None] == labels[1][None, :], float(rng.uniform(0.1, 2.0))
    got = info_nce(
        torch.from_numpy(first), torch.from_numpy(second), torch.from_numpy(same), temperature
    )
    assert float(got) == pytest.approx(loss_by_hand(first, second, same, temperature), rel=1e-12)


def test_one_sample_of_a_class_makes_it_the_symmetric_cross_entropy() -> None:
    rng = np.random.default_rng(7)
    first, second = (torch.from_numpy(unit(rng, 6, 5)) for _ in "ab")
    similarity, own = first @ second.T / 0.3, torch.arange(6)
    entropy = torch.nn.functional.cross_entropy
    expected = (entropy(similarity, own) + entropy(similarity.T, own)) / 2
    assert float(info_nce(first, second, torch.eye(6, dtype=torch.bool), 0.3)) == pytest.approx(
        float(expected)
    )


def test_its_gradient_is_that_of_differences() -> None:
    rng = np.random.default_rng(8)
    first, second = unit(rng, 5, 3), unit(rng, 4, 3)
    same = np.array([0, 1, 1, 2, 0])[:, None] == np.array([0, 1, 2, 1])[None, :]
    leaves = [torch.tensor(x, requires_grad=True) for x in (first, second, np.array(0.4))]
    info_nce(leaves[0], leaves[1], torch.from_numpy(same), leaves[2]).backward()
    step = 1e-6
    for which, values in enumerate((first, second, np.array(0.4))):
        for place in np.ndindex(values.shape):
            ends = []
            for sign in (step, -step):
                moved = [first.copy(), second.copy(), np.array(0.4)]
                moved[which][place] += sign
                ends.append(loss_by_hand(moved[0], moved[1], same, float(moved[2])))
            gradient = leaves[which].grad
            assert gradient is not None
            assert float(gradient[place]) == pytest.approx(
                (ends[0] - ends[1]) / (2 * step), rel=1e-5, abs=1e-8
            )


def two_modalities(seed: int, classes: int = 5, samples: int = 40) -> tuple[np.ndarray, ...]:
    """Poisson counts around class means of two unrelated modalities."""
    rng = np.random.default_rng(seed)
    result: list[np.ndarray] = []
    for neurons in (30, 20):
        labels = rng.permutation(np.repeat(np.arange(classes), samples))
        means = rng.gamma(1.0, 5.0, (classes, neurons))
        result += [rng.poisson(means[labels]).astype(np.uint16), labels]
    return tuple(result)


def same_heads(a: Contrastive, b: Contrastive) -> bool:
    return all(
        np.array_equal(getattr(x, name), getattr(y, name))
        for x, y in ((a.first, b.first), (a.second, b.second))
        for name in ("mean", "spread", "weight", "bias")
    )


def test_trained_classes_are_found_across_modalities() -> None:
    x, x_labels, y, y_labels = two_modalities(0)
    train = [np.arange(len(labels)) < 120 for labels in (x_labels, y_labels)]
    model = fit_contrastive(
        x[train[0]], x_labels[train[0]], y[train[1]], y_labels[train[1]], range(5), steps=60
    )
    a, b = model.first.embed(x[~train[0]]), model.second.embed(y[~train[1]])
    assert a.shape == (80, 64) and np.allclose(np.linalg.norm(a, axis=1), 1)
    for found in (
        retrieve(a, x_labels[~train[0]], b, y_labels[~train[1]]),
        retrieve(b, y_labels[~train[1]], a, x_labels[~train[0]]),
    ):
        assert found.accuracy > 0.8 and found.p_value() < 1e-9


def test_classes_held_out_are_never_seen() -> None:
    x, x_labels, y, y_labels = two_modalities(1)
    model = fit_contrastive(x, x_labels, y, y_labels, [0, 2, 3], steps=10)
    poisoned = [a.astype(np.float64) for a in (x, y)]
    for a, labels in zip(poisoned, (x_labels, y_labels), strict=True):
        a[np.isin(labels, [1, 4])] = np.nan
    assert same_heads(
        model, fit_contrastive(poisoned[0], x_labels, poisoned[1], y_labels, [0, 2, 3], steps=10)
    )
    # and so is whether they are there at all, and which labels they have
    kept = [np.isin(labels, [0, 2, 3]) for labels in (x_labels, y_labels)]
    alone = fit_contrastive(
        x[kept[0]], x_labels[kept[0]], y[kept[1]], y_labels[kept[1]], [3, 2, 0], steps=10
    )
    assert same_heads(model, alone) and model.info["classes"] == [0, 2, 3]
    # one sample of a trained class that is nan is enough
    poisoned[0][np.flatnonzero(x_labels == 2)[0]] = np.nan
    assert not same_heads(
        model, fit_contrastive(poisoned[0], x_labels, poisoned[1], y_labels, [0, 2, 3], steps=10)
    )


def test_the_seed_decides() -> None:
    data = two_modalities(2)
    models = [fit_contrastive(*data, range(5), steps=5, seed=seed) for seed in (0, 0, 1)]
    assert same_heads(models[0], models[1]) and not same_heads(models[0], models[2])


def test_temperature_is_fixed_or_learned() -> None:
    data, seen = two_modalities(3), []
    fixed = fit_contrastive(
        *data, range(5), steps=30, temperature=0.5, progress=lambda *at: seen.append(at)
    )
    learned = fit_contrastive(*data, range(5), steps=30, temperature=0.5, learn_temperature=True)
    assert fixed.info["temperature"] == pytest.approx(0.5) and learned.info["temperature"] < 0.499
    assert seen == [(step, 30) for step in range(1, 31)]


def test_errors_say_what_is_wrong() -> None:
    x, x_labels, y, y_labels = two_modalities(4)
    with pytest.raises(InvalidModel, match="at least 2 different classes, not \\[1\\]"):
        fit_contrastive(x, x_labels, y, y_labels, [1])
    with pytest.raises(InvalidData, match="second modality has no sample of class 3"):
        fit_contrastive(x, x_labels, y[y_labels != 3], y_labels[y_labels != 3], [2, 3])
    with pytest.raises(InvalidModel, match="steps of contrastive training"):
        fit_contrastive(x, x_labels, y, y_labels, [2, 3], steps=0)
    with pytest.raises(InvalidData, match="first modality: counts"):
        fit_contrastive(x[1:], x_labels, y, y_labels, [2, 3])
    model = fit_contrastive(x, x_labels, y, y_labels, [2, 3], steps=1)
    with pytest.raises(InvalidData, match=r"\[sample, 30\]"):
        model.first.embed(y)
