# SPDX-License-Identifier: Apache-2.0
"""Bench of `nhw_stream_fork`: every consumer gets every beat once and in order, however the others
wait.
"""

from pathlib import Path
from random import Random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import FallingEdge, ReadOnly

from tests.rtl.common import (
    STREAM_CONDITIONS,
    bench_description,
    run_bench,
    start,
    step_frame,
    stream_source,
)


@cocotb.test()
@STREAM_CONDITIONS
async def every_consumer_gets_every_beat(dut: Any, idle: float, backpressure: float) -> None:
    outputs = bench_description()["parameters"]["OUTPUTS"]
    random = Random(2)
    dut.m_axis_tready.value = 0
    await start(dut)
    source = stream_source(dut, idle)
    sent = []
    for number in range(30):
        events = [random.getrandbits(16) for _ in range(random.randrange(5))]
        await source.send(step_frame(events, number % 4 == 3))
        sent += [(event, 0, 0) for event in events] + [(0, 1, int(number % 4 == 3))]
    received: list[list[tuple[int, int, int]]] = [[] for _ in range(outputs)]
    clocks = 0
    while min(len(beats) for beats in received) < len(sent) and clocks < 5000:
        clocks += 1
        await FallingEdge(dut.clk_i)
        # each consumer waits on its own, the first the most
        ready = [
            random.random() >= (backpressure if n else backpressure * 1.5) for n in range(outputs)
        ]
        dut.m_axis_tready.value = sum(bit << n for n, bit in enumerate(ready))
        await ReadOnly()
        valid = int(dut.m_axis_tvalid.value)
        beat = (
            (int(dut.m_axis_tdata.value), int(dut.m_axis_tlast.value), int(dut.m_axis_tuser.value))
            if valid
            else None
        )
        for n in range(outputs):
            if ready[n] and valid >> n & 1:
                assert beat is not None
                received[n].append(beat)
        assert max(map(len, received)) - min(map(len, received)) <= 1, (
            "a beat was done before all had taken it"
        )
    assert received == [sent] * outputs
    if not idle and not backpressure:
        assert clocks <= len(sent) + 5


@pytest.mark.rtl
@pytest.mark.parametrize("outputs", [1, 2, 5])
def test_nhw_stream_fork(outputs: int, tmp_path: Path) -> None:
    run_bench("test_nhw_stream_fork", "nhw_stream_fork", {"OUTPUTS": outputs}, tmp_path)
