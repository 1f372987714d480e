# SPDX-License-Identifier: Apache-2.0
"""A liquid of 1,000 neurons with its readout in hardware: compressed sparse rows on the open ECP5
flow.

    python benchmarks/liquid_hardware.py WORK DATA [--model TRAINED] [--lanes 16] [--samples 1000]
        [--out benchmarks/liquid_hardware.md]

The liquid is a grid of 10 x 10 x 10 neurons, 80 % excitatory. Neurons i and j at distance D are
connected with probability C exp(-(D/3)^2), C = 0.2 from excitatory to excitatory, 0.1 to
inhibitory, 0.3 from inhibitory to excitatory, 0.05 to inhibitory; 15 % of all pairs of input and
liquid are connected. Weights are +-1, from the input with random signs; all delays are one step.
Lif: decay 1 - 1/64, synapse decay exp(-1), threshold 20, hard reset, 2 refractory steps. The
readout is an Integrator without leak: ridge regression of the classes on the spike counts of the
liquid's neurons, as the integers give them. All is drawn from --seed. DATA: images with labels
(`neurohw.data.images`); a pixel of intensity x spikes in a step with probability --rate x. MODEL:
another liquid, a trained network of an input of 784, a liquid, and any readout, which is fitted
anew.

Place and route is nextpnr-ecp5 with --85k --package CABGA381 --freq 100 --seed 1 on the plain
network top, AXI4-Lite registers and counters included. The floor of the clocks of a sample is the
sum over its events of ceil(F / lanes), F the fan-out of the event's source, of the projections into
the liquid.
"""

import argparse
import dataclasses
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from outputs import write_page
from rich.progress import track

from neurohw import (
    Integrator,
    Lif,
    Network,
    Population,
    Projection,
    Source,
    TrainedNetwork,
    load_trained,
    quantize,
)
from neurohw.connections import Dense, Sparse
from neurohw.data import load
from neurohw.data.encode import rate
from neurohw.golden.native import run_native
from neurohw.hardware.build import place_and_route_network, tool_versions
from neurohw.hardware.generate import emit
from neurohw.hardware.verify import verify
from neurohw.hardware.verify.operations import fan_out
from neurohw.integers import QuantizedNetwork
from neurohw.readout import accuracy
from neurohw.stimulus import Spikes

EDGE, EXCITATORY, LENGTH, INPUT_DENSITY = 10, 0.8, 3.0, 0.15
PROBABILITY = {
    (True, True): 0.2,
    (True, False): 0.1,
    (False, True): 0.3,
    (False, False): 0.05,
}  # by sign of source and target
LIQUID = Lif(1 - 1 / 64, 20.0, "hard", synapse_decay=float(np.exp(-1)), refractory=2)
CHUNK = 250


def liquid(inputs: int, classes: int, steps: int, rng: np.random.Generator) -> TrainedNetwork:
    """The network with a readout of zeros."""
    size = EDGE**3
    place = np.stack(np.unravel_index(np.arange(size), (EDGE,) * 3), axis=1)
    squares = ((place[:, None] - place[None]) ** 2).sum(axis=2)
    excitatory = rng.permutation(size) < EXCITATORY * size
    factor = np.array([[PROBABILITY[bool(s), bool(t)] for t in excitatory] for s in excitatory])
    connected = rng.random((size, size)) < factor * np.exp(-squares / LENGTH**2)
    np.fill_diagonal(connected, False)
    source, target = np.nonzero(connected)
    pairs = rng.choice(inputs * size, int(INPUT_DENSITY * inputs * size), replace=False)
    network = Network(
        (
            Population("input", inputs, Source()),
            Population("liquid", size, LIQUID),
            Population("readout", classes, Integrator(1.0)),
        ),
        (
            Projection("input", "liquid", 1, connection=Sparse(len(pairs))),
            Projection("liquid", "liquid", 1, connection=Sparse(len(source))),
            Projection("liquid", "readout"),
        ),
    )
    parameters = {
        "input_to_liquid.source": pairs // size,
        "input_to_liquid.target": pairs % size,
        "input_to_liquid.weight": rng.choice([-1.0, 1.0], len(pairs)),
        "liquid_to_liquid.source": source,
        "liquid_to_liquid.target": target,
        "liquid_to_liquid.weight": np.where(excitatory[source], 1.0, -1.0),
        "liquid_to_readout.weight": np.zeros((classes, size)),
        "liquid.threshold": np.full(size, LIQUID.threshold),
    }
    for name, shape in network.shapes().items():
        parameters.setdefault(name, np.zeros(shape))
    return TrainedNetwork(network, parameters, steps)


