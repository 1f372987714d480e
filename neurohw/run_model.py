# SPDX-License-Identifier: Apache-2.0
"""Running a saved model in an engine, from and to files; also as a child process, `python -m
neurohw.run_model`.
"""

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.engines import Engine, Model, engine_named
from neurohw.errors import BrokenFile, InvalidData, NeurohwError
from neurohw.integers import QuantizedNetwork
from neurohw.model_files import load_quantized, load_trained
from neurohw.spike_files import read_counts
from neurohw.stimulus import Spikes
from neurohw.storage import check_file, write_file
from neurohw.trace import Trace

BEYOND = "beyond_proof"  # array of a trace's file, only where the trace is marked so
FOLDERS = {"float": "trained", "integer": "quantized"}  # of a run folder


def load_model(path: Path, kind: str | None = None) -> Model:
    """A saved trained or quantized network, or the one of that kind ("float", "integer") in a run
    folder.

    Raises InvalidData naming what is there, BrokenFile if it cannot be trusted.
    """
    path = Path(path)
    if (path / "run.json").exists():
        for name in [FOLDERS[kind]] if kind else list(FOLDERS.values())[::-1]:
            if (path / name).exists():
                model = load_model(path / name)
                _check_parent(path, model)
                return model
        raise InvalidData(
            f"{path}: this run has no {FOLDERS[kind or 'float']} network yet; run `neurohw "
            "train` and `neurohw quantize`"
        )
    if not path.is_dir():
        raise InvalidData(f"{path}: there is no such model folder")
    try:
        saved_kind = json.loads((path / "value.json").read_text())["kind"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BrokenFile(
            f"{path}: value.json is missing or unreadable ({error}): this is no saved model"
        ) from error
    if saved_kind == "quantized":
        return load_quantized(path)
    return load_trained(path)


def _check_parent(path: Path, model: Model) -> None:
    """Raise InvalidData for the quantized network of a run that was made from another training."""
    if not isinstance(model, QuantizedNetwork):
        return
    if model.parent != load_trained(path / FOLDERS["float"]).digest():
        raise InvalidData(
            f"{path}: the quantized network was made from another training: run `neurohw quantize`"
        )


def model_for(path: Path, engine: Engine) -> Model:
    """The model that an engine takes: of a run folder, the one of its kind (integers first), else
    the saved one.
    """
    path = Path(path)
    if (path / "run.json").exists():
        kind = (
            "integer"
            if "integer" in engine.takes and (path / "quantized").exists()
            else engine.takes[0]
        )
        return load_model(path, kind)
    return load_model(path)


def load_spikes(path: Path, model: Model) -> tuple[Spikes, bool]:
    """The counts of a file for a model, and whether it has samples: see `read_counts`."""
    counts, many = read_counts(path, model.steps, model.network.input.size)
    return Spikes(counts), many


def trace_arrays(trace: Trace, states: bool, many: bool) -> dict[str, NDArray[Any]]:
    """`spikes.<population>`, and with states `v.<population>`; BEYOND where the trace says so.

    Each [time, neuron], or [sample, time, neuron] for many samples.
    """
    wanted = {
        n: a
        for n, a in trace.arrays().items()
        if n.startswith("spikes.") or (states and n.startswith("v."))
    }
    ordered = {n: a.transpose(1, 0, 2) if many else a[:, 0] for n, a in wanted.items()}
    return ordered | _marks(trace)


def _marks(trace: Trace) -> dict[str, NDArray[Any]]:
    return {BEYOND: np.array(True)} if trace.beyond_proof else {}


def save_arrays(path: Path, arrays: dict[str, NDArray[Any]], force: bool = False) -> None:
    """Write the arrays of a trace as .npz; CannotWrite if something else stands there, unless
    `force`.
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_file(path, buffer.getvalue(), "recording", force)


def run_model(
    path: Path,
    engine: str,
    spikes: Path,
    out: Path,
    states: bool = False,
    force: bool = False,
    beyond_proof: bool = False,
) -> Trace:
    """Run a saved model on a file of spikes and write its trace; the CLI's `run`.

    out: an .npz of `trace_arrays`.
    beyond_proof: as of `neurohw.golden.run_golden`. Returns the whole trace. Raises what loading,
        the engine's check and its run raise, and before them InvalidData for an `out` that is not
        *.npz, CannotWrite if something else than such a file stands there, unless `force`.
    """
    out = Path(out)
    if out.suffix != ".npz":
        raise InvalidData(f"{out}: a trace is to come here, name it {out.stem}.npz")
    check_file(out, "recording", force)
    chosen = engine_named(engine)
    model = model_for(path, chosen)
    stimulus, many = load_spikes(spikes, model)
    trace = chosen.run(model, stimulus, states=states, beyond_proof=beyond_proof)
    save_arrays(out, trace_arrays(trace, states, many), force)
    return trace


def main(arguments: list[str]) -> int:
    """MODEL ENGINE STIMULUS OUT [beyond-proof]: all of the trace in OUT; an error as JSON on the
    last line.
    """
    path, engine, stimulus, out, *allowed = arguments
    try:
        with np.load(stimulus) as file:
            spikes = Spikes.time_first(file["spikes"])
        chosen = engine_named(engine)
        trace = chosen.run(model_for(Path(path), chosen), spikes, beyond_proof=bool(allowed))
        counts = {f"saturations.{n}": np.array(k) for n, k in trace.saturations.items()}
        save_arrays(Path(out), trace.arrays() | counts | _marks(trace))
    except NeurohwError as error:
        print(json.dumps({"error": type(error).__name__, "message": str(error)}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
