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
    words = bench_description()["words"]
    start_clock(dut)
    for address in [*range(len(words)), *reversed(range(len(words)))]:
        dut.address_i.value = address
        await FallingEdge(dut.clk_i)
        assert int(dut.data_o.value) == words[address]


@pytest.mark.rtl
@pytest.mark.parametrize(("words", "style"), [(1, "distributed"), (6, "block")])
def test_nhw_parameter_memory(words: int, style: str, tmp_path: Path) -> None:
    random = Random(words)
    content = [random.getrandbits(30) for _ in range(words)]
    image = tmp_path / "parameters.hex"
    image.write_text("".join(f"{word:08x}\n" for word in content))
    parameters: dict[str, int | str] = {"WORDS": words, "BITS": 30, "PARAMETER_FILE": str(image)}
    parameters["MEMORY_STYLE"] = style
    run_bench("test_nhw_parameter_memory", "nhw_parameter_memory", parameters, tmp_path, {"words": content})
