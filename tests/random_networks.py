# SPDX-License-Identifier: Apache-2.0
"""Random networks and stimuli for property tests."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw import Integrator, Lif, Network, TrainedNetwork, feed_forward
from neurohw.connections import Connection, Convolution, Dense, Sparse, sum_pool
from neurohw.modulation import Modulation
from neurohw.network import Population, Projection
from neurohw.neurons import Adaptation, Astrocyte, Source

# what a random graph may hold beside dense projections without delay
FEATURES = frozenset(
    {
        "recurrence",  # projections back to a population itself or an earlier one, delay >= 1
        "skip",  # several projections into one population
        "delay",  # one delay for a whole projection
        "synapse_delay",  # a delay for every synapse or source neuron
        "sparse",
        "convolution",  # with stride, padding, groups and pooling
        "strict",
        "delayed_reset",
        "membrane_bias",
        "delayed_current",
        "clears_current",
        "adaptation",
        "no_reset",
        "each_neuron",  # decays and reset values that differ between neurons
        "astrocyte",  # astrocytes that modulate gains and thresholds
        "integrates_refractory",
    }
)


def random_network(rng: np.random.Generator, sizes: list[int] | None = None) -> Network:
    """A feed-forward network with random sizes, decays, resets, synapses and refractory periods."""
    sizes = sizes or [int(n) for n in rng.integers(1, 14, size=int(rng.integers(2, 5)))]
    reset = ("soft", "hard")[int(rng.integers(2))]
    lif = Lif(
        decay=float(rng.choice([0.0, 0.5, 0.75, 0.9, 0.96875, 1.0])),
        reset=reset,  # type: ignore[arg-type]
        v_reset=float(rng.choice([-0.5, 0.0, 0.25])) if reset == "hard" else 0.0,
        synapse_decay=[None, 0.5, 0.8, 1.0][int(rng.integers(4))],
        refractory=int(rng.integers(3)),
    )
    output = Integrator(float(rng.choice([0.5, 0.93, 1.0]))) if rng.random() < 0.5 else lif
    return feed_forward(sizes, lif, output)


def random_neuron(rng: np.random.Generator, features: frozenset[str] = FEATURES) -> Lif:
    """A Lif with random parameters and conventions."""

    def maybe(feature: str) -> bool:
        return feature in features and rng.random() < 0.35

    reset = "none" if maybe("no_reset") else ("soft", "hard")[int(rng.integers(2))]
    synapse = [None, 0.5, 0.8, 1.0][int(rng.integers(4))]
    delayed = maybe("delayed_reset")
    return Lif(
        decay=float(rng.choice([0.0, 0.5, 0.75, 0.9, 0.96875, 1.0])),
        reset=reset,  # type: ignore[arg-type]
        v_reset=float(rng.choice([-0.5, 0.0, 0.25])) if reset == "hard" else 0.0,
        synapse_decay=synapse,
        refractory=0 if delayed else int(rng.integers(3)),
        adaptation=Adaptation(float(rng.choice([0.5, 0.9])), float(rng.choice([0.25, 0.5])))
        if maybe("adaptation")
        else None,
        strict=maybe("strict"),
        delayed_reset=delayed,
        membrane_bias=maybe("membrane_bias"),
        delayed_current=synapse is not None and maybe("delayed_current"),
        clears_current=synapse is not None and maybe("clears_current"),
        integrates_refractory=not delayed and maybe("integrates_refractory"),
    )


def random_convolution(rng: np.random.Generator, shape: tuple[int, int, int]) -> Convolution:
    """A convolution (or pooling) that fits on `shape`."""
    channels, height, width = shape
    if rng.random() < 0.25 and min(height, width) >= 2:
        return sum_pool(shape, 2)[0]
    kernel = int(rng.integers(1, 1 + min(3, height))), int(rng.integers(1, 1 + min(3, width)))
    groups = channels if rng.random() < 0.25 else 1
    return Convolution(
        shape,
        groups * int(rng.integers(1, 4)),
        kernel,
        stride=(int(rng.integers(1, 3)), int(rng.integers(1, 3))),
        padding=(int(rng.integers(0, kernel[0])), int(rng.integers(0, kernel[1]))),
        groups=groups,
    )


def random_graph(rng: np.random.Generator, features: frozenset[str] = FEATURES) -> Network:
    """A network with 1 to 3 populations after the input, whose projections and neurons use the
    given features.
    """

    def chance(feature: str, probability: float) -> bool:
        return feature in features and rng.random() < probability

    count = int(rng.integers(1, 4))
    shape: tuple[int, int, int] | None = None
    if chance("convolution", 0.5):
        shape = (int(rng.integers(1, 4)), int(rng.integers(3, 6)), int(rng.integers(3, 6)))
    populations = [
        Population("input", int(np.prod(shape)) if shape else int(rng.integers(1, 13)), Source())
    ]
    projections: list[Projection] = []

    def join(
        source: Population, target: Population, least: int, connection: Connection | None = None
    ) -> None:
        if any(p.source == source.name and p.target == target.name for p in projections):
            return
        if connection is None:
            pairs = source.size * target.size
            connection = (
                Sparse(max(1, int(rng.integers(pairs + 1)))) if chance("sparse", 0.4) else Dense()
            )
        delay = least + (int(rng.integers(4)) if chance("delay", 0.4) else 0)
        spread = int(rng.integers(5)) if chance("synapse_delay", 0.3) else None
        per = "source" if rng.random() < 0.3 else "synapse"
        projections.append(
            Projection(
                source.name,
                target.name,
                delay,
                connection=connection,
                max_delay=None if spread is None else delay + spread,
                delay_per=per,  # type: ignore[arg-type]
            )
        )

    for number in range(count):
        before, last = populations[-1], number == count - 1
        convolution = (
            random_convolution(rng, shape) if shape and (not last or rng.random() < 0.5) else None
        )
        shape = convolution.output_shape if convolution else None
        size = int(np.prod(shape)) if shape else int(rng.integers(1, 13))
        readout = last and rng.random() < 0.4
        neuron = (
            Integrator(float(rng.choice([0.5, 0.93, 1.0])))
            if readout
            else random_neuron(rng, features)
        )
        channels = shape[0] if shape and rng.random() < 0.7 else None
        if readout and convolution:
            neuron = random_neuron(rng, features)
        population = Population(f"p{number}", size, neuron, channels)
        join(before, population, 0, convolution)
        populations.append(population)
        if isinstance(neuron, Integrator):
            continue
        if chance("recurrence", 0.4):
            join(population, population, 1)
        if number and chance("recurrence", 0.3):
            join(population, populations[-2], 1)
    for target in populations[2:]:
        if chance("skip", 0.4):
            join(populations[0], target, 0)
    modulations: list[Modulation] = []
    for number in range(int(rng.integers(1, 3)) if chance("astrocyte", 0.5) else 0):
        target = populations[int(rng.integers(1, len(populations)))]
        effects = ["gain", "threshold"] if isinstance(target.neuron, Lif) else ["gain"]
        effect = effects[int(rng.integers(len(effects)))]
        if isinstance(target.neuron, Astrocyte) or any(
            (m.target, m.effect) == (target.name, effect) for m in modulations
        ):
            continue
        size = int(rng.choice([d for d in range(1, target.size + 1) if target.size % d == 0]))
        neuron = Astrocyte(
            float(rng.choice([0.0, 0.5, 0.9, 0.96875, 1.0])), [None, 0.5][int(rng.integers(2))]
        )
        astrocyte = Population(
            f"astrocyte{number}", size, neuron, size if rng.random() < 0.3 else None
        )
        sources = [p for p in populations if p.neuron.spiking]
        for source in rng.permutation(len(sources))[: int(rng.integers(1, 3))]:
            join(sources[source], astrocyte, 0)
        modulations.append(
            Modulation(
                astrocyte.name,
                target.name,
                effect,
                1.0 if effect == "threshold" else float(rng.uniform(0.5, 3.9)),
            )  # type: ignore[arg-type]
        )
        populations.insert(int(rng.integers(1, len(populations))), astrocyte)
    return Network(tuple(populations), tuple(projections), modulations=tuple(modulations))


def _random_array(
    rng: np.random.Generator, network: Network, name: str, shape: tuple[int, ...]
) -> NDArray[Any]:
    owner, _, kind = name.rpartition(".")
    if kind in ("source", "target", "delay"):
        projection = next(p for p in network.projections if p.name == owner)
        if kind == "delay":
            assert projection.max_delay is not None
            return rng.integers(projection.delay, projection.max_delay + 1, shape)
        if kind == "target":  # drawn with its source, so that no pair comes twice
            return np.zeros(shape)
        sources = network.population(projection.source).size
        pairs = rng.permutation(sources * network.population(projection.target).size)[: shape[0]]
        return pairs % sources + 1j * (pairs // sources)
    if kind == "offset":
        return rng.uniform(-1.5, 1.5, shape)
    if kind == "threshold":
        return rng.uniform(0.5, 1.5, shape)
    if kind == "variance":
        return rng.uniform(0.5, 2.0, shape)
    return rng.normal(0.0, 0.6 if kind == "weight" else 0.1, shape)


def random_trained(
    rng: np.random.Generator,
    network: Network | None = None,
    steps: int = 7,
    dyadic: bool = False,
    each_neuron: bool = False,
) -> TrainedNetwork:
    """Random parameters;

    `dyadic` ones are multiples of 1/64, whose sums are exact in float64 in any order.

    each_neuron: some decays and reset values differ between neurons.
    """
    network = network or random_network(rng)
    parameters = {}
    for name, shape in network.shapes().items():
        array = _random_array(rng, network, name, shape)
        if name.endswith(".source"):
            parameters[name], parameters[name.removesuffix("source") + "target"] = (
                array.real,
                array.imag,
            )
            continue
        if name.endswith((".target", ".delay")):
            parameters.setdefault(name, array)
            continue
        lowest = 1 if name.endswith((".threshold", ".variance")) else -999
        parameters[name] = np.maximum(np.round(array * 64), lowest) / 64 if dyadic else array
    if each_neuron:
        for name, shape in network.optional_shapes().items():
            if name.endswith("decay") and rng.random() < 0.3:
                parameters[name] = rng.integers(0, 17, shape) / 16
            elif name.endswith("v_reset") and rng.random() < 0.3:
                parameters[name] = rng.integers(-16, 17, shape) / 64
    return TrainedNetwork(network, parameters, steps)


def random_stimulus(
    rng: np.random.Generator, network: Network, steps: int, samples: int, max_count: int = 1
) -> NDArray[np.uint8]:
    """Counts [time, sample, neuron]; some steps are empty and some have every input firing."""
    spikes = (rng.random((steps, samples, network.input.size)) < 0.3) * rng.integers(
        1, max_count + 1, (steps, samples, network.input.size)
    )
    kind = rng.random((steps, samples, 1))
    spikes = np.where(kind < 0.1, 0, np.where(kind > 0.9, max_count, spikes))
    return spikes.astype(np.uint8)
