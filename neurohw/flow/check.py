# SPDX-License-Identifier: Apache-2.0
"""Crosschecks of saved models, and what is shown of them."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from neurohw.crosscheck import TOLERANCE, CrosscheckResult, crosscheck
from neurohw.engines import ENGINES, Model
from neurohw.errors import InvalidData
from neurohw.flow.data import run_test_split
from neurohw.flow.models import is_run
from neurohw.flow.run_folder import RunFolder
from neurohw.network import TrainedNetwork
from neurohw.run_model import load_saved, load_spikes
from neurohw.stimulus import Spikes
from neurohw.storage import check_file, write_file
from neurohw.trace import first_mismatch

DEFAULT_SAMPLES = 3
MOST_RANDOM = 1 << 26  # numbers of random spikes
WITHOUT_INPUT_STEPS = 50  # of random spikes, where the user gives none


def first_words(result: CrosscheckResult) -> str:
    """The first thing that went wrong, in words."""
    for run in result.runs:
        if run.status == "failed":
            return f"{run.engine} ({run.kind} model) failed: {run.reason}"
    pair = next(p for p in result.pairs if not p.agrees)
    return (
        f"{pair.left} and {pair.right}, {pair.mismatches} of {pair.spikes_compared} spikes; "
        f"first: {pair.first_mismatch}"
    )


def draw_mismatch(result: CrosscheckResult) -> str:
    """The first mismatch as SVG: rasters and membranes of both engines around it."""
    from neurohw.report import figures  # local: drawing takes long to load, and a mismatch is rare

    assert result.traces is not None
    pair = next(p for p in result.pairs if not p.agrees)
    found = first_mismatch(*result.traces, TOLERANCE[pair.kind])
    assert found is not None
    population = found.array.partition(".")[2]
    return figures.mismatch(
        result.traces, (pair.left, pair.right), population, found.sample, found.step, found.neuron
    )


def _models(path: Path) -> list[Model]:
    if not is_run(path):
        return [load_saved(path)]
    run = RunFolder(path)
    models: list[Model] = [run.trained()]
    if run.stamp("quantize"):
        models.append(run.quantized())
    return models


def _stimulus(path: Path, wanted: int, model: Model) -> Spikes:
    """Spikes without a file: the test samples of a run, else random ones."""
    if is_run(path):
        return run_test_split(RunFolder(path))[0]
    steps = WITHOUT_INPUT_STEPS
    if not isinstance(model, TrainedNetwork):
        steps = min(steps, model.steps)
    inputs = model.network.input.size
    cells = steps * wanted * inputs
    if cells > MOST_RANDOM:
        raise InvalidData(
            f"{wanted} random samples of {steps} steps and {inputs} inputs are "
            f"{cells:,} numbers, at most {MOST_RANDOM:,} are made: ask for fewer with --samples"
        )
    fires = np.random.default_rng(0).random((steps, wanted, inputs)) < 0.1
    return Spikes.time_first(fires)


def crosscheck_saved(
    path: Path,
    engines: Sequence[str] | None,
    samples: int | None,
    spikes: Path | None,
    picture: Path,
    progress: Callable[[str, float], None],
    force: bool = False,
    beyond_proof: bool = False,
) -> CrosscheckResult:
    """Crosscheck a run folder (its trained and its quantized network) or a saved model.

    - engines: None for all but the RTL
    - samples: None for all of a file, else 3
    - spikes: a file; None for test samples of a run, or random ones (10 %, 50 steps or as many as
      the
      integers are proved for, seed 0) for a model
    - picture: where a first mismatch is drawn
    - beyond_proof: as of `neurohw.golden.run_golden`

    Raises InvalidData if there is nothing to compare, and before it compares CannotWrite if
    something else than a picture of ours stands at `picture`, unless `force`.
    """
    path = Path(path)
    check_file(picture, "picture", force)
    if samples is not None and samples < 1:
        raise InvalidData(f"samples must be at least 1, not {samples}")
    models = _models(path)
    if spikes is not None:
        there = load_spikes(spikes, models[0])[0]
    else:
        samples = samples or DEFAULT_SAMPLES
        there = _stimulus(path, samples, models[0])
    chosen = list(engines) if engines else [name for name in ENGINES if name != "rtl"]
    part = there.part(slice(samples))
    result = crosscheck(models, chosen, part, progress, beyond_proof=beyond_proof)
    result = dataclasses.replace(result, samples_there=there.samples)
    if result.traces is not None:
        write_file(picture, draw_mismatch(result).encode(), "picture", force)
    return result
