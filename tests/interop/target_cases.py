# SPDX-License-Identifier: Apache-2.0
"""Small networks that every tool of `--for` can read, one per row of its table, with and without a
convolution.
"""

from typing import Any

import numpy as np

from neurohw import Integrator, Lif, Network, Population, Projection, Source, TrainedNetwork
from neurohw.connections import Convolution
from neurohw.interop.nir.targets import TARGETS, Imported
from neurohw.neurons import Neuron

STEPS = 60
CASES = [(name, i) for name, target in TARGETS.items() for i in range(len(target.rows))]
IMAGES = [
    (name, i)
    for name, target in TARGETS.items()
    for i, row in enumerate(target.rows)
    if target.convolutions and not row.readout and not row.synapse
]


def neuron_of(row: Imported) -> Neuron:
    """A neuron that the row takes, with constants that are not round in the tool's own units."""
    theirs = row.conventions
    decay = 1.0 if row.leaks is False else 0.875
    if row.readout:
        return Integrator(decay)
    return Lif(
        decay,
        1.25,
        theirs.reset,
        synapse_decay=0.625 if row.synapse else None,
        strict=theirs.strict,
        delayed_reset=theirs.delayed_reset,
    )


def dense_case(target: str, place: int) -> TrainedNetwork:
    """input 6 -> hidden 8 -> output 4, dense, for a row of a target."""
    rows = TARGETS[target].rows
    hidden = neuron_of(
        next(r for r in rows if not r.readout) if rows[place].readout else rows[place]
    )
    network = Network(
        (
            Population("input", 6, Source()),
            Population("hidden", 8, hidden),
            Population("output", 4, neuron_of(rows[place])),
        ),
        (Projection("input", "hidden"), Projection("hidden", "output")),
    )
    rng = np.random.default_rng(100 + place)
    scale = 0.35 if rows[place].synapse else 0.7
    late = rows[place].conventions.latency  # the bias of a later layer would begin later there
    parameters = {
        "input_to_hidden.weight": scale * rng.normal(0.2, 0.6, (8, 6)),
        "hidden_to_output.weight": scale * rng.normal(0.2, 0.6, (4, 8)),
        "hidden.bias": rng.normal(0, 0.05, 8),
        "output.bias": np.zeros(4) if late else rng.normal(0, 0.05, 4),
        "hidden.threshold": np.full(8, 1.25),
    } | ({} if rows[place].readout else {"output.threshold": np.full(4, 1.25)})
    return TrainedNetwork(network, parameters, STEPS)


def image_case(target: str, place: int) -> TrainedNetwork:
    """input 2x6x6 -> convolution 4x6x6 -> dense 4, for a row of a target."""
    neuron = neuron_of(TARGETS[target].rows[place])
    convolution = Convolution((2, 6, 6), 4, (3, 3), padding=(1, 1))
    network = Network(
        (
            Population("input", 72, Source()),
            Population("hidden", 144, neuron, 4),
            Population("output", 4, neuron),
        ),
        (Projection("input", "hidden", connection=convolution), Projection("hidden", "output")),
    )
    rng = np.random.default_rng(9)
    parameters = {
        "input_to_hidden.weight": rng.normal(0.05, 0.3, (4, 2, 3, 3)),
        "hidden_to_output.weight": rng.normal(0.01, 0.15, (4, 144)),
        "hidden.bias": rng.normal(0, 0.05, 4),
        "output.bias": rng.normal(0, 0.05, 4),
        "hidden.threshold": np.full(4, 1.25),
        "output.threshold": np.full(4, 1.25),
    }
    return TrainedNetwork(network, parameters, STEPS)


def stimulus(model: TrainedNetwork) -> Any:
    """Spikes [time, neuron] of a case."""
    return (np.random.default_rng(11).random((STEPS, model.network.input.size)) < 0.35).astype(
        np.uint8
    )


def case_named(name: str) -> tuple[str, TrainedNetwork]:
    """Target and network of `<target>_dense<row>` or `<target>_image<row>`."""
    target, _, case = name.partition("_")
    make = image_case if case.startswith("image") else dense_case
    return target, make(target, int(case[5:]))


NAMES = [*(f"{t}_dense{i}" for t, i in CASES), *(f"{t}_image{i}" for t, i in IMAGES)]
