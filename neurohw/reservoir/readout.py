# SPDX-License-Identifier: Apache-2.0
"""Linear readouts of spike counts, in closed form, and as a population of the network.

A readout says class argmax(W counts + b). Where it was fitted to normalised counts x / |x|, with
|x| their sum, its bias is a weight like any other, because argmax(W x / |x| + b) = argmax((W + b
1') x): such a readout needs no bias, whatever the length of the sample.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.checks import POSITIVE, at_least, check_fields, real, whole
from neurohw.errors import InvalidData, InvalidModel
from neurohw.network import Network, Population, Projection, TrainedNetwork
from neurohw.neurons import Integrator
from neurohw.reservoir.liquid import Liquid

FloatArray = NDArray[np.float64]
Counts = NDArray[Any]
ROWS = 4096  # samples that are standardised at once, to bound memory
REGULARISATIONS = 10.0 ** np.arange(-8, 2.01, 0.5)  # per sample
SMALLEST_EIGENVALUE = 1e-10  # of the largest: directions below it are rounding errors


@dataclass(frozen=True)
class LinearReadout:
    """weight [class, neuron], bias [class] of counts.

    info: how it was chosen.
    Raises InvalidModel for shapes that do not match and non-finite values.
    """

    weight: FloatArray
    bias: FloatArray
    info: dict[str, Any]

    def __post_init__(self) -> None:
        check_fields(self)
        if self.weight.ndim != 2 or self.bias.shape != self.weight.shape[:1]:
            raise InvalidModel(
                f"weight {self.weight.shape} and bias {self.bias.shape} of a readout are not "
                "[class, neuron] and [class]"
            )
        if not (np.isfinite(self.weight).all() and np.isfinite(self.bias).all()):
            raise InvalidModel("weights and biases of a readout must be finite")

    def scores(self, counts: Counts) -> FloatArray:
        """W counts + b, [sample, class], of counts [sample, neuron]."""
        return counts @ self.weight.T + self.bias

    def predict(self, counts: Counts) -> NDArray[np.int64]:
        """The class of the largest score, [sample]."""
        return self.scores(counts).argmax(axis=1)


def without_bias(weight: FloatArray, bias: FloatArray) -> FloatArray:
    """Weights [class, neuron] of counts from weight and bias of normalised counts:

    W + b 1', less the mean over classes, which moves no argmax.
    """
    folded = weight + bias[:, None]
    return folded - folded.mean(axis=0)


def normalised(counts: Counts) -> FloatArray:
    """Counts [sample, neuron] over their sum; zeros for a silent sample."""
    total = counts.sum(axis=1, keepdims=True, dtype=np.float64)
    return counts / np.maximum(total, np.finfo(np.float64).tiny)


def check_counts(counts: Counts, labels: NDArray[np.int64]) -> None:
    """Raise InvalidData unless there are at least two samples [sample, neuron] of at least two
    classes, with a label each.
    """
    if counts.ndim != 2 or labels.shape != counts.shape[:1]:
        raise InvalidData(
            f"counts {counts.shape} and labels {labels.shape} of a readout are not [sample, "
            "neuron] and [sample]"
        )
    if len(np.unique(labels)) < 2:
        raise InvalidData(
            f"a readout needs samples of at least 2 classes, not of {np.unique(labels).tolist()}"
        )


def _standardised(
    counts: Counts, normalise: bool, mean: FloatArray | float, spread: FloatArray | float
) -> Iterator[tuple[slice, FloatArray]]:
    """Blocks of rows: (x - mean) / spread, x the counts or the normalised counts."""
    for start in range(0, len(counts), ROWS):
        rows = slice(start, min(start + ROWS, len(counts)))
        x = normalised(counts[rows]) if normalise else counts[rows].astype(np.float64)
        yield rows, (x - mean) / spread


def _moments(counts: Counts, normalise: bool, standardise: bool) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation [neuron];

    1 for a neuron whose count never changes; or for all the root of the mean variance.
    """
    samples = len(counts)
    mean = sum(x.sum(axis=0) for _, x in _standardised(counts, normalise, 0.0, 1.0)) / samples
    variance = (
        sum((x**2).sum(axis=0) for _, x in _standardised(counts, normalise, mean, 1.0)) / samples
    )
    if not standardise:
        variance = np.full_like(variance, variance.mean())
    spread = np.sqrt(variance)
    return mean, np.where(spread > 1e-12 * np.abs(mean), spread, 1.0)


