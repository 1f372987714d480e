# SPDX-License-Identifier: Apache-2.0
"""Boards as data: `boards/<name>/board.toml`."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from neurohw.errors import BrokenFile, DoesNotFit, InvalidData
from neurohw.paths import boards_folder

# (words, bits of a word) of one block RAM: DP16KD, SB_RAM40_4K
BLOCK_SHAPES = {
    "ecp5": ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
    "ice40": ((256, 16), (512, 8), (1024, 4), (2048, 2)),
}


@dataclass(frozen=True)
class Resources:
    """What a device has.

    bram_bits: data bits of one block RAM in its widest shapes.
    dsp: blocks with a multiplier.
    """

    lut: int
    ff: int
    bram: int
    bram_bits: int
    dsp: int


@dataclass(frozen=True)
class Board:
    """A board: device, clocks in MHz, UART rate, resources, and the folder with pins and top
    module.
    """

    name: str
    description: str
    family: str
    device: str
    package: str
    top: str
    pins: str
    input_clock_mhz: float
    target_clock_mhz: float
    baud: int
    synthesis: str
    resources: Resources
    folder: Path


def board_names() -> list[str]:
    """Names of the boards in the checkout."""
    return sorted(p.parent.name for p in boards_folder().glob("*/board.toml"))


def load_board(name: str) -> Board:
    """The board of that name.

    Raises InvalidData for an unknown board, BrokenFile naming file and field for a board.toml that
    lacks one or has an unknown one.
    """
    folder = boards_folder() / name
    file = folder / "board.toml"
    if not file.exists():
        raise InvalidData(f"unknown board {name!r}: known boards are {', '.join(board_names())}")
    try:
        value: dict[str, Any] = tomllib.loads(file.read_text())
    except tomllib.TOMLDecodeError as error:
        raise BrokenFile(f"{file}: {error}") from error
    expected = {f.name for f in fields(Board)} - {"folder"}
    if set(value) != expected:
        raise BrokenFile(
            f"{file}: fields differ from what a board needs: {sorted(set(value) ^ expected)}"
        )
    try:
        resources = Resources(**value.pop("resources"))
    except TypeError as error:
        raise BrokenFile(f"{file}: [resources] {error}") from error
    if value["family"] not in BLOCK_SHAPES:
        raise BrokenFile(f"{file}: family {value['family']!r} is neither ecp5 nor ice40")
    return Board(**value, resources=resources, folder=folder)


def block_rams(family: str, rows: int, bits: int) -> int:
    """Block RAMs of a memory of `rows` words of `bits` bits: as many columns and layers of the
    shape that needs fewest.
    """
    return min(-(-rows // words) * -(-bits // width) for words, width in BLOCK_SHAPES[family])


def check_block_ram(board: Board, memories: Mapping[str, Sequence[tuple[int, int]]]) -> None:
    """Raise DoesNotFit if weight memories cannot fit, before any tool runs.

    memories: name -> (rows, bits of a row) of every bank. Each bank is a memory of its own.
    """
    need = {
        name: sum(block_rams(board.family, *bank) for bank in banks)
        for name, banks in memories.items()
    }
    if sum(need.values()) > board.resources.bram:
        worst = max(need, key=lambda name: need[name])
        bits = sum(rows * width for rows, width in memories[worst])
        raise DoesNotFit(
            f"board {board.name!r} has {board.resources.bram} block RAMs of "
            f"{board.resources.bram_bits} bits; the weights need {sum(need.values())} ({worst}: "
            f"{need[worst]} for {bits:,} bits). Use fewer weight bits or a smaller layer."
        )


def check_utilization(
    board: Board, used: Mapping[str, int], in_logic: Mapping[str, int] | None = None
) -> None:
    """Raise DoesNotFit if synthesis used more than the device has.

    used: lut, ff, bram, dsp. in_logic: multipliers by population for which there was no DSP block.
    """
    over = [
        f"{used[kind]:,} of {getattr(board.resources, kind):,} {label}"
        for kind, label in (
            ("lut", "LUTs"),
            ("ff", "flip-flops"),
            ("bram", "block RAMs"),
            ("dsp", "DSP blocks"),
        )
        if used[kind] > getattr(board.resources, kind)
    ]
    if not over:
        return
    advice = "Use fewer lanes (logic), fewer weight bits (block RAM and logic) or a smaller layer."
    if in_logic:
        names = ", ".join(f"{name} {count}" for name, count in in_logic.items())
        advice = (
            f"Beyond its {board.resources.dsp} DSP blocks these multipliers are logic: {names}. "
            "Give those populations decays that are shifts (1 - 2^-k, such as 0.875), which "
            "need no multiplier, or use fewer lanes: every update lane has multipliers of its "
            "own."
        )
    raise DoesNotFit(f"the design needs {', '.join(over)} of board {board.name!r}. {advice}")
