# SPDX-License-Identifier: Apache-2.0
"""Bench of `nhw_learning_depression`: updates as close as they may come, ends of samples, and
surpluses at both ends, against plain integers.
"""

from pathlib import Path
from random import Random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import ClockCycles, FallingEdge

from neurohw.fixedpoint import IntFormat
from tests.rtl.common import bench_description, run_bench, start


@cocotb.test()
async def updates(dut: Any) -> None:
    p = bench_description()["parameters"]
    random = Random(1)
    dut.update_i.value = 0
    await start(dut)
    state, most = p["INITIAL"], (1 << (p["SURPLUS_BITS"] - 1)) - 1
    for step in range(400):
        await FallingEdge(dut.clk_i)
        assert dut.state_o.value.to_signed() == state
        assert dut.amplitude_o.value.to_signed() == state >> p["GUARD"]
        # long runs of one extreme reach the ends of the interval
        surplus = random.choice([-most, most]) if step % 100 > 50 else random.randint(-most, most)
        surplus = most if step < 50 else surplus
        ends = random.random() < 0.05
        dut.surplus_i.value, dut.sample_end_i.value, dut.update_i.value = surplus, int(ends), 1
        await FallingEdge(dut.clk_i)
        dut.update_i.value, dut.sample_end_i.value = 0, 0
        await ClockCycles(dut.clk_i, 3 + random.randint(0, 2))
        state = (
            p["INITIAL"]
            if ends
            else state + ((p["GAIN"] * surplus + p["BIAS"] - state) >> p["LEAK"])
        )


@pytest.mark.rtl
@pytest.mark.parametrize(
    ("guard", "leak", "gain", "bias", "initial"), [(7, 7, 1000, 8000, 8000), (0, 1, 77, -300, 900)]
)
def test_nhw_learning_depression(
    guard: int, leak: int, gain: int, bias: int, initial: int, tmp_path: Path
) -> None:
    surplus_bits = 6
    ends = [initial, *(bias + gain * n for n in (-31, 31))]
    bits = max(2, IntFormat.holding(min(ends), max(ends)).bits)
    parameters: dict[str, int | str] = {
        "STATE_BITS": bits, "SURPLUS_BITS": surplus_bits, "AMPLITUDE_BITS": max(2, bits - guard),
        "GUARD": guard, "LEAK": leak,
        "GAIN": gain, "BIAS": bias, "INITIAL": initial,
    }  # fmt: skip
    run_bench("test_nhw_learning_depression", "nhw_learning_depression", parameters, tmp_path)
