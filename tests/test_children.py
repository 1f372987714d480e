# SPDX-License-Identifier: Apache-2.0
"""Processes end with the work that waits for them."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import wait
from pathlib import Path

import pytest

from neurohw.children import run_child, workers

# a program that starts another, writes the number of both, and sleeps; what it starts must end with
# it
TREE = (
    "import os,subprocess,sys,time; p=subprocess.Popen(['sleep','60']); "
    "open(sys.argv[1],'w').write(f'{os.getpid()} {p.pid}'); time.sleep(60)"
)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def numbers(file: Path) -> list[int]:
    """The processes of a tree, once it has written them."""
    deadline = time.monotonic() + 30
    while not (file.exists() and len(file.read_text().split()) == 2):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return [int(n) for n in file.read_text().split()]


def assert_ended(processes: list[int]) -> None:
    deadline = time.monotonic() + 10
    while any(alive(p) for p in processes):
        assert time.monotonic() < deadline, "a process outlived its group"
        time.sleep(0.01)


def test_output_and_return_code(tmp_path: Path) -> None:
    done = run_child(
        [sys.executable, "-c", "import sys; print('out'); sys.stderr.write('err'); sys.exit(3)"]
    )
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err", 3)
    with open(tmp_path / "log", "w") as log:
        run_child(
            [sys.executable, "-c", "import os; print(os.environ['X'], os.getcwd())"],
            tmp_path,
            {"X": "7"},
            log,
        )
    assert (tmp_path / "log").read_text() == f"7 {os.path.realpath(tmp_path)}\n"


def test_a_timeout_ends_the_whole_tree(tmp_path: Path) -> None:
    started: list[int] = []
    reader = threading.Thread(target=lambda: started.extend(numbers(tmp_path / "n")))
    reader.start()
    with pytest.raises(subprocess.TimeoutExpired):
        run_child([sys.executable, "-c", TREE, str(tmp_path / "n")], timeout=2)
    reader.join()
    assert_ended(started)


@pytest.mark.parametrize("nested", [False, True])
def test_an_exception_ends_running_and_waiting_work(nested: bool, tmp_path: Path) -> None:
    """In groups within groups, too: threads that waited see KeyboardInterrupt, and work that had
    not started never does.
    """
    seen: list[str] = []

    def tree(name: str) -> None:
        try:
            run_child([sys.executable, "-c", TREE, str(tmp_path / name)])
        except KeyboardInterrupt:
            seen.append(name)
            with pytest.raises(KeyboardInterrupt):
                run_child(["true"])
            raise

    def inner() -> None:
        with workers(2) as submit:
            for future in wait([submit(tree, "a"), submit(tree, "b")]).done:
                future.result()

    with pytest.raises(ZeroDivisionError), workers(2) as submit:
        futures = [submit(inner)] if nested else [submit(tree, "a"), submit(tree, "b")]
        waiting = [submit(seen.append, "late"), submit(seen.append, "later")] if not nested else []
        processes = [*numbers(tmp_path / "a"), *numbers(tmp_path / "b")]
        raise ZeroDivisionError
    assert sorted(seen) == ["a", "b"]
    assert all(isinstance(f.exception(), KeyboardInterrupt) for f in futures) and all(
        f.cancelled() for f in waiting
    )
    assert_ended(processes)
    assert run_child(["true"]).returncode == 0  # outside, life goes on
