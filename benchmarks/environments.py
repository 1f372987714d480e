# SPDX-License-Identifier: Apache-2.0
"""Virtual environments of other simulators, so that their dependencies and ours never meet: made
once under `.bench/environments`, made anew when the list changes.
"""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / ".bench" / "environments"
PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")


class CannotInstall(Exception):
    """An environment could not be made; the message ends with what pip said."""


def environment(
    name: str, requirements: Sequence[str], without_dependencies: Sequence[str] = ()
) -> Path:
    """The path of the Python of the environment `name`, made where it is absent or was made from
    another list.

    requirements: pinned, as for pip.
    without_dependencies: packages installed after them with --no-deps, whatever Python they
        declare.
    Raises CannotInstall.
    """
    folder = FOLDER / name
    python, stamp = folder / "bin" / "python", folder / "installed"
    listed = "\n".join([sys.version, *requirements, *without_dependencies])
    identity = hashlib.sha256(listed.encode()).hexdigest()
    if stamp.is_file() and stamp.read_text() == identity:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    commands = [[sys.executable, "-m", "venv", str(folder)], [str(python), *PIP, *requirements]]
    if without_dependencies:
        commands.append(
            [str(python), *PIP, "--no-deps", "--ignore-requires-python", *without_dependencies]
        )
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise CannotInstall(
                f"environment {name!r}: {' '.join(command[1:])} failed: "
                f"{done.stderr.strip()[-500:]}"
            )
    stamp.write_text(identity)
    return python
