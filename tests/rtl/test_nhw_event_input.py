"""Bench of `nhw_event_input`: the exact list of operations, their pace, the credits and the rest between steps."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import ClockCycles, RisingEdge

from tests.rtl.common import bench_description, run_bench, start, step_frame, stream_source

MINIMUM_STEP_CLOCKS = 8
Operation = tuple[Any, ...]


def stimulus(inputs: int) -> list[tuple[list[int], bool]]:
    random = Random(5)
    steps = []
    for t in range(30):
        events = [random.randrange(inputs) for _ in range(random.choice([0, 0, 1, 2, 7]))]
        if t % 7 == 3:
            events.insert(0, inputs)  # unknown: to be dropped
        steps.append((events, t % 6 == 5))
    return steps


def drains(parameters: dict[str, Any], silent: bool, sample_end: bool, initialise: bool) -> Iterator[Operation]:
    for word in range(parameters["WORDS"]):
        group, part = divmod(word, parameters["PARTS"])
        yield "drain", group, part, silent, word == parameters["WORDS"] - 1, sample_end, initialise


def expectation(parameters: dict[str, Any], steps: list[tuple[list[int], bool]]) -> list[Operation]:
    operations = []
    for events, sample_end in steps:
        known = [event for event in events if event < parameters["INPUTS"]]
        for number, event in enumerate(known):
            for group in range(parameters["GROUPS"]):
                operations.append(("row", event * parameters["GROUPS"] + group, group, number == 0))
        operations.extend(drains(parameters, not known, sample_end, False))
    return operations


class Recorder:
    """Collects the operations and plays the output queue: a drain's credit comes back later, with a probability."""

    def __init__(self, dut: Any, parameters: dict[str, Any], return_probability: float) -> None:
        self.dut, self.parameters = dut, parameters
        self.return_probability = return_probability
        self.operations: list[tuple[int, Operation]] = []
        self.held = self.most_held = 0
        self.random = Random(9)

    async def run(self) -> None:
        dut = self.dut
        dut.credit_return_i.value = 0
        clock = 0
        while True:
            await RisingEdge(dut.clk_i)
            clock += 1
            if dut.credit_return_i.value == 1:
                self.held -= 1
            if dut.rst_ni.value == 1 and dut.op_valid_o.value == 1:
                self.record(clock)
            self.most_held = max(self.most_held, self.held)
            give = self.held > 0 and self.random.random() < self.return_probability
            dut.credit_return_i.value = int(give)

    def record(self, clock: int) -> None:
        dut = self.dut
        first, group = bool(dut.op_first_o.value), int(dut.op_group_o.value)
        if dut.op_drain_o.value == 0:
            self.operations.append((clock, ("row", int(dut.op_row_o.value), group, first)))
            return
        end, initialise = bool(dut.op_sample_end_o.value), bool(dut.op_initialise_o.value)
        part, last = int(dut.op_part_o.value), bool(dut.op_last_o.value)
        self.operations.append((clock, ("drain", group, part, first, last, end and not initialise, initialise)))
        self.held += int(not initialise and (bool(self.parameters["SPIKING"]) or end))


@cocotb.test()
@cocotb.parametrize((("idle", "return_probability"), [(0.0, 1.0), (0.7, 1.0), (0.0, 0.2), (0.5, 0.4)]))
async def operations(dut: Any, idle: float, return_probability: float) -> None:
    parameters = bench_description()["parameters"]
    source = stream_source(dut, idle)
    recorder = Recorder(dut, parameters, return_probability)
    task = cocotb.start_soon(recorder.run())
    await start(dut)
    steps = stimulus(parameters["INPUTS"])
    for events, sample_end in steps:
        await source.send(step_frame(events, sample_end))
    await source.wait()
    await ClockCycles(dut.clk_i, 200)
    task.cancel()
    recorded = [operation for _, operation in recorder.operations]
    expected = [*drains(parameters, True, False, True), *expectation(parameters, steps)]
    assert recorded == expected
    assert recorder.most_held <= parameters["CREDITS"]
    firsts = [clock for clock, op in recorder.operations if op[0] == "drain" and op[1] == op[2] == 0]
    assert min(b - a for a, b in zip(firsts, firsts[1:], strict=False)) >= MINIMUM_STEP_CLOCKS


@cocotb.test()
async def no_gap_between_events(dut: Any) -> None:
    parameters = bench_description()["parameters"]
    source = stream_source(dut, 0.0)
    recorder = Recorder(dut, parameters, 1.0)
    task = cocotb.start_soon(recorder.run())
    await start(dut)
    await source.send(step_frame([0] * 40, False))
    await source.wait()
    await ClockCycles(dut.clk_i, 60)
    task.cancel()
    clocks = [clock for clock, operation in recorder.operations if operation[0] == "row"]
    assert len(clocks) == 40 * parameters["GROUPS"]
    assert clocks[-1] - clocks[0] == len(clocks) - 1
    after = [clock for clock, op in recorder.operations if op[0] == "drain" and clock > clocks[-1]]
    assert len(after) == parameters["WORDS"]
    assert after[-1] - clocks[-1] == parameters["WORDS"] + 1


SHAPES = [
    {"INPUTS": 10, "GROUPS": 3, "PARTS": 4, "WORDS": 10, "CREDITS": 4, "SPIKING": 1},
    {"INPUTS": 7, "GROUPS": 1, "PARTS": 2, "WORDS": 2, "CREDITS": 4, "SPIKING": 1},
    {"INPUTS": 1, "GROUPS": 2, "PARTS": 1, "WORDS": 2, "CREDITS": 1, "SPIKING": 0},
]


@pytest.mark.rtl
@pytest.mark.parametrize("shape", SHAPES)
def test_nhw_event_input(shape: dict[str, int | str], tmp_path: Path) -> None:
    run_bench("test_nhw_event_input", "nhw_event_input", shape, tmp_path)
