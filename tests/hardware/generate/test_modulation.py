# SPDX-License-Identifier: Apache-2.0
"""Modulations in hardware: walked as the core walks them, the update words of a population meet the
domains of its neurons.
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurohw import Astrocyte, Lif, Modulation, Network, Population, Projection, Source, quantize
from neurohw.connections import Convolution
from neurohw.errors import Unsupported
from neurohw.hardware.generate import emit
from neurohw.hardware.generate.plan import PlannedPopulation, check_supported, plan
from neurohw.integers import QuantizedModulation, QuantizedNetwork
from tests.random_networks import random_convolution, random_trained


def modulated(
    target: Population,
    domains: dict[str, int],
    connection: Convolution | None = None,
    inputs: int = 6,
) -> Network:
    """input -> cells and input -> one astrocyte of so many domains for every effect."""
    astrocytes = tuple(
        Population(f"astro_{effect}", size, Astrocyte(0.9)) for effect, size in domains.items()
    )
    into = (
        Projection("input", "cells")
        if connection is None
        else Projection("input", "cells", connection=connection)
    )
    return Network(
        (Population("input", inputs, Source()), *astrocytes, target),
        (into, *(Projection("input", a.name) for a in astrocytes)),
        modulations=tuple(Modulation(f"astro_{effect}", "cells", effect) for effect in domains),
    )


def quantized(network: Network, seed: int = 0) -> QuantizedNetwork:
    return quantize(random_trained(np.random.default_rng(seed), network), 4)


def assert_the_walk_meets_the_domains(
    planned: tuple[PlannedPopulation, ...], network: Network
) -> None:
    by_name = {p.name: p for p in planned}
    assert sum(len(p.modulations) for p in planned) == len(network.modulations)
    for modulation in (m for p in planned for m in p.modulations):
        p, target, source = (
            modulation.parameters,
            by_name[modulation.target],
            by_name[modulation.source],
        )
        block = network.population(target.name).size // network.population(source.name).size
        assert p["LANES"] == source.parameters["UPDATE_LANES"]
        assert p["TARGET_LANES"] == target.parameters["UPDATE_LANES"]
        assert p["WORDS"] == -(-source.parameters["NEURONS"] // p["LANES"])
        for slot, neuron in enumerate(target.layout.slots):
            word, lane = divmod(slot, p["TARGET_LANES"])
            turn = word % p["PERIOD"] // p["REPEAT"]
            place = turn if p["SHARED"] else turn * p["LANES"] + lane
            assert neuron < 0 or source.layout.slots[place] == neuron // block, (
                modulation.name,
                slot,
            )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_walks_meet_the_domains(seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs, connection, size = 6, None, int(rng.integers(1, 40))
    if rng.random() < 0.5:
        shape = (int(rng.integers(1, 5)), int(rng.integers(3, 7)), int(rng.integers(3, 7)))
        inputs, connection = int(np.prod(shape)), random_convolution(rng, shape)
        size = int(np.prod(connection.output_shape))
    channels = connection.channels if connection else size
    sizes = [d for d in range(1, size + 1) if size % d == 0 and (channels % d == 0 or d == size)]
    domains = {
        effect: int(rng.choice(sizes))
        for effect in ("gain", "threshold")[: int(rng.integers(1, 3))]
    }
    network = modulated(Population("cells", size, Lif()), domains, connection, inputs)
    model = quantized(network, seed % 1000)
    check_supported(model)
    assert_the_walk_meets_the_domains(plan(model, int(rng.integers(1, 12))), network)


def test_one_astrocyte_and_two_populations_agree_on_their_lanes() -> None:
    """6 neurons each on 4 lanes and 9 blocks of 2 on 6: two lanes for all."""
    network = Network(
        (
            Population("input", 50, Source()),
            Population("astro", 18, Astrocyte(0.5)),
            Population("cells", 36, Lif()),
            Population("output", 18, Lif()),
        ),
        (Projection("input", "cells"), Projection("cells", "output"), Projection("cells", "astro")),
        modulations=(
            Modulation("astro", "cells", "gain"),
            Modulation("astro", "output", "threshold"),
        ),
    )
    planned = plan(quantized(network), 6)
    lanes = {p.name: p.parameters["UPDATE_LANES"] for p in planned}
    assert lanes["cells"] == 2 and lanes["astro"] == lanes["output"] > 1
    assert_the_walk_meets_the_domains(planned, network)


def test_images_hold_offsets_and_table() -> None:
    """Offsets of 4 domains, the lowest lane first; the table of the gain, entry 127 the largest."""
    model = quantized(modulated(Population("cells", 8, Lif()), {"gain": 4}))
    package = emit(model, 8)
    (entry,) = package.manifest["modulations"]
    assert (entry["modulation"], entry["source"], entry["target"]) == (
        "astro_gain_gain_cells",
        "astro_gain",
        "cells",
    )
    p, offset = entry["parameters"], model.populations["astro_gain"].offset
    assert offset is not None
    words = [int(line, 16) for line in package.files[p["OFFSET_FILE"]].split()]
    bits = p["OFFSET_BITS"]
    fields = [word >> bits * lane & (1 << bits) - 1 for word in words for lane in range(p["LANES"])]
    assert fields == (offset & (1 << bits) - 1).tolist()
    table = model.modulations["astro_gain_gain_cells"].table
    assert table is not None
    assert [int(line, 16) for line in package.files[p["TABLE_FILE"]].split()] == table.tolist()


def test_a_network_without_astrocytes_has_no_core_of_them() -> None:
    network = Network(
        (Population("input", 4, Source()), Population("cells", 3, Lif())),
        (Projection("input", "cells"),),
    )
    package = emit(quantized(network))
    assert (
        b"nhw_modulation" not in package.files["nhw_network.sv"]
        and package.manifest["modulations"] == []
    )


def test_refusals_name_the_modulation() -> None:
    image = Convolution((1, 4, 4), 2, (1, 1))
    network = modulated(Population("cells", 32, Lif()), {"gain": 4}, image, 16)
    with pytest.raises(
        Unsupported,
        match="'astro_gain_gain_cells': a domain of 8 neurons is neither a neuron nor whole",
    ):
        check_supported(quantized(network))
    # an astrocyte that is an image itself, and a population that is not
    flat = Network(
        (
            Population("input", 16, Source()),
            Population("astro", 32, Astrocyte()),
            Population("cells", 32, Lif()),
        ),
        (Projection("input", "astro", connection=image), Projection("input", "cells")),
        modulations=(Modulation("astro", "cells", "gain"),),
    )
    with pytest.raises(
        Unsupported,
        match="'astro_gain_cells': the neurons of 'astro' and of 'cells' lie in different",
    ):
        check_supported(quantized(flat))
    # both the same image: they lie alike
    both = dataclasses.replace(
        flat,
        projections=tuple(Projection("input", n, connection=image) for n in ("astro", "cells")),
    )
    assert_the_walk_meets_the_domains(plan(quantized(both), 5), both)
    model = quantized(modulated(Population("cells", 8, Lif()), {"threshold": 4}))
    wide = dataclasses.replace(
        model, modulations={"astro_threshold_threshold_cells": QuantizedModulation(-40)}
    )
    with pytest.raises(
        Unsupported, match="'astro_threshold_threshold_cells': a threshold may rise by a value of"
    ):
        check_supported(wide)
