# SPDX-License-Identifier: Apache-2.0
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from neurohw import emit, feed_forward, quantize
from neurohw.errors import (
    BrokenFile,
    CannotWrite,
    DoesNotFit,
    InvalidData,
    MissingTool,
    NeurohwError,
)
from neurohw.hardware.build import BoardResult, BuildReport, build, load_board
from neurohw.hardware.build.bitstream import place_and_route_network, synthesise
from neurohw.hardware.build.board import block_rams, board_names, check_block_ram, check_utilization
from neurohw.hardware.build.plan import board_parameters, route_commands, yosys_script
from neurohw.hardware.build.pll import ecp5_pll, ice40_pll
from neurohw.hardware.build.report import parse_nextpnr, parse_stat
from neurohw.hardware.build.tools import program, run_tool
from neurohw.paths import rtl_folder
from tests.random_networks import random_trained


def test_boards_load_and_unknown_ones_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert board_names() == ["icebreaker", "ulx3s"]
    for name in board_names():
        board = load_board(name)
        assert (board.folder / board.pins).exists() and (board.folder / f"{board.top}.sv").exists()
    with pytest.raises(
        InvalidData, match="unknown board 'vcu118': known boards are icebreaker, ulx3s"
    ):
        load_board("vcu118")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "board.toml").write_text('name = "half"\n')
    monkeypatch.setattr("neurohw.hardware.build.board.boards_folder", lambda: tmp_path)
    with pytest.raises(BrokenFile, match="fields differ.*'baud'"):
        load_board("half")


@pytest.mark.parametrize("name", ["icebreaker", "ulx3s"])
def test_every_port_of_the_top_has_a_pin(name: str) -> None:
    board = load_board(name)
    text = (board.folder / f"{board.top}.sv").read_text()
    header = text[text.index("\n) (\n") : text.index("\n);\n")]
    ports = re.findall(r"(?:input|output)\s+logic\s+(?:\[\d+:\d+\]\s*)?(\w+)", header)
    pins = (board.folder / board.pins).read_text()
    assert len(ports) >= 5
    for port in ports:
        assert re.search(rf'(set_io {port} |COMP "{port}["\[])', pins), port


@pytest.mark.parametrize("wish", [100.0, 93.7, 62.5, 25.0, 50.0])
def test_ecp5_pll_agrees_with_ecppll(wish: float) -> None:
    """The packer's own calculator accepts our dividers' frequency."""
    setting = ecp5_pll(25.0, wish)
    p = setting.parameters
    assert setting.clock_mhz <= wish
    assert setting.clock_mhz == pytest.approx(
        25.0 / p["PLL_REFERENCE_DIVIDER"] * p["PLL_FEEDBACK_DIVIDER"]
    )
    assert 400 <= setting.clock_mhz * p["PLL_OUTPUT_DIVIDER"] <= 800
    arguments = [program("yowasp-ecppll"), "-i", "25", "-o", f"{setting.clock_mhz}"]
    output = subprocess.run(arguments, capture_output=True, text=True, check=True)
    found = re.search(r"clkout0 frequency: ([\d.]+)", output.stdout + output.stderr)
    assert found and float(found[1]) == pytest.approx(setting.clock_mhz, rel=1e-3)


@pytest.mark.parametrize("wish", [30.0, 24.0, 48.0, 17.3])
def test_ice40_pll_agrees_with_icepll(wish: float) -> None:
    setting = ice40_pll(12.0, wish)
    assert 0.9 * wish <= setting.clock_mhz <= wish
    arguments = [program("yowasp-icepll"), "-i", "12", "-o", f"{setting.clock_mhz}"]
    output = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    for name, key in (
        ("DIVR", "PLL_DIVR"),
        ("DIVF", "PLL_DIVF"),
        ("DIVQ", "PLL_DIVQ"),
        ("FILTER_RANGE", "PLL_FILTER_RANGE"),
    ):
        found = re.search(rf"{name}:?\s+(\d+)", output)
        assert found and int(found[1]) == setting.parameters[key], output


def test_pll_out_of_reach() -> None:
    with pytest.raises(InvalidData, match="no iCE40 PLL setting.*1.0 MHz"):
        ice40_pll(12.0, 1.0)


