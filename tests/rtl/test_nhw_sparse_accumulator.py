# SPDX-License-Identifier: Apache-2.0
"""Bench of `nhw_sparse_accumulator` against sums by step and neuron: rows while the step before is
drained, one target in many lanes, delays, initialisation.
"""

from pathlib import Path
from random import Random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import FallingEdge

from tests.rtl.common import bench_description, run_bench, start

Operation = dict[str, Any]
INITIALISE = {"drain": 1, "initialise": 1}


def packed(values: list[int], bits: int) -> int:
    return sum((value & ((1 << bits) - 1)) << (i * bits) for i, value in enumerate(values))


def random_row(p: dict[str, Any], random: Random) -> list[tuple[int, int, int]]:
    """(weight, target, delay) of every lane: any targets, one target in all lanes, or the one of
    before.
    """
    low, high = -(1 << (p["WEIGHT_BITS"] - 1)), (1 << (p["WEIGHT_BITS"] - 1)) - 1
    neurons = p["WORDS"] * p["UPDATE_LANES"]
    kind, same = random.choice(["any", "one", "few"]), random.randrange(neurons)
    row = []
    for _ in range(p["LANES"]):
        target = {
            "any": random.randrange(neurons),
            "one": same,
            "few": random.randrange(min(2, neurons)),
        }[kind]
        row.append(
            (
                random.choice([low, high, random.randint(low, high)]),
                target,
                random.choice([0, p["SLOTS"] - 1, random.randrange(p["SLOTS"])]),
            )
        )
    return row


def clocks_and_sums(
    p: dict[str, Any], random: Random, gap: float
) -> tuple[list[Operation], list[tuple[int, int, int]]]:
    """What enters in every clock, and the (word, last, end of sample) that every drain must
    give.
    """
    words, slots, update = p["WORDS"], p["SLOTS"], p["UPDATE_LANES"]
    drains = [{"word": w, "last": int(w == words - 1)} for w in range(words)]
    clears: list[Operation] = [{"clear": 1}] * (words * slots if slots > 1 else 0)
    clocks: list[Operation] = [{**d, **INITIALISE} for d in drains] + clears
    expected, pending = [], list[Operation]()
    page = 0
    for steps in (2 * slots + 3, 1, slots + 4):
        future = [[0] * (words * update) for _ in range(steps + slots)]
        for t in range(steps):
            rows = [random_row(p, random) for _ in range(random.choice([0, 1, 3, 2 * words + 5]))]
            for row in rows:
                for weight, target, delay in row:
                    future[t + delay][target] += weight
            # with two pages the drains of the step before go on beside the rows, in clocks of their
            # own choice
            while rows or pending:
                clock: Operation = {"page": page}
                if pending and (slots > 1 or not rows or random.random() < 0.6):
                    clock |= pending.pop(0)
                if rows and random.random() >= gap and (slots == 1 or not clock.get("drain")):
                    clock["row"] = rows.pop(0)
                clocks.append(clock)
            end = int(t == steps - 1)
            pending = [{**d, "drain": 1, "end": end} for d in drains]
            for w in range(words):
                chunk = future[t][w * update : (w + 1) * update]
                expected.append((packed(chunk, p["ACCUMULATOR_BITS"]), int(w == words - 1), end))
            page ^= int(slots == 1)
            if slots > 1:
                clocks += pending
                pending = []
        if slots > 1:
            clocks += clears
    return [*clocks, *[{**d, "page": page} for d in pending]], expected


