# SPDX-License-Identifier: Apache-2.0
"""Bench of `nhw_layer`: every beat and every state against the integer model, over the corners of
the parameters.
"""

from pathlib import Path
from random import Random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import ClockCycles, RisingEdge

from tests.rtl.common import (
    STREAM_CONDITIONS,
    bench_description,
    probe_log,
    run_bench,
    start,
    step_frame,
    stream_sink,
    stream_source,
)
from tests.rtl.layer_model import (
    LayerData,
    NeuronState,
    golden_steps,
    random_data,
    step,
    write_images,
)

DEFAULTS: dict[str, int | str] = {
    "LAYER_ID": 3,
    "WEIGHT_BITS": 4,
    "WEIGHT_EXPONENT": 0,
    "ACCUMULATOR_BITS": 12,
    "CURRENT_BITS": 14,
    "MEMBRANE_BITS": 14,
    "DECAY_KIND": 1,
    "DECAY_VALUE": 3,
    "SYNAPSE_KIND": 0,
    "SYNAPSE_VALUE": 2,
    "HARD_RESET": 0,
    "REFRACTORY_STEPS": 0,
    "SPIKING": 1,
    "BANK_ROWS": 32,
    "MEMORY_STYLE": "auto",
}

# the shapes and kinds of neuron; "threshold" is the range of the random thresholds
CASES: dict[str, dict[str, Any]] = {
    "four_groups_two_banks": {
        "INPUTS": 12,
        "NEURONS": 32,
        "LANES": 8,
        "UPDATE_LANES": 2,
        "threshold": (5, 40),
    },
    "one_group": {"INPUTS": 20, "NEURONS": 7, "LANES": 8, "UPDATE_LANES": 4, "threshold": (3, 30)},
    "single_neuron": {
        "INPUTS": 1,
        "NEURONS": 1,
        "LANES": 1,
        "UPDATE_LANES": 1,
        "WEIGHT_BITS": 2,
        "DECAY_KIND": 0,
        "MEMBRANE_BITS": 6,
        "CURRENT_BITS": 8,
        "threshold": (1, 3),
    },
    "multiply_hard_refractory_ragged": {
        "INPUTS": 9,
        "NEURONS": 21,
        "LANES": 6,
        "UPDATE_LANES": 3,
        "DECAY_KIND": 2,
        "DECAY_VALUE": 700,
        "HARD_RESET": 1,
        "REFRACTORY_STEPS": 2,
        "WEIGHT_EXPONENT": 1,
        "threshold": (5, 60),
    },
    "current_shift_saturating": {
        "INPUTS": 10,
        "NEURONS": 12,
        "LANES": 4,
        "UPDATE_LANES": 4,
        "SYNAPSE_KIND": 1,
        "WEIGHT_BITS": 8,
        "CURRENT_BITS": 11,
        "MEMBRANE_BITS": 9,
        "threshold": (100, 255),
        "DECAY_VALUE": 4,
    },
    "current_multiply_refractory": {
        "INPUTS": 10,
        "NEURONS": 5,
        "LANES": 2,
        "UPDATE_LANES": 1,
        "SYNAPSE_KIND": 2,
        "SYNAPSE_VALUE": 1500,
        "DECAY_KIND": 2,
        "DECAY_VALUE": 100,
        "REFRACTORY_STEPS": 1,
        "CURRENT_BITS": 9,
        "MEMBRANE_BITS": 12,
        "threshold": (20, 200),
    },
    "integrator": {
        "INPUTS": 16,
        "NEURONS": 10,
        "LANES": 2,
        "UPDATE_LANES": 2,
        "SPIKING": 0,
        "MEMBRANE_BITS": 16,
        "DECAY_VALUE": 5,
        "threshold": (50, 60),
    },
    "integrator_ragged_current": {
        "INPUTS": 5,
        "NEURONS": 11,
        "LANES": 4,
        "UPDATE_LANES": 4,
        "SPIKING": 0,
        "MEMBRANE_BITS": 10,
        "SYNAPSE_KIND": 3,
        "CURRENT_BITS": 10,
        "DECAY_KIND": 2,
        "DECAY_VALUE": 4095,
        "threshold": (50, 60),
    },
}


STEPS = 9
Samples = list[list[list[int]]]  # events by sample and step


def stimulus(inputs: int, seed: int) -> Samples:
    """Three samples: silence, bursts (with repeated and unknown sources) and everything between."""
    random = Random(seed)
    samples: Samples = []
    for _ in range(3):
        steps = []
        for t in range(STEPS):
            events = [random.randrange(inputs) for _ in range(random.choice([0, 0, 1, 3, 8]))]
            if t == 2:
                events.append(inputs + random.randrange(3))
            steps.append(events)
        samples.append(steps)
    return samples


