# SPDX-License-Identifier: Apache-2.0
"""Boards of a run: one that fails takes nothing from the others."""

import json
import re
import sys
from pathlib import Path

import pytest

from neurohw import cli
from neurohw.errors import DoesNotFit, MissingTool, NeurohwError
from neurohw.flow import STAGES, RunFolder, run_stages
from tests.flow.common import Tools, quiet

TOO_SMALL = "board 'icebreaker' has 30 block RAMs of 4096 bits; the weights need at least 112"


def unbuilt(run: RunFolder) -> RunFolder:
    """The run before verification and build."""
    for stage in ("verify", "build", "build-ulx3s", "build-icebreaker"):
        run.forget(stage)
    (run.path / "report.html").unlink()
    return run


def test_a_board_that_does_not_fit_cancels_nothing(copied: RunFolder, tools: Tools) -> None:
    """`flow mnist`: 784-128 weights of 4 bits are 401,408 bits, the iCEBreaker has 122,880."""
    run = unbuilt(copied)
    tools.broken["icebreaker"] = DoesNotFit(TOO_SMALL)
    with pytest.raises(DoesNotFit, match=TOO_SMALL) as found:
        run_stages(run, STAGES, quiet)
    assert found.value.stage == "build" and sorted(tools.calls) == ["icebreaker", "ulx3s", "verify"]
    report = json.loads((run.path / "report.json").read_text())
    assert list(report["hardware"]) == ["ulx3s"] and report["failed_boards"] == {
        "icebreaker": TOO_SMALL
    }
    text = (run.path / "report.html").read_text()
    assert "icebreaker: not built. board &#39;icebreaker&#39; has 30 block RAMs" in text
    assert (run.path / "build" / "ulx3s" / "board.bit").is_file()


def test_again_only_what_failed_is_built(copied: RunFolder, tools: Tools) -> None:
    run = unbuilt(copied)
    tools.broken["ulx3s"] = NeurohwError("nextpnr failed with code 1")
    for _ in range(2):
        with pytest.raises(NeurohwError, match="ulx3s: nextpnr failed with code 1"):
            run_stages(run, ("build",), quiet)
    assert tools.calls == ["ulx3s", "icebreaker", "ulx3s"] or tools.calls == [
        "icebreaker",
        "ulx3s",
        "ulx3s",
    ]
    tools.broken.clear()
    run_stages(run, ("build",), quiet)
    assert (
        sorted(run.need("build")["boards"]) == ["icebreaker", "ulx3s"]
        and run.need("build")["failed"] == {}
    )


def test_every_board_fails(copied: RunFolder, tools: Tools) -> None:
    run = unbuilt(copied)
    tools.broken = {"ulx3s": MissingTool("no nextpnr"), "icebreaker": DoesNotFit(TOO_SMALL)}
    with pytest.raises(NeurohwError, match="ulx3s: no nextpnr; board 'icebreaker' has"):
        run_stages(run, STAGES, quiet)
    report = json.loads((run.path / "report.json").read_text())
    assert report["hardware"] == {} and list(report["failed_boards"]) == ["ulx3s", "icebreaker"]


def test_the_command_ends_with_the_page_and_exit_code_1(
    copied: RunFolder,
    tools: Tools,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = unbuilt(copied)
    tools.broken["icebreaker"] = DoesNotFit(TOO_SMALL)
    monkeypatch.setattr(sys, "argv", ["neurohw", "flow", "--run", str(run.path)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    captured = capsys.readouterr()
    assert end.value.code == 1 and captured.err == f"error in build: {TOO_SMALL}\n"
    assert re.search(r"icebreaker +not built", captured.out) and "RTL accuracy" in captured.out
    assert (run.path / "report.html").exists()


def test_without_a_verification_there_is_no_page(
    copied: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The boards are built all the same, and both errors are told."""
    run = unbuilt(copied)

    def missing(*_: object, **__: object) -> None:
        raise MissingTool("g++ is not installed")

    monkeypatch.setattr("neurohw.flow.stages.verify", missing)
    with pytest.raises(
        NeurohwError,
        match=r"verify: g\+\+ is not installed; report: .*stage 'verify' has not run yet",
    ):
        run_stages(run, STAGES, quiet)
    assert run.need("build")["failed"] == {} and not Path(run.path / "report.html").exists()
