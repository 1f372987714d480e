"""Bench of `nhw_decay`: every value of a small width."""

from pathlib import Path
from typing import Any

import cocotb
import pytest
from cocotb.triggers import FallingEdge

from tests.rtl.common import bench_description, run_bench, start_clock
from tests.rtl.layer_model import decay

BITS = 9


@cocotb.test()
async def every_value(dut: Any) -> None:
    parameters = bench_description()["parameters"]
    kind, amount = parameters["KIND"], parameters["VALUE"]
    latency = kind
    values = list(range(-(1 << (BITS - 1)), 1 << (BITS - 1)))
    start_clock(dut)
    for number in range(len(values) + max(latency, 1)):
        await FallingEdge(dut.clk_i)
        if number >= max(latency, 1):
            value = values[number - max(latency, 1)]
            result = dut.value_o.value.to_signed() + int(dut.increment_o.value)
            assert result == decay(value, kind, amount), f"decay of {value}"
        if number < len(values):
            dut.value_i.value = values[number]


@pytest.mark.rtl
@pytest.mark.parametrize(("kind", "value"), [(0, 0), (1, 3), (1, 15), (2, 0), (2, 1365)])
def test_nhw_decay(kind: int, value: int, tmp_path: Path) -> None:
    run_bench("test_nhw_decay", "nhw_decay", {"BITS": BITS, "KIND": kind, "VALUE": value}, tmp_path)
