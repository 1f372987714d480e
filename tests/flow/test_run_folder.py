# SPDX-License-Identifier: Apache-2.0
"""Run folders: the chain of digests, options that stay, files of older versions."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neurohw import load_trained, save
from neurohw.cli.app import app
from neurohw.errors import BrokenFile, CannotWrite, InvalidData, InvalidModel
from neurohw.flow import STAGES, RunConfig, RunFolder, run_stages
from neurohw.flow.check import crosscheck_saved
from neurohw.flow.config import LIMITS
from neurohw.flow.models import load_model, run_model
from tests.flow.common import CONFIG, Tools, finished, quiet

LATER = STAGES[2:]  # those that read what `quantize` made


def page(run: RunFolder) -> dict:
    return json.loads((run.path / "report.json").read_text())


def retrained(run: RunFolder) -> RunFolder:
    """The case of a careless hand: another, shorter training in a finished run."""
    other = RunFolder.start(run.path, None, epochs=1, bits=4)
    run_stages(other, ("train",), quiet)
    return RunFolder(run.path)


@pytest.mark.parametrize("stage", LATER)
def test_after_another_training_every_verb_says_which_one_to_run(
    copied: RunFolder, stage: str, tools: Tools
) -> None:
    """`train --epochs 1 --bits 4` on a finished run: `quantized` is of the training before."""
    run = retrained(copied)
    before = (run.path / "report.json").read_bytes()
    with pytest.raises(
        InvalidData,
        match=r"'quantize' was done with another result of 'train'.*run `neurohw quantize",
    ):
        run_stages(run, (stage,), quiet)
    assert tools.calls == [] and (run.path / "report.json").read_bytes() == before
    assert load_model(run.path, "float").digest() == run.digest("train")  # type: ignore[union-attr]
    for kind in ("integer", None):
        with pytest.raises(InvalidData, match="another result of 'train'.*run `neurohw quantize"):
            load_model(run.path, kind)


def test_a_stale_quantized_network_is_not_run_and_not_exported(
    copied: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`train --resolution-bits 9 --membrane-cap 12` leaves the training as it was, and the integers
    with the options before.
    """
    changed = replace(copied.config, resolution_bits=9, membrane_cap=12)
    run_stages(RunFolder(copied.path, changed), ("train",), quiet)
    np.savez(tmp_path / "in.npz", spikes=np.zeros((4, 64)))
    refused = "'quantize' was done with other options.*run `neurohw quantize"
    with pytest.raises(InvalidData, match=refused):
        run_model(copied.path, "golden", tmp_path / "in.npz", tmp_path / "out.npz")
    with pytest.raises(InvalidData, match=refused):
        crosscheck_saved(copied.path, None, 1, None, tmp_path / "m.svg", lambda *_: None)
    run = str(copied.path)
    arguments = ["export", run, "--to", "brian2", "--integers", "--out", str(tmp_path / "net.py")]
    with pytest.raises(InvalidData, match=refused):
        app(arguments, standalone_mode=False)
    assert not (tmp_path / "net.py").exists() and not (tmp_path / "out.npz").exists()
    assert load_model(copied.path, "float").digest() == copied.digest("train")


def test_the_verbs_that_are_named_lead_back_to_a_page(copied: RunFolder) -> None:
    """Each error names the next verb; the page then tells of the new model alone."""
    run = retrained(copied)
    named = []
    for _ in range(9):
        try:
            run_stages(run, ("report",), quiet)
            break
        except InvalidData as error:
            named.append(str(error).split("run `neurohw ")[1].split()[0])
            run_stages(run, (named[-1],), quiet)
    assert named == ["quantize", "emit", "verify", "build", "crosscheck"]
    assert page(run)["bits"] == 4 and page(run)["digests"]["trained"] == run.digest("train")


def test_the_page_is_about_the_model_and_not_about_run_json(copied: RunFolder) -> None:
    """Bits, seed and lanes are of model, training and package: a changed run.json is refused."""
    wrong = {
        "bits": 2,
        "seed": 9,
        "lanes": 4,
        "epochs": 3,
        "membrane_cap": 9,
        "resolution_bits": 7,
        "boards": [],
    }
    verbs = {
        "lanes": "emit",
        "membrane_cap": "quantize",
        "resolution_bits": "quantize",
        "boards": "build",
    }
    file = copied.path / "run.json"
    original = file.read_text()
    for name, value in wrong.items():
        file.write_text(json.dumps(json.loads(original) | {name: value}))
        with pytest.raises(
            InvalidData,
            match=f"other options than run.json has.*run `neurohw {verbs.get(name, 'train')}",
        ):
            run_stages(RunFolder(copied.path), ("report",), quiet)
    file.write_text(original)
    run_stages(RunFolder(copied.path), ("report",), quiet)
    model = RunFolder(copied.path).quantized()
    assert page(copied)["bits"] == max(p.bits for p in model.projections.values()) == 8
    assert page(copied)["lanes"] == copied.package().lanes() == 8 and page(copied)["seed"] == 0


