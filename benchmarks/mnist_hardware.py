# SPDX-License-Identifier: Apache-2.0
"""MNIST, 4-bit weights, in hardware: agreement on the whole official test split, resources, Fmax,
latency.

    python benchmarks/mnist_hardware.py MODEL_FOLDER DATA [--recipe mnist] [--lanes 32] [--out
        benchmarks/mnist_hardware.md]

MODEL_FOLDER holds the quantized model that benchmarks/mnist_accuracy.py saved for the same recipe.
Place and route is nextpnr-ecp5 with --85k --package CABGA381 --freq 100 --seed 1 on the plain
network top, AXI4-Lite registers and counters included. The floor of 784-128-10: an event costs
ceil(128 / lanes) clocks, so that an image costs at least events * ceil(128 / lanes).
"""

import argparse
import tempfile
import time
from pathlib import Path

from outputs import write_page

from neurohw import load_quantized
from neurohw.data import load
from neurohw.hardware.build import place_and_route_network, tool_versions
from neurohw.hardware.generate import emit
from neurohw.hardware.verify import verify
from neurohw.readout import accuracy
from neurohw.train.recipes import recipe_named

# one open flow, same commands; Spiker+ 784-128-10 with 4-bit weights at T = 100
SPIKER = {
    "COMB": "14,950",
    "FF": "2,780",
    "BRAM": "31",
    "Fmax, MHz": "49.0",
    "latency per image, ms": "1.889",
    "accuracy": "93.85 % (published)",
}


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--recipe", default="mnist", choices=("mnist", "mnist-cnn"))
    parser.add_argument("--lanes", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1, help="nextpnr's seed")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    model = load_quantized(arguments.model)
    dataset = load(arguments.data)
    x, labels = dataset.part("test")
    spikes = recipe_named(arguments.recipe).encoder.encode(x)
    package = emit(model, arguments.lanes)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "rtl"
        package.write(folder)
        started = time.perf_counter()
        result = verify(
            folder,
            model,
            spikes,
            progress=lambda text, fraction: print(f"\r{text}   ", end="", flush=True),
        )
        seconds = time.perf_counter() - started
        print(f"\nverified in {seconds:.0f} s; routing", flush=True)
        cells, fmax = place_and_route_network(
            folder, package.sources(), Path(name) / "route", seed=arguments.seed
        )
    events = float(spikes.counts.sum()) / spikes.samples
    dense = arguments.recipe == "mnist"
    floor = events * -(-model.network.populations[1].size // arguments.lanes)
    ours = {
        "COMB": f"{cells['lut'][0]:,}",
        "FF": f"{cells['ff'][0]:,}",
        "BRAM": f"{cells['bram'][0]}",
        "Fmax, MHz": f"{fmax:.1f}",
        "latency per image, ms": f"{result.latency_cycles / fmax / 1e3:.4f}",
        "accuracy": (
            f"{100 * accuracy(result.scores, labels):.2f} % (RTL, "
            f"int{max(p.bits for p in model.projections.values())})"
        ),
    }
    sizes = "-".join(str(p.size) for p in model.network.populations)
    lines = [f"# MNIST {sizes} in hardware", ""]
    if dense:
        lines += [
            f"| | neurohw, {arguments.lanes} lanes, T = {model.steps} | Spiker+, T = 100 |",
            "|---|---|---|",
        ]
        lines += [f"| {key} | {value} | {SPIKER[key]} |" for key, value in ours.items()]
    else:
        lines += [f"| | {arguments.lanes} lanes, T = {model.steps} |", "|---|---|"]
        lines += [f"| {key} | {value} |" for key, value in ours.items()]
    bound = (
        f"the floor is {floor:.0f} ({events:.0f} events an image), ratio "
        f"{result.cycles_per_inference / floor:.3f}. "
    )
    lines += [
        "",
        f"Agreement with the golden model: {result.mismatches} mismatches in "
        f"{result.spikes_compared:,} spikes and {result.states_compared:,} output membranes of "
        f"{result.samples:,} test images ({result.steps:,} steps), {seconds:.0f} s.",
        "",
        (
            f"Clocks: {result.cycles_per_inference:.0f} per image with the pipeline full, "
            f"latency {result.latency_cycles:.0f} (worst {result.latency_cycles_max}); "
        )
        + (bound if dense else f"{events:.0f} events an image. ")
        + (
            "Synaptic operations per clock while events wait: "
            f"{result.synaptic_operations_per_cycle:.2f} of {arguments.lanes}."
        ),
        "",
        "Tools: " + ", ".join(f"{tool} {version}" for tool, version in tool_versions().items()),
        "",
    ]
    write_page(arguments.out, "\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
