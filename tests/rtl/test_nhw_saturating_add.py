# SPDX-License-Identifier: Apache-2.0
"""Bench of `nhw_saturating_add`: every pair of operands of small widths."""

from itertools import product
from pathlib import Path
from typing import Any

import cocotb
import pytest
from cocotb.triggers import FallingEdge

from tests.rtl.common import bench_description, run_bench, start_clock
from tests.rtl.layer_model import saturate


@cocotb.test()
async def every_pair(dut: Any) -> None:
    parameters = bench_description()["parameters"]
    bits, input_bits = parameters["BITS"], parameters["INPUT_BITS"]
    states = range(-(1 << (bits - 1)), 1 << (bits - 1))
    inputs = range(-(1 << (input_bits - 1)), 1 << (input_bits - 1))
    # the increment never follows a state of the largest value: a decay moves it toward zero
    operands = [(s, i, n) for s, i, n in product(states, inputs, (0, 1)) if s < 0 or n == 0]
    start_clock(dut)
    for number in range(len(operands) + 2):
        await FallingEdge(dut.clk_i)
        if number >= 2:
            state, added, increment = operands[number - 2]
            total = state + added + increment
            assert dut.sum_o.value.to_signed() == saturate(total, bits)
            assert bool(dut.saturated_o.value) == (saturate(total, bits) != total)
        if number < len(operands):
            dut.state_i.value, dut.input_i.value, dut.increment_i.value = operands[number]


@pytest.mark.rtl
@pytest.mark.parametrize(("bits", "input_bits"), [(4, 6), (6, 4)])
def test_nhw_saturating_add(bits: int, input_bits: int, tmp_path: Path) -> None:
    run_bench(
        "test_nhw_saturating_add",
        "nhw_saturating_add",
        {"BITS": bits, "INPUT_BITS": input_bits},
        tmp_path,
    )
