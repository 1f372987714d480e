# SPDX-License-Identifier: Apache-2.0
"""Integer inference: samples per second of 700-256-256-20 with 8-bit weights, 100 steps of 5 %
dense input, in every way that this framework has, and in others.

    python benchmarks/golden_inference.py [--samples 4000] [--repeats 7] [--threads 2] [--no-peers]
        [--out benchmarks/golden_inference.md] [--json PATH]

Weights are random, scaled so that hidden neurons fire in about 5 % of the steps; all ways must give
equal scores, Brian2 and Lava equal spikes of all neurons. Wall time; nothing else should run.

- Plain NumPy multiplies all samples at once in float32, which holds these integers exactly, and has
  neurons in a few array operations.
- numba (golden_inference_numba.py, in an environment of its own) is event driven and parallel over
  samples; compilation is not counted.
- "without AVX-512": ours, compiled for x86-64-v3.
- Brian2 and Lava run through the engines of this framework. What further steps cost is counted,
  from runs of two lengths: neither the building of their networks, nor compilation, nor
  the start of processes. The longer one lasts many seconds: Lava takes whole seconds to stop.
Floor: what no event-driven simulation can leave out, at rates that are measured here: every byte of
the stimulus is read from memory once, and every event reads its row of weights, one
byte each, from the cache that holds them.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
from environments import environment
from machine_ceilings import cores, processor
from numpy.typing import NDArray
from outputs import add_outputs, write_outputs
from rich.progress import track
from threadpoolctl import threadpool_limits
from timing import median_seconds

from neurohw import (
    Integrator,
    Lif,
    QuantizedNetwork,
    TrainedNetwork,
    feed_forward,
    infer,
    native_library,
    quantize,
    run_golden,
)
from neurohw.engines import ENGINES
from neurohw.golden import native
from neurohw.golden.native import run_native
from neurohw.hardware.build import tool_versions
from neurohw.readout import scores
from neurohw.stimulus import Spikes

SIZES, STEPS, DENSITY = (700, 256, 256, 20), 100, 0.05
SHIFT, GAIN, MEAN = (
    4,
    1.6,
    0.02,
)  # decay 1 - 2^-SHIFT; standard deviation and mean of weights times the root of the inputs
WALL = time.perf_counter
READER = Path(__file__).with_name("read_bytes.cpp")
SPECIFIED = 200  # samples for the specification, which is slow
NUMBA = ("numba==0.62.1", "numpy==2.3.5")
# engine, samples side by side, options, and the two numbers of steps whose difference is counted
PEERS: tuple[tuple[str, str, int, dict[str, Any], tuple[int, int]], ...] = (
    ("Brian2, Cython, a sample at a time", "brian2", 1, {"target": "cython"}, (100, 20100)),
    ("Brian2, Cython, 16 samples in one network", "brian2", 16, {"target": "cython"}, (100, 3100)),
    ("Lava", "lava", 1, {"side_by_side": False}, (100, 10100)),
)
PEER_REPEATS = 3
Seconds = list[float]  # for one sample, of every repeat


def network() -> QuantizedNetwork:
    """The random network in 8-bit integers."""
    rng = np.random.default_rng(0)
    graph = feed_forward(list(SIZES), Lif(decay=1 - 2.0**-SHIFT), Integrator(1.0))
    parameters: dict[str, NDArray[np.float64]] = {}
    for population in graph.populations[1:]:
        parameters[f"{population.name}.bias"] = np.zeros(population.size)
        if isinstance(population.neuron, Lif):
            parameters[f"{population.name}.threshold"] = np.ones(population.size)
    for projection in graph.projections:
        source, target = (graph.population(n).size for n in (projection.source, projection.target))
        parameters[f"{projection.name}.weight"] = (
            GAIN * rng.normal(size=(target, source)) + MEAN
        ) / np.sqrt(source)
    # no guard bits: roundings of the leak of up to 1/16 of a threshold are accepted, see
    # docs/adr/0026-guard-bits-of-every-leak.md
    return quantize(TrainedNetwork(graph, parameters, STEPS), 8, resolution_bits=1)


def numpy_scores(model: QuantizedNetwork, spikes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The last membranes of the output in float32: one matrix product per projection and step for
    all samples.
    """
    weights = [p.weight.T.astype(np.float32) for p in model.projections.values()]
    thresholds = [
        model.populations[p.target].threshold.astype(np.int32)
        for p in model.network.projections[:-1]
    ]
    membranes = [np.zeros((spikes.shape[1], size), np.int32) for size in SIZES[1:]]
    for sent in spikes:
        values = sent.astype(np.float32)
        for weight, v, threshold in zip(weights, membranes[:-1], thresholds, strict=False):
            v -= v >> SHIFT
            v += (values @ weight).astype(np.int32)
            fired = v >= threshold
            v -= np.where(fired, threshold, 0)
            values = fired.astype(np.float32)
        membranes[-1] += (values @ weights[-1]).astype(np.int32)
    return membranes[-1].astype(np.int64)


