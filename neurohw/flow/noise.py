# SPDX-License-Identifier: Apache-2.0
"""`neurohw noise`: from a saved network and its data to experiments, and from a study to files."""

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurohw.data import Dataset, Encoder
from neurohw.errors import InvalidData
from neurohw.flow.config import RunConfig
from neurohw.flow.data import load_data
from neurohw.flow.run_folder import RunFolder
from neurohw.model_files import load_trained
from neurohw.network import TrainedNetwork
from neurohw.noise import Experiment, Scenario, Study
from neurohw.noise.summary import notes, to_csv, to_json, to_markdown
from neurohw.storage import check_files, write_files

CALIBRATION_SAMPLES = 200
RESULTS = ("results.json", "results.csv", "results.md", "accuracy.svg")


def load_judged(
    path: Path, recipe: str | None, data: str | None
) -> tuple[TrainedNetwork, Dataset, Encoder]:
    """The trained network of a run folder, or a saved one, with its dataset and encoder.

    recipe: names the dataset of a saved network, and its encoder where the network does not know
        it.
    data: file or folder of the dataset; None for the run's own.
    Raises InvalidData where something is missing or is not what the run was trained on.
    """
    path = Path(path)
    if (path / "run.json").exists():
        run = RunFolder(path)
        result = run.need("train")
        dataset = load_data(
            run.config if data is None else dataclasses.replace(run.config, data=data)
        )
        if dataset.digest() != result["dataset_digest"]:
            raise InvalidData(
                f"{path}: the data are not those of the training; give those, or run "
                "`neurohw train` again"
            )
        return run.trained(), dataset, Encoder.from_json(result["encoder"])
    if not path.is_dir():
        raise InvalidData(f"{path}: there is no such model folder")
    if recipe is None:
        raise InvalidData(
            f"{path} is no run folder: name what it was trained for with --recipe (and "
            "--data), such as --recipe mnist"
        )
    from neurohw.train.recipes import recipe_named

    trained, known = load_trained(path), recipe_named(recipe)
    encoder = (
        Encoder.from_json(trained.info["encoder"]) if "encoder" in trained.info else known.encoder
    )
    dataset = load_data(RunConfig(recipe, data))
    if dataset.features != trained.network.input.size:
        raise InvalidData(
            f"{path}: the network has {trained.network.input.size} inputs, dataset "
            f"{dataset.name!r} {dataset.features} features: name its own --recipe and --data"
        )
    return trained, dataset, encoder


def spaced(count: int, wanted: int | None) -> NDArray[np.int64]:
    """`wanted` indices evenly spaced over `count` samples, which may be sorted by class; all where
    there are no more.

    Raises InvalidData for fewer than 1.
    """
    if wanted is not None and wanted < 1:
        raise InvalidData(f"samples must be at least 1, not {wanted}")
    if wanted is None or wanted >= count:
        return np.arange(count)
    return np.arange(wanted) * count // wanted


def noise_experiments(
    path: Path,
    scenarios: Mapping[str, Scenario],
    times: Iterable[float],
    recipe: str | None = None,
    data: str | None = None,
    samples: int | None = None,
) -> dict[str, Experiment]:
    """An experiment for every scenario, on the test part of the data (or `samples` of it);
    converters are calibrated on the validation part.
    """
    trained, dataset, encoder = load_judged(path, recipe, data)
    chosen = spaced(len(dataset.y_test), samples)
    spikes, labels = encoder.encode(dataset.samples("test", chosen)), dataset.y_test[chosen]
    calibrating = spaced(len(dataset.y_validation), CALIBRATION_SAMPLES)
    typical = encoder.encode(dataset.samples("validation", calibrating), (1,))
    return {
        name: Experiment(trained, scenario, tuple(times), spikes, labels, typical)
        for name, scenario in scenarios.items()
    }


def folder_name(device: str) -> str:
    """A device as it is written in a command, as the name of a folder."""
    return re.sub(r"[^A-Za-z0-9_.=+-]+", "-", device).strip("-")


def check_study(folder: Path, force: bool = False) -> None:
    """Raise CannotWrite, naming it, if a file stands in the way of `write_study`; for before the
    chips are judged.
    """
    check_files(folder, "noise", RESULTS, force)


def write_study(study: Study, folder: Path, force: bool = False) -> list[Path]:
    """Write results.json, results.csv, results.md and accuracy.svg; returns their paths.

    Raises InvalidData where no chip is finished, CannotWrite where one of them is not the
    framework's, unless `force`.
    """
    if not any(study.outcomes.values()):
        reasons = "; ".join(
            f"{job.name}, chip {job.seed}: {e}" for job, e in list(study.failures.items())[:3]
        )
        raise InvalidData(f"{folder}: no chip is finished ({reasons})")
    from neurohw.report.noise_figures import accuracy_over_time  # local: drawing takes long to load

    page = [
        "# Accuracy on resistive memory",
        "",
        "Percent, mean ± standard deviation over chips, and the worst chip.",
        "",
    ]
    page += [
        to_markdown(study),
        *(f"{note}\n" for note in notes(study)),
        "![accuracy against time](accuracy.svg)",
        "",
    ]
    texts = (
        json.dumps(to_json(study), indent=1, allow_nan=False),
        to_csv(study),
        "\n".join(page),
        accuracy_over_time(study),
    )
    write_files(
        folder,
        "noise",
        {name: text.encode() for name, text in zip(RESULTS, texts, strict=True)},
        force,
    )
    return [Path(folder) / name for name in RESULTS]
