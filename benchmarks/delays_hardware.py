# SPDX-License-Identifier: Apache-2.0
"""Delays of single synapses in hardware: an SHD-sized network on the open ECP5 flow, and the spoken
digits on the official test split.

    python benchmarks/delays_hardware.py WORK [--spikes fsdd_spikes64.npz --model TRAINED4] [--lanes
        32] [--out benchmarks/delays_hardware.md]

The SHD-sized network is 700-256-256-20 with int4 weights and delays of 0 to 24 steps, all drawn
from a seed; 100 steps, 5 % of the inputs fire in each, and thresholds set so that hidden neurons
do, too. Resources and Fmax do not depend on the values. Place and route is nextpnr-ecp5 with --85k
--package CABGA381 --freq 100 --seed 1 on the plain network top, AXI4-Lite registers and counters
included. Samples per second are Fmax over clocks per sample with the pipeline full. The floor of
the clocks: an event costs ceil(256 / lanes) in each hidden population, and both work at the same
time.

WORK: folder for the generated files. MODEL: a trained network with its learned steps, as
benchmarks/spoken_digits.py leaves it in `trained4`.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from outputs import write_page

from neurohw import Lif, TrainedNetwork, first_mismatch, load_trained, quantize
from neurohw.data import spoken_digits
from neurohw.engines import ENGINES
from neurohw.golden.native import run_native
from neurohw.hardware.build import place_and_route_network, tool_versions
from neurohw.hardware.generate import emit
from neurohw.hardware.verify import verify
from neurohw.integers import QuantizedNetwork
from neurohw.readout import accuracy
from neurohw.train.recipes import delayed, spoken_digits_recipe

PUBLISHED = "104 samples/s at 125 MHz (arXiv 2511.01158, SHD 93.4 %)"
CLIPS = 100  # compared in Brian2 and Lava


def shd_sized(seed: int = 0) -> tuple[QuantizedNetwork, Any]:
    """The network, and 20 samples of spikes."""
    rng = np.random.default_rng(seed)
    network = delayed([700, 256, 256, 20], Lif(decay=0.5), 25)
    parameters: dict[str, Any] = {}
    for name, shape in network.shapes().items():
        kind = name.rpartition(".")[2]
        if kind == "weight":
            parameters[name] = rng.normal(size=shape)
        elif kind == "delay":
            parameters[name] = rng.integers(25, size=shape).astype(float)
        else:
            parameters[name] = np.full(
                shape, 1.0 if kind in ("gamma", "variance", "threshold") else 0.0
            )
    parameters["hidden1.threshold"][:] = 12.0
    parameters["hidden2.threshold"][:] = 9.0
    model = quantize(TrainedNetwork(network, parameters, 100), 4)
    return model, (rng.random((100, 20, 700)) < 0.05).astype(np.uint8)


def row(name: str, value: str) -> str:
    """A row of a table."""
    return f"| {name} | {value} |"


def in_hardware(
    model: QuantizedNetwork, spikes: Any, lanes: int, folder: Path, route: bool
) -> tuple[list[str], Any]:
    """Rows of a table, and the verification."""
    package = emit(model, lanes)
    package.write(folder)
    started = time.perf_counter()
    result = verify(folder, model, spikes, states=True)
    seconds = time.perf_counter() - started
    trace = run_native(model, spikes)
    rates = ", ".join(
        f"{100 * trace.spikes[p.name].mean():.1f} %" for p in model.network.populations[:-1]
    )
    compared = (
        f"{result.mismatches} mismatches in {result.spikes_compared:,} spikes and "
        f"{result.states_compared:,} states of {result.samples:,} samples"
    )
    rows = [
        row("golden = RTL", f"{compared} ({seconds:.0f} s)"),
        row("density of spikes by population", rates),
    ]
    rows.append(row("clocks per sample, pipeline full", f"{result.cycles_per_inference:,.0f}"))
    rows.append(
        row(
            "synaptic operations per clock while events wait",
            f"{result.synaptic_operations_per_cycle:.1f} of {lanes}",
        )
    )
    if route:
        cells, fmax = place_and_route_network(
            folder, package.sources(), folder.with_name(folder.name + "-route"), seed=1
        )
        events = [
            float(trace.spikes[p.name].sum()) / spikes.shape[1]
            for p in model.network.populations[:2]
        ]
        floor = max(e * -(-256 // lanes) for e in events)
        rows += [
            row(
                "COMB / FF / BRAM of 83,640 / 83,640 / 208",
                f"{cells['lut'][0]:,} / {cells['ff'][0]:,} / {cells['bram'][0]}",
            ),
            row("Fmax", f"{fmax:.1f} MHz (target 90)"),
            row(
                "samples per second",
                f"{1e6 * fmax / result.cycles_per_inference:,.0f}; published: {PUBLISHED}",
            ),
            row(
                "floor of the clocks",
                f"{floor:,.0f}, ratio {result.cycles_per_inference / floor:.2f}",
            ),
        ]
    return rows, result


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("--spikes", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--lanes", type=int, default=32)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    head = [
        "# Delays of single synapses in hardware",
        "",
        "`python benchmarks/delays_hardware.py` writes this page.",
        "",
    ]
    model, spikes = shd_sized()
    rows, _ = in_hardware(model, spikes, arguments.lanes, arguments.work / "shd-sized", route=True)
    title = f"700-256-256-20, int4, 25 delays, {arguments.lanes} lanes, 100 steps"
    lines = [*head, f"| {title} | |", "|---|---|", *rows, ""]
    print("\n".join(lines), flush=True)
    if arguments.spikes and arguments.model:
        recipe = spoken_digits_recipe()
        dataset = spoken_digits(arguments.spikes, steps=recipe.encoder.steps)
        model = quantize(load_trained(arguments.model), 4, max_count=recipe.encoder.max_count)
        spikes = recipe.encoder.encode(dataset.samples("test"))
        rows, result = in_hardware(
            model, spikes, arguments.lanes, arguments.work / "spoken-digits", route=False
        )
        rows.insert(
            0,
            row(
                "accuracy of the RTL",
                f"{100 * accuracy(result.scores, dataset.y_test):.2f} % of {len(dataset.y_test)}",
            ),
        )
        part = spikes.part(slice(CLIPS))
        golden = run_native(model, part)
        for name in ("brian2", "lava"):
            started = time.perf_counter()
            mismatch = first_mismatch(golden, ENGINES[name].run(model, part))
            seconds = time.perf_counter() - started
            rows.append(
                row(
                    f"golden = {name}, {CLIPS} clips",
                    f"{mismatch or 'every spike and state'} ({seconds:.0f} s)",
                )
            )
        sizes = "-".join(str(p.size) for p in model.network.populations)
        lines += [
            f"| spoken digits, official test split, {sizes}, int4, learned delays | |",
            "|---|---|",
            *rows,
            "",
        ]
    lines += [
        "Tools: " + ", ".join(f"{tool} {version}" for tool, version in tool_versions().items()),
        "",
    ]
    write_page(arguments.out, "\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
