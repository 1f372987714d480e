# SPDX-License-Identifier: Apache-2.0
"""Bench of `nhw_parameter_memory`."""

from pathlib import Path
from random import Random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import FallingEdge

from tests.rtl.common import bench_description, run_bench, start_clock


@cocotb.test()
async def every_word(dut: Any) -> None:
    bench = bench_description()
    first, mask = bench["parameters"]["FIRST"], (1 << bench["parameters"]["BITS"]) - 1
    words = bench["words"]
    start_clock(dut)
    for address in [*range(len(words)), *reversed(range(len(words)))]:
        dut.address_i.value = address
        await FallingEdge(dut.clk_i)
        assert int(dut.data_o.value) == words[address] >> first & mask


@pytest.mark.rtl
@pytest.mark.parametrize(
    ("words", "style", "first", "bits"),
    [(1, "distributed", 0, 30), (6, "block", 7, 13), (5, "auto", 29, 1)],
)
def test_nhw_parameter_memory(
    words: int, style: str, first: int, bits: int, tmp_path: Path
) -> None:
    random = Random(words)
    content = [random.getrandbits(30) for _ in range(words)]
    image = tmp_path / "parameters.hex"
    image.write_text("".join(f"{word:08x}\n" for word in content))
    parameters: dict[str, int | str] = {
        "WORDS": words,
        "WORD_BITS": 30,
        "PARAMETER_FILE": str(image),
    }
    parameters |= {"FIRST": first, "BITS": bits, "MEMORY_STYLE": style}
    run_bench(
        "test_nhw_parameter_memory",
        "nhw_parameter_memory",
        parameters,
        tmp_path,
        {"words": content},
    )
