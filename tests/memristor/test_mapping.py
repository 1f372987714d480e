# SPDX-License-Identifier: Apache-2.0
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurohw import TrainedNetwork
from neurohw.connections import Convolution, Dense, Sparse
from neurohw.errors import InvalidModel
from neurohw.memristor.mapping import SCHEMES, CrossbarMapping, Layout, layout_of, map_weights
from neurohw.network import Network, Population, Projection
from neurohw.neurons import Lif, Source


def dense_layout(targets: int, sources: int) -> Layout:
    column, row = np.mgrid[:targets, :sources]
    return Layout("a_to_b", row, column, sources, targets)


def read_back(mapped: Any, mapping: CrossbarMapping, low: float, high: float) -> np.ndarray:
    """The weight by the equations of the module, from conductances alone."""
    if mapping.scheme == "differential":
        return (mapped.target[0] - mapped.target[1]) * mapped.step
    if mapping.scheme == "offset_column":
        return (mapped.target[0] - (low + high) / 2) * mapped.step
    return mapped.sign * (mapped.target[0] - low) * mapped.step


@given(seed=st.integers(0, 10**6), data=st.data())
@settings(max_examples=60, deadline=None)
def test_conductances_stand_for_their_weights(seed: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    targets, sources = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    mapping = CrossbarMapping(
        data.draw(st.sampled_from(SCHEMES)),
        data.draw(st.sampled_from(["tile", "column"])),
        data.draw(st.sampled_from([None, 2, 3, 16])),
        data.draw(st.integers(1, 10)),
        data.draw(st.integers(1, 10)),
    )
    low, high = data.draw(st.sampled_from([(0.0, 25.0), (2.0, 20.0)]))
    weight = rng.normal(size=(targets, sources)) * rng.choice([0.0, 1.0, 1e-3, 50.0])
    if mapping.scheme == "unipolar":
        weight = np.abs(weight) * rng.choice([-1, 1])
    mapped = map_weights(weight, dense_layout(targets, sources), mapping, low, high)
    assert (mapped.target >= low - 1e-12).all() and (mapped.target <= high + 1e-9).all()
    np.testing.assert_allclose(read_back(mapped, mapping, low, high), mapped.weight, atol=1e-12)
    if mapping.levels is None:
        np.testing.assert_array_equal(mapped.weight, weight)
    else:
        # the nearest of the levels
        grid = (high - low) / (mapping.levels - 1)
        np.testing.assert_allclose(
            (mapped.target - low) / grid, np.round((mapped.target - low) / grid), atol=1e-9
        )
        assert (np.abs(mapped.weight - weight) <= mapped.step * grid / 2 * (1 + 1e-9)).all()
    # the largest weight of a group fills the range
    tiles = [
        weight[
            c : c + (mapping.tile_columns if mapping.scale_per == "tile" else 1),
            r : r + mapping.tile_rows,
        ]
        for first in range(0, targets, mapping.tile_columns)
        for c in (
            [first]
            if mapping.scale_per == "tile"
            else range(first, min(first + mapping.tile_columns, targets))
        )
        for r in range(0, sources, mapping.tile_rows)
    ]
    spans = {
        round(
            2 * np.abs(t).max() / (high - low) * (1 if mapping.scheme == "offset_column" else 0.5),
            12,
        )
        for t in tiles
    }
    assert {round(float(s), 12) for s in np.unique(mapped.step)} == spans


def test_the_idle_device_of_a_pair_is_at_the_smallest_conductance() -> None:
    weight = np.array([[0.5, -1.0, 0.0]])
    mapped = map_weights(weight, dense_layout(1, 3), CrossbarMapping(), 5.0, 25.0)
    np.testing.assert_allclose(mapped.target[:, 0], [[15.0, 5.0, 5.0], [5.0, 25.0, 5.0]])


def test_layouts_of_every_connection() -> None:
    convolution = Convolution((4, 5, 5), 6, (3, 2), groups=2)
    network = Network(
        (
            Population("a", 100, Source()),
            Population("b", int(np.prod(convolution.output_shape)), Lif(), 6),
            Population("c", 7, Lif()),
            Population("d", 5, Lif()),
        ),
        (
            Projection("a", "b", connection=convolution),
            Projection("b", "c"),
            Projection("c", "d", connection=Sparse(3)),
        ),
    )
    parameters = {n: np.ones(s) for n, s in network.shapes().items()}
    parameters["c_to_d.source"], parameters["c_to_d.target"] = (
        np.array([6, 0, 2]),
        np.array([1, 1, 4]),
    )
    trained = TrainedNetwork(network, parameters, 1)
    layout = layout_of(trained, network.projections[0])
    assert (layout.rows, layout.columns, layout.groups) == (2 * 2 * 3 * 2, 6, 2)
    assert layout.row.shape == layout.column.shape == (6, 2, 3, 2)
    # the channels of a group share rows, those of another have rows of their own, and every device
    # has a place of its own
    assert set(layout.row[2].ravel()) == set(range(12)) and set(layout.row[3].ravel()) == set(
        range(12, 24)
    )
    assert (
        len(
            {
                (int(r), int(c))
                for r, c in zip(layout.row.ravel(), layout.column.ravel(), strict=True)
            }
        )
        == 72
    )
    dense = layout_of(trained, network.projections[1])
    assert (
        isinstance(network.projections[1].connection, Dense)
        and dense.row[3, 8] == 8
        and dense.column[3, 8] == 3
    )
    sparse = layout_of(trained, network.projections[2])
    assert list(sparse.row) == [6, 0, 2] and list(sparse.column) == [1, 1, 4] and not sparse.dense


def test_what_cannot_be_mapped_is_refused_by_name() -> None:
    layout = dense_layout(1, 2)
    with pytest.raises(
        InvalidModel, match=r"'a_to_b': weights of both signs \(1, and -2 at \(0, 1\)\)"
    ):
        map_weights(np.array([[1.0, -2.0]]), layout, CrossbarMapping("unipolar"), 0.0, 25.0)
    sparse = Layout("a_to_b", layout.row, layout.column, 2, 1, dense=False)
    with pytest.raises(InvalidModel, match="'a_to_b': a sparse projection.*offset column"):
        map_weights(np.array([[1.0, -2.0]]), sparse, CrossbarMapping("offset_column"), 0.0, 25.0)
    for wrong, message in (
        ({"scheme": "complex"}, "not 'complex'"),
        ({"scale_per": "chip"}, "not 'chip'"),
        ({"levels": 1}, "at least 2, not 1"),
        ({"tile_rows": 0}, "tile_rows must be a whole number, at least 1, not 0"),
    ):
        with pytest.raises(InvalidModel, match=message):
            CrossbarMapping(**wrong)  # type: ignore[arg-type]
