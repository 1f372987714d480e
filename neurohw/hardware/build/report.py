# SPDX-License-Identifier: Apache-2.0
"""What a build gave: utilization, timing and the bitstream of each board."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neurohw.errors import BrokenFile
from neurohw.formats import FORMATS, check_format
from neurohw.storage import write_file

LUT_CELLS = ("TRELLIS_COMB", "ICESTORM_LC")
FF_CELLS = ("TRELLIS_FF",)
BRAM_CELLS = ("DP16KD", "ICESTORM_RAM")
DSP_CELLS = ("MULT18X18D", "ICESTORM_DSP")


@dataclass(frozen=True)
class BoardResult:
    """One board: cells used and available, routed Fmax and chosen clock in MHz, bitstream with size
    and digest.
    """

    lut: int
    lut_available: int
    ff: int
    ff_available: int
    bram: int
    bram_available: int
    dsp: int
    dsp_available: int
    fmax_mhz: float
    clock_mhz: float
    lanes: int
    bitstream: str
    bitstream_bytes: int
    bitstream_sha256: str


@dataclass(frozen=True)
class BuildReport:
    """The boards of a build, tool versions, and the digest of the RTL package they were built
    from.
    """

    boards: dict[str, BoardResult]
    tools: dict[str, str]
    parent: str

    def save(self, path: Path, force: bool = False) -> None:
        """Write as JSON, atomically; CannotWrite if something else stands there, unless `force`."""
        value = {"format_version": FORMATS["build"].version, "kind": "build", **asdict(self)}
        write_file(path, json.dumps(value, indent=1).encode(), "build", force)

    @staticmethod
    def from_json(value: dict[str, Any]) -> "BuildReport":
        """The report with the JSON fields `boards`, `tools` and `parent`."""
        boards = {name: BoardResult(**board) for name, board in value["boards"].items()}
        return BuildReport(boards, value["tools"], value["parent"])

    @staticmethod
    def load(path: Path) -> "BuildReport":
        """The saved report;

        BrokenFile naming the file if it is missing, truncated or of another version.
        """
        try:
            value: dict[str, Any] = json.loads(Path(path).read_text())
            if value["kind"] != "build":
                raise ValueError(f"it is of kind {value['kind']!r}")
            check_format(path, "build", value["format_version"])
            return BuildReport.from_json(value)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BrokenFile(
                f"{path}: not a readable build report ({error}); run `neurohw build` again"
            ) from error


def parse_nextpnr(text: str, source: str) -> tuple[dict[str, tuple[int, int]], float]:
    """Utilization {lut, ff, bram, dsp:

    (used, available)} and the slowest clock's Fmax in MHz from nextpnr's JSON report.

    iCE40 logic cells hold LUT and flip-flop together, so that both count them.
    Raises BrokenFile naming `source`.
    """
    try:
        value = json.loads(text)
        cells = {
            name: (int(c["used"]), int(c["available"])) for name, c in value["utilization"].items()
        }
        fmax = min(float(clock["achieved"]) for clock in value["fmax"].values())
    except (ValueError, KeyError, TypeError) as error:
        raise BrokenFile(
            f"{source}: not a nextpnr report with utilization and fmax ({error})"
        ) from error

    def first(names: tuple[str, ...]) -> tuple[int, int] | None:
        return next((cells[n] for n in names if n in cells), None)

    lut, bram = first(LUT_CELLS), first(BRAM_CELLS)
    if lut is None or bram is None:
        raise BrokenFile(f"{source}: no known logic or block RAM cells in {sorted(cells)}")
    return {
        "lut": lut,
        "ff": first(FF_CELLS) or lut,
        "bram": bram,
        "dsp": first(DSP_CELLS) or (0, 0),
    }, fmax


def parse_stat(text: str, family: str, source: str) -> dict[str, int]:
    """Cells after synthesis from `stat -json`: {lut, ff, bram, dsp}, an estimate of what packing
    will need.

    ECP5: LUT4, two per carry cell, six per distributed RAM with its write port. iCE40: the larger
    of LUTs and flip-flops plus carries that no LUT shares is not known before packing, so LUTs are
    counted.
    Raises BrokenFile naming `source`.
    """
    try:
        cells: dict[str, int] = json.loads(text)["design"]["num_cells_by_type"]
    except (ValueError, KeyError) as error:
        raise BrokenFile(f"{source}: not a Yosys statistics file ({error})") from error
    if family == "ecp5":
        lut = cells.get("LUT4", 0) + 2 * cells.get("CCU2C", 0) + 6 * cells.get("TRELLIS_DPR16X4", 0)
        bram, dsp = cells.get("DP16KD", 0), cells.get("MULT18X18D", 0)
        return {"lut": lut, "ff": cells.get("TRELLIS_FF", 0), "bram": bram, "dsp": dsp}
    flip_flops = sum(count for name, count in cells.items() if name.startswith("SB_DFF"))
    bram, dsp = cells.get("SB_RAM40_4K", 0), cells.get("SB_MAC16", 0)
    return {"lut": cells.get("SB_LUT4", 0), "ff": flip_flops, "bram": bram, "dsp": dsp}
