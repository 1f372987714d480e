# SPDX-License-Identifier: Apache-2.0
"""A learning core in Verilator against its golden model: every spike, state, trace, weight and the
astrocyte.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.children import run_child
from neurohw.errors import NeurohwError
from neurohw.hardware.generate import RtlPackage
from neurohw.hardware.generate.plastic import learning_layout, source_numbers
from neurohw.hardware.verify.harness import STATES, build_harness, check_proof, event_words
from neurohw.paths import sim_folder
from neurohw.plasticity.golden import PlasticTrace
from neurohw.plasticity.integer import QuantizedPlasticity
from neurohw.step import letters
from neurohw.trace import Trace, first_mismatch

COUNTERS = (
    "identity", "status", "cycles", "steps", "samples", "output_spikes", "saturations",
    "invalid_events", "learning", "astrocyte", "shape", "events", "passing", "sources", "rows",
    *[f"digest{i}" for i in range(8)],
)  # fmt: skip


@dataclass(frozen=True)
class LearningResult:
    """What the RTL did, shaped as the golden model's, and its counters.

    done: spikes, states, traces, astrocyte, weights (as the host read them back) and snapshots (as
        they lay in the memory).
    sent: spikes that left through m_axis [time, sample, neuron].
    counters: events of the input, clocks of passes, sources and rows visited, and those of every
        network.
    """

    done: PlasticTrace
    sent: NDArray[np.uint8]
    counters: dict[str, int]


def run_learning(
    package: Path,
    quantized: QuantizedPlasticity,
    spikes: NDArray[np.uint8],
    learning: bool | NDArray[np.bool_] = True,
    every: int = 0,
    idle: float = 0.0,
    backpressure: float = 0.0,
    seed: int = 1,
    optimize: bool = True,
    beyond_proof: bool = False,
) -> LearningResult:
    """Stream spikes [time, sample, input neuron] through the RTL of a written package; arguments as
    of `run_plastic_golden`.

    idle, backpressure: share of clocks in which the source offers nothing and the sink takes
        nothing.
    beyond_proof: run more steps than the widths are proved for.
    Raises InvalidData as `check_proof`, NeurohwError with the harness's words if the design hangs
    or breaks the stream protocol.
    """
    contents = RtlPackage.load(package)
    check_proof(contents, spikes != 0, beyond_proof)
    program = build_harness(
        package,
        package.parent / "harness",
        optimize=optimize,
        harness=sim_folder() / "learning_harness.cpp",
    )
    parameters = contents.layers()[0]["parameters"]
    network = quantized.model.network
    layout = learning_layout(quantized, parameters["LANES"], parameters["UPDATE_LANES"])
    steps, samples, _ = spikes.shape
    rows, lanes, neurons, sources = *layout.weights.shape, network.output.size, len(layout.first)
    header = [
        samples,
        steps,
        neurons,
        sources,
        rows,
        lanes,
        every,
        *np.broadcast_to(learning, samples).astype(int),
    ]
    words = [np.array(header, np.uint32), event_words((spikes != 0).astype(np.uint8))]
    with tempfile.TemporaryDirectory() as name:
        stimulus, result = Path(name) / "stimulus", Path(name) / "result"
        stimulus.write_bytes(np.concatenate(words).astype("<u4").tobytes())
        arguments = [
            str(program),
            str(stimulus),
            str(result),
            f"idle={idle}",
            f"backpressure={backpressure}",
            f"seed={seed}",
        ]
        done = run_child(arguments, package)
        if done.returncode != 0:
            raise NeurohwError(
                f"the simulated RTL failed (code {done.returncode}): {done.stderr.strip()[-500:]}"
            )
        content = result.read_bytes()
    position = 0

    def take(kind: str, *shape: int) -> NDArray[np.generic]:
        nonlocal position
        array = np.frombuffer(content, kind, int(np.prod(shape)), position).reshape(shape)
        position += array.nbytes
        return array

    def by_time(array: NDArray[np.generic]) -> NDArray[np.int64]:
        return np.swapaxes(array, 0, 1).astype(np.int64)

    own = by_time(take("u1", samples, steps, neurons))
    values = by_time(take("<i4", samples, steps, neurons, len(STATES)))
    traces = by_time(take("<i4", samples, steps, sources))
    astrocyte = by_time(take("<i4", samples, steps))
    fetched = take("<i4", rows, lanes).astype(np.int64)
    sent = by_time(take("u1", samples, steps, neurons)).astype(np.uint8)
    counters = dict(zip(COUNTERS, (int(n) for n in take("<u4", len(COUNTERS))), strict=True))  # type: ignore[call-overload]
    kept = samples * steps // every if every else 0
    snapshots = take("<i4", kept, rows, lanes).astype(np.int64)
    neuron, name = network.output.neuron, network.output.name
    states = {f"{x}.{name}": values[..., i] for i, x in enumerate(STATES) if x in letters(neuron)}  # type: ignore[arg-type]
    numbers = source_numbers(quantized, parameters["UPDATE_LANES"])
    return LearningResult(
        PlasticTrace(
            Trace(
                {network.input.name: spikes.astype(np.uint8), name: own.astype(np.uint8)}, states
            ),
            {n: traces[..., numbers[n]] for n in numbers},
            astrocyte,
            {p: fetched[layout.row[p], layout.lane[p]] for p in layout.row},
            {p: snapshots[:, layout.row[p], layout.lane[p]] for p in layout.row},
        ),
        sent,
        counters,
    )


def learning_mismatch(expected: PlasticTrace, result: LearningResult) -> str | None:
    """The first difference between the golden model and the RTL in words, None where every number
    is equal.
    """
    mismatch = first_mismatch(expected.trace, result.done.trace)
    if mismatch is not None:
        return str(mismatch)
    population = next(n for n in reversed(expected.trace.spikes))
    arrays: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {
        "spikes sent": (expected.trace.spikes[population], result.sent),
        "astrocyte": (expected.astrocyte, result.done.astrocyte),
        **{f"trace of {n}": (a, result.done.traces[n]) for n, a in expected.traces.items()},
        **{
            f"weights of {n} on the way": (a, result.done.snapshots[n])
            for n, a in expected.snapshots.items()
        },
        **{f"weights of {n}": (a, result.done.weights[n]) for n, a in expected.weights.items()},
    }
    for what, (wanted, got) in arrays.items():
        if wanted.shape != got.shape:
            return f"{what}: shape {got.shape}, expected {wanted.shape}"
        if not np.array_equal(wanted, got):
            where = tuple(int(i) for i in np.argwhere(wanted != got)[0])
            return f"{what} at {where}: expected {wanted[where]}, got {got[where]}"
    return None
