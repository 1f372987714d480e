# SPDX-License-Identifier: Apache-2.0
"""Spectral radius against dense eigenvalues and matrices whose eigenvalues are known."""

from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
import scipy.sparse
from scipy.sparse.linalg import ArpackNoConvergence

from neurohw import Lif, feed_forward
from neurohw.errors import InvalidModel
from neurohw.reservoir import (
    gaussian_reservoir,
    grid_liquid,
    random_liquid,
    spectral_radius,
    spectrum,
    with_spectral_radius,
)
from tests.random_networks import random_trained


def test_known_matrices() -> None:
    assert spectral_radius(np.diag([0.5, -3.0, 2.0])) == 3.0
    # a rotation: +-2i
    assert spectral_radius(np.array([[0.0, 2.0], [-2.0, 0.0]])) == pytest.approx(2.0)
    chain = scipy.sparse.diags_array([np.ones(449)], offsets=[1], shape=(450, 450))
    assert spectral_radius(chain) == 0.0  # numerically, its eigenvalues are anything but 0
    ring = scipy.sparse.lil_array(chain)
    ring[449, 0] = 1.0
    assert spectral_radius(ring) == pytest.approx(1.0, abs=1e-9)  # the 450 roots of 1, all as large
    assert spectral_radius(scipy.sparse.csr_array((5, 5))) == 0.0


@pytest.mark.parametrize("seed", range(3))
def test_big_sparse_matrices_agree_with_all_eigenvalues(seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = np.where(rng.random((500, 500)) < 0.05, rng.normal(size=(500, 500)), 0.0)
    expected = np.abs(np.linalg.eigvals(matrix)).max()
    assert spectral_radius(scipy.sparse.csr_array(matrix)) == pytest.approx(expected, rel=1e-5)
    with patch.object(
        spectrum, "eigs", side_effect=ArpackNoConvergence("no", np.zeros(0), np.zeros((0, 0)))
    ):
        assert spectral_radius(matrix) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    "liquid",
    [grid_liquid(5, (5, 5, 5)), random_liquid(5, 450, in_degree=6), gaussian_reservoir(5, 80)],
)
def test_weights_are_scaled_to_a_radius(liquid: object) -> None:
    trained = liquid.trained  # type: ignore[attr-defined]
    scaled = with_spectral_radius(trained, "liquid_to_liquid", 0.95)
    (_, matrix) = scaled.matrices(scaled.network.projections[1])[0]
    assert np.abs(np.linalg.eigvals(matrix.toarray())).max() == pytest.approx(0.95, rel=1e-5)
    before, after = (t.parameters["liquid_to_liquid.weight"] for t in (trained, scaled))
    assert np.ptp(after / before) < 1e-12
    rest = [k for k in trained.parameters if k != "liquid_to_liquid.weight"]
    assert all(np.array_equal(trained.parameters[k], scaled.parameters[k]) for k in rest)


def test_what_has_no_radius_is_refused() -> None:
    trained = grid_liquid(5, (3, 3, 3)).trained
    with pytest.raises(InvalidModel, match="above 0"):
        with_spectral_radius(trained, "liquid_to_liquid", 0.0)
    with pytest.raises(InvalidModel, match="recurrent are .*liquid_to_liquid"):
        with_spectral_radius(trained, "input_to_liquid", 1.0)
    chain = random_trained(np.random.default_rng(0), feed_forward([3, 4, 2], Lif()), 5)
    with pytest.raises(InvalidModel, match="not recurrent"):
        with_spectral_radius(chain, "hidden1_to_output", 1.0)
    source, target = (trained.parameters[f"liquid_to_liquid.{end}"] for end in ("source", "target"))
    forward = np.where(source < target, trained.parameters["liquid_to_liquid.weight"], 0.0)
    acyclic = replace(
        trained, parameters={**trained.parameters, "liquid_to_liquid.weight": forward}
    )
    with pytest.raises(InvalidModel, match="no loop"):
        with_spectral_radius(acyclic, "liquid_to_liquid", 1.0)
