# SPDX-License-Identifier: Apache-2.0
"""The entry point: whatever goes wrong outside the program is one line and an exit code."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from neurohw.cli import main, start
from neurohw.errors import InvalidData

# the first import of a module sends this process Ctrl-C
INTERRUPTED_AT = """
import os, signal, sys
class Hook:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Hook())
from neurohw.cli import main
name, sys.argv = sys.argv[1], ["neurohw", "doctor"]
sys.argv = ["neurohw", name]
main()
"""


def shell(command: str, folder: Path) -> tuple[int, str]:
    """Exit code and standard error of a line of bash, in which N is the program."""
    line = command.replace("N ", f"{sys.executable} -W ignore -m neurohw ")
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        errors="replace",
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    "module",
    [
        "typer",
        "neurohw.cli.app",
        "neurohw.cli.noise",
        "rich.progress",
        "neurohw.flow",
        "neurohw.hardware.build",
    ],
)
def test_an_interrupt_while_the_program_starts(module: str) -> None:
    """Ctrl-C within the first second strikes imports."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", INTERRUPTED_AT, module],
        capture_output=True,
        text=True,
    )
    assert (
        done.returncode == 130
        and done.stderr.strip() == "interrupted; the same command goes on where it stopped"
    )
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("N train --help | head -n 1; exit ${PIPESTATUS[0]}", (0, 1), ""),
        ("N train --help >&-", (0,), ""),
        ("N train --help <&- >&- 2>&-", (0,), ""),
        ("N train --help >/dev/full", (1,), "error: No space left on device"),
        (
            "N report --run nowhere >&-",
            (1,),
            "error: nowhere is no run folder (run.json is missing)",
        ),
        ("N report --run nowhere 2>&-", (1,), ""),
        ("N train --seed -1", (1,), "error: --seed is a whole number from 0 to 4294967295, not -1"),
        ("N train --run file/x", (1,), "error: file/x: Not a directory"),
        ("N train --run /proc/x", (1,), "error: /proc/x: No such file or directory"),
        ("N report --run $'a\\xff'", (1,), "is no run folder"),
        ("PYTHONIOENCODING=ascii N train --help", (0,), ""),
        ("N train --run file", (1,), "error: file is a file, no run folder"),
        (
            "N run --engine golden --input x.npy --out o.npz file",
            (1,),
            "error: file is a file, no model folder",
        ),
        (
            "N import file --out m --input-shape abc",
            (2,),
            "'abc' is no list of whole numbers such as",
        ),
        ("N train --bits eight", (2,), "error: Invalid value for '--bits'"),
    ],
)
def test_one_line_and_an_exit_code(
    line: str, code: tuple[int, ...], words: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("text")
    found, errors = shell(line, tmp_path)
    assert found in code, errors
    assert (
        "Traceback" not in errors and errors.count("\n") == (1 if words else 0) and words in errors
    )
    assert os.listdir(tmp_path) == ["file"]


def ended(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    """The exit code of a command that ends with this error."""

    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr("neurohw.cli.app.app", fail)
    with pytest.raises(SystemExit) as end:
        main()
    assert isinstance(end.value.code, int)
    return end.value.code


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (InvalidData("samples must be at least 1"), 1, "error: samples must be at least 1\n"),
        (
            PermissionError(13, "Permission denied", "/data/mnist.npz"),
            1,
            "error: /data/mnist.npz: Permission denied\n",
        ),
        (IsADirectoryError(21, "Is a directory", "out.npz"), 1, "error: out.npz: Is a directory\n"),
        (
            OSError(18, "Invalid cross-device link", "a", None, "b"),
            1,
            "error: a -> b: Invalid cross-device link\n",
        ),
        (OSError("truncated"), 1, "error: truncated\n"),
        (MemoryError(), 1, "error: not enough memory\n"),
        (
            MemoryError("Unable to allocate 9 TiB"),
            1,
            "error: not enough memory (Unable to allocate 9 TiB)\n",
        ),
        (KeyboardInterrupt(), 130, "\ninterrupted; the same command goes on where it stopped\n"),
    ],
)
def test_errors_of_the_system(
    error: BaseException,
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ended(monkeypatch, error) == code
    assert capsys.readouterr() == ("", words)


def test_an_error_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """A traceback says where to look: one that the user can do nothing about stays one."""
    with pytest.raises(ZeroDivisionError):
        ended(monkeypatch, ZeroDivisionError())
    assert start._failed(ZeroDivisionError()) is None


@pytest.fixture(autouse=True)
def signals() -> object:
    """`main` takes the signals of the process; give them back."""
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
