# SPDX-License-Identifier: Apache-2.0
"""What each engine accepts: one tiny probe model per feature, checked by every engine; the README's
table is made of it.

python -m neurohw.engines.features README.md      rewrites the table between its markers
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neurohw.connections import Convolution, Sparse, sum_pool
from neurohw.engines import ENGINES, Engine
from neurohw.errors import InvalidData, Unsupported
from neurohw.integers import quantize
from neurohw.modulation import Effect, Modulation
from neurohw.network import Network, Population, Projection, TrainedNetwork
from neurohw.neurons import Adaptation, Astrocyte, Integrator, Lif, Neuron, Source
from neurohw.storage import write_atomically

BEGIN, END = "<!-- engines: begin -->", "<!-- engines: end -->"
STEPS = 12


@dataclass(frozen=True)
class Feature:
    """One thing that a model may have. max_count: largest count of the probe's stimulus."""

    name: str
    make: Callable[[], TrainedNetwork]
    max_count: int = 1


def _trained(network: Network, extra: dict[str, np.ndarray] | None = None) -> TrainedNetwork:
    """Weights that make the neurons fire, the same in every call."""
    generator = np.random.default_rng(7)
    parameters: dict[str, np.ndarray] = {}
    for name, shape in network.shapes().items():
        owner, _, kind = name.rpartition(".")
        if kind in ("source", "target"):
            projection = next(p for p in network.projections if p.name == owner)
            size = network.population(getattr(projection, kind)).size
            parameters[name] = (np.arange(shape[0]) * (1 if kind == "source" else 3) % size).astype(
                float
            )
        elif kind == "delay":
            projection = next(p for p in network.projections if p.name == owner)
            parameters[name] = generator.integers(
                projection.delay, (projection.max_delay or 0) + 1, shape
            ).astype(float)
        elif kind in ("threshold", "gamma", "variance"):
            parameters[name] = np.ones(shape)
        else:
            parameters[name] = (
                np.round(generator.normal(0.3 if kind == "weight" else 0.05, 0.4, shape) * 16) / 16
            )
    return TrainedNetwork(network, parameters | (extra or {}), STEPS)


def _chain(
    neuron: Neuron | None = None, output: Neuron | None = None, **projection: object
) -> Network:
    populations = (
        Population("input", 8, Source()),
        Population("cells", 8, neuron or Lif(0.5)),
        Population("output", 4, output or Integrator(0.5)),
    )
    first = Projection("input", "cells", **projection)  # type: ignore[arg-type]
    return Network(populations, (first, Projection("cells", "output")))


def _image(connection: Convolution, channels: int) -> Network:
    size = int(np.prod(connection.output_shape))
    populations = (
        Population("input", 18, Source()),
        Population("cells", size, Lif(0.5), channels),
        Population("output", 4, Integrator(0.5)),
    )
    return Network(
        populations,
        (Projection("input", "cells", connection=connection), Projection("cells", "output")),
    )


def _with(*more: Projection) -> Network:
    base = _chain()
    return Network(base.populations, base.projections + more)


def _astrocyte(effect: Effect) -> Network:
    """An astrocyte of two domains that hears the cells and acts on them from the next step on."""
    base = _chain()
    return Network(
        (*base.populations[:2], Population("astrocyte", 2, Astrocyte(0.875)), base.output),
        (*base.projections, Projection("cells", "astrocyte")),
        modulations=(Modulation("astrocyte", "cells", effect),),
    )


def _neuron(neuron: Lif) -> Callable[[], TrainedNetwork]:
    return lambda: _trained(_chain(neuron))


