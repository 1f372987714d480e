"""Crosschecks of saved models, and what is shown of them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from neurohw.crosscheck import TOLERANCE, CrosscheckResult, crosscheck
from neurohw.data import Encoder
from neurohw.engines import ENGINES, Model
from neurohw.errors import InvalidData
from neurohw.flow.run_folder import RunFolder
from neurohw.network import TrainedNetwork
from neurohw.run_model import FOLDERS, load_model, load_spikes
from neurohw.stimulus import Spikes
from neurohw.storage import write_atomically
from neurohw.trace import first_mismatch

WITHOUT_INPUT_STEPS = 50  # of random spikes, where the user gives none


def first_words(result: CrosscheckResult) -> str:
    """The first thing that went wrong, in words."""
    for run in result.runs:
        if run.status == "failed":
            return f"{run.engine} ({run.kind} model) failed: {run.reason}"
    pair = next(p for p in result.pairs if not p.agrees)
    return f"{pair.left} and {pair.right}, {pair.mismatches} of {pair.spikes_compared} spikes; first: {pair.first_mismatch}"


def draw_mismatch(result: CrosscheckResult) -> str:
    """The first mismatch as SVG: rasters and membranes of both engines around it."""
    from neurohw.report import figures  # local: drawing takes long to load, and a mismatch is rare

    assert result.traces is not None
    pair = next(p for p in result.pairs if not p.agrees)
    found = first_mismatch(*result.traces, TOLERANCE[pair.kind])
    assert found is not None
    population = found.array.partition(".")[2]
    return figures.mismatch(result.traces, (pair.left, pair.right), population, found.sample, found.step, found.neuron)


def _stimulus(path: Path, samples: int, model: Model) -> Spikes:
    if (path / "run.json").exists():
        from neurohw.flow.stages import encode_test, load_data

        run = RunFolder(path)
        test, _ = encode_test(load_data(run.config), Encoder.from_json(run.need("train")["encoder"]))
        return test.part(slice(samples))
    steps = WITHOUT_INPUT_STEPS if isinstance(model, TrainedNetwork) else min(WITHOUT_INPUT_STEPS, model.steps)
    fires = np.random.default_rng(0).random((steps, samples, model.network.input.size)) < 0.1
    return Spikes.time_first(fires)


def crosscheck_saved(
    path: Path,
    engines: Sequence[str] | None,
    samples: int,
    spikes: Path | None,
    picture: Path,
    progress: Callable[[str, float], None],
    beyond_proof: bool = False,
) -> CrosscheckResult:
    """Crosscheck a run folder (its trained and its quantized network) or a saved model.

    engines: None for all but the RTL. spikes: a file; None for test samples of a run, or random
    spikes (10 %, 50 steps or as many as the integers are proved for, seed 0) for a model. picture:
    where a first mismatch is drawn. beyond_proof: as of `neurohw.golden.run_golden`. Raises
    InvalidData if there is nothing to compare.
    """
    path = Path(path)
    if samples < 1:
        raise InvalidData(f"samples must be at least 1, not {samples}")
    if (path / "run.json").exists():
        models = [load_model(path / folder) for folder in FOLDERS.values() if (path / folder).exists()]
        if not models:
            raise InvalidData(f"{path}: this run has no trained network yet; run `neurohw train`")
    else:
        models = [load_model(path)]
    if spikes is not None:
        stimulus = load_spikes(spikes, models[0])[0].part(slice(samples))
    else:
        stimulus = _stimulus(path, samples, models[0])
    chosen = list(engines) if engines else [name for name in ENGINES if name != "rtl"]
    result = crosscheck(models, chosen, stimulus, progress, beyond_proof=beyond_proof)
    if result.traces is not None:
        write_atomically(picture, draw_mismatch(result).encode())
    return result
