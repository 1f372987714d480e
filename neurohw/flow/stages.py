"""The stages. Each reads what earlier stages left in the run folder, and stamps the folder when it has finished."""

import dataclasses
import os
import shutil
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, wait
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neurohw import processes
from neurohw.children import workers
from neurohw.crosscheck import crosscheck
from neurohw.data import Dataset, Encoder, digits, load, read_counts, shd, spoken_digits, ssc
from neurohw.engines import ENGINES, Model
from neurohw.errors import BrokenFile, InvalidData
from neurohw.flow.check import draw_mismatch, first_words
from neurohw.flow.liquid_data import prepared
from neurohw.flow.report_data import assemble_report, write_report
from neurohw.flow.run_folder import RunConfig, RunFolder
from neurohw.flow.tasks import Task, run_tasks
from neurohw.golden import run_golden
from neurohw.hardware.build import BuildReport, build, load_board, tool_versions
from neurohw.hardware.generate import RtlPackage, emit
from neurohw.hardware.verify import verify
from neurohw.integers import dequantize, quantize
from neurohw.model_files import digest_of, load_quantized, load_trained, save
from neurohw.network import Network
from neurohw.readout import accuracy, scores
from neurohw.reference import run_reference
from neurohw.stimulus import Spikes
from neurohw.storage import write_atomically

if TYPE_CHECKING:
    from neurohw.train import TrainConfig

# stage, text, fraction done (None: unknown)
Progress = Callable[[str, str, float | None], None]
STAGES = ("train", "quantize", "crosscheck", "emit", "verify", "build", "report")
CROSSCHECK_SAMPLES = 3
EVALUATION_CHUNK = 500  # samples simulated at once, to bound memory,
EVALUATION_STATES = 1 << 24  # and membranes kept at once


def load_data(config: RunConfig) -> Dataset:
    """The dataset of a run; InvalidData if the recipe needs a path that was not given."""
    dataset = _load_data(config)
    return dataset if config.liquid is None else prepared(dataset, config.liquid, config.seed)


def _load_data(config: RunConfig) -> Dataset:
    from neurohw.train.recipes import recipe_named

    recipe = recipe_named(config.recipe)
    if config.data is None:
        if recipe.dataset == "digits":
            return digits(seed=config.seed)
        raise InvalidData(f"recipe {config.recipe!r} needs --data with the folder or file of its dataset")
    steps = recipe.encoder.steps
    match recipe.dataset:
        case "spoken-digits":
            return spoken_digits(config.data, steps=steps, seed=config.seed)
        case "shd":
            return shd(config.data, steps=steps, seed=config.seed)
        case "ssc":
            return ssc(config.data, steps=steps)
        case "speech-commands":
            return read_counts(config.data)
    return load(config.data, seed=config.seed)


def encode_test(dataset: Dataset, encoder: Encoder) -> tuple[Spikes, NDArray[np.int64]]:
    """The encoded test split and its labels."""
    return encoder.encode(dataset.samples("test")), dataset.y_test


