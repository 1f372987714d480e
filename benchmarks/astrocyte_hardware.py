# SPDX-License-Identifier: Apache-2.0
"""What astrocytes cost in hardware:

64 inputs, 64 Lif neurons and 10 integrators on the open ECP5 flow, with and without gains.

    python benchmarks/astrocyte_hardware.py WORK [--lanes 8] [--out
        benchmarks/astrocyte_hardware.md]

int4 weights, all drawn from a seed; 100 steps, 10 % of the inputs fire in each. The astrocyte
(decay 31/32) scales the input of the Lif neurons; it has a domain for every neuron or one for all,
and is fed by the Lif neurons (a loop) or by the input (none). Place and route is nextpnr-ecp5 with
--85k --package CABGA381 --freq 100 --seed 1 on the plain network top, AXI4-Lite registers and
counters included. Clocks per step are those of 20 samples with the pipeline full, divided by their
steps.

The floor of the clocks without a loop: what the busiest population does in a step, ceil(size /
lanes) for every event and a drain for every update word.

WORK: folder for the generated files.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from outputs import write_page

from neurohw import (
    Astrocyte,
    Integrator,
    Lif,
    Modulation,
    Network,
    Population,
    Projection,
    Source,
    TrainedNetwork,
    quantize,
    run_golden,
)
from neurohw.hardware.build import place_and_route_network, tool_versions
from neurohw.hardware.generate import emit
from neurohw.hardware.verify import verify
from neurohw.integers import QuantizedNetwork

STEPS, SAMPLES, INPUTS, CELLS, OUTPUTS = 100, 20, 64, 64, 10
# name, domains, source of the astrocyte's spikes, and whether it is placed and routed
VARIANTS = (
    ("no astrocyte", 0, "", True),
    ("64 domains, fed by the neurons", 64, "cells", True),
    ("1 domain, fed by the neurons", 1, "cells", True),
    ("64 domains, fed by the input", 64, "input", False),
    ("1 domain, fed by the input", 1, "input", False),
)


def network(domains: int, source: str) -> Network:
    """The network, with an astrocyte where there are domains."""
    populations = [
        Population("input", INPUTS, Source()),
        Population("cells", CELLS, Lif(decay=0.5)),
    ]
    projections = [Projection("input", "cells"), Projection("cells", "output")]
    modulations = []
    if domains:
        populations.append(Population("astrocyte", domains, Astrocyte(decay=0.96875)))
        projections.append(Projection(source, "astrocyte"))
        modulations.append(Modulation("astrocyte", "cells", "gain", 2.0))
    populations.append(Population("output", OUTPUTS, Integrator(0.75)))
    return Network(tuple(populations), tuple(projections), modulations=tuple(modulations))


def model_of(domains: int, source: str) -> QuantizedNetwork:
    """Weights from a seed, the same for all variants in what they share; gains around 1."""
    rng, made = np.random.default_rng(0), network(domains, source)
    parameters: dict[str, Any] = {}
    for name, shape in made.shapes().items():
        kind = name.rpartition(".")[2]
        if kind != "weight":
            parameters[name] = np.full(shape, 1.6 if kind == "threshold" else 0.0)
        elif not name.startswith(("cells_to_astrocyte", "input_to_astrocyte")):
            parameters[name] = rng.normal(0.05, 0.4, shape)
    for name, shape in made.shapes().items():
        if name not in parameters:
            weight = rng.normal(0.0, 0.015, shape)
            parameters[name] = weight - weight.mean(axis=1, keepdims=True)
    return quantize(TrainedNetwork(made, parameters, STEPS), 4)


def column(domains: int, source: str, route: bool, lanes: int, folder: Path) -> dict[str, str]:
    """One column of the table by row."""
    model = model_of(domains, source)
    spikes = (np.random.default_rng(1).random((STEPS, SAMPLES, INPUTS)) < 0.1).astype(np.uint8)
    package = emit(model, lanes)
    package.write(folder)
    result = verify(folder, model, spikes, states=True)
    golden = run_golden(model, spikes)
    hardware = dict.fromkeys(
        ("COMB", "FF", "EBR", "DSP (MULT18X18D)", "Fmax", "steps per second"), "–"
    )
    clocks = result.cycles_per_inference / STEPS
    floors = []
    for layer in package.layers():
        p, name = layer["parameters"], layer["population"]
        events = sum(golden.spikes[q.source].sum() for q in model.network.into(name)) / (
            STEPS * SAMPLES
        )
        floors.append(
            events * -(-p["NEURONS"] // p["LANES"]) + -(-p["NEURONS"] // p["UPDATE_LANES"])
        )
    if route:
        routed = folder.with_name(folder.name + "-route")
        cells, fmax = place_and_route_network(folder, package.sources(), routed, seed=1)
        multipliers = json.loads((routed / "route.json").read_text())["utilization"]["MULT18X18D"][
            "used"
        ]
        values = (
            *(f"{cells[kind][0]:,}" for kind in ("lut", "ff", "bram")),
            f"{multipliers}",
            f"{fmax:.1f} MHz",
        )
        hardware = dict(zip(hardware, (*values, f"{1e6 * fmax / clocks:,.0f}"), strict=True))
    return {
        "golden = RTL": (
            f"{result.mismatches} mismatches in "
            f"{result.spikes_compared + result.states_compared:,} values"
        ),
        "density of the Lif neurons": f"{100 * golden.spikes['cells'].mean():.1f} %",
        "clocks per step": f"{clocks:.1f}",
        "floor without a loop": f"{max(floors):.1f}, ratio {clocks / max(floors):.2f}",
        **hardware,
    }


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("--lanes", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    columns = []
    for number, (name, domains, source, route) in enumerate(VARIANTS):
        columns.append(
            column(domains, source, route, arguments.lanes, arguments.work / f"variant{number}")
        )
        print(name, columns[-1], flush=True)
    lines = [
        "# Astrocytes in hardware",
        "",
        "`python benchmarks/astrocyte_hardware.py WORK` writes this page.",
        "",
        f"| {INPUTS}-{CELLS}-{OUTPUTS}, int4, {arguments.lanes} lanes | "
        + " | ".join(v[0] for v in VARIANTS)
        + " |",
        "|---|" + "---|" * len(VARIANTS),
    ]
    lines += [f"| {key} | " + " | ".join(c[key] for c in columns) + " |" for key in columns[0]]
    lines += [
        "",
        "Tools: " + ", ".join(f"{tool} {version}" for tool, version in tool_versions().items()),
        "",
    ]
    write_page(arguments.out, "\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
