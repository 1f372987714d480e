# SPDX-License-Identifier: Apache-2.0
"""Bench of `nhw_ring_accumulator` against sums kept in a dictionary of future steps: wraps, the
largest delay, one slot twice, the end of a sample.
"""

from pathlib import Path
from random import Random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import FallingEdge

from tests.rtl.common import bench_description, run_bench, start

Operation = dict[str, Any]


def word(values: list[int], bits: int) -> int:
    return sum((value & ((1 << bits) - 1)) << (i * bits) for i, value in enumerate(values))


def operations_and_sums(
    p: dict[str, Any], random: Random
) -> tuple[list[Operation], list[tuple[int, int, int]]]:
    """Three samples of events and drains, and the (word, last, end of sample) that each drain must
    give.
    """
    lanes, groups, slots, update = p["LANES"], p["GROUPS"], p["SLOTS"], p["UPDATE_LANES"]
    low, high = -(1 << (p["WEIGHT_BITS"] - 1)), (1 << (p["WEIGHT_BITS"] - 1)) - 1
    clears: list[Operation] = [{"clear": 1, "group": groups - 1}] * (groups * slots)
    operations, expected = list(clears), []
    for steps in (3 * slots + 1, 1, slots):
        future = [[[0] * lanes for _ in range(groups)] for _ in range(steps + slots)]
        for t in range(steps):
            for event in range(random.choice([0, 1, 2, 5])):
                for group in range(groups):
                    kind = random.choice(["any", "none", "largest", "together"])
                    delays = {
                        "any": [random.randrange(slots) for _ in range(lanes)],
                        "none": [0] * lanes,
                    }
                    delays |= {
                        "largest": [slots - 1] * lanes,
                        "together": [(event * 3) % slots] * lanes,
                    }
                    late = [delays[kind][0]] * lanes if p["SHARED"] else delays[kind]
                    extreme = random.choice([None, low, high])
                    weights = [
                        extreme if extreme is not None else random.randint(low, high)
                        for _ in range(lanes)
                    ]
                    for lane in range(lanes):
                        future[t + late[lane]][group][lane] += weights[lane]
                    operations.append({"group": group, "weights": weights, "delays": late})
            for group in range(groups):
                for part in range(lanes // update):
                    last = int(group == groups - 1 and part == lanes // update - 1)
                    end = int(t == steps - 1)
                    operations.append(
                        {"drain": 1, "group": group, "part": part, "last": last, "end": end}
                    )
                    chunk = future[t][group][part * update : (part + 1) * update]
                    expected.append((word(chunk, p["ACCUMULATOR_BITS"]), last, end))
        operations += clears
    return operations, expected


@cocotb.test()
@cocotb.parametrize((("gap",), [(0.0,), (0.4,)]))
async def sums_of_the_future(dut: Any, gap: float) -> None:
    p = bench_description()["parameters"]
    random = Random(17)
    operations, expected = operations_and_sums(p, random)
    slot_bits, lanes = (p["SLOTS"] - 1).bit_length(), p["LANES"]
    for name in ("valid", "drain", "clear", "last", "sample_end", "initialise", "group", "part"):
        getattr(dut, f"op_{name}_i").value = 0
    await start(dut)
    waiting: list[Operation | None] = []
    for operation in operations:
        while random.random() < gap:
            waiting.append(None)
        waiting.append(operation)
    received: list[tuple[int, int, int]] = []
    late: Operation | None = None
    for operation in [*waiting, *[None] * 7]:
        await FallingEdge(dut.clk_i)
        if dut.sums_valid_o.value == 1:
            flags = int(dut.sums_last_o.value), int(dut.sums_sample_end_o.value)
            received.append((int(dut.sums_o.value), *flags))
        # weights and delays belong to the operation of the clock before; otherwise they are noise
        given = late if late is not None and "weights" in late else None
        dut.weights_i.value = (
            word(given["weights"], p["WEIGHT_BITS"])
            if given
            else random.getrandbits(lanes * p["WEIGHT_BITS"])
        )
        delays = given["delays"][: 1 if p["SHARED"] else lanes] if given else []
        fields = 1 if p["SHARED"] else lanes
        dut.delays_i.value = (
            word(delays, slot_bits) if given else random.getrandbits(fields * slot_bits)
        )
        late = operation
        dut.op_valid_i.value = int(operation is not None)
        if operation is not None:
            for name, key in (
                ("drain", "drain"),
                ("clear", "clear"),
                ("last", "last"),
                ("sample_end", "end"),
                ("group", "group"),
                ("part", "part"),
            ):
                getattr(dut, f"op_{name}_i").value = operation.get(key, 0)
    assert received == expected


SHAPES = [
    {"LANES": 4, "UPDATE_LANES": 2, "GROUPS": 1, "SLOTS": 8, "SHARED": 0},
    {"LANES": 4, "UPDATE_LANES": 1, "GROUPS": 1, "SLOTS": 2, "SHARED": 1},
    {"LANES": 6, "UPDATE_LANES": 3, "GROUPS": 3, "SLOTS": 4, "SHARED": 0},
    {"LANES": 6, "UPDATE_LANES": 2, "GROUPS": 3, "SLOTS": 16, "SHARED": 1},
    {"LANES": 2, "UPDATE_LANES": 2, "GROUPS": 2, "SLOTS": 2, "SHARED": 0},
    {"LANES": 4, "UPDATE_LANES": 2, "GROUPS": 2, "SLOTS": 4, "SHARED": 1},
]


@pytest.mark.rtl
@pytest.mark.parametrize("shape", range(len(SHAPES)))
def test_nhw_ring_accumulator(shape: int, tmp_path: Path) -> None:
    parameters = {**SHAPES[shape], "WEIGHT_BITS": 4, "ACCUMULATOR_BITS": 11}
    run_bench("test_nhw_ring_accumulator", "nhw_ring_accumulator", parameters, tmp_path)
