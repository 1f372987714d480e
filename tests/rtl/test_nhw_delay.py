# SPDX-License-Identifier: Apache-2.0
"""Bench of `nhw_delay`."""

from pathlib import Path
from random import Random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import FallingEdge

from tests.rtl.common import bench_description, run_bench, start_clock


@cocotb.test()
async def data_come_later(dut: Any) -> None:
    random = Random(1)
    clocks = bench_description()["parameters"]["CLOCKS"]
    start_clock(dut)
    sent: list[int] = []
    for number in range(50):
        await FallingEdge(dut.clk_i)
        if number >= max(clocks, 1):
            assert int(dut.data_o.value) == sent[number - max(clocks, 1)]
        sent.append(random.getrandbits(7))
        dut.data_i.value = sent[-1]


@pytest.mark.rtl
@pytest.mark.parametrize("clocks", [0, 3])
def test_nhw_delay(clocks: int, tmp_path: Path) -> None:
    run_bench("test_nhw_delay", "nhw_delay", {"BITS": 7, "CLOCKS": clocks}, tmp_path)
