# SPDX-License-Identifier: Apache-2.0
"""Wall time of `neurohw flow digits` from the trained model to bitstreams of two boards and the
report, and where it goes.

    python benchmarks/flow_time.py [--repeats 3] [--first] [--json FILE] [--out
        benchmarks/flow_time.md]

The training is done before and not counted. The command is started as a user starts it, in a new
run folder each time, with the caches of the tools filled; --first also times it with all caches
empty (home and cache folder are new ones), as right after the installation. Stages are timed twice:
one after the other (`jobs=1`), with the processor time of the programs that they start, and as the
command runs them. Floor: the programs' own processor time, divided by the processors.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from outputs import add_outputs, write_outputs

from neurohw.flow import STAGES, RunConfig, RunFolder, run_stages
from neurohw.hardware.build import tool_versions

WALL = time.perf_counter


def children_seconds() -> float:
    """Processor seconds of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def command_seconds(trained: Path, path: Path, environment: dict[str, str] | None = None) -> float:
    """Wall seconds of the command in a copy of the trained run."""
    shutil.copytree(trained, path)
    started = WALL()
    command = [sys.executable, "-m", "neurohw", "flow", "digits", "--run", str(path)]
    subprocess.run(
        command, check=True, capture_output=True, env={**os.environ, **(environment or {})}
    )
    return WALL() - started


def alone(trained: Path, path: Path) -> dict[str, dict[str, float]]:
    """Every stage after the other: wall seconds, and processor seconds of its programs."""
    shutil.copytree(trained, path)
    found = {}
    for stage in STAGES:
        started, before = WALL(), children_seconds()
        run_stages(RunFolder(path), (stage,), lambda *_: None, jobs=1)
        found[stage] = {"seconds": WALL() - started, "programs": children_seconds() - before}
    return found


def together(trained: Path, path: Path) -> dict[str, dict[str, float]]:
    """When every stage starts and ends if they run as the command runs them; within build, what
    each board says.
    """
    shutil.copytree(trained, path)
    begun, times = WALL(), dict[str, dict[str, float]]()

    def note(stage: str, text: str, _: float | None) -> None:
        if text in ("started", "done"):
            times.setdefault(stage, {})[text] = WALL() - begun

    run_stages(RunFolder(path), STAGES, note)
    return times


def measure(folder: Path, repeats: int, first: bool) -> dict[str, Any]:
    """All figures."""
    trained = folder / "trained"
    run_stages(RunFolder(trained, RunConfig()), ("train",), lambda *_: None)
    found: dict[str, Any] = {"processors": os.cpu_count() or 1}
    if first:
        home = folder / "home"
        home.mkdir()
        empty = {
            "HOME": str(home),
            "XDG_CACHE_HOME": str(home / "cache"),
            "CYTHON_CACHE_DIR": str(home / "cython"),
        }
        found["first_seconds"] = command_seconds(trained, folder / "first", empty)
    command_seconds(trained, folder / "warm")
    seconds = [command_seconds(trained, folder / f"run{i}") for i in range(repeats)]
    found |= {"seconds": statistics.median(seconds), "spread": max(seconds) - min(seconds)}
    found |= {
        "alone": alone(trained, folder / "alone"),
        "together": together(trained, folder / "together"),
    }
    same = [
        {
            n: b["bitstream_sha256"]
            for n, b in RunFolder(folder / name).need("build")["boards"].items()
        }
        for name in ("run0", "alone", "together")
    ]
    if same[0] != same[1] or same[0] != same[2]:
        raise SystemExit(f"bitstreams of equal runs differ: {same}")
    found["floor_seconds"] = (
        sum(s["programs"] for s in found["alone"].values()) / found["processors"]
    )
    return found


def page(found: dict[str, Any], repeats: int) -> str:
    """The table in Markdown."""
    total, floor = found["seconds"], found["floor_seconds"]
    rows = [
        (
            f"| {stage} | {a['seconds']:.1f} | {a['programs']:.1f} | {t['started']:.1f} to "
            f"{t['done']:.1f} |"
        )
        for stage, a in found["alone"].items()
        for t in [found["together"][stage]]
    ]
    summed = {k: sum(a[k] for a in found["alone"].values()) for k in ("seconds", "programs")}
    first = (
        (
            " The first run after the installation, with all caches empty: "
            f"{found['first_seconds']:.1f} s."
        )
        if "first_seconds" in found
        else ""
    )
    option = " --first" if first else ""
    lines = [
        "# Time of `neurohw flow digits`",
        "",
        f"From the trained model to bitstreams of both boards and the report: **{total:.1f} s**, "
        f"{total / floor:.2f} of the floor of {floor:.1f} s (median of {repeats}, spread "
        f"{found['spread']:.1f} s, wall time of the whole command on {found['processors']} "
        f"processors).{first} `python benchmarks/flow_time.py{option}` writes this page.",
        "",
        "| stage | alone, s | of it programs, processor s | in the flow, s after its start |",
        "|---|---|---|---|",
        *rows,
        f"| sum | {summed['seconds']:.1f} | {summed['programs']:.1f} | |",
        "",
        "Train looks whether the model is up to date. Alone: one stage after the other; the "
        "boards of build run beside each other, as they always do. Programs: engines of the "
        "crosscheck, Verilator and g++, Yosys, nextpnr and the packers; their processor time "
        "divided by the processors is the floor. What the flow adds is the start of Python and "
        "what no other stage runs beside.",
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
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--first", action="store_true", help="time a run with empty caches, too")
    add_outputs(parser, __file__)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = measure(Path(name), arguments.repeats, arguments.first)
    write_outputs(arguments, page(found, arguments.repeats), found)


if __name__ == "__main__":
    main()
