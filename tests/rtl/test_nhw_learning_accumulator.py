# SPDX-License-Identifier: Apache-2.0
"""Bench of `nhw_learning_accumulator`: lanes that add to groups of their own, again and again the
same ones, against plain sums.
"""

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
    p = bench_description()["parameters"]
    lanes, update, groups, bits, sum_bits = (
        p[k] for k in ("LANES", "UPDATE_LANES", "GROUPS", "WEIGHT_BITS", "ACCUMULATOR_BITS")
    )
    parts, group_bits = lanes // update, max(1, (groups - 1).bit_length())
    random = Random(2)
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    # ("add", per lane (there, group, weight, carry)), ("drain", group, part, last), or None
    operations: list[Any] = []
    expected: list[tuple[list[int], int]] = []

    def put(operation: Any) -> None:
        while random.random() < gap:
            operations.append(None)
        operations.append(operation)

    for group in range(groups):  # what lies in the memory at first is drained away
        for part in range(parts):
            operations.append(("drain", group, part, 0))
    for _ in range(30):
        operations += [None, None]
        total = [[0] * groups for _ in range(lanes)]
        for _ in range(random.choice([0, 1, 8, 20])):
            lane_operations = []
            for lane in range(lanes):
                group = random.randrange(min(groups, random.choice([1, 2, groups])))
                there, weight, carry = (
                    random.random() < 0.7,
                    random.choice([low, high, random.randint(low, high)]),
                    random.randrange(2),
                )
                lane_operations.append((there, group, weight, carry))
                total[lane][group] += there * (weight + carry)
            put(("add", lane_operations))
        operations += [None, None]
        for group in range(groups):
            for part in range(parts):
                last = int(group == groups - 1 and part == parts - 1)
                put(("drain", group, part, last))
                expected.append(([total[part * update + i][group] for i in range(update)], last))

    dut.add_i.value = dut.drain_i.value = 0
    dut.drain_sample_end_i.value = dut.drain_initialise_i.value = 0
    await start(dut)
    received: list[tuple[list[int], int]] = []
    late: tuple[int, int] = (0, 0)
    for operation in [*operations, *[None] * 4]:
        await FallingEdge(dut.clk_i)
        if dut.sums_valid_o.value == 1:
            word = int(dut.sums_o.value)
            values = [(word >> (i * sum_bits)) & ((1 << sum_bits) - 1) for i in range(update)]
            values = [v - (1 << sum_bits) if v >> (sum_bits - 1) else v for v in values]
            received.append((values, int(dut.sums_last_o.value)))
        dut.weights_i.value, dut.carries_i.value = late
        late = (random.getrandbits(lanes * bits), random.getrandbits(lanes))
        kind = operation[0] if operation else ""
        dut.drain_i.value, dut.add_i.value = int(kind == "drain"), 0
        dut.groups_i.value = random.getrandbits(lanes * group_bits) & 0
        if kind == "drain":
            dut.drain_group_i.value, dut.drain_part_i.value, dut.drain_last_i.value = operation[1:]
        if kind == "add":
            dut.add_i.value = sum(
                int(there) << lane for lane, (there, *_) in enumerate(operation[1])
            )
            dut.groups_i.value = sum(
                o[1] << (lane * group_bits) for lane, o in enumerate(operation[1])
            )
            late = (
                sum(
                    (o[2] & ((1 << bits) - 1)) << (lane * bits)
                    for lane, o in enumerate(operation[1])
                ),
                sum(o[3] << lane for lane, o in enumerate(operation[1])),
            )
    assert received[groups * parts :] == expected


SHAPES = [
    {"LANES": 4, "UPDATE_LANES": 2, "GROUPS": 3, "WEIGHT_BITS": 4, "ACCUMULATOR_BITS": 10},
    {"LANES": 3, "UPDATE_LANES": 3, "GROUPS": 1, "WEIGHT_BITS": 8, "ACCUMULATOR_BITS": 14},
]


@pytest.mark.rtl
@pytest.mark.parametrize("shape", SHAPES)
def test_nhw_learning_accumulator(shape: dict[str, int | str], tmp_path: Path) -> None:
    run_bench("test_nhw_learning_accumulator", "nhw_learning_accumulator", shape, tmp_path)
