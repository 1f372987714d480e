# SPDX-License-Identifier: Apache-2.0
"""Bench of `nhw_decay`: every value of a small width."""

from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.triggers import FallingEdge

from neurohw.fixedpoint import MULTIPLY_UNIT, MultiplyDecay
from tests.rtl.common import bench_description, run_bench, start_clock
from tests.rtl.layer_model import decay

BITS = 9
LATENCY = {0: 0, 1: 1, 2: 2, 3: 0, 4: 2}
DELTAS = (0, 1, 1365, 4095, 4096)


@cocotb.test()
async def every_value(dut: Any) -> None:
    parameters = bench_description()["parameters"]
    kind, amount = parameters["KIND"], parameters["VALUE"]
    latency = max(LATENCY[kind], 1)
    deltas = DELTAS if kind == 4 else (0,)
    # deltas change from value to value, as those of neighbouring neurons do
    given = [
        (value, delta) for value in range(-(1 << (BITS - 1)), 1 << (BITS - 1)) for delta in deltas
    ]
    start_clock(dut)
    for number in range(len(given) + latency):
        await FallingEdge(dut.clk_i)
        if number >= latency:
            value, delta = given[number - latency]
            result = dut.value_o.value.to_signed() + int(dut.increment_o.value)
            single = int(MultiplyDecay(delta).apply(np.array(value)))
            assert result == (single if kind == 4 else decay(value, kind, amount)), (
                f"decay of {value}, delta {delta}"
            )
        if number < len(given):
            dut.value_i.value, delta = given[number]
            dut.factor_i.value = MULTIPLY_UNIT - delta


@pytest.mark.rtl
@pytest.mark.parametrize(
    ("kind", "value"), [(0, 0), (1, 3), (1, 15), (2, 0), (2, 1365), (3, 0), (4, 0)]
)
def test_nhw_decay(kind: int, value: int, tmp_path: Path) -> None:
    run_bench("test_nhw_decay", "nhw_decay", {"BITS": BITS, "KIND": kind, "VALUE": value}, tmp_path)
