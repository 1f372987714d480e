# SPDX-License-Identifier: Apache-2.0
"""Bench of `nhw_lane_accumulator` against a plain list of sums: operations on one word in every
distance, and words that are emptied.
"""

from pathlib import Path
from random import Random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import FallingEdge

from tests.rtl.common import bench_description, run_bench, start

LATENCY = 2


@cocotb.test()
@cocotb.parametrize((("gap",), [(0.0,), (0.4,)]))
async def sums_of_a_lane(dut: Any, gap: float) -> None:
    p = bench_description()["parameters"]
    words, lanes, weight_bits, sum_bits = (
        p["WORDS"],
        p["UPDATE_LANES"],
        p["WEIGHT_BITS"],
        p["LANE_BITS"],
    )
    low, high = -(1 << (weight_bits - 1)), (1 << (weight_bits - 1)) - 1
    most = (1 << (sum_bits - 1)) - 1
    random = Random(4)
    for name in ("add", "empty", "address", "lane", "weight"):
        getattr(dut, f"{name}_i").value = 0
    await start(dut)
    sums = [[0] * lanes for _ in range(words)]
    # every word is emptied first: a memory has no initial value
    operations: list[tuple[str, int, int, int]] = [("empty", word, 0, 0) for word in range(words)]
    recent = [0] * 4
    for _ in range(1000):
        word = random.choice([random.randrange(words), *recent])
        recent = [word, *recent[:3]]
        kind = random.choices(["add", "empty", "none"], [6, 1, 10 * gap])[0]
        operations.append(
            (
                kind,
                word,
                random.randrange(lanes),
                random.choice([low, high, random.randint(low, high)]),
            )
        )
    expected: list[int | None] = [None] * LATENCY
    for number, (kind, word, lane, weight) in enumerate(
        [*operations, *[("none", 0, 0, 0)] * LATENCY]
    ):
        await FallingEdge(dut.clk_i)
        wanted = expected[number]
        if wanted is not None:
            assert int(dut.word_o.value) == wanted, f"operation {number - LATENCY}"
        known = number >= words and kind != "none"
        expected.append(
            sum((s & ((1 << sum_bits) - 1)) << (i * sum_bits) for i, s in enumerate(sums[word]))
            if known
            else None
        )
        if kind == "add" and abs(sums[word][lane] + weight) > most:
            kind = "empty"  # the proof of the widths forbids it
        dut.add_i.value, dut.empty_i.value = int(kind == "add"), int(kind == "empty")
        dut.address_i.value, dut.lane_i.value = word, lane
        dut.weight_i.value = weight & ((1 << weight_bits) - 1)
        if kind == "add":
            sums[word][lane] += weight
        elif kind == "empty":
            sums[word] = [0] * lanes


SHAPES = [
    {"WORDS": 1, "UPDATE_LANES": 1, "WEIGHT_BITS": 2, "LANE_BITS": 2},
    {"WORDS": 40, "UPDATE_LANES": 3, "WEIGHT_BITS": 8, "LANE_BITS": 10},
]


@pytest.mark.rtl
@pytest.mark.parametrize("shape", range(len(SHAPES)))
def test_nhw_lane_accumulator(shape: int, tmp_path: Path) -> None:
    run_bench("test_nhw_lane_accumulator", "nhw_lane_accumulator", SHAPES[shape], tmp_path)
