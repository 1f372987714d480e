"""Bench of `nhw_layer`: every beat and every state against the integer model, over the corners of the parameters."""

from pathlib import Path
from random import Random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import ClockCycles, RisingEdge
from common import (
    STREAM_CONDITIONS,
    bench_description,
    probe_log,
    run_bench,
    start,
    step_frame,
    stream_sink,
    stream_source,
)
from layer_model import LayerData, NeuronState, random_data, step, write_images

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
    "four_groups_two_banks": {"INPUTS": 12, "NEURONS": 32, "LANES": 8, "UPDATE_LANES": 2, "threshold": (5, 40)},
    "one_group": {"INPUTS": 20, "NEURONS": 7, "LANES": 8, "UPDATE_LANES": 4, "threshold": (3, 30)},
    "single_neuron": {
        "INPUTS": 1, "NEURONS": 1, "LANES": 1, "UPDATE_LANES": 1, "WEIGHT_BITS": 2, "DECAY_KIND": 0,
        "MEMBRANE_BITS": 6, "CURRENT_BITS": 8, "threshold": (1, 3),
    },
    "multiply_hard_refractory_ragged": {
        "INPUTS": 9, "NEURONS": 21, "LANES": 6, "UPDATE_LANES": 3, "DECAY_KIND": 2, "DECAY_VALUE": 700,
        "HARD_RESET": 1, "REFRACTORY_STEPS": 2, "WEIGHT_EXPONENT": 1, "threshold": (5, 60),
    },
    "current_shift_saturating": {
        "INPUTS": 10, "NEURONS": 12, "LANES": 4, "UPDATE_LANES": 4, "SYNAPSE_KIND": 1, "WEIGHT_BITS": 8,
        "CURRENT_BITS": 11, "MEMBRANE_BITS": 9, "threshold": (100, 255), "DECAY_VALUE": 4,
    },
    "current_multiply_refractory": {
        "INPUTS": 10, "NEURONS": 5, "LANES": 2, "UPDATE_LANES": 1, "SYNAPSE_KIND": 2, "SYNAPSE_VALUE": 1500,
        "DECAY_KIND": 2, "DECAY_VALUE": 100, "REFRACTORY_STEPS": 1, "CURRENT_BITS": 9, "MEMBRANE_BITS": 12,
        "threshold": (20, 200),
    },
    "integrator": {
        "INPUTS": 16, "NEURONS": 10, "LANES": 2, "UPDATE_LANES": 2, "SPIKING": 0, "MEMBRANE_BITS": 16,
        "DECAY_VALUE": 5, "threshold": (50, 60),
    },
    "integrator_ragged_current": {
        "INPUTS": 5, "NEURONS": 11, "LANES": 4, "UPDATE_LANES": 4, "SPIKING": 0, "MEMBRANE_BITS": 10,
        "SYNAPSE_KIND": 3, "CURRENT_BITS": 10, "DECAY_KIND": 2, "DECAY_VALUE": 4095, "threshold": (50, 60),
    },
}


def stimulus(inputs: int, seed: int) -> list[tuple[list[int], bool]]:
    """Steps of three samples: silence, bursts (with repeated and unknown sources) and everything between."""
    random = Random(seed)
    steps = []
    for sample in range(3):
        length = 9
        for t in range(length):
            count = random.choice([0, 0, 1, 3, 8]) if sample else random.choice([0, 2, 5])
            events = [random.randrange(inputs) for _ in range(count)]
            if t == 2:
                events.append(inputs + random.randrange(3))
            steps.append((events, t == length - 1))
    return steps


def expectation(
    parameters: dict[str, Any], data: LayerData, steps: list[tuple[list[int], bool]]
) -> tuple[list[tuple[list[int], list[int]]], list[tuple[int, ...]]]:
    """Output frames (data without the barrier's, tuser) and probe calls."""
    neurons = parameters["NEURONS"]
    states = [NeuronState() for _ in range(neurons)]
    frames, calls = [], []
    for events, last in steps:
        states = step(parameters, data, states, events)
        for neuron, state in enumerate(states):
            calls.append(
                (parameters["LAYER_ID"], neuron, state.spike, state.membrane, state.current, state.refractory)
            )
        if parameters["SPIKING"]:
            spikes = [neuron for neuron, state in enumerate(states) if state.spike]
            frames.append((spikes, [0] * len(spikes) + [int(last)]))
        elif last:
            membranes = [state.membrane & 0xFFFFFFFF for state in states]
            frames.append((membranes, [0] * (neurons - 1) + [1]))
        if last:
            states = [NeuronState() for _ in range(neurons)]
    return frames, calls


@cocotb.test()
@STREAM_CONDITIONS
async def every_beat_and_state(dut: Any, idle: float, backpressure: float) -> None:
    bench = bench_description()
    parameters, data = bench["parameters"], LayerData(**bench["data"])
    steps = stimulus(parameters["INPUTS"], seed=11)
    frames, calls = expectation(parameters, data, steps)
    source, sink = stream_source(dut, idle), stream_sink(dut, backpressure)
    before = len(probe_log()) if bench_started() else 0
    await start(dut)
    for events, last in steps:
        await source.send(step_frame(events, last))
    for number, (values, users) in enumerate(frames):
        frame = await sink.recv()
        received = list(frame.tdata) if not parameters["SPIKING"] else list(frame.tdata)[:-1]
        assert received == values, f"output frame {number}"
        tuser = frame.tuser if isinstance(frame.tuser, list) else [frame.tuser] * len(frame.tdata)
        assert [int(user) for user in tuser] == users, f"tuser of output frame {number}"
    await ClockCycles(dut.clk_i, 60)
    assert sink.empty(), "beats that nobody expected"
    assert probe_log()[before:] == calls


def bench_started() -> bool:
    """Whether an earlier test of this simulation has already called the probe."""
    try:
        return len(probe_log()) > 0
    except FileNotFoundError:
        return False


@cocotb.test()
async def one_row_a_clock(dut: Any) -> None:
    """A burst of n events takes n*GROUPS clocks, and a silent step about WORDS."""
    parameters = bench_description()["parameters"]
    groups = -(-parameters["NEURONS"] // parameters["LANES"])
    words = -(-parameters["NEURONS"] // parameters["UPDATE_LANES"])
    source, sink = stream_source(dut, 0.0), stream_sink(dut, 0.0)
    await start(dut)
    await source.send(step_frame([], True))
    await ClockCycles(dut.clk_i, 100)

    burst, silent = 50, 6
    await source.send(step_frame([0] * burst, False))
    for _ in range(silent):
        await source.send(step_frame([], False))
    clocks = accepted = barriers = waiting = 0
    while barriers < silent + 1:
        await RisingEdge(dut.clk_i)
        clocks += int(accepted > 0)
        if dut.s_axis_tvalid.value and dut.s_axis_tready.value:
            accepted += 1
            barriers += int(dut.s_axis_tlast.value)
        waiting += int(dut.waiting_o.value)
    step_clocks = max(words + 1, 8)
    # an output of many spikes may hold back the drains: the burst is made to be fast, not to be silent
    assert waiting <= burst * groups + 6
    if not parameters["SPIKING"]:
        assert clocks <= burst * groups + (silent + 1) * step_clocks + 4
    assert sink is not None


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
    run_bench("test_nhw_layer", "nhw_layer", parameters, tmp_path, {"data": vars(data)}, probe=True)
