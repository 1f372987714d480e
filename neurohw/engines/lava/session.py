# SPDX-License-Identifier: Apache-2.0
"""Runs Lava in a process of its own: it starts many processes, takes over signals and may hang,
which must not reach the caller.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw import errors
from neurohw.engines.lava.child import FAILED
from neurohw.errors import NeurohwError
from neurohw.integers import QuantizedNetwork
from neurohw.model_files import save

SHARED_MEMORY = Path("/dev/shm")
LAST_WORDS = 1500  # characters
DYING = 5.0  # seconds that killed processes get to disappear
# the child runs this very package, installed or not
PACKAGE_ROOT = Path(errors.__file__).parents[1]
Job = tuple[QuantizedNetwork, NDArray[Any]]


def run_jobs(
    jobs: Sequence[Job], states: bool, side_by_side: bool, timeout: float
) -> list[dict[str, NDArray[Any]]]:
    """The arrays of a trace for every (model, counts [time, sample, input neuron]), all simulated
    by one child process.

    timeout: seconds for all jobs together.
    Raises NeurohwError with the last words of the child if it fails or takes longer; nothing of it,
    neither processes nor shared memory, is left then.
    """
    with tempfile.TemporaryDirectory(prefix="lava") as name:
        folder = Path(name)
        orders = []
        for number, (model, spikes) in enumerate(jobs):
            place = folder / str(number)
            save(model, place / "model")
            np.save(place / "spikes.npy", np.ascontiguousarray(spikes, np.uint8))
            orders.append({"folder": str(number), "states": states, "side_by_side": side_by_side})
        (folder / "jobs.json").write_text(json.dumps(orders))
        run_child([sys.executable, "-m", "neurohw.engines.lava.child"], folder, timeout)
        results = []
        for order in orders:
            with np.load(folder / str(order["folder"]) / "result.npz") as arrays:
                results.append({key: arrays[key] for key in arrays.files})
        return results


def run_child(command: list[str], folder: Path, timeout: float) -> None:
    """Run `command FOLDER PREFIX` and wait for it;

    NeurohwError with its last words unless it succeeds within `timeout` seconds.
    """
    prefix = f"/nhw_{secrets.token_hex(4)}_"
    log = folder / "log"
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(PACKAGE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    with log.open("wb") as output:
        child = subprocess.Popen(
            [*command, str(folder), prefix],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=folder,
            start_new_session=True,
        )
        try:
            code: int | None = child.wait(timeout)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _clear(child, prefix)
    if code == 0:
        return
    error = folder / "error.json"
    if code == FAILED and error.is_file():
        report = json.loads(error.read_text())
        raise getattr(errors, report["kind"], NeurohwError)(report["message"])
    how = (
        f"did not finish within {timeout:g} s and was stopped"
        if code is None
        else f"failed (code {code})"
    )
    words = log.read_text(errors="replace").strip()[-LAST_WORDS:]
    raise NeurohwError(f"the Lava process {how}. Its last words: {words or '(none)'}")


def _clear(child: subprocess.Popen[bytes], prefix: str) -> None:
    """End the child with every process that it started, and free their shared memory."""
    deadline = time.monotonic() + DYING
    while time.monotonic() < deadline:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:  # the whole group has ended
            break
        child.poll()
        time.sleep(0.01)
    child.wait()
    if SHARED_MEMORY.is_dir():
        for segment in SHARED_MEMORY.glob(f"{prefix.removeprefix('/')}*"):
            segment.unlink(missing_ok=True)