POOL, POOL_WEIGHT = sum_pool((2, 3, 3), (1, 3))
FEATURES = (
    Feature("dense projections", lambda: _trained(_chain())),
    Feature("sparse projections", lambda: _trained(_chain(connection=Sparse(20)))),
    Feature(
        "convolution",
        lambda: _trained(_image(Convolution((2, 3, 3), 4, (2, 2), padding=(1, 0), groups=2), 4)),
    ),
    Feature(
        "dilated convolution",
        lambda: _trained(_image(Convolution((2, 3, 3), 4, (2, 2), dilation=(2, 1)), 4)),
    ),
    Feature("pooling", lambda: _trained(_image(POOL, 2), {"input_to_cells.weight": POOL_WEIGHT})),
    Feature("batch normalisation", lambda: _trained(_chain(batch_norm=True))),
    Feature("recurrence", lambda: _trained(_with(Projection("cells", "cells", 1)))),
    Feature(
        "several projections into one population",
        lambda: _trained(_with(Projection("input", "output"))),
    ),
    Feature("delay of a projection", lambda: _trained(_chain(delay=3))),
    Feature("delay of every axon", lambda: _trained(_chain(max_delay=4, delay_per="source"))),
    Feature("delay of every synapse", lambda: _trained(_chain(max_delay=4))),
    Feature("input counts above 1", lambda: _trained(_chain()), 3),
    Feature("soft reset", _neuron(Lif(0.5))),
    Feature("hard reset", _neuron(Lif(0.5, reset="hard", v_reset=-0.25))),
    Feature("no reset", _neuron(Lif(0.5, reset="none"))),
    Feature("reset one step late", _neuron(Lif(0.5, delayed_reset=True))),
    Feature("firing strictly above the threshold", _neuron(Lif(0.5, strict=True))),
    Feature("refractory steps", _neuron(Lif(0.5, refractory=2))),
    Feature("synaptic current (CUBA)", _neuron(Lif(0.5, synapse_decay=0.75))),
    Feature("bias on the membrane", _neuron(Lif(0.5, synapse_decay=0.75, membrane_bias=True))),
    Feature(
        "current of the step before, cleared (Alpha)",
        _neuron(
            Lif(
                0.5,
                synapse_decay=0.75,
                reset="hard",
                refractory=1,
                delayed_current=True,
                clears_current=True,
            )
        ),
    ),
    Feature("adaptive threshold", _neuron(Lif(0.5, adaptation=Adaptation(0.5, 0.5)))),
    Feature(
        "decay of every neuron",
        lambda: _trained(_chain(), {"cells.decay": np.linspace(0.2, 0.9, 8)}),
    ),
    Feature(
        "refractory steps that integrate",
        _neuron(Lif(0.5, refractory=2, integrates_refractory=True)),
    ),
    Feature("astrocyte: gain", lambda: _trained(_astrocyte("gain"))),
    Feature("astrocyte: threshold", lambda: _trained(_astrocyte("threshold"))),
    Feature(
        "integrator readout with a synaptic current",
        lambda: _trained(_chain(output=Integrator(0.9, 0.5))),
    ),
)


def stimulus(feature: Feature) -> np.ndarray:
    """Counts [time, sample, neuron] for the probe of a feature."""
    size = feature.make().network.input.size
    generator = np.random.default_rng(3)
    counts = generator.integers(1, feature.max_count + 1, (STEPS, 2, size))
    return ((generator.random((STEPS, 2, size)) < 0.5) * counts).astype(np.uint8)


def model_for(feature: Feature, kind: str):  # type: ignore[no-untyped-def]
    """The probe as a trained ("float") or a quantized ("integer") network."""
    trained = feature.make()
    return (
        trained
        if kind == "float"
        else quantize(trained, 4, resolution_bits=3, max_count=feature.max_count)
    )


def accepts(engine: Engine, feature: Feature, kind: str) -> str | None:
    """None if the engine runs the probe, else why not."""
    try:
        engine.check(model_for(feature, kind))
    except Unsupported as error:
        return str(error)
    return None


def table() -> str:
    """Engines against features as Markdown, from what the engines' checks say."""
    columns = [(e, kind) for e in ENGINES.values() for kind in e.takes]
    lines = [
        "| | " + " | ".join(f"{e.name}<br>{kind}" for e, kind in columns) + " |",
        "|---|" + ":-:|" * len(columns),
    ]
    for feature in FEATURES:
        marks = ["yes" if accepts(e, feature, kind) is None else "–" for e, kind in columns]
        lines.append(f"| {feature.name} | " + " | ".join(marks) + " |")
    return "\n".join(lines)


def replaced(text: str) -> str:
    """The text with the table between the markers; InvalidData if they are not there."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InvalidData(f"the markers {BEGIN} and {END} are missing")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    target = Path(sys.argv[1])
    write_atomically(target, replaced(target.read_text()).encode())
