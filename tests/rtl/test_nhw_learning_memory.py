# SPDX-License-Identifier: Apache-2.0
"""Bench of `nhw_learning_memory`: the images, and rows written and read in the same clocks, never
the same row.
"""

from pathlib import Path
from random import Random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import FallingEdge

from tests.rtl.common import bench_description, run_bench, start_clock


@cocotb.test()
async def rows(dut: Any) -> None:
    bench = bench_description()
    p, weights, targets = bench["parameters"], list(bench["weights"]), bench["targets"]
    random = Random(3)
    start_clock(dut)
    dut.write_enable_i.value = dut.snapshot_i.value = 0
    asked: list[Any] = []
    for _ in range(300):
        await FallingEdge(dut.clk_i)
        if len(asked) >= 2:
            row, weight = asked[-2]
            assert int(dut.weights_o.value) == weight, row
            group_bits = p["GROUPS"].bit_length() - 1
            for lane in range(p["LANES"]):
                there, group = divmod(
                    targets[row] >> (lane * (group_bits + 1)) & ((2 << group_bits) - 1),
                    1 << group_bits,
                )
                assert int(dut.there_o.value) >> lane & 1 == there
                assert (
                    int(dut.groups_o.value) >> (lane * group_bits) & ((1 << group_bits) - 1)
                    == group
                )
        row, other = random.sample(range(p["ROWS"]), 2)
        dut.row_i.value = row
        asked.append((row, weights[row]))
        write = random.random() < 0.5
        dut.write_enable_i.value = int(write)
        dut.write_row_i.value = other
        word = random.getrandbits(p["LANES"] * p["WEIGHT_BITS"])
        dut.write_weights_i.value = word
        if write:
            weights[other] = word


@pytest.mark.rtl
def test_nhw_learning_memory(tmp_path: Path) -> None:
    random = Random(9)
    parameters: dict[str, int | str] = {"ROWS": 7, "LANES": 3, "WEIGHT_BITS": 5, "GROUPS": 4}
    weights, targets = (
        [random.getrandbits(15) for _ in range(7)],
        [random.getrandbits(9) for _ in range(7)],
    )
    for name, words in (("WEIGHT_FILE", weights), ("TARGET_FILE", targets)):
        parameters[name] = str(tmp_path / f"{name}.hex")
        Path(str(parameters[name])).write_text("\n".join(f"{w:x}" for w in words) + "\n")
    bench = {"weights": weights, "targets": targets}
    run_bench("test_nhw_learning_memory", "nhw_learning_memory", parameters, tmp_path, bench)
