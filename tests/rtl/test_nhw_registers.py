# SPDX-License-Identifier: Apache-2.0
"""Bench of nhw_registers: constants, exact counters under random traffic, clearing, with and
without pauses on every channel.
"""

from pathlib import Path
from random import Random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster

from tests.rtl.common import bench_description, pauses, run_bench, start

DIGEST = "0123456789abcdef0123456789abcdef5555aaaa1234567890abcdefdeadbeef"
COUNTERS = {"steps": 0x18, "samples": 0x1C, "spikes": 0x20, "invalid": 0x2C}
STATUS, POPULATION, SATURATIONS, FULL = 0x10, 0x24, 0x28, 0xFFFFFFFF
INPUTS, UPDATE_LANES = 700, 5
SATURATED, INVALID = 2, 4  # in STATUS


async def traffic(
    dut: Any, layers: int, populations: int, random: Random, clocks: int
) -> dict[str, Any]:
    """Random handshakes on both streams; what they must have been counted as."""
    counted: dict[str, Any] = {
        "steps": 0,
        "samples": 0,
        "spikes": 0,
        "invalid": 0,
        "events": [0] * layers,
        "waiting": [0] * layers,
    }
    counted["saturations"] = [0] * populations
    open_samples = 0
    inside = False
    for clock in range(clocks + 200):
        ending = clock >= clocks
        beat = {
            side: {f: random.random() < 0.6 for f in ("tvalid", "tready", "tlast", "tuser")}
            for side in ("input", "output")
        }
        if ending:  # close every open sample
            beat["input"] = {"tvalid": inside, "tready": True, "tlast": True, "tuser": True}
            beat["output"] = {
                "tvalid": open_samples > 0,
                "tready": True,
                "tlast": True,
                "tuser": True,
            }
        if open_samples == 0 and beat["output"]["tlast"]:
            beat["output"]["tuser"] = False
        for side, fields in beat.items():
            for name, value in fields.items():
                getattr(dut, f"{side}_{name}_i").value = int(value)
        event = 0 if ending else random.getrandbits(layers)
        waiting = 0 if ending else random.getrandbits(layers)
        dut.projection_event_i.value, dut.projection_waiting_i.value = event, waiting
        address = random.choice([0, INPUTS - 1, INPUTS, 0xFFFF])
        dut.input_tdata_i.value = address
        saturated = [
            0 if ending else random.choice([0, 0, 1, UPDATE_LANES]) for _ in range(populations)
        ]
        dut.population_saturated_i.value = sum(n << 3 * k for k, n in enumerate(saturated))
        await RisingEdge(dut.clk_i)
        incoming, outgoing = (b["tvalid"] and b["tready"] for b in beat.values())
        closed = incoming and beat["input"]["tlast"] and beat["input"]["tuser"]
        done = outgoing and beat["output"]["tlast"] and beat["output"]["tuser"]
        counted["steps"] += incoming and beat["input"]["tlast"]
        counted["samples"] += done
        counted["spikes"] += outgoing and not beat["output"]["tlast"]
        counted["invalid"] += incoming and not beat["input"]["tlast"] and address >= INPUTS
        counted["saturations"] = [
            a + b for a, b in zip(counted["saturations"], saturated, strict=True)
        ]
        inside = not closed if incoming else inside
        open_samples += closed - done
        for layer in range(layers):
            counted["events"][layer] += event >> layer & 1
            counted["waiting"][layer] += waiting >> layer & 1
    assert open_samples == 0 and not inside
    for side in ("input", "output"):
        getattr(dut, f"{side}_tvalid_i").value = 0
    return counted


