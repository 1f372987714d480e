# SPDX-License-Identifier: Apache-2.0
"""C++ sources of the package, compiled with g++ at their first use and kept in the user's cache
folder.
"""

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from neurohw.errors import MissingTool, NeurohwError
from neurohw.storage import write_atomically

FLAGS = ("-O3", "-march=native", "-std=c++17", "-shared", "-fPIC", "-pthread")


def cache_folder() -> Path:
    """The folder of what is compiled once for all: `neurohw` in the user's cache folder."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "neurohw"


@functools.cache
def compiled(source: Path, flags: tuple[str, ...] = FLAGS) -> ctypes.CDLL:
    """The library of a source, one per text (with the headers beside it), compiler, processor and
    flags.

    Raises MissingTool without g++, NeurohwError with the compiler's words if it fails.
    """
    compiler = shutil.which("g++")
    if compiler is None:
        raise MissingTool(
            f"g++ is not installed, and {source.name} needs it: install it from the system's "
            "packages"
        )
    version = subprocess.run(
        [compiler, "--version"], capture_output=True, text=True, check=True
    ).stdout
    try:
        processor = Path("/proc/cpuinfo").read_text().split("flags", 1)[1].split("\n", 1)[0]
    except (OSError, IndexError):
        processor = ""
    texts = [path.read_text() for path in (source, *sorted(source.parent.glob("*.h")))]
    key = hashlib.sha256("\0".join([*texts, version, processor, *flags]).encode()).hexdigest()[:16]
    target = cache_folder() / f"{source.stem}-{key}.so"
    if not target.exists():
        with tempfile.TemporaryDirectory() as folder:
            built = Path(folder) / target.name
            result = subprocess.run(
                [compiler, *flags, "-o", built, source], capture_output=True, text=True
            )
            if result.returncode != 0:
                raise NeurohwError(f"g++ cannot compile {source.name}: {result.stderr[-1000:]}")
            write_atomically(target, built.read_bytes())
    return ctypes.CDLL(str(target))
