# SPDX-License-Identifier: Apache-2.0
"""Random plastic networks and spikes for property tests."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.connections import Sparse
from neurohw.network import Network, Population, Projection, TrainedNetwork
from neurohw.neurons import Lif, Source
from neurohw.plasticity.rule import AstrocyteControl, Plasticity, PlasticProjection, Stdp


def random_plastic(rng: np.random.Generator) -> tuple[TrainedNetwork, Plasticity]:
    """A network of an input and one recurrent population with random synapses, neurons and rule;
    its weights lie within their bounds.
    """
    inputs, neurons = (int(n) for n in rng.integers(1, 24, 2))
    lif = Lif(
        decay=float(rng.choice([0.0, 0.5, 63 / 64, 1.0])),
        threshold=float(rng.choice([0.5, 1.0, 3.0])),
        reset="hard",
        v_reset=float(rng.choice([0.0, -0.5])),
        synapse_decay=[None, 0.5, float(np.exp(-1))][int(rng.integers(3))],
        refractory=int(rng.integers(4)),
        integrates_refractory=bool(rng.integers(2)),
    )
    limit = [float(rng.choice([0.5, 1.0, 3.0])) for _ in range(2)]
    inhibitory = rng.random(neurons) < 0.3
    projections, parameters = [], dict[str, NDArray[Any]]()
    for name, size, bound in (("input", inputs, limit[0]), ("liquid", neurons, limit[1])):
        target, source = np.nonzero(rng.random((neurons, size)) < 0.5)
        if not len(source):
            source, target = np.zeros(1, np.int64), np.zeros(1, np.int64)
        order = rng.permutation(len(source))  # in no order at all
        source, target = source[order], target[order]
        weight = bound * rng.random(len(source))
        negative = rng.random(len(source)) < 0.5 if name == "input" else inhibitory[source]
        projection = Projection(
            name, "liquid", delay=int(rng.integers(1, 4)), connection=Sparse(len(source))
        )
        projections.append(projection)
        arrays = {"source": source, "target": target, "weight": np.where(negative, -weight, weight)}
        parameters |= {f"{projection.name}.{field}": array for field, array in arrays.items()}
    network = Network(
        (Population("input", inputs, Source()), Population("liquid", neurons, lif)),
        tuple(projections),
    )
    parameters["liquid.bias"] = rng.choice([0.0, 0.1, 0.3], neurons)
    parameters["liquid.threshold"] = rng.uniform(0.3, 2.0, neurons)
    if rng.random() < 0.3:
        parameters["liquid.decay"] = rng.random(neurons)
    plastic = [
        PlasticProjection("input_to_liquid", limit[0], crosses_zero=True),
        PlasticProjection("liquid_to_liquid", limit[1], crosses_zero=bool(rng.random() < 0.2)),
    ]
    plasticity = Plasticity(
        Stdp(
            *(float(x) for x in rng.uniform(0, 2, 3)),
            trace_decay=float(rng.choice([0.0, 0.5, 0.9])),
        ),
        tuple(p for p in plastic if rng.random() < 0.85),
        inhibitory,
        AstrocyteControl(
            float(rng.normal(0, 0.3)), float(rng.uniform(-0.2, 0.5)), float(rng.uniform(1, 50))
        )
        if rng.random() < 0.7
        else None,
        float(rng.choice([1.0, 0.99, 0.8])),
    )
    return TrainedNetwork(network, parameters, 40), plasticity


def random_spikes(rng: np.random.Generator, steps: int, inputs: int) -> NDArray[np.uint8]:
    """Spikes [time, input]; some inputs are silent."""
    return (rng.random((steps, inputs)) < 0.3 * (rng.random(inputs) < 0.7)).astype(np.uint8)
