"""Boards as data: `boards/<name>/board.toml`."""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from neurohw.errors import BrokenFile, DoesNotFit, InvalidData
from neurohw.paths import boards_folder


@dataclass(frozen=True)
class Resources:
    """What a device has. bram_bits: data bits of one block RAM in its power-of-two shapes."""

    lut: int
    ff: int
    bram: int
    bram_bits: int


@dataclass(frozen=True)
class Board:
    """A board: device, clocks in MHz, UART rate, resources, and the folder with pins and top module."""

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

    Raises InvalidData for an unknown board, BrokenFile naming file and field for a board.toml that lacks one or has an unknown one.
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
        raise BrokenFile(f"{file}: fields differ from what a board needs: {sorted(set(value) ^ expected)}")
    try:
        resources = Resources(**value.pop("resources"))
    except TypeError as error:
        raise BrokenFile(f"{file}: [resources] {error}") from error
    if value["family"] not in ("ecp5", "ice40"):
        raise BrokenFile(f"{file}: family {value['family']!r} is neither ecp5 nor ice40")
    return Board(**value, resources=resources, folder=folder)


def check_block_ram(board: Board, memories: dict[str, int]) -> None:
    """Raise DoesNotFit if weight memories cannot fit, before any tool runs.

    memories: name -> bits. Counts whole block RAMs per memory, the fewest that could hold the bits.
    """
    need = {name: -(-bits // board.resources.bram_bits) for name, bits in memories.items()}
    if sum(need.values()) > board.resources.bram:
        worst = max(need, key=lambda name: need[name])
        raise DoesNotFit(
            f"board {board.name!r} has {board.resources.bram} block RAMs of {board.resources.bram_bits} bits; the weights need at least "
            f"{sum(need.values())} ({worst}: {need[worst]} for {memories[worst]:,} bits). Use fewer weight bits or a smaller layer."
        )


def check_utilization(board: Board, used: dict[str, int]) -> None:
    """Raise DoesNotFit if synthesis used more than the device has. used: lut, ff, bram."""
    over = [
        f"{used[kind]:,} of {getattr(board.resources, kind):,} {label}"
        for kind, label in (("lut", "LUTs"), ("ff", "flip-flops"), ("bram", "block RAMs"))
        if used[kind] > getattr(board.resources, kind)
    ]
    if over:
        raise DoesNotFit(
            f"the design needs {', '.join(over)} of board {board.name!r}. Use fewer lanes (logic), "
            "fewer weight bits (block RAM and logic) or a smaller layer."
        )
