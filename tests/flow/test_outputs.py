# SPDX-License-Identifier: Apache-2.0
"""What a run folder replaces: nothing that its stages did not write, told before the first of them
begins.
"""

import hashlib
import json
from pathlib import Path

import pytest

from neurohw.errors import BrokenFile, CannotWrite
from neurohw.flow import RunConfig, RunFolder, run_stages
from neurohw.flow.outputs import check_outputs
from neurohw.hardware.generate import RtlPackage
from neurohw.storage import save_value, write_file

STAGES = ("train", "quantize", "crosscheck", "emit", "verify", "build", "report")
MODULE = b"module a;"
DIGEST = hashlib.sha256(MODULE).hexdigest()
MANIFEST = f'{{"files":{{"a.sv":"{DIGEST}"}},"format_version":2,"kind":"rtl"}}'.encode()
PACKAGE = RtlPackage({"manifest.json": MANIFEST, "a.sv": MODULE})


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run folder with some of its outputs."""
    run = RunFolder(tmp_path / "run", RunConfig(boards=("icebreaker",)))
    run.save()
    save_value(run.path / "trained", "trained", {}, {})
    PACKAGE.write(run.path / "rtl")
    write_file(run.path / "report.html", b"<html>", "page")
    check_outputs(run, STAGES)
    return run


def test_a_run_does_not_begin_in_a_folder_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(CannotWrite, match=r"it holds thesis\.tex and no run\.json of ours"):
        RunFolder(tmp_path, RunConfig())
    (tmp_path / "run.json").write_text('{"id": 7}')  # of another program
    with pytest.raises(
        CannotWrite, match=r"it holds run\.json, thesis\.tex and no run\.json of ours"
    ):
        RunFolder(tmp_path, RunConfig())
    assert (tmp_path / "run.json").read_text() == '{"id": 7}' and len(list(tmp_path.iterdir())) == 2


def test_a_run_that_is_one_takes_files_of_the_user_as_they_are(run: RunFolder) -> None:
    (run.path / "notes.md").write_text("what I saw")
    RunFolder(run.path, RunConfig(bits=4)).save()
    assert (run.path / "notes.md").read_text() == "what I saw" and RunFolder(
        run.path
    ).config.bits == 4


@pytest.mark.parametrize(
    ("file", "stage"),
    [
        ("rtl/mine.sv", "emit"),
        ("trained/notes.txt", "train"),
        ("trained_float/notes.txt", "train"),
        ("quantized/notes.txt", "quantize"),
        ("build/icebreaker/pins.txt", "build"),
        ("build/build.json", "build"),
        ("mismatch.svg", "crosscheck"),
        ("report.html", "report"),
        ("report.json", "report"),
    ],
)
def test_what_stands_in_the_way_is_told_before_a_stage_begins(
    run: RunFolder, file: str, stage: str
) -> None:
    path = run.path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    before = {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()}
    seen: list[str] = []
    with pytest.raises(
        CannotWrite,
        match=str(path.name if path.parent.name in ("build", "run") else path.parent.name),
    ):
        run_stages(run, STAGES, lambda *told: seen.append(told[0]))
    assert seen == [] and {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()} == before
    check_outputs(run, [s for s in STAGES if s != stage])
    check_outputs(RunFolder(run.path, force=True), STAGES)


def test_a_package_with_a_truncated_manifest_does_not_stop_what_writes_it_again(
    run: RunFolder,
) -> None:
    (run.path / "rtl" / "manifest.json").write_text("{")
    check_outputs(run, STAGES)


def test_runs_and_stamps_of_another_format_are_refused_by_name(run: RunFolder) -> None:
    run.finish("train", {}, {}, {"digest": ""})
    for file, message in (
        (
            run.path / "stages" / "train.json",
            "the stamp of a stage of format version 1, this program reads 2",
        ),
        (run.path / "run.json", "a run folder of format version 1, this program reads 2"),
    ):
        value = json.loads(file.read_text())
        for key in ("kind", "format_version"):  # as the last release wrote it
            del value[key]
        file.write_text(json.dumps(value))
        with pytest.raises(BrokenFile, match=message):
            RunFolder(run.path).need("train")
    with pytest.raises(
        CannotWrite,
        match="it is a run folder of format version 1, this program reads 2; start it with",
    ):
        RunFolder(run.path, RunConfig())
