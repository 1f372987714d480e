# SPDX-License-Identifier: Apache-2.0
"""Readouts against scikit-learn, against refitting without each sample, and as a population of the
network.
"""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.preprocessing import StandardScaler

from neurohw import quantize, run_golden, run_reference
from neurohw.errors import InvalidData, InvalidModel
from neurohw.readout import rate_scores, scores
from neurohw.reservoir import gaussian_reservoir
from neurohw.reservoir import readout as readout_module
from neurohw.reservoir.readout import LinearReadout, attach_readout, normalised, ridge, without_bias


def problem(samples: int, neurons: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Poisson counts whose rates depend on one of three classes."""
    rng = np.random.default_rng(seed)
    rates = rng.gamma(2.0, 2.0, (3, neurons))
    labels = rng.integers(3, size=samples)
    return rng.poisson(rates[labels] * 0.3), labels


@pytest.mark.parametrize(("samples", "neurons"), [(200, 20), (60, 90)])
@pytest.mark.parametrize("normalise", [False, True])
def test_ridge_equals_scikit_learn(
    samples: int, neurons: int, normalise: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts, labels = problem(samples, neurons)
    monkeypatch.setattr(readout_module, "ROWS", 37)
    x = StandardScaler().fit_transform(normalised(counts) if normalise else counts)
    found = ridge(counts, labels, regularisation=0.03, normalise=normalise)
    expected = Ridge(alpha=0.03 * samples).fit(x, np.eye(3)[labels]).predict(x)
    got = found.scores(counts)
    # the scores of normalised counts, up to the factor and the offset that all classes of a sample
    # share
    if normalise:
        got = got / counts.sum(1, keepdims=True)
        expected = expected - expected.mean(1, keepdims=True)
    assert np.allclose(got, expected, atol=1e-9)
    chosen = ridge(counts, labels, normalise=normalise)
    alphas = samples * readout_module.REGULARISATIONS
    theirs = RidgeCV(alphas=alphas, scoring=None).fit(x, np.eye(3)[labels])
    assert chosen.info["regularisation"] * samples == pytest.approx(theirs.alpha_)


@pytest.mark.parametrize(("samples", "neurons"), [(40, 12), (25, 40)])
def test_leaving_one_out_needs_no_refitting(samples: int, neurons: int) -> None:
    counts, labels = problem(samples, neurons, seed=1)
    labels[::3] = (labels[::3] + 1) % 3  # so that not all are right
    x = StandardScaler().fit_transform(counts)
    right = 0
    for i in range(samples):
        rest = np.arange(samples) != i
        model = Ridge(alpha=0.1 * samples).fit(x[rest], np.eye(3)[labels[rest]])
        right += int(model.predict(x[i : i + 1]).argmax() == labels[i])
    found = ridge(counts, labels, regularisation=0.1, normalise=False)
    assert found.info["leave_one_out_accuracy"] == right / samples < 1


def test_a_bias_of_normalised_counts_is_a_weight() -> None:
    rng = np.random.default_rng(0)
    counts = rng.poisson(2.0, (50, 9))
    weight, bias = rng.normal(size=(4, 9)), rng.normal(size=4)
    expected = (normalised(counts) @ weight.T + bias).argmax(1)
    assert np.array_equal((counts @ without_bias(weight, bias).T).argmax(1), expected)
    assert np.array_equal(normalised(np.zeros((1, 3))), np.zeros((1, 3)))


def test_one_spread_for_all_neurons_is_ridge_on_centred_counts() -> None:
    counts, labels = problem(120, 15)
    x = counts - counts.mean(0)
    scale = (x**2).mean()
    found = ridge(counts, labels, regularisation=0.2, normalise=False, standardise=False)
    expected = Ridge(alpha=0.2 * 120 * scale).fit(x, np.eye(3)[labels]).predict(x)
    assert np.allclose(found.scores(counts), expected, atol=1e-9)


def test_one_spread_keeps_the_weights_of_rare_neurons_small() -> None:
    counts, labels = problem(400, 40, seed=4)
    counts[:, 5] = np.random.default_rng(0).random(400) < 0.01
    one, own = (
        ridge(counts, labels, regularisation=0.1, standardise=s).weight for s in (False, True)
    )
    assert [int(np.abs(w).max(axis=0).argmax() == 5) for w in (one, own)] == [
        0,
        1,
    ]  # which neuron has the largest weight


def test_neurons_that_never_change_and_silent_samples() -> None:
    counts, labels = problem(80, 10)
    counts[:, 3], counts[:, 4] = 0, 5
    counts[7] = 0
    for normalise in (False, True):
        found = ridge(counts, labels, classes=5, normalise=normalise)  # two classes have no sample
        assert (found.predict(counts) == labels).mean() > 0.85
        assert set(found.predict(counts)) <= {0, 1, 2}


@pytest.mark.parametrize("normalise", [False, True])
def test_the_membranes_of_the_output_are_the_scores(normalise: bool) -> None:
    rng = np.random.default_rng(2)
    liquid = gaussian_reservoir(20, 60, scale=0.3, input_scale=0.8, steps=40, seed=2)
    rates = rng.random((3, 20)) * 0.5
    labels = rng.integers(3, size=150)
    spikes = (rng.random((40, 150, 20)) < rates[labels]).astype(np.uint8)
    counts = rate_scores(run_reference(liquid.trained, spikes).spikes["liquid"])
    found = ridge(counts, labels, normalise=normalise)
    model = attach_readout(liquid, found)
    assert model.parent == liquid.digest() and model.steps == 40
    trace = run_reference(model, spikes)
    assert np.array_equal(rate_scores(trace.spikes["liquid"]), counts)
    values = scores(trace, model.network)
    assert np.allclose(values, found.scores(counts), atol=1e-9)
    assert np.array_equal(values.argmax(1), found.predict(counts))
    assert (found.predict(counts) == labels).mean() > 0.9
    golden = scores(run_golden(quantize(model, 8), spikes), model.network)
    assert (golden.argmax(1) == labels).mean() > 0.85


def test_what_is_no_readout_is_refused() -> None:
    counts, labels = problem(30, 5)
    for wrong, message in (
        ((counts, labels[1:]), "labels"),
        ((counts, np.zeros(30, int)), "2 classes"),
    ):
        with pytest.raises(InvalidData, match=message):
            ridge(*wrong)
    with pytest.raises(InvalidData, match=r"outside 0\.\.1"):
        ridge(counts, labels, classes=2)
    with pytest.raises(InvalidModel, match="regularisation"):
        ridge(counts, labels, regularisation=0.0)
    found = ridge(counts, labels)
    with pytest.raises(InvalidModel, match="5 neurons, the liquid 8"):
        attach_readout(gaussian_reservoir(3, 8), found)
    with pytest.raises(InvalidModel, match="finite"):
        replace(found, bias=np.full(3, np.nan))
    with pytest.raises(InvalidModel, match="class"):
        LinearReadout(np.zeros((3, 4)), np.zeros(4), {})