@pytest.mark.parametrize(
    ("folder", "stage", "cure"),
    [
        ("trained", "quantize", "train"),
        ("trained", "report", "train"),
        ("trained_float", "report", "train"),
    ],
)
def test_a_network_that_is_not_the_one_of_the_stamp(
    copied: RunFolder, folder: str, stage: str, cure: str
) -> None:
    """A valid network in the place of the trained one, as an import or a copy leaves it there."""
    trained = load_trained(copied.path / folder)
    parameters = {**trained.parameters, "hidden1.bias": trained.parameters["hidden1.bias"] + 1}
    shutil.rmtree(copied.path / folder)
    save(replace(trained, parameters=parameters), copied.path / folder)
    with pytest.raises(BrokenFile, match=f"is not what .*run `neurohw {cure}"):
        run_stages(copied, (stage,), quiet)
    run_stages(
        copied, STAGES, quiet
    )  # the cure: the training is repeated, what depends on its digest is there


@pytest.mark.parametrize(("folder", "cure"), [("quantized", "quantize"), ("rtl", "emit")])
def test_a_model_or_package_of_another_run(
    copied: RunFolder, folder: str, cure: str, tmp_path: Path
) -> None:
    other = finished(
        tmp_path / "other",
        lambda run, stages, _: run_stages(
            RunFolder(run.path, replace(CONFIG, seed=1)), stages, quiet
        ),
    )
    shutil.rmtree(copied.path / folder)
    shutil.copytree(other.path / folder, copied.path / folder)
    for stage in ("verify", "build", "report"):
        with pytest.raises(
            BrokenFile, match=f"is not what stage '{cure}' left there.*run `neurohw {cure}"
        ):
            run_stages(copied, (stage,), quiet)


def test_stamps_of_another_run_do_not_pass(copied: RunFolder, tmp_path: Path) -> None:
    """A verification that was copied from elsewhere is of another package."""
    for stage in ("verify", "crosscheck", "build"):
        file = copied.path / "stages" / f"{stage}.json"
        original = file.read_text()
        stamp = json.loads(original)
        stamp["inputs"] = dict.fromkeys(stamp["inputs"], "0" * 64)
        file.write_text(json.dumps(stamp))
        with pytest.raises(
            InvalidData, match=f"stage '{stage}' was done with another result.*run `neurohw {stage}"
        ):
            run_stages(copied, ("report",), quiet)
        file.write_text(original)


@pytest.mark.parametrize("stage", ["verify", "crosscheck"])
def test_a_mismatch_fails_until_it_is_gone(copied: RunFolder, stage: str, tools: Tools) -> None:
    """It used to be stamped as finished, and the second time to end well."""
    copied.forget(stage)
    tools.mismatches = tools.differences = 7
    for _ in range(3):
        with pytest.raises(InvalidData, match="sample"):
            run_stages(copied, (stage,), quiet)
    assert tools.calls == [stage] * 3
    run_stages(copied, ("report",), quiet)  # the page tells of it
    text = (copied.path / "report.html").read_text()
    assert ("expected 1, got 0" if stage == "verify" else "native says 4") in text
    stamp = copied.stamp(stage)
    assert stamp is not None and stamp.failure and "sample" in stamp.failure
    tools.mismatches = tools.differences = 0
    run_stages(copied, (stage,), quiet)
    run_stages(copied, (stage,), quiet)
    assert tools.calls == [stage] * 4


def test_a_mismatch_in_the_flow_ends_with_a_page_and_an_error(
    copied: RunFolder, tools: Tools
) -> None:
    for stage in ("verify", "crosscheck", "build", "build-ulx3s", "build-icebreaker"):
        copied.forget(stage)
    (copied.path / "report.html").unlink()
    tools.mismatches = 3
    with pytest.raises(InvalidData, match="the RTL differs") as found:
        run_stages(copied, STAGES, quiet)
    assert found.value.stage == "verify" and sorted(tools.calls) == [
        "crosscheck",
        "icebreaker",
        "ulx3s",
        "verify",
    ]
    assert (
        page(copied)["agreement"]["rtl"]["mismatches"] == 3
        and (copied.path / "report.html").exists()
    )
    waveform = RunFolder(copied.path).need("verify")["waveform"]
    assert waveform == "rtl.sim/mismatch-sample3.fst"


