# SPDX-License-Identifier: Apache-2.0
"""Bench of `nhw_step_control`: operations, drains in order, first-touch marks, credits and the rest
between steps.
"""

from pathlib import Path
from random import Random
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.triggers import FallingEdge, ReadOnly

from tests.rtl.common import STREAM_CONDITIONS, bench_description, run_bench, start

MINIMUM_STEP_CLOCKS = 8


class Driver:
    """Drives one clock at a time, and gathers what leaves:

    (kind, first, last, end of sample, row or -, group, part), with its clock.

    With OVERLAP a row is ("add", page, row).
    """

    def __init__(self, dut: Any, credits: int, backpressure: float) -> None:
        self.dut, self.random, self.clock = dut, Random(12), 0
        self.out: list[tuple[int, tuple[Any, ...]]] = []
        self.free, self.spent, self.backpressure = credits, 0, backpressure
        self.clears, self.cleared = bench_description()["parameters"]["CLEARS"], 0
        self.barred, self.allowed = (
            0.0,
            True,
        )  # share of clocks in which no step may begin; the clock before was no such clock

    async def tick(self, beat: tuple[int, int, int, int] | None) -> bool:
        """One clock with the beat (barrier, end, row, group) on the input; True if it was taken."""
        dut = self.dut
        await FallingEdge(dut.clk_i)
        self.clock += 1
        dut.in_valid_i.value = int(beat is not None)
        for name, value in zip(
            ("barrier", "sample_end", "row", "group"), beat or (0, 0, 0, 0), strict=True
        ):
            getattr(dut, f"in_{name}_i").value = value
        # the queue behind gives its words back when it likes
        back = self.spent > 0 and self.random.random() >= self.backpressure
        dut.credit_return_i.value = int(back)
        self.spent -= back
        self.free += back
        before, self.allowed = self.allowed, self.random.random() >= self.barred
        dut.allowed_i.value = int(self.allowed)
        await ReadOnly()
        if dut.op_valid_o.value:
            drain, end, initialise = (
                int(getattr(dut, f"op_{n}_o").value) for n in ("drain", "sample_end", "initialise")
            )
            first, last, group, part = (
                int(getattr(dut, f"op_{n}_o").value) for n in ("first", "last", "group", "part")
            )
            add, overlap = int(dut.op_add_o.value), bench_description()["parameters"]["OVERLAP"]
            assert add + drain + int(dut.op_clear_o.value) == 1 or (overlap and add + drain == 2)
            if dut.op_clear_o.value:
                self.cleared += 1
            elif self.cleared:
                assert self.cleared == self.clears, (
                    "every place of the ring is emptied before the next operation"
                )
                self.cleared = 0
            if drain and not initialise and (group, part) == (0, 0):
                assert before, "the first drain of a step leaves, and may not"
            assert bool(dut.step_o.value) == bool(drain and last and not initialise)
            if drain:
                self.out.append(
                    (
                        self.clock,
                        ("clear" if initialise else "drain", first, last, end, group, part),
                    )
                )
                p = bench_description()["parameters"]
                if not initialise and p["CREDITS"] and (end or p["SPIKING"]):
                    self.free -= 1
                    self.spent += 1
                    assert self.free >= 0, "a drain without a credit"
            if add and overlap:
                self.out.append(
                    (self.clock, ("add", int(dut.op_page_o.value), int(dut.op_row_o.value)))
                )
            elif add:
                self.out.append((self.clock, ("add", first, int(dut.op_row_o.value), group)))
        return beat is not None and bool(dut.in_ready_o.value)


async def started(dut: Any, backpressure: float) -> Driver:
    dut.in_valid_i.value = 0
    dut.allowed_i.value = 0  # the initialisation does not wait for it
    dut.credit_return_i.value = 0
    for name in ("barrier", "sample_end", "row", "group"):
        getattr(dut, f"in_{name}_i").value = 0
    await start(dut)
    # the clearing drains begin with the reset's end: only count what follows
    driver = Driver(dut, bench_description()["parameters"]["CREDITS"], backpressure)
    for _ in range(60):
        await driver.tick(None)
        if dut.in_ready_o.value:
            break
    driver.out.clear()
    driver.cleared = 0
    return driver


def operations_of(random: Random, p: dict[str, int], order: bool) -> list[tuple[int, int]]:
    """Operations (row, group) of a random step: whole events in the order of the groups, or any
    groups, repeats among them.
    """
    rows = (1 << p["ROW_BITS"]) - 1
    if order:
        return [
            (random.randint(0, rows), g)
            for _ in range(random.randrange(4))
            for g in range(p["GROUPS"])
        ]
    return [
        (random.randint(0, rows), random.randrange(p["GROUPS"])) for _ in range(random.randrange(9))
    ]


