# SPDX-License-Identifier: Apache-2.0
"""The stage `train`.

Below 8 bits a second, quantization-aware training follows the first. So that its accuracy has
something to be compared with, a float twin is trained from the same start, as long and in the same
way.
"""

import re
from typing import Any

from neurohw import processes
from neurohw.data import Dataset
from neurohw.errors import BrokenFile, InvalidData
from neurohw.flow.accuracy import model_accuracy
from neurohw.flow.config import stage_options, trainings
from neurohw.flow.data import encode_test, load_data
from neurohw.flow.progress import Progress
from neurohw.flow.run_folder import RunFolder
from neurohw.model_files import load_trained, save
from neurohw.network import TrainedNetwork
from neurohw.reference import run_reference
from neurohw.storage import remove_files
from neurohw.train.recipes import Recipe, recipe_named

# under `checkpoints`: those of every training that a run can have (`trainings`)
CHECKPOINTS = re.compile(r"\d-(float|quantization-aware|float-twin)/checkpoint\.pt")


def train(run: RunFolder, progress: Progress, device: str = "cpu") -> None:
    """Train the recipe's network (and fine-tune it below 8 bits).

    An interrupted training goes on from its last epoch. Nothing is written before recipe, data and
    device are checked. Processes that `torchrun` has started do it together; the first one writes.
    device: see `fit`.
    """
    if run.config.liquid:
        raise InvalidData(
            f"{run.path} is a run of a reservoir: `{run.command('train')}` fits its readout"
        )
    if device not in ("cpu", "cuda"):
        raise InvalidData(f"--device is cpu or cuda, not {device!r}")
    dataset, options = load_data(run.config), stage_options("train", run.config)
    assert options is not None
    inputs = {"dataset": dataset.digest()}
    if processes.count() == 1 and _is_trained(run, options, inputs):  # PyTorch takes longer to load
        run.save()
        progress("train", "up to date", 1.0)
        return
    from neurohw.train import distributed, fitting

    with distributed.joined():
        distributed.own_device(device)
        for training in trainings(run.config).values():
            fitting.check_fit(recipe_named(run.config.recipe).network, dataset, training)
        run.save()
        if distributed.from_first(lambda: _is_trained(run, options, inputs)):
            progress("train", "up to date", 1.0)
            return
        result = _train(run, dataset, progress, device)
        if distributed.rank() == 0:
            run.finish("train", options, inputs, result)
            remove_files(run.path / "checkpoints", CHECKPOINTS, "checkpoint")


def _is_trained(run: RunFolder, options: dict[str, Any], inputs: dict[str, str]) -> bool:
    if not run.up_to_date("train", options, inputs):
        return False
    try:
        return (
            load_trained(run.path / "trained_float").digest() == run.need("train")["float_digest"]
        )
    except BrokenFile:
        return False


def _train(run: RunFolder, dataset: Dataset, progress: Progress, device: str) -> dict[str, Any]:
    from neurohw.train import distributed, fit

    recipe: Recipe = recipe_named(run.config.recipe)
    first: Any = recipe.network
    spikes, labels = encode_test(dataset, recipe.encoder)
    models: dict[str, TrainedNetwork] = {}
    accuracies: dict[str, float] = {}
    for number, (what, training) in enumerate(trainings(run.config).items()):

        def each_epoch(
            epoch: int, epochs: int, metrics: dict[str, float], what: str = what
        ) -> None:
            accuracy = 100 * metrics["validation_accuracy"]
            text = f"{what} epoch {epoch}/{epochs}, validation {accuracy:.2f} %"
            progress("train", text, epoch / epochs)

        checkpoints = run.path / "checkpoints" / f"{number}-{what.replace(' ', '-')}"
        models[what] = fit(
            first, dataset, recipe.encoder, training, checkpoints, each_epoch, device
        )
        first = models["float"]
        if training.weight_bits is None and distributed.rank() == 0:
            model = models[what]
            accuracies[what] = model_accuracy(run_reference, model, model.network, spikes, labels)
    if distributed.rank() != 0:
        return {}
    epochs = {what: len(model.info["history"]) for what, model in models.items()}
    return {
        "float_digest": save(models["float"], run.path / "trained_float", run.force),
        "digest": save(
            models.get("quantization-aware", models["float"]), run.path / "trained", run.force
        ),
        "dataset": dataset.name,
        "dataset_digest": dataset.digest(),
        "float_accuracy": accuracies.get("float twin", accuracies["float"]),
        "float_accuracies": accuracies,
        "epochs": epochs,
        "seed": run.config.seed,
        "test_samples": len(labels),
        "encoder": recipe.encoder.to_json(),
    }