def times(work: Callable[[], object], repeats: int, samples: int) -> Seconds:
    """Wall time of every call for one sample, after one that warms up."""
    work()
    found = []
    for _ in range(repeats):
        start = WALL()
        work()
        found.append((WALL() - start) / samples)
    return found


def without_avx512(work: Callable[[], Any]) -> Any:
    """The result of a call in which C++ is compiled for processors of 2013."""
    flags = (*native_library.FLAGS, "-march=x86-64-v3")
    with mock.patch.object(
        native, "compiled", lambda source: native_library.compiled(source, flags)
    ):
        return work()


def numba_times(
    model: QuantizedNetwork,
    spikes: NDArray[np.uint8],
    expected: NDArray[np.int64],
    repeats: int,
    threads: int,
) -> tuple[Seconds, str]:
    """Of golden_inference_numba.py in its environment, and its versions."""
    python = environment("numba", NUMBA)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "spikes.npy", spikes)
        weights = {f"w{k}": p.weight.T for k, p in enumerate(model.projections.values())}
        thresholds = {
            f"t{k}": model.populations[p.target].threshold
            for k, p in enumerate(model.network.projections[:-1])
        }
        np.savez(folder / "model.npz", **weights, **thresholds, shift=SHIFT)
        script = Path(__file__).with_name("golden_inference_numba.py")
        environ = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {
            "NUMBA_NUM_THREADS": str(threads)
        }
        subprocess.run([python, script, folder, str(repeats)], check=True, env=environ)
        result = json.loads((folder / "result.json").read_text())
        if not np.array_equal(np.load(folder / "scores.npy"), expected):
            raise SystemExit("numba: scores differ")
    return [seconds / spikes.shape[1] for seconds in result["seconds"]], result["versions"]


def peer_times(
    model: QuantizedNetwork,
    engine: str,
    samples: int,
    options: dict[str, Any],
    steps: tuple[int, int],
    repeats: int,
) -> Seconds:
    """Of an engine for STEPS further steps of one sample; its spikes must be those of the
    specification.
    """

    def seconds(length: int) -> float:
        spikes = (np.random.default_rng(2).random((length, samples, SIZES[0])) < DENSITY).astype(
            np.uint8
        )
        start = WALL()
        trace = ENGINES[engine].run(
            model, Spikes(spikes), states=False, beyond_proof=True, **options
        )
        taken = WALL() - start
        expected = run_golden(model, Spikes(spikes), states=False, beyond_proof=True)
        if not all(np.array_equal(trace.spikes[n], s) for n, s in expected.spikes.items()):
            raise SystemExit(f"{engine}: spikes differ")
        return taken

    few, many = steps
    with tempfile.TemporaryDirectory() as folder:  # Brian2 would compile anew in every run
        same = SimpleNamespace(TemporaryDirectory=lambda: nullcontext(folder))
        with mock.patch("neurohw.engines.brian2.tempfile", same):
            for length in steps:  # what compiles depends on the number of steps
                seconds(length)
            return [
                (seconds(many) - seconds(few)) / (many - few) * STEPS / samples
                for _ in range(repeats)
            ]


def floor_seconds(
    model: QuantizedNetwork, spikes: NDArray[np.uint8], events: list[int], repeats: int
) -> tuple[float, float]:
    """Of one thread for one sample: to read the stimulus from memory, and the rows of weights from
    the cache that holds them, at the rates of the best reader here.
    """
    samples = spikes.shape[1]
    read = (
        median_seconds(
            lambda: native_library.compiled(READER).read_bytes(
                spikes.ctypes.data_as(native.Pointer), spikes.size, 1
            ),
            repeats,
            WALL,
        )
        / samples
    )
    rows = sum(count * size for count, size in zip(events, SIZES[1:], strict=True)) / samples
    weights = np.ones(SIZES[0] * SIZES[1], np.int8)
    passes = 2000
    cached = median_seconds(
        lambda: native_library.compiled(READER).read_bytes(
            weights.ctypes.data_as(native.Pointer), weights.size, passes
        ),
        repeats,
        WALL,
    )
    return read, rows * cached / passes / weights.size


def rate(value: float) -> str:
    """Samples per second, with a decimal where there are few."""
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"


