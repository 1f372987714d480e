# SPDX-License-Identifier: Apache-2.0
"""Bench of `nhw_fifo`: order, capacity and throughput under every mix of pauses."""

from pathlib import Path
from random import Random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import FallingEdge, ReadOnly

from tests.rtl.common import bench_description, run_bench, start


@cocotb.test()
@cocotb.parametrize((("idle", "backpressure"), [(0.0, 0.0), (0.6, 0.0), (0.0, 0.6), (0.4, 0.4)]))
async def order_is_kept(dut: Any, idle: float, backpressure: float) -> None:
    random = Random(4)
    words = bench_description()["parameters"]["WORDS"]
    sent: list[int] = []
    received: list[int] = []
    dut.in_valid_i.value = 0
    dut.out_ready_i.value = 0
    await start(dut)
    clocks, largest = 600, 0
    for _ in range(clocks):
        await FallingEdge(dut.clk_i)
        dut.in_valid_i.value = int(random.random() >= idle)
        dut.in_data_i.value = random.getrandbits(9)
        dut.out_ready_i.value = int(random.random() >= backpressure)
        # look at the clock as it will be taken at the rising edge
        await ReadOnly()
        if dut.in_valid_i.value and dut.in_ready_o.value:
            sent.append(int(dut.in_data_i.value))
        if dut.out_valid_o.value and dut.out_ready_i.value:
            received.append(int(dut.out_data_o.value))
        largest = max(largest, len(sent) - len(received))
    assert received == sent[: len(received)]
    assert len(sent) - len(received) <= words + 1
    if idle == 0.0 and backpressure == 0.0:
        assert len(received) >= clocks - 3
    if idle == 0.0 and backpressure > 0.0:
        assert largest == words + 1


@cocotb.test()
async def a_full_queue_refuses(dut: Any) -> None:
    words = bench_description()["parameters"]["WORDS"]
    dut.in_valid_i.value = 0
    dut.out_ready_i.value = 0
    await start(dut)
    accepted = 0
    for number in range(words + 8):
        await FallingEdge(dut.clk_i)
        dut.in_valid_i.value = 1
        dut.in_data_i.value = number
        await ReadOnly()
        accepted += int(dut.in_ready_o.value)
    assert accepted == words + 1
    assert dut.out_valid_o.value == 1
    assert dut.out_data_o.value == 0


@pytest.mark.rtl
@pytest.mark.parametrize("words", [2, 16])
def test_nhw_fifo(words: int, tmp_path: Path) -> None:
    run_bench("test_nhw_fifo", "nhw_fifo", {"WORDS": words, "BITS": 9}, tmp_path)
