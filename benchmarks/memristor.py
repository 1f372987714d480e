# SPDX-License-Identifier: Apache-2.0
"""Resistive memory: how long programming, reading and sampling take, and what the solutions of the
wires cost and give.

    python benchmarks/memristor.py [--repeats 5] [--out benchmarks/memristor.md]

784-128-10 on differential pairs (203,264 devices), one thread. Floors: of sampling, the normal
numbers that the model draws and nothing else; of a run with read noise, the same run of the float64
reference without devices. Wires: a tile of 256 x 256 devices of 0 to 25 microsiemens, all rows
driven, segments of 1 ohm.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from outputs import write_page
from threadpoolctl import threadpool_limits

from neurohw import TrainedNetwork, feed_forward, run_reference
from neurohw.memristor import KINDS, device_named, layout_of, program, sample_weights
from neurohw.memristor.wires import (
    SIEMENS,
    alone,
    column_currents,
    effective_conductances,
    first_order,
)

DAY = 86400.0
STEPS, SAMPLES, DENSITY = 4, 500, 0.2


def milliseconds(call: Callable[[], object], repeats: int) -> float:
    """Median processor time of `repeats` calls, after one that does not count: on one thread the
    same as time on an idle machine.
    """
    times = []
    for _ in range(repeats + 1):
        start = time.process_time()
        call()
        times.append(1e3 * (time.process_time() - start))
    return statistics.median(times[1:])


def factorised(g: np.ndarray, volts: np.ndarray, ohm: float) -> np.ndarray:
    """Column currents, microamperes, by a sparse factorisation of all nodes: what one would write
    first.
    """
    rows, columns = g.shape
    node = np.arange(2 * rows * columns).reshape(2, rows, columns)
    ends = [
        (node[0].ravel(), node[1].ravel(), g.ravel() * SIEMENS),
        (node[0, :, :-1].ravel(), node[0, :, 1:].ravel(), np.full(rows * (columns - 1), 1 / ohm)),
        (node[1, :-1].ravel(), node[1, 1:].ravel(), np.full((rows - 1) * columns, 1 / ohm)),
    ]
    a, b, s = (np.concatenate(part) for part in zip(*ends, strict=True))
    system = scipy.sparse.csc_matrix(
        (
            np.concatenate([s, s, -s, -s]),
            (np.concatenate([a, b, a, b]), np.concatenate([a, b, b, a])),
        )
    )
    held = np.concatenate([node[0, :, 0], node[1, 0]])
    free = np.setdiff1d(node.ravel(), held)
    known = np.zeros(node.size)
    known[node[0, :, 0]] = volts
    solve = scipy.sparse.linalg.splu(
        system[free][:, free].tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}
    )
    known[free] = solve.solve(-(system[free][:, held] @ known[held]))
    return -(system[node[1, 0]] @ known) / SIEMENS


def network_times(repeats: int) -> list[str]:
    rng = np.random.default_rng(0)
    network = feed_forward([784, 128, 10])
    arrays = {n: rng.normal(size=s) for n, s in network.shapes().items()}
    arrays["hidden1.threshold"] = np.full(128, 5.0)
    trained = TrainedNetwork(network, arrays, STEPS)
    spikes = (rng.random((STEPS, SAMPLES, 784)) < DENSITY).astype(np.uint8)
    first = network.projections[0]
    layout, weight = layout_of(trained, first), arrays[f"{first.name}.weight"].astype(np.float32)
    reference = milliseconds(lambda: run_reference(trained, spikes, states=False), repeats)
    lines = [
        (
            f"Float64 reference, {SAMPLES} samples of {STEPS} steps, {100 * DENSITY:.0f} % of "
            f"the inputs: {reference:.0f} ms."
        ),
        "",
        (
            "| device | program, ms | network after a day, ms | run with read noise, ms | to the "
            "reference | sample 784 x 128 in float32, ms | to its random numbers |"
        ),
        "|---|---|---|---|---|---|---|",
    ]
    for kind in KINDS:
        device = device_named(kind)
        chip = program(trained, device, 0)
        kept, target = device.program(np.ones(3), rng), np.zeros((2, 128, 784), np.float32)
        draws = max(len(kept) - ("target" in kept) - ("walk0" in kept), 1) + (
            device.read_deviation(kept, np.ones(3), DAY) is not None
        )
        floor = milliseconds(
            lambda d=draws, t=target: [rng.standard_normal(t.shape, np.float32) for _ in range(d)],
            repeats,
        )  # type: ignore[misc]
        times = [
            milliseconds(lambda d=device: program(trained, d, 0), repeats),  # type: ignore[misc]
            milliseconds(lambda c=chip: c.network(DAY, read=0), repeats),  # type: ignore[misc]
            milliseconds(lambda c=chip: c.run(spikes, DAY, states=False), repeats),  # type: ignore[misc]
            milliseconds(
                lambda d=device: sample_weights(weight, layout, d, rng, time_seconds=DAY), repeats
            ),  # type: ignore[misc]
        ]
        lines.append(
            f"| {kind} | {times[0]:.0f} | {times[1]:.0f} | {times[2]:.0f} | "
            f"{times[2] / reference:.1f} | {times[3]:.1f} | {times[3] / floor:.1f} |"
        )
        print(lines[-1], flush=True)
    return lines


def wire_times(repeats: int) -> list[str]:
    rng = np.random.default_rng(0)
    g, volts, ohm = rng.uniform(0, 25, (256, 256)), np.ones(256), 1.0
    exact = column_currents(g, volts, ohm)
    lines = [
        (
            "| wires of a 256 x 256 tile | ms | largest deviation from the currents of conjugate "
            "gradients |"
        ),
        "|---|---|---|",
    ]
    for name, call in (
        (
            "conjugate gradients on the row wires, one input, exact",
            lambda: column_currents(g, volts, ohm),
        ),
        ("sparse factorisation of all nodes, one input, exact", lambda: factorised(g, volts, ohm)),
        (
            "elimination column by column, all inputs, exact",
            lambda: volts @ effective_conductances(g, ohm),
        ),
        ("first order in r, all devices", lambda: volts @ first_order(g, ohm)),
        ("each device alone, G / (1 + G r (i + j))", lambda: volts @ alone(g, ohm)),
    ):
        off = np.abs(call() - exact).max() / exact.max()
        lines.append(f"| {name} | {milliseconds(call, repeats):.0f} | {off:.1e} |")
        print(lines[-1], flush=True)
    loss = 1 - exact.sum() / (volts @ g).sum()
    return [
        *lines,
        "",
        f"Without wires the currents would be larger: wires lose {100 * loss:.0f} % of them.",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    with threadpool_limits(1):
        lines = [
            "# Resistive memory",
            "",
            *network_times(arguments.repeats),
            "",
            *wire_times(arguments.repeats),
            "",
        ]
    lines.append(
        f"Processor time of one thread, medians of {arguments.repeats}. `python "
        "benchmarks/memristor.py` writes this page."
    )
    write_page(arguments.out, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
