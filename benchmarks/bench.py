# SPDX-License-Identifier: Apache-2.0
"""All benchmarks against other frameworks in one run: what `make bench` does.

    python benchmarks/bench.py [--quick] [--again] [--only training] [--mnist FILE] [--out
        benchmarks/RESULTS.md]

Writes the page RESULTS.md and results.png beside it. Every peer gets an environment of its own
under `.bench/`, pinned, with the PyTorch of this package. Points are kept there too: an interrupted
run goes on, and a second run measures only what has changed (workload, versions, workers, machine;
for our own points the source of this package). --again: measure all anew. --quick: a look in few
minutes, written to `.bench/`. --only: `training` or the name of one script of PARTS. --mnist: the
data set for verify_speed, which is left out without it. Nothing else should run on the machine.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from environments import CannotInstall, environment
from machine_ceilings import ceilings, cores, processor
from outputs import write_page
from results_page import Measured, page
from results_plot import draw
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from training_speed import (
    BASE,
    COMMON,
    EXTREMES,
    RECURRENT,
    WAYS,
    Point,
    Store,
    Training,
    comparison_points,
    disturbed,
    inputs_of,
    loss_points,
    measured,
    point_key,
    scaling_points,
    source_digest,
)

from neurohw.console import console
from neurohw.hardware.build import tool_versions

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
WORK = ROOT / ".bench"
PARTS = (
    "golden_inference",
    "verify_speed",
    "flow_time",
)  # scripts with --json PATH, each with a page or a section of its own
PACKAGE = ("*.py", "*.cpp", "*.h", "*.sv", "*.j2")  # kinds of sources


def run_points(
    points: list[Point], store: Store, package: str, machine: str, again: bool
) -> dict[Point, Any]:
    """Results of all points; those that the store lacks, and those that were disturbed, are
    measured, under a progress bar. What failed is not kept.
    """
    results: dict[Point, Any] = {}
    columns = (
        TextColumn("{task.description}"),
        BarColumn(24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as display:
        task = display.add_task("", total=len(points))
        for point in points:
            display.update(task, description=f"{point.way}, {point.workload.name}")
            key = point_key(point, package, machine)
            if again or disturbed(store.results.get(key, {"others": 1.0})):
                result = measured(point, WORK / "inputs")
                if "error" in result:
                    console.print(f"[red]{point.way}[/]: {result['error'][-200:]}", highlight=False)
                else:
                    store.add(key, point, result)
                results[point] = result
            else:
                results[point] = store.results[key]
            display.advance(task)
    return results


def install(names: list[str]) -> dict[str, str]:
    """Make the environments of peers; returns what failed, by name."""
    failed: dict[str, str] = {}
    for name in names:
        console.print(f"environment of {name}", highlight=False)
        try:
            environment(WAYS[name].script, (*COMMON, *WAYS[name].requirements))
        except CannotInstall as error:
            failed[name] = str(error)
            console.print(f"[red]{error}[/]", highlight=False)
    return failed


def run_training(quick: bool, again: bool, package: str, machine: str) -> Training:
    """All points of training."""
    failed = install([name for name, way in WAYS.items() if way.is_peer])
    store = Store(WORK / "points.jsonl")

    def run(points: list[Point]) -> dict[Point, Any]:
        wanted = [p for p in points if p.way not in failed]
        return run_points(wanted, store, package, machine, again)

    results = run(comparison_points(quick))
    if not quick:
        results |= run(scaling_points(Training(results).best_peers(BASE, 2)))
    results |= run(loss_points(quick))
    absent: dict[Point, Any] = {
        Point(name, BASE): {"error": words} for name, words in failed.items()
    }
    return Training(absent | results)


def part_options(name: str, mnist: Path | None) -> list[str] | None:
    """What the script of a part needs to be told; None where that is missing."""
    if name != "verify_speed":
        return []
    return None if mnist is None else [str(mnist)]


def run_part(
    name: str, mnist: Path | None, sources: str, machine: str, again: bool
) -> dict[str, Any]:
    """The JSON of another benchmark, {"error": words} where it fails, {} without the data that it
    needs.
    """
    options = part_options(name, mnist)
    if options is None:
        return {}
    digest = source_digest(HERE, (f"{name}*.py", f"{name}*.cpp"))[:16]
    path = (
        WORK
        / "parts"
        / f"{name}-{digest}-{sources[:16]}-{hashlib.sha256(machine.encode()).hexdigest()[:8]}.json"
    )
    if again or not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        console.print(f"benchmarks/{name}.py", highlight=False)
        paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, str(HERE / f"{name}.py"), *options, "--json", str(path)]
        done = subprocess.run(
            command, env=os.environ | {"PYTHONPATH": paths}, stderr=subprocess.PIPE, text=True
        )
        if done.returncode:
            return {"error": done.stderr.strip()[-500:]}
    return dict(json.loads(path.read_text()))


def main() -> None:
    """Measure what is missing, and write page and plot."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--only", choices=("training", *PARTS))
    parser.add_argument("--mnist", type=Path, help="npz file or folder of MNIST, for verify_speed")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    out = arguments.out or (WORK if arguments.quick else HERE) / "RESULTS.md"
    package, machine = (
        source_digest(ROOT / "neurohw", [f"**/{kind}" for kind in PACKAGE]),
        f"{processor()}, {cores()} cores",
    )
    sources = source_digest(
        ROOT, [f"{folder}/**/{kind}" for folder in ("neurohw", "rtl", "sim") for kind in PACKAGE]
    )
    load = os.getloadavg()[0]
    found = Measured(Training({}), load=load, quick=arguments.quick)
    if arguments.only in (None, "training"):
        found.ceilings = {threads: ceilings(threads) for threads in (1, 2)}
        found.training = run_training(arguments.quick, arguments.again, package, machine)
        found.rates = {w: rates_of(w) for w in (BASE, RECURRENT, *EXTREMES)}
    names = [name for name in PARTS if arguments.only in (None, name)]
    found.parts = (
        {}
        if arguments.quick and arguments.only is None
        else {
            name: run_part(name, arguments.mnist, sources, machine, arguments.again)
            for name in names
        }
    )
    found.versions = tool_versions() | found.training.versions()
    draw(found.training, out.with_name("results.png"))
    text = page(found)
    write_page(out, text)
    console.print(text, highlight=False, markup=False)


def rates_of(workload: Any) -> tuple[float, float]:
    """Firing of both hidden populations at the start."""
    import numpy as np

    with np.load(inputs_of(workload, WORK / "inputs")) as loaded:
        first, second = loaded["rates"]
    return float(first), float(second)


if __name__ == "__main__":
    main()
