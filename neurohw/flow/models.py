# SPDX-License-Identifier: Apache-2.0
"""The model that a user names: a saved one, or that of a run, checked like an input of its stages;
the CLI's `run`, and `quantize` of saved networks.
"""

import warnings
from pathlib import Path
from typing import Any

from neurohw.data import Encoder
from neurohw.engines import Engine, Model, engine_named
from neurohw.errors import InvalidData, PrecisionWarning
from neurohw.flow.run_folder import RunFolder
from neurohw.integers import QuantizedNetwork, quantize
from neurohw.model_files import save
from neurohw.network import TrainedNetwork
from neurohw.run_model import load_saved, load_spikes, save_arrays, trace_arrays
from neurohw.storage import check_file, check_folder
from neurohw.trace import Trace


def is_run(path: Path) -> bool:
    """True for a run folder."""
    return (Path(path) / "run.json").exists()


def load_model(path: Path, kind: str | None = None) -> Model:
    """A saved trained or quantized network, or the one of that kind ("float", "integer") of a run
    folder; None: the integers, if they have been made.

    Raises what `RunFolder.need` does where the model of a run does not belong to its configuration
    and training; InvalidData naming what is there, BrokenFile if it cannot be trusted.
    """
    if not is_run(path):
        return load_saved(path)
    run = RunFolder(path)
    if kind is None:
        kind = "integer" if run.stamp("quantize") else "float"
    return run.quantized() if kind == "integer" else run.trained()


def model_for(path: Path, engine: Engine) -> Model:
    """The model that an engine takes: of a run folder, the one of its kind (integers first), else
    the saved one.
    """
    both = len(engine.takes) > 1
    return load_model(path, None if both else engine.takes[0])


def quantize_saved(
    path: Path, out: Path, force: bool = False, max_count: int | None = None, **options: Any
) -> tuple[QuantizedNetwork, str]:
    """Quantize a saved trained network after its training, and save it; with its digest.

    max_count: None for that of the encoder it was trained with, 1 where it knows none. options: of
        `neurohw.quantize`.
    Raises InvalidData for anything else than a saved trained network, CannotWrite, before the work,
    if something else than a quantized network stands at `out`, unless `force`.
    """
    check_folder(out, "quantized", force=force)
    trained = load_saved(path)
    if not isinstance(trained, TrainedNetwork):
        raise InvalidData(f"{path} is a quantized network already: name the one before")
    if max_count is None:
        known = trained.info.get("encoder")
        max_count = Encoder.from_json(known).max_count if known else 1
    with warnings.catch_warnings():  # they stay in the report of the model
        warnings.simplefilter("ignore", PrecisionWarning)
        model = quantize(trained, **options, max_count=max_count)
    return model, save(model, out, force)


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