@cocotb.test()
@cocotb.parametrize(pause=[0.0, 0.6])
async def registers(dut: Any, pause: float) -> None:
    layers, populations = (
        bench_description()["parameters"][f"{n}S"] for n in ("PROJECTION", "POPULATION")
    )
    for side in ("input", "output"):
        for name in ("tvalid", "tready", "tlast", "tuser"):
            getattr(dut, f"{side}_{name}_i").value = 0
    dut.projection_event_i.value = dut.projection_waiting_i.value = 0
    dut.input_tdata_i.value = dut.population_saturated_i.value = 0
    master = AxiLiteMaster(
        AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk_i, dut.rst_ni, reset_active_level=False
    )
    if pause:
        write, read = master.write_if, master.read_if
        for number, channel in enumerate(
            (write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel)
        ):
            channel.set_pause_generator(pauses(number, pause)())

    async def saturations() -> list[int]:
        result = []
        for population in range(populations):
            await master.write_dword(POPULATION, population)
            assert await master.read_dword(POPULATION) == population
            result.append(await master.read_dword(SATURATIONS))
        return result

    await start(dut)
    assert await master.read_dword(0x00) == 0x4E485732
    assert await master.read_dword(0x04) == 10 << 16 | INPUTS
    assert await master.read_dword(0x08) == populations << 16 | layers
    assert await master.read_dword(STATUS) == 0
    assert "".join([f"{await master.read_dword(0x40 + 4 * i):08x}" for i in range(8)]) == DIGEST
    for address in (0x0C, 0x30, 0x3C, 0x60, 0x7C, *range(0x80 + 8 * layers, 0x100, 4)):
        assert await master.read_dword(address) == 0
    for round_ in range(2):
        counted = await traffic(dut, layers, populations, Random(round_), 1200)
        await master.write_dword(0x30, 0xFFFFFFFF)  # an unknown address
        await master.write_dword(0x0C, 0xFFFFFFFE)  # not the clear bit
        await ClockCycles(dut.clk_i, 60)
        assert await master.read_dword(STATUS) == SATURATED | INVALID
        assert await saturations() == counted["saturations"]
        await master.write_dword(POPULATION, populations)  # there is no such population
        assert await master.read_dword(SATURATIONS) == 0
        assert {name: await master.read_dword(a) for name, a in COUNTERS.items()} == {
            n: counted[n] for n in COUNTERS
        }
        for layer in range(layers):
            assert await master.read_dword(0x80 + 8 * layer) == counted["events"][layer]
            assert await master.read_dword(0x84 + 8 * layer) == counted["waiting"][layer]
        assert 0 < await master.read_dword(0x14) <= 1500
        for address in (0x14, *COUNTERS.values(), 0x80):  # no counter ever wraps around
            await fill(dut, counter_slot(address, layers))
            assert FULL - 20 <= await master.read_dword(address) < FULL
        await fill(dut, counter_slot(SATURATIONS, layers))
        await traffic(dut, layers, populations, Random(round_), 400)
        await ClockCycles(dut.clk_i, 60)
        await master.write_dword(POPULATION, 0)
        for address in (0x14, *COUNTERS.values(), 0x80, SATURATIONS):
            assert await master.read_dword(address) == FULL, hex(address)
        await master.write_dword(0x0C, 1)
        assert await master.read_dword(STATUS) == 0
        assert await saturations() == [0] * populations
        for address in (0x14, *COUNTERS.values(), *range(0x80, 0x80 + 8 * layers, 4)):
            assert await master.read_dword(address) == 0


def counter_slot(address: int, layers: int) -> int:
    """The word of the memory of counters that a register tells of; of SATURATIONS, that of
    population 0.
    """
    fixed = {0x14: 1, 0x18: 2, 0x1C: 3, 0x20: 0, 0x2C: 4 + 2 * layers, SATURATIONS: 5 + 2 * layers}
    return fixed.get(address, 4 + (address - 0x80) // 4)


async def fill(dut: Any, slot: int) -> None:
    """Set a counter a little below its largest value, while the scan is somewhere else."""
    while int(dut.visit_q.value) != (slot + 5) % len(dut.word_memory):
        await RisingEdge(dut.clk_i)
    dut.word_memory[slot].value = FULL - 10


@pytest.mark.rtl
@pytest.mark.parametrize(("layers", "populations"), [(1, 1), (2, 2), (15, 15), (9, 4)])
def test_nhw_registers(layers: int, populations: int, tmp_path: Path) -> None:
    parameters: dict[str, int | str] = {
        "PROJECTIONS": layers,
        "POPULATIONS": populations,
        "INPUTS": INPUTS,
        "OUTPUTS": 10,
    }
    parameters["UPDATE_LANES"] = UPDATE_LANES
    run_bench(
        "test_nhw_registers", "nhw_registers", {**parameters, "DIGEST": f"256'h{DIGEST}"}, tmp_path
    )
