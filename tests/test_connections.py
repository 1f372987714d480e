# SPDX-License-Identifier: Apache-2.0
"""Connections: every kind stands for the matrix that its definition says."""

import numpy as np
import pytest
import torch
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
    run_golden,
)
from neurohw.connections import (
    Convolution,
    Dense,
    Sparse,
    apply_matrix,
    connection_from_json,
    connection_to_json,
    delay_matrices,
    sum_pool,
    synapses,
)
from neurohw.errors import InvalidModel
from tests.random_networks import random_convolution, random_graph, random_stimulus, random_trained


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_convolution_is_the_one_of_pytorch(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 4)), int(rng.integers(3, 9)), int(rng.integers(3, 9)))
    connection = random_convolution(rng, shape)
    if rng.random() < 0.3 and min(shape[1:]) > 4:
        connection = Convolution(shape, 2, (2, 3), dilation=(2, 1), padding=(1, 0))
    sources, targets = int(np.prod(shape)), int(np.prod(connection.output_shape))
    weight = rng.integers(-9, 10, connection.weight_shape(sources, targets))
    spikes = rng.integers(0, 3, (4, sources))
    [(delay, matrix)] = delay_matrices(connection, sources, targets, weight, {}, 3)
    expected = torch.nn.functional.conv2d(
        torch.from_numpy(spikes.reshape(4, *shape)).double(),
        torch.from_numpy(weight).double(),
        stride=connection.stride,
        padding=connection.padding,
        dilation=connection.dilation,
        groups=connection.groups,
    )
    assert delay == 3 and expected.shape[1:] == connection.output_shape
    assert np.array_equal(apply_matrix(matrix, spikes), expected.numpy().reshape(4, -1))


def test_sum_pooling_sums_windows() -> None:
    connection, weight = sum_pool((2, 4, 4), 2)
    [(_, matrix)] = delay_matrices(connection, 32, 8, weight, {}, 0)
    image = np.arange(32.0).reshape(2, 2, 2, 2, 2)
    assert np.array_equal(
        apply_matrix(matrix, image.reshape(1, 32))[0], image.sum(axis=(2, 4)).ravel()
    )


def test_sparse_synapses_and_their_delays() -> None:
    arrays = {
        "target": np.array([2, 0, 2]),
        "source": np.array([1, 1, 0]),
        "delay": np.array([4, 0, 4]),
    }
    weight = np.array([5, 7, 9])
    (first, one), (second, two) = delay_matrices(Sparse(3), 2, 3, weight, arrays, 0)
    assert (first, second) == (0, 4)
    assert one.toarray().tolist() == [[0, 7], [0, 0], [0, 0]]
    assert two.toarray().tolist() == [[0, 0], [0, 0], [9, 5]]
    found = synapses(Sparse(3), 2, 3, arrays, 0)
    assert found.target.tolist() == [0, 2, 2] and found.source.tolist() == [1, 0, 1]
    assert weight[found.weight_index].tolist() == [7, 9, 5] and found.delay.tolist() == [0, 4, 4]


def test_delays_per_source_neuron() -> None:
    weight = np.arange(6).reshape(3, 2)
    (_, one), (_, two) = delay_matrices(
        Dense(), 2, 3, weight, {"delay": np.array([1, 2])}, 1, "source"
    )
    assert one.tolist() == [[0, 0], [2, 0], [4, 0]] and two.tolist() == [[0, 1], [0, 3], [0, 5]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Convolution((1, 3, 3), 1, (5, 1)), "larger than the padded input"),
        (lambda: Convolution((3, 4, 4), 4, (1, 1), groups=2), "2 groups must divide 3"),
        (lambda: Convolution((1, 4, 4), 1, (1, 1), stride=(0, 1)), "stride"),
        (lambda: Convolution((4, 4), 1, (1, 1)), "input_shape must be 3 values, not"),
        (lambda: Sparse(0), "at least 1, not 0"),
        (lambda: connection_from_json({"kind": "fractal"}), "unknown connection 'fractal'"),
        (lambda: Population("a", 9, Lif(), 2), "2 channels do not divide 9"),
        (lambda: Projection("a", "b", 3, max_delay=2), "max_delay 2 is below delay 3"),
    ],
)
def test_impossible_connections_are_refused(make, message: str) -> None:
    with pytest.raises(InvalidModel, match=message):
        make()


