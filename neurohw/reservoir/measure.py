# SPDX-License-Identifier: Apache-2.0
"""What a liquid does, measured on rasters of any engine: spikes [time, sample, neuron] of the
liquid.

branching factor      spikes that a spike is followed by, per spike that it follows; 1 at the edge
between dying out and running away
kernel rank           how many inputs the states tell apart (Legenstein & Maass 2007);
generalisation rank: the same over noisy versions of one input, where less is better
firing statistics     rate, regularity, correlation and variability
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from neurohw.connections import Matrix, synapses
from neurohw.errors import InvalidData
from neurohw.network import CONNECTION_FIELDS, TrainedNetwork

Spikes = NDArray[Any]
FloatArray = NDArray[np.float64]


def check_raster(spikes: Spikes) -> None:
    """Raise InvalidData unless spikes is [time, sample, neuron] and not empty."""
    if spikes.ndim != 3 or 0 in spikes.shape:
        raise InvalidData(
            f"a raster is [time, sample, neuron] and not empty, this one has shape {spikes.shape}"
        )


def connectivity(trained: TrainedNetwork, projection: str = "liquid_to_liquid") -> Matrix:
    """Sparse matrix [target, source] with a 1 for every synapse of a projection, weights of 0 among
    them.
    """
    named = next((p for p in trained.network.projections if p.name == projection), None)
    if named is None:
        raise InvalidData(
            f"projection {projection!r}: the network has "
            f"{[p.name for p in trained.network.projections]}"
        )
    source, target = (
        trained.network.population(named.source),
        trained.network.population(named.target),
    )
    arrays = {
        k: v
        for k in CONNECTION_FIELDS
        if (v := trained.parameters.get(f"{projection}.{k}")) is not None
    }
    found = synapses(
        named.connection, source.size, target.size, arrays, named.delay, named.delay_per
    )
    ends = (found.target, found.source)
    matrix = scipy.sparse.csr_array(
        (np.ones(len(found.target)), ends), shape=(target.size, source.size)
    )
    matrix.data[:] = 1.0  # where several synapses join one pair
    return matrix


def _window_sums(spikes: FloatArray, window: int) -> tuple[FloatArray, FloatArray]:
    """Sums over the `window` steps before and after each step, without the step itself; spikes
    [time, neuron].
    """
    steps = len(spikes)
    # until[t]: steps before t
    until = np.concatenate([np.zeros((1, spikes.shape[1])), np.cumsum(spikes, axis=0)])
    t = np.arange(steps)
    before = until[t] - until[np.maximum(t - window, 0)]
    after = until[np.minimum(t + 1 + window, steps)] - until[t + 1]
    return before, after


def branching_factors(
    spikes: Spikes, connected: Matrix, window: int = 4, margin: int = 25
) -> FloatArray:
    """Mean branching factor of every neuron, [sample, neuron]; nan where it has no spike to judge
    by.

    Of a spike of neuron i at step t: (spikes of its targets in t+1 ... t+window) / max(1, spikes of
    its sources in t-window ... t-1). Spikes in the first and last `margin` steps are left out
    altogether, so that a judged spike has whole windows.
    connected: [target, source], see `connectivity`. After Ivanov & Michmizos (NeurIPS 2021), whose
        window is 4 ms and margin 25 ms.
    """
    check_raster(spikes)
    steps, samples, neurons = spikes.shape
    if connected.shape != (neurons, neurons):
        raise InvalidData(
            f"connectivity of shape {connected.shape} does not belong to {neurons} neurons"
        )
    if steps <= 2 * (margin + window):
        raise InvalidData(
            f"{steps} steps are too few: margins of {margin} and windows of {window} steps "
            "on both sides leave none"
        )
    onto, from_ = scipy.sparse.csr_array(connected.T), scipy.sparse.csr_array(connected)
    result = np.full((samples, neurons), np.nan)
    for sample in range(samples):
        inside = spikes[margin : steps - margin, sample].astype(np.float64)
        before, after = _window_sums(inside, window)
        judged = slice(window, len(inside) - window)
        following = (onto @ after[judged].T).T
        preceding = np.maximum((from_ @ before[judged].T).T, 1.0)
        fired = inside[judged] > 0
        count = fired.sum(axis=0)
        total = np.where(fired, following / preceding, 0.0).sum(axis=0)
        result[sample, count > 0] = total[count > 0] / count[count > 0]
    return result


def branching_factor(spikes: Spikes, connected: Matrix, window: int = 4, margin: int = 25) -> float:
    """Mean of `branching_factors` over the neurons that fired, then over samples; nan for a silent
    liquid.
    """
    factors = branching_factors(spikes, connected, window, margin)
    fired = ~np.isnan(factors)
    judged = fired.any(axis=1)
    if not judged.any():
        return float("nan")
    means = np.where(fired, factors, 0.0)[judged].sum(axis=1) / fired[judged].sum(axis=1)
    return float(means.mean())


def filtered_state(spikes: Spikes, decay: float = 0.97) -> FloatArray:
    """The state of a liquid at the end of each sample, [sample, neuron]: sum over t of
    decay^(T-1-t) s[t].

    decay 1 counts spikes; decay below 1 forgets (0.97 is a time constant of 33 steps).
    """
    check_raster(spikes)
    if not 0 <= decay <= 1:
        raise InvalidData(f"decay of a state is a factor per step in 0..1, not {decay}")
    weights = decay ** np.arange(len(spikes) - 1, -1, -1.0)
    return np.einsum("t,tsn->sn", weights, spikes, optimize=True)


def state_rank(states: FloatArray) -> int:
    """Number of linearly independent states [sample, neuron]: singular values above the rounding
    error of the largest.
    """
    return int(np.linalg.matrix_rank(states))


def noisy_versions(spikes: Spikes, count: int, probability: float, seed: int) -> NDArray[np.uint8]:
    """`count` versions [time, count, neuron] of one input [time, neuron]: each entry is flipped
    (spike or none) with `probability`.
    """
    if not 0 <= probability <= 1:
        raise InvalidData(f"probability of a flip lies in 0..1, not {probability}")
    flipped = (
        np.random.default_rng(seed).random((len(spikes), count, spikes.shape[1])) < probability
    )
    return ((spikes[:, None] > 0) ^ flipped).astype(np.uint8)


@dataclass(frozen=True)
class Ranks:
    """kernel: rank over different inputs.

    generalisation: rank over noisy versions of one.
    inputs: of each, the largest rank there can be.
    """

    kernel: int
    generalisation: int
    inputs: int


def kernel_and_generalisation_rank(
    run: Callable[[NDArray[np.uint8]], Spikes],
    inputs: NDArray[np.uint8],
    probability: float = 0.01,
    decay: float = 0.97,
    seed: int = 0,
) -> Ranks:
    """Ranks of the states after `inputs` [time, sample, neuron], and after as many noisy versions
    of the first of them.

    run: from input spikes to spikes of the liquid, in any engine.
    probability: of a flipped entry.
    decay: see `filtered_state`. A useful liquid has a high kernel rank and a low generalisation
        rank.
    """
    check_raster(inputs)
    noisy = noisy_versions(inputs[:, 0], inputs.shape[1], probability, seed)
    kernel, general = (state_rank(filtered_state(run(spikes), decay)) for spikes in (inputs, noisy))
    return Ranks(kernel, general, inputs.shape[1])


@dataclass(frozen=True)
class FiringStatistics:
    """rate: spikes per second and neuron. active: share of neurons that fire at all.

    interval_cv: standard deviation of intervals between spikes over their mean, mean over neurons
        with 3 spikes or more in a sample (0 regular, 1 Poisson).
    correlation: mean Pearson correlation of the counts of pairs of neurons in windows.
    fano: variance of these counts over their mean, mean over neurons (1 for Poisson). nan where
        there are too few spikes to say.
    """

    rate: float
    active: float
    interval_cv: float
    correlation: float
    fano: float

    def to_json(self) -> dict[str, float | None]:
        """The values, nan as None."""
        return {k: None if np.isnan(v) else v for k, v in asdict(self).items()}


def interval_cv(spikes: Spikes) -> float:
    """Coefficient of variation of the intervals between spikes, mean over all (sample, neuron) with
    at least 3 spikes; nan without any.
    """
    check_raster(spikes)
    steps, samples, neurons = spikes.shape
    train, when = np.nonzero(spikes.reshape(steps, -1).T)  # sorted by train, then by time
    same = train[1:] == train[:-1]
    interval, owner = np.diff(when)[same].astype(np.float64), train[1:][same]
    count = np.bincount(owner, minlength=samples * neurons)
    enough = count >= 2
    if not enough.any():
        return float("nan")
    total = np.bincount(owner, interval, samples * neurons)[enough]
    squares = np.bincount(owner, interval**2, samples * neurons)[enough]
    mean = total / count[enough]
    variance = np.maximum(squares / count[enough] - mean**2, 0.0)
    return float(np.mean(np.sqrt(variance) / mean))


def window_counts(spikes: Spikes, window: int) -> FloatArray:
    """Spikes in whole windows of `window` steps, [sample x window, neuron]; steps that fill no
    window are left out.
    """
    check_raster(spikes)
    whole = len(spikes) // window
    if not whole:
        raise InvalidData(f"{len(spikes)} steps hold no window of {window} steps")
    counts = (
        spikes[: whole * window]
        .reshape(whole, window, *spikes.shape[1:])
        .sum(axis=1, dtype=np.float64)
    )
    return counts.transpose(1, 0, 2).reshape(-1, spikes.shape[2])


def mean_correlation(counts: FloatArray) -> float:
    """Mean Pearson correlation over all pairs of columns of counts [window, neuron] that vary; nan
    for fewer than two.

    With z the standardised columns, the sum over all pairs is the variance of their sum: no matrix
    of pairs is needed.
    """
    deviation = counts - counts.mean(axis=0)
    spread = np.sqrt((deviation**2).mean(axis=0))
    varies = spread > 0
    n = int(varies.sum())
    if n < 2:
        return float("nan")
    total = (deviation[:, varies] / spread[varies]).sum(axis=1)
    return float(((total**2).mean() - n) / (n * (n - 1)))


def firing_statistics(spikes: Spikes, dt: float = 1e-3, window: int = 25) -> FiringStatistics:
    """Statistics of spikes [time, sample, neuron].

    dt: seconds per step.
    window: steps that counts are taken over.
    """
    counts = window_counts(spikes, window)
    mean = counts.mean(axis=0)
    fires = mean > 0
    fano = float((counts.var(axis=0)[fires] / mean[fires]).mean()) if fires.any() else float("nan")
    return FiringStatistics(
        rate=float((spikes > 0).mean() / dt),
        active=float((spikes > 0).any(axis=(0, 1)).mean()),
        interval_cv=interval_cv(spikes),
        correlation=mean_correlation(counts),
        fano=fano,
    )