def test_options_that_are_left_out_stay(copied: RunFolder, tmp_path: Path) -> None:
    run = RunFolder.start(tmp_path / "new", "digits", seed=3, lanes=4, boards=("ulx3s",), data=None)
    assert not (tmp_path / "new").exists()  # nothing is written before all is checked
    run_stages(RunFolder(tmp_path / "new", replace(run.config, epochs=1)), ("train",), quiet)
    again = RunFolder.start(tmp_path / "new", None, bits=8, boards=None, resolution_bits=6)
    assert again.config == replace(run.config, epochs=1, resolution_bits=6)
    assert RunFolder(tmp_path / "new").config == replace(run.config, epochs=1)
    run_stages(again, ("train",), quiet)
    assert RunFolder(tmp_path / "new").config == again.config  # what is given is recorded


def test_another_recipe_is_refused_and_writes_nothing(copied: RunFolder) -> None:
    before = {p: p.stat().st_mtime_ns for p in sorted(copied.path.rglob("*"))}
    with pytest.raises(
        InvalidData,
        match="is a run of a training of 'digits', not of a training of 'mnist': name another",
    ):
        RunFolder.start(copied.path, "mnist", data="nowhere")
    with pytest.raises(InvalidData, match="not of a reservoir of 'digits'"):
        from neurohw.reservoir import LIQUIDS

        RunFolder.start(copied.path, "digits", LIQUIDS["digits"])
    for options in ({"boards": ("arty",)}, {"bits": 9}, {"lanes": 0}, {"epochs": 0}, {"seed": -1}):
        with pytest.raises(InvalidData):
            RunFolder.start(copied.path, None, **options)
    assert {p: p.stat().st_mtime_ns for p in sorted(copied.path.rglob("*"))} == before


def test_data_and_device_are_checked_before_anything_is_written(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "wrong.npz",
        x_train=np.zeros((4, 3)),
        y_train=np.arange(4),
        x_test=np.zeros((4, 3)),
        y_test=np.arange(4),
    )
    for data in (None, str(tmp_path / "gone"), str(tmp_path / "wrong.npz")):
        with pytest.raises(InvalidData):
            run_stages(RunFolder(tmp_path / "run", RunConfig("mnist", data)), ("train",), quiet)
        assert not (tmp_path / "run").exists()
    with pytest.raises(InvalidData, match="--device is cpu or cuda, not 'tpu'"):
        run_stages(RunFolder(tmp_path / "run", CONFIG), ("train",), quiet, "tpu")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("wrong", [-1, 10**40, 2.5, True, "8"])
def test_values_out_of_range_are_named(name: str, wrong: object) -> None:
    with pytest.raises(InvalidData, match=f"--{name.replace('_', '-')} is a whole number from"):
        RunConfig(**{name: wrong})  # type: ignore[arg-type]


def test_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidData, match="unknown board 'arty': known boards are icebreaker, ulx3s"
    ):
        RunFolder(tmp_path / "run", RunConfig(boards=("ulx3s", "arty")))
    with pytest.raises(InvalidModel, match="unknown recipe 'imagenet'"):
        RunConfig("imagenet")
    assert RunConfig(boards=("ulx3s", "ulx3s")).boards == ("ulx3s",)


