# SPDX-License-Identifier: Apache-2.0
"""The same model in several engines at once, compared pair by pair.

Float engines are compared with each other within 1e-9 (spikes exactly), integer engines exactly.
Every engine runs in a process of its own, so that one that crashes or hangs becomes a line of the
result.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.children import run_child, workers
from neurohw.engines import ENGINES, Model, engine_named, kind_of
from neurohw.errors import InvalidData, MissingTool, Unsupported
from neurohw.integers import QuantizedNetwork
from neurohw.model_files import save
from neurohw.network import TrainedNetwork
from neurohw.run_model import BEYOND, save_arrays
from neurohw.stimulus import Spikes, proved_stimulus, stimulus_of
from neurohw.trace import Trace, count_mismatches, first_mismatch, saturation_mismatch

TOLERANCE = {"float": 1e-9, "integer": 0.0}
TIMEOUT = 900.0
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class EngineRun:
    """What became of one engine.

    status: ran, refused (it cannot run the model exactly, or is not installed) or failed;
    reason: in words.
    """

    engine: str
    kind: str
    status: str
    reason: str = ""
    seconds: float = 0.0
    offsets: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Pair:
    """Two engines compared.

    mismatches: spikes that differ;
    largest_difference: of any membrane;
    first_mismatch: in words.
    """

    kind: str
    left: str
    right: str
    spikes_compared: int
    mismatches: int
    states_compared: int
    largest_difference: float
    first_mismatch: str | None

    @property
    def agrees(self) -> bool:
        """No spike differs, and no state by more than the tolerance."""
        return self.first_mismatch is None


@dataclass(frozen=True)
class CrosscheckResult:
    """Every engine and every pair.

    traces: of the first pair that disagrees, for a picture; not saved.
    samples_there: how many there were to choose `samples` from, None where that is not known.
    beyond_proof: the stimulus had more steps or larger counts than the integers are proved for.
    """

    samples: int
    steps: int
    runs: tuple[EngineRun, ...]
    pairs: tuple[Pair, ...]
    traces: tuple[Trace, Trace] | None = None
    samples_there: int | None = None
    beyond_proof: bool = False

    @property
    def agrees(self) -> bool:
        """True if all pairs agree and no engine failed."""
        return all(p.agrees for p in self.pairs) and all(r.status != "failed" for r in self.runs)

    def to_json(self) -> dict[str, Any]:
        """JSON value of everything but the traces and the seconds: equal results give equal
        text.
        """
        return {
            "samples": self.samples,
            "samples_there": self.samples_there,
            "steps": self.steps,
            "agrees": self.agrees,
            "beyond_proof": self.beyond_proof,
            "runs": [{k: v for k, v in asdict(r).items() if k != "seconds"} for r in self.runs],
            "pairs": [asdict(p) for p in self.pairs],
        }


def _offsets(engine: str, model: Model) -> dict[str, int]:
    """Steps by which an engine's populations lag inside it; the trace that it returns no longer has
    them.
    """
    import importlib

    function = getattr(importlib.import_module(ENGINES[engine].module), "offsets", None)
    return dict(function(model)) if function else {}


def _run_engine(
    engine: str,
    kind: str,
    model: Model,
    folder: Path,
    stimulus: Path,
    timeout: float,
    beyond_proof: bool,
) -> tuple[EngineRun, Trace | None]:
    started = time.monotonic()
    try:
        engine_named(engine).check(model)
        offsets = _offsets(engine, model)
    except (Unsupported, MissingTool) as error:
        return EngineRun(engine, kind, "refused", str(error)), None
    out = folder / f"{engine}-{kind}.npz"
    command = [
        sys.executable,
        "-m",
        "neurohw.run_model",
        str(folder / kind),
        engine,
        str(stimulus),
        str(out),
    ]
    command += ["beyond-proof"] if beyond_proof else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def failed(status: str, reason: str) -> tuple[EngineRun, None]:
        return EngineRun(engine, kind, status, reason, time.monotonic() - started), None

    try:
        process = run_child(command, environment=environment, timeout=timeout)
    except subprocess.TimeoutExpired:
        return failed("failed", f"no result after {timeout:.0f} s")
    output, errors = process.stdout, process.stderr
    if process.returncode != 0:
        try:
            message = json.loads(output.strip().splitlines()[-1])
        except (ValueError, IndexError):
            words = (errors or output).strip().splitlines()[-1:] or ["no word"]
            return failed("failed", f"its process ended with code {process.returncode}: {words[0]}")
        refused = message["error"] in ("Unsupported", "MissingTool")
        return failed("refused" if refused else "failed", message["message"])
    with np.load(out) as file:
        arrays = {name: file[name] for name in file.files}
    beyond = bool(arrays.pop(BEYOND, False))
    spikes = {n.removeprefix("spikes."): a for n, a in arrays.items() if n.startswith("spikes.")}
    counts = {
        n.removeprefix("saturations."): int(a)
        for n, a in arrays.items()
        if n.startswith("saturations.")
    }
    states = {n: a for n, a in arrays.items() if not n.startswith(("spikes.", "saturations."))}
    run = EngineRun(engine, kind, "ran", "", time.monotonic() - started, offsets)
    return run, Trace(spikes, states, saturations=counts, beyond_proof=beyond)


def compare(kind: str, left: str, right: str, a: Trace, b: Trace) -> Pair:
    """Two traces, spike for spike, state for state, and their counts of saturations."""
    compared, mismatches = count_mismatches(a, b)
    common = [name for name in a.states if name in b.states]
    states = sum(a.states[name].size for name in common)
    membranes = [
        np.abs(a.states[n].astype(np.float64) - b.states[n]).max(initial=0.0)
        for n in common
        if n[0] == "v"
    ]
    first = first_mismatch(a, b, TOLERANCE[kind]) or saturation_mismatch(a, b)
    text = None
    if first is not None:
        text = str(first).replace("expected", f"{left} says").replace("got", f"{right} says")
    return Pair(
        kind, left, right, compared, mismatches, states, float(max(membranes, default=0.0)), text
    )


def crosscheck(
    models: Sequence[Model],
    engines: Sequence[str],
    spikes: Spikes | NDArray[Any],
    progress: Progress | None = None,
    jobs: int | None = None,
    timeout: float = TIMEOUT,
    beyond_proof: bool = False,
) -> CrosscheckResult:
    """Run every engine on every model that it takes, in `jobs` processes at once, and compare all
    pairs of a kind.

    models: a trained and a quantized network, or one of them.
    spikes: counts [time, sample, input neuron].
    timeout: seconds for one engine.
    beyond_proof: as of `neurohw.golden.run_golden`.
    Raises InvalidData if fewer than two runs are asked for, and for a stimulus that a model cannot
    take.
    """
    report = progress or (lambda text, fraction: None)
    by_kind: dict[str, Model] = {kind_of(m): m for m in models}
    wanted = [
        (kind, engine)
        for kind in ("float", "integer")
        if kind in by_kind
        for engine in engines
        if kind in engine_named(engine).takes
    ]
    if len(wanted) < 2:
        raise InvalidData(
            f"engines {', '.join(engines)} and {len(models)} model(s) give {len(wanted)} "
            "run(s): nothing to compare"
        )
    beyond = False
    for model in by_kind.values():
        if isinstance(model, QuantizedNetwork):
            spikes, beyond = proved_stimulus(model, spikes, beyond_proof)
        else:
            spikes = stimulus_of(model, spikes)
    assert isinstance(spikes, Spikes)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, model in by_kind.items():
            assert isinstance(model, TrainedNetwork | QuantizedNetwork)
            save(model, folder / kind)
        stimulus = folder / "stimulus.npz"
        save_arrays(stimulus, {"spikes": spikes.counts})
        done = 0
        results: dict[tuple[str, str], tuple[EngineRun, Trace | None]] = {}
        with workers(jobs or os.cpu_count() or 1) as submit:
            futures = {
                key: submit(
                    _run_engine,
                    key[1],
                    key[0],
                    by_kind[key[0]],
                    folder,
                    stimulus,
                    timeout,
                    beyond_proof,
                )
                for key in wanted
            }
            for key, future in futures.items():
                results[key] = future.result()
                done += 1
                report(f"{key[1]} ({key[0]}) {results[key][0].status}", done / len(wanted))
    pairs: list[Pair] = []
    traces: tuple[Trace, Trace] | None = None
    for kind in by_kind:
        ran = [
            (engine, t)
            for k, engine in wanted
            if k == kind and (t := results[(k, engine)][1]) is not None
        ]
        for (left, a), (right, b) in combinations(ran, 2):
            pair = compare(kind, left, right, a, b)
            pairs.append(pair)
            if (
                not pair.agrees
                and traces is None
                and first_mismatch(a, b, TOLERANCE[kind]) is not None
            ):
                traces = (a, b)
    runs = tuple(results[key][0] for key in wanted)
    return CrosscheckResult(
        spikes.samples, spikes.steps, runs, tuple(pairs), traces, beyond_proof=beyond
    )
