# SPDX-License-Identifier: Apache-2.0
"""Bench of `nhw_learning_synapse`: one synapse a clock, random and at every limit, against plain
integers.
"""

from pathlib import Path
from random import Random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import FallingEdge

from tests.rtl.common import bench_description, run_bench, start_clock


@cocotb.test()
async def synapses(dut: Any) -> None:
    parameters = bench_description()["parameters"]
    bits, hidden = parameters["WEIGHT_BITS"], parameters["HIDDEN_BITS"]
    random = Random(1)
    most = (1 << (bits - 1)) - 1 - (1 << hidden >> 1)
    change = (1 << bits) - 1
    operations = []
    for _ in range(600):
        limit = random.choice([most, most // 2, 1])
        low, high = random.choice([(-limit, limit), (0, limit), (-limit, 0)])
        weight = random.choice([low, high, random.randint(low, high)])
        first, second = (
            random.choice([0, 1, -1, change, -change, random.randint(-limit, limit)])
            for _ in range(2)
        )
        operations.append((weight, first, second, low, high))
    start_clock(dut)
    for clock in range(len(operations) + 6):
        await FallingEdge(dut.clk_i)
        if 4 <= clock < len(operations) + 4:
            weight, first, second, low, high = operations[clock - 4]
            new = max(low, min(high, max(low, min(high, weight + first)) + second))
            seen = new if hidden == 0 else (new + (1 << (hidden - 1))) >> hidden
            assert dut.weight_o.value.to_signed() == new, operations[clock - 4]
            assert dut.seen_o.value.to_signed() + int(dut.carry_o.value) == seen
        if clock < len(operations):
            weight, first, _, low, high = operations[clock]
            dut.weight_i.value, dut.first_i.value, dut.low_i.value, dut.high_i.value = (
                weight,
                first,
                low,
                high,
            )
        if 2 <= clock < len(operations) + 2:
            dut.second_i.value = operations[clock - 2][2]


@pytest.mark.rtl
@pytest.mark.parametrize(("bits", "hidden"), [(12, 4), (5, 0)])
def test_nhw_learning_synapse(bits: int, hidden: int, tmp_path: Path) -> None:
    parameters: dict[str, int | str] = {"WEIGHT_BITS": bits, "HIDDEN_BITS": hidden}
    run_bench("test_nhw_learning_synapse", "nhw_learning_synapse", parameters, tmp_path)