def main() -> None:
    """Compare, measure, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-peers", action="store_true", help="leave out numba, Brian2 and Lava")
    add_outputs(parser, __file__)
    arguments = parser.parse_args()
    model, threads, repeats, count = (
        network(),
        arguments.threads,
        arguments.repeats,
        arguments.samples,
    )
    spikes = (
        np.random.default_rng(1).random((STEPS, count, SIZES[0]), dtype=np.float32) < DENSITY
    ).astype(np.uint8)
    some = np.ascontiguousarray(spikes[:, :SPECIFIED])
    fired = list(run_native(model, spikes, states=False).spikes.values())[:-1]
    expected = infer(model, spikes)
    if not (
        np.array_equal(expected[:SPECIFIED], scores(run_golden(model, some), model.network))
        and np.array_equal(expected, numpy_scores(model, spikes))
        and np.array_equal(expected, without_avx512(lambda: infer(model, spikes)))
    ):
        raise SystemExit("scores differ: nothing was timed")
    one, ours = "C++, scores, one thread", "C++, scores (`infer`)"
    ways: dict[str, Callable[[], Seconds]] = {
        "specification (`run_golden`)": lambda: times(
            lambda: run_golden(model, some, states=False), repeats, some.shape[1]
        ),
        "plain NumPy, float32": lambda: times(lambda: numpy_scores(model, spikes), repeats, count),
        "C++ without AVX-512, scores": lambda: without_avx512(
            lambda: times(lambda: infer(model, spikes, threads=threads), repeats, count)
        ),
        "C++, spikes of all neurons (`run_native`)": lambda: times(
            lambda: run_native(model, spikes, False, threads), repeats, count
        ),
        ours: lambda: times(lambda: infer(model, spikes, threads=threads), repeats, count),
        one: lambda: times(lambda: infer(model, spikes, threads=1), repeats, count),
    }
    seconds: dict[str, Seconds] = {}
    versions = ""
    with threadpool_limits(threads):
        if not arguments.no_peers:
            for name, engine, samples, options, steps in PEERS:
                seconds[name] = peer_times(model, engine, samples, options, steps, PEER_REPEATS)
            seconds["numba"], versions = numba_times(model, spikes, expected, repeats, threads)
        for name, measure in track(ways.items(), "ways"):
            seconds[name] = measure()
    with threadpool_limits(1):
        memory, cache = floor_seconds(
            model, spikes, [int(s.sum(dtype=np.int64)) for s in fired], repeats
        )
    floor = memory + cache
    median = {name: statistics.median(found) for name, found in seconds.items()}
    lines = [
        "# Integer inference",
        "",
        f"{'-'.join(map(str, SIZES))}, int8, {STEPS} steps, {count:,} samples, {threads} "
        f"threads; inputs fire in {100 * DENSITY:g} % of the steps, hidden neurons in "
        f"{', '.join(f'{100 * s.mean():.1f}' for s in fired[1:])} %. Equal scores; Brian2 and "
        f"Lava: equal spikes of all neurons. Wall time, medians of {repeats} (Brian2, Lava: "
        f"{PEER_REPEATS}), in brackets the slowest and the fastest. {processor()}, {cores()} "
        "processors. `python benchmarks/golden_inference.py` writes this page, and says what is "
        "counted.",
        "",
        "| | samples per second | ours is faster by | of the floor |",
        "|---|---|---|---|",
    ]
    for name, found in sorted(seconds.items(), key=lambda way: -median[way[0]]):
        used = 1 if name == one else threads
        spread = f"({rate(1 / max(found))} to {rate(1 / min(found))})"
        lines.append(
            f"| {name} | {rate(1 / median[name])} {spread} | "
            f"{median[name] / median[ours]:,.1f} | {used * median[name] / floor:,.1f} |"
        )
    lines += [
        "",
        f"Floor: {1e6 * floor:.1f} µs a sample and thread: {1e6 * memory:.1f} for the stimulus, "
        f"read from memory, {1e6 * cache:.1f} for a row of weights for every event, read from "
        'cache. "Of the floor": how many times longer it takes.',
        "",
        "Tools: "
        + ", ".join(
            [
                *(f"{tool} {version}" for tool, version in tool_versions().items()),
                *([versions] if versions else []),
            ]
        ),
        "",
    ]
    rates = {
        name: {
            "median": 1 / median[name],
            "lowest": 1 / max(found),
            "highest": 1 / min(found),
            "ratio": median[name] / median[ours],
        }
        for name, found in seconds.items()
    }
    figures = {
        "benchmark": "golden_inference", "machine": processor(), "threads": threads,
        "samples": count, "repeats": repeats, "ours": ours,
        "samples_per_second": rates, "floor_seconds": {"memory": memory, "cache": cache,
            "sample_and_thread": floor},
    }  # fmt: skip
    write_outputs(arguments, "\n".join(lines), figures)


if __name__ == "__main__":
    main()
