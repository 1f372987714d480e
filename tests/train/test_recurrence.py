# SPDX-License-Identifier: Apache-2.0
"""Recurrent weights scaled to a spectral radius."""

import numpy as np
import pytest
import torch

from neurohw import Integrator, Lif, Network, Population, Projection, Source
from neurohw.connections import Dense, Sparse
from neurohw.errors import InvalidModel
from neurohw.train import SpikingModule
from neurohw.train.recurrence import scale_recurrence


def loop(sizes: tuple[int, int], connection: Dense | Sparse, trainable: bool = True) -> Network:
    """Two populations that feed each other, and the first one itself."""
    return Network(
        (
            Population("input", 3, Source()),
            Population("a", sizes[0], Lif()),
            Population("b", sizes[1], Lif()),
            Population("output", 2, Integrator()),
        ),
        (
            Projection("input", "a"),
            Projection("a", "b", 2),
            Projection("b", "a", 1, connection=connection),
            Projection("a", "a", 1, trainable=trainable),
            Projection("b", "output"),
        ),
    )


def matrix_of(module: SpikingModule, sizes: tuple[int, int]) -> np.ndarray:
    """The whole group, built by hand."""

    def block(name: str, shape: tuple[int, int]) -> np.ndarray:
        weight = module.array(f"{name}.weight").detach().numpy()
        if weight.ndim == 2:
            return weight
        dense = np.zeros(shape)
        ends = (module.array(f"{name}.{end}").long().numpy() for end in ("target", "source"))
        np.add.at(dense, tuple(ends), weight)
        return dense

    a, b = sizes
    return np.block(
        [
            [block("a_to_a", (a, a)), block("b_to_a", (a, b))],
            [block("a_to_b", (b, a)), np.zeros((b, b))],
        ]
    )


@pytest.mark.parametrize("connection", [Dense(), Sparse(40)])
@pytest.mark.parametrize("radius", [0.5, 1.2])
# all eigenvalues, and the largest by iteration
@pytest.mark.parametrize("sizes", [(20, 12), (300, 200)])
def test_the_group_has_the_spectral_radius(
    connection: Dense | Sparse, radius: float, sizes: tuple[int, int]
) -> None:
    module = SpikingModule(loop(sizes, connection), dtype=torch.float64)
    before = {n: p.detach().clone() for n, p in module.named_parameters()}
    scale_recurrence(module, radius)
    found = np.abs(np.linalg.eigvals(matrix_of(module, sizes))).max()
    assert found == pytest.approx(radius, rel=1e-5)
    for name, values in module.named_parameters():
        factors = (values / before[name])[before[name] != 0]
        inner = name in ("a_to_a__weight", "a_to_b__weight", "b_to_a__weight")
        torch.testing.assert_close(
            factors,
            torch.full_like(factors, factors.detach().flatten()[0].item() if inner else 1.0),
        )


def test_what_no_factor_can_scale_is_refused() -> None:
    with pytest.raises(InvalidModel, match="a_to_a.*not trainable"):
        scale_recurrence(SpikingModule(loop((3, 2), Dense(), trainable=False)), 1.0)
    chain = Network(
        (Population("input", 3, Source()), Population("output", 2, Lif())),
        (Projection("input", "output"),),
    )
    with pytest.raises(InvalidModel, match="no projection of the network is recurrent"):
        scale_recurrence(SpikingModule(chain), 1.0)
    acyclic = Network(
        (Population("input", 3, Source()), Population("output", 2, Lif())),
        (Projection("input", "output"), Projection("output", "output", 1, connection=Sparse(1))),
    )
    module = SpikingModule(acyclic)
    module.array("output_to_output.target").fill_(1.0)  # 0 -> 1, and nothing back
    with pytest.raises(InvalidModel, match="output_to_output.*close a path"):
        scale_recurrence(module, 1.0)