@pytest.mark.parametrize("name", ["stages", "trained", "rtl", "report.html", "thesis.tex"])
def test_files_that_no_run_made_are_not_replaced(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(CannotWrite, match=f"it holds {name} and no run.json of ours"):
        RunFolder(tmp_path, CONFIG)


def test_a_file_is_no_run_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    for config in (None, CONFIG):
        with pytest.raises(InvalidData, match="is a file, no run folder"):
            RunFolder(tmp_path / "file", config)


def test_run_json_of_an_older_version_is_read(copied: RunFolder) -> None:
    file = copied.path / "run.json"
    old = {k: v for k, v in json.loads(file.read_text()).items() if k != "resolution_bits"}
    file.write_text(json.dumps(old))
    assert RunFolder(copied.path).config == CONFIG
    for broken in (
        "{",
        "[]",
        "3",
        json.dumps({**old, "lane": 3}),
        json.dumps({**old, "bits": "8"}),
        json.dumps({**old, "boards": None}),
    ):
        file.write_text(broken)
        with pytest.raises(BrokenFile, match="run.json: truncated or unreadable"):
            RunFolder(copied.path)
    file.write_text(
        json.dumps({k: v for k, v in old.items() if k not in ("format_version", "kind")})
    )
    with pytest.raises(BrokenFile, match="a run folder of format version 1, this program reads 2"):
        RunFolder(copied.path)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(BrokenFile, match="run.json: truncated or unreadable"):
        RunFolder(copied.path)


def test_stamps_of_an_older_version_are_refused_by_name_and_made_again(copied: RunFolder) -> None:
    file = copied.path / "stages" / "verify.json"
    file.write_text(json.dumps({"key": "0" * 64, "result": {"mismatches": 0}}))
    with pytest.raises(
        BrokenFile,
        match=(
            "verify.json: the stamp of a stage of format version 1, this program reads 2; run the"
        ),
    ):
        run_stages(copied, ("report",), quiet)
    run_stages(copied, ("verify", "report"), quiet)


def test_a_copy_is_a_run_of_its_own(copied: RunFolder, tools: Tools, tmp_path: Path) -> None:
    """Nothing is done again, and no path of the original is left in it."""
    moved = tmp_path / "elsewhere" / "moved"
    shutil.copytree(copied.path, moved)
    shutil.rmtree(copied.path)
    run_stages(RunFolder(moved), STAGES, quiet)
    assert tools.calls == []
    for file in moved.rglob("*.json"):
        assert str(copied.path) not in file.read_text(), file
    for board in RunFolder(moved).need("build")["boards"].values():
        assert (moved / board["bitstream"]).is_file() and not Path(board["bitstream"]).is_absolute()


def test_a_bitstream_that_was_changed_is_built_again(copied: RunFolder, tools: Tools) -> None:
    (copied.path / "build" / "ulx3s" / "board.bit").write_bytes(b"other")
    run_stages(copied, ("build",), quiet)
    assert tools.calls == ["ulx3s"]


def test_resolution_bits_reach_the_quantizer(copied: RunFolder) -> None:
    """A threshold is then worth at least 2^9 units."""
    before = min(
        p.threshold.min() for p in copied.quantized().populations.values() if p.threshold.min() > 1
    )
    run = RunFolder(copied.path, replace(copied.config, resolution_bits=9))
    run_stages(run, ("quantize",), quiet)
    after = min(
        p.threshold.min() for p in run.quantized().populations.values() if p.threshold.min() > 1
    )
    assert before < 2**9 <= after and RunFolder(run.path).config.resolution_bits == 9


def test_accuracies_beside_each_other_are_of_equally_long_trainings(
    copied: RunFolder, tools: Tools
) -> None:
    """Below 8 bits a float twin is trained from the same start for as many epochs."""
    run = retrained(copied)
    trained = run.need("train")
    assert trained["epochs"] == {"float": 1, "quantization-aware": 1, "float twin": 1}
    assert (
        trained["float_accuracy"]
        == trained["float_accuracies"]["float twin"]
        != trained["float_accuracies"]["float"]
    )
    run_stages(run, STAGES, quiet)
    assert page(run)["accuracy"]["float"] == trained["float_accuracy"]
    words = page(run)["accuracy"]["compared"]
    assert words.startswith(
        "Epochs of float: 1 + 1. Of integers: the same 1, then 1 quantization-aware at 4 bits."
    )
    assert words in (run.path / "report.html").read_text()


def test_options_that_belong_to_the_training_are_not_of_quantize(copied: RunFolder) -> None:
    run = str(copied.path)
    for options, message in (
        (
            ("--bits", "4"),
            "--bits of a run belongs to its training: run `neurohw train .*--bits 4`",
        ),
        (("--membrane-cap", "9"), "--membrane-cap of a run belongs to its training"),
        (("--steps", "9"), "--steps is for a saved model, .* is a run folder: leave it out"),
        (("--out", "x"), "--out is for a saved model"),
    ):
        for where in ((run,), ("--run", run)):
            with pytest.raises(InvalidData, match=message):
                app(["quantize", *where, *options], standalone_mode=False)


def test_a_run_folder_in_the_place_of_a_network_is_named(copied: RunFolder) -> None:
    with pytest.raises(BrokenFile, match="is a run folder; its networks are saved in .*trained"):
        load_trained(copied.path)
