# SPDX-License-Identifier: Apache-2.0
"""Synaptic operations against a count by hand: one synapse, one spike, one step at a time."""

from pathlib import Path

import numpy as np
import pytest

from neurohw import (
    Integrator,
    Lif,
    Network,
    Population,
    Projection,
    Source,
    feed_forward,
    quantize,
    run_golden,
)
from neurohw.connections import Convolution, Sparse, synapses
from neurohw.hardware.generate import emit
from neurohw.hardware.verify import verify
from neurohw.hardware.verify.operations import Operations, count_operations
from neurohw.integers import QuantizedNetwork
from tests.random_networks import random_graph, random_stimulus, random_trained


def by_hand(model: QuantizedNetwork, projection: Projection, sent: np.ndarray) -> Operations:
    """Every spike of [time, sample, neuron] is followed through every synapse of its neuron,
    weights of 0 of a sparse projection left out.
    """
    sizes = [model.network.population(n).size for n in (projection.source, projection.target)]
    q = model.projections[projection.name]
    found = synapses(
        projection.connection, *sizes, q.arrays(), projection.delay, projection.delay_per
    )
    steps, samples, _ = sent.shape
    synaptic = effective = 0
    for source, index, delay in zip(found.source, found.weight_index, found.delay, strict=True):
        zero = q.weight.ravel()[index] == 0
        for sample in range(samples):
            for t in range(steps):
                if t + delay < steps:
                    synaptic += int(sent[t, sample, source]) * (
                        not (zero and isinstance(projection.connection, Sparse))
                    )
                    effective += int(sent[t, sample, source]) * (not zero)
    return Operations(synaptic, effective)


@pytest.mark.parametrize("seed", range(12))
def test_random_graphs_are_counted_as_by_hand(seed: int) -> None:
    """Delays of projections, synapses and sources; sparse, dense and convolutional; coarse weights,
    of which many are 0.
    """
    rng = np.random.default_rng(seed)
    model = quantize(random_trained(rng, random_graph(rng), 6), 2 + seed % 2)
    trace = run_golden(model, random_stimulus(rng, model.network, 6, 2))
    for projection in model.network.projections:
        sent = trace.spikes[projection.source]
        counted = count_operations(model, projection, sent.sum(axis=1, dtype=np.int64))
        assert counted == by_hand(model, projection, sent)
        assert counted.effective <= counted.synaptic


def test_of_a_convolution_only_what_lies_in_the_image_counts() -> None:
    """One spike in the corner of 3 x 3, kernel 3 x 3 with padding 1: it reaches 4 of the 9
    positions, and 2 output channels.
    """
    network = Network(
        (Population("input", 9, Source()), Population("cells", 18, Lif(0.5))),
        (
            Projection(
                "input", "cells", connection=Convolution((1, 3, 3), 2, (3, 3), padding=(1, 1))
            ),
        ),
    )
    model = quantize(random_trained(np.random.default_rng(0), network, 3), 8)
    sent = np.zeros((3, 9), np.int64)
    sent[0, 0] = 1
    assert count_operations(model, network.projections[0], sent).synaptic == 4 * 2


@pytest.mark.rtl
def test_spikes_that_never_arrive_do_no_operation(tmp_path: Path) -> None:
    """32 inputs that always fire, 32 neurons, 8 samples of 10 steps, a delay of 5: of 81,920
    additions 40,960 take place, at most 2 a clock on 2 lanes.
    """
    network = Network(
        (
            Population("input", 32, Source()),
            Population("h", 32, Lif(0.5)),
            Population("output", 3, Integrator(0.5)),
        ),
        (Projection("input", "h", delay=5), Projection("h", "output")),
    )
    model = quantize(random_trained(np.random.default_rng(1), network, 10), 3)
    emit(model, lanes=2).write(tmp_path / "rtl")
    spikes = np.ones((10, 8, 32), np.uint8)
    result = verify(tmp_path / "rtl", model, spikes, jobs=1, optimize=False)
    assert result.mismatches == 0
    assert result.synaptic_operations["input_to_h"] == 40_960
    zeros = int(np.count_nonzero(model.projections["input_to_h"].weight == 0))
    assert zeros > 0  # at 3 bits many weights are 0, and each is reached 8 * 5 times
    assert result.effective_synaptic_operations["input_to_h"] == 40_960 - 40 * zeros
    assert 1.6 <= result.synaptic_operations_per_cycle <= 2


def test_a_dense_network_without_delays_counts_every_weight_of_every_spike() -> None:
    """Events times fan-out, and, as NeuroBench counts effective accumulates, events times the
    weights other than 0.
    """
    rng = np.random.default_rng(2)
    model = quantize(random_trained(rng, feed_forward([7, 5], output=Lif(0.5)), 4), 2)
    sent = rng.integers(0, 3, (4, 7))
    projection = model.network.projections[0]
    nonzero = np.count_nonzero(model.projections[projection.name].weight, axis=0)
    expected = Operations(int(sent.sum()) * 5, int((sent.sum(axis=0) * nonzero).sum()))
    assert count_operations(model, projection, sent) == expected
