# SPDX-License-Identifier: Apache-2.0
"""Projections as Brian2 sees them: lists of synapses with weights and delays in steps."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.connections import synapses
from neurohw.integers import QuantizedNetwork
from neurohw.network import CONNECTION_FIELDS, Projection, TrainedNetwork


@dataclass(frozen=True)
class SynapseList:
    """Synapses of one projection, arrays [synapse]; delay in steps of Brian2's queue.

    Within a step, populations are updated in order, each directly after its synapses. A spike of an
    earlier population can therefore arrive in its own step; one of the same or a later population
    is first seen by the queue in the step after, which takes one step off its delay.
    """

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    weight: NDArray[np.float64]
    delay: NDArray[np.int64]


def synapse_list(model: TrainedNetwork | QuantizedNetwork, projection: Projection) -> SynapseList:
    """The synapses of a projection whose weight is not 0; integer weights carry their exponent."""
    network = model.network
    source, target = network.population(projection.source), network.population(projection.target)
    arrays: dict[str, NDArray[Any]]
    weight: NDArray[Any]
    if isinstance(model, QuantizedNetwork):
        quantized = model.projections[projection.name]
        weight, arrays = quantized.weight << quantized.exponent, quantized.arrays()
    else:
        weight = model.parameters[f"{projection.name}.weight"]
        arrays = {
            k: v
            for k in CONNECTION_FIELDS
            if (v := model.parameters.get(f"{projection.name}.{k}")) is not None
        }
    found = synapses(
        projection.connection,
        source.size,
        target.size,
        arrays,
        projection.delay,
        projection.delay_per,
    )
    order = [network.input.name, *(p.name for p in network.update_order())]
    late = order.index(projection.source) >= order.index(projection.target)
    values = weight.ravel()[found.weight_index].astype(np.float64)
    used = values != 0
    return SynapseList(
        found.source[used], found.target[used], values[used], found.delay[used] - late
    )
