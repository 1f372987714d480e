# SPDX-License-Identifier: Apache-2.0
"""The bench of verify_speed.py in cocotb: the first samples through the same design on a GPI clock,
a queue of beats driven and every output membrane compared.
"""

import os
import time
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from cocotb.utils import get_sim_time
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

NANOSECONDS = 10  # of a clock


@cocotb.test()
async def streams(dut: Any) -> None:
    """Every event goes in, every membrane of the output comes out right; the clocks and seconds
    that it took are written down.
    """
    with np.load(os.environ["NHW_STIMULUS"]) as file:
        spikes, expected = file["spikes"], file["expected"]
    dut.rst_ni.value = 0
    for name in ("awvalid", "wvalid", "arvalid", "bready", "rready"):
        getattr(dut, f"s_axil_{name}").value = 0
    source, sink = (
        kind(
            AxiStreamBus.from_prefix(dut, name),
            dut.clk_i,
            dut.rst_ni,
            reset_active_level=False,
            byte_size=bits,
        )
        for kind, name, bits in ((AxiStreamSource, "s_axis", 16), (AxiStreamSink, "m_axis", 32))
    )
    Clock(dut.clk_i, NANOSECONDS, unit="ns").start()
    await ClockCycles(dut.clk_i, 8)
    dut.rst_ni.value = 1
    await RisingEdge(dut.clk_i)
    started, begun = get_sim_time("ns"), time.perf_counter()
    steps, samples, _ = spikes.shape
    for sample in range(samples):
        for step in range(steps):
            events = np.flatnonzero(spikes[step, sample]).tolist()
            last = [0] * len(events) + [int(step == steps - 1)]
            await source.send(AxiStreamFrame([*events, 0], tuser=last))
    for sample in range(samples):
        frame = await sink.recv(compact=False)
        values = np.array([int(x) for x in frame.tdata], np.uint32).astype(np.int32)
        assert np.array_equal(values, expected[sample]), sample
    with open(os.environ["NHW_CLOCKS"], "w") as file:
        file.write(
            f"{round((get_sim_time('ns') - started) / NANOSECONDS)} {time.perf_counter() - begun}"
        )
