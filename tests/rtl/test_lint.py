# SPDX-License-Identifier: Apache-2.0
"""Every core alone, with its default parameters, through Verilator -Wall, Yosys and slang; board
tops; and the checks that refuse.
"""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from neurohw import quantize
from neurohw.errors import Unsupported
from neurohw.hardware.build import load_board
from neurohw.hardware.build.bitstream import BOARD_CORES
from neurohw.hardware.build.board import board_names
from neurohw.hardware.generate import emit
from neurohw.network import feed_forward
from tests import slang
from tests.random_networks import FEATURES, random_graph, random_trained
from tests.rtl.common import RTL, require, rtl_sources, tool_environment, verilator_complaints
from tests.rtl.layer_model import random_data, write_images

MODULES = [path.stem for path in rtl_sources()]

# one impossible value each, and what the message must name
IMPOSSIBLE = [
    ("nhw_layer", {"LANES": 8, "UPDATE_LANES": 3}, "UPDATE_LANES must divide LANES"),
    ("nhw_layer", {"WEIGHT_BITS": 9}, "WEIGHT_BITS must be 2 to 8"),
    ("nhw_layer", {"ACCUMULATOR_BITS": 3}, "ACCUMULATOR_BITS"),
    ("nhw_layer", {"SYNAPSE_KIND": 5}, "SYNAPSE_KIND"),
    ("nhw_layer", {"DECAY_KIND": 5}, "KIND must be"),
    ("nhw_layer", {"BANK_ROWS": 12}, "BANK_ROWS must be a power of two"),
    ("nhw_layer", {"SPIKING": 0, "MEMBRANE_BITS": 33}, "MEMBRANE_BITS must be at most 32"),
    ("nhw_ring_accumulator", {"SLOTS": 6}, "SLOTS must be a power of two"),
    ("nhw_ring_accumulator", {"LANES": 8, "UPDATE_LANES": 3}, "UPDATE_LANES must divide LANES"),
    ("nhw_sparse_accumulator", {"SLOTS": 3}, "SLOTS must be a power of two"),
    ("nhw_sparse_accumulator", {"LANE_BITS": 13}, "ACCUMULATOR_BITS must not be below LANE_BITS"),
    ("nhw_lane_accumulator", {"LANE_BITS": 3}, "LANE_BITS must not be below WEIGHT_BITS"),
    ("nhw_step_control", {"OVERLAP": 1, "IN_ORDER": 0}, "OVERLAP needs IN_ORDER"),
    ("nhw_population", {"COMPRESSED": 1, "SHARED_DELAYS": 1}, "not SHARED_DELAYS"),
    ("nhw_fifo", {"WORDS": 6}, "WORDS must be a power of two"),
    ("nhw_decay", {"KIND": 2, "VALUE": 4097}, "VALUE must be 0 to 4096"),
    ("nhw_lif_step", {"HARD_RESET": 1, "RESET_NONE": 1}, "exclude each other"),
    ("nhw_lif_step", {"DELAYED_RESET": 1, "REFRACTORY_STEPS": 2}, "needs REFRACTORY_STEPS = 0"),
    ("nhw_lif_step", {"DELAYED_CURRENT": 1}, "SYNAPSE_KIND above 0"),
    ("nhw_lif_step", {"ADAPTATION_KIND": 5}, "ADAPTATION_KIND must be"),
    ("nhw_lif_step", {"DELAYED_RESET": 1, "INTEGRATES_REFRACTORY": 1}, "exclude each other"),
    ("nhw_modulation", {"TARGET_LANES": 3}, "TARGET_LANES must be LANES"),
    ("nhw_modulation", {"LEFT": 1}, "levels are shifted to the right"),
    ("nhw_population", {"MODULATES": 1}, "MODULATES excludes SPIKING"),
    ("nhw_parameter_memory", {"FIRST": 1}, "at most WORD_BITS"),
]


