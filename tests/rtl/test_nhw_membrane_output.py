# SPDX-License-Identifier: Apache-2.0
"""Bench of `nhw_membrane_output`: one sign-extended beat per neuron, in order."""

from pathlib import Path
from random import Random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import ClockCycles, FallingEdge

from tests.rtl.common import bench_description, run_bench, start, stream_sink


@cocotb.test()
@cocotb.parametrize((("idle", "backpressure"), [(0.0, 0.0), (0.6, 0.0), (0.0, 0.6), (0.4, 0.4)]))
async def one_beat_per_neuron(dut: Any, idle: float, backpressure: float) -> None:
    parameters = bench_description()["parameters"]
    lanes, neurons, bits = (
        parameters["UPDATE_LANES"],
        parameters["NEURONS"],
        parameters["MEMBRANE_BITS"],
    )
    random = Random(6)
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    samples = [
        [random.choice([low, high, random.randint(low, high)]) for _ in range(neurons)]
        for _ in range(12)
    ]
    dut.word_valid_i.value = 0
    sink = stream_sink(dut, backpressure)
    await start(dut)

    async def feed() -> None:
        credits = parameters["QUEUE_WORDS"]
        for sample in samples:
            for first in range(0, neurons, lanes):
                while True:
                    await FallingEdge(dut.clk_i)
                    credits += int(dut.credit_return_o.value)
                    dut.word_valid_i.value = 0
                    if credits and random.random() >= idle:
                        break
                credits -= 1
                chunk = sample[first : first + lanes]
                word = sum(
                    (value & ((1 << bits) - 1)) << (lane * bits) for lane, value in enumerate(chunk)
                )
                dut.word_valid_i.value = 1
                dut.membranes_i.value = word
        await FallingEdge(dut.clk_i)
        dut.word_valid_i.value = 0

    cocotb.start_soon(feed())
    for sample in samples:
        frame = await sink.recv()
        assert list(frame.tdata) == [value & 0xFFFFFFFF for value in sample]
        tuser = frame.tuser if isinstance(frame.tuser, list) else [frame.tuser] * neurons
        assert [int(user) for user in tuser] == [0] * (neurons - 1) + [1]
    await ClockCycles(dut.clk_i, 20)
    assert sink.empty()


SHAPES = [
    {"UPDATE_LANES": 1, "NEURONS": 1, "MEMBRANE_BITS": 32, "QUEUE_WORDS": 4},
    {"UPDATE_LANES": 4, "NEURONS": 10, "MEMBRANE_BITS": 9, "QUEUE_WORDS": 2},
]


@pytest.mark.rtl
@pytest.mark.parametrize("shape", SHAPES)
def test_nhw_membrane_output(shape: dict[str, int | str], tmp_path: Path) -> None:
    run_bench("test_nhw_membrane_output", "nhw_membrane_output", shape, tmp_path)