def expectation(parameters: dict[str, Any], data: LayerData, samples: Samples) -> dict[str, Any]:
    """Output frames (values without the barrier's, tuser) and probe calls, from the golden model.

    The short model of the other benches has to agree.
    """
    neurons = parameters["NEURONS"]
    frames: list[Any] = []
    calls: list[list[int]] = []
    for golden, steps in zip(golden_steps(parameters, data, samples), samples, strict=True):
        states = [NeuronState() for _ in range(neurons)]
        for t, events in enumerate(steps):
            states = step(parameters, data, states, events)
            assert states == golden[t], f"the models differ at step {t}"
            for neuron, state in enumerate(golden[t]):
                values = [
                    state.spike,
                    state.membrane,
                    state.current,
                    state.refractory,
                    state.adaptation,
                ]
                calls.append([parameters["LAYER_ID"], neuron, *values])
            last = int(t == STEPS - 1)
            if parameters["SPIKING"]:
                spikes = [neuron for neuron, state in enumerate(golden[t]) if state.spike]
                frames.append([spikes, [0] * len(spikes) + [last]])
            elif last:
                frames.append(
                    [
                        [state.membrane & 0xFFFFFFFF for state in golden[t]],
                        [0] * (neurons - 1) + [1],
                    ]
                )
    return {"frames": frames, "calls": calls}


@cocotb.test()
@STREAM_CONDITIONS
async def every_beat_and_state(dut: Any, idle: float, backpressure: float) -> None:
    bench = bench_description()
    parameters = bench["parameters"]
    source, sink = stream_source(dut, idle), stream_sink(dut, backpressure)
    before = len(probe_log()) if bench_started() else 0
    await start(dut)
    for steps in bench["samples"]:
        for t, events in enumerate(steps):
            await source.send(step_frame(events, t == STEPS - 1))
    for number, (values, users) in enumerate(bench["frames"]):
        frame = await sink.recv()
        received = list(frame.tdata) if not parameters["SPIKING"] else list(frame.tdata)[:-1]
        assert received == values, f"output frame {number}"
        tuser = frame.tuser if isinstance(frame.tuser, list) else [frame.tuser] * len(frame.tdata)
        assert [int(user) for user in tuser] == users, f"tuser of output frame {number}"
    await ClockCycles(dut.clk_i, 60)
    assert sink.empty(), "beats that nobody expected"
    assert probe_log()[before:] == bench["calls"]


def bench_started() -> bool:
    """Whether an earlier test of this simulation has already called the probe."""
    try:
        return len(probe_log()) > 0
    except FileNotFoundError:
        return False


@cocotb.test()
async def one_row_a_clock(dut: Any) -> None:
    """A burst of n events takes n*GROUPS clocks."""
    parameters = bench_description()["parameters"]
    groups = -(-parameters["NEURONS"] // parameters["LANES"])
    source, sink = stream_source(dut, 0.0), stream_sink(dut, 0.0)
    await start(dut)
    await source.send(step_frame([], True))
    await ClockCycles(dut.clk_i, 100)

    burst = 50
    await source.send(step_frame([0] * burst, False))
    accepted_at, waiting = [], 0
    for clock in range(burst * groups + 50):
        await RisingEdge(dut.clk_i)
        waiting += int(dut.waiting_o.value)
        if dut.event_o.value:
            accepted_at.append(clock)
    assert len(accepted_at) == burst
    # two beats fit between the stream and the row in hand
    assert accepted_at[-1] - accepted_at[2] == (burst - 3) * groups
    assert burst * groups <= waiting <= burst * groups + 4
    assert sink is not None


@cocotb.test()
async def short_reset(dut: Any) -> None:
    """A reset of one clock in the middle of a step leaves nothing behind: the next step equals the
    first one.
    """
    bench = bench_description()
    source, sink = stream_source(dut, 0.0), stream_sink(dut, 0.0)
    await start(dut)
    events = bench["samples"][0][0]
    for offset in range(6):
        await source.send(step_frame([0] * 5, False))
        await ClockCycles(dut.clk_i, 30 + offset)
        dut.rst_ni.value = 0
        await ClockCycles(dut.clk_i, 1)
        dut.rst_ni.value = 1
        await ClockCycles(dut.clk_i, 2)
        source.clear()
        sink.clear()
    await ClockCycles(dut.clk_i, 100)
    before = len(probe_log())
    await source.send(step_frame(events, True))
    await ClockCycles(dut.clk_i, 300)
    neurons = bench["parameters"]["NEURONS"]
    assert probe_log()[before:] == bench["calls"][:neurons]


@pytest.mark.rtl
@pytest.mark.parametrize("case", CASES)
def test_nhw_layer(case: str, tmp_path: Path) -> None:
    shape = dict(CASES[case])
    threshold = shape.pop("threshold")
    parameters = {**DEFAULTS, **shape}
    parameters["WEIGHT_FILE"] = str(tmp_path / "weights_")
    parameters["PARAMETER_FILE"] = str(tmp_path / "parameters.hex")
    data = random_data(parameters, seed=7, threshold=threshold)
    write_images(parameters, data)
    samples = stimulus(parameters["INPUTS"], seed=11)
    bench = {"samples": samples, **expectation(parameters, data, samples)}
    run_bench("test_nhw_layer", "nhw_layer", parameters, tmp_path, bench, probe=True)
