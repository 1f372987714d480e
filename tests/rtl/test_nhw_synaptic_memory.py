# SPDX-License-Identifier: Apache-2.0
"""Bench of `nhw_synaptic_memory`: every row from every bank, in any order, one a clock."""

from pathlib import Path
from random import Random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import FallingEdge

from tests.rtl.common import bench_description, run_bench, start

ROW_BITS = 20


@cocotb.test()
async def rows_in_any_order(dut: Any) -> None:
    bench = bench_description()
    rows, latency = bench["rows"], bench["latency"]
    random = Random(2)
    order = [*range(len(rows)), *(random.randrange(len(rows)) for _ in range(200))]
    sides = [random.getrandbits(4) for _ in order]
    valids = [random.getrandbits(1) for _ in order]
    dut.valid_i.value = 0
    await start(dut)
    for number in range(len(order) + latency):
        await FallingEdge(dut.clk_i)
        if number >= latency:
            assert int(dut.weights_o.value) == rows[order[number - latency]]
        if latency - 1 <= number < len(order):
            assert int(dut.side_o.value) == sides[number - latency + 1]
            assert int(dut.valid_o.value) == valids[number - latency + 1]
        if number < len(order):
            dut.row_i.value = order[number]
            dut.side_i.value = sides[number]
            dut.valid_i.value = valids[number]


@cocotb.test()
async def reset_stops_what_is_in_flight(dut: Any) -> None:
    await start(dut)
    dut.valid_i.value = 1
    for _ in range(4):
        await FallingEdge(dut.clk_i)
    dut.rst_ni.value = 0
    dut.valid_i.value = 0
    await FallingEdge(dut.clk_i)
    dut.rst_ni.value = 1
    for _ in range(4):
        assert dut.valid_o.value == 0
        await FallingEdge(dut.clk_i)


@pytest.mark.rtl
@pytest.mark.parametrize(("rows", "bank_rows"), [(1, 8), (24, 24), (41, 16), (7, 2), (149, 16)])
def test_nhw_synaptic_memory(rows: int, bank_rows: int, tmp_path: Path) -> None:
    random = Random(rows)
    content = [random.getrandbits(ROW_BITS) for _ in range(rows)]
    for bank in range(-(-rows // bank_rows)):
        lines = [f"{row:05x}" for row in content[bank * bank_rows : (bank + 1) * bank_rows]]
        (tmp_path / f"weights_{bank:02d}.hex").write_text("\n".join(lines) + "\n")
    parameters: dict[str, int | str] = {
        "ROWS": rows,
        "ROW_BITS": ROW_BITS,
        "BANK_ROWS": bank_rows,
        "SIDE_BITS": 4,
        "WEIGHT_FILE": str(tmp_path / "weights_"),
    }
    banks = -(-rows // bank_rows)
    bench = {"rows": content, "latency": 2 if banks == 1 else 3 if banks <= 4 else 4}
    run_bench("test_nhw_synaptic_memory", "nhw_synaptic_memory", parameters, tmp_path, bench)
