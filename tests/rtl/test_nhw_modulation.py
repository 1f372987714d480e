# SPDX-License-Identifier: Apache-2.0
"""Bench of `nhw_modulation`: an astrocyte and a population that keep their own time, and every
value that the population reads.
"""

from pathlib import Path
from random import Random
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.triggers import FallingEdge

from neurohw.hardware.generate.pack import lane_image, table_image
from tests.rtl.common import bench_description, run_bench, start

MINIMUM_STEP_CLOCKS = 8
STEPS = 40


class Drains:
    """The drains of one population, a step after the other: what leaves now, and what shows at the
    modulation `latency` clocks later.
    """

    def __init__(self, words: int, latency: int, pause: float, gaps: float, seed: int) -> None:
        self.words, self.pause, self.gaps, self.random = words, pause, gaps, Random(seed)
        self.step, self.word, self.rest = 0, 0, 0  # of the next drain
        self.done = False  # the last drain of a step has left in the clock before
        self.pipeline: list[tuple[int, int] | None] = [None] * latency

    def tick(self, allowed: bool) -> tuple[int, int] | None:
        """(step, word) that reaches the modulation in this clock."""
        self.rest, self.done, drain = max(0, self.rest - 1), False, None
        ready = not self.rest and allowed and self.random.random() >= self.pause
        if ready if self.word == 0 else self.random.random() >= self.gaps:
            drain = (self.step, self.word)
            if self.word == 0:
                self.rest = MINIMUM_STEP_CLOCKS
            self.word += 1
            if self.word == self.words:
                self.step, self.word, self.done, self.rest = (
                    self.step + 1,
                    0,
                    True,
                    max(self.rest, 2),
                )
        self.pipeline.append(drain)
        return self.pipeline.pop(0)


def value(p: dict[str, Any], table: list[int], level: int) -> int:
    """The gain or the addition of a level."""
    if p["GAIN"]:
        return table[min(max(level >> p["SHIFT"], -64), 63) + 64]
    return max(level, 0) << p["SHIFT"] if p["LEFT"] else max(level, 0) >> p["SHIFT"]


class Modulation:
    """Drives both sides and compares every value with that of its step: set 0 from membranes of 0,
    set t + 1 from those of step t.
    """

    def __init__(self, dut: Any, slow: float, late: float) -> None:
        self.dut, self.bench = dut, bench_description()
        self.p = self.bench["parameters"]
        self.astrocyte = Drains(self.p["WORDS"], self.bench["latencies"][0], slow, 0.0, 1)
        self.target = Drains(
            self.bench["target_words"], self.bench["latencies"][1], late, late / 2, 2
        )
        # the last drains of a step that have left in the clock before
        self.finished = [False, False]
        self.coming: list[list[int | None] | None] = [None, None]
        self.compared = 0

    def membranes(self, number: int) -> list[int]:
        return self.bench["membranes"][number - 1] if number else [0] * len(self.bench["offsets"])

    def write(self, number: int, word: int) -> None:
        """Offer a word of membranes."""
        lanes, bits = self.p["LANES"], self.p["MEMBRANE_BITS"]
        chunk = self.membranes(number)[word * lanes : (word + 1) * lanes]
        self.dut.word_valid_i.value = 1
        self.dut.word_last_i.value = int(word == self.p["WORDS"] - 1)
        self.dut.membranes_i.value = sum(
            (v & (1 << bits) - 1) << lane * bits for lane, v in enumerate(chunk)
        )

    def values(self, step: int, word: int) -> list[int | None]:
        """What the population must read for an update word, None in lanes without a neuron."""
        p, offsets = self.p, self.bench["offsets"]
        turn = word % p["PERIOD"] // p["REPEAT"]
        slots = [
            turn if p["SHARED"] else turn * p["LANES"] + lane for lane in range(p["TARGET_LANES"])
        ]
        levels = [m + o for m, o in zip(self.membranes(step), offsets, strict=True)]
        return [
            value(p, self.bench["table"], levels[s]) if s < len(levels) else None for s in slots
        ]

    async def start(self) -> None:
        """Reset, and the words of the initialisation."""
        for name in ("word_valid_i", "step_i", "target_step_i", "read_i", "read_last_i"):
            getattr(self.dut, name).value = 0
        await start(self.dut)
        for word in range(self.p["WORDS"]):
            await FallingEdge(self.dut.clk_i)
            assert not self.dut.levels_o.value
            self.write(0, word)

    async def tick(self, steps: int = STEPS, target_steps: int = STEPS) -> None:
        """One clock, in which the two may have begun so many steps."""
        dut = self.dut
        await FallingEdge(dut.clk_i)
        bits, vector = self.p["VALUE_BITS"], dut.values_o.value
        for lane, wanted in enumerate(self.coming.pop(0) or []):
            if wanted is not None:
                found = int(vector.to_unsigned()) >> lane * bits & (1 << bits) - 1
                assert found == wanted, (self.target.step, lane)
                self.compared += 1
        dut.step_i.value, dut.target_step_i.value = map(int, self.finished)
        wrote = self.astrocyte.tick(bool(dut.room_o.value) and self.astrocyte.step < steps)
        read = self.target.tick(bool(dut.levels_o.value) and self.target.step < target_steps)
        self.finished = [self.astrocyte.done, self.target.done]
        dut.word_valid_i.value = 0
        if wrote:
            self.write(wrote[0] + 1, wrote[1])
        dut.read_i.value = int(read is not None)
        dut.read_last_i.value = int(read is not None and read[1] == self.bench["target_words"] - 1)
        self.coming.append(self.values(*read) if read else None)


