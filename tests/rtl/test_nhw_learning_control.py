# SPDX-License-Identifier: Apache-2.0
"""Bench of `nhw_learning_control`: the order of a step, and everything that a step must wait
for.
"""

from pathlib import Path
from random import Random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import ClockCycles, FallingEdge, Timer

from tests.rtl.common import bench_description, run_bench, start_clock


@cocotb.test()
async def steps(dut: Any) -> None:
    p = bench_description()["parameters"]
    drains, inputs, parts = p["DRAINS"], p["INPUT_WORDS"], p["PARTS"]
    words = [divmod(w, parts) for w in range(drains)]
    random = Random(8)
    for name in (
        "host_wants_i",
        "step_closed_i",
        "word_queued_i",
        "word_last_i",
        "word_left_i",
        "swept_i",
        "pass_done_i",
    ):
        getattr(dut, name).value = 0
    start_clock(dut)
    dut.rst_ni.value = 0
    await ClockCycles(dut.clk_i, 5)
    await FallingEdge(dut.clk_i)
    dut.rst_ni.value = 1

    async def drained(first_round: bool) -> list[tuple[int, int]]:
        found = []
        while dut.drain_o.value == 1:
            assert bool(dut.initialise_o.value) == first_round
            found.append((int(dut.drain_group_o.value), int(dut.drain_part_o.value)))
            assert int(dut.drain_last_o.value) == int(len(found) == drains)
            await FallingEdge(dut.clk_i)
        return found

    async def quiet(clocks: int) -> None:
        """Nothing begins."""
        for _ in range(clocks):
            await FallingEdge(dut.clk_i)
            assert not any(
                int(s.value)
                for s in (dut.step_take_o, dut.drain_o, dut.input_read_o, dut.scan_start_o)
            )

    assert await drained(True) == words
    while dut.initialise_o.value == 1:
        await FallingEdge(dut.clk_i)
    await quiet(40)
    for step in range(12):
        host, learning, ends = step % 3 == 1, random.randrange(2), random.randrange(2)
        dut.host_wants_i.value, dut.step_closed_i.value = int(host), 1
        dut.learning_i.value, dut.step_sample_end_i.value = learning, ends
        if host:  # the host first, for as long as it likes
            await quiet(5)
            assert dut.host_may_o.value == 1
            dut.host_wants_i.value = 0
        await Timer(1, "ns")  # the pulse follows at once
        assert dut.step_take_o.value == 1
        await FallingEdge(dut.clk_i)
        dut.step_closed_i.value = 0
        dut.learning_i.value = 1 - learning
        assert (int(dut.learning_o.value), int(dut.sample_end_o.value)) == (learning, ends)
        assert await drained(False) == words
        await quiet(random.randrange(5))
        for word in range(drains):  # the spikes of all words come back
            dut.word_queued_i.value, dut.word_last_i.value = 1, int(word == drains - 1)
            await FallingEdge(dut.clk_i)
        dut.word_queued_i.value = dut.word_last_i.value = 0
        for word in range(inputs):
            assert dut.input_read_o.value == 1 and int(dut.input_word_o.value) == word
            await FallingEdge(dut.clk_i)
        await quiet(3)
        dut.swept_i.value, dut.reach_done_i.value = 1, step % 2
        await FallingEdge(dut.clk_i)
        dut.swept_i.value = 0
        if not step % 2:  # the spikes are not looked up yet
            await quiet(3)
            dut.reach_done_i.value = 1
            await FallingEdge(dut.clk_i)
        dut.reach_done_i.value = 0
        assert dut.scan_start_o.value == 1 and dut.passing_o.value == 1
        await FallingEdge(dut.clk_i)
        await quiet(random.randrange(9))
        assert (int(dut.learning_o.value), int(dut.sample_end_o.value)) == (learning, ends)
        dut.step_closed_i.value, dut.pass_done_i.value, dut.host_wants_i.value = 1, 1, 1
        clocks = 0
        while dut.step_done_o.value != 1:
            assert clocks < 40 and dut.host_may_o.value == 0
            await quiet(1)
            clocks += 1
        assert clocks >= 10  # the last row is written
        dut.host_wants_i.value = dut.pass_done_i.value = 0
        dut.step_closed_i.value = 1
        for left in range(drains):  # no step before the output has room for all of its words
            await quiet(2)
            dut.word_left_i.value = 1
            await FallingEdge(dut.clk_i)
            dut.word_left_i.value = 0
            assert int(dut.step_take_o.value) == int(left == drains - 1)
        dut.step_closed_i.value = 0


SHAPES = [
    {"DRAINS": 5, "PARTS": 2, "GROUPS": 3, "INPUT_WORDS": 3},
    {"DRAINS": 1, "PARTS": 1, "GROUPS": 1, "INPUT_WORDS": 1},
]


@pytest.mark.rtl
@pytest.mark.parametrize("shape", SHAPES)
def test_nhw_learning_control(shape: dict[str, int | str], tmp_path: Path) -> None:
    run_bench("test_nhw_learning_control", "nhw_learning_control", shape, tmp_path)
