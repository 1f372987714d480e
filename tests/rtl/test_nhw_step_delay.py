# SPDX-License-Identifier: Apache-2.0
"""Bench of `nhw_step_delay`: whole steps later, within each sample, in both modes, and no deadlock
where it closes a loop.
"""

from pathlib import Path
from random import Random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import ClockCycles, with_timeout

from tests.rtl.common import (
    STREAM_CONDITIONS,
    bench_description,
    run_bench,
    start,
    step_frame,
    stream_sink,
    stream_source,
)

Samples = list[list[list[int]]]


def stimulus(inputs: int) -> Samples:
    """Samples of 1 to 7 steps; among the events are unknown neurons, which are dropped."""
    random = Random(3)
    pool = [*range(inputs), inputs, 0xFFFF]
    return [
        [
            [random.choice(pool) for _ in range(random.randrange(6))]
            for _ in range(random.choice([1, 2, 3, 7]))
        ]
        for _ in range(12)
    ]


def delayed(samples: Samples, steps: int, inputs: int) -> Samples:
    """Events of every step after the delay, the length of each sample kept."""
    known = [
        [[event for event in events if event < inputs] for events in sample] for sample in samples
    ]
    return [([[] for _ in range(steps)] + sample)[: len(sample)] for sample in known]


@cocotb.test()
@STREAM_CONDITIONS
async def every_step_later(dut: Any, idle: float, backpressure: float) -> None:
    parameters = bench_description()["parameters"]
    feedback = parameters["FEEDBACK"]
    await start(dut)
    source, sink = stream_source(dut, idle), stream_sink(dut, backpressure)
    samples = stimulus(parameters["INPUTS"])
    for sample in samples:
        for t, events in enumerate(sample):
            await source.send(step_frame(events, t == len(sample) - 1))
    for sample in delayed(samples, parameters["STEPS"], parameters["INPUTS"]):
        for t, events in enumerate(sample):
            frame = await with_timeout(sink.recv(), 40, "us")
            assert list(frame.tdata)[:-1] == events
            user = (
                frame.tuser if isinstance(frame.tuser, list) else [frame.tuser] * len(frame.tdata)
            )
            # a stream that closes a loop cannot know yet that its sample ends
            assert user[-1] == int(t == len(sample) - 1 and not feedback)
    # in a loop the first step of the next sample may leave at once: nothing else follows
    await ClockCycles(dut.clk_i, 40)
    assert sink.count() <= feedback


@cocotb.test()
async def a_loop_runs_without_input(dut: Any) -> None:
    """The step of a loop leaves before the input's step is closed: what the input sends next may
    depend on it.
    """
    parameters = bench_description()["parameters"]
    if not parameters["FEEDBACK"]:
        return
    await start(dut)
    source, sink = stream_source(dut, 0.0), stream_sink(dut, 0.0)
    history: list[list[int]] = []
    for t in range(20):
        frame = await with_timeout(sink.recv(), 10, "us")
        late = t - parameters["STEPS"]
        assert list(frame.tdata)[:-1] == (history[late] if late >= 0 else [])
        history.append([t % parameters["INPUTS"]] * (t % 4))
        await source.send(step_frame(history[-1], t == 19))


@pytest.mark.rtl
@pytest.mark.parametrize("feedback", [0, 1])
@pytest.mark.parametrize(("steps", "inputs"), [(1, 9), (2, 1), (5, 16)])
def test_nhw_step_delay(steps: int, inputs: int, feedback: int, tmp_path: Path) -> None:
    # the smallest memory that holds steps + 1 of the longest steps (5 events and the barrier)
    beats = 1 << ((steps + 1) * 6 - 1).bit_length()
    parameters = {"STEPS": steps, "INPUTS": inputs, "FEEDBACK": feedback, "BEATS": beats}
    run_bench("test_nhw_step_delay", "nhw_step_delay", parameters, tmp_path)
