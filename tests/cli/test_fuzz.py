# SPDX-License-Identifier: Apache-2.0
"""1,000 random command lines: exit code 0, or one line of error; and nothing else changes."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from neurohw.cli import main
from tests.cli.fuzz import make_world, outputs, random_line, stand_ins
from tests.flow.common import Tools, finished

LINES = 1000
PROCESSES = 36


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder with size and time."""
    found = {}
    for root, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = os.path.join(root, name)
            status = os.lstat(path)
            found[os.path.relpath(path, folder)] = (
                status.st_size if name in files else 0,
                status.st_mtime_ns if name in files else 0,
            )
    return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The world as it is before every line."""
    folder = tmp_path_factory.mktemp("fuzz")
    with pytest.MonkeyPatch.context() as patch:
        Tools(patch)
        run = finished(folder / "finished")
        make_world(folder / "world", run.path)
    yield folder
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(
            number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler
        )


def restore(world: Path, place: Path, before: dict, after: dict) -> None:
    """Bring back what was changed."""
    for name in {n.split(os.sep)[0] for n in {*before, *after} if before.get(n) != after.get(n)}:
        if (place / name).is_dir() and not (place / name).is_symlink():
            shutil.rmtree(place / name)
        else:
            (place / name).unlink(missing_ok=True)
        if (world / name).is_dir():
            shutil.copytree(world / name, place / name)
        elif (world / name).exists():
            shutil.copy2(world / name, place / name)


def wrong(line: list[str], code: int, errors: str, before: dict, after: dict) -> str | None:
    """What a command line did that none may do."""
    said = [
        text
        for text in errors.splitlines()
        if text.strip() and "Warning" not in text and not text.startswith("  ")
    ]
    if code not in (0, 1, 2) or "Traceback" in errors:
        return f"exit code {code}: {errors[-500:]}"
    if len(said) > max(1, errors.count("error in ")):
        return f"more than one line: {errors}"
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    strange = {name for name in changed if not {name, name.split(os.sep)[0], "."} & outputs(line)}
    return f"changed {sorted(strange)}" if strange else None


@pytest.mark.slow
def test_random_command_lines(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_ins(monkeypatch, world / "finished")
    place = tmp_path / "place"
    shutil.copytree(world / "world", place)
    original = contents(place)
    codes: dict[int, int] = {}
    failures: list[str] = []
    for seed in range(LINES):
        line = random_line(np.random.default_rng(seed))
        print(
            f"seed {seed}: {line}",
            file=sys.__stderr__ if os.environ.get("FUZZ_SHOW") else sys.stdout,
        )
        os.chdir(place)
        monkeypatch.setattr(sys, "argv", ["neurohw", *line])
        capsys.readouterr()
        code, extra = 0, ""
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        except Exception:
            code, extra = 3, traceback.format_exc()
        finally:
            os.chdir(tmp_path)
        after = contents(place)
        errors = capsys.readouterr().err + extra
        if os.environ.get("FUZZ_SHOW"):
            print(f"  {code} {errors.strip()[-200:]}", file=sys.__stderr__)
        found = wrong(line, code, errors, original, after)
        if found:
            failures.append(f"seed {seed}: {shlex.join(line)}: {found}")
        codes[code] = codes.get(code, 0) + 1
        restore(world / "world", place, original, after)
    assert not failures, "\n".join(failures)
    assert codes[0] > LINES / 20 and codes[1] > LINES / 5 and codes[2] > LINES / 20, codes


@pytest.mark.slow
def test_random_command_lines_as_processes(world: Path, tmp_path: Path) -> None:
    """The same without stand-ins, of verbs that are quick."""
    place = tmp_path / "place"
    shutil.copytree(world / "world", place)
    done = 0
    for seed in range(10_000, 20_000):
        line = random_line(np.random.default_rng(seed))
        if line[0] not in ("import", "export", "quantize", "emit", "report", "run", "doctor") or {
            "brian2",
            "lava",
            "rtl",
        } & set(line):
            continue
        before = contents(place)
        command = [sys.executable, "-W", "ignore", "-m", "neurohw", *line]
        result = subprocess.run(
            command, cwd=place, capture_output=True, text=True, check=False, timeout=120
        )
        after = contents(place)
        found = wrong(line, result.returncode, result.stderr, before, after)
        assert found is None, f"seed {seed}: {shlex.join(line)}: {found}"
        done += 1
        if done == PROCESSES:
            return
        restore(world / "world", place, before, after)
