# SPDX-License-Identifier: Apache-2.0
"""Bench of `nhw_learning_rows`: sources with none, one and many rows, back to back and with
gaps.
"""

from pathlib import Path
from random import Random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import FallingEdge, ReadOnly

from tests.rtl.common import bench_description, run_bench, start

COUNTS = [1, 0, 3, 1, 1, 0, 0, 2, 5, 1]


@cocotb.test()
@cocotb.parametrize((("idle",), [(0.0,), (0.5,)]))
async def rows(dut: Any, idle: float) -> None:
    first = [sum(COUNTS[:n]) for n in range(len(COUNTS))]
    side_bits = bench_description()["parameters"]["SIDE_BITS"]
    random = Random(2)
    dut.source_valid_i.value = 0
    await start(dut)
    sources = [(random.randrange(len(COUNTS)), random.getrandbits(side_bits)) for _ in range(200)]
    waiting = list(sources)
    expected = [(first[n] + k, side) for n, side in sources for k in range(COUNTS[n])]
    received, clocks, offered = [], 0, False
    while True:
        await FallingEdge(dut.clk_i)
        offered = bool(waiting) and (offered or random.random() >= idle)
        dut.source_valid_i.value = int(offered)
        if offered:
            dut.source_i.value, dut.side_i.value = waiting[0]
        await ReadOnly()
        if dut.row_valid_o.value == 1:
            received.append((int(dut.row_o.value), int(dut.side_o.value)))
        elif not waiting and dut.done_o.value == 1:
            break
        clocks += 1
        if offered and dut.source_ready_o.value == 1:
            waiting.pop(0)
            offered = False
    assert received == expected
    if idle == 0:
        empty = sum(COUNTS[n] == 0 for n, _ in sources)
        assert clocks <= len(expected) + empty + 3


@pytest.mark.rtl
def test_nhw_learning_rows(tmp_path: Path) -> None:
    total = sum(COUNTS)
    row_bits = (total - 1).bit_length()
    first = [sum(COUNTS[:n]) for n in range(len(COUNTS))]
    words = [f"{count << row_bits | start:x}" for count, start in zip(COUNTS, first, strict=True)]
    (tmp_path / "sources.hex").write_text("\n".join(words) + "\n")
    parameters: dict[str, int | str] = {
        "SOURCES": len(COUNTS), "ROWS": total, "COUNT_BITS": 3, "SIDE_BITS": 6,
        "SOURCE_FILE": str(tmp_path / "sources.hex"),
    }  # fmt: skip
    run_bench("test_nhw_learning_rows", "nhw_learning_rows", parameters, tmp_path)