async def driven(
    dut: Any, p: dict[str, Any], random: Random, clocks: list[Operation]
) -> list[tuple[int, int, int]]:
    """The (word, last, end of sample) of every drain that is no initialisation, from what enters
    clock by clock.
    """
    lanes, word_bits = p["LANES"], max(1, (p["WORDS"] - 1).bit_length())
    part_bits, slot_bits = (
        (p["UPDATE_LANES"] - 1).bit_length(),
        max(1, (p["SLOTS"] - 1).bit_length()),
    )
    received: list[tuple[int, int, int]] = []
    row = None
    for clock in [*clocks, *[Operation()] * (6 + lanes.bit_length())]:
        await FallingEdge(dut.clk_i)
        if dut.sums_valid_o.value == 1 and not int(dut.sums_initialise_o.value):
            flags = int(dut.sums_last_o.value), int(dut.sums_sample_end_o.value)
            received.append((int(dut.sums_o.value), *flags))
        # the entries belong to the operation of the clock before; otherwise they are noise
        fields = (
            ("weights", p["WEIGHT_BITS"]),
            ("targets", word_bits + part_bits),
            ("delays", slot_bits),
        )
        values = [random.getrandbits(lanes * bits) for _, bits in fields]
        if row is not None:
            targets = [
                (t // p["UPDATE_LANES"]) << part_bits | t % p["UPDATE_LANES"] for _, t, _ in row
            ]
            columns = ([w for w, _, _ in row], targets, [d for _, _, d in row])
            values = [
                packed(column, bits) for column, (_, bits) in zip(columns, fields, strict=True)
            ]
        for (name, _), value in zip(fields, values, strict=True):
            getattr(dut, f"{name}_i").value = value
        row = clock.get("row")
        dut.op_add_i.value = int(row is not None)
        for name in ("drain", "clear", "page", "last", "initialise", "word"):
            getattr(dut, f"op_{name}_i").value = clock.get(name, 0)
        dut.op_sample_end_i.value = clock.get("end", 0)
    return received


async def started(dut: Any) -> None:
    for name in ("add", "drain", "clear", "page", "last", "sample_end", "initialise", "word"):
        getattr(dut, f"op_{name}_i").value = 0
    await start(dut)


@cocotb.test()
@cocotb.parametrize((("gap",), [(0.0,), (0.4,)]))
async def sums_of_every_step(dut: Any, gap: float) -> None:
    p, random = bench_description()["parameters"], Random(21)
    clocks, expected = clocks_and_sums(p, random, gap)
    await started(dut)
    assert await driven(dut, p, random, clocks) == expected


@cocotb.test()
async def initialisation_empties_everything(dut: Any) -> None:
    """Rows in both pages, or in all slots, a reset of one clock, and the drains and clears that
    follow a reset: every sum is 0.
    """
    p, random = bench_description()["parameters"], Random(22)
    await started(dut)
    await driven(
        dut,
        p,
        random,
        [{"page": t & 1, "row": random_row(p, random)} for t in range(8 * p["WORDS"])],
    )
    dut.rst_ni.value = 0
    await FallingEdge(dut.clk_i)
    dut.rst_ni.value = 1
    drains = [{"word": w, "last": int(w == p["WORDS"] - 1)} for w in range(p["WORDS"])]
    clears: list[Operation] = [{"clear": 1}] * (p["WORDS"] * p["SLOTS"] if p["SLOTS"] > 1 else 0)
    steps = [{**d, "drain": 1, "page": t & 1} for t in range(max(2, p["SLOTS"])) for d in drains]
    sums = await driven(dut, p, random, [*[{**d, **INITIALISE} for d in drains], *clears, *steps])
    assert sums == [(0, d["last"], 0) for d in steps]


SHAPES = [
    {"LANES": 4, "UPDATE_LANES": 2, "WORDS": 7, "SLOTS": 1},
    {"LANES": 1, "UPDATE_LANES": 1, "WORDS": 1, "SLOTS": 1},
    {"LANES": 5, "UPDATE_LANES": 3, "WORDS": 40, "SLOTS": 1},
    {"LANES": 3, "UPDATE_LANES": 4, "WORDS": 5, "SLOTS": 8},
]


@pytest.mark.rtl
@pytest.mark.parametrize("shape", range(len(SHAPES)))
def test_nhw_sparse_accumulator(shape: int, tmp_path: Path) -> None:
    parameters = {**SHAPES[shape], "WEIGHT_BITS": 4, "LANE_BITS": 13, "ACCUMULATOR_BITS": 15}
    run_bench("test_nhw_sparse_accumulator", "nhw_sparse_accumulator", parameters, tmp_path)
