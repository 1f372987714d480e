# SPDX-License-Identifier: Apache-2.0
"""How astrocytes reach the populations that they modulate: common update lanes, and the parameters
and images of `nhw_modulation`.

The population reads, for every update word, one value for all lanes (SHARED) or one per lane. What
is possible follows from how many neighbouring slots of the population lie in one domain of the
astrocyte: its run.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from neurohw.connections import Convolution
from neurohw.errors import Unsupported
from neurohw.fixedpoint import IntArray, IntFormat
from neurohw.hardware.generate.layout import Layout
from neurohw.integers import QuantizedNetwork
from neurohw.integers.quantized import GAIN_BITS
from neurohw.modulation import Modulation
from neurohw.network import Network, Population
from neurohw.neurons import Astrocyte

MAX_ADDITION_BITS = 32


@dataclass(frozen=True)
class PlannedModulation:
    """The hardware of one modulation: the parameters of `nhw_modulation`, the offset in every slot
    of the astrocyte, and the table of a gain.
    """

    name: str
    source: str
    target: str
    parameters: dict[str, Any]
    offsets: IntArray
    table: IntArray | None


def run_length(modulation: Modulation, domains: int, target: Population, place: Layout) -> int:
    """Neighbouring slots of the target (of one place of its image) that lie in one domain;

    0: all slots do.

    Unsupported where a domain is a part of a channel of an image.
    """
    block = target.size // domains
    if domains == 1:
        return 0
    if place.in_order or block == 1:
        return block
    if block % place.positions:
        raise Unsupported(
            f"modulation {modulation.name!r}: a domain of {block} neurons is neither a neuron "
            f"nor whole channels of the {place.positions} positions of population "
            f"{target.name!r}; use one domain, one for every channel, or one for every neuron"
        )
    return block // place.positions


def layouts_with_astrocytes(network: Network, places: Mapping[str, Layout]) -> dict[str, Layout]:
    """The layouts, but astrocytes with a domain for every neuron or channel of a population have
    its lanes, and lie as its image does.
    """
    result = dict(places)
    for modulation in network.modulations:
        source, target = (
            network.population(modulation.source),
            network.population(modulation.target),
        )
        place = places[target.name]
        own_image = any(isinstance(p.connection, Convolution) for p in network.into(source.name))
        if not own_image and run_length(modulation, source.size, target, place) == 1:
            image = source.size == target.size and not place.in_order
            result[source.name] = (
                place if image else replace(places[source.name], lanes=place.lanes)
            )
    return result


def check_layouts(network: Network, places: Mapping[str, Layout]) -> None:
    """Raise Unsupported, naming the modulation, where an astrocyte does not lie as the population
    reads it.
    """
    for modulation in network.modulations:
        source, target = (
            network.population(modulation.source),
            network.population(modulation.target),
        )
        run_length(modulation, source.size, target, places[target.name])
        wanted = (
            places[target.name].slots if source.size == target.size else tuple(range(source.size))
        )
        if places[source.name].slots != wanted:
            raise Unsupported(
                f"modulation {modulation.name!r}: the neurons of {source.name!r} and of "
                f"{target.name!r} lie in different orders, because one of them is the image of a "
                "convolution"
            )


def update_lanes(
    network: Network, places: Mapping[str, Layout], compressed: Collection[str], most: int
) -> dict[str, int]:
    """Update lanes of every population: as many as `most` allows, of which a word lies in one
    domain, or an astrocyte has as many as its target.

    They divide the lanes, but for populations with compressed rows, whose lanes belong to no slots.
    """
    numbers = range(1, most + 1)
    allowed = {
        name: {
            n
            for n in numbers
            if (n <= len(place.slots) if name in compressed else place.lanes % n == 0)
        }
        for name, place in places.items()
    }
    equal = []
    for modulation in network.modulations:
        source, target = (
            network.population(modulation.source),
            network.population(modulation.target),
        )
        run = run_length(modulation, source.size, target, places[target.name])
        if run == 1:
            equal.append((source.name, target.name))
        elif run:
            allowed[target.name] &= {n for n in numbers if run % n == 0}
    for _ in equal:  # a chain of n pairs is equal after n turns
        for pair in equal:
            common = allowed[pair[0]] & allowed[pair[1]]
            allowed |= dict.fromkeys(pair, common)
    return {name: max(found) for name, found in allowed.items()}


def addition_bits(model: QuantizedNetwork, modulation: Modulation) -> int:
    """Bits of the largest rise of a threshold. Unsupported beyond MAX_ADDITION_BITS."""
    astrocyte, shift = (
        model.populations[modulation.source],
        model.modulations[modulation.name].shift,
    )
    assert astrocyte.offset is not None
    level = max(astrocyte.membrane.max + int(astrocyte.offset.max()), 1)
    bits = max(1, (level >> shift if shift >= 0 else level << -shift).bit_length())
    if bits > MAX_ADDITION_BITS:
        raise Unsupported(
            f"modulation {modulation.name!r}: a threshold may rise by a value of {bits} "
            f"bits, at most {MAX_ADDITION_BITS} are supported"
        )
    return bits


def modulated_parameters(model: QuantizedNetwork, population: Population) -> dict[str, int]:
    """What `nhw_population` is told of modulations."""
    network = model.network
    rise = network.modulation(population.name, "threshold")
    return {
        "MODULATES": int(isinstance(population.neuron, Astrocyte)),
        "GAIN": int(network.modulation(population.name, "gain") is not None),
        "ADDITION": int(rise is not None),
        "ADDITION_BITS": 1 if rise is None else addition_bits(model, rise),
    }


def plan_modulation(
    model: QuantizedNetwork,
    modulation: Modulation,
    places: Mapping[str, Layout],
    lanes: Mapping[str, int],
    memory_style: str,
) -> PlannedModulation:
    """The core of one modulation."""
    name, network = modulation.name, model.network
    source, target = network.population(modulation.source), network.population(modulation.target)
    quantized, astrocyte = model.modulations[name], model.populations[source.name]
    assert astrocyte.offset is not None
    from_place, to_place = places[source.name], places[target.name]
    run = run_length(modulation, source.size, target, to_place)
    per_position = to_place.channel_groups * to_place.lanes // lanes[target.name]
    # the values follow one another through all words of a step
    whole = to_place.in_order or source.size == target.size
    gain = modulation.effect == "gain"
    slots = np.array(from_place.slots)
    offsets = np.where(slots >= 0, source.expand(astrocyte.offset)[slots], 0)
    parameters = {
        "LANES": lanes[source.name],
        "WORDS": -(-len(slots) // lanes[source.name]),
        "MEMBRANE_BITS": max(2, astrocyte.membrane.bits),
        "OFFSET_BITS": IntFormat.holding(int(offsets.min()), int(offsets.max())).bits,
        "GAIN": int(gain),
        "SHIFT": abs(quantized.shift),
        "LEFT": int(quantized.shift < 0),
        "VALUE_BITS": GAIN_BITS if gain else addition_bits(model, modulation),
        "TARGET_LANES": lanes[target.name],
        "SHARED": int(run != 1),
        "REPEAT": max(1, run // lanes[target.name]),
        "PERIOD": 1
        if run == 0
        else -(-len(to_place.slots) // lanes[target.name])
        if whole
        else per_position,
        "OFFSET_FILE": f"{name}_offsets.hex",
        "TABLE_FILE": f"{name}_table.hex" if gain else "",
        "MEMORY_STYLE": memory_style,
    }
    return PlannedModulation(name, source.name, target.name, parameters, offsets, quantized.table)
