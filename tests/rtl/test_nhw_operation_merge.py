# SPDX-License-Identifier: Apache-2.0
"""Bench of `nhw_operation_merge`: the operations of a step pass in the order of each input, none
before the barrier of the last step.
"""

from pathlib import Path
from random import Random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import FallingEdge, ReadOnly

from tests.rtl.common import STREAM_CONDITIONS, bench_description, run_bench, start

ROW_BITS, GROUP_BITS, STEPS = 8, 3, 25
BASES = [0, 17, 100, 161]


def steps_of(random: Random, longest: int) -> list[list[tuple[int, int]]]:
    """Per step the operations (row, group) of one input."""
    return [
        [(random.randrange(50), random.randrange(8)) for _ in range(random.randrange(longest))]
        for _ in range(STEPS)
    ]


def drive(dut: Any, beats: list[tuple[int, int, int, int] | None]) -> None:
    """Put the next beat (barrier, end, row, group) of every input on its port;

    None is an input that has none.
    """
    given = [(0, 0, 0, 0) if beat is None else beat for beat in beats]
    dut.in_valid_i.value = sum((beat is not None) << p for p, beat in enumerate(beats))
    dut.in_barrier_i.value = sum(beat[0] << p for p, beat in enumerate(given))
    dut.in_sample_end_i.value = sum(beat[1] << p for p, beat in enumerate(given))
    dut.in_row_i.value = sum(beat[2] << p * ROW_BITS for p, beat in enumerate(given))
    dut.in_group_i.value = sum(beat[3] << p * GROUP_BITS for p, beat in enumerate(given))


async def run(
    dut: Any, queues: list[list[Any]], idle: float, backpressure: float
) -> tuple[list[Any], int]:
    """What comes out of the merge when every input sends its queue; and the clocks it took."""
    random, taken, clocks = Random(6), [], 0
    total = sum(not beat[0] for queue in queues for beat in queue) + sum(
        beat[0] for beat in queues[0]
    )
    offered = [False] * len(queues)
    while len(taken) < total and clocks < 5000:
        clocks += 1
        await FallingEdge(dut.clk_i)
        offered = [
            bool(q) and (was or random.random() >= idle)
            for q, was in zip(queues, offered, strict=True)
        ]
        drive(dut, [queue[0] if o else None for queue, o in zip(queues, offered, strict=True)])
        dut.op_ready_i.value = int(random.random() >= backpressure)
        await ReadOnly()
        if dut.op_valid_o.value and dut.op_ready_i.value:
            place = (int(dut.op_row_o.value), int(dut.op_group_o.value))
            taken.append(
                (1, int(dut.op_sample_end_o.value)) if dut.op_barrier_o.value else (0, *place)
            )
        ready = int(dut.in_ready_o.value)
        for p, queue in enumerate(queues):
            if offered[p] and ready >> p & 1:
                queue.pop(0)
                offered[p] = False
    return taken, clocks


@cocotb.test()
@STREAM_CONDITIONS
async def steps_stay_apart(dut: Any, idle: float, backpressure: float) -> None:
    inputs = bench_description()["parameters"]["INPUTS"]
    random = Random(9)
    # the first input has no operation at all
    given = [steps_of(random, 1 + 3 * p) for p in range(inputs)]
    queues: list[list[Any]] = []
    for p in range(inputs):
        queue: list[Any] = []
        for t, operations in enumerate(given[p]):
            queue += [(0, 0, row, group) for row, group in operations]
            # only the last input knows the sample's end
            queue.append((1, int(t % 5 == 4 and p == inputs - 1), 0, 0))
        queues.append(queue)
    drive(dut, [None] * inputs)
    dut.op_ready_i.value = 0
    await start(dut)
    taken, clocks = await run(dut, queues, idle, backpressure)
    position = 0
    for t in range(STEPS):
        expected = [
            [(0, row + BASES[p], group) for row, group in given[p][t]] for p in range(inputs)
        ]
        for _ in range(sum(map(len, expected))):
            beat = taken[position]
            # rows of different inputs do not overlap: the bases tell whose it is
            [owner] = [
                p
                for p in range(inputs)
                if expected[p] and expected[p][0] == beat and BASES[p] <= beat[1] < BASES[p] + 50
            ]
            expected[owner].pop(0)
            position += 1
        assert taken[position] == (1, int(t % 5 == 4))
        position += 1
    assert position == len(taken)
    if not idle and not backpressure:
        assert clocks <= len(taken) + 4, "one operation a clock"


@cocotb.test()
async def inputs_are_served_in_turn(dut: Any) -> None:
    inputs = bench_description()["parameters"]["INPUTS"]
    drive(dut, [None] * inputs)
    dut.op_ready_i.value = 0
    await start(dut)
    queues: list[list[Any]] = [[*[(0, 0, 1, p)] * 12, (1, 0, 0, 0)] for p in range(inputs)]
    taken, _ = await run(dut, queues, 0.0, 0.0)
    groups = [beat[2] for beat in taken[:-1]]
    for turn in range(12):
        assert sorted(groups[turn * inputs : (turn + 1) * inputs]) == list(range(inputs))


@pytest.mark.rtl
@pytest.mark.parametrize("inputs", [1, 2, 4])
def test_nhw_operation_merge(inputs: int, tmp_path: Path) -> None:
    bases = "".join(f"{base:08x}" for base in reversed(BASES[:inputs]))
    parameters: dict[str, int | str] = {
        "INPUTS": inputs, "ROW_BITS": ROW_BITS, "GROUP_BITS": GROUP_BITS,
        "ROW_BASES": f"{32 * inputs}'h{bases}",
    }  # fmt: skip
    run_bench("test_nhw_operation_merge", "nhw_operation_merge", parameters, tmp_path)
