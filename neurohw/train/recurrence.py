# SPDX-License-Identifier: Apache-2.0
"""Recurrent weights of a chosen spectral radius: how much the activity of one step is worth in the
next, before any threshold.

The matrix of a group of populations that feed each other has all projections between them, whatever
their delays. Its spectral radius, the largest magnitude of an eigenvalue, is proportional to the
weights; below 1 the linear network forgets (Jaeger 2001, The echo state approach to analysing and
training recurrent neural networks).
"""

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
import torch

from neurohw.connections import delay_matrices
from neurohw.errors import InvalidModel
from neurohw.network import CONNECTION_FIELDS, Population, Projection
from neurohw.train.module import SpikingModule

LARGEST = 400  # neurons up to which all eigenvalues are found, above only the largest
ARNOLDI_VECTORS = 100  # the largest eigenvalues of a random matrix lie close together
TOLERANCE = 1e-6


def _matrix(
    module: SpikingModule, group: list[Population], inner: list[Projection]
) -> scipy.sparse.csr_array:
    """The weights of the projections of a group [neuron, neuron], added up over delays."""
    first = dict(
        zip((p.name for p in group), np.cumsum([0, *(p.size for p in group)]), strict=False)
    )
    size = sum(p.size for p in group)
    total = scipy.sparse.csr_array((size, size))
    for projection in inner:
        source, target = (
            module.network.population(projection.source),
            module.network.population(projection.target),
        )
        weight = module.array(f"{projection.name}.weight").detach().double().cpu().numpy()
        ends = [
            k for k in CONNECTION_FIELDS[:2] if f"{projection.name}.{k}" in module.network.shapes()
        ]
        arrays = {k: module.array(f"{projection.name}.{k}").detach().cpu().numpy() for k in ends}
        for _, block in delay_matrices(
            projection.connection, source.size, target.size, weight, arrays, 0
        ):
            entries = scipy.sparse.coo_array(block)
            place = (entries.row + first[target.name], entries.col + first[source.name])
            total = total + scipy.sparse.csr_array((entries.data, place), (size, size))
    return total


def spectral_radius(matrix: scipy.sparse.csr_array) -> float:
    """The largest magnitude of an eigenvalue of a square matrix; of more than LARGEST neurons by
    Arnoldi iteration, to TOLERANCE.
    """
    size = matrix.shape[0]
    if size <= LARGEST or not matrix.nnz:
        return float(np.abs(np.linalg.eigvals(matrix.toarray())).max())
    begin = np.random.default_rng(0).normal(size=size)  # its own choice is random
    largest = scipy.sparse.linalg.eigs(
        matrix,
        k=1,
        v0=begin,
        ncv=ARNOLDI_VECTORS,
        tol=TOLERANCE,
        return_eigenvectors=False,
        maxiter=100 * size,
    )
    return float(np.abs(largest).max())


def scale_recurrence(module: SpikingModule, radius: float) -> None:
    """Scale the weights of the projections inside every group of populations that feed each other,
    so that its spectral radius is `radius`.

    All weights of a group are scaled by one factor.
    Raises InvalidModel where there is no recurrence, where a recurrent projection is not trainable,
    and where the spectral radius is 0, as it is without a closed path.
    """
    found = False
    for group in module.groups:
        members = {p.name for p in group}
        inner = [p for p in module.network.projections if {p.source, p.target} <= members]
        if not inner:
            continue
        found = True
        for projection in inner:
            if not projection.trainable:
                raise InvalidModel(
                    f"projection {projection.name!r} is recurrent and not trainable, so that its "
                    f"weights cannot be scaled to a spectral radius of {radius:g}; make it "
                    "trainable, or leave spectral_radius out"
                )
        now = spectral_radius(_matrix(module, group, inner))
        if not now > 1e-9:
            raise InvalidModel(
                f"projection {inner[0].name!r}: the recurrent weights have a spectral radius of "
                f"{now:g}, which no factor brings to {radius:g}: let their synapses close a path"
            )
        with torch.no_grad():
            for projection in inner:
                module.array(f"{projection.name}.weight").mul_(radius / now)
    if not found:
        raise InvalidModel(
            "spectral_radius scales recurrent weights, and no projection of the network is "
            "recurrent"
        )
