# SPDX-License-Identifier: Apache-2.0
"""Building the simulation of a small design: with Verilator's runtime compiled anew, and taken from
the cache, side by side.

    python benchmarks/harness_build.py [--repeats 3] [--out benchmarks/harness_build.md]

Processor seconds of all children, medians; 10-9-5 with 4 lanes, from a written package to the
program. The floor is Verilator's own translation to C++, without any compiler.
"""

import argparse
import os
import resource
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from outputs import add_outputs, write_outputs

from neurohw import Integrator, Lif, RtlPackage, TrainedNetwork, emit, feed_forward, quantize
from neurohw.hardware.verify.harness import build_harness, verilator_environment


def design() -> RtlPackage:
    """Random weights of a fixed seed."""
    network = feed_forward([10, 9, 5], Lif(0.9), Integrator(1.0))
    rng = np.random.default_rng(0)
    arrays = {
        name: rng.normal(0, 0.3, shape) if name.endswith("weight") else np.zeros(shape)
        for name, shape in network.shapes().items()
    }
    arrays["hidden1.threshold"] = np.ones(9)
    return emit(quantize(TrainedNetwork(network, arrays, 12), 4), 4)


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds of the children of a call."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def translation(package: Path, folder: Path) -> None:
    """Verilator alone, with the options of the harness."""
    command = ["verilator", "--cc", "--assert", "-DNHW_PROBE", "--top-module", "nhw_network"]
    sources = [package.resolve() / name for name in RtlPackage.load(package).sources()]
    command += ["-Wall", "--Mdir", str(folder), *map(str, sources)]
    subprocess.run(
        command, cwd=package, env=verilator_environment(), check=True, capture_output=True
    )


def measure(package: Path, folder: Path, optimize: bool) -> dict[str, float]:
    """One build with an empty cache, one with the cache it filled, and the translation."""
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    return {
        "anew": seconds(lambda: build_harness(package, folder / "first", optimize=optimize)),
        "from the cache": seconds(
            lambda: build_harness(package, folder / "second", optimize=optimize)
        ),
        "floor": seconds(lambda: translation(package, folder / "translated")),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    add_outputs(parser, __file__)
    arguments = parser.parse_args()
    lines = [
        "# Building the simulation of a small design",
        "",
        "`python benchmarks/harness_build.py`. Processor seconds of all children, medians of "
        f"{arguments.repeats}. Floor: Verilator's translation alone.",
        "",
        "| compiler | runtime anew | runtime from the cache | floor |",
        "|---|---|---|---|",
    ]
    figures = {}
    with tempfile.TemporaryDirectory() as name:
        package = Path(name) / "rtl"
        design().write(package)
        for optimize in (False, True):
            points = [
                measure(package, Path(name) / f"{optimize}-{k}", optimize)
                for k in range(arguments.repeats)
            ]
            row = {way: median(point[way] for point in points) for way in points[0]}
            figures["-O2" if optimize else "-O0"] = row
    for flag, row in figures.items():
        lines.append(f"| {flag} | " + " | ".join(f"{value:.1f}" for value in row.values()) + " |")
    write_outputs(arguments, "\n".join([*lines, ""]), figures)


if __name__ == "__main__":
    main()
