# SPDX-License-Identifier: Apache-2.0
"""The stages after the training.

Each reads what earlier stages left in the run folder, and stamps the folder when it has ended.
"""

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from neurohw import processes
from neurohw.crosscheck import crosscheck
from neurohw.data import Encoder
from neurohw.engines import ENGINES
from neurohw.errors import InvalidData, PrecisionWarning
from neurohw.flow.accuracy import model_accuracy
from neurohw.flow.building import build_stage
from neurohw.flow.check import draw_mismatch, first_words
from neurohw.flow.config import CROSSCHECK_SAMPLES, stage_options
from neurohw.flow.data import load_data, run_test_split
from neurohw.flow.integers import CALIBRATION_SAMPLES, SaturationCount, calibration_stimulus
from neurohw.flow.outputs import check_outputs
from neurohw.flow.progress import Progress
from neurohw.flow.report_data import assemble_report, write_report
from neurohw.flow.run_folder import RunFolder
from neurohw.flow.tasks import Task, run_tasks
from neurohw.flow.training import train
from neurohw.golden import calibrated, run_golden
from neurohw.hardware.generate import emit
from neurohw.hardware.verify import verify
from neurohw.integers import dequantize, quantize
from neurohw.model_files import digest_of, save
from neurohw.readout import accuracy
from neurohw.reference import run_reference
from neurohw.storage import remove_file, write_file

STAGES = ("train", "quantize", "crosscheck", "emit", "verify", "build", "report")


def quantize_stage(run: RunFolder, progress: Progress) -> None:
    """Quantize the trained network, prove its widths, and measure the accuracy that is left."""
    source, trained, config = run.need("train"), run.trained(), run.config
    options = stage_options("quantize", config)
    assert options is not None
    inputs = {"train": source["digest"], "calibration_samples": CALIBRATION_SAMPLES}
    if run.up_to_date("quantize", options, inputs):
        run.save()
        progress("quantize", "up to date", 1.0)
        return
    encoder = Encoder.from_json(source["encoder"])
    with warnings.catch_warnings():  # they stay in the report of the model
        warnings.simplefilter("ignore", PrecisionWarning)
        model = quantize(trained, **options, max_count=encoder.max_count)
    progress("quantize", "differences to float on calibration data", 0.1)
    model = calibrated(trained, model, calibration_stimulus(load_data(config), encoder))
    spikes, labels = run_test_split(run)
    run.save()
    progress("quantize", "accuracy with rounded parameters", 0.3)
    rounded = model_accuracy(run_reference, dequantize(model), model.network, spikes, labels)
    progress("quantize", "accuracy of the golden model", 0.6)
    counting = SaturationCount(run_golden)
    golden = model_accuracy(counting.run, model, model.network, spikes, labels)
    digest = save(model, run.path / "quantized", run.force)
    result = {
        "digest": digest,
        "bits": config.bits,
        "quantized_accuracy": rounded,
        "golden_accuracy": golden,
        "warnings": model.info["warnings"],
        "saturations": counting.to_json(),
    }
    run.finish("quantize", options, inputs, result)


def crosscheck_stage(run: RunFolder, progress: Progress) -> None:
    """Run a few test samples in every engine but the RTL, which `verify` compares on all of them.

    Raises InvalidData if engines differ, again and again until they do not.
    """
    quantized, trained = run.quantized(), run.trained()
    options = {"samples": CROSSCHECK_SAMPLES}
    inputs = {"train": run.digest("train"), "quantize": digest_of(quantized)}
    if run.up_to_date("crosscheck", options, inputs):
        progress("crosscheck", "up to date", 1.0)
        return
    spikes, _ = run_test_split(run)
    engines = [name for name in ENGINES if name != "rtl"]
    part = spikes.part(slice(CROSSCHECK_SAMPLES))
    result = crosscheck(
        [trained, quantized],
        engines,
        part,
        lambda text, fraction: progress("crosscheck", text, fraction),
    )
    picture = run.path / "mismatch.svg"
    remove_file(picture, "picture", run.force)
    if result.traces is not None:
        write_file(picture, draw_mismatch(result).encode(), "picture", run.force)
    failure = None if result.agrees else f"the engines differ: {first_words(result)}"
    run.finish(
        "crosscheck",
        options,
        inputs,
        replace(result, samples_there=spikes.samples).to_json(),
        failure,
    )
    if failure:
        raise InvalidData(failure)