def verilator_lint(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Result of linting one module, the others found by name."""
    command = [
        "verilator",
        "--lint-only",
        "-Wall",
        "-y",
        str(RTL),
        "-y",
        str(Path(__file__).parent),
        "--top-module",
        module,
        *arguments,
    ]
    return subprocess.run(
        [*command, *(str(path) for path in rtl_sources() if path.stem == module)],
        env=tool_environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def yosys(passes: list[str], folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Result of the passes in a child process: an error ends the process that runs Yosys."""
    require(find_spec("pyosys") is not None, "the Python package pyosys")
    script = "\n".join(
        ["from pyosys import libyosys as ys", "design = ys.Design()"]
        + [f"ys.run_pass({text!r}, design)" for text in passes]
    )
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=folder
    )


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
    warnings = [
        line for line in (result.stdout + result.stderr).splitlines() if line.startswith("Warning")
    ]
    assert not warnings


@pytest.mark.rtl
@pytest.mark.parametrize("probe", [False, True])
@pytest.mark.parametrize("module", MODULES)
def test_slang_has_no_warning(module: str, probe: bool) -> None:
    """Names before their use, as Vivado, ModelSim and VCS demand: the other two readers take any
    order.
    """
    assert not slang.complaints(rtl_sources(), module, ["-DNHW_PROBE"] if probe else [])


def test_slang_sees_a_use_before_the_declaration(tmp_path: Path) -> None:
    """The kind of error that vendors' tools refuse (VRFC 10-3380) and that Verilator and Yosys
    accept.
    """
    (tmp_path / "late.sv").write_text(
        "module late (input logic a_i, output logic a_o);\n  assign a_o = b;\n  logic b;\n  "
        "assign b = a_i;\nendmodule\n"
    )
    assert "used before its declaration" in slang.complaints([tmp_path / "late.sv"], "late")


@pytest.mark.rtl
@pytest.mark.parametrize("name", board_names())
def test_board_tops_have_no_warning(name: str, tmp_path: Path) -> None:
    """Around a small network, by Verilator and slang; the PLLs of the vendors are empty modules.

    Yosys reads them in every build.
    """
    board, rng = load_board(name), np.random.default_rng(1)
    package = emit(quantize(random_trained(rng, feed_forward([5, 4]), 4), 4), 2)
    package.write(tmp_path / "rtl")
    top, cells = board.folder / f"{board.top}.sv", Path(__file__).with_name("vendor_cells.sv")
    sources = [
        *(tmp_path / "rtl" / n for n in package.sources()),
        *(RTL / n for n in BOARD_CORES),
        cells,
        top,
    ]
    assert not slang.complaints(sources, board.top)
    assert not verilator_complaints(sources, board.top)


@pytest.mark.rtl
@pytest.mark.parametrize("seed", range(4))
def test_yosys_reads_generated_networks(seed: int, tmp_path: Path) -> None:
    """Any graph: every signal has one driver, and no name is missing."""
    rng = np.random.default_rng(seed)
    # the first graph with a loop, a delay or several projections that the cores can express
    while True:
        network = random_graph(rng, FEATURES - {"synapse_delay"})
        try:
            package = emit(quantize(random_trained(rng, network), 4), 3)
        except Unsupported:
            continue
        if len(network.projections) >= len(network.populations) and (
            seed % 2 == 0 or network.modulations
        ):
            break
    package.write(tmp_path / "rtl")
    sources = " ".join(str(tmp_path / "rtl" / source) for source in package.sources())
    passes = [
        f"read_verilog -sv -defer -DSYNTHESIS {sources}",
        "hierarchy -check -top nhw_network",
        "proc",
    ]
    result = yosys([*passes, "check -assert"], tmp_path / "rtl")
    assert result.returncode == 0, (result.stdout + result.stderr)[-2000:]