@cocotb.test()
@STREAM_CONDITIONS
async def every_operation_and_drain(dut: Any, idle: float, backpressure: float) -> None:
    p = bench_description()["parameters"]
    if p["OVERLAP"]:
        return
    driver, random = await started(dut, backpressure), Random(1)
    expected: list[tuple[Any, ...]] = []
    beats: list[tuple[int, int, int, int]] = []
    for t in range(24):
        touched: set[int] = set()
        for row, group in operations_of(random, p, bool(p["IN_ORDER"])) if t % 5 else []:
            expected.append(("add", int(group not in touched), row, group))
            touched.add(group)
            beats.append((0, 0, row, group))
        end = int(t % 6 == 5)
        beats.append((1, end, 0, 0))
        for word in range(p["WORDS"]):
            group, part = divmod(word, p["PARTS"])
            expected.append(
                ("drain", int(group not in touched), int(word == p["WORDS"] - 1), end, group, part)
            )
    waiting, driver.barred = False, idle / 2
    for _ in range(6000):
        beat = beats[0] if beats and (waiting or random.random() >= idle) else None
        waiting = beat is not None
        if await driver.tick(beat):
            beats.pop(0)
            waiting = False
        if len(driver.out) >= len(expected):
            break
    assert [operation for _, operation in driver.out] == expected
    for _ in range(40):  # the last sample has ended
        await driver.tick(None)
    assert driver.cleared == driver.clears
    if not p["IN_ORDER"] and p["GROUPS"] > 1:
        adds = [(clock, operation[3]) for clock, operation in driver.out if operation[0] == "add"]
        gaps = [
            b - a
            for n, (a, group) in enumerate(adds)
            for b, other in adds[n + 1 : n + 3]
            if group == other
        ]
        assert min(gaps) == p["GROUP_CLOCKS"], (
            "a sum is written before it is read again, and no clock is wasted"
        )
    starts = [
        clock
        for clock, operation in driver.out
        if operation[0] == "drain" and operation[4:] == (0, 0)
    ]
    assert min(b - a for a, b in zip(starts, starts[1:], strict=False)) >= MINIMUM_STEP_CLOCKS


@cocotb.test()
@STREAM_CONDITIONS
async def rows_pass_while_the_step_before_is_drained(
    dut: Any, idle: float, backpressure: float
) -> None:
    """With OVERLAP: all rows and all drains in order, a step's drains after its rows, rows on the
    other page, and no clock lost to the drains.
    """
    p = bench_description()["parameters"]
    if not p["OVERLAP"]:
        return
    driver, random = await started(dut, backpressure), Random(6)
    steps, page = 20, int(dut.page_q.value)
    rows = [
        [random.randrange(1 << p["ROW_BITS"]) for _ in range(random.choice([0, 3, 4 * p["WORDS"]]))]
        for _ in range(steps)
    ]
    beats = [
        (0, 0, row, 0) if row is not None else (1, int(t % 6 == 5), 0, 0)
        for t, own in enumerate(rows)
        for row in [*own, None]
    ]
    wanted, waiting = sum(map(len, rows)) + steps * p["WORDS"], False
    for _ in range(6000):
        beat = beats[0] if beats and (waiting or random.random() >= idle) else None
        waiting = beat is not None
        if await driver.tick(beat):
            beats.pop(0)
            waiting = False
        elif beat is not None:
            assert beat[0], "a row waited"
        if len(driver.out) >= wanted:
            break
    adds = [(clock, operation) for clock, operation in driver.out if operation[0] == "add"]
    drains = [(clock, operation) for clock, operation in driver.out if operation[0] == "drain"]
    assert [operation for _, operation in adds] == [
        ("add", page ^ (t & 1), row) for t, own in enumerate(rows) for row in own
    ]
    words = range(p["WORDS"])
    assert [operation[2:5] for _, operation in drains] == [
        (int(w == words[-1]), int(t % 6 == 5), w) for t in range(steps) for w in words
    ]
    ends = np.cumsum([len(own) for own in rows])
    for t, end in enumerate(ends):
        first, last = drains[t * p["WORDS"]][0], drains[(t + 1) * p["WORDS"] - 1][0]
        assert end == 0 or adds[end - 1][0] < first, "a row of the step after its first drain"
        if t + 2 < steps and len(rows[t + 2]):
            assert adds[ends[t + 1]][0] > last, "a row on a page that is still drained"
    assert {clock for clock, _ in adds} & {clock for clock, _ in drains}, "both in one clock"