@cocotb.test()
@cocotb.parametrize((("slow", "late"), [(0.0, 0.0), (0.9, 0.0), (0.0, 0.9), (0.5, 0.5)]))
async def every_value(dut: Any, slow: float, late: float) -> None:
    """An astrocyte that is slow, a population that is late, and neither, or both."""
    modulation = Modulation(dut, slow, late)
    await modulation.start()
    words, neurons = modulation.bench["target_words"], modulation.bench["target_values"]
    for _ in range(STEPS * (60 + 4 * words)):
        await modulation.tick()
        if modulation.compared == STEPS * neurons:
            break
    assert modulation.compared == STEPS * neurons and modulation.astrocyte.step >= STEPS - 1


@cocotb.test()
async def nobody_runs_away(dut: Any) -> None:
    """Without the population the astrocyte begins one step; without the astrocyte the population as
    many as there are sets.
    """
    modulation = Modulation(dut, 0.0, 0.0)
    await modulation.start()
    for most, target_most, begun, read in ((9, 0, 1, 0), (0, 9, 1, 2), (9, 2, 3, 2), (9, 9, 9, 9)):
        for _ in range(300 + 12 * modulation.bench["target_words"]):
            await modulation.tick(most, target_most)
        assert (modulation.astrocyte.step, modulation.target.step) == (begun, read)


