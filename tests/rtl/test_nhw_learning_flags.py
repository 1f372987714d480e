# SPDX-License-Identifier: Apache-2.0
"""Bench of `nhw_learning_flags`: events of whole steps, twice in one word and of unknown neurons
among them, come out as flags once.
"""

from pathlib import Path
from random import Random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import FallingEdge

from tests.rtl.common import bench_description, run_bench, start, step_frame, stream_source


@cocotb.test()
@cocotb.parametrize((("idle",), [(0.0,), (0.5,)]))
async def steps(dut: Any, idle: float) -> None:
    p = bench_description()["parameters"]
    inputs, lanes = p["INPUTS"], p["UPDATE_LANES"]
    words = -(-inputs // lanes)
    random = Random(1)
    source = stream_source(dut, idle)
    dut.take_i.value = dut.read_i.value = 0
    dut.clear_i.value = 1
    await start(dut)
    for word in [*range(words), 0]:
        await FallingEdge(dut.clk_i)
        dut.word_i.value = word
    await FallingEdge(dut.clk_i)
    dut.clear_i.value = 0
    expected = []
    for step in range(40):
        density = random.choice([0.0, 0.3, 1.0])
        events = [n for n in range(inputs) if random.random() < density]
        sent = [*events, *events[:2], inputs, 65535]
        random.shuffle(sent)
        expected.append((events, step % 5 == 4))
        await source.send(step_frame(sent, step % 5 == 4))
    for events, last in expected:
        while dut.closed_o.value != 1:
            await FallingEdge(dut.clk_i)
        for _ in range(random.choice([0, 0, 20])):
            await FallingEdge(dut.clk_i)
        assert bool(dut.sample_end_o.value) == last
        dut.take_i.value = 1
        await FallingEdge(dut.clk_i)
        dut.take_i.value = 0
        found = []
        for word in range(words):
            dut.read_i.value, dut.word_i.value = 1, word
            await FallingEdge(dut.clk_i)
            dut.read_i.value = 0
            found += [
                word * lanes + lane for lane in range(lanes) if int(dut.flags_o.value) >> lane & 1
            ]
            if random.random() < 0.3:
                await FallingEdge(dut.clk_i)
        assert found == events
        await FallingEdge(dut.clk_i)


@pytest.mark.rtl
@pytest.mark.parametrize(("inputs", "lanes"), [(9, 4), (3, 8)])
def test_nhw_learning_flags(inputs: int, lanes: int, tmp_path: Path) -> None:
    run_bench(
        "test_nhw_learning_flags",
        "nhw_learning_flags",
        {"INPUTS": inputs, "UPDATE_LANES": lanes},
        tmp_path,
    )