def test_early_fit_check_gives_numbers_and_advice() -> None:
    board = load_board("icebreaker")
    check_block_ram(board, {"hidden1": [(512, 64)]})
    with pytest.raises(
        DoesNotFit,
        match=r"has 30 block RAMs of 4096 bits.*need 104 .*fewer weight bits or a smaller layer",
    ):
        check_block_ram(board, {"hidden1": [(3136, 128)]})  # 13 layers of 8 columns of 256 x 16


def test_block_rams_of_the_shapes_that_devices_have() -> None:
    """MNIST on 32 lanes: three banks of 1024 rows of 128 bits take 8 blocks of 1024 x 18 each, the
    64 rows that are left 4 of 512 x 36.
    """
    assert [block_rams("ecp5", rows, 128) for rows in (1024, 64)] == [8, 4]
    assert block_rams("ecp5", 512, 36) == block_rams("ecp5", 2048, 9) == 1  # 18,432 bits
    # in narrow ones 16,384
    assert block_rams("ecp5", 16384, 1) == 1 and block_rams("ecp5", 16385, 1) == 2
    assert [block_rams("ice40", 256, bits) for bits in (16, 17)] == [1, 2]
    full = {"a": [(1024, 18)] * 208}
    check_block_ram(load_board("ulx3s"), full)
    with pytest.raises(DoesNotFit, match="has 208 block RAMs of 18432 bits; the weights need 209"):
        check_block_ram(load_board("ulx3s"), {**full, "b": [(1, 1)]})


def test_fit_check_after_synthesis_names_what_is_too_much() -> None:
    with pytest.raises(DoesNotFit, match=r"9,000 of 5,280 LUTs.*31 of 30 block RAMs.*fewer lanes"):
        check_utilization(load_board("icebreaker"), {"lut": 9000, "ff": 10, "bram": 31, "dsp": 8})


def test_nextpnr_report_is_parsed() -> None:
    text = json.dumps(
        {
            "utilization": {
                "TRELLIS_COMB": {"used": 10, "available": 100},
                "TRELLIS_FF": {"used": 5, "available": 90},
                "DP16KD": {"used": 2, "available": 8},
                "MULT18X18D": {"used": 3, "available": 156},
            },
            "fmax": {
                "clk": {"achieved": 101.5, "constraint": 100},
                "slow": {"achieved": 55.0, "constraint": 25},
            },
        }
    )
    assert parse_nextpnr(text, "x") == (
        {"lut": (10, 100), "ff": (5, 90), "bram": (2, 8), "dsp": (3, 156)},
        55.0,
    )
    with pytest.raises(BrokenFile, match="route.json: not a nextpnr report"):
        parse_nextpnr(text[:50], "route.json")


def test_yosys_statistics_are_parsed() -> None:
    cells = {
        "LUT4": 10,
        "CCU2C": 3,
        "TRELLIS_DPR16X4": 2,
        "TRELLIS_FF": 7,
        "DP16KD": 1,
        "MULT18X18D": 5,
    }
    text = json.dumps({"design": {"num_cells_by_type": cells}})
    assert parse_stat(text, "ecp5", "x") == {"lut": 28, "ff": 7, "bram": 1, "dsp": 5}
    small = json.dumps(
        {"design": {"num_cells_by_type": {"SB_LUT4": 9, "SB_DFFE": 2, "SB_MAC16": 4}}}
    )
    assert parse_stat(small, "ice40", "x") == {"lut": 9, "ff": 2, "bram": 0, "dsp": 4}
    with pytest.raises(BrokenFile, match="stat.json"):
        parse_stat("{}", "ecp5", "stat.json")


def test_plans_are_values() -> None:
    board = load_board("ulx3s")
    parameters = board_parameters(board, ecp5_pll(25.0, 100.0))
    assert parameters["CLOCKS_PER_BIT"] == 100
    script = yosys_script(["a.sv", "b.sv"], board.top, board.synthesis, parameters)
    assert script.splitlines()[0].endswith("a.sv b.sv")
    assert "synth_ecp5 -top nhw_board_ulx3s" in script
    route, pack = route_commands(board, 100.0)
    assert ("--package", "CABGA381") == route.arguments[1:3] and pack.program == "yowasp-ecppack"