def emit_stage(run: RunFolder, progress: Progress) -> None:
    """Emit the RTL package."""
    model = run.quantized()
    progress("emit", "writing SystemVerilog and memory images", 0.5)
    package = emit(model, lanes=run.config.lanes)
    options, inputs = {"lanes": run.config.lanes}, {"quantize": digest_of(model)}
    digest = package.digest()
    if run.up_to_date("emit", options, inputs) and run.digest("emit") == digest:
        progress("emit", "up to date", 1.0)
        return
    package.write(run.path / "rtl", run.force)
    run.finish("emit", options, inputs, {"digest": digest, "lanes": package.lanes()})


def verify_stage(run: RunFolder, progress: Progress, states: bool = False) -> None:
    """Stream the whole test split through the simulated RTL and compare it with the golden model.

    Raises InvalidData if they differ, again and again until they do not.
    """
    options = {"states": states}
    inputs = {"emit": run.digest("emit"), "quantize": run.digest("quantize")}
    spikes, labels = run_test_split(run)
    if run.up_to_date("verify", options, inputs):
        progress("verify", "up to date", 1.0)
        return
    result = verify(
        run.path / "rtl",
        run.quantized(),
        spikes,
        states=states,
        progress=lambda text, fraction: progress("verify", text, fraction),
    )
    value = result.to_json()
    value["rtl_accuracy"] = accuracy(result.scores, labels)
    failure = None
    if result.mismatches:
        failure = f"the RTL differs from the golden model: {result.first_mismatch}"
    if result.waveform:
        value["waveform"] = run.inside(result.waveform)
    run.finish("verify", options, inputs, value, failure)
    if failure:
        raise InvalidData(failure)


def report_stage(run: RunFolder, progress: Progress) -> None:
    """Write report.json and report.html."""
    progress("report", "figures and page", 0.3)
    report = assemble_report(run)
    spikes, labels = run_test_split(run)
    write_report(run, report, run.quantized(), spikes.part(slice(1)), int(labels[0]))


_RUN: dict[str, Callable[[RunFolder, Progress], None]] = {
    "quantize": quantize_stage,
    "crosscheck": crosscheck_stage,
    "emit": emit_stage,
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
    "report": frozenset({"emit"}),
}
_AFTER = {"report": frozenset({"crosscheck", "verify", "build"})}


def run_stages(
    run: RunFolder,
    stages: tuple[str, ...],
    progress: Progress,
    device: str = "cpu",
    jobs: int | None = None,
    states: bool = False,
) -> None:
    """Run the named stages, reporting (stage, text, fraction) to `progress` from several threads.

    A stage starts when those whose results it reads have finished: crosscheck, verify and build run
    beside each other (at most `jobs` together; by default all that can, since they wait for other
    programs). One that fails cancels those that read its result, and nothing else: the report says
    what failed. An interrupt stops all. What has finished is stamped and not repeated.

    device: of the training. states: of the verification. Raises the error of the stage that failed,
    StagesFailed for several, InvalidData if another command works in the run folder.
    """

    def work(stage: str) -> None:
        progress(stage, "started", 0.0)
        if stage == "train":
            train(run, progress, device)
        elif stage == "verify":
            verify_stage(run, progress, states)
        else:
            _RUN[stage](run, progress)
        progress(stage, "done", 1.0)

    tasks = [
        Task(stage, _NEEDS[stage], partial(work, stage), _AFTER.get(stage, frozenset()))
        for stage in STAGES
        if stage in stages
    ]
    with run.hold("flow" if len(stages) > 1 else stages[0]):
        if processes.is_first():
            check_outputs(run, stages)
        run_tasks(tasks, jobs or len(tasks))
