# SPDX-License-Identifier: Apache-2.0
"""A whole learning network on its real interfaces (`nhw_learning_core`, `nhw_learning_registers`):
streams, learning on and off, weights read, restored and learned again.
"""

from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotbext.axi import AxiLiteBus, AxiLiteMaster

from neurohw.hardware.generate.plastic import emit_plastic, learning_layout
from neurohw.plasticity.golden import run_plastic_golden
from neurohw.plasticity.integer import QuantizedPlasticity, quantize_plasticity
from neurohw.stimulus import Spikes
from tests.random_plasticity import random_learning
from tests.rtl.common import start, step_frame, stream_sink, stream_source, tool_environment

REPOSITORY = Path(__file__).resolve().parents[2]
LANES, UPDATE_LANES = 4, 2
LEARNING, PLACE, WEIGHT, ASTROCYTE, SHAPE = 0x60, 0x64, 0x68, 0x6C, 0x70


def network() -> tuple[QuantizedPlasticity, np.ndarray]:
    """The same model and stimulus [time, sample, neuron] for the launcher and for the bench."""
    rng = np.random.default_rng(11)
    trained, plasticity = random_learning(rng, 4, 6, 0.6, at_limits=True)
    return quantize_plasticity(trained, plasticity, 10, 6), (rng.random((12, 2, 4)) < 0.8).astype(
        np.uint8
    )


@cocotb.test()
@cocotb.parametrize((("idle", "backpressure"), [(0.0, 0.0), (0.4, 0.4)]))
async def learns_and_is_restored(dut: Any, idle: float, backpressure: float) -> None:
    q, stimulus = network()
    layout = learning_layout(q, LANES, UPDATE_LANES)
    rows = len(layout.weights)
    learned = run_plastic_golden(q, Spikes(stimulus), np.array([True, False]))
    source, sink = stream_source(dut, idle), stream_sink(dut, backpressure)
    registers = AxiLiteMaster(
        AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk_i, dut.rst_ni, reset_active_level=False
    )
    await start(dut)

    async def read(address: int) -> int:
        value = await registers.read_dword(address)
        return value - (1 << 32) if value >> 31 else value

    async def run(sample: int, expected: np.ndarray) -> None:
        steps = len(stimulus)
        for step in range(steps):
            await source.send(
                step_frame(np.flatnonzero(stimulus[step, sample]).tolist(), step == steps - 1)
            )
        for step in range(steps):
            frame = await sink.recv(compact=False)
            assert [int(x) for x in frame.tdata][:-1] == np.flatnonzero(expected[step]).tolist(), (
                sample,
                step,
            )

    async def fetch() -> np.ndarray:
        await registers.write_dword(PLACE, 0)
        places = 1 << (LANES - 1).bit_length()
        values = [await read(WEIGHT) for _ in range(rows * LANES)]
        assert await read(PLACE) == (0 if rows & (rows - 1) == 0 else rows * places)
        return np.array(values).reshape(rows, LANES)

    def placed(weights: dict[str, np.ndarray]) -> np.ndarray:
        result = np.zeros((rows, LANES), np.int64)
        for name, w in weights.items():
            result[layout.row[name], layout.lane[name]] = w
        return result

    async def restore() -> None:
        await registers.write_dword(PLACE, 0)
        for weight in layout.weights.ravel().tolist():
            await registers.write_dword(WEIGHT, weight & 0xFFFFFFFF)

    # a reset does not bring the image back: what the run before has learned is still there
    if idle:
        await restore()
    assert np.array_equal(await fetch(), layout.weights)
    spikes = learned.trace.spikes["liquid"]
    assert spikes.sum() > 5
    await run(0, spikes[:, 0])
    # asked for at once: the answer waits for the end of the last pass
    assert np.array_equal(await fetch(), placed(learned.weights))
    assert not np.array_equal(placed(learned.weights), layout.weights)
    assert await read(ASTROCYTE) == q.depression
    await registers.write_dword(LEARNING, 0)
    assert await read(LEARNING) == 0
    await run(1, spikes[:, 1])
    assert np.array_equal(await fetch(), placed(learned.weights))
    # restored, the first sample gives what it gave at first
    await registers.write_dword(LEARNING, 1)
    await restore()
    await run(0, spikes[:, 0])
    assert np.array_equal(await fetch(), placed(learned.weights))
    assert await read(SHAPE) == q.weight.bits << 24 | LANES << 16 | rows
    assert await read(0x00) == 0x4E485732
    assert (
        "".join([f"{await registers.read_dword(0x40 + 4 * i):08x}" for i in range(8)]) == q.digest()
    )
    assert await read(0x18) == 3 * len(stimulus)
    assert await read(0x80) == int(stimulus[:, [0, 1, 0]].sum())


@pytest.mark.rtl
def test_nhw_learning_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cocotb_tools.runner import get_runner

    for name, value in tool_environment().items():
        monkeypatch.setenv(name, value)
    package = emit_plastic(network()[0], LANES, UPDATE_LANES)
    folder = tmp_path / "rtl"
    package.write(folder)
    runner = get_runner("verilator")
    runner.build(
        sources=[folder / name for name in package.sources()],
        hdl_toplevel="nhw_network",
        build_args=["-Wall", "--assert", "-CFLAGS", "-O0"],
        build_dir=tmp_path / "build",
        always=True,
    )
    runner.test(
        hdl_toplevel="nhw_network",
        test_module="tests.rtl.test_nhw_learning_core",
        test_dir=folder,
        build_dir=tmp_path / "build",
        results_xml=str(tmp_path / "results.xml"),
        seed=1,
        extra_env={"PYTHONPATH": str(REPOSITORY)},
    )
