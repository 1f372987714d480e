# SPDX-License-Identifier: Apache-2.0
"""Slots, weight rows and tables: walked as the hardware walks them, they give the projection's
matrix.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurohw import (
    Integrator,
    Lif,
    Network,
    Population,
    Projection,
    Source,
    TrainedNetwork,
    quantize,
)
from neurohw.connections import Connection, Convolution, Dense, Sparse, Synapses, delay_matrices
from neurohw.errors import Unsupported
from neurohw.fixedpoint import IntFormat
from neurohw.hardware.generate import emit
from neurohw.hardware.generate.layout import (
    Layout,
    Rows,
    compressed_rows,
    convolution_rows,
    layout,
    sparse_rows,
)
from neurohw.hardware.generate.plan import _bank_rows, check_supported, hardware_order, plan
from tests.random_networks import random_convolution, random_trained


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_walks_of_a_convolution_give_its_matrix(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 5)), int(rng.integers(3, 7)), int(rng.integers(3, 7)))
    connection = random_convolution(rng, shape)
    sources, targets = int(np.prod(shape)), int(np.prod(connection.output_shape))
    weight = rng.integers(-8, 8, connection.weight_shape(sources, targets))
    population = Population("p", targets, Lif())
    place = layout(
        population, (Projection("input", "p", connection=connection),), int(rng.integers(1, 5))
    )
    assert sorted(n for n in place.slots if n >= 0) == list(range(targets))
    rows = convolution_rows(connection, weight, place, None)
    p, row_bits = rows.parameters, max(1, (len(rows.weights) - 1).bit_length())
    group_bits = max(1, (place.groups - 1).bit_length())

    def fields(word: int) -> tuple[int, int, int]:
        return (
            word >> (group_bits + row_bits),
            word >> row_bits & (1 << group_bits) - 1,
            word & (1 << row_bits) - 1,
        )

    slots, matrix = place.padded(), np.zeros((targets, sources), np.int64)
    for source in range(sources):
        channel, y, x = np.unravel_index(source, shape)
        lines, line_group, line_row = fields(rows.tables["ROW_FILE"][y])
        columns, column_group, column_row = fields(rows.tables["COLUMN_FILE"][x])
        _, first_group, first_row = fields(rows.tables["CHANNEL_FILE"][channel])
        for line in range(lines):
            for column in range(columns):
                for visit in range(p["CHANNEL_GROUPS"]):
                    group = line_group + column_group + first_group + visit
                    group += line * p["ROW_GROUP_STEP"] + column * p["COLUMN_GROUP_STEP"]
                    row = line_row + column_row + first_row + visit
                    row -= line * p["ROW_ROW_STEP"] + column * p["COLUMN_ROW_STEP"]
                    for lane, value in enumerate(rows.weights[row]):
                        neuron = slots[group * place.lanes + lane]
                        if neuron >= 0:
                            matrix[neuron, source] += value
                        else:
                            assert value == 0
    [(_, expected)] = delay_matrices(connection, sources, targets, weight, {}, 0)
    assert np.array_equal(matrix, expected.toarray())


def sparse(matrix: np.ndarray, lanes: int, delays: np.ndarray | None = None) -> Rows:
    """Rows of the synapses of a matrix [target, source], in disorder; delays like it."""
    target, source = np.nonzero(matrix)
    order = np.random.default_rng(0).permutation(len(source))
    target, source = target[order], source[order]
    delay = np.zeros_like(source) if delays is None else delays[target, source]
    found = Synapses(target, source, np.arange(len(source)), delay)
    return sparse_rows(
        found,
        matrix[target, source],
        matrix.shape[1],
        Layout(tuple(range(len(matrix))), lanes),
        IntFormat(4),
    )


def test_sparse_rows_hold_only_groups_with_synapses() -> None:
    matrix = np.zeros((9, 4), np.int64)
    matrix[0, 1], matrix[8, 1], matrix[4, 3] = 5, -6, 7
    rows = sparse(matrix, 4)
    assert rows.weights.tolist() == [[5, 0, 0, 0], [-6, 0, 0, 0], [7, 0, 0, 0]]
    assert rows.tables["GROUP_FILE"] == [0, 2, 1]
    first_bits = 2
    assert rows.tables["SOURCE_FILE"] == [0, 2 << first_bits, 0, 1 << first_bits | 2]


def test_synapses_that_add_up_to_more_than_a_weight_take_a_further_row() -> None:
    matrix = np.zeros((4, 2), np.int64)
    matrix[0, 1], matrix[1, 1], matrix[3, 1] = 19, -8, -20
    rows = sparse(matrix, 2)
    assert rows.weights.tolist() == [[7, -8], [7, 0], [5, 0], [0, -8], [0, -8], [0, -4]]
    assert rows.tables["GROUP_FILE"] == [0, 0, 0, 1, 1, 1]
    assert rows.tables["SOURCE_FILE"] == [0, 6 << 3]
    assert rows.parameters["COUNT_BITS"] == 3


def test_synapses_of_a_pair_with_several_delays_take_a_row_each() -> None:
    found = Synapses(
        np.array([1, 1, 0, 1]), np.array([0, 0, 0, 0]), np.arange(4), np.array([3, 0, 2, 3])
    )
    rows = sparse_rows(found, np.array([5, -2, 4, -1]), 1, Layout((0, 1), 2), IntFormat(4))
    assert rows.weights.tolist() == [[4, -2], [0, 4]]
    assert rows.delays.tolist() == [[2, 0], [0, 3]]


def test_compressed_rows_hold_lanes_synapses_of_any_targets() -> None:
    """Sources of 3, 0 and 2 synapses on 2 lanes; a weight of 0 is no synapse; the lanes turn from
    source to source.
    """
    found = Synapses(
        np.array([8, 0, 5, 5, 7, 3]),
        np.array([0, 0, 2, 0, 2, 1]),
        np.arange(6),
        np.array([1, 0, 4, 2, 0, 0]),
    )
    rows = compressed_rows(found, np.array([-8, 7, 3, 2, 1, 0]), 3, 2)
    assert rows.targets is not None
    assert rows.targets.tolist() == [[0, 5], [8, 0], [5, 7]]
    assert rows.weights.tolist() == [[7, 2], [-8, 0], [3, 1]]
    assert rows.delays.tolist() == [[0, 2], [1, 0], [4, 0]]
    assert rows.tables == {"SOURCE_FILE": [2 << 2, 0, 1 << 2 | 2]}
    assert rows.parameters == {"INPUTS": 3, "ROWS": 3, "GROUPS": 1, "COUNT_BITS": 2}


def sparse_network(
    rng: np.random.Generator, size: int, synapses: int, beside: Connection | None
) -> TrainedNetwork:
    """Sparse recurrence in a population of `size` neurons with an input of 20, and another
    connection from the input.
    """
    projections = (
        Projection("input", "a", connection=beside or Sparse(min(synapses, 20 * size))),
        Projection("a", "a", 1, connection=Sparse(synapses)),
    )
    network = Network(
        (Population("input", 20, Source()), Population("a", size, Lif(0.5))), projections
    )
    return random_trained(rng, network)


@pytest.mark.parametrize(
    ("size", "synapses", "beside", "compressed"),
    [
        (40, 120, None, 1),
        (40, 1500, None, 1),  # nearly dense, and still what a sparse projection promises
        (200, 4000, Dense(), 1),  # 20 synapses of each neuron in 50 groups
        (16, 250, Dense(), 0),  # both full: targets would only cost memory
        (60, 120, Convolution((1, 4, 5), 3, (1, 1)), 0),
    ],
)
def test_rows_are_compressed_where_that_costs_less(
    size: int, synapses: int, beside: Connection | None, compressed: int
) -> None:
    model = quantize(sparse_network(np.random.default_rng(1), size, synapses, beside), 4)
    [population] = plan(model, 4)
    assert population.parameters["COMPRESSED"] == compressed
    assert population.group_bits == (
        1 if compressed else (-(-size // population.layout.lanes) - 1).bit_length()
    )


def test_the_sum_of_a_lane_has_the_width_that_its_weights_need() -> None:
    """Counts of up to 3 from the input; no neuron and lane can leave the format, and one bit less
    would not hold the extremes.
    """
    model = quantize(sparse_network(np.random.default_rng(2), 30, 300, None), 5, max_count=3)
    [population] = plan(model, 4)
    lowest, highest = np.zeros((2, 4, 30), np.int64)
    for projection, count in zip(population.projections, (3, 1), strict=True):
        assert projection.rows.targets is not None
        for weights, targets in zip(projection.rows.weights, projection.rows.targets, strict=True):
            for lane in range(4):
                lowest[lane, targets[lane]] += min(0, weights[lane]) * count
                highest[lane, targets[lane]] += max(0, weights[lane]) * count
    narrower = IntFormat(population.parameters["LANE_BITS"] - 1)
    assert lowest.min() < narrower.min or highest.max() > narrower.max
    assert (
        population.parameters["LANE_BITS"]
        == IntFormat.holding(int(lowest.min()), int(highest.max())).bits
    )


@pytest.mark.parametrize(("size", "lanes", "update_lanes"), [(3, 1, 3), (40, 3, 4), (600, 5, 4)])
def test_update_lanes_of_compressed_rows_need_not_divide_the_lanes(
    size: int, lanes: int, update_lanes: int
) -> None:
    [population] = plan(quantize(sparse_network(np.random.default_rng(3), size, 9, None)), lanes)
    assert (population.parameters["LANES"], population.parameters["UPDATE_LANES"]) == (
        lanes,
        update_lanes,
    )


@pytest.mark.parametrize(
    ("rows", "bank_rows"), [(1, 1024), (4096, 1024), (4097, 2048), (204_801, 4096)]
)
def test_banks_of_rows(rows: int, bank_rows: int) -> None:
    assert _bank_rows(rows) == bank_rows
    assert -(-rows // bank_rows) <= 100


def test_without_synapses_a_row_of_zeros_is_left() -> None:
    rows = sparse(np.zeros((3, 2), np.int64), 2)
    assert rows.weights.tolist() == [[0, 0]] and rows.tables["SOURCE_FILE"] == [0, 0]


def graph(*projections: Projection, names: tuple[str, ...] = ("a", "b")) -> Network:
    populations = [Population("input", 4, Source()), *(Population(n, 3, Lif(0.5)) for n in names)]
    return Network(tuple(populations), projections)


def test_order_of_the_step() -> None:
    network = graph(
        Projection("b", "a", 1),
        Projection("input", "b"),
        Projection("a", "b", 2),
        Projection("input", "a", 1),
    )
    assert [p.name for p in hardware_order(network)] == ["a", "b"]
    late = graph(Projection("b", "a", 1), Projection("input", "b"), Projection("a", "b", 2))
    assert [p.name for p in hardware_order(late)] == ["b", "a"]
    with pytest.raises(Unsupported, match="populations a: the input cannot reach"):
        hardware_order(graph(Projection("a", "a", 1), Projection("input", "b")))


def test_what_the_rtl_refuses_is_named() -> None:
    rng = np.random.default_rng(0)
    axons = Network(
        (Population("input", 16, Source()), Population("a", 9, Lif(0.5), 1)),
        (
            Projection(
                "input",
                "a",
                connection=Convolution((1, 4, 4), 1, (2, 2)),
                max_delay=3,
                delay_per="source",
            ),
        ),
    )
    dilated = Network(
        (Population("input", 16, Source()), Population("a", 4, Lif(0.5), 1)),
        (Projection("input", "a", connection=Convolution((1, 4, 4), 1, (2, 2), dilation=(2, 2))),),
    )
    with pytest.raises(Unsupported, match="input_to_a.*dilation .2, 2."):
        check_supported(quantize(random_trained(rng, dilated)))
    with pytest.raises(
        Unsupported, match="input_to_a.*axons of a convolution have delays of 0 to 3 steps"
    ):
        check_supported(quantize(random_trained(rng, axons)))
    readout = Network(
        (Population("input", 16, Source()), Population("a", 8, Integrator(), 2)),
        (Projection("input", "a", connection=Convolution((1, 4, 4), 2, (3, 3))),),
    )
    with pytest.raises(Unsupported, match="population 'a': integrators after a convolution"):
        check_supported(quantize(random_trained(rng, readout)))


def test_names_that_differ_in_one_underscore_are_two_constants() -> None:
    network = graph(Projection("input", "h1"), Projection("h1", "h_1"), names=("h1", "h_1"))
    text = (
        emit(quantize(random_trained(np.random.default_rng(0), network)), 2)
        .files["nhw_network_pkg.sv"]
        .decode()
    )
    constants = [line.split()[-3] for line in text.splitlines() if "localparam" in line]
    assert len(constants) == len(set(constants)) > 40
