# SPDX-License-Identifier: Apache-2.0
"""The stages of a reservoir on the embedded digits, interrupted, resumed, and on the command
line.
"""

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jinja2 import UndefinedError

from neurohw import cli, load_trained, run_golden
from neurohw.data import Dataset, digits
from neurohw.errors import InvalidData, InvalidModel
from neurohw.flow import RunConfig, RunFolder, reservoir, run_stages
from neurohw.flow.data import encode_test, load_data
from neurohw.flow.liquid_data import liquid_encoder, prepared
from neurohw.flow.reservoir import (
    Tuning,
    build_stage,
    current_liquid,
    measure_stage,
    readout_stage,
    tune_stage,
)
from neurohw.model_files import load_quantized
from neurohw.readout import scores
from neurohw.report.reservoir_page import render_reservoir
from neurohw.reservoir import Liquid, LiquidConfig

SMALL = LiquidConfig(
    shape=(4, 4, 4),
    input_weight=3.0,
    input_density=0.4,
    steps=40,
    train_samples=250,
    test_samples=90,
)
CONFIG = RunConfig("digits", liquid=SMALL)


def quiet(stage: str, text: str, fraction: float | None) -> None:
    """Progress that nobody watches."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built and read out, not tuned."""
    run = RunFolder(tmp_path_factory.mktemp("runs") / "liquid", CONFIG)
    build_stage(run, quiet)
    readout_stage(run, quiet)
    return run.path


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> RunFolder:
    """A copy that a test may change."""
    shutil.copytree(finished, tmp_path / "liquid")
    return RunFolder(tmp_path / "liquid")


def test_data_are_shares_of_as_many_samples_as_asked_for() -> None:
    plain = digits()
    dataset = prepared(plain, SMALL, seed=0)
    assert abs(len(dataset.y_train) - 250) <= 10 and abs(len(dataset.y_test) - 90) <= 10
    assert len(dataset.y_validation) == len(plain.y_validation)
    assert np.ptp(np.bincount(dataset.y_train)) <= 3
    shares = plain.x_train / plain.x_train.sum(1, keepdims=True)
    everything = prepared(plain, replace(SMALL, train_samples=None), seed=0)
    assert (
        np.allclose(everything.x_train, shares / shares.max(), atol=1e-6)
        and everything.x_train.max() == 1
    )
    assert everything.x_test.max() <= 1
    assert np.array_equal(
        prepared(plain, replace(SMALL, share=False, train_samples=None), 0).x_train, plain.x_train
    )
    empty = replace(plain, x_train=np.zeros_like(plain.x_train))
    with pytest.raises(InvalidData, match="train: sample 0 is empty"):
        prepared(empty, SMALL, 0)


def test_recorded_spikes_are_taken_as_they_are() -> None:
    counts = np.random.default_rng(0).integers(0, 3, (30, 12, 5)).astype(np.uint8)
    labels = np.arange(30) % 3
    dataset = Dataset("spikes", counts, labels, counts, labels, counts, labels, 3)
    assert np.array_equal(prepared(dataset, SMALL, 0).x_train, counts)
    encoder = liquid_encoder(dataset, SMALL, 0)
    assert encoder.steps == 12 and encoder.encode(counts).counts.max() == 1


def test_the_readout_counts_what_the_integers_do(finished: Path) -> None:
    run = RunFolder(finished)
    run_stages(run, ("quantize",), quiet)
    spikes, labels = encode_test(
        load_data(run.config), liquid_encoder(load_data(run.config), SMALL, 0)
    )
    model = load_quantized(finished / "quantized")
    trace = run_golden(model, spikes)
    with np.load(finished / "counts.npz") as counts:
        assert np.array_equal(counts["x_test"], trace.spikes["liquid"].sum(0))
        assert np.array_equal(counts["y_test"], labels)
        assert counts["x_train"].shape == (len(load_data(run.config).y_train), 64)
    done = run.need("train")
    golden = (scores(trace, model.network).argmax(1) == labels).mean()
    assert run.need("quantize")["golden_accuracy"] == golden > 0.75
    assert (
        abs(done["counts_accuracy"] - golden) < 0.05 and abs(done["float_accuracy"] - golden) < 0.1
    )
    assert done["digest"] == load_trained(finished / "trained").digest()


def test_tuning_changes_the_weights_and_what_follows(run: RunFolder) -> None:
    before = current_liquid(run)
    tuning = Tuning(steps=15, samples=120)
    tune_stage(run, quiet, tuning)
    after = current_liquid(run)
    weight = after.trained.parameters["liquid_to_liquid.weight"]
    assert not np.array_equal(weight, before.trained.parameters["liquid_to_liquid.weight"])
    assert np.abs(weight).max() <= 3 and after.trained.parent == before.trained.digest()
    branching = run.need("tune")["branching_factor"]
    assert (
        branching["before"] > 0
        and branching["after"] > 0
        and branching["before"] != branching["after"]
    )
    with pytest.raises(
        InvalidData, match="neurohw reservoir readout --run"
    ):  # that of the liquid before is no longer valid
        run_stages(run, ("quantize",), quiet)
    readout_stage(run, quiet)
    assert load_trained(run.path / "trained").parent == after.digest()
    weights = [digest_after(run, replace(tuning, gain=gain)) for gain in (None, 0.03, 0.015)]
    assert len(set(weights)) == 3 and weights[2] == after.digest()


