# SPDX-License-Identifier: Apache-2.0
"""One command at a time in a run folder."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from neurohw.errors import InvalidData
from neurohw.flow import RunFolder, run_stages
from neurohw.flow.lock import NAME, locked
from neurohw.flow.reservoir import build_stage
from tests.flow.common import CONFIG, quiet

OTHER = """
import sys, time
from pathlib import Path
from neurohw.flow.lock import locked
with locked(Path(sys.argv[1]), "flow --run there"):
    print("held", flush=True)
    time.sleep(60)
"""


def other_process(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_the_owner_is_named_and_a_dead_one_forgotten(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = other_process(folder)
    try:
        year = time.strftime("%Y")
        words = (
            rf"in use by `neurohw flow --run there` \(process {process.pid} on .*, since {year}-"
        )
        for _ in range(2):
            with pytest.raises(InvalidData, match=words), locked(folder, "verify"):
                pytest.fail("two owners")
        with pytest.raises(InvalidData, match=words):
            run_stages(RunFolder(folder, CONFIG), ("train",), quiet)
        assert os.listdir(folder) == [NAME]
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert (folder / NAME).exists()  # left by the dead process, and free
    with locked(folder, "verify"):
        assert json.loads((folder / NAME).read_text())["process"] == os.getpid()
    assert not (folder / NAME).exists()


def test_two_owners_in_one_process(tmp_path: Path) -> None:
    with (
        locked(tmp_path, "a"),
        pytest.raises(InvalidData, match="`neurohw a`"),
        locked(tmp_path, "b"),
    ):
        pytest.fail("two owners")
    with locked(tmp_path, "c"):
        pass


def test_a_folder_made_for_the_lock_alone_goes_with_it(tmp_path: Path) -> None:
    with locked(tmp_path / "a" / "b", "train"):
        assert (tmp_path / "a" / "b" / NAME).is_file()
    assert os.listdir(tmp_path) == []
    with locked(tmp_path / "a" / "b", "train"):
        (tmp_path / "a" / "mine").write_text("kept")
    assert os.listdir(tmp_path / "a") == ["mine"]


def test_a_lock_does_not_empty_a_file_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    (tmp_path / NAME).symlink_to(tmp_path / "mine")
    with pytest.raises(InvalidData, match="is a symbolic link"), locked(tmp_path, "train"):
        pytest.fail("locked")
    assert (tmp_path / "mine").read_text() == "kept"


def test_a_run_may_hold_itself(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", CONFIG)
    with run.hold("flow"), run.hold("train"):
        with (
            pytest.raises(InvalidData, match="in use by `neurohw flow --run"),
            RunFolder(run.path, CONFIG).hold("x"),
        ):
            pytest.fail("two owners")
    with RunFolder(run.path, CONFIG).hold("x"):
        pass


def test_of_several_processes_of_one_training_the_first_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RunFolder(tmp_path, CONFIG).hold("train"):
        monkeypatch.setenv("WORLD_SIZE", "2")
        monkeypatch.setenv("RANK", "1")
        with RunFolder(tmp_path, CONFIG).hold("train"):
            pass


def test_reservoirs_hold_their_run_too(tmp_path: Path) -> None:
    from dataclasses import replace

    from neurohw.reservoir import LIQUIDS

    run = RunFolder(tmp_path, replace(CONFIG, liquid=LIQUIDS["digits"]))
    with (
        locked(tmp_path, "reservoir tune"),
        pytest.raises(InvalidData, match="in use by `neurohw reservoir tune`"),
    ):
        build_stage(run, quiet)


def test_many_processes_take_turns(tmp_path: Path) -> None:
    """Each adds 1 to a number while it holds the folder; none sees another's half-done work."""
    (tmp_path / "n").write_text("0")
    code = """
import sys, time
from pathlib import Path
from neurohw.errors import InvalidData
from neurohw.flow.lock import locked
folder, done = Path(sys.argv[1]), 0
while done < 20:
    try:
        with locked(folder, "count"):
            n = int((folder / "n").read_text())
            (folder / "n").write_text("")
            (folder / "n").write_text(str(n + 1))
            done += 1
    except InvalidData:
        time.sleep(0.001)
"""
    processes = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(4)]
    assert [p.wait() for p in processes] == [0] * 4
    assert (tmp_path / "n").read_text() == "80" and os.listdir(tmp_path) == ["n"]
