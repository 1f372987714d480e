# SPDX-License-Identifier: Apache-2.0
"""Streams a test set through the RTL and compares it, spike for spike and state for state, with the
golden model.
"""

import dataclasses
import os
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.checks import argument, exactly
from neurohw.children import workers
from neurohw.errors import NeurohwError
from neurohw.golden.native import run_native
from neurohw.hardware.generate import RtlPackage
from neurohw.hardware.verify.harness import (
    IDENTITY,
    INVALID,
    SATURATED,
    HarnessResult,
    build_harness,
    check_proof,
    run_harness,
)
from neurohw.hardware.verify.operations import count_operations
from neurohw.integers import QuantizedNetwork
from neurohw.model_files import digest_of
from neurohw.neurons import Integrator
from neurohw.readout import scores
from neurohw.stimulus import Spikes, proved_stimulus
from neurohw.trace import Trace, first_mismatch

CHUNK = (100, 500)  # samples of one process of the harness: fewest, most,
CELLS = 1 << 22  # and neurons times steps of them, to bound memory
LARGEST_COUNT = (1 << 32) - 1  # of a register
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class VerifyResult:
    """What was compared, what differed, and what it cost in clocks.

    spikes_compared, states_compared: entries compared; the membranes or spikes that left through
        the output stream count too.
    cycles_per_inference: clocks of the whole run divided by samples, with the pipeline kept full.
    latency_cycles: mean over samples of the clocks from the first beat accepted to the last output
        beat.
    synaptic_operations, effective_synaptic_operations: by projection, see `Operations`;
    synaptic_operations_per_cycle: of the first projection, while events wait.
    saturations: by population, neuron updates in which a state has saturated, as counted by the
        registers of the RTL.
    proved_steps: for which the widths are proved; 0 saturations are certain in no longer samples of
        uncapped populations.
    scores: [sample, class] from the output stream of the RTL, not from the golden model.
    """

    samples: int
    steps: int
    spikes_compared: int
    states_compared: int
    mismatches: int
    first_mismatch: str | None
    waveform: str | None
    cycles_per_inference: float
    latency_cycles: float
    latency_cycles_max: int
    synaptic_operations_per_cycle: float
    synaptic_operations: dict[str, int]
    effective_synaptic_operations: dict[str, int]
    saturations: dict[str, int]
    proved_steps: int
    scores: NDArray[Any]

    def to_json(self) -> dict[str, Any]:
        """Everything but the scores."""
        return {
            f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "scores"
        }


@dataclass
class _Tally:
    compared: int = 0
    states_compared: int = 0
    mismatches: int = 0
    first: tuple[int, str] | None = None
    # of all samples [time, neuron], by population
    spikes: dict[str, NDArray[np.int64]] = field(default_factory=dict)