# target_words: update words of the population; domains, neurons of the astrocyte
CASES: dict[str, dict[str, Any]] = {
    "one for all": {"LANES": 1, "WORDS": 1, "TARGET_LANES": 4, "SHARED": 1, "REPEAT": 9,
        "PERIOD": 9, "target_words": 9, "domains": 1},
    "blocks": {
        "LANES": 3, "WORDS": 2, "TARGET_LANES": 2, "SHARED": 1, "REPEAT": 3, "PERIOD": 15,
        "target_words": 15, "domains": 5, "SHIFT": 0,
        "latencies": (8, 11),
    },
    # 3 channels on 2 lanes at 4 places: the last word of a place is half empty
    "channels": {"LANES": 2, "WORDS": 2, "TARGET_LANES": 2, "PERIOD": 2, "target_words": 8,
        "domains": 3, "latencies": (14, 0)},
    # 6 channels in 3 domains on 2 lanes, filled up to 4 words at each of 3 places
    "blocks of channels": {
        "LANES": 1, "WORDS": 3, "TARGET_LANES": 2, "SHARED": 1, "REPEAT": 1, "PERIOD": 4,
        "target_words": 12, "domains": 3,
    },
    "narrow levels": {"MEMBRANE_BITS": 4, "OFFSET_BITS": 3, "SHIFT": 1, "WORDS": 3, "PERIOD": 3,
        "target_words": 3, "domains": 6},
    "additions": {
        "LANES": 2, "WORDS": 4, "TARGET_LANES": 2, "PERIOD": 4, "GAIN": 0, "SHIFT": 2,
        "VALUE_BITS": 11, "target_words": 4, "domains": 7,
    },
    "additions to the left": {
        "LANES": 2, "WORDS": 2, "TARGET_LANES": 3, "SHARED": 1, "REPEAT": 2, "PERIOD": 6, "GAIN": 0,
        "LEFT": 1, "SHIFT": 3, "VALUE_BITS": 16,
        "target_words": 6, "domains": 3, "MEMORY_STYLE": "block",
    },
}  # fmt: skip
DEFAULTS: dict[str, Any] = {
    "LANES": 2, "TARGET_LANES": 2, "MEMBRANE_BITS": 12, "OFFSET_BITS": 11, "GAIN": 1, "SHIFT": 3,
    "LEFT": 0, "VALUE_BITS": 10, "SHARED": 0,
    "REPEAT": 1, "MEMORY_STYLE": "distributed", "latencies": (12, 5),
}  # fmt: skip


def description(case: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters without files, and the bench of a case."""
    parameters = {**DEFAULTS, **CASES[case]}
    bench: dict[str, Any] = {
        key: parameters.pop(key) for key in ("target_words", "domains", "latencies")
    }
    random, domains = Random(3), bench["domains"]
    lowest, highest = (
        -(1 << parameters["MEMBRANE_BITS"] - 1),
        (1 << parameters["MEMBRANE_BITS"] - 1) - 1,
    )
    offset = 1 << parameters["OFFSET_BITS"] - 1
    bench["offsets"] = [
        offset - 1,
        -offset,
        *(random.randint(-offset, offset - 1) for _ in range(domains)),
    ][:domains]
    # both ends of the membrane, small values, and anything
    spans = [
        (lowest, lowest),
        (highest, highest),
        (max(lowest, -9), min(highest, 9)),
        (lowest, highest),
    ]
    bench["membranes"] = [
        [random.randint(*spans[random.randrange(4)]) for _ in range(domains)]
        for _ in range(STEPS + 1)
    ]
    bench["table"] = random.sample(range(1024), 128)
    slots = [
        word
        % parameters["PERIOD"]
        // parameters["REPEAT"]
        * (1 if parameters["SHARED"] else parameters["LANES"])
        + (0 if parameters["SHARED"] else lane)
        for word in range(bench["target_words"])
        for lane in range(parameters["TARGET_LANES"])
    ]
    bench["target_values"] = sum(s < domains for s in slots)
    return parameters, bench


@pytest.mark.rtl
@pytest.mark.parametrize("case", CASES)
def test_nhw_modulation(case: str, tmp_path: Path) -> None:
    parameters, bench = description(case)
    (tmp_path / "offsets.hex").write_bytes(
        lane_image(np.array(bench["offsets"]), parameters["LANES"], parameters["OFFSET_BITS"])
    )
    (tmp_path / "table.hex").write_bytes(table_image(bench["table"]))
    files = {
        "OFFSET_FILE": str(tmp_path / "offsets.hex"),
        "TABLE_FILE": str(tmp_path / "table.hex"),
    }
    run_bench("test_nhw_modulation", "nhw_modulation", {**parameters, **files}, tmp_path, bench)


@pytest.mark.parametrize("case", [c for c in CASES if c != "narrow levels"])
def test_the_membranes_reach_the_ends(case: str) -> None:
    """Gains of both ends of the table; additions of 0 and above."""
    parameters, bench = description(case)
    levels = [
        m + o for row in bench["membranes"] for m, o in zip(row, bench["offsets"], strict=True)
    ]
    if parameters["GAIN"]:
        assert min(levels) >> parameters["SHIFT"] < -64 and max(levels) >> parameters["SHIFT"] > 63
    else:
        assert min(levels) < 0 < max(levels)