def counts_of(
    model: QuantizedNetwork, x: NDArray[np.float32], steps: int, seed: int
) -> NDArray[np.float64]:
    """Spikes of every liquid neuron [sample, neuron] of the integer model."""
    parts = []
    for start in track(range(0, len(x), CHUNK), "liquid"):
        spikes = rate(x[start : start + CHUNK], steps, [seed, start])
        parts.append(
            run_native(model, Spikes(spikes), states=False)
            .spikes[model.network.populations[1].name]
            .sum(axis=0, dtype=np.int64)
        )
    return np.concatenate(parts).astype(np.float64)


def fitted(
    trained: TrainedNetwork,
    x: NDArray[np.float32],
    labels: NDArray[np.int64],
    bits: int,
    readout_bits: int,
    penalty: float,
    seed: int,
) -> QuantizedNetwork:
    """The network in integers, the liquid with `bits` and the readout with `readout_bits`; its
    readout is the ridge regression on the counts.
    """
    network = trained.network
    output, [incoming] = network.output, network.into(network.output.name)
    if not isinstance(output.neuron, Integrator) or incoming.connection != Dense():
        raise SystemExit("the model needs one dense projection into an Integrator as its readout")
    # without a leak to speak of below 64 units of the membrane, thresholds need many
    first = quantize(trained, bits, resolution_bits=10)
    counts = counts_of(first, x, trained.steps, seed)
    targets = np.eye(output.size)[labels]
    mean = counts.mean(axis=0)
    gram = (counts - mean).T @ (counts - mean) + penalty * len(x) * np.eye(len(mean))
    weight = np.linalg.solve(gram, (counts - mean).T @ (targets - targets.mean(axis=0))).T
    bias = (targets.mean(axis=0) - weight @ mean) / trained.steps
    parameters = {
        **trained.parameters,
        f"{incoming.name}.weight": weight,
        f"{output.name}.bias": bias,
    }
    full = dataclasses.replace(trained, parameters=parameters)
    liquid, readout = (quantize(full, b, resolution_bits=10) for b in (bits, readout_bits))
    return dataclasses.replace(
        liquid,
        populations={**liquid.populations, output.name: readout.populations[output.name]},
        projections={**liquid.projections, incoming.name: readout.projections[incoming.name]},
    )


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--lanes", type=int, default=16)
    parser.add_argument("--bits", type=int, default=4)
    parser.add_argument("--readout-bits", type=int, default=8)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rate", type=float, default=0.3)
    parser.add_argument("--penalty", type=float, default=0.05)
    parser.add_argument("--fit", type=int, default=5000, help="training images of the readout")
    parser.add_argument("--samples", type=int, default=1000, help="test images")
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-route", action="store_true", help="leave out place and route")
    parser.add_argument("--no-verify", action="store_true", help="leave out the simulation")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    lanes, steps = arguments.lanes, arguments.steps
    data = load(arguments.data)
    rng = np.random.default_rng(arguments.seed)
    trained = (
        load_trained(arguments.model)
        if arguments.model
        else liquid(data.features, data.classes, steps, rng)
    )
    x, labels = data.part("train")
    model = fitted(
        trained,
        arguments.rate * x[: arguments.fit],
        labels[: arguments.fit],
        arguments.bits,
        arguments.readout_bits,
        arguments.penalty,
        arguments.seed,
    )
    x, labels = data.part("test")
    labels = labels[: arguments.samples]
    spikes = rate(arguments.rate * x[: arguments.samples], steps, [arguments.seed, 1])
    trace = run_native(model, Spikes(spikes))
    name = model.network.populations[1].name
    package = emit(model, lanes)
    folder = arguments.work / "liquid"
    package.write(folder)
    into = model.network.into(name)
    # what is still under way when a sample ends arrives nowhere
    events = {
        p.name: trace.spikes[p.source][: steps - p.delay].sum(axis=(0, 1), dtype=np.int64)
        for p in into
    }
    reach = {p.name: fan_out(model, p) for p in into}
    samples = spikes.shape[1]
    floor = sum(int(events[p] @ -(-reach[p] // lanes)) for p in events) / samples
    ideal = sum(int(events[p] @ reach[p]) for p in events) / lanes / samples
    golden = accuracy(trace.states[f"v.{model.network.output.name}"][-1], labels)
    sizes = "-".join(str(p.size) for p in model.network.populations)
    synapses = ", ".join(f"{int(reach[p].sum()):,} {p}" for p in reach)
    rows = [
        ("synapses", synapses),
        (
            "events a step",
            ", ".join(f"{int(events[p].sum()) / samples / steps:.1f} {p}" for p in events),
        ),
        ("accuracy of the golden model", f"{100 * golden:.2f} % of {samples:,}"),
        (
            "weight memory, Mbit",
            ", ".join(f"{bits / 1e6:.2f} {p}" for p, bits in package.weight_bits().items()),
        ),
    ]
    print(rows, flush=True)
    cycles = 0.0
    started = time.perf_counter()
    pool = ThreadPoolExecutor(1)  # place and route takes one core; the simulation has the others
    routed = None
    if not arguments.no_route:
        routed = pool.submit(
            place_and_route_network,
            folder,
            package.sources(),
            arguments.work / "liquid-route",
            seed=1,
        )
    if not arguments.no_verify:
        result = verify(
            folder,
            model,
            Spikes(spikes),
            states=True,
            jobs=arguments.jobs,
            progress=lambda text, _: print(f"\r{text}   ", end="", flush=True),
        )
        seconds, cycles = time.perf_counter() - started, result.cycles_per_inference
        waiting = f"{result.synaptic_operations_per_cycle:.2f} of {lanes}"
        rows += [
            (
                "golden = RTL",
                (
                    f"{result.mismatches} mismatches in {result.spikes_compared:,} spikes and "
                    f"{result.states_compared:,} states of {result.samples:,} test images "
                    f"({seconds:.0f} s)"
                ),
            ),
            ("accuracy of the RTL", f"{100 * accuracy(result.scores, labels):.2f} %"),
            ("clocks per sample, pipeline full", f"{cycles:,.0f}"),
            ("clocks per step", f"{cycles / steps:,.1f}"),
            (
                "floor: sum over events of ceil(F / lanes)",
                f"{floor / steps:,.1f} a step, ratio {cycles / floor:.3f}",
            ),
            (
                "synaptic operations per clock, over all clocks",
                f"{ideal * lanes / cycles:.2f} of {lanes}",
            ),
            (f"synaptic operations per clock while events of {into[0].name} wait", waiting),
        ]
    print(rows, flush=True)
    if routed is not None:
        cells, fmax = routed.result()
        rows += [
            (
                "COMB / FF / EBR of 83,640 / 83,640 / 208",
                f"{cells['lut'][0]:,} / {cells['ff'][0]:,} / {cells['bram'][0]}",
            ),
            ("Fmax", f"{fmax:.1f} MHz (place and route {time.perf_counter() - started:.0f} s)"),
        ]
        if cycles:
            rows.append(
                (
                    "samples per second",
                    f"{1e6 * fmax / cycles:,.0f} ({1e6 * fmax / cycles * steps:,.0f} steps)",
                )
            )
    what = "weights of +-1" if arguments.model is None else "trained weights"
    lines = [
        "# A liquid in hardware",
        "",
        "`python benchmarks/liquid_hardware.py` writes this page.",
        "",
        (
            f"| {sizes}, {what}, int{arguments.bits}, readout int{arguments.readout_bits}, "
            f"{lanes} lanes, {steps} steps | |"
        ),
        "|---|---|",
        *[f"| {key} | {value} |" for key, value in rows],
        "",
        "Tools: " + ", ".join(f"{tool} {version}" for tool, version in tool_versions().items()),
        "",
    ]
    write_page(arguments.out, "\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
