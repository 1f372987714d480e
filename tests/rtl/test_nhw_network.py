# SPDX-License-Identifier: Apache-2.0
"""A whole generated network on its real interfaces:

AXI-Stream in and out, AXI4-Lite registers, against the golden model.
"""

import os
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotbext.axi import AxiLiteBus, AxiLiteMaster

from neurohw import Integrator, Lif, QuantizedNetwork, digest_of, feed_forward, quantize, run_golden
from neurohw.hardware.generate import emit
from tests.random_networks import random_stimulus, random_trained
from tests.rtl.common import (
    STREAM_CONDITIONS,
    start,
    step_frame,
    stream_sink,
    stream_source,
    tool_environment,
)

REPOSITORY = Path(__file__).resolve().parents[2]
KINDS = ("spikes", "membranes")


def network(kind: str) -> tuple[QuantizedNetwork, np.ndarray]:
    """The same model and stimulus for the launcher and for the bench."""
    rng = np.random.default_rng(KINDS.index(kind))
    output = Lif(decay=0.5) if kind == "spikes" else Integrator()
    model = quantize(
        random_trained(rng, feed_forward([9, 11, 5], Lif(decay=0.75), output), steps=4), 6
    )
    return model, random_stimulus(rng, model.network, 4, 5)


@cocotb.test()
@STREAM_CONDITIONS
async def streams_and_registers(dut: Any, idle: float, backpressure: float) -> None:
    kind = os.environ["NHW_NETWORK_KIND"]
    model, stimulus = network(kind)
    golden = run_golden(model, stimulus)
    source, sink = stream_source(dut, idle), stream_sink(dut, backpressure)
    registers = AxiLiteMaster(
        AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk_i, dut.rst_ni, reset_active_level=False
    )
    await start(dut)
    steps, samples, _ = stimulus.shape
    for sample in range(samples):
        for step in range(steps):
            events = np.repeat(np.arange(9), stimulus[step, sample]).tolist()
            events += [9, 40_000] if step == 1 else []  # there are no such neurons
            await source.send(step_frame(events, step == steps - 1))
    for sample in range(samples):
        if kind == "membranes":
            frame = await sink.recv(compact=False)
            values = np.array([int(x) for x in frame.tdata], np.uint32).astype(np.int32)
            assert np.array_equal(values, golden.states["v.output"][-1, sample])
        else:
            for step in range(steps):
                frame = await sink.recv(compact=False)
                counts = np.bincount([int(x) for x in frame.tdata][:-1], minlength=5)
                assert np.array_equal(counts, golden.spikes["output"][step, sample]), (sample, step)
    assert await registers.read_dword(0x00) == 0x4E485732
    assert "".join(
        [f"{await registers.read_dword(0x40 + 4 * i):08x}" for i in range(8)]
    ) == digest_of(model)
    assert await registers.read_dword(0x18) == steps * samples
    assert await registers.read_dword(0x10) == 4  # STATUS: invalid events
    assert await registers.read_dword(0x2C) == 2 * samples
    assert await registers.read_dword(0x80) == int(stimulus.sum()) + 2 * samples
    assert await registers.read_dword(0x88) == int(golden.spikes["hidden1"].sum())


@pytest.mark.rtl
@pytest.mark.parametrize("kind", KINDS)
def test_nhw_network(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cocotb_tools.runner import get_runner

    for name, value in tool_environment().items():
        monkeypatch.setenv(name, value)
    package = emit(network(kind)[0], lanes=4)
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
        test_module="tests.rtl.test_nhw_network",
        test_dir=folder,
        build_dir=tmp_path / "build",
        results_xml=str(tmp_path / "results.xml"),
        seed=1,
        extra_env={"NHW_NETWORK_KIND": kind, "PYTHONPATH": str(REPOSITORY)},
    )
