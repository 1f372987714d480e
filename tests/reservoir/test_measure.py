# SPDX-License-Identifier: Apache-2.0
"""Measures of liquids on rasters whose answer is known, and against slow literal versions."""

from itertools import combinations

import numpy as np
import pytest
import scipy.sparse

from neurohw.errors import InvalidData
from neurohw.network import Network, Population, Projection, TrainedNetwork
from neurohw.neurons import Lif, Source
from neurohw.reservoir import grid_liquid
from neurohw.reservoir.measure import (
    branching_factor,
    branching_factors,
    connectivity,
    filtered_state,
    firing_statistics,
    interval_cv,
    kernel_and_generalisation_rank,
    mean_correlation,
    noisy_versions,
    state_rank,
    window_counts,
)


def literal_branching(spikes: np.ndarray, connected: np.ndarray, window: int, margin: int) -> float:
    """The definition, word by word: loops over samples, neurons and spikes."""
    steps, samples, neurons = spikes.shape
    of_samples = []
    for sample in range(samples):
        s = spikes[:, sample].copy()
        s[:margin] = 0
        s[steps - margin :] = 0
        of_neurons = []
        for i in range(neurons):
            factors = []
            for t in range(margin + window, steps - margin - window):
                if s[t, i]:
                    after = sum(
                        s[t + 1 : t + window + 1, j].sum()
                        for j in range(neurons)
                        if connected[j, i]
                    )
                    before = sum(
                        s[t - window : t, j].sum() for j in range(neurons) if connected[i, j]
                    )
                    factors.append(after / max(1, before))
            if factors:
                of_neurons.append(np.mean(factors))
        if of_neurons:
            of_samples.append(np.mean(of_neurons))
    return float(np.mean(of_samples)) if of_samples else float("nan")


@pytest.mark.parametrize("seed", range(12))
def test_branching_is_the_literal_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    window, margin = int(rng.integers(1, 6)), int(rng.integers(0, 7))
    shape = (
        int(rng.integers(2 * (window + margin) + 1, 50)),
        int(rng.integers(1, 4)),
        int(rng.integers(2, 12)),
    )
    spikes = (rng.random(shape) < rng.choice([0.01, 0.1, 0.6])).astype(np.uint8)
    connected = rng.random((shape[2], shape[2])) < 0.4
    expected = literal_branching(spikes, connected, window, margin)
    found = branching_factor(
        spikes, scipy.sparse.csr_array(connected.astype(float)), window, margin
    )
    assert found == pytest.approx(expected, rel=1e-12, nan_ok=True)


def ring(neurons: int) -> scipy.sparse.csr_array:
    source = np.arange(neurons)
    return scipy.sparse.csr_array(
        (np.ones(neurons), ((source + 1) % neurons, source)), shape=(neurons, neurons)
    )


def test_a_chain_has_branching_factor_1() -> None:
    spikes = np.zeros((100, 1, 10), np.uint8)
    spikes[np.arange(100), 0, np.arange(100) % 10] = 1
    assert branching_factor(spikes, ring(10)) == 1.0
    factors = branching_factors(spikes, ring(10))
    assert factors.shape == (1, 10) and np.all(factors == 1.0)