def chunk_size(samples: int, steps: int, neurons: int) -> int:
    """Samples for one process: few processes, but enough for many cores, and the same on every
    machine, since clocks of a chunk end with its last output.
    """
    fewest, most = CHUNK
    return min(max(fewest, min(most, -(-samples // 16))), max(1, CELLS // (steps * neurons)))


def _saturations_differ(golden: Trace, rtl: HarnessResult) -> list[str]:
    """In words, every population whose register counted other saturations than the golden model."""
    expected = {name: min(golden.saturations[name], LARGEST_COUNT) for name in rtl.saturations}
    return [
        (
            f"saturations of population {name!r}, samples of one process: expected "
            f"{expected[name]}, got {n}"
        )
        for name, n in rtl.saturations.items()
        if n != expected[name]
    ]


def _compare(
    model: QuantizedNetwork, golden: Trace, first: int, rtl: HarnessResult, tally: _Tally
) -> None:
    """Count the differences between both results of the samples from `first` on."""
    integrator = isinstance(model.network.output.neuron, Integrator)
    for name, spikes in golden.spikes.items():
        total = spikes.sum(axis=1, dtype=np.int64)
        tally.spikes[name] = tally.spikes.get(name, np.zeros_like(total)) + total
    output = model.network.output.name
    expected_sent = golden.states[f"v.{output}"][-1] if integrator else golden.spikes[output]
    differences = 0
    for name, spikes in rtl.spikes.items():
        tally.compared += spikes.size
        differences += int(np.count_nonzero(spikes != golden.spikes[name]))
    for name, values in rtl.states.items():
        tally.states_compared += values.size
        differences += int(np.count_nonzero(values != golden.states[name]))
    if integrator:
        tally.states_compared += rtl.sent.size
    else:
        tally.compared += rtl.sent.size
    sent_differs = rtl.sent != expected_sent
    differences += int(np.count_nonzero(sent_differs))
    wrong_counters = _saturations_differ(golden, rtl)
    differences += len(wrong_counters)
    tally.mismatches += differences
    if differences and (tally.first is None or first < tally.first[0]):
        mismatch = first_mismatch(golden, Trace(rtl.spikes, rtl.states))
        if mismatch is not None:
            text = str(dataclasses.replace(mismatch, sample=mismatch.sample + first))
            sample = mismatch.sample + first
        elif wrong_counters:
            text, sample = wrong_counters[0], first
        else:
            where = np.argwhere(sent_differs)[0]
            sample = int(where[0] if integrator else where[1]) + first
            text = (
                f"output stream of population {output!r}, sample {sample}, neuron "
                f"{int(where[-1])}: expected {expected_sent[tuple(where)]}, got "
                f"{rtl.sent[tuple(where)]}"
            )
        tally.first = (sample, text)


def _check_registers(
    results: list[HarnessResult], package: RtlPackage, spikes: NDArray[np.uint8]
) -> None:
    """Raise NeurohwError unless the registers, read over AXI4-Lite, hold identity, flags, the
    model's digest and the counts of the stimulus.
    """
    samples, steps, events = (
        spikes.shape[1],
        spikes.shape[0] * spikes.shape[1],
        int(spikes.sum(dtype=np.int64)),
    )
    counted = {
        "samples": sum(r.counters["samples"] for r in results),
        "steps": sum(r.counters["steps"] for r in results),
    }
    first = package.projections()[0]
    if first["delay"] == 0:
        counted["events"] = sum(r.events[0] for r in results)
    else:
        events = 0
    counted["invalid_events"] = sum(r.counters["invalid_events"] for r in results)
    found = {"events": 0, **counted}
    if found != {"samples": samples, "steps": steps, "events": events, "invalid_events": 0}:
        raise NeurohwError(
            f"the registers counted {found}, the stimulus has {samples} samples, {steps} "
            f"steps, {events} events"
        )
    for result in results:
        flags = SATURATED * any(result.saturations.values()) | INVALID * (
            result.counters["invalid_events"] > 0
        )
        if (result.counters["identity"], result.counters["status"]) != (IDENTITY, flags):
            raise NeurohwError(
                f"IDENTITY and STATUS hold {result.counters['identity']:#x} and "
                f"{result.counters['status']}, expected are {IDENTITY:#x} and {flags}"
            )
    digest = "".join(f"{results[0].counters[f'digest{i}']:08x}" for i in range(8))
    if digest != package.manifest["parent"]:
        raise NeurohwError(
            f"the digest register holds {digest}, the model's digest is "
            f"{package.manifest['parent']}"
        )


def verify(
    package: Path,
    model: QuantizedNetwork,
    spikes: Spikes | NDArray[Any],
    states: bool = False,
    jobs: int | None = None,
    idle: float = 0.0,
    backpressure: float = 0.0,
    progress: Progress | None = None,
    optimize: bool = True,
    beyond_proof: bool = False,
) -> VerifyResult:
    """Compare the written package with the golden model on counts [time, sample, input neuron].

    Builds the native harness once per package (kept beside it in `<package>.sim`), runs chunks of
    samples in `jobs` processes (default: the machine's cores), and compares every spike, the output
    stream, the counters of saturations, and with `states` every membrane, current and refractory
    count. After a mismatch the first wrong sample is run again with a waveform.
    optimize: False compiles faster and simulates slower.
    beyond_proof: as of `neurohw.golden.run_golden`; states may saturate then.
    Raises InvalidData for an unusable stimulus, MissingTool, BrokenFile, and NeurohwError if the
    RTL hangs.
    """
    argument("verify: package", package, Path, str)
    exactly("verify: model", model, QuantizedNetwork)
    report = progress or (lambda text, fraction: None)
    spikes = proved_stimulus(model, spikes, beyond_proof)[0].counts
    contents = RtlPackage.load(package)
    check_proof(contents, spikes, beyond_proof)
    cache = Path(package).resolve().with_name(Path(package).name + ".sim")
    report("building the simulation", 0.0)
    program = build_harness(package, cache, optimize=optimize)
    total = spikes.shape[1]
    tally = _Tally()
    results: dict[int, HarnessResult] = {}
    size = chunk_size(total, len(spikes), sum(p.size for p in model.network.populations))
    starts = list(range(0, total, size))

    recorded = states or isinstance(model.network.output.neuron, Integrator)

    def run(start: int) -> tuple[int, HarnessResult, Trace]:
        part = spikes[:, start : start + size]
        rtl = run_harness(
            program,
            package,
            part,
            states,
            idle,
            backpressure,
            seed=start + 1,
            beyond_proof=beyond_proof,
        )
        return (
            start,
            rtl,
            run_native(model, Spikes(part), recorded, threads=1, beyond_proof=beyond_proof),
        )

    with workers(jobs or os.cpu_count() or 1) as submit:
        pending = {submit(run, start) for start in starts}
        while pending:
            finished, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in finished:
                start, result, golden = future.result()
                _compare(model, golden, start, result, tally)
                # spikes and states are compared; only clocks and outputs are needed further
                results[start] = dataclasses.replace(result, spikes={}, states={})
                report(
                    (
                        f"{len(results) * size if pending else total} of {total} samples, "
                        f"{tally.mismatches} mismatches"
                    ),
                    len(results) / len(starts),
                )
    first_text = waveform = None
    if tally.first is not None:
        sample, text = tally.first
        first_text = f"network {digest_of(model)[:12]}: {text}"
        report("recording a waveform of the first mismatch", 1.0)
        waveform_path = cache / f"mismatch-sample{sample}.fst"
        traced = build_harness(package, cache, waveforms=True, optimize=False)
        wrong = spikes[:, sample : sample + 1]
        run_harness(traced, package, wrong, waveform=waveform_path, beyond_proof=beyond_proof)
        waveform = str(waveform_path)
    ordered = [results[s] for s in starts]
    _check_registers(ordered, contents, spikes)
    by_name = {p.name: p for p in model.network.projections}
    ordered_projections = [by_name[q["projection"]] for q in contents.projections()]
    operations = {
        p.name: count_operations(model, p, tally.spikes[p.source]) for p in ordered_projections
    }
    waiting = sum(r.waiting[0] for r in ordered)
    first_projection = ordered_projections[0].name
    latency = np.concatenate([r.left - r.entered for r in ordered]).astype(np.int64)
    cycles = sum(int(r.left[-1]) - int(r.entered[0]) for r in ordered)
    output = model.network.output.name
    if isinstance(model.network.output.neuron, Integrator):
        values: NDArray[Any] = np.concatenate([r.sent for r in ordered])
    else:
        sent = np.concatenate([r.sent for r in ordered], axis=1)
        values = scores(Trace({output: sent.astype(np.uint8)}), model.network)
    return VerifyResult(
        samples=total,
        steps=total * spikes.shape[0],
        spikes_compared=tally.compared,
        states_compared=tally.states_compared,
        mismatches=tally.mismatches,
        first_mismatch=first_text,
        waveform=waveform,
        cycles_per_inference=cycles / total,
        latency_cycles=float(latency.mean()),
        latency_cycles_max=int(latency.max()),
        synaptic_operations_per_cycle=operations[first_projection].synaptic / waiting
        if waiting
        else 0.0,
        synaptic_operations={name: o.synaptic for name, o in operations.items()},
        effective_synaptic_operations={name: o.effective for name, o in operations.items()},
        saturations={
            name: sum(r.saturations[name] for r in ordered) for name in ordered[0].saturations
        },
        proved_steps=contents.steps(),
        scores=values,
    )
