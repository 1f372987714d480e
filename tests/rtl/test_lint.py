"""Every core alone, with its default parameters, through Verilator -Wall and Yosys; and the checks that refuse."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.rtl.common import RTL, require, rtl_sources, tool_environment

MODULES = [path.stem for path in rtl_sources()]

# one impossible value each, and what the message must name
IMPOSSIBLE = [
    ("nhw_layer", {"LANES": 8, "UPDATE_LANES": 3}, "UPDATE_LANES must divide LANES"),
    ("nhw_layer", {"WEIGHT_BITS": 9}, "WEIGHT_BITS must be 2 to 8"),
    ("nhw_layer", {"ACCUMULATOR_BITS": 3}, "ACCUMULATOR_BITS"),
    ("nhw_layer", {"SYNAPSE_KIND": 4}, "SYNAPSE_KIND"),
    ("nhw_layer", {"DECAY_KIND": 3}, "KIND must be"),
    ("nhw_layer", {"BANK_ROWS": 12}, "BANK_ROWS must be a power of two"),
    ("nhw_layer", {"SPIKING": 0, "MEMBRANE_BITS": 33}, "MEMBRANE_BITS must be at most 32"),
    ("nhw_fifo", {"WORDS": 6}, "WORDS must be a power of two"),
    ("nhw_decay", {"KIND": 2, "VALUE": 4097}, "VALUE must be 0 to 4096"),
]


def verilator_lint(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Result of linting one module, the others found by name."""
    command = ["verilator", "--lint-only", "-Wall", "-y", str(RTL), "--top-module", module, *arguments]
    return subprocess.run(
        [*command, str(RTL / f"{module}.sv")],
        env={"HOME": str(Path.home()), **tool_environment()},
        capture_output=True,
        text=True,
        check=False,
    )


def yosys(passes: list[str]) -> subprocess.CompletedProcess[str]:
    """Result of the passes in a child process: an error ends the process that runs Yosys."""
    require(find_spec("pyosys") is not None, "the Python package pyosys")
    script = "\n".join(
        ["from pyosys import libyosys as ys", "design = ys.Design()"]
        + [f"ys.run_pass({text!r}, design)" for text in passes]
    )
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)


def read_sources() -> str:
    return "read_verilog -sv -defer -DSYNTHESIS " + " ".join(str(path) for path in rtl_sources())


@pytest.mark.rtl
@pytest.mark.parametrize("probe", [False, True])
@pytest.mark.parametrize("module", MODULES)
def test_verilator_has_no_warning(module: str, probe: bool) -> None:
    result = verilator_lint(module, *(["-DNHW_PROBE"] if probe else []))
    assert result.returncode == 0, result.stderr


@pytest.mark.rtl
@pytest.mark.parametrize("module", MODULES)
def test_yosys_reads_and_checks(module: str) -> None:
    result = yosys([read_sources(), f"hierarchy -check -top {module}", "proc", "check -assert"])
    assert result.returncode == 0, result.stdout[-2000:]
    warnings = [line for line in (result.stdout + result.stderr).splitlines() if line.startswith("Warning")]
    assert not warnings


@pytest.mark.synth
@pytest.mark.parametrize(("family", "memory"), [("ecp5", "DP16KD"), ("ice40", "SB_RAM40_4K")])
def test_synthesis_maps_the_weights_to_block_ram(family: str, memory: str, tmp_path: Path) -> None:
    statistics = tmp_path / "stat.txt"
    result = yosys(
        [read_sources(), f"synth_{family} -top nhw_layer", "check -assert", f"tee -q -o {statistics} stat"]
    )
    assert result.returncode == 0, result.stdout[-2000:]
    assert memory in statistics.read_text()


@pytest.mark.rtl
@pytest.mark.parametrize(("module", "parameters", "message"), IMPOSSIBLE)
def test_impossible_parameters_are_refused(module: str, parameters: dict[str, int], message: str) -> None:
    result = verilator_lint(module, *(f"-G{name}={value}" for name, value in parameters.items()))
    assert result.returncode != 0
    assert message in result.stderr
    settings = " ".join(f"-chparam {name} {value}" for name, value in parameters.items())
    result = yosys([read_sources(), f"hierarchy -check -top {module} {settings}"])
    assert result.returncode != 0
    assert message in result.stdout + result.stderr
