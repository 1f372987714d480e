# SPDX-License-Identifier: Apache-2.0
"""Bench of `nhw_memory`: the words come back one clock after their address; enable and clear."""

from pathlib import Path
from random import Random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import FallingEdge

from tests.rtl.common import bench_description, run_bench, start_clock


@cocotb.test()
async def reads_what_was_written(dut: Any) -> None:
    random = Random(1)
    words = bench_description()["parameters"]["WORDS"]
    model: dict[int, int] = {}
    expected: int | None = None
    start_clock(dut)
    compared = 0
    for _ in range(500):
        await FallingEdge(dut.clk_i)
        if expected is not None:
            assert int(dut.read_data_o.value) == expected
            compared += 1
        write, enable, clear = (random.random() < 0.5 for _ in range(3))
        write_address, data = random.randrange(words), random.getrandbits(12)
        # a word is never read in the clock in which it is written
        addresses = [a for a in model if not (write and a == write_address)]
        enable = enable and bool(addresses)
        read_address = random.choice(addresses) if addresses else 0
        dut.write_enable_i.value = int(write)
        dut.write_address_i.value = write_address
        dut.write_data_i.value = data
        dut.read_enable_i.value = int(enable)
        dut.read_clear_i.value = int(clear)
        dut.read_address_i.value = read_address
        if clear:
            expected = 0
        elif enable:
            expected = model[read_address]
        if write:
            model[write_address] = data
    assert compared > 400


@pytest.mark.rtl
@pytest.mark.parametrize("words", [1, 5])
def test_nhw_memory(words: int, tmp_path: Path) -> None:
    run_bench("test_nhw_memory", "nhw_memory", {"WORDS": words, "BITS": 12}, tmp_path)