@cocotb.test()
async def clears_after_reset(dut: Any) -> None:
    """WORDS clearing drains, each word once, before the first beat is taken, and without
    credits.
    """
    p = bench_description()["parameters"]
    for name in ("in_valid", "credit_return", "in_barrier", "in_sample_end", "in_row", "in_group"):
        getattr(dut, f"{name}_i").value = 0
    dut.rst_ni.value = 0
    driver = Driver(dut, p["CREDITS"], 0.0)
    from tests.rtl.common import start_clock

    start_clock(dut)
    for _ in range(4):
        await driver.tick(None)
    driver.out.clear()
    await FallingEdge(dut.clk_i)
    dut.rst_ni.value = 1
    for _ in range(60):
        if await driver.tick((1, 0, 0, 0)):
            break
    words = [operation[4:] for _, operation in driver.out]
    assert [operation[0] for _, operation in driver.out] == ["clear"] * p["WORDS"]
    assert driver.cleared == p["CLEARS"]
    assert words == [divmod(word, p["PARTS"]) for word in range(p["WORDS"])]


@cocotb.test()
async def a_step_waits_until_it_is_allowed(dut: Any) -> None:
    """Nothing leaves while `allowed_i` is 0, and once the first drain has left the others need it
    no longer.
    """
    p = bench_description()["parameters"]
    driver = await started(dut, 0.0)
    driver.barred = 1.1
    taken = False
    for _ in range(30):
        taken |= await driver.tick(None if taken else (1, 0, 0, 0))
    assert taken and not driver.out
    driver.barred = 0.0
    await driver.tick(None)
    driver.barred = 1.1
    for _ in range(60):
        await driver.tick(None)
    assert [operation[0] for _, operation in driver.out] == ["drain"] * p["WORDS"]


@cocotb.test()
async def without_credits_it_waits(dut: Any) -> None:
    """No more drains than credits leave while none is returned; they go on with the first return.

    Without credits nothing waits.
    """
    p = bench_description()["parameters"]
    driver = await started(dut, 1.1)
    taken = 0
    for _ in range(150):
        taken += await driver.tick((1, 1, 0, 0))
    drains = sum(operation[0] == "drain" for _, operation in driver.out)
    if not p["CREDITS"]:
        assert p["WORDS"] * (taken - 1) <= drains <= p["WORDS"] * taken and taken > 5
        return
    assert drains == p["CREDITS"]
    driver.backpressure = 0.0
    for _ in range(100):
        await driver.tick(None)
    assert sum(operation[0] == "drain" for _, operation in driver.out) == taken * p["WORDS"]


CASES = {
    "one dense projection": {
        "GROUPS": 3,
        "PARTS": 2,
        "WORDS": 5,
        "CREDITS": 3,
        "SPIKING": 1,
        "IN_ORDER": 1,
    },
    "any order": {"GROUPS": 5, "PARTS": 1, "WORDS": 5, "CREDITS": 4, "SPIKING": 1, "IN_ORDER": 0},
    "any order, parts": {
        "GROUPS": 6,
        "PARTS": 4,
        "WORDS": 22,
        "CREDITS": 2,
        "SPIKING": 0,
        "IN_ORDER": 0,
    },
    "a ring": {
        "GROUPS": 3,
        "PARTS": 2,
        "WORDS": 6,
        "CREDITS": 3,
        "SPIKING": 1,
        "IN_ORDER": 0,
        "CLEARS": 12,
        "GROUP_CLOCKS": 3,
    },
    "an astrocyte": {
        "GROUPS": 2,
        "PARTS": 2,
        "WORDS": 4,
        "CREDITS": 0,
        "SPIKING": 0,
        "IN_ORDER": 1,
    },
    "one group": {"GROUPS": 1, "PARTS": 1, "WORDS": 1, "CREDITS": 1, "SPIKING": 1, "IN_ORDER": 0},
    "overlap": {
        "GROUPS": 9,
        "PARTS": 1,
        "WORDS": 9,
        "CREDITS": 5,
        "SPIKING": 1,
        "IN_ORDER": 1,
        "OVERLAP": 1,
    },
}


@pytest.mark.rtl
@pytest.mark.parametrize("case", CASES)
def test_nhw_step_control(case: str, tmp_path: Path) -> None:
    parameters = {"ROW_BITS": 6, "CLEARS": 0, "GROUP_CLOCKS": 2, "OVERLAP": 0, **CASES[case]}
    run_bench("test_nhw_step_control", "nhw_step_control", parameters, tmp_path)
