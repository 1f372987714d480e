# SPDX-License-Identifier: Apache-2.0
"""Bench of `nhw_accumulator`: rows and drains back to back and with gaps, against plain sums."""

from pathlib import Path
from random import Random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import FallingEdge

from tests.rtl.common import bench_description, run_bench, start


@cocotb.test()
@cocotb.parametrize((("gap",), [(0.0,), (0.5,)]))
async def sums(dut: Any, gap: float) -> None:
    parameters = bench_description()["parameters"]
    lanes, groups, bits = parameters["LANES"], parameters["GROUPS"], parameters["WEIGHT_BITS"]
    update_lanes, sum_bits = parameters["UPDATE_LANES"], parameters["ACCUMULATOR_BITS"]
    parts = lanes // update_lanes
    random = Random(3)
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1

    # (drain, first, last, sample end, group, part, weights) or None for an empty clock
    operations: list[Any] = []
    expected: list[tuple[int, bool, bool]] = []

    def add(operation: Any) -> None:
        while random.random() < gap:
            operations.append(None)
        operations.append(operation)

    for step in range(40):
        total = [[0] * lanes for _ in range(groups)]
        count = random.choice([0, 0, 1, 2, 6])
        for event in range(count):
            for group in range(groups):
                # a step of extremes reaches the ends of the range
                extreme = random.choice([low, high]) if step % 4 == 0 else None
                weights = [
                    extreme if extreme is not None else random.randint(low, high)
                    for _ in range(lanes)
                ]
                total[group] = [a + b for a, b in zip(total[group], weights, strict=True)]
                add((0, event == 0, 0, 0, group, 0, weights))
        for group in range(groups):
            for part in range(parts):
                last = group == groups - 1 and part == parts - 1
                add((1, count == 0, last, step % 3 == 0, group, part, None))
                chunk = total[group][part * update_lanes : (part + 1) * update_lanes]
                word = sum(
                    (value & ((1 << sum_bits) - 1)) << (i * sum_bits)
                    for i, value in enumerate(chunk)
                )
                expected.append((word, last, step % 3 == 0))

    dut.op_valid_i.value = 0
    dut.op_initialise_i.value = 0
    await start(dut)
    received: list[tuple[int, bool, bool]] = []
    late_weights = 0
    for operation in [*operations, None, None, None]:
        await FallingEdge(dut.clk_i)
        if dut.sums_valid_o.value == 1:
            flags = bool(dut.sums_last_o.value), bool(dut.sums_sample_end_o.value)
            received.append((int(dut.sums_o.value), *flags))
        dut.weights_i.value = late_weights
        dut.op_valid_i.value = int(operation is not None)
        late_weights = random.getrandbits(lanes * bits)
        if operation is None:
            continue
        drain, first, last, sample_end, group, part, weights = operation
        dut.op_drain_i.value, dut.op_first_i.value, dut.op_last_i.value = (
            drain,
            int(first),
            int(last),
        )
        dut.op_sample_end_i.value, dut.op_group_i.value, dut.op_part_i.value = (
            int(sample_end),
            group,
            part,
        )
        if weights:
            late_weights = sum((w & ((1 << bits) - 1)) << (i * bits) for i, w in enumerate(weights))
    assert received == expected


SHAPES = [
    {"LANES": 6, "UPDATE_LANES": 2, "GROUPS": 1, "WEIGHT_BITS": 4, "ACCUMULATOR_BITS": 7},
    {"LANES": 4, "UPDATE_LANES": 4, "GROUPS": 2, "WEIGHT_BITS": 8, "ACCUMULATOR_BITS": 11},
    {"LANES": 6, "UPDATE_LANES": 2, "GROUPS": 3, "WEIGHT_BITS": 2, "ACCUMULATOR_BITS": 6},
]


@pytest.mark.rtl
@pytest.mark.parametrize("shape", SHAPES)
def test_nhw_accumulator(shape: dict[str, int | str], tmp_path: Path) -> None:
    run_bench("test_nhw_accumulator", "nhw_accumulator", shape, tmp_path)
