# SPDX-License-Identifier: Apache-2.0
"""Files of what an engine is run with: saved models, spikes, traces; and, as a child process,
`python -m neurohw.run_model`, the run itself.
"""

import io
import json
import sys
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from neurohw.engines import Model, engine_named
from neurohw.errors import BrokenFile, InvalidData, NeurohwError
from neurohw.model_files import load_quantized, load_trained
from neurohw.stimulus import Spikes, check_inputs, samples_first
from neurohw.storage import write_file
from neurohw.trace import Trace

AXES = ("sample time neuron", "time sample neuron")  # what the array `axes` beside `spikes` may say
BEYOND = "beyond_proof"  # array of a trace's file, only where the trace is marked so
# how a file of spikes is written, for messages
SAVE_SPIKES = f"np.savez(path, spikes=array, axes={AXES[0]!r})"


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


def _read_spikes(path: Path) -> tuple[NDArray[Any], str | None]:
    """The arrays `spikes` and `axes` of a file; InvalidData naming what is there instead."""
    if not path.is_file():
        what = "it is no file" if path.exists() else "there is no such file of spikes"
        raise InvalidData(f"{path}: {what}; {SAVE_SPIKES} writes one")
    try:
        with path.open("rb") as start:
            if not start.read(6).startswith((b"PK", b"\x93NUMPY")):
                raise InvalidData(f"{path} is no .npz of NumPy; {SAVE_SPIKES} writes one")
        file = np.load(path, allow_pickle=False)
        if isinstance(file, np.ndarray):
            raise InvalidData(f"{path} is one array without a name; save it with {SAVE_SPIKES}")
        with file:
            if "spikes" not in file.files:
                there = ", ".join(map(repr, file.files)) or "nothing"
                raise InvalidData(
                    f"{path} holds {there} and no array 'spikes'; save it with {SAVE_SPIKES}"
                )
            return np.asarray(file["spikes"]), str(file["axes"]) if "axes" in file.files else None
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        reason = "it holds Python objects" if "allow_pickle" in str(error) else error
        raise InvalidData(f"{path}: no readable array 'spikes' ({reason})") from error


def load_spikes(path: Path, model: Model) -> tuple[Spikes, bool]:
    """The counts of a file, and whether it has samples: array `spikes` [time, neuron] or [sample,
    time, neuron].

    An array `axes` beside it, one of AXES, says the order of three axes. Without it InvalidData is
    raised where time and sample cannot be told apart, by the steps of the model; for anything else
    that is no input of it, too.
    """
    spikes, axes = _read_spikes(Path(path))
    if spikes.ndim not in (2, 3):
        raise InvalidData(
            f"{path}: spikes has shape {spikes.shape}, [time, neuron] or [sample, time, "
            "neuron] is needed"
        )
    if axes is not None and axes not in AXES:
        raise InvalidData(f"{path}: axes is one of {', '.join(map(repr, AXES))}, not {axes!r}")
    size = model.network.input.size
    if spikes.shape[-1] != size:  # before its axes are judged by its steps
        raise InvalidData(
            f"{path}: spikes has shape {spikes.shape}, so {spikes.shape[-1]} neurons, the input "
            f"{model.network.input.name!r} of the model has {size}: give an array [time, {size}] "
            f"or [sample, time, {size}]"
        )
    try:
        if spikes.ndim == 2:
            given = Spikes(spikes[:, None])
        elif axes is not None:
            given = Spikes.sample_first(spikes) if axes == AXES[0] else Spikes.time_first(spikes)
        else:
            given = samples_first(
                spikes,
                model.steps,
                "the array",
                f"say its order beside it with np.savez(path, spikes=array, axes={AXES[0]!r}) or "
                f"axes={AXES[1]!r}; a model of another tool whose steps are others is imported "
                "again with --steps",
            )
        check_inputs(given, model.network)
    except InvalidData as error:
        raise InvalidData(f"{path}: {error}") from error
    return given, spikes.ndim == 3


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
