# SPDX-License-Identifier: Apache-2.0
"""Learning on chip: a liquid whose weights change in the FPGA, against its golden model, its floor
of clocks, and the float rule.

    python benchmarks/onchip_plasticity.py WORK [--spikes fsdd_spikes64.npz] [--lanes 16]
        [--update-lanes 8] [--out benchmarks/onchip_plasticity.md]

The liquid has 4x4x8 neurons with the published connection probabilities C exp(-(D/3)^2) (C: EE 0.2,
EI 0.1, IE 0.3, II 0.05; 20 % inhibitory), 64 inputs that reach 15 % of all pairs, weights that
start at +-1 and end at +-3, and the published rule with an astrocyte whose gain is 15/128 (15/1000
for 1000 neurons). Input: 100 samples of 100 steps; spoken digits at 5 ms a step where a file of
spikes is given, else 10 % of the inputs in every step, from a seed.

Place and route is nextpnr-ecp5 with --85k --package CABGA381 --freq 100 --seed 1 on the plain
network top, AXI4-Lite registers and counters included. Two floors of the clocks of a step: the rows
that must be visited (of sources that have spiked, or that would change a weight onto a neuron that
has), one a clock; and the synapses that a spike at either end touches, LANES a clock.

Against the float rule: both learn from the same input, sample after sample. Branching factor: for
every spike of neuron i at step t, the spikes of its targets in t+1..t+4 over those of the neurons
that reach it, inputs included, in t-4..t-1 (at least 1); mean over spikes at least 25 steps from
both ends of a sample, in the last 20 of the first 40 samples. Histograms: weights in 24 bins from
-3 to 3; the distance is half the sum of the differences of two normalised histograms, 0 equal, 1
disjoint. WORK: folder for the generated files.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from outputs import write_page
from rich.progress import track

from neurohw import Lif, Network, Population, Projection, Source, TrainedNetwork
from neurohw.connections import Sparse
from neurohw.data.spikes import spike_file
from neurohw.hardware.build import place_and_route_network, tool_versions
from neurohw.hardware.generate.plastic import emit_plastic, learning_layout, source_numbers
from neurohw.hardware.verify.learning import learning_mismatch, run_learning
from neurohw.plasticity.golden import PlasticTrace, run_plastic_golden
from neurohw.plasticity.integer import QuantizedPlasticity, quantize_plasticity
from neurohw.plasticity.reference import run_plastic_reference
from neurohw.plasticity.rule import AstrocyteControl, Plasticity, PlasticProjection, Stdp
from neurohw.stimulus import Spikes

SHAPE, INPUTS, SAMPLES, STEPS = (4, 4, 8), 64, 100, 100
COMPARED, LAST, EDGE = 40, 20, 25
FORMATS = ((8, 8), (10, 8), (12, 8), (14, 8))
BINS = np.linspace(-3, 3, 25)


def liquid(seed: int = 0) -> tuple[TrainedNetwork, Plasticity]:
    """The network and its rule."""
    rng = np.random.default_rng(seed)
    size = int(np.prod(SHAPE))
    place = np.stack(np.unravel_index(np.arange(size), SHAPE), axis=1)
    inhibitory = np.zeros(size, np.bool_)
    inhibitory[rng.permutation(size)[: size // 5]] = True
    distance = ((place[:, None] - place[None]) ** 2).sum(axis=2)
    strength = np.where(
        inhibitory[:, None], np.where(inhibitory, 0.05, 0.3), np.where(inhibitory, 0.1, 0.2)
    )
    probability = strength * np.exp(-distance / 9) * (1 - np.eye(size))
    source, target = np.nonzero(rng.random((size, size)) < probability)
    pairs = np.sort(rng.permutation(INPUTS * size)[: round(0.15 * INPUTS * size)])
    neuron = Lif(1 - 1 / 64, 20.0, "hard", synapse_decay=float(np.exp(-1)), refractory=2)
    network = Network(
        (Population("input", INPUTS, Source()), Population("liquid", size, neuron)),
        (
            Projection("input", "liquid", 1, connection=Sparse(len(pairs))),
            Projection("liquid", "liquid", 1, connection=Sparse(len(source))),
        ),
    )
    parameters: dict[str, Any] = {
        "input_to_liquid.weight": rng.choice([-1.0, 1.0], len(pairs)),
        "input_to_liquid.source": pairs // size,
        "input_to_liquid.target": pairs % size,
        "liquid_to_liquid.weight": np.where(inhibitory[source], -1.0, 1.0),
        "liquid_to_liquid.source": source,
        "liquid_to_liquid.target": target,
        "liquid.bias": np.zeros(size),
        "liquid.threshold": np.full(size, neuron.threshold),
    }
    rules = (
        PlasticProjection("input_to_liquid", crosses_zero=True),
        PlasticProjection("liquid_to_liquid"),
    )
    plasticity = Plasticity(Stdp(), rules, inhibitory, AstrocyteControl(gain=15.0 / size))
    return TrainedNetwork(network, parameters, STEPS), plasticity


def stimulus(path: Path | None) -> tuple[str, np.ndarray]:
    """Its name, and spikes [time, sample, input]."""
    if path is None:
        return "10 % of the inputs in every step, random", (
            np.random.default_rng(1).random((STEPS, SAMPLES, INPUTS)) < 0.1
        ).astype(np.uint8)
    recordings, _ = spike_file(path)
    counts = recordings.counts(STEPS, 0.005)
    chosen = np.random.default_rng(1).permutation(len(counts))[:SAMPLES]
    return "spoken digits, 5 ms a step", np.minimum(counts[chosen], 1).transpose(1, 0, 2).copy()


def branching_factor(trained: TrainedNetwork, spikes: np.ndarray, inputs: np.ndarray) -> float:
    """Of spikes [time, sample, neuron], as the text above says."""
    ends = {
        f"{p}.{e}": trained.parameters[f"{p}.{e}"].astype(int)
        for p in ("input_to_liquid", "liquid_to_liquid")
        for e in ("source", "target")
    }
    size = spikes.shape[2]
    onto, into = np.zeros((size, size)), np.zeros((size, INPUTS + size))
    onto[ends["liquid_to_liquid.source"], ends["liquid_to_liquid.target"]] = 1
    into[ends["liquid_to_liquid.target"], INPUTS + ends["liquid_to_liquid.source"]] = 1
    into[ends["input_to_liquid.target"], ends["input_to_liquid.source"]] = 1
    every = np.concatenate([inputs, spikes], axis=2).astype(np.float64)
    ratios = []
    for t in range(EDGE, len(spikes) - EDGE):
        after = spikes[t + 1 : t + 5].astype(np.float64).sum(axis=0) @ onto.T
        before = every[t - 4 : t].sum(axis=0) @ into.T
        ratios.append((after / np.maximum(before, 1))[spikes[t] > 0])
    found = np.concatenate(ratios)
    return float(found.mean()) if len(found) else 0.0


def learn_in_float(
    trained: TrainedNetwork, plasticity: Plasticity, spikes: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Weights at the end, liquid spikes [time, sample, neuron] and A(t) [time, sample] of the float
    rule.
    """
    liquid_spikes, course, weights = [], [], {}
    for sample in track(range(spikes.shape[1]), "float rule"):
        run = run_plastic_reference(trained, plasticity, spikes[:, sample])
        liquid_spikes.append(run.trace.spikes["liquid"][:, 0])
        course.append(run.depression)
        weights = run.weights
        trained = replace(
            trained,
            parameters={**trained.parameters, **{f"{n}.weight": w for n, w in weights.items()}},
        )
    return weights, np.stack(liquid_spikes, axis=1), np.stack(course, axis=1)