def test_a_doubling_tree_has_branching_factor_2() -> None:
    depth = 9
    neurons = 2**depth - 1
    spikes = np.zeros((depth, 1, neurons), np.uint8)
    for level in range(depth):
        spikes[level, 0, 2**level - 1 : 2 ** (level + 1) - 1] = 1
    child = np.arange(1, neurons)
    connected = scipy.sparse.csr_array(
        (np.ones(neurons - 1), (child, (child - 1) // 2)), shape=(neurons, neurons)
    )
    assert branching_factor(spikes, connected, window=1, margin=0) == 2.0
    dying = spikes[::-1].copy()  # two sources for every neuron: each spike keeps half a spike alive
    assert branching_factor(dying, connected.T.tocsr(), window=1, margin=0) == 0.5


def test_unconnected_and_silent_liquids() -> None:
    spikes = np.zeros((100, 2, 5), np.uint8)
    assert np.isnan(branching_factor(spikes, ring(5)))
    spikes[40, 1, 2] = 1
    assert branching_factor(spikes, ring(5)) == 0.0  # the silent sample does not count
    spikes[:, :, 2] = 1
    assert branching_factor(spikes, scipy.sparse.csr_array((5, 5))) == 0.0


def test_only_spikes_inside_the_margins_count() -> None:
    spikes = np.zeros((100, 1, 3), np.uint8)
    spikes[[28, 71], 0, 0] = 1  # not a whole window inside 25..74
    assert np.isnan(branching_factor(spikes, ring(3)))
    spikes[29, 0, 0] = spikes[33, 0, 1] = 1
    spikes[24, 0, 2] = 1  # a source in the margin does not count
    assert np.isclose(branching_factors(spikes, ring(3))[0, 0], 1.0)


def test_branching_refuses_what_does_not_fit() -> None:
    with pytest.raises(InvalidData, match="too few"):
        branching_factor(np.ones((58, 1, 3)), ring(3))
    with pytest.raises(InvalidData, match="connectivity"):
        branching_factor(np.ones((80, 1, 4)), ring(3))
    with pytest.raises(InvalidData, match="shape"):
        branching_factor(np.ones((80, 4)), ring(4))


def test_connectivity_counts_synapses_of_weight_zero() -> None:
    liquid = grid_liquid(5, (3, 3, 3))
    arrays = dict(liquid.trained.parameters)
    arrays["liquid_to_liquid.weight"] = np.zeros_like(arrays["liquid_to_liquid.weight"])
    found = connectivity(TrainedNetwork(liquid.network, arrays, 5)).toarray()
    expected = np.zeros((27, 27))
    source, target = (arrays[f"liquid_to_liquid.{end}"].astype(int) for end in ("source", "target"))
    expected[target, source] = 1
    assert np.array_equal(found, expected)
    network = Network(
        (Population("in", 2, Source()), Population("out", 3, Lif())), (Projection("in", "out"),)
    )
    weights = {
        "in_to_out.weight": np.zeros((3, 2)),
        "out.bias": np.zeros(3),
        "out.threshold": np.ones(3),
    }
    assert np.all(
        connectivity(TrainedNetwork(network, weights, 1), "in_to_out").toarray() == np.ones((3, 2))
    )
    with pytest.raises(InvalidData, match="out_to_out"):
        connectivity(TrainedNetwork(network, weights, 1), "out_to_out")


def test_states_forget_with_their_decay() -> None:
    spikes = np.zeros((5, 1, 2), np.uint8)
    spikes[0, 0, 0] = spikes[4, 0, 1] = spikes[3, 0, 1] = 1
    assert np.allclose(filtered_state(spikes, 0.5), [[0.5**4, 1.5]])
    assert np.array_equal(filtered_state(spikes, 1.0), spikes.sum(0))
    assert np.array_equal(filtered_state(spikes, 0.0), spikes[-1])


def test_ranks() -> None:
    rng = np.random.default_rng(0)
    inputs = (rng.random((30, 12, 20)) < 0.3).astype(np.uint8)
    assert state_rank(np.outer(np.arange(1.0, 5), np.arange(1.0, 9))) == 1
    everything = kernel_and_generalisation_rank(lambda x: x, inputs)
    assert (everything.kernel, everything.generalisation, everything.inputs) == (12, 12, 12)
    deaf = kernel_and_generalisation_rank(lambda x: np.zeros_like(x), inputs)
    assert (deaf.kernel, deaf.generalisation) == (0, 0)
    # one neuron that says whether input neuron 0 fired more often than not: separates, and does not
    # mind noise
    loud = inputs.copy()
    loud[:, :, :3] = rng.random((1, 12, 3)) < 0.5
    loud[:, 0, :3] = 1
    mapped = kernel_and_generalisation_rank(
        lambda x: np.repeat(x[:, :, :3].mean(0, keepdims=True) > 0.5, 30, 0), loud, probability=0.05
    )
    assert 1 < mapped.kernel <= 3 and mapped.generalisation == 1


def test_noise_flips_the_share_it_says() -> None:
    spikes = (np.random.default_rng(0).random((100, 30)) < 0.2).astype(np.uint8)
    noisy = noisy_versions(spikes, 40, 0.1, seed=1)
    assert noisy.shape == (100, 40, 30)
    flipped = (noisy != spikes[:, None]).sum()
    assert abs(flipped - 12_000) < 4.5 * np.sqrt(120_000 * 0.1 * 0.9)
    assert np.array_equal(noisy, noisy_versions(spikes, 40, 0.1, seed=1))
    assert np.array_equal(noisy_versions(spikes, 2, 0.0, seed=1)[:, 1], spikes)


def test_statistics_of_independent_random_spikes() -> None:
    p = 0.05
    spikes = (np.random.default_rng(3).random((4000, 2, 30)) < p).astype(np.uint8)
    found = firing_statistics(spikes, dt=1e-3, window=25)
    assert found.rate == pytest.approx(50, rel=0.02) and found.active == 1.0
    assert found.interval_cv == pytest.approx(np.sqrt(1 - p), abs=0.02)  # geometric intervals
    assert found.fano == pytest.approx(1 - p, abs=0.03)  # binomial counts
    assert abs(found.correlation) < 0.01


def test_statistics_of_regular_and_equal_trains() -> None:
    regular = np.zeros((100, 1, 3), np.uint8)
    regular[::10] = 1
    assert interval_cv(regular) == 0.0
    equal = np.repeat((np.random.default_rng(0).random((400, 1, 1)) < 0.2), 5, axis=2)
    assert firing_statistics(equal).correlation == pytest.approx(1.0)
    silent = firing_statistics(np.zeros((50, 1, 3), np.uint8))
    assert (
        silent.rate == 0
        and silent.active == 0
        and np.isnan(silent.interval_cv)
        and np.isnan(silent.fano)
    )
    assert silent.to_json()["correlation"] is None


def test_intervals_do_not_cross_trains() -> None:
    spikes = np.zeros((20, 2, 2), np.uint8)
    spikes[[1, 3, 9], 0, 0] = spikes[[0, 19], 1, 0] = spikes[[4, 5, 6, 7], 1, 1] = 1
    intervals = np.array([2.0, 6.0])  # the second train has one interval, the third is regular
    assert interval_cv(spikes) == pytest.approx((intervals.std() / intervals.mean() + 0.0) / 2)


def test_correlation_is_the_mean_over_all_pairs() -> None:
    rng = np.random.default_rng(5)
    common = rng.poisson(3, (200, 1))
    counts = (common + rng.poisson(2, (200, 6))).astype(float)
    matrix = np.corrcoef(counts.T)
    assert mean_correlation(counts) == pytest.approx(
        np.mean([matrix[i, j] for i, j in combinations(range(6), 2)])
    )
    constant = np.concatenate([counts, np.ones((200, 2))], axis=1)
    assert mean_correlation(constant) == pytest.approx(mean_correlation(counts))


def test_counts_in_windows() -> None:
    spikes = np.arange(2 * 7).reshape(7, 2, 1)
    assert window_counts(spikes, 3).tolist() == [
        [0 + 2 + 4],
        [6 + 8 + 10],
        [1 + 3 + 5],
        [7 + 9 + 11],
    ]
    with pytest.raises(InvalidData, match="no window"):
        window_counts(spikes, 8)
