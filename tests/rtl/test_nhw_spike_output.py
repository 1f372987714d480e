# SPDX-License-Identifier: Apache-2.0
"""Bench of `nhw_spike_output`: words to beats, the barrier, the credits and the pace."""

from pathlib import Path
from random import Random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge

from tests.rtl.common import bench_description, run_bench, start, stream_sink

Word = tuple[int, bool, bool]  # spikes, last word of the step, end of the sample


async def feed(dut: Any, words: list[Word], credits: int) -> None:
    """Drive the words against credits, as nhw_event_input does."""
    for spikes, last, sample_end in words:
        await FallingEdge(dut.clk_i)
        credits += int(dut.credit_return_o.value)
        dut.word_valid_i.value = 0
        while credits == 0:
            await FallingEdge(dut.clk_i)
            credits += int(dut.credit_return_o.value)
        credits -= 1
        dut.word_valid_i.value = 1
        dut.spikes_i.value, dut.word_last_i.value, dut.word_sample_end_i.value = (
            spikes,
            int(last),
            int(sample_end),
        )
    await FallingEdge(dut.clk_i)
    dut.word_valid_i.value = 0


@cocotb.test()
@cocotb.parametrize(
    (("backpressure", "density"), [(0.0, 0.2), (0.0, 1.0), (0.7, 0.3), (0.4, 0.9), (0.0, 0.0)])
)
async def words_to_beats(dut: Any, backpressure: float, density: float) -> None:
    parameters = bench_description()["parameters"]
    lanes, step_words = parameters["UPDATE_LANES"], 5
    random = Random(8)
    words: list[Word] = []
    frames: list[tuple[list[int], list[int]]] = []
    for step in range(25):
        sample_end, spikes = step % 4 == 3, []
        for word in range(step_words):
            bits = [lane for lane in range(lanes) if random.random() < density]
            spikes += [word * lanes + lane for lane in bits]
            words.append((sum(1 << lane for lane in bits), word == step_words - 1, sample_end))
        frames.append((spikes, [0] * len(spikes) + [int(sample_end)]))
    dut.word_valid_i.value = 0
    sink = stream_sink(dut, backpressure)
    await start(dut)
    cocotb.start_soon(feed(dut, words, parameters["QUEUE_WORDS"]))
    for number, (spikes, users) in enumerate(frames):
        frame = await sink.recv()
        assert list(frame.tdata)[:-1] == spikes, f"step {number}"
        tuser = frame.tuser if isinstance(frame.tuser, list) else [frame.tuser] * len(frame.tdata)
        assert [int(user) for user in tuser] == users, f"step {number}"
    await ClockCycles(dut.clk_i, 20)
    assert sink.empty()


@cocotb.test()
async def one_event_a_clock(dut: Any) -> None:
    """Full words follow each other without a gap; an empty word costs one clock."""
    parameters = bench_description()["parameters"]
    lanes, queue = parameters["UPDATE_LANES"], parameters["QUEUE_WORDS"]
    full = (1 << lanes) - 1
    dut.word_valid_i.value = 0
    dut.m_axis_tready.value = 1
    await start(dut)
    for words, gaps in [
        ([full] * (queue - 1) + [full], 0),
        ([full] + [0] * (queue - 2) + [full], queue - 2),
    ]:
        dut.m_axis_tready.value = 0
        cocotb.start_soon(
            feed(
                dut,
                [(spikes, number == queue - 1, False) for number, spikes in enumerate(words)],
                queue,
            )
        )
        await ClockCycles(dut.clk_i, queue + 10)
        dut.m_axis_tready.value = 1
        clocks, clock, done = [], 0, False
        while not done:
            await RisingEdge(dut.clk_i)
            clock += 1
            if dut.m_axis_tvalid.value == 1:
                clocks.append(clock)
                done = bool(dut.m_axis_tlast.value)
        events = sum(word.bit_count() for word in words)
        assert len(clocks) == events + 1
        assert clocks[-1] - clocks[0] <= events + gaps


@pytest.mark.rtl
@pytest.mark.parametrize(("lanes", "queue"), [(1, 4), (8, 8), (3, 4)])
def test_nhw_spike_output(lanes: int, queue: int, tmp_path: Path) -> None:
    parameters = {"UPDATE_LANES": lanes, "QUEUE_WORDS": queue}
    run_bench("test_nhw_spike_output", "nhw_spike_output", parameters, tmp_path)
