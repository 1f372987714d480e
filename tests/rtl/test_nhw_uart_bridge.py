# SPDX-License-Identifier: Apache-2.0
"""Bench of nhw_uart_bridge with its receiver, transmitter and queue: commands in, frames out,
nothing lost under backpressure.
"""

from pathlib import Path
from typing import Any

import cocotb
import pytest
from cocotb.triggers import ClockCycles, RisingEdge

from tests.rtl.common import pauses, run_bench, start, step_frame, stream_sink, stream_source

CLOCKS_PER_BIT = 4

pytestmark = pytest.mark.rtl


async def send(dut: Any, data: bytes) -> None:
    """Bytes on the receive line, 8N1, back to back."""
    for byte in data:
        for bit in [0, *[(byte >> i) & 1 for i in range(8)], 1]:
            dut.rx_i.value = bit
            await ClockCycles(dut.clk_i, CLOCKS_PER_BIT)


async def receive(dut: Any, received: bytearray) -> None:
    """Collect the bytes of the transmit line."""
    while True:
        await RisingEdge(dut.clk_i)
        if int(dut.tx_o.value):
            continue
        await ClockCycles(dut.clk_i, CLOCKS_PER_BIT + CLOCKS_PER_BIT // 2)
        byte = 0
        for i in range(8):
            byte |= int(dut.tx_o.value) << i
            await ClockCycles(dut.clk_i, CLOCKS_PER_BIT)
        assert int(dut.tx_o.value) == 1, "stop bit"
        received.append(byte)


async def registers(dut: Any, memory: dict[int, int]) -> None:
    """An AXI4-Lite slave on a dictionary; it takes the address a few clocks before the data."""
    for ready in (
        dut.m_axil_awready,
        dut.m_axil_wready,
        dut.m_axil_arready,
        dut.m_axil_bvalid,
        dut.m_axil_rvalid,
    ):
        ready.value = 0
    address = None
    while True:
        await RisingEdge(dut.clk_i)
        if int(dut.m_axil_arvalid.value) and not int(dut.m_axil_rvalid.value):
            read = int(dut.m_axil_araddr.value)
            dut.m_axil_arready.value = 1
            await RisingEdge(dut.clk_i)
            dut.m_axil_arready.value = 0
            await ClockCycles(dut.clk_i, 3)
            dut.m_axil_rdata.value = memory.get(read, 0)
            dut.m_axil_rvalid.value = 1
            await RisingEdge(dut.clk_i)
            dut.m_axil_rvalid.value = 0
        elif int(dut.m_axil_awvalid.value):
            address = int(dut.m_axil_awaddr.value)
            dut.m_axil_awready.value = 1
            await RisingEdge(dut.clk_i)
            dut.m_axil_awready.value = 0
            await ClockCycles(dut.clk_i, 2)
            memory[address] = int(dut.m_axil_wdata.value)
            dut.m_axil_wready.value = 1
            await RisingEdge(dut.clk_i)
            dut.m_axil_wready.value = 0
            dut.m_axil_bvalid.value = 1
            await RisingEdge(dut.clk_i)
            await RisingEdge(dut.clk_i)
            dut.m_axil_bvalid.value = 0


async def prepare(
    dut: Any, idle: float, backpressure: float
) -> tuple[Any, Any, bytearray, dict[int, int]]:
    dut.rx_i.value = 1
    source, sink = stream_source(dut, idle), stream_sink(dut, 0.0)
    if backpressure:
        sink.set_pause_generator(pauses(5, backpressure)())
    received, memory = bytearray(), {0x00: 0x4E485732, 0x14: 0x01020304}
    await start(dut)
    cocotb.start_soon(receive(dut, received))
    cocotb.start_soon(registers(dut, memory))
    return source, sink, received, memory


def words(events: list[int], last: bool) -> bytes:
    """An 'E' command of one step."""
    beats = [*events, 0x8000 | int(last)]
    return b"E" + bytes([len(beats)]) + b"".join(b.to_bytes(2, "little") for b in beats)


@cocotb.test()
@cocotb.parametrize((("idle", "backpressure"), [(0.0, 0.0), (0.5, 0.9), (0.0, 0.97)]))
async def commands_and_frames(dut: Any, idle: float, backpressure: float) -> None:
    """Steps arrive whole and in order, output beats leave as frames, registers are read and
    written, garbage is ignored.
    """
    source, sink, received, memory = await prepare(dut, idle, backpressure)
    steps = [([1, 2, 300], False), ([], False), ([32767, 0, 0], True)]
    await source.send(step_frame([7, 9], True))
    await send(dut, b"\x00\xff" + b"".join(words(events, last) for events, last in steps))
    await send(dut, b"R\x14" + b"W\x0c\x78\x56\x34\x12" + b"R\x00" + b"E\x00" + b"R\x0c")
    for events, last in steps:
        frame = await sink.recv(compact=False)
        assert list(frame.tdata)[:-1] == events
        user = frame.tuser if isinstance(frame.tuser, list) else [frame.tuser] * len(frame.tdata)
        assert user[-1] == int(last) and not any(user[:-1])
    while len(received) < 3 * 6 + 3 * 5 + 1:
        await ClockCycles(dut.clk_i, 10)
    assert memory[0x0C] == 0x12345678
    outputs, replies, rest = [], [], bytes(received)
    while rest:
        size = {0x6F: 6, 0x72: 5, 0x77: 1}[rest[0]]
        (outputs if rest[0] == 0x6F else replies).append(rest[:size])
        rest = rest[size:]
    assert outputs == [b"o\x00\x07\x00\x00\x00", b"o\x00\x09\x00\x00\x00", b"o\x03\x00\x00\x00\x00"]
    assert replies == [b"r\x04\x03\x02\x01", b"w", b"r2WHN", b"r\x78\x56\x34\x12"]


@cocotb.test()
async def a_stopped_network_loses_nothing(dut: Any) -> None:
    """256 bytes wait in the queue while the network takes nothing; then every event arrives."""
    _, sink, _, _ = await prepare(dut, 0.0, 0.0)
    sink.pause = True
    events = list(range(1, 125))
    await send(dut, words(events, True))
    sink.pause = False
    frame = await sink.recv(compact=False)
    assert list(frame.tdata)[:-1] == events


def test_nhw_uart_bridge(tmp_path: Path) -> None:
    run_bench(
        "test_nhw_uart_bridge", "nhw_uart_bridge", {"CLOCKS_PER_BIT": CLOCKS_PER_BIT}, tmp_path
    )