def test_delays_of_axons_are_not_mistaken_for_those_of_as_many_synapses() -> None:
    arrays = {
        "source": np.array([1, 0, 1]),
        "target": np.array([0, 1, 2]),
        "delay": np.array([5, 6, 7]),
    }
    assert synapses(Sparse(3), 3, 3, arrays, 0).delay.tolist() == [5, 6, 7]
    assert synapses(Sparse(3), 3, 3, arrays, 0, "source").delay.tolist() == [6, 5, 6]


def small_network(connection: object, size: int, **options: object) -> Network:
    return Network(
        (Population("input", 16, Source()), Population("output", size, Integrator())),
        (Projection("input", "output", connection=connection, **options),),
    )


def test_shapes_that_do_not_fit_the_populations_are_named() -> None:
    with pytest.raises(InvalidModel, match="input_to_output.*target has 9 neurons.*has 16"):
        small_network(Convolution((1, 4, 4), 1, (1, 1)), 9)


def test_synapses_out_of_range_are_named() -> None:
    network = small_network(Sparse(2), 3, max_delay=2)
    good = {"weight": np.ones(2), "source": [0, 15], "target": [0, 2], "delay": [0, 2]}
    parameters = {f"input_to_output.{k}": np.asarray(v, float) for k, v in good.items()} | {
        "output.bias": np.zeros(3)
    }
    TrainedNetwork(network, parameters, 4)
    for key, wrong, message in (
        ("source", [0, 16], "holds 16.0 at .1,.*0..15"),
        ("target", [-1, 0], "holds -1.0"),
        ("delay", [0, 3], "0..2"),
        ("delay", [0.5, 0], "whole numbers"),
    ):
        with pytest.raises(InvalidModel, match=message):
            TrainedNetwork(
                network, parameters | {f"input_to_output.{key}": np.asarray(wrong, float)}, 4
            )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_graphs_survive_json_and_quantization(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_graph(rng)
    assert Network.from_json(network.to_json()) == network
    for projection in network.projections:
        assert (
            connection_from_json(connection_to_json(projection.connection)) == projection.connection
        )
    trained = random_trained(rng, network, 8, each_neuron=True)
    model = quantize(trained, int(rng.integers(2, 9)), max_count=2)
    again = type(model).from_parts(*model.to_parts())
    spikes = random_stimulus(rng, network, 8, 2, 2)
    first, second = run_golden(model, spikes).arrays(), run_golden(again, spikes).arrays()
    assert all(np.array_equal(first[name], second[name]) for name in first)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_proved_widths_are_never_left(seed: int) -> None:
    """With formats of 60 bits nothing changes: saturation cannot have happened in the proved
    ones.
    """
    import dataclasses

    from neurohw.fixedpoint import IntFormat

    rng = np.random.default_rng(seed)
    trained = random_trained(rng, random_graph(rng), 12, each_neuron=True)
    model = quantize(trained, int(rng.integers(2, 9)), max_count=3)
    wide = {
        name: dataclasses.replace(
            p, membrane=IntFormat(60), current=IntFormat(60), accumulator=IntFormat(60)
        )
        for name, p in model.populations.items()
    }
    free = dataclasses.replace(model, populations=wide)
    spikes = random_stimulus(rng, model.network, 12, 3, 3)
    # some inputs at full rate: the largest drives
    spikes[:, 0] = 3 * (rng.random(spikes.shape[2]) < 0.5)
    left, right = run_golden(model, spikes).arrays(), run_golden(free, spikes).arrays()
    assert all(np.array_equal(left[name], right[name]) for name in left)
