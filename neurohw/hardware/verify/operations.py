# SPDX-License-Identifier: Apache-2.0
"""Synaptic operations of a run, counted from its spikes: what a model does, whatever executes it.

An operation is one synapse that adds its weight to a current because a spike has reached it. A
spike of step t reaches a synapse of delay d in step t + d, and not at all where its sample ends
before: spikes of the last d steps are not counted.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.connections import Sparse, Synapses, synapses
from neurohw.integers import QuantizedNetwork
from neurohw.network import Projection


@dataclass(frozen=True)
class Operations:
    """Operations of one projection.

    synaptic: of all stored synapses: every one of a dense projection or a convolution, whatever its
        weight, and those of a sparse one whose weight is not 0.
    effective: of synapses with a weight other than 0 only, as NeuroBench counts its effective
        accumulates.
    """

    synaptic: int
    effective: int


def _stored(model: QuantizedNetwork, projection: Projection) -> tuple[Synapses, NDArray[np.bool_]]:
    """The synapses that the hardware stores, and which of them have a weight other than 0."""
    source, target = (
        model.network.population(n).size for n in (projection.source, projection.target)
    )
    quantized, connection = model.projections[projection.name], projection.connection
    found = synapses(
        connection, source, target, quantized.arrays(), projection.delay, projection.delay_per
    )
    there = quantized.weight.ravel()[found.weight_index] != 0
    if not isinstance(connection, Sparse):
        return found, there
    kept = Synapses(
        found.target[there], found.source[there], found.weight_index[there], found.delay[there]
    )
    return kept, there[there]


def fan_out(model: QuantizedNetwork, projection: Projection) -> NDArray[np.int64]:
    """Stored synapses of every source neuron of a projection."""
    found, _ = _stored(model, projection)
    return np.bincount(found.source, minlength=model.network.population(projection.source).size)


def count_operations(
    model: QuantizedNetwork, projection: Projection, sent: NDArray[Any]
) -> Operations:
    """The operations of a projection;

    sent: spikes of its source population, summed over samples [time, neuron].
    """
    found, there = _stored(model, projection)
    total = np.concatenate(
        [np.zeros((1, sent.shape[1]), np.int64), np.cumsum(sent, axis=0, dtype=np.int64)]
    )
    reached = total[np.maximum(len(sent) - found.delay, 0), found.source]
    return Operations(int(reached.sum()), int(reached[there].sum()))
