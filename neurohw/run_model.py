# SPDX-License-Identifier: Apache-2.0
"""Files of what an engine is run with: saved models, spikes, traces; and, as a child process,
`python -m neurohw.run_model`, the run itself.
"""

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.engines import Model, engine_named
from neurohw.errors import BrokenFile, InvalidData, NeurohwError
from neurohw.model_files import load_quantized, load_trained
from neurohw.spike_files import read_counts
from neurohw.stimulus import Spikes
from neurohw.storage import write_file
from neurohw.trace import Trace

BEYOND = "beyond_proof"  # array of a trace's file, only where the trace is marked so


def load_saved(path: Path) -> Model:
    """A saved trained or quantized network.

    Raises InvalidData naming what is there instead, BrokenFile if it cannot be trusted.
    """
    path = Path(path)
    if path.is_file():
        raise InvalidData(
            f"{path} is a file, no model folder: `neurohw import {path} --out FOLDER` makes one of "
            "a model of another tool"
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


def main(arguments: list[str]) -> int:
    """MODEL ENGINE STIMULUS OUT [beyond-proof]: all of the trace in OUT; an error as JSON on the
    last line.
    """
    path, engine, stimulus, out, *allowed = arguments
    try:
        with np.load(stimulus) as file:
            spikes = Spikes.time_first(file["spikes"])
        chosen = engine_named(engine)
        trace = chosen.run(load_saved(Path(path)), spikes, beyond_proof=bool(allowed))
        counts = {f"saturations.{n}": np.array(k) for n, k in trace.saturations.items()}
        save_arrays(Path(out), trace.arrays() | counts | _marks(trace))
    except NeurohwError as error:
        print(json.dumps({"error": type(error).__name__, "message": str(error)}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