@pytest.mark.synth
@pytest.mark.parametrize(
    ("synthesis", "cell"), [("synth_ecp5", "TRELLIS_DPR16X4"), ("synth_ice40 -dsp", "SB_RAM40_4K")]
)
def test_a_memory_kept_in_luts_is_synthesised_for_chips_without_lut_ram(
    synthesis: str, cell: str, tmp_path: Path
) -> None:
    """The states of 100 words; one package serves all boards."""
    top = tmp_path / "top.sv"
    top.write_text(
        "module top(input logic clk_i, we_i, input logic [6:0] write_i, read_i, input logic "
        "[19:0] data_i, output logic [19:0] data_o);\n"
        'nhw_memory #(.WORDS(100), .BITS(20), .MEMORY_STYLE("distributed")) u_memory(.clk_i, '
        ".write_enable_i(we_i), .write_address_i(write_i),"
        " .write_data_i(data_i), .read_enable_i(1'b1), .read_clear_i(1'b0), "
        ".read_address_i(read_i), .read_data_o(data_o));\nendmodule\n"
    )
    synthesise(tmp_path, [str(rtl_folder() / "nhw_memory.sv"), "top.sv"], "top", synthesis, {})
    assert cell in (tmp_path / "stat.json").read_text()


def test_missing_tool_says_what_brings_it() -> None:
    with pytest.raises(MissingTool, match="yowasp-nextpnr-xilinx is not installed; `pip install"):
        program("yowasp-nextpnr-xilinx")


def test_a_failing_tool_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(NeurohwError, match="failed with code 3.*\n.*ERROR: no such cell"):
        run_tool(["sh", "-c", "echo ERROR: no such cell; exit 3"], tmp_path, "log")


def test_build_report_survives_saving(tmp_path: Path) -> None:
    result = BoardResult(1, 10, 2, 20, 3, 30, 4, 8, 101.0, 100.0, 8, "board.bit", 5, "00")
    report = BuildReport({"ulx3s": result}, {"pyosys": "0"}, "parent")
    report.save(tmp_path / "build.json")
    assert BuildReport.load(tmp_path / "build.json") == report
    (tmp_path / "build.json").write_text("{")
    with pytest.raises(BrokenFile, match="build.json"):
        BuildReport.load(tmp_path / "build.json")


def test_a_build_does_not_replace_a_folder_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`place_and_route_network` removed whatever its output tree was; both are told before a tool
    runs.
    """
    monkeypatch.setattr(
        "neurohw.hardware.build.bitstream.synthesise",
        lambda *_: pytest.fail("synthesis was started"),
    )
    package, out = tmp_path / "rtl", tmp_path / "out"
    package.mkdir()
    (package / "a.sv").write_text("module a; endmodule")
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    with pytest.raises(CannotWrite, match=r"out: it holds thesis\.tex"):
        place_and_route_network(package, ["a.sv"], out)
    written = tmp_path / "written"
    emit(quantize(random_trained(np.random.default_rng(0), feed_forward([3, 4]), 5)), 2).write(
        written
    )
    with pytest.raises(CannotWrite, match=r"out: it holds thesis\.tex"):
        build(written, load_board("icebreaker"), out)
    assert [p.name for p in out.iterdir()] == ["thesis.tex"]


def test_a_report_of_builds_does_not_replace_another_file(tmp_path: Path) -> None:
    path = tmp_path / "build.json"
    path.write_text('{"scripts": {}}')
    with pytest.raises(CannotWrite, match=r"build\.json: it carries no seal of neurohw"):
        BuildReport({}, {}, "parent").save(path)
    path.unlink()
    BuildReport({}, {}, "parent").save(path)
    BuildReport({}, {}, "other").save(path)
    assert BuildReport.load(path).parent == "other"
    path.write_text(path.read_text().replace('"format_version": 2', '"format_version": 9'))
    with pytest.raises(
        BrokenFile, match="a report of builds of format version 9, this program reads 2"
    ):
        BuildReport.load(path)
