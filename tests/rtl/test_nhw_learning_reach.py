# SPDX-License-Identifier: Apache-2.0
"""Bench of `nhw_learning_reach`: words with none, some and all spikes, back to back, against the
image.
"""

from pathlib import Path
from random import Random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import FallingEdge

from tests.rtl.common import bench_description, run_bench, start


@cocotb.test()
async def steps(dut: Any) -> None:
    bench = bench_description()
    p, image = bench["parameters"], bench["image"]
    words, lanes = p["POPULATION_WORDS"], p["UPDATE_LANES"]
    random = Random(5)
    dut.clear_i.value = dut.word_valid_i.value = 0
    await start(dut)
    for _ in range(40):
        await FallingEdge(dut.clk_i)
        dut.clear_i.value = 1
        await FallingEdge(dut.clk_i)
        dut.clear_i.value = 0
        density, gap = random.choice([0.0, 0.2, 1.0]), random.choice([0.0, 0.6])
        expected = 0
        for word in range(words):
            while random.random() < gap:
                dut.word_valid_i.value = 0
                await FallingEdge(dut.clk_i)
            spikes = [random.random() < density for _ in range(lanes)]
            for lane, spike in enumerate(spikes):
                expected |= image[word * lanes + lane] if spike else 0
            dut.word_valid_i.value, dut.word_last_i.value = 1, int(word == words - 1)
            dut.spikes_i.value = sum(int(s) << lane for lane, s in enumerate(spikes))
            await FallingEdge(dut.clk_i)
        dut.word_valid_i.value = 0
        clocks = 0
        await FallingEdge(dut.clk_i)
        while dut.done_o.value != 1:
            await FallingEdge(dut.clk_i)
            clocks += 1
        assert int(dut.reached_o.value) == expected
        assert clocks <= words * lanes + 6


@pytest.mark.rtl
@pytest.mark.parametrize(("words", "lanes"), [(3, 4), (1, 1)])
def test_nhw_learning_reach(words: int, lanes: int, tmp_path: Path) -> None:
    random = Random(1)
    image = [random.getrandbits(11) & random.getrandbits(11) for _ in range(words * lanes)]
    (tmp_path / "reach.hex").write_text("\n".join(f"{w:x}" for w in image) + "\n")
    parameters: dict[str, int | str] = {
        "POPULATION_WORDS": words, "UPDATE_LANES": lanes, "SOURCES": 11,
        "REACH_FILE": str(tmp_path / "reach.hex"),
    }  # fmt: skip
    run_bench(
        "test_nhw_learning_reach", "nhw_learning_reach", parameters, tmp_path, {"image": image}
    )