def _accuracy(
    run: Callable[..., Any], model: Any, network: Network, spikes: Spikes, labels: NDArray[np.int64]
) -> float:
    parts = []
    states = spikes.steps * sum(p.size for p in network.populations)  # of one sample, in each of v, c and r
    chunk = min(EVALUATION_CHUNK, max(1, EVALUATION_STATES // states))
    for start in range(0, spikes.samples, chunk):
        trace = run(model, spikes.part(slice(start, start + chunk)))
        parts.append(scores(trace, network))
    return accuracy(np.concatenate(parts), labels)


def _intact(load_value: Callable[[Path], Any], *paths: Path) -> bool:
    """True if every saved value loads: a stage whose output was damaged or deleted is not up to date."""
    try:
        for path in paths:
            load_value(path)
    except BrokenFile:
        return False
    return True


def train(run: RunFolder, progress: Progress, device: str = "cpu") -> None:
    """Train the recipe's network (and fine-tune it below 8 bits); an interrupted training goes on from its last epoch.

    Processes that `torchrun` has started do it together; the first one writes. device: see `fit`.
    """
    key, trainings = _trainings(run)
    if processes.count() == 1 and _trained(run, key):  # known without PyTorch, which takes longer to load
        progress("train", "up to date", 1.0)
        return
    from neurohw.train import distributed

    with distributed.joined():
        if distributed.from_first(lambda: _trained(run, key)):
            progress("train", "up to date", 1.0)
        else:
            _train(run, key, trainings, progress, device)


def _trainings(run: RunFolder) -> tuple[str, list["TrainConfig"]]:
    """The key of the stage and its trainings, one after the other."""
    from neurohw.train.recipes import recipe_named

    config = run.config
    recipe = recipe_named(config.recipe)
    changes: dict[str, Any] = {"seed": config.seed}
    if config.epochs is not None:
        changes["epochs"] = config.epochs
    trainings = [dataclasses.replace(recipe.config, **changes)]
    if config.bits < 8:
        tuned = recipe.finetune or dataclasses.replace(recipe.config, learning_rate=recipe.config.learning_rate / 4)
        trainings.append(dataclasses.replace(tuned, **changes, weight_bits=config.bits))
    values = recipe.network.to_json(), recipe.encoder.to_json(), [t.to_json() for t in trainings]
    return run.key(load_data(config).digest(), *values), trainings


def _trained(run: RunFolder, key: str) -> bool:
    return run.result("train", key) is not None and _intact(
        load_trained, run.path / "trained", run.path / "trained_float"
    )


def _train(run: RunFolder, key: str, trainings: list["TrainConfig"], progress: Progress, device: str) -> None:
    from neurohw.train import distributed, fit
    from neurohw.train.recipes import recipe_named

    recipe, dataset = recipe_named(run.config.recipe), load_data(run.config)
    model: Any = recipe.network
    float_accuracy = 0.0
    spikes, labels = encode_test(dataset, recipe.encoder)
    for number, training in enumerate(trainings):
        what = "quantization-aware" if training.weight_bits else "float"

        def each_epoch(epoch: int, epochs: int, metrics: dict[str, float], what: str = what) -> None:
            text = f"{what} epoch {epoch}/{epochs}, validation {100 * metrics['validation_accuracy']:.2f} %"
            progress("train", text, epoch / epochs)

        checkpoints = run.path / "checkpoints" / f"{number}-{what}"
        model = fit(model, dataset, recipe.encoder, training, checkpoints, each_epoch, device)
        if number == 0 and distributed.rank() == 0:
            float_accuracy = _accuracy(run_reference, model, model.network, spikes, labels)
            save(model, run.path / "trained_float")
    if distributed.rank() != 0:
        return
    digest = save(model, run.path / "trained")
    result = {
        "digest": digest,
        "dataset": dataset.name,
        "dataset_digest": dataset.digest(),
        "float_accuracy": float_accuracy,
    }
    run.finish("train", key, {**result, "test_samples": len(labels), "encoder": recipe.encoder.to_json()})
    shutil.rmtree(run.path / "checkpoints", ignore_errors=True)


def _test_split(run: RunFolder) -> tuple[Spikes, NDArray[np.int64]]:
    dataset = load_data(run.config)
    trained = run.need("train")
    if dataset.digest() != trained["dataset_digest"]:
        raise InvalidData(f"{run.path}: the data are not those of the training; run `neurohw train` again")
    return encode_test(dataset, Encoder.from_json(trained["encoder"]))


def quantize_stage(run: RunFolder, progress: Progress) -> None:
    """Quantize the trained network, prove its widths, and measure the accuracy that is left."""
    source = run.need("train")
    config = run.config
    key = run.key(source["digest"], config.bits, config.membrane_cap)
    if run.result("quantize", key) is not None and _intact(load_quantized, run.path / "quantized"):
        progress("quantize", "up to date", 1.0)
        return
    trained = load_trained(run.path / "trained")
    encoder = Encoder.from_json(source["encoder"])
    model = quantize(trained, config.bits, membrane_cap=config.membrane_cap, max_count=encoder.max_count)
    spikes, labels = _test_split(run)
    progress("quantize", "accuracy with rounded parameters", 0.3)
    rounded = _accuracy(run_reference, dequantize(model), model.network, spikes, labels)
    progress("quantize", "accuracy of the golden model", 0.6)
    golden = _accuracy(run_golden, model, model.network, spikes, labels)
    digest = save(model, run.path / "quantized")
    run.finish("quantize", key, {"digest": digest, "quantized_accuracy": rounded, "golden_accuracy": golden})


def crosscheck_stage(run: RunFolder, progress: Progress) -> None:
    """Run a few test samples in every engine but the RTL, which `verify` compares on all of them."""
    source, quantized = run.need("train"), run.need("quantize")
    key = run.key(source["digest"], quantized["digest"], source["dataset_digest"], CROSSCHECK_SAMPLES)
    if run.result("crosscheck", key) is not None:
        progress("crosscheck", "up to date", 1.0)
        return
    models: list[Model] = [load_trained(run.path / "trained"), load_quantized(run.path / "quantized")]
    spikes, _ = _test_split(run)
    engines = [name for name in ENGINES if name != "rtl"]
    part = spikes.part(slice(CROSSCHECK_SAMPLES))
    result = crosscheck(models, engines, part, lambda text, fraction: progress("crosscheck", text, fraction))
    picture = run.path / "mismatch.svg"
    picture.unlink(missing_ok=True)
    if result.traces is not None:
        write_atomically(picture, draw_mismatch(result).encode())
    run.finish("crosscheck", key, result.to_json())
    if not result.agrees:
        raise InvalidData(f"the engines differ: {first_words(result)}")


def emit_stage(run: RunFolder, progress: Progress) -> None:
    """Emit the RTL package."""
    run.need("quantize")
    model = load_quantized(run.path / "quantized")
    progress("emit", "writing SystemVerilog and memory images", 0.5)
    package = emit(model, lanes=run.config.lanes)
    key = run.key(digest_of(model), run.config.lanes, package.digest())
    if run.result("emit", key) is not None and _intact(RtlPackage.load, run.path / "rtl"):
        progress("emit", "up to date", 1.0)
        return
    package.write(run.path / "rtl")
    run.finish("emit", key, {"digest": package.digest()})


def verify_stage(run: RunFolder, progress: Progress, states: bool = False) -> None:
    """Stream the whole test split through the simulated RTL and compare it with the golden model."""
    emitted = run.need("emit")
    model = load_quantized(run.path / "quantized")
    spikes, labels = _test_split(run)
    key = run.key(emitted["digest"], digest_of(model), run.need("train")["dataset_digest"], states)
    if run.result("verify", key) is not None:
        progress("verify", "up to date", 1.0)
        return
    result = verify(
        run.path / "rtl",
        model,
        spikes,
        states=states,
        progress=lambda text, fraction: progress("verify", text, fraction),
    )
    value = result.to_json()
    value["rtl_accuracy"] = accuracy(result.scores, labels)
    run.finish("verify", key, value)
    if result.mismatches:
        raise InvalidData(f"the RTL differs from the golden model: {result.first_mismatch}")


def _build_board(run: RunFolder, name: str, tell: Callable[[str], None]) -> dict[str, Any]:
    """The result of one board, from its stamp if it is up to date."""
    board, package = load_board(name), RtlPackage.load(run.path / "rtl")
    texts = {p.name: p.read_text() for p in sorted(board.folder.iterdir())}
    key = run.key(run.need("emit")["digest"], texts, tool_versions())
    stage = f"build-{name}"
    done = run.result(stage, key)
    if done is None or not Path(done["bitstream"]).exists():
        folder, output = run.path / "rtl", run.path / "build" / name
        result = build(folder, package.sources(), board, package.lanes(), package.weight_bits(), output, tell)
        done = dataclasses.asdict(result)
        run.finish(stage, key, done)
    tell(f"{name}: done")
    return done


def build_stage(run: RunFolder, progress: Progress) -> None:
    """Synthesise, place and route for every board of the run, all boards at once; a board that is up to date is kept."""
    emitted, names = run.need("emit"), run.config.boards
    states: dict[str, str] = {}

    def show(name: str, text: str) -> None:
        states[name] = text
        ended = sum(state.endswith(": done") for state in states.values())
        progress("build", "; ".join(states[n] for n in names if n in states), ended / len(names))

    with workers(os.cpu_count() or 1) as submit:
        started = {name: submit(_build_board, run, name, partial(show, name)) for name in names}
        for future in wait(started.values(), return_when=FIRST_EXCEPTION).done:
            future.result()  # a failure stops the other boards
        boards = {name: future.result() for name, future in started.items()}
    key = run.key(emitted["digest"], boards)
    report = {"boards": boards, "tools": tool_versions(), "parent": emitted["digest"]}
    BuildReport.from_json(report).save(run.path / "build" / "build.json")
    run.finish("build", key, report)


def report_stage(run: RunFolder, progress: Progress) -> None:
    """Write report.json and report.html."""
    progress("report", "figures and page", 0.3)
    model = load_quantized(run.path / "quantized")
    spikes, labels = _test_split(run)
    write_report(run, assemble_report(run, model), model, spikes.part(slice(1)), int(labels[0]))


_RUN: dict[str, Callable[[RunFolder, Progress], None]] = {
    "quantize": quantize_stage,
    "crosscheck": crosscheck_stage,
    "emit": emit_stage,
    "verify": verify_stage,
    "build": build_stage,
    "report": report_stage,
}
_NEEDS: dict[str, frozenset[str]] = {
    "train": frozenset(),
    "quantize": frozenset({"train"}),
    "crosscheck": frozenset({"quantize"}),
    "emit": frozenset({"quantize"}),
    "verify": frozenset({"emit"}),
    "build": frozenset({"emit"}),
    "report": frozenset({"crosscheck", "verify", "build"}),
}


def run_stages(
    run: RunFolder, stages: tuple[str, ...], progress: Progress, device: str = "cpu", jobs: int | None = None
) -> None:
    """Run the named stages, reporting (stage, text, fraction) to `progress`, which is called from several threads.

    A stage starts when those whose results it reads have finished: crosscheck, verify and build run beside each other (at most `jobs` together; by default all that
    can, since they wait for other programs). The first failure or interrupt stops all; what has finished is stamped and not repeated. device: of the training.
    """

    def work(stage: str) -> None:
        progress(stage, "started", 0.0)
        if stage == "train":
            train(run, progress, device)
        else:
            _RUN[stage](run, progress)
        progress(stage, "done", 1.0)

    tasks = [Task(stage, _NEEDS[stage], partial(work, stage)) for stage in STAGES if stage in stages]
    run_tasks(tasks, jobs or len(tasks))
