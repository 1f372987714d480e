# SPDX-License-Identifier: Apache-2.0
"""Clocks of the RTL per second in `neurohw verify`:

MNIST on 784-128-10, 4-bit weights, 32 lanes, 4 steps, all 10,000 test images compared with the
golden model.

    python benchmarks/verify_speed.py DATA [--run FOLDER] [--repeats 3] [--cocotb-samples 30]
        [--json FILE] [--out benchmarks/verify_speed.md]

DATA: see `neurohw.data.images`. FOLDER: a run of the recipe `mnist` that has its network emitted;
without it one is trained for 2 epochs (the stimulus, and so nearly every clock, is that of any
training). The command is started as a user starts it and timed by wall clock, medians. Floor: the
Verilated design alone, without stimulus file, records, golden model or Python, its processor time
divided by the processors. cocotb runs the first samples through the same design.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from outputs import add_outputs, write_outputs
from timing import median_seconds

from neurohw import load_quantized
from neurohw.children import workers
from neurohw.data import Encoder
from neurohw.flow import RunFolder
from neurohw.flow.data import encode_test, load_data
from neurohw.golden.native import run_native
from neurohw.hardware.build import tool_versions
from neurohw.hardware.generate import RtlPackage
from neurohw.hardware.verify.harness import (
    build_harness,
    run_harness,
    verilator_environment,
    write_stimulus,
)
from neurohw.stimulus import Spikes

COMMAND = [sys.executable, "-m", "neurohw"]
HERE = Path(__file__).resolve().parent
WALL = time.perf_counter


def command_seconds(run: RunFolder, states: bool, repeats: int) -> list[float]:
    """Wall seconds of `neurohw verify`, each time from the start."""
    seconds = []
    for _ in range(repeats):
        run.forget("verify")
        started = WALL()
        options = ["--states"] if states else []
        subprocess.run(
            [*COMMAND, "verify", "--run", str(run.path), *options], check=True, capture_output=True
        )
        seconds.append(WALL() - started)
    return seconds


def harness_seconds(program: Path, package: Path, spikes: np.ndarray, states: bool) -> float:
    """Wall seconds of the harness over all samples, a process per processor, stimuli written and
    results read.
    """
    jobs = os.cpu_count() or 1
    started = WALL()
    with workers(jobs) as submit:
        parts = np.array_split(np.arange(spikes.shape[1]), jobs)
        futures = [
            submit(run_harness, program, package, spikes[:, p[0] : p[-1] + 1], states)
            for p in parts
        ]
        for future in futures:
            future.result()
    return WALL() - started


def cocotb_rate(
    folder: Path, package: Path, spikes: np.ndarray, expected: np.ndarray
) -> dict[str, float]:
    """Clocks and wall seconds of cocotb over these samples, without the build and the start."""
    from cocotb_tools.runner import get_runner

    os.environ.update(verilator_environment())
    contents = RtlPackage.load(package)
    np.savez(folder / "samples.npz", spikes=spikes, expected=expected)
    runner = get_runner("verilator")
    runner.build(
        sources=[package / name for name in contents.sources()],
        hdl_toplevel="nhw_network",
        build_args=["-Wall", "--assert", "-O3", "-CFLAGS", "-O2"],
        build_dir=folder / "cocotb",
        always=True,
    )
    runner.test(
        hdl_toplevel="nhw_network",
        test_module="verify_speed_bench",
        test_dir=package,
        build_dir=folder / "cocotb",
        results_xml=str(folder / "results.xml"),
        extra_env={
            "COCOTB_LOG_LEVEL": "ERROR",
            "NHW_STIMULUS": str(folder / "samples.npz"),
            "NHW_CLOCKS": str(folder / "clocks"),
            "PYTHONPATH": f"{HERE}{os.pathsep}{HERE.parent}",
        },
    )
    if not (folder / "clocks").exists():
        raise SystemExit("cocotb: the outputs are not those of the golden model")
    clocks, seconds = (folder / "clocks").read_text().split()
    return {"seconds": float(seconds), "clocks": int(clocks)}


def shares(
    run: RunFolder, floor: float, spikes: Spikes, folder: Path, repeats: int
) -> dict[str, float]:
    """Processor seconds of every part of the command."""
    contents, model = RtlPackage.load(run.path / "rtl"), load_quantized(run.path / "quantized")
    dataset, encoder = load_data(run.config), Encoder.from_json(run.need("train")["encoder"])
    start = "import time, neurohw.cli.app; print(time.process_time())"
    done = [
        subprocess.run([sys.executable, "-c", start], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    trace = run_native(model, spikes, threads=1)
    parts: dict[str, Callable[[], object]] = {
        "reading the data set and scaling it": lambda: load_data(run.config),
        "its digest, against that of the training": dataset.digest,
        "encoding the test images": lambda: encode_test(dataset, encoder),
        "writing the stimulus": lambda: write_stimulus(
            folder / "stimulus", contents, spikes.counts
        ),
        "golden model, output membranes recorded": lambda: run_native(model, spikes, threads=1),
        "comparing spikes": lambda: [
            np.count_nonzero(a != a.copy()) for a in trace.spikes.values()
        ],
    }
    python = {"start of Python and imports": statistics.median(float(d.stdout) for d in done)}
    return {
        **python,
        **{n: median_seconds(w, repeats) for n, w in parts.items()},
        "Verilated design (the floor)": floor,
    }


def measure(run: RunFolder, folder: Path, repeats: int, cocotb_samples: int) -> dict[str, Any]:
    """All figures."""
    package, cores = run.path / "rtl", os.cpu_count() or 1
    started = WALL()
    program = build_harness(package, folder / "sim")
    build = WALL() - started
    subprocess.run(
        [*COMMAND, "verify", "--run", str(run.path)], check=True, capture_output=True
    )  # builds its own, once
    verified = run.need("verify")
    if verified["mismatches"] or verified["samples"] != 10_000:
        raise SystemExit(
            f"not what was to be timed: {verified['mismatches']} mismatches, "
            f"{verified['samples']} samples"
        )
    spikes, _ = encode_test(load_data(run.config), Encoder.from_json(run.need("train")["encoder"]))
    clocks = round(verified["cycles_per_inference"] * verified["samples"])
    write_stimulus(folder / "all", RtlPackage.load(package), spikes.counts)
    bare = build_harness(package, folder / "floor", harness=HERE / "verify_speed_floor.cpp")
    lines = [
        subprocess.run(
            [bare, folder / "all"], cwd=package, capture_output=True, text=True, check=True
        )
        for _ in range(repeats)
    ]
    floor = min(float(line.stdout.split()[1]) for line in lines)
    expected = run_native(
        load_quantized(run.path / "quantized"), spikes.part(slice(cocotb_samples))
    ).states["v.output"][-1]
    commands = {
        name: command_seconds(run, s, repeats) for name, s in (("spikes", False), ("states", True))
    }
    return {
        "clocks": clocks,
        "processors": cores,
        "build_seconds": build,
        "command_seconds": {n: statistics.median(s) for n, s in commands.items()},
        "command_spread": {n: max(s) - min(s) for n, s in commands.items()},
        "harness_seconds": {
            n: statistics.median(
                harness_seconds(program, package, spikes.counts, s) for _ in range(repeats)
            )
            for n, s in (("spikes", False), ("states", True))
        },
        "floor_processor_seconds": floor,
        "floor_clocks": int(lines[0].stdout.split()[0]),
        "cocotb": cocotb_rate(folder, package, spikes.counts[:, :cocotb_samples], expected),
        "parts_processor_seconds": shares(run, floor, spikes, folder, repeats),
    }


def page(found: dict[str, Any], cocotb_samples: int, repeats: int) -> str:
    """The table in Markdown."""
    clocks, cores, floor = found["clocks"], found["processors"], found["floor_processor_seconds"]
    least = floor / cores
    cocotb = found["cocotb"]["clocks"] / found["cocotb"]["seconds"]
    rows = {
        f"Verilated design alone, {cores} processes (floor)": least,
        **{
            f"harness alone, {cores} processes, {n}": s for n, s in found["harness_seconds"].items()
        },
        "`neurohw verify`": found["command_seconds"]["spikes"],
        "`neurohw verify --states`": found["command_seconds"]["states"],
    }
    lines = [
        "# Speed of `neurohw verify`",
        "",
        f"MNIST on 784-128-10, 4-bit weights, 32 lanes, 4 steps: {clocks:,} clocks for all "
        "10,000 test images, every spike and output membrane compared (with `--states` every "
        f"state, too). Wall time on {cores} processors, medians of {repeats}; the whole command "
        "counts, from the start of Python on. `python benchmarks/verify_speed.py` writes this "
        "page.",
        "",
        "| | seconds | clocks per second | of the floor |",
        "|---|---|---|---|",
        *(f"| {n} | {s:.2f} | {clocks / s:,.0f} | {s / least:.2f} |" for n, s in rows.items()),
        (
            f"| cocotb, AXI-Stream drivers, {cocotb_samples} images "
            f"({found['cocotb']['clocks']:,} clocks) | {found['cocotb']['seconds']:.2f} | "
            f"{cocotb:,.0f} | {clocks / cocotb / least:.0f} |"
        ),
        "",
        f"Once per design, Verilator and g++ build the harness in {found['build_seconds']:.1f} "
        "s, which is not counted above. Spread of the command (largest less smallest): "
        f"{found['command_spread']['spikes']:.2f} s, with states "
        f"{found['command_spread']['states']:.2f} s.",
        "",
        (
            "Where the time goes, in seconds of one processor (the last four rows share the "
            "processors):"
        ),
        "",
        "| | processor seconds |",
        "|---|---|",
        *(f"| {n} | {s:.2f} |" for n, s in found["parts_processor_seconds"].items()),
        "",
        "Tools: " + ", ".join(f"{tool} {version}" for tool, version in tool_versions().items()),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cocotb-samples", type=int, default=30)
    add_outputs(parser, __file__)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        path = arguments.run or Path(name) / "mnist"
        if arguments.run is None:
            options = [
                *f"--bits 4 --lanes 32 --epochs 2 --run {path} --data".split(" "),
                str(arguments.data),
            ]
            for verb in (
                ["train", "mnist", *options],
                *(([v, "--run", str(path)]) for v in ("quantize", "emit")),
            ):
                subprocess.run([*COMMAND, *verb], check=True)
        found = measure(RunFolder(path), Path(name), arguments.repeats, arguments.cocotb_samples)
    write_outputs(arguments, page(found, arguments.cocotb_samples, arguments.repeats), found)


if __name__ == "__main__":
    main()
