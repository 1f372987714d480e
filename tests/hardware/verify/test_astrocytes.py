# SPDX-License-Identifier: Apache-2.0
"""Astrocytes in RTL: every spike and every state of graphs in which levels are late, early, shared,
and for several populations.
"""

import dataclasses
from typing import Any

import numpy as np
import pytest

from neurohw import (
    Astrocyte,
    Integrator,
    Lif,
    Modulation,
    Network,
    Population,
    Projection,
    Source,
    first_mismatch,
    quantize,
    run_golden,
)
from neurohw.connections import Convolution, Sparse
from neurohw.engines import rtl
from neurohw.network import TrainedNetwork
from neurohw.neurons import Adaptation
from tests.random_networks import random_stimulus, random_trained

FIRST = Convolution((1, 5, 5), 3, (2, 2), padding=(1, 1))
SECOND = Convolution((3, 6, 6), 4, (2, 2), stride=(2, 2))
NALSM = Lif(0.75, refractory=2, integrates_refractory=True)


def loop() -> Network:
    """Recurrent cells with both effects: from an astrocyte of their own size that they feed, and
    from one for blocks, which reads the input and acts on the output, too.
    """
    populations = (
        Population("input", 12, Source()),
        Population("own", 24, Astrocyte(0.9)),
        Population("cells", 24, NALSM),
        Population("blocks", 4, Astrocyte(0.5, synapse_decay=0.5)),
        Population("output", 8, Integrator(0.75)),
    )
    projections = (
        Projection("input", "cells"), Projection("cells", "cells", 1, connection=Sparse(100)),
        Projection("cells", "own"),
        Projection("input", "blocks"), Projection("cells", "blocks", 2),
        Projection("cells", "output"), Projection("input", "own"),
    )  # fmt: skip
    modulations = (
        Modulation("own", "cells", "gain", 2.0),
        Modulation("blocks", "cells", "threshold"),
        Modulation("blocks", "output", "gain"),
    )
    return Network(populations, projections, modulations=modulations)


def images() -> Network:
    """A gain for every channel and one threshold for all of an image, a gain for every neuron of
    the next; levels of spikes to come, and of those long gone.
    """
    populations = (
        Population("input", 25, Source()),
        Population("first", 108, Lif(0.5, adaptation=Adaptation(0.5, 0.25)), 3),
        Population("channels", 3, Astrocyte(0.9)),
        Population("second", 36, Lif(0.5, delayed_reset=True), 4),
        Population("all", 1, Astrocyte(1.0)),
        Population("every", 36, Astrocyte(0.5)),
        Population("output", 5, Lif(0.9, synapse_decay=0.5)),
    )
    projections = (
        Projection("input", "first", connection=FIRST),
        Projection("first", "second", connection=SECOND),
        Projection("second", "channels"), Projection("first", "all", 3), Projection("input", "all"),
        Projection("first", "every"),
        Projection("second", "output"),
    )  # fmt: skip
    modulations = (
        Modulation("channels", "first", "gain", 3.9),
        Modulation("all", "first", "threshold"),
        Modulation("every", "second", "gain"),
        Modulation("all", "output", "threshold"),
    )
    return Network(populations, projections, modulations=modulations)


def apart() -> Network:
    """A large astrocyte, and one neuron that modulates many cells: one side waits, and then the
    other. Rows of `large` and `many` are compressed.
    """
    populations = (
        Population("input", 3, Source()),
        Population("large", 60, Astrocyte(0.96875)),
        Population("many", 60, Lif(0.5, strict=True, reset="hard", v_reset=-0.25)),
        Population("one", 1, Astrocyte(0.0)),
        Population("output", 120, NALSM),
    )
    projections = (
        Projection("input", "large", connection=Sparse(90)),
        Projection("input", "many", connection=Sparse(120)), Projection("input", "one"),
        Projection("many", "output"), Projection("many", "large", 1, connection=Sparse(400)),
        Projection("output", "one", 1),
    )  # fmt: skip
    modulations = (
        Modulation("large", "output", "gain"),
        Modulation("one", "many", "gain", 2.0),
        Modulation("large", "many", "threshold"),
        Modulation("one", "output", "threshold"),
    )
    return Network(populations, projections, modulations=modulations)


def case(network: Network, seed: int) -> tuple[Any, Any]:
    """Integers and a stimulus; levels that move through the table and above and below 0."""
    rng = np.random.default_rng(seed)
    trained: TrainedNetwork = random_trained(rng, network, 10, dyadic=True)
    model = quantize(trained, 4, resolution_bits=3, max_count=2)
    return model, random_stimulus(rng, network, 10, 4, 2)


@pytest.mark.rtl
@pytest.mark.parametrize(
    ("make", "lanes", "idle", "backpressure"),
    [(loop, 6, 0.4, 0.4), (images, 4, 0.0, 0.5), (apart, 12, 0.0, 0.0), (apart, 5, 0.5, 0.0)],
)
def test_every_spike_and_state(make: Any, lanes: int, idle: float, backpressure: float) -> None:
    model, spikes = case(make(), lanes)
    trace = rtl.run(
        model, spikes, lanes=lanes, optimize=False, idle=idle, backpressure=backpressure
    )
    assert first_mismatch(run_golden(model, spikes), trace) is None
    assert all(f"v.{p.name}" in trace.states for p in model.network.populations[1:])


@pytest.mark.parametrize(("make", "lanes"), [(loop, 6), (images, 4), (apart, 12), (apart, 5)])
def test_every_modulation_matters(make: Any, lanes: int) -> None:
    """Without the levels of one of them, spikes or membranes differ."""
    model, spikes = case(make(), lanes)
    golden = run_golden(model, spikes)
    for name, modulation in model.modulations.items():
        table = (
            None
            if modulation.table is None
            else np.full_like(modulation.table, modulation.table[64])
        )
        flat = dataclasses.replace(
            modulation, table=table, shift=modulation.shift if table is not None else 62
        )
        changed = dataclasses.replace(model, modulations={**model.modulations, name: flat})
        assert first_mismatch(golden, run_golden(changed, spikes)) is not None, name