@pytest.mark.synth
@pytest.mark.parametrize(
    ("family", "style", "cells"),
    [("ecp5", "distributed", ["DP16KD", "TRELLIS_DPR16X4"]), ("ice40", "block", ["SB_RAM40_4K"])],
)
def test_synthesis_maps_the_memories(
    family: str, style: str, cells: list[str], tmp_path: Path
) -> None:
    """With images, the weights are in block RAM, and the style chosen for the other memories is
    obeyed.
    """
    parameters: dict[str, int | str] = {
        "INPUTS": 40, "NEURONS": 32, "LANES": 8, "UPDATE_LANES": 2, "WEIGHT_BITS": 4,
        "BANK_ROWS": 128,
        "CURRENT_BITS": 12, "MEMBRANE_BITS": 12, "MEMORY_STYLE": style,
        "WEIGHT_FILE": str(tmp_path / "weights_"),
        "PARAMETER_FILE": str(tmp_path / "parameters.hex"),
    }  # fmt: skip
    write_images(parameters, random_data(parameters, seed=5, threshold=(10, 90)))
    settings = ", ".join(
        f'.{name}("{value}")' if isinstance(value, str) else f".{name}({value})"
        for name, value in parameters.items()
    )
    wrapper = tmp_path / "top.sv"
    wrapper.write_text(
        "module top(input logic clk_i, rst_ni, input logic [18:0] s_i, output logic [34:0] m_o, "
        f"output logic r_o, input logic r_i);\nnhw_layer #({settings}) u_layer(.clk_i, .rst_ni, "
        ".s_axis_tvalid(s_i[0]), .s_axis_tready(r_o), .s_axis_tdata(s_i[16:1]), "
        ".s_axis_tlast(s_i[17]), .s_axis_tuser(s_i[18]), .m_axis_tvalid(m_o[0]), "
        ".m_axis_tready(r_i), .m_axis_tdata(m_o[32:1]), .m_axis_tlast(m_o[33]), "
        ".m_axis_tuser(m_o[34]), .event_o(), .waiting_o(), .saturated_o());\nendmodule\n"
    )
    statistics = tmp_path / "stat.txt"
    passes = [f"{read_sources()} {wrapper}", f"synth_{family} -top top", "check -assert"]
    result = yosys([*passes, f"tee -q -o {statistics} stat"])
    assert result.returncode == 0, result.stdout[-2000:]
    for cell in cells:
        assert cell in statistics.read_text()


@pytest.mark.synth
@pytest.mark.parametrize(
    ("slots", "groups", "cell", "other"),
    [(8, 2, "TRELLIS_DPR16X4", "DP16KD"), (32, 8, "DP16KD", "TRELLIS_DPR16X4")],
)
@pytest.mark.parametrize("shared", [0, 1])
def test_rings_lie_in_the_memory_that_suits_their_depth(
    slots: int, groups: int, cell: str, other: str, shared: int, tmp_path: Path
) -> None:
    """16 words in LUT RAM, 256 in block RAM: one per lane, or one wide memory where the lanes share
    their delays.
    """
    settings = f"-chparam SLOTS {slots} -chparam GROUPS {groups} -chparam SHARED {shared}"
    statistics = tmp_path / "stat.txt"
    passes = [
        read_sources(),
        f"hierarchy -check -top nhw_ring_accumulator {settings}",
        "synth_ecp5 -top nhw_ring_accumulator",
    ]
    result = yosys([*passes, f"tee -q -o {statistics} stat"])
    assert result.returncode == 0, result.stdout[-2000:]
    text = statistics.read_text()
    assert cell in text and other not in text, text


@pytest.mark.rtl
@pytest.mark.parametrize(("module", "parameters", "message"), IMPOSSIBLE)
def test_impossible_parameters_are_refused(
    module: str, parameters: dict[str, int], message: str
) -> None:
    result = verilator_lint(module, *(f"-G{name}={value}" for name, value in parameters.items()))
    assert result.returncode != 0
    assert message in result.stderr
    settings = " ".join(f"-chparam {name} {value}" for name, value in parameters.items())
    result = yosys([read_sources(), f"hierarchy -check -top {module} {settings}"])
    assert result.returncode != 0
    assert message in result.stdout + result.stderr