def histogram(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Share of the weights in every bin, by projection."""
    return {n: np.histogram(np.clip(w, -3, 3), BINS)[0] / len(w) for n, w in weights.items()}


def floors(
    q: QuantizedPlasticity, golden: PlasticTrace, lanes: int, update_lanes: int
) -> tuple[float, float, float]:
    """Per step: rows that must be visited, synapses touched by a spike at either end, synapses
    delivered.
    """
    layout, numbers = learning_layout(q, lanes, update_lanes), source_numbers(q, update_lanes)
    steps, samples = golden.astrocyte.shape
    amplitude = (
        np.concatenate([np.full((1, samples), q.depression), golden.astrocyte[:-1]]) >> q.guard
    )
    rows = touched = delivered = 0
    fired = {n: a > 0 for n, a in golden.trace.spikes.items()}
    for projection in q.model.network.projections:
        source, target = q.source(projection), q.target(projection)
        count = layout.count[numbers[projection.source]]
        before, after = fired[projection.source], fired[projection.target]
        traces = golden.traces[projection.source]
        old = np.concatenate([np.zeros((1, *traces.shape[1:]), np.int64), traces[:-1]])
        inhibitory = q.projections[projection.name].inhibitory
        changes = (
            np.where(
                inhibitory,
                np.clip(amplitude[..., None] * old + (1 << q.shift >> 1) >> q.shift, -1, 1),
                q.amount(q.potentiation, old),
            )
            != 0
        )
        reach = np.zeros((after.shape[2], before.shape[2]), np.float32)
        reach[target, source] = 1
        reached = (after.reshape(-1, after.shape[2]).astype(np.float32) @ reach > 0).reshape(
            before.shape
        )
        rows += int(((before | (changes & reached)) * count).sum())
        touched += int((before[..., source] | after[..., target]).sum())
        delivered += int(before[..., source].sum())
    cells = steps * samples
    return rows / cells, touched / cells, delivered / cells


def row(*values: str) -> str:
    """A row of a table."""
    return "| " + " | ".join(values) + " |"


def in_hardware(
    q: QuantizedPlasticity, spikes: np.ndarray, lanes: int, update_lanes: int, work: Path
) -> list[str]:
    """Rows of the table of the core."""
    folder = work / f"learning-{lanes}"
    package = emit_plastic(q, lanes, update_lanes)
    package.write(folder)
    started = time.perf_counter()
    golden = run_plastic_golden(q, Spikes(spikes), every=100)
    golden_seconds, started = time.perf_counter() - started, time.perf_counter()
    result = run_learning(folder, q, spikes, every=100)
    seconds = time.perf_counter() - started
    mismatch = learning_mismatch(golden, result)
    compared = golden.trace.spikes["liquid"].size * 5 + sum(
        a.size for a in (*golden.traces.values(), *golden.snapshots.values(), golden.astrocyte)
    )
    cells, fmax = place_and_route_network(
        folder, package.sources(), folder.with_name(folder.name + "-route"), seed=1
    )
    steps = result.counters["steps"]
    clocks = result.counters["cycles"] / steps
    needed, touched, delivered = floors(q, golden, lanes, update_lanes)
    per_second = 1e6 * fmax / clocks
    synapses = sum(len(q.source(p)) for p in q.model.network.projections)
    rows = len(learning_layout(q, lanes, update_lanes).weights)
    return [
        row(
            "neurons, inputs, synapses that learn",
            f"{q.model.network.output.size}, {INPUTS}, {synapses:,} in {rows} rows of {lanes}",
        ),
        row(
            "golden = RTL",
            (
                f"{mismatch or 'every spike, state, trace, weight and the astrocyte'}: "
                f"{compared:,} numbers in {steps:,} steps of learning ({golden_seconds:.0f} s "
                f"and {seconds:.0f} s)"
            ),
        ),
        row(
            "spikes in a step: input, liquid",
            (
                f"{spikes.mean() * INPUTS:.1f}, "
                f"{golden.trace.spikes['liquid'].mean() * q.model.network.output.size:.1f}"
            ),
        ),
        row(
            "COMB / FF / BRAM of 83,640 / 83,640 / 208",
            f"{cells['lut'][0]:,} / {cells['ff'][0]:,} / {cells['bram'][0]}",
        ),
        row("Fmax", f"{fmax:.1f} MHz (target 100)"),
        row(
            "clocks per step",
            f"{clocks:.0f}, of which {result.counters['passing'] / steps:.0f} in passes",
        ),
        row(
            "rows visited per step",
            (
                f"{result.counters['rows'] / steps:.1f}; floor {needed:.1f}; ratio of the clocks "
                f"to it {clocks / needed:.2f}"
            ),
        ),
        row(
            "synapses touched by a spike, per step",
            (
                f"{touched:.0f}: {touched / lanes:.1f} clocks at {lanes} a clock, ratio "
                f"{clocks / (touched / lanes):.1f}"
            ),
        ),
        row("steps per second", f"{per_second:,.0f}"),
        row(
            "learning synaptic operations per second",
            (
                f"{touched * per_second / 1e6:.1f} million (synapses with a spike at either "
                f"end), and {delivered * per_second / 1e6:.1f} million delivered"
            ),
        ),
    ]


def against_float(trained: TrainedNetwork, plasticity: Plasticity, spikes: np.ndarray) -> list[str]:
    """Rows of the table of integers against the float rule."""
    last = spikes[:, -LAST:]
    weights, fired, course = learn_in_float(trained, plasticity, spikes)
    expected = histogram(weights)
    names = list(expected)
    start = {n: trained.parameters[f"{n}.weight"] for n in names}

    def line(
        name: str, weights: dict[str, np.ndarray], fired: np.ndarray, course: np.ndarray
    ) -> str:
        found = histogram(weights)
        distance = ", ".join(f"{0.5 * np.abs(found[n] - expected[n]).sum():.3f}" for n in names)
        spread = ", ".join(f"{w.mean():+.3f} ± {w.std():.3f}" for w in weights.values())
        return row(
            name,
            f"{branching_factor(trained, fired[:, -LAST:], last):.3f}",
            f"{100 * fired[:, -LAST:].mean():.2f} %",
            f"{course[:, -LAST:].mean():.3f}",
            spread,
            distance,
        )

    still = run_plastic_golden(
        quantize_plasticity(trained, plasticity), Spikes(spikes), learning=False
    )
    rows = [
        row(
            "",
            "branching factor",
            "density of spikes",
            "A",
            "weights: input, liquid",
            "distance of histograms: input, liquid",
        ),
        "|---|---|---|---|---|---|",
        row("float rule", *line("", weights, fired, course).strip("| ").split(" | ")),
        row(
            "no learning",
            f"{branching_factor(trained, still.trace.spikes['liquid'][:, -LAST:], last):.3f}",
            f"{100 * still.trace.spikes['liquid'][:, -LAST:].mean():.2f} %",
            "–",
            ", ".join(f"{w.mean():+.3f} ± {w.std():.3f}" for w in start.values()),
            "–",
        ),
    ]
    for bits, seen in track(FORMATS, "integers"):
        q = quantize_plasticity(trained, plasticity, bits, seen)
        golden = run_plastic_golden(q, Spikes(spikes))
        scale = 2.0 ** -q.info["weight_fraction"]
        state = 2.0 ** -(q.info["amplitude_fraction"] + q.guard)
        rows.append(
            line(
                f"{bits} bits, {seen} of them seen by the neuron",
                {n: w * scale for n, w in golden.weights.items()},
                golden.trace.spikes["liquid"],
                golden.astrocyte * state,
            )
        )
    return rows


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("--spikes", type=Path)
    parser.add_argument("--lanes", type=int, default=16)
    parser.add_argument("--update-lanes", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    name, spikes = stimulus(arguments.spikes)
    trained, plasticity = liquid()
    lines = [
        "# Learning on chip",
        "",
        "`python benchmarks/onchip_plasticity.py` writes this page and says what is measured.",
        "",
    ]
    lines += [
        f"Integers against the float rule; {name}, {SAMPLES} samples of {STEPS} steps.",
        "",
        *against_float(trained, plasticity, spikes),
        "",
    ]
    print("\n".join(lines), flush=True)
    q = quantize_plasticity(trained, plasticity)
    head = [f"| ECP5-85k, 12-bit weights of which the neuron sees 8; {name} | |", "|---|---|"]
    lines += [
        *head,
        *in_hardware(q, spikes, arguments.lanes, arguments.update_lanes, arguments.work),
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
