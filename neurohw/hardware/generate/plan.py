# SPDX-License-Identifier: Apache-2.0
"""How a network is cut into hardware: populations, projections, lanes, memories, and the order in
which steps pass through them.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurohw.checks import at_least, choice, whole
from neurohw.connections import Convolution, Dense, Sparse
from neurohw.errors import Unsupported
from neurohw.fixedpoint import IntFormat
from neurohw.hardware.generate.layout import Layout, Rows, layout, projection_rows
from neurohw.hardware.generate.modulation import (
    PlannedModulation,
    addition_bits,
    check_layouts,
    layouts_with_astrocytes,
    modulated_parameters,
    plan_modulation,
    update_lanes,
)
from neurohw.hardware.generate.neuron import NEURONS, neuron_parameters
from neurohw.integers import QuantizedNetwork, QuantizedProjection
from neurohw.integers.widths import Drive
from neurohw.modulation import Modulation
from neurohw.network import GRAPH, Network, Population, Projection
from neurohw.neurons import Astrocyte, Integrator, Lif, Source
from neurohw.support import Implements, attributes

IMPLEMENTS = Implements(
    "the RTL generator",
    NEURONS
    | GRAPH
    | {
        Dense: attributes(),
        Sparse: attributes("synapses"),
        Convolution: attributes("input_shape channels kernel stride padding dilation groups"),
        Modulation: attributes("source target max_gain", effect=("threshold", "gain")),
    },
)
MEMORY_STYLES = ("auto", "distributed", "block", "registers")  # of nhw_memory.sv
BANK_ROWS = 1024
MAX_BANKS = 100
HIDDEN_RATE = 4
# more cost logic and Fmax, and save few clocks: the update hides behind the events
UPDATE_LANES = 4
# left to synthesis, which takes LUTs anyway; kept in LUTs
SHALLOW_WORDS, DISTRIBUTED_WORDS = 64, 256
MAX_STATE_BITS = 32
MAX_PROJECTIONS = 15
MAX_INPUTS = 32768  # bit 15 of a word from the host marks a barrier
MAX_NEURONS = 65536
MAX_DELAY_BEATS = 65536


@dataclass(frozen=True)
class PlannedProjection:
    """The hardware of one projection: its delay line, its address generator, and its share of the
    population's weight rows.

    feedback: its source comes at or after its target in the order of the step.
    delay_parameters: of `nhw_step_delay`, empty without a delay.
    """

    name: str
    source: str
    target: str
    core: str
    row_base: int
    feedback: bool
    rows: Rows
    parameters: dict[str, Any]
    delay_parameters: dict[str, Any]


@dataclass(frozen=True)
class PlannedPopulation:
    """The hardware of one population: every parameter of `nhw_population` by name, its layout, and
    the projections and modulations into it.
    """

    name: str
    parameters: dict[str, Any]
    layout: Layout
    projections: tuple[PlannedProjection, ...]
    modulations: tuple[PlannedModulation, ...] = ()

    @property
    def group_bits(self) -> int:
        """Bits of the group of an operation; with compressed rows there is one group."""
        return 1 if self.parameters["COMPRESSED"] else max(1, (self.layout.groups - 1).bit_length())


def hardware_order(network: Network) -> tuple[Population, ...]:
    """The populations after the input: each after those that reach it without delay, and fed by at
    least one that stands before it.

    The second is what tells a population that a sample ends.
    Raises Unsupported naming populations that no spike of the input can reach.
    """
    order: list[Population] = []
    placed = {network.input.name}
    waiting = list(network.populations[1:])
    while waiting:
        for population in waiting:
            incoming = network.into(population.name)
            ready = all(p.source in placed for p in incoming if p.delay == 0)
            if ready and any(p.source in placed for p in incoming):
                break
        else:
            names = ", ".join(p.name for p in waiting)
            raise Unsupported(
                f"populations {names}: the input cannot reach them, or only against the "
                "order of a step; the RTL needs it to end samples"
            )
        order.append(population)
        placed.add(population.name)
        waiting.remove(population)
    return tuple(order)


def check_supported(model: QuantizedNetwork) -> None:
    """Raise Unsupported, naming node and value, for what the cores cannot express."""
    network = model.network
    IMPLEMENTS.check(network, model.populations)
    order = hardware_order(network)
    if len(network.projections) > MAX_PROJECTIONS:
        raise Unsupported(
            f"{len(network.projections)} projections: the register map holds {MAX_PROJECTIONS}"
        )
    for projection in network.projections:
        connection = projection.connection
        if isinstance(connection, Convolution) and connection.dilation != (1, 1):
            raise Unsupported(
                f"projection {projection.name!r} has dilation {connection.dilation}: the RTL "
                "walks kernels of dilation 1"
            )
    for population in order:
        quantized = model.populations[population.name]
        exponents = {
            p.name: model.projections[p.name].exponent for p in network.into(population.name)
        }
        if len(set(exponents.values())) > 1:
            raise Unsupported(
                f"population {population.name!r}: its projections have different weight "
                f"exponents {exponents}, the RTL adds their weights directly"
            )
        shape = layout(population, network.into(population.name), 1)
        for projection in network.into(population.name):
            sources = network.population(projection.source).size
            if projection.max_delay is not None and isinstance(projection.connection, Convolution):
                projection_rows(
                    projection, model.projections[projection.name], sources, population, shape
                )
        readout = isinstance(population.neuron, Integrator) and not isinstance(
            population.neuron, Astrocyte
        )
        if readout and not shape.in_order:
            raise Unsupported(
                f"population {population.name!r}: integrators after a convolution cannot be "
                "read out; put a spiking population between"
            )
        for what, limits in (
            ("membrane", quantized.membrane),
            ("current", quantized.current),
            ("accumulator", quantized.accumulator),
        ):
            if limits.bits > MAX_STATE_BITS:
                raise Unsupported(
                    f"{what} of population {population.name!r} has {limits.bits} bits, at "
                    f"most {MAX_STATE_BITS} are supported: set a membrane cap"
                )
    places = {p.name: layout(p, network.into(p.name), 1) for p in order}
    check_layouts(network, layouts_with_astrocytes(network, places))
    for modulation in network.modulations:
        if modulation.effect == "threshold":
            addition_bits(model, modulation)
    for population in network.populations:
        most = MAX_INPUTS if population is network.input else MAX_NEURONS
        if population.size > most:
            raise Unsupported(
                f"population {population.name!r} has {population.size} neurons, at most "
                f"{most} have addresses"
            )


def _lanes(network: Network, population: Population, lanes: int, first_cost: int | None) -> int:
    """Lanes of a population: `lanes` for the first, for later dense ones as few as keep up with it.

    An event of the input costs ceil(N/lanes) clocks. Later populations see at most as many events
    as earlier neurons, of which few fire, so that one whose events cost no more than those of the
    first, per neuron of its sources, never holds up the pipeline. A spiking population is taken to
    see HIDDEN_RATE times as many: hidden neurons fire more often than inputs.
    """
    incoming = network.into(population.name)
    most = min(
        [
            lanes,
            population.size,
            *(p.connection.channels for p in incoming if isinstance(p.connection, Convolution)),
        ]
    )
    if first_cost is None or not all(isinstance(p.connection, Dense) for p in incoming):
        return most
    sources = sum(network.population(p.source).size for p in incoming)
    sources *= HIDDEN_RATE if isinstance(population.neuron, Lif) else 1
    return next(
        (n for n in range(1, most) if sources * -(-population.size // n) <= first_cost), most
    )


def _delays_are_shared(rows: Rows) -> bool:
    """True if all synapses of every row have one delay, as those of an axon."""
    there = rows.weights != 0
    least = np.where(there, rows.delays, np.iinfo(np.int64).max).min(axis=1)
    most = np.where(there, rows.delays, -1).max(axis=1)
    return bool(np.all((least == most) | ~there.any(axis=1)))


def _delay_parameters(
    projection: Projection, source: Population, most: int, feedback: bool, style: str
) -> dict[str, Any]:
    if projection.delay == 0:
        return {}
    beats = 1 << math.ceil(math.log2((projection.delay + 1) * (source.size * most + 1)))
    if beats > MAX_DELAY_BEATS:
        raise Unsupported(
            f"projection {projection.name!r}: {projection.delay} steps of up to "
            f"{source.size * most} spikes need {beats} beats of memory, {MAX_DELAY_BEATS} are "
            "supported"
        )
    return {
        "STEPS": projection.delay,
        "BEATS": beats,
        "INPUTS": source.size,
        "FEEDBACK": int(feedback),
        "MEMORY_STYLE": "auto" if beats > 64 and style == "distributed" else style,
    }


Incoming = tuple[Projection, Population, QuantizedProjection]  # with its source and its integers


def _compressed(own: list[Incoming], population: Population, place: Layout) -> bool:
    """True if the rows of a population name their targets, so that an event costs its fan-out and
    not the groups that it reaches.

    They do where all projections are sparse. A dense projection beside them decides by its cost,
    bits of the weight memory times clocks of one event of every
    source: an entry with its target is wider, a row of a group has empty lanes. The rows of a
        convolution are shared by all positions and never name targets.
    """
    kinds = {type(p.connection) for p, _, _ in own}
    if Sparse not in kinds or Convolution in kinds:
        return False
    if kinds == {Sparse}:
        return True
    costs = []
    for compressed in (False, True):
        every = [
            projection_rows(p, q, s.size, population, place, None, compressed) for p, s, q in own
        ]
        rows, slots = (
            sum(len(r.weights) for r in every),
            1 + max(int(r.delays.max()) for r in every),
        )
        bits = max(q.bits for _, _, q in own) + (slots - 1).bit_length()
        costs.append(rows**2 * (bits + compressed * (population.size - 1).bit_length()))
    return costs[1] < costs[0]


def _incoming(model: QuantizedNetwork, population: Population) -> list[Incoming]:
    network = model.network
    return [
        (p, network.population(p.source), model.projections[p.name])
        for p in network.into(population.name)
    ]


def _places(
    model: QuantizedNetwork, order: tuple[Population, ...], lanes: int
) -> tuple[dict[str, Layout], frozenset[str]]:
    """The layout of every population, and the names of those whose rows are compressed."""
    network = model.network
    places: dict[str, Layout] = {}
    compressed: set[str] = set()
    first_cost: int | None = None
    for population in order:
        own = _incoming(model, population)
        place = layout(
            population,
            network.into(population.name),
            _lanes(network, population, lanes, first_cost),
        )
        places[population.name] = place
        if _compressed(own, population, place):
            compressed.add(population.name)
        if first_cost is None:
            first_cost = network.input.size * place.groups
            if population.name in compressed:
                of_input = [(p, q, s.size) for p, s, q in own if s is network.input]
                first_cost = sum(
                    len(projection_rows(*entry, population, place, None, True).weights)
                    for entry in of_input
                )
    places = layouts_with_astrocytes(network, places)
    check_layouts(network, places)
    return places, frozenset(name for name in compressed if places[name].in_order)


def _lane_bits(
    planned: list[PlannedProjection], lanes: int, size: int, counts: dict[str, int]
) -> int:
    """Bits of the sum of one lane and one neuron over one step, from the weights that lie in the
    lane;

    counts: largest count of spikes by source.
    """
    lowest, highest = np.zeros((2, lanes, size), np.int64)
    for projection in planned:
        rows, count = projection.rows, counts.get(projection.source, 1)
        assert rows.targets is not None
        lane = np.broadcast_to(np.arange(lanes), rows.targets.shape)
        np.add.at(lowest, (lane, rows.targets), np.minimum(rows.weights, 0) * count)
        np.add.at(highest, (lane, rows.targets), np.maximum(rows.weights, 0) * count)
    return IntFormat.holding(int(lowest.min()), int(highest.max())).bits


def _sum_bits(model: QuantizedNetwork, own: list[Incoming]) -> int:
    """Bits of the sum over all projections of a population, which the hardware adds in one
    accumulator.
    """
    if len(own) == 1:
        return 1
    drives = []
    for projection, source, _ in own:
        count = model.max_count if source.name == model.network.input.name else 1
        drives.append(Drive.of(model.matrices(projection), 0, count))
    # neuron by neuron, as the width of the current is proved: the sum never has more bits than what
    # it becomes
    lowest, highest = sum(d.lowest for d in drives), sum(d.highest for d in drives)
    return IntFormat.holding(int(np.min(lowest)), int(np.max(highest))).bits


def _bank_rows(rows: int) -> int:
    """1024 suits the ECP5, and so does 2048 in columns of 9 bits instead of 18: up to four banks
    cost one LUT a bit, and deeper ones keep them few.
    """
    return max(
        BANK_ROWS * (2 if rows > 4 * BANK_ROWS else 1),
        1 << max(0, (rows - 1) // MAX_BANKS).bit_length(),
    )


def _state_style(style: str, words: int) -> str:
    """A block RAM of the ECP5 takes 5.8 ns to answer, and a multiplier or an adder stands behind
    it: states stay in LUTs where they are not deep.
    """
    return (
        "distributed" if style == "auto" and SHALLOW_WORDS < words <= DISTRIBUTED_WORDS else style
    )


CORES = {
    "Dense": "nhw_dense_rows",
    "Sparse": "nhw_sparse_rows",
    "Convolution": "nhw_convolution_rows",
}


def plan(
    model: QuantizedNetwork, lanes: int, memory_style: str = "auto"
) -> tuple[PlannedPopulation, ...]:
    """The populations in the order of the step, with every parameter of their modules.

    lanes: synaptic operations per clock of the first population.
    Raises Unsupported as `check_supported`.
    """
    lanes = whole("lanes", lanes, at_least(1), Unsupported)
    choice("memory_style", memory_style, MEMORY_STYLES, Unsupported)
    check_supported(model)
    network = model.network
    order = hardware_order(network)
    position = {network.input.name: -1} | {p.name: i for i, p in enumerate(order)}
    places, named = _places(model, order, lanes)
    lanes_of_update = update_lanes(network, places, named, UPDATE_LANES)
    result = []
    for number, population in enumerate(order):
        assert not isinstance(population.neuron, Source)
        quantized, own = model.populations[population.name], _incoming(model, population)
        place, compressed = places[population.name], population.name in named
        counts = [
            len(projection_rows(p, q, s.size, population, place, None, compressed).weights)
            for p, s, q in own
        ]
        row_bits = max(1, (sum(counts) - 1).bit_length())
        projections, base = [], 0
        for (projection, source, q), count in zip(own, counts, strict=True):
            rows = projection_rows(
                projection, q, source.size, population, place, row_bits, compressed
            )
            feedback = position[source.name] >= position[population.name]
            most = model.max_count if source.name == network.input.name else 1
            tables = {
                key: f"{projection.name}_{key.removesuffix('_FILE').lower()}.hex"
                for key in rows.tables
            }
            projections.append(
                PlannedProjection(
                    projection.name,
                    source.name,
                    population.name,
                    CORES["Sparse" if compressed else type(projection.connection).__name__],
                    base,
                    feedback,
                    rows,
                    {**rows.parameters, "ROW_BITS": row_bits, **tables},
                    _delay_parameters(projection, source, most, feedback, memory_style),
                )
            )
            base += count
        weight_bits = max(q.bits for _, _, q in own)
        slots = 1 << max(int(p.rows.delays.max()) for p in projections).bit_length()
        lane_bits = weight_bits
        if compressed:
            lane_bits = max(
                lane_bits,
                _lane_bits(
                    projections, place.lanes, population.size, {network.input.name: model.max_count}
                ),
            )
        parameters = {
            "LAYER_ID": number,
            "ROWS": base,
            "NEURONS": len(place.slots),
            "LANES": place.lanes,
            "UPDATE_LANES": lanes_of_update[population.name],
            "WEIGHT_BITS": weight_bits,
            "WEIGHT_EXPONENT": own[0][2].exponent,
            "ACCUMULATOR_BITS": max(quantized.accumulator.bits, lane_bits, _sum_bits(model, own)),
            "CURRENT_BITS": max(2, quantized.current.bits),
            "MEMBRANE_BITS": max(2, quantized.membrane.bits),
            **neuron_parameters(population, quantized),
            **modulated_parameters(model, population),
            "WEIGHT_FILE": f"{population.name}_weights_",
            "PARAMETER_FILE": f"{population.name}_parameters.hex",
            "BANK_ROWS": _bank_rows(base),
            "MEMORY_STYLE": memory_style,
            "STATE_STYLE": _state_style(
                memory_style, -(-len(place.slots) // lanes_of_update[population.name])
            ),
            "IN_ORDER": int(len(own) == 1 and isinstance(own[0][0].connection, Dense)),
            "SLOTS": slots,
            "SHARED_DELAYS": int(
                slots > 1
                and not compressed
                and all(_delays_are_shared(p.rows) for p in projections)
            ),
            "COMPRESSED": int(compressed),
            "LANE_BITS": lane_bits,
            "POSITIONS": place.positions,
            "WORDS_PER_POSITION": max(
                1, place.channel_groups * place.lanes // lanes_of_update[population.name]
            )
            if place.positions > 1
            else 1,
        }
        modulations = tuple(
            plan_modulation(model, m, places, lanes_of_update, memory_style)
            for m in network.modulations
            if m.target == population.name
        )
        result.append(
            PlannedPopulation(population.name, parameters, place, tuple(projections), modulations)
        )
    return tuple(result)
