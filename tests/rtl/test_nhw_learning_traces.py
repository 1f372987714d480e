# SPDX-License-Identifier: Apache-2.0
"""Bench of `nhw_learning_traces`: sweeps with extreme amplitudes and traces, against plain
integers.
"""

from pathlib import Path
from random import Random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import FallingEdge

from tests.rtl.common import bench_description, run_bench, start


def signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


@cocotb.test()
async def sweeps(dut: Any) -> None:
    description = bench_description()
    p, inhibitory, learns = (
        description["parameters"],
        description["inhibitory"],
        description["learns"],
    )
    words, own, lanes, bits = p["WORDS"], p["POPULATION_WORDS"], p["UPDATE_LANES"], p["AMOUNT_BITS"]
    random = Random(4)
    most, half = (1 << (bits - 1)) - 1, 1 << p["SHIFT"] >> 1
    dut.in_valid_i.value = dut.in_sample_end_i.value = 0
    dut.in_spikes_i.value = 0
    await start(dut)
    for _ in range(words):
        await FallingEdge(dut.clk_i)
        dut.in_valid_i.value, dut.in_initialise_i.value = 1, 1
    await FallingEdge(dut.clk_i)
    dut.in_valid_i.value, dut.in_initialise_i.value = 0, 0
    traces = [0] * (words * lanes)

    def amount(amplitude: int, trace: int) -> int:
        return max(-most, min(most, (amplitude * trace + half) >> p["SHIFT"]))

    for step in range(60):
        for _ in range(8):
            await FallingEdge(dut.clk_i)
        largest = (1 << (p["AMPLITUDE_BITS"] - 1)) - 1
        amplitude = random.choice([0, largest, -largest - 1, random.randint(-largest, largest)])
        density = random.choice([0.0, 0.2, 1.0]) if step < 30 else 1.0
        spikes = [random.random() < density for _ in traces]
        ends = step % 13 == 12
        dut.amplitude_i.value, dut.in_sample_end_i.value = amplitude, int(ends)
        received: list[Any] = []
        swept = 0

        def look(received: list[Any] = received) -> int:
            if dut.out_valid_o.value != 1:
                return 0
            fields = (dut.out_potentiation_o, dut.out_depression_o, dut.out_change_o)
            word, flags = (
                int(dut.out_word_o.value),
                (dut.out_spikes_o, dut.out_inhibitory_o, dut.out_learns_o),
            )
            for lane in range(lanes):
                values = [
                    signed(int(f.value) >> (lane * bits) & ((1 << bits) - 1), bits) for f in fields
                ]
                received.append(
                    (word * lanes + lane, *(int(f.value) >> lane & 1 for f in flags), *values)
                )
            return int(dut.swept_o.value)

        for word in range(words):
            while random.random() < 0.2:
                dut.in_valid_i.value = 0
                await FallingEdge(dut.clk_i)
                swept += look()
            dut.in_valid_i.value = 1
            dut.in_spikes_i.value = sum(
                int(spikes[word * lanes + lane]) << lane for lane in range(lanes)
            )
            await FallingEdge(dut.clk_i)
            swept += look()
        dut.in_valid_i.value = 0
        for _ in range(6):
            await FallingEdge(dut.clk_i)
            swept += look()
        expected = []
        for n, trace in enumerate(traces):
            potentiation, depression = amount(p["POTENTIATION"], trace), amount(amplitude, trace)
            change = 0 if not learns[n] else -depression if inhibitory[n] else potentiation
            expected.append(
                (n, int(spikes[n]), inhibitory[n], learns[n], potentiation, -depression, change)
            )
        assert received == expected, step
        assert swept == 1
        population = sum(spikes[: own * lanes])
        assert dut.surplus_o.value.to_signed() == population - sum(spikes[own * lanes :])
        raised = [trace + p["INCREMENT"] * int(s) for trace, s in zip(traces, spikes, strict=True)]
        traces = [0 if ends else r * (4096 - p["DECAY"]) // 4096 for r in raised]


SHAPES = [
    {
        "WORDS": 5,
        "POPULATION_WORDS": 3,
        "UPDATE_LANES": 4,
        "AMPLITUDE_BITS": 14,
        "SHIFT": 13,
        "AMOUNT_BITS": 6,
    },
    {
        "WORDS": 2,
        "POPULATION_WORDS": 1,
        "UPDATE_LANES": 1,
        "AMPLITUDE_BITS": 4,
        "SHIFT": 0,
        "AMOUNT_BITS": 20,
    },
]


@pytest.mark.rtl
@pytest.mark.parametrize("shape", SHAPES)
def test_nhw_learning_traces(shape: dict[str, int | str], tmp_path: Path) -> None:
    random = Random(1)
    words, lanes = int(shape["WORDS"]), int(shape["UPDATE_LANES"])
    flags = [[random.randrange(2) for _ in range(words * lanes)] for _ in range(2)]

    def word(w: int) -> int:
        places = [(kind, lane) for kind in range(2) for lane in range(lanes)]
        return sum(flags[kind][w * lanes + lane] << (kind * lanes + lane) for kind, lane in places)

    text = "\n".join(f"{word(w):x}" for w in range(words))
    (tmp_path / "classes.hex").write_text(text + "\n")
    parameters = {
        **shape, "TRACE_BITS": 11, "DECAY": 390, "INCREMENT": 102, "POTENTIATION": 614,
        "SURPLUS_BITS": 6,
        "CLASS_FILE": str(tmp_path / "classes.hex"),
    }  # fmt: skip
    bench = {"inhibitory": flags[0], "learns": flags[1]}
    run_bench("test_nhw_learning_traces", "nhw_learning_traces", parameters, tmp_path, bench)