def _directions(
    counts: Counts, normalise: bool, mean: FloatArray, spread: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues e and eigenvectors V [neuron, direction] of Z'Z, Z the standardised counts; by
    ZZ' where samples are fewer than neurons.
    """
    samples, neurons = counts.shape
    if samples >= neurons:
        gram = np.zeros((neurons, neurons))
        for _, z in _standardised(counts, normalise, mean, spread):
            gram += z.T @ z
        values, vectors = np.linalg.eigh(gram)
        kept = values > SMALLEST_EIGENVALUE * values[-1]
        return values[kept], vectors[:, kept]
    z = np.concatenate([part for _, part in _standardised(counts, normalise, mean, spread)])
    values, vectors = np.linalg.eigh(z @ z.T)
    kept = values > SMALLEST_EIGENVALUE * values[-1]
    return values[kept], z.T @ (vectors[:, kept] / np.sqrt(values[kept]))


def ridge(
    counts: Counts,
    labels: NDArray[np.int64],
    classes: int | None = None,
    regularisation: float | None = None,
    normalise: bool = True,
    standardise: bool = True,
) -> LinearReadout:
    """Ridge regression of one-hot labels on spike counts [sample, neuron], in closed form.

    Minimises |Y - 1 b' - Z W'|^2 + samples x regularisation |W|^2, Z the counts (normalise: over
    their sum) less their mean and divided by their standard deviation, each neuron's own, or
    (standardise False) one for all. Both are folded into the weights.
    regularisation: None for the one of 10^-8 ... 10^2 with the smallest leave-one-out error, which
        needs no refitting: the residual of a sample left out is r_i / (1 - h_i), h_i the diagonal
        of the hat matrix.
    normalise: the readout has no bias.

    For hardware: standardise False keeps the weights of neurons that hardly fire small, which
    leaves more levels for all others when they are rounded (docs/adr/0014). info holds
    `regularisation` and `leave_one_out_accuracy`.
    Raises InvalidData for too few samples or classes.
    """
    check_counts(counts, labels)
    classes = (
        int(labels.max()) + 1
        if classes is None
        else whole("classes of a readout", classes, at_least(1))
    )
    samples = len(labels)
    if labels.min() < 0 or labels.max() >= classes:
        raise InvalidData(
            f"labels {labels.min()}..{labels.max()} of a readout lie outside 0..{classes - 1}"
        )
    if regularisation is not None:
        regularisation = real("regularisation of a readout", regularisation, POSITIVE)
    mean, spread = _moments(counts, normalise, standardise)
    values, vectors = _directions(counts, normalise, mean, spread)
    targets = np.eye(classes)[labels]
    offset = targets.mean(axis=0)
    projected = np.zeros((len(values), classes))  # V' Z' Y
    for rows, z in _standardised(counts, normalise, mean, spread):
        projected += vectors.T @ (z.T @ (targets[rows] - offset))
    strengths = samples * (
        REGULARISATIONS if regularisation is None else np.array([regularisation])
    )
    error, right = np.zeros(len(strengths)), np.zeros(len(strengths))
    for rows, z in _standardised(counts, normalise, mean, spread):
        along = z @ vectors
        for i, strength in enumerate(strengths):
            residual = targets[rows] - offset - along @ (projected / (values + strength)[:, None])
            leverage = 1 / samples + along**2 @ (1 / (values + strength))
            residual /= np.maximum(1 - leverage, 1e-12)[:, None]
            error[i] += (residual**2).sum() / samples
            right[i] += np.count_nonzero((targets[rows] - residual).argmax(axis=1) == labels[rows])

    best = int(error.argmin())
    weight = (vectors @ (projected / (values + strengths[best])[:, None])).T / spread
    bias = offset - weight @ mean
    if normalise:
        weight, bias = without_bias(weight, bias), np.zeros(classes)
    info = {
        "method": "ridge",
        "normalised": normalise,
        "standardised": standardise,
        "regularisation": float(strengths[best] / samples),
        "leave_one_out_accuracy": float(right[best] / samples),
    }
    return LinearReadout(weight, bias, info)


def attach_readout(liquid: Liquid, readout: LinearReadout) -> TrainedNetwork:
    """The liquid with an output population: integrators without leak, whose last membranes are W
    counts + b of a sample of `liquid.trained.steps` steps.

    A bias is spread evenly over these steps, so it is exact for samples of this length only, and
    each of its shares is rounded when quantized; readouts of normalised counts have none.
    Raises InvalidModel where the readout belongs to another number of neurons.
    """
    trained, classes = liquid.trained, len(readout.bias)
    if readout.weight.shape[1] != liquid.neurons:
        raise InvalidModel(
            f"the readout has weights of {readout.weight.shape[1]} neurons, the liquid "
            f"{liquid.neurons}"
        )
    network = Network(
        (*trained.network.populations, Population("output", classes, Integrator(1.0))),
        (*trained.network.projections, Projection("liquid", "output")),
        trained.network.dt,
    )
    parameters = {
        **trained.parameters,
        "liquid_to_output.weight": readout.weight,
        "output.bias": readout.bias / trained.steps,
    }
    info = {**trained.info, "readout": readout.info}
    return replace(
        trained, network=network, parameters=parameters, info=info, parent=liquid.digest()
    )
