# SPDX-License-Identifier: Apache-2.0
"""Verilator's own runtime, compiled once per compiler and flags and kept in the user's cache.

It is the same for every design, and more than half of what a small one takes to build.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from neurohw.native_library import cache_folder

OBJECTS = "verilated*.o"
DAY = 86400.0


def _key(arguments: Sequence[str], root: Path) -> str:
    """Digest of what the objects depend on: Verilator's sources, the compiler and its flags."""
    version = subprocess.run(["g++", "--version"], capture_output=True, text=True, check=True)
    sources = [path.read_bytes() for path in sorted((root / "include").glob("verilated*.[ch]*"))]
    texts = [" ".join(arguments).encode(), version.stdout.encode(), *sources]
    return hashlib.sha256(b"\0".join(texts)).hexdigest()[:16]


@contextmanager
def shared_runtime(folder: Path, arguments: Sequence[str], root: Path) -> Iterator[None]:
    """Let a build in `folder` with these arguments of Verilator find the compiled runtime.

    The first such build keeps it. root: the folder of Verilator. A cache that cannot be written
    costs time and nothing else.
    """
    kept = cache_folder() / f"verilator-{_key(arguments, root)}"
    if kept.is_dir():
        for path in kept.glob(OBJECTS):
            shutil.copyfile(path, folder / path.name)
            # newer than the makefile of this design, on which the makefile lets them depend
            os.utime(folder / path.name, (time.time() + DAY,) * 2)
        yield
        return
    yield
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as name:
            copy = Path(name) / "copy"
            copy.mkdir()
            for path in folder.glob(OBJECTS):
                shutil.copyfile(path, copy / path.name)
            copy.rename(kept)
    except OSError:
        # another process has kept it meanwhile, or nothing can be kept here
        pass
