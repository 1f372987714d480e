# SPDX-License-Identifier: Apache-2.0
"""Builders of liquids: who is connected to whom, and how strongly.

Equal arguments and seed give the same liquid.

grid_liquid          neurons on a grid, connected with a probability that falls with distance
(Maass, Natschlaeger & Markram 2002)
small_world_liquid   a ring of neighbours with rewired synapses (Watts & Strogatz 1998, with
directed synapses)
random_liquid        every pair with one probability, or every neuron with the same number of
sources
gaussian_reservoir   normally distributed weights of both signs, dense or sparse

Every synapse has a delay of one step. The first three obey Dale's law: the sign of a recurrent
weight is that of its source.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.checks import FRACTION, POSITIVE, SEED, Range, at_least, checked, real, whole
from neurohw.connections import Sparse
from neurohw.errors import InvalidModel
from neurohw.network import Network, Population, Projection, TrainedNetwork
from neurohw.neurons import Lif, Source
from neurohw.reservoir.liquid import NALSM_NEURON, Liquid, PerKind

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]
BLOCK = 1 << 22  # pairs that are drawn at once, to bound memory
NALSM_PROBABILITY = PerKind(ee=0.2, ei=0.1, ie=0.3, ii=0.05)
UNIT_WEIGHTS = PerKind(1.0, 1.0, 1.0, 1.0)


def _check_share(name: str, value: float) -> None:
    real(name, value, FRACTION)


def _check_sizes(inputs: int, neurons: int, steps: int, seed: int) -> None:
    for name, value in (("inputs", inputs), ("neurons", neurons), ("steps", steps)):
        whole(f"{name} of a liquid", value, at_least(1))
    whole("the seed of a liquid", seed, SEED)


def _blocks(rows: int, columns: int) -> Iterator[slice]:
    """Slices of rows with about BLOCK pairs each; the random numbers drawn for them do not depend
    on BLOCK.
    """
    height = max(1, BLOCK // columns)
    for start in range(0, rows, height):
        yield slice(start, min(start + height, rows))


def _inhibitory(neurons: int, excitatory: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """[neuron]: round((1 - excitatory) neurons) of them at random."""
    _check_share("excitatory", excitatory)
    inhibitory = np.zeros(neurons, np.bool_)
    inhibitory[rng.permutation(neurons)[: round((1 - excitatory) * neurons)]] = True
    return inhibitory


def _exact_share(
    sources: int, targets: int, density: float, rng: np.random.Generator
) -> tuple[Indices, Indices]:
    """(source, target) of round(density x pairs) different pairs, by source."""
    _check_share("density", density)
    pairs = sources * targets
    chosen = np.sort(rng.choice(pairs, round(density * pairs), replace=False, shuffle=False))
    source, target = np.divmod(chosen, targets)
    return source.astype(np.int64), target.astype(np.int64)


def _assemble(
    inputs: int,
    neuron: Lif,
    inhibitory: NDArray[np.bool_],
    positions: Floats | None,
    from_input: tuple[Indices, Indices, Floats],
    recurrent: tuple[Indices, Indices, Floats],
    steps: int,
    dt: float,
    info: dict[str, Any],
) -> Liquid:
    """The liquid of these synapses, (source, target, weight) each."""
    neurons = len(inhibitory)
    projections: list[Projection] = []
    parameters: dict[str, NDArray[Any]] = {
        "liquid.bias": np.zeros(neurons),
        "liquid.threshold": np.full(neurons, neuron.threshold),
    }
    for name, (source, target, weight) in (("input", from_input), ("liquid", recurrent)):
        if not len(weight):
            raise InvalidModel(
                f"projection '{name}_to_liquid': no synapse was drawn; raise its probability "
                "or density"
            )
        projections.append(Projection(name, "liquid", 1, connection=Sparse(len(weight))))
        arrays = {"weight": weight, "source": source, "target": target}
        parameters |= {f"{name}_to_liquid.{field}": array for field, array in arrays.items()}
    populations = (Population("input", inputs, Source()), Population("liquid", neurons, neuron))
    trained = TrainedNetwork(Network(populations, tuple(projections), dt), parameters, steps, info)
    return Liquid(trained, inhibitory, positions)


def _dale_liquid(
    inputs: int,
    neuron: Lif,
    inhibitory: NDArray[np.bool_],
    positions: Floats | None,
    recurrent: tuple[Indices, Indices],
    weight: PerKind,
    input_density: float,
    input_weight: float,
    steps: int,
    rng: np.random.Generator,
    info: dict[str, Any],
) -> Liquid:
    """Recurrent weights with the sign of their source; an exact share of all input pairs, with
    +-input_weight at random.
    """
    source, target = recurrent
    magnitude = weight.of(inhibitory[source], inhibitory[target])
    signed = np.where(inhibitory[source], -magnitude, magnitude)
    input_source, input_target = _exact_share(inputs, len(inhibitory), input_density, rng)
    input_signed = input_weight * rng.choice([-1.0, 1.0], len(input_source))
    from_input = (input_source, input_target, input_signed)
    return _assemble(
        inputs,
        neuron,
        inhibitory,
        positions,
        from_input,
        (source, target, signed),
        steps,
        1e-3,
        info,
    )


def _grid_synapses(
    shape: tuple[int, int, int],
    inhibitory: NDArray[np.bool_],
    probability: PerKind,
    length: float,
    rng: np.random.Generator,
) -> tuple[Indices, Indices]:
    """(source, target): each pair of different neurons with probability C exp(-(D / length)^2)."""
    neurons = len(inhibitory)
    place = np.indices(shape).reshape(3, -1)
    # exp(-D^2) is a product over the axes, and few distances exist along one: [place of the source,
    # place of the target]
    along = [
        np.exp(-((np.subtract.outer(np.arange(n), np.arange(n)) / length) ** 2)) for n in shape
    ]
    found: list[tuple[Indices, Indices]] = []
    for block in _blocks(neurons, neurons):
        x, y, z = (table[where] for table, where in zip(along, place[:, block], strict=True))
        near = (x[:, :, None, None] * y[:, None, :, None] * z[:, None, None, :]).reshape(
            -1, neurons
        )
        near *= probability.of(inhibitory[block, None], inhibitory[None])
        near[np.arange(len(near)), np.arange(block.start, block.stop)] = 0.0
        source, target = np.nonzero(rng.random(near.shape) < near)
        found.append((source + block.start, target))
    return np.concatenate([s for s, _ in found]), np.concatenate([t for _, t in found])


def grid_liquid(
    inputs: int,
    shape: tuple[int, int, int] = (10, 10, 10),
    neuron: Lif = NALSM_NEURON,
    excitatory: float = 0.8,
    probability: PerKind = NALSM_PROBABILITY,
    length: float = 3.0,
    weight: PerKind = UNIT_WEIGHTS,
    input_density: float = 0.15,
    input_weight: float = 1.0,
    steps: int = 250,
    seed: int = 0,
) -> Liquid:
    """Neurons on a grid, numbered [x, y, z]: i -> j with probability C exp(-(D/length)^2), D their
    Euclidean distance in grid units; no self loops.

    inputs: input neurons.
    excitatory: share of excitatory neurons, placed at random.
    probability: C by kind of synapse.
    weight: |w| by kind.
    input_density: exactly this share of all pairs (input, neuron), with weights +-input_weight at
        random.
    steps: of one sample. The defaults are those of Ivanov & Michmizos (NeurIPS 2021), dt 1 ms.
    Raises InvalidModel for values out of range.
    """
    shape = checked("shape of a grid", shape, tuple[int, int, int], at_least(1))
    _check_sizes(inputs, math.prod(shape), steps, seed)
    real("length of connections, in grid units,", length, POSITIVE)
    checked("probability", probability, PerKind)
    for kind in ("ee", "ei", "ie", "ii"):
        _check_share(f"probability.{kind}", getattr(probability, kind))
    for_signs, for_recurrent, for_input = np.random.default_rng(seed).spawn(3)
    positions = np.indices(shape).reshape(3, -1).T.astype(np.float64)
    inhibitory = _inhibitory(len(positions), excitatory, for_signs)
    recurrent = _grid_synapses(shape, inhibitory, probability, length, for_recurrent)
    info = {"topology": "grid", "shape": list(shape), "length": length, "seed": seed}
    common = (weight, input_density, input_weight, steps, for_input, info)
    return _dale_liquid(inputs, neuron, inhibitory, positions, recurrent, *common)


def _small_world_synapses(
    neurons: int, neighbours: int, rewiring: float, rng: np.random.Generator
) -> tuple[Indices, Indices]:
    """(source, target) of a ring whose synapses were rewired to targets of which each is free and
    no source its own.
    """
    offsets = np.concatenate([np.arange(-(neighbours // 2), 0), np.arange(1, neighbours // 2 + 1)])
    source = np.repeat(np.arange(neurons), neighbours)
    target = (source + np.tile(offsets, neurons)) % neurons
    rewired = rng.random(len(source)) < rewiring
    again = rewired.copy()
    while again.any():
        target[again] = rng.integers(neurons, size=np.count_nonzero(again))
        pair = source * neurons + target
        # those that stayed stand before those that were rewired onto them
        order = np.lexsort((rewired, pair))
        again[:] = False
        again[order[1:]] = pair[order[1:]] == pair[order[:-1]]
        again |= source == target
    order = np.lexsort((target, source))
    return source[order], target[order]


def small_world_liquid(
    inputs: int,
    neurons: int = 1000,
    neighbours: int = 20,
    rewiring: float = 0.1,
    neuron: Lif = NALSM_NEURON,
    excitatory: float = 0.8,
    weight: PerKind = UNIT_WEIGHTS,
    input_density: float = 0.15,
    input_weight: float = 1.0,
    steps: int = 250,
    seed: int = 0,
) -> Liquid:
    """Neurons on a ring, each with synapses to its `neighbours` nearest (half on either side), of
    which each gets a random new target with probability `rewiring`.

    rewiring 0 is a regular ring, 1 a random graph of fixed out-degree; no self loops, no two
    synapses of one pair. The rest is as in `grid_liquid`.
    Raises InvalidModel for values out of range, and for more neighbours than other neurons leave
    room for.
    """
    _check_sizes(inputs, neurons, steps, seed)
    _check_share("rewiring", rewiring)
    whole("neighbours", neighbours, at_least(2))
    if neighbours < 2 or neighbours % 2 or neighbours > (neurons - 1) // 2:
        raise InvalidModel(
            f"neighbours must be even, at least 2 and at most half of the {neurons - 1} "
            f"other neurons, not {neighbours}"
        )
    for_signs, for_recurrent, for_input = np.random.default_rng(seed).spawn(3)
    inhibitory = _inhibitory(neurons, excitatory, for_signs)
    recurrent = _small_world_synapses(neurons, neighbours, rewiring, for_recurrent)
    info = {"topology": "small world", "neighbours": neighbours, "rewiring": rewiring, "seed": seed}
    common = (weight, input_density, input_weight, steps, for_input, info)
    return _dale_liquid(inputs, neuron, inhibitory, None, recurrent, *common)


def _random_synapses(
    neurons: int, probability: float | None, in_degree: int | None, rng: np.random.Generator
) -> tuple[Indices, Indices]:
    """(source, target): every pair with `probability`, or `in_degree` different sources of every
    target; no self loops.
    """
    sources: list[Indices] = []
    targets: list[Indices] = []
    for block in _blocks(neurons, neurons):
        drawn = rng.random((block.stop - block.start, neurons))
        drawn[np.arange(len(drawn)), np.arange(block.start, block.stop)] = np.inf
        if probability is not None:
            target, source = np.nonzero(drawn < probability)
        else:
            assert in_degree is not None
            source = np.argpartition(drawn, in_degree - 1, axis=1)[:, :in_degree].ravel()
            target = np.repeat(np.arange(len(drawn)), in_degree)
        sources.append(source)
        targets.append(target + block.start)
    source, target = np.concatenate(sources), np.concatenate(targets)
    order = np.lexsort((target, source))
    return source[order], target[order]


def random_liquid(
    inputs: int,
    neurons: int = 1000,
    probability: float | None = None,
    in_degree: int | None = None,
    neuron: Lif = NALSM_NEURON,
    excitatory: float = 0.8,
    weight: PerKind = UNIT_WEIGHTS,
    input_density: float = 0.15,
    input_weight: float = 1.0,
    steps: int = 250,
    seed: int = 0,
) -> Liquid:
    """Every pair of different neurons is connected with `probability`, or every neuron has exactly
    `in_degree` sources; one of the two is given.

    The rest is as in `grid_liquid`.
    Raises InvalidModel for both or neither, and for values out of range.
    """
    _check_sizes(inputs, neurons, steps, seed)
    if (probability is None) == (in_degree is None):
        raise InvalidModel(
            "random_liquid takes either probability or in_degree, not "
            f"probability={probability}, in_degree={in_degree}"
        )
    if probability is not None:
        _check_share("probability", probability)
    if in_degree is not None:
        whole("in_degree, of the other neurons,", in_degree, Range(1, neurons - 1))
    for_signs, for_recurrent, for_input = np.random.default_rng(seed).spawn(3)
    inhibitory = _inhibitory(neurons, excitatory, for_signs)
    recurrent = _random_synapses(neurons, probability, in_degree, for_recurrent)
    info = {"topology": "random", "probability": probability, "in_degree": in_degree, "seed": seed}
    common = (weight, input_density, input_weight, steps, for_input, info)
    return _dale_liquid(inputs, neuron, inhibitory, None, recurrent, *common)


def gaussian_reservoir(
    inputs: int,
    neurons: int = 200,
    scale: float = 0.07,
    input_scale: float | None = None,
    density: float = 1.0,
    input_density: float = 1.0,
    neuron: Lif | None = None,
    steps: int = 50,
    seed: int = 0,
) -> Liquid:
    """Weights N(0, scale^2) of both signs on exactly the share `density` of all pairs, a neuron and
    itself among them.

    scale, input_scale: standard deviation of recurrent and input weights (equal unless given).
    neuron: Lif(decay 0.9, threshold 5, hard reset) unless given: v[t] = decay v[t-1] (1 - s[t-1]) +
        W_in x + W s. The fixed random encoder of resistive-memory liquid state machines; scale is
        chosen per task. No neuron is inhibitory as a whole.
    Raises InvalidModel for values out of range.
    """
    input_scale = scale if input_scale is None else input_scale
    _check_sizes(inputs, neurons, steps, seed)
    for name, value in (("scale", scale), ("input_scale", input_scale)):
        real(f"{name} of normal weights", value, POSITIVE)
    for_recurrent, for_input = np.random.default_rng(seed).spawn(2)
    drawn = []
    for rng, sources, share, spread in (
        (for_input, inputs, input_density, input_scale),
        (for_recurrent, neurons, density, scale),
    ):
        source, target = _exact_share(sources, neurons, share, rng)
        drawn.append((source, target, rng.normal(0.0, spread, len(source))))
    neuron = neuron or Lif(decay=0.9, threshold=5.0, reset="hard")
    info = {
        "topology": "gaussian",
        "scale": scale,
        "input_scale": input_scale,
        "density": density,
        "seed": seed,
    }
    return _assemble(
        inputs, neuron, np.zeros(neurons, np.bool_), None, drawn[0], drawn[1], steps, 1e-3, info
    )
