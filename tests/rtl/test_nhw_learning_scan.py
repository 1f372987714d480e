# SPDX-License-Identifier: Apache-2.0
"""Bench of `nhw_learning_scan`: passes over sparse and full words, with and without learning,
against a list; with backpressure.
"""

from pathlib import Path
from random import Random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import FallingEdge

from tests.rtl.common import bench_description, run_bench, start


@cocotb.test()
@cocotb.parametrize((("backpressure",), [(0.0,), (0.6,)]))
async def passes(dut: Any, backpressure: float) -> None:
    p = bench_description()["parameters"]
    words, lanes, bits = p["WORDS"], p["UPDATE_LANES"], p["AMOUNT_BITS"]
    random = Random(6)
    dut.write_valid_i.value = dut.start_i.value = dut.source_ready_i.value = 0
    await start(dut)
    for _ in range(30):
        density = random.choice([0.0, 0.1, 1.0])
        # (spike, inhibitory, learns, change)
        sources = [
            (
                int(random.random() < density),
                random.randrange(2),
                random.randrange(2),
                random.choice([0, 0, 1, (1 << bits) - 1]),
            )
            for _ in range(words * lanes)
        ]
        for word in range(words):
            await FallingEdge(dut.clk_i)
            part = sources[word * lanes : (word + 1) * lanes]
            dut.write_valid_i.value, dut.write_word_i.value = 1, word
            signals = (
                dut.write_spikes_i,
                dut.write_inhibitory_i,
                dut.write_learns_i,
                dut.write_change_i,
            )
            for field, signal in enumerate(signals):
                width = bits if field == 3 else 1
                signal.value = sum(
                    source[field] << (lane * width) for lane, source in enumerate(part)
                )
        await FallingEdge(dut.clk_i)
        dut.write_valid_i.value = 0
        learning, reached = random.randrange(2), random.getrandbits(words * lanes)
        dut.learning_i.value, dut.reached_i.value, dut.start_i.value = learning, reached, 1
        await FallingEdge(dut.clk_i)
        dut.start_i.value = 0
        expected = [
            (n, spike, inhibitory, learns & learning, change)
            for n, (spike, inhibitory, learns, change) in enumerate(sources)
            if spike or (change and learning and reached >> n & 1)
        ]
        received = []
        signals = (
            dut.source_o,
            dut.source_spike_o,
            dut.source_inhibitory_o,
            dut.source_learns_o,
            dut.source_change_o,
        )
        while dut.done_o.value != 1:
            ready = random.random() >= backpressure
            dut.source_ready_i.value = int(ready)
            if ready and dut.source_valid_o.value == 1:
                received.append(tuple(int(signal.value) for signal in signals))
            await FallingEdge(dut.clk_i)
        assert received == expected


@pytest.mark.rtl
@pytest.mark.parametrize(("words", "lanes"), [(5, 4), (1, 1)])
def test_nhw_learning_scan(words: int, lanes: int, tmp_path: Path) -> None:
    parameters: dict[str, int | str] = {"WORDS": words, "UPDATE_LANES": lanes, "AMOUNT_BITS": 5}
    run_bench("test_nhw_learning_scan", "nhw_learning_scan", parameters, tmp_path)
