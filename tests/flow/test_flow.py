# SPDX-License-Identifier: Apache-2.0
"""The whole flow on the embedded digits, interrupted in the middle of every verb, resumed, and
damaged on purpose.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from neurohw.cli.app import app
from neurohw.errors import BrokenFile, DoesNotFit, InvalidData, MissingTool
from neurohw.flow import STAGES, RunConfig, RunFolder, run_stages
from neurohw.hardware.generate import RtlPackage

pytestmark = pytest.mark.rtl
CONFIG = RunConfig(epochs=2, boards=("icebreaker",))
# stage -> where an interrupt strikes in its middle
MIDDLE = {
    "train": ("torch", "save"),
    "quantize": ("neurohw.flow.stages", "run_golden"),
    "crosscheck": ("neurohw.crosscheck", "compare"),
    "emit": ("neurohw.writing", "place"),
    "verify": ("neurohw.hardware.verify.comparison", "run_native"),
    "report": ("neurohw.report", "render_page"),
}


def quiet(stage: str, text: str, fraction: float | None) -> None:
    """Progress that nobody watches."""


def leftovers(folder: Path) -> list[str]:
    """Temporary files and folders that an interrupted stage forgot."""
    return [
        str(p)
        for p in folder.rglob("*")
        if p.name.startswith(".") or p.name.endswith((".old", ".tmp"))
    ]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run up to the report, without bitstreams."""
    run = RunFolder(tmp_path_factory.mktemp("runs") / "digits", CONFIG)
    run_stages(run, ("train", "quantize", "crosscheck", "emit", "verify", "report"), quiet)
    return run.path


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> RunFolder:
    """A copy that a test may damage."""
    shutil.copytree(finished, tmp_path / "digits")
    return RunFolder(tmp_path / "digits")


def test_report_holds_what_was_measured(finished: Path) -> None:
    report = json.loads((finished / "report.json").read_text())
    assert set(report["accuracy"]) == {"float", "quantized", "golden", "rtl", "samples", "compared"}
    assert report["accuracy"]["rtl"] == report["accuracy"]["golden"] > 0.8
    agreement = report["agreement"]["rtl"]
    assert agreement["samples"] == report["accuracy"]["samples"] == 450
    assert agreement["mismatches"] == 0
    assert agreement["spikes_compared"] == agreement["steps"] * 74
    assert report["performance"]["synaptic_operations_per_cycle"] > 0.8 * 8
    operations = [
        report["performance"][f"{kind}synaptic_operations_per_inference"]
        for kind in ("effective_", "")
    ]
    assert 0 < operations[0] < operations[1]
    assert all(w["saturated_in_rtl"] == 0 and not w["capped"] for w in report["widths"].values())
    assert report["seed"] == 0 and len(report["digests"]["quantized"]) == 64
    engines = {r["engine"]: r["status"] for r in report["crosscheck"]["runs"]}
    assert report["crosscheck"]["agrees"] and len(report["crosscheck"]["pairs"]) >= 6
    assert engines["brian2"] == engines["torch"] == engines["native"] == engines["lava"] == "ran"
    assert set(report["widths"]) == {"hidden1", "output"} and "verilator" in report["tools"]
    hidden = report["widths"]["hidden1"]
    assert (hidden["saturated"], hidden["updates"]) == (0, 450 * 4 * 64)
    calibration = report["calibration"]
    assert calibration["samples"] == 32 and set(calibration["populations"]) == {"hidden1", "output"}
    assert calibration["populations"]["hidden1"]["states"]["v"]["largest"] > 0
    assert report["warnings"] == []
    page = (finished / "report.html").read_text()
    assert "cannot saturate within 4 steps" in page and "Integers beside float" in page
    assert page.count("<svg") == 4
    assert not re.search(r'(src|href)="http', page)