def digest_after(run: RunFolder, tuning: Tuning) -> str:
    tune_stage(run, quiet, tuning)
    return current_liquid(run).digest()


def test_a_liquid_built_anew_is_not_the_tuned_one(run: RunFolder) -> None:
    tune_stage(run, quiet, Tuning(samples=30))
    other = RunFolder(run.path, replace(CONFIG, seed=1))
    build_stage(other, quiet)
    assert current_liquid(other).digest() == Liquid.load(run.path / "liquid").digest()


def test_plasticity_within_samples_is_judged_beside(run: RunFolder) -> None:
    digest = run.need("train")["digest"]
    readout_stage(run, quiet, plastic=True)
    assert run.need("plastic")["accuracy"] > 0.7
    assert run.need("train")["digest"] == digest == load_trained(run.path / "trained").digest()


def test_by_gradient_and_on_the_float_liquid(run: RunFolder) -> None:
    other = RunFolder(
        run.path, replace(CONFIG, liquid=replace(SMALL, readout="adadelta", integers=False))
    )
    build_stage(other, quiet)
    readout_stage(other, quiet)
    done = other.need("train")
    assert done["readout"]["method"] == "adadelta"
    assert done["float_accuracy"] == done["counts_accuracy"] > 0.7


def test_a_repeated_stage_does_nothing(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    tune_stage(run, quiet, Tuning(samples=30))
    readout_stage(run, quiet)
    measure_stage(run, quiet, samples=4)
    for name in ("initialise", "ridge", "summarise", "quantize"):
        monkeypatch.setattr(
            reservoir, name, lambda *_, **__: pytest.fail("a stage that is up to date ran again")
        )
    seen: list[str] = []
    for stage, options in (
        (build_stage, ()),
        (tune_stage, (Tuning(samples=30),)),
        (measure_stage, (4,)),
        (readout_stage, ()),
    ):
        stage(run, lambda name, text, fraction: seen.append(text), *options)
    assert seen == ["up to date"] * 4
    (run.path / "tuned" / "arrays.safetensors").write_bytes(b"")  # damaged: not up to date any more
    with pytest.raises(pytest.fail.Exception):
        tune_stage(run, quiet, Tuning(samples=30))


def test_interrupted_and_resumed(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = run.need("train")
    run.forget("train")
    monkeypatch.setattr(reservoir, "EVALUATION_CHUNK", 50)
    counted: list[int] = []
    count = reservoir.run_native

    def interrupted(model: Any, spikes: Any, **options: Any) -> Any:
        if len(counted) == 3:
            raise KeyboardInterrupt
        counted.append(spikes.samples)
        return count(model, spikes, **options)

    with monkeypatch.context() as patch:
        patch.setattr(reservoir, "run_native", interrupted)
        with pytest.raises(KeyboardInterrupt):
            readout_stage(run, quiet)
    assert run.result("train") is None and len(list(run.path.glob("checkpoints/*/*.npy"))) == 3
    again: list[int] = []
    monkeypatch.setattr(
        reservoir,
        "run_native",
        lambda model, spikes, **o: (again.append(spikes.samples), count(model, spikes, **o))[1],
    )
    readout_stage(run, quiet)
    data = load_data(run.config)
    assert sum(counted) + sum(again) == sum(
        len(data.part(p)[1]) for p in ("train", "validation", "test")
    )
    assert not (run.path / "checkpoints").exists()
    # other chunks draw other training spikes, so the accuracy may differ a little from the first
    # run's
    assert abs(run.need("train")["counts_accuracy"] - expected["counts_accuracy"]) < 0.12
    straight = run.need("train")
    run.forget("train")
    readout_stage(run, quiet)
    assert run.need("train") == straight


def test_the_page_holds_what_was_measured(run: RunFolder) -> None:
    measure_stage(run, quiet, samples=6)
    values = json.loads((run.path / "reservoir.json").read_text())
    del values["sha256"]
    assert values == run.need("measure") and values["samples"] == 6 and values["tuning"] is None
    page = (run.path / "reservoir.html").read_text()
    assert page.count("<svg") == 6 and not re.search(r'(src|href)="http', page)
    assert f"{values['branching_factor']:.3f}" in page and values["digest"] in page
    figures = dict.fromkeys(
        ("raster", "connections", "avalanches", "branching", "weights", "degrees"), ""
    )
    tuning = {"steps": 20, "gain": None, "branching_factor": {"before": 1.5, "after": None}}
    page = render_reservoir({**values, "tuning": tuning}, figures)
    assert "depression of fixed strength" in page and "1.500 before" in page
    with pytest.raises(UndefinedError, match="digest"):
        render_reservoir({k: v for k, v in values.items() if k != "digest"}, figures)


@pytest.mark.parametrize("topology", ["gaussian", "resistive"])
def test_reservoirs_of_both_signs_do_not_tune(topology: str, tmp_path: Path) -> None:
    liquid = replace(SMALL, topology=topology, weight=0.1, input_weight=0.5)
    run = RunFolder(tmp_path, RunConfig("digits", liquid=liquid))
    build_stage(run, quiet)
    with pytest.raises(InvalidData, match=topology):
        tune_stage(run, quiet)
    with pytest.raises(InvalidData, match="neurohw reservoir build"):
        tune_stage(RunFolder(tmp_path / "plain", RunConfig("digits")), quiet)


def test_weights_beyond_the_limits_of_plasticity(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, RunConfig("digits", liquid=replace(SMALL, input_weight=6.0)))
    build_stage(run, quiet)
    with pytest.raises(InvalidModel, match="input_to_liquid"):
        tune_stage(run, quiet)


def test_configurations_survive_the_folder(tmp_path: Path) -> None:
    RunFolder(tmp_path / "liquid", CONFIG).save()
    assert RunFolder(tmp_path / "liquid").config == CONFIG
    plain = RunFolder(tmp_path / "plain", RunConfig())
    plain.save()
    assert "liquid" not in json.loads((plain.path / "run.json").read_text())
    assert RunFolder(plain.path).config == RunConfig()


def command(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Exit code and output, unwrapped, of one command."""
    before = sys.argv
    sys.argv = ["neurohw", "reservoir", *map(str, arguments)]
    try:
        cli.main()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.argv = before
    captured = capsys.readouterr()
    return code, " ".join((captured.out + captured.err).split())


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    options = (
        "--shape 3,3,4 --steps 40 --train-samples 150 --test-samples 60 --input-weight 3 --seed 3"
    ).split()
    code, text = command(capsys, "build", "digits", "--run", folder, *options)
    assert (
        code == 0
        and "36, 7 inhibitory" in text
        and f"neurohw reservoir tune --run {folder}" in text
    )
    config = RunFolder(folder).config
    assert config.seed == 3 and config.liquid is not None and config.liquid.shape == (3, 3, 4)
    assert config.liquid.input_density == 0.3  # of the liquid that is known to work
    code, text = command(capsys, "tune", "--run", folder, "--samples", 40, "--no-astrocyte")
    assert (
        code == 0 and "branching factor" in text and RunFolder(folder).need("tune")["gain"] is None
    )
    code, text = command(capsys, "measure", "--run", folder, "--samples", 5)
    assert code == 0 and "of 5 inputs" in text and (folder / "reservoir.html").exists()
    code, text = command(capsys, "readout", "--run", folder, "--plastic")
    assert code == 0 and "accuracy, plastic" in text and f"neurohw quantize --run {folder}" in text
    assert load_trained(folder / "trained").network.output.size == 10


def test_a_resistive_reservoir_goes_all_the_way_to_integers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    options = (
        "--topology resistive --formed 0.4 --shape 7,7,1 --steps 40 --train-samples 300 "
        "--test-samples 90"
    ).split()
    code, text = command(capsys, "build", "digits", "--run", folder, *options)
    assert code == 0 and "49, 0 inhibitory" in text
    config = RunFolder(folder).config.liquid
    assert config is not None and (config.formed, config.input_weight, config.decay) == (
        0.4,
        0.6,
        0.9375,
    )
    synapses = RunFolder(folder).need("liquid")["synapses"]
    assert synapses["input_to_liquid"] == pytest.approx(64 * 49 * (1 - 0.6**2), rel=0.1)
    assert command(capsys, "measure", "--run", folder, "--samples", 4)[0] == 0
    assert command(capsys, "readout", "--run", folder)[0] == 0
    run = RunFolder(folder)
    run_stages(run, ("quantize", "emit"), quiet)
    assert run.need("quantize")["golden_accuracy"] > 0.6
    assert (
        run.need("train")["float_accuracy"] > 0.6 and (folder / "rtl" / "nhw_network.sv").exists()
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("build", "cifar"), 1, "known are digits, mnist, spoken-digits"),
        (("build", "mnist"), 1, "needs --data"),
        (("build", "--topology", "torus"), 1, "must be 'grid', 'small-world'"),
        (("build", "--shape", "3,x,3"), 2, "no list of whole numbers"),
        (("build", "--shape", "3,3"), 1, "shape must be 3 values"),
        (("readout", "--run", "nowhere"), 1, "no run folder"),
        (("measure", "--run", "empty"), 1, "reservoir build"),
    ],
)
def test_mistakes_are_one_clear_line(
    tmp_path: Path,
    arguments: tuple[str, ...],
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    RunFolder(Path("empty"), CONFIG).save()
    found, text = command(capsys, *arguments)
    assert found == code and message in text


@pytest.mark.parametrize("verb", ["build", "tune", "measure", "readout"])
def test_help_teaches(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = command(capsys, verb, "--help")
    assert code == 0 and "--run" in text and len(text) > 300
