# SPDX-License-Identifier: Apache-2.0
"""Spectral radius of recurrent weights: the largest |eigenvalue|."""

from dataclasses import replace

import numpy as np
import scipy.sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import ArpackError, eigs

from neurohw.connections import Matrix
from neurohw.errors import InvalidModel
from neurohw.network import TrainedNetwork

# below, all eigenvalues of the dense matrix are as fast as a few of the sparse one
DENSE_NEURONS = 400
KRYLOV = 96  # dimension of the search space: the edge of a random matrix's disc is crowded
RESTARTS = 60
TOLERANCE = 1e-6


def spectral_radius(matrix: Matrix) -> float:
    """Largest |eigenvalue| of a square array or sparse matrix, to about six digits.

    Without a cycle of synapses the eigenvalues are the diagonal, exactly. Else all eigenvalues of a
    small matrix, the largest few of a big one (Arnoldi), and all of a big one where those do not
    converge.
    """
    sparse = scipy.sparse.csr_array(matrix)
    sparse.eliminate_zeros()
    if not sparse.nnz:
        return 0.0
    components, _ = connected_components(sparse, connection="strong")
    if components == sparse.shape[0]:
        return float(np.abs(sparse.diagonal()).max())
    if sparse.shape[0] > DENSE_NEURONS:
        # the result is to be the same every time
        start = np.random.default_rng(0).standard_normal(sparse.shape[0])
        try:
            found = eigs(
                sparse,
                k=2,
                ncv=KRYLOV,
                v0=start,
                tol=TOLERANCE,
                maxiter=RESTARTS,
                return_eigenvectors=False,
            )
            return float(np.abs(found).max())
        except ArpackError:
            pass
    return float(np.abs(np.linalg.eigvals(sparse.toarray())).max())


def with_spectral_radius(trained: TrainedNetwork, projection: str, radius: float) -> TrainedNetwork:
    """The same network with the weights of a recurrent projection multiplied by one factor, so that
    their spectral radius is `radius`.

    The matrix is that of all synapses, whatever their delays.
    Raises InvalidModel for a projection between two populations, a radius of 0 or less, and weights
    without eigenvalue but 0, which no factor can scale.
    """
    named = next((p for p in trained.network.projections if p.name == projection), None)
    if named is None or named.source != named.target:
        known = [p.name for p in trained.network.projections if p.source == p.target]
        raise InvalidModel(
            f"projection {projection!r} is not recurrent: recurrent are {known or 'none'}"
        )
    if not radius > 0:
        raise InvalidModel(f"a spectral radius must be above 0, not {radius}")
    total = sum(matrix for _, matrix in trained.matrices(named))
    weight = trained.parameters[f"{projection}.weight"]
    now = spectral_radius(total)
    if now <= TOLERANCE * float(np.abs(weight).max()):
        raise InvalidModel(
            f"projection {projection!r}: the largest eigenvalue is {now:g}, its synapses "
            "form no loop that could be scaled"
        )
    parameters = {**trained.parameters, f"{projection}.weight": weight * (radius / now)}
    return replace(trained, parameters=parameters)