def test_a_repeated_run_does_nothing(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a stage that is up to date ran again")

    monkeypatch.setattr("neurohw.train.fit", fail)
    monkeypatch.setattr("neurohw.flow.stages.run_golden", fail)
    monkeypatch.setattr("neurohw.flow.stages.verify", fail)
    monkeypatch.setattr("neurohw.flow.stages.crosscheck", fail)
    seen: list[str] = []
    run_stages(
        run,
        ("train", "quantize", "crosscheck", "emit", "verify"),
        lambda stage, text, fraction: seen.append(text),
    )
    assert seen.count("up to date") == 5


@pytest.mark.parametrize("stage", MIDDLE)
def test_interrupted_in_the_middle_then_resumed(
    stage: str, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C: nothing half written, the stage is not stamped; the same command then ends like an
    undisturbed run.
    """
    shutil.copytree(finished, tmp_path / "digits")
    run = RunFolder(tmp_path / "digits")
    (run.path / "stages" / f"{stage}.json").unlink(missing_ok=True)
    for made in {
        "train": ("trained", "trained_float"),
        "quantize": ("quantized",),
        "emit": ("rtl",),
    }.get(stage, ()):
        shutil.rmtree(run.path / made)
    if stage == "report":
        (run.path / "report.html").unlink()

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        module, function = MIDDLE[stage]
        patch.setattr(sys.modules[module], function, interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_stages(run, (stage,), quiet)
    assert leftovers(run.path) == []
    assert run.result(stage) is None
    run_stages(run, (stage,), quiet)
    assert leftovers(run.path) == []
    if stage == "report":
        assert (run.path / "report.html").read_text() == (finished / "report.html").read_text()
    else:
        assert run.result(stage) == RunFolder(finished).result(stage)


def test_a_real_interrupt_of_the_command(tmp_path: Path) -> None:
    """SIGINT while training: exit code 130 and a checkpoint; the resumed training equals an
    uninterrupted one.
    """
    command = [
        sys.executable,
        "-m",
        "neurohw.cli",
        "train",
        "digits",
        "--epochs",
        "80",
        "--run",
        str(tmp_path / "run"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("run/checkpoints/*/checkpoint.pt")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "goes on where it stopped" in output
    assert leftovers(tmp_path) == []
    subprocess.run(command, check=True, capture_output=True)
    subprocess.run([*command[:-1], str(tmp_path / "straight")], check=True, capture_output=True)
    digests = [RunFolder(tmp_path / name).need("train")["digest"] for name in ("run", "straight")]
    assert digests[0] == digests[1]


def test_checkpoints_of_the_user_stay(tmp_path: Path) -> None:
    """A copy under another name, and what lies behind a link, also after a second training."""
    run, elsewhere = RunFolder(tmp_path / "run", RunConfig(epochs=1)), tmp_path / "elsewhere"
    elsewhere.mkdir()
    mine = [run.path / "checkpoints/backup/checkpoint.pt", elsewhere / "checkpoint.pt"]
    run_stages(run, ("train",), quiet)
    mine[0].parent.mkdir(parents=True)
    (run.path / "checkpoints/1-float").symlink_to(elsewhere)
    for path in mine:
        path.write_text("mine")
    run_stages(RunFolder(run.path, RunConfig(epochs=2)), ("train",), quiet)
    assert [path.read_text() for path in mine] == ["mine", "mine"]
    assert sorted(os.listdir(run.path / "checkpoints")) == ["1-float", "backup"]


def test_truncated_run_folder_names_the_file(run: RunFolder) -> None:
    (run.path / "quantized" / "arrays.safetensors").write_bytes(b"")
    with pytest.raises(BrokenFile, match="quantized: truncated"):
        run_stages(run, ("emit",), quiet)
    (run.path / "stages" / "train.json").write_text('{"key"')
    with pytest.raises(BrokenFile, match="train.json: truncated"):
        run_stages(run, ("quantize",), quiet)
    (run.path / "run.json").write_text("{")
    with pytest.raises(BrokenFile, match="run.json: truncated"):
        RunFolder(run.path)


def test_verbs_out_of_order_say_what_to_run(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "new", CONFIG)
    with pytest.raises(InvalidData, match="stage 'train' has not run yet; run `neurohw train"):
        run_stages(run, ("quantize",), quiet)
    with pytest.raises(InvalidData, match="is no run folder"):
        RunFolder(tmp_path / "nothing")


def test_altered_rtl_is_not_built(run: RunFolder) -> None:
    (run.path / "rtl" / "nhw_network.sv").write_text("module nhw_network; endmodule")
    with pytest.raises(BrokenFile, match="nhw_network.sv: altered"):
        run_stages(run, ("build",), quiet)


def test_a_missing_tool_is_named(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(run.path / "rtl.sim")
    (run.path / "stages" / "verify.json").unlink()
    monkeypatch.setattr(
        "neurohw.hardware.verify.harness.shutil.which",
        lambda name: None if name == "g++" else "/bin/true",
    )
    with pytest.raises(MissingTool, match=r"g\+\+ is not installed"):
        run_stages(run, ("verify",), quiet)


def test_a_board_that_is_too_small_is_told_before_synthesis(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RtlPackage, "weight_banks", lambda self: {"hidden1": [(784 * 4, 128)]})
    monkeypatch.setattr(
        sys.modules["neurohw.hardware.build.bitstream"],
        "synthesise",
        lambda *_: pytest.fail("synthesis was started"),
    )
    with pytest.raises(DoesNotFit, match="has 30 block RAMs"):
        run_stages(run, ("build",), quiet)


def test_command_line_teaches_and_reports_errors(tmp_path: Path) -> None:
    names = {c.name or c.callback.__name__ for c in app.registered_commands if c.callback}
    verbs = {
        "hear",
        "flow",
        "train",
        "quantize",
        "crosscheck",
        "emit",
        "verify",
        "build",
        "report",
        "doctor",
    }
    assert names == verbs | {"run", "import", "check", "export", "noise"}
    for arguments, expected in (
        (["verify", "--help"], "golden model"),
        (["quantize", "--run", str(tmp_path)], "is no run folder"),
        (["train", "mnist", "--run", str(tmp_path / "r")], "needs --data"),
        (["train", "imagenet", "--run", str(tmp_path / "r")], "unknown recipe 'imagenet'"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "neurohw.cli", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        assert expected in " ".join((done.stdout + done.stderr).split())
        assert "Traceback" not in done.stdout + done.stderr
        assert done.returncode == (0 if "--help" in arguments else 1)


@pytest.mark.parametrize(
    ("stage", "file"),
    [
        ("train", "trained/value.json"),
        ("quantize", "quantized/value.json"),
        ("emit", "rtl/manifest.json"),
    ],
)
def test_running_a_stage_again_repairs_its_broken_or_deleted_output(
    run: RunFolder, stage: str, file: str
) -> None:
    """The cure that the error message names works, though the stamp still says that the stage has
    finished.
    """
    before = run.need(stage)["digest"]
    (run.path / file).write_text("{")
    run_stages(run, (stage,), quiet)
    shutil.rmtree((run.path / file).parent)
    run_stages(run, (stage,), quiet)
    assert (run.path / file).stat().st_size > 10 and run.need(stage)["digest"] == before


@pytest.mark.rtl
@pytest.mark.slow
def test_a_network_with_learned_delays_from_spikes_to_rtl(tmp_path: Path) -> None:
    """Recordings of spikes through training, quantization, crosscheck and the simulated
    hardware.
    """
    rng = np.random.default_rng(0)
    labels, index = (a.ravel() for a in np.meshgrid(np.arange(10), np.arange(12), indexing="ij"))
    counts = np.full(len(labels), 60)
    np.savez(
        tmp_path / "spikes.npz",
        t_ms=rng.integers(0, 700, counts.sum()).astype(np.uint16),
        ch=((np.repeat(labels, counts) * 6 + rng.integers(0, 8, counts.sum())) % 64).astype(
            np.uint8
        ),
        offsets=np.cumsum([0, *counts]),
        labels=labels.astype(np.uint8),
        index=index.astype(np.uint8),
        centre_hz=np.zeros(64, np.float32),
    )
    config = RunConfig("spoken-digits", str(tmp_path / "spikes.npz"), lanes=16, epochs=2)
    run = RunFolder(tmp_path / "run", config)
    run_stages(run, ("train", "quantize", "crosscheck", "emit", "verify"), quiet)
    assert run.need("verify")["mismatches"] == 0 and run.need("verify")["spikes_compared"] > 100_000
    assert all(pair["mismatches"] == 0 for pair in run.need("crosscheck")["pairs"])
    slots = [
        layer["parameters"]["SLOTS"] for layer in RtlPackage.load(tmp_path / "run" / "rtl").layers()
    ]
    assert slots == [32, 32, 1]
    with pytest.raises(InvalidData, match="needs --data"):
        run_stages(RunFolder(tmp_path / "none", RunConfig("shd")), ("train",), quiet)


def processes_within(folder: Path) -> list[str]:
    """Processes that work in the folder or below it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if Path(os.readlink(entry)).is_relative_to(folder):
                found.append((entry.parent / "cmdline").read_text())
        except OSError:
            continue  # it has ended, or is another user's
    return found


@pytest.mark.synth
@pytest.mark.slow
def test_an_interrupt_ends_all_stages_and_the_resumed_flow_gives_the_bytes_of_stages_in_turn(
    run: RunFolder,
) -> None:
    """While crosscheck, verify and build run beside each other: no process and no temporary file is
    left.
    """
    for made in ("crosscheck", "verify", "report"):
        (run.path / "stages" / f"{made}.json").unlink(missing_ok=True)
    shutil.rmtree(run.path / "rtl.sim")
    command = [
        sys.executable,
        "-m",
        "neurohw.cli",
        "flow",
        "digits",
        "--epochs",
        "2",
        "--board",
        "icebreaker",
    ]
    command += ["--run", str(run.path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 120
    while not (
        list(run.path.glob("build/.icebreaker.*/synthesis.log"))
        and list(run.path.glob("rtl.sim/.*/*.mk"))
    ):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    assert processes_within(run.path) != []
    os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "goes on where it stopped" in output
    assert leftovers(run.path) == [] and processes_within(run.path) == []
    assert run.result("build") is None and run.result("verify") is None
    seen: list[tuple[str, str]] = []
    run_stages(run, STAGES, lambda stage, text, _: seen.append((stage, text)))
    assert seen.index(("build", "started")) < seen.index(("verify", "done"))
    board = run.need("build")["boards"]["icebreaker"]
    assert (run.path / board["bitstream"]).stat().st_size == board["bitstream_bytes"]
    assert board["clock_mhz"] <= board["fmax_mhz"]
    report = json.loads((run.path / "report.json").read_text())
    assert {"lut", "ff", "bram", "fmax_mhz", "lanes"} <= set(report["hardware"]["icebreaker"])
    assert report["performance"]["latency_us"] > 0
    together = {stage: run.need(stage) for stage in ("crosscheck", "verify", "build")}
    page = (run.path / "report.html").read_bytes()
    for stage in (*together, "build-icebreaker"):
        run.forget(stage)
    for stage in STAGES:
        run_stages(run, (stage,), quiet, jobs=1)
    assert {stage: run.need(stage) for stage in together} == together
    assert (run.path / "report.html").read_bytes() == page
