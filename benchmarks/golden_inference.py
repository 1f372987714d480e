"""Integer inference: samples per second of 700-256-256-20 with 8-bit weights, 100 steps of 5 % dense input, in every way that this framework has, and in plain NumPy.

    python benchmarks/golden_inference.py [--samples 4000] [--repeats 5] [--threads 2] [--out benchmarks/golden_inference.md]

Weights are random, scaled so that hidden neurons fire in about 5 % of the steps; all ways must give equal scores. Plain NumPy multiplies all samples at once in float32, which holds
these integers exactly, and has neurons in a few array operations. Wall time, medians; nothing else should run.
Floor: what no event-driven simulation can leave out, at rates that are measured here: every byte of the stimulus is read from memory once, and every event reads its row of weights
from cache, one byte each.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from threadpoolctl import threadpool_limits
from timing import median_seconds

from neurohw import Integrator, Lif, QuantizedNetwork, TrainedNetwork, feed_forward, infer, quantize, run_golden
from neurohw.golden.native import run_native
from neurohw.readout import scores
from neurohw.storage import write_atomically
from neurohw.synth import tool_versions

SIZES, STEPS, DENSITY = (700, 256, 256, 20), 100, 0.05
SHIFT, GAIN, MEAN = (
    4,
    1.6,
    0.02,
)  # decay 1 - 2^-SHIFT; standard deviation and mean of weights times the root of the inputs
WALL = time.perf_counter
SPECIFIED = 200  # samples for the specification, which is slow


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
        parameters[f"{projection.name}.weight"] = (GAIN * rng.normal(size=(target, source)) + MEAN) / np.sqrt(source)
    return quantize(TrainedNetwork(graph, parameters, STEPS), 8)


def numpy_scores(model: QuantizedNetwork, spikes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The last membranes of the output in float32: one matrix product per projection and step for all samples."""
    weights = [p.weight.T.astype(np.float32) for p in model.projections.values()]
    thresholds = [model.populations[p.target].threshold.astype(np.int32) for p in model.network.projections[:-1]]
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


def floor_seconds(model: QuantizedNetwork, spikes: NDArray[np.uint8], events: list[int], repeats: int) -> float:
    """Of one thread for one sample: stimulus from memory and rows of weights from cache, at the rates of reading and of copying them here."""
    samples = spikes.shape[1]
    read = median_seconds(lambda: int(spikes.max()), repeats, WALL) / samples
    rows = sum(count * size for count, size in zip(events, SIZES[1:], strict=True)) / samples
    weights = np.zeros(SIZES[0] * SIZES[1], np.int8)
    target = np.empty_like(weights)
    copies = 1000

    def copy() -> None:
        for _ in range(copies):
            np.copyto(target, weights)

    return read + rows * median_seconds(copy, repeats, WALL) / copies / weights.size


def main() -> None:
    """Compare, measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    model, threads = network(), arguments.threads
    shape = (STEPS, arguments.samples, SIZES[0])
    spikes = (np.random.default_rng(1).random(shape, dtype=np.float32) < DENSITY).astype(np.uint8)
    some = np.ascontiguousarray(spikes[:, :SPECIFIED])
    trace = run_native(model, spikes, states=False)
    fired = list(trace.spikes.values())[:-1]
    ways: dict[str, tuple[Callable[[], object], int]] = {
        "specification (`run_golden`)": (lambda: run_golden(model, some, states=False), SPECIFIED),
        "plain NumPy, float32": (lambda: numpy_scores(model, spikes), arguments.samples),
        "C++, spikes of all neurons (`run_native`)": (
            lambda: run_native(model, spikes, False, threads),
            arguments.samples,
        ),
        "C++, scores (`infer`)": (lambda: infer(model, spikes, threads=threads), arguments.samples),
        "C++, scores, one thread": (lambda: infer(model, spikes, threads=1), arguments.samples),
    }
    expected = infer(model, spikes)
    if not (
        np.array_equal(expected[:SPECIFIED], scores(run_golden(model, some), model.network))
        and np.array_equal(expected, numpy_scores(model, spikes))
    ):
        raise SystemExit("scores differ: nothing was timed")
    with threadpool_limits(threads):
        rates = {
            n: count / median_seconds(work, arguments.repeats, WALL) for n, (work, count) in track(ways.items(), "ways")
        }
    with threadpool_limits(1):
        floor = floor_seconds(model, spikes, [int(s.sum(dtype=np.int64)) for s in fired], arguments.repeats)
    lines = [
        "# Integer inference",
        "",
        f"{'-'.join(map(str, SIZES))}, int8, {STEPS} steps, {arguments.samples:,} samples, {threads} threads; inputs fire in {100 * DENSITY:g} % of the steps, hidden neurons in "
        f"{', '.join(f'{100 * s.mean():.1f}' for s in fired[1:])} %. Equal scores. Wall time, medians of {arguments.repeats}. `python benchmarks/golden_inference.py` writes this page.",
        "",
        "| | samples per second | of the floor |",
        "|---|---|---|",
    ]
    for name, rate in rates.items():
        used = 1 if name.endswith("one thread") else threads
        lines.append(f"| {name} | {rate:,.0f} | {used / floor / rate:.1f} |")
    lines += [
        "",
        f'Floor: {1e6 * floor:.1f} µs a sample and thread: the stimulus read from memory, a row of weights read from cache for every event. "Of the floor": how many times longer it takes.',
        "",
        "Tools: " + ", ".join(f"{tool} {version}" for tool, version in tool_versions().items()),
        "",
    ]
    write_atomically(arguments.out, "\n".join(lines).encode())
    print("\n".join(lines))


if __name__ == "__main__":
    main()
