"""Bench of `nhw_neuron_update`, and of `nhw_lif_step` in it: random sums at the shortest allowed distance, every state."""

from pathlib import Path
from random import Random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import ClockCycles, FallingEdge

from tests.rtl.common import bench_description, probe_log, run_bench, start
from tests.rtl.layer_model import LayerData, NeuronState, random_data, step, write_images

MINIMUM_STEP_CLOCKS = 8
SAMPLE_STEPS = 25
STEPS = 100


def expectation(parameters: dict[str, Any], data: LayerData, sums: list[list[int]]) -> dict[str, Any]:
    """Output words and probe calls; one source whose weight is the sum makes the short model serve here."""
    lanes, neurons = parameters["UPDATE_LANES"], parameters["NEURONS"]
    states = [NeuronState() for _ in range(neurons)]
    words: list[Any] = []
    calls: list[list[int]] = []
    for t, row in enumerate(sums):
        source = LayerData([row], data.bias, data.threshold, data.v_reset)
        states = step({**parameters, "INPUTS": 1}, source, states, [0])
        end = t % SAMPLE_STEPS == SAMPLE_STEPS - 1
        for neuron, s in enumerate(states):
            calls.append([parameters["LAYER_ID"], neuron, s.spike, s.membrane, s.current, s.refractory])
        for first in range(0, neurons, lanes):
            chunk = states[first : first + lanes]
            last = first + lanes >= neurons
            if parameters["SPIKING"]:
                words.append([sum(s.spike << lane for lane, s in enumerate(chunk)), int(last), int(end)])
            elif end:
                words.append([[s.membrane for s in chunk], int(last), int(end)])
        if end:
            states = [NeuronState() for _ in range(neurons)]
    return {"words": words, "calls": calls}


@cocotb.test()
async def every_word_and_state(dut: Any) -> None:
    bench = bench_description()
    parameters = bench["parameters"]
    lanes, neurons, bits = parameters["UPDATE_LANES"], parameters["NEURONS"], parameters["ACCUMULATOR_BITS"]
    membrane_bits = parameters["MEMBRANE_BITS"]
    received: list[Any] = []

    def look() -> None:
        if dut.word_valid_o.value != 1:
            return
        if parameters["SPIKING"]:
            content: Any = int(dut.spikes_o.value)
        else:
            vector = int(dut.membranes_o.value)
            used = min(lanes, neurons - len(received) % -(-neurons // lanes) * lanes)
            fields = [vector >> (lane * membrane_bits) & ((1 << membrane_bits) - 1) for lane in range(used)]
            content = [field - (field >> (membrane_bits - 1) << membrane_bits) for field in fields]
        received.append([content, int(dut.word_last_o.value), int(dut.word_sample_end_o.value)])

    async def give(row: list[int], end: bool, initialise: bool) -> None:
        clocks = 0
        for first in range(0, neurons, lanes):
            await FallingEdge(dut.clk_i)
            look()
            chunk = row[first : first + lanes]
            dut.sums_valid_i.value = 1
            dut.sums_last_i.value = int(first + lanes >= neurons)
            dut.sums_sample_end_i.value, dut.sums_initialise_i.value = int(end), int(initialise)
            dut.sums_i.value = sum((v & ((1 << bits) - 1)) << (lane * bits) for lane, v in enumerate(chunk))
            clocks += 1
        while clocks < MINIMUM_STEP_CLOCKS:
            await FallingEdge(dut.clk_i)
            look()
            dut.sums_valid_i.value = 0
            clocks += 1

    dut.sums_valid_i.value = 0
    await start(dut)
    await give([0] * neurons, False, True)
    for t, row in enumerate(bench["sums"]):
        await give(row, t % SAMPLE_STEPS == SAMPLE_STEPS - 1, False)
    for _ in range(20):
        await FallingEdge(dut.clk_i)
        look()
        dut.sums_valid_i.value = 0
    await ClockCycles(dut.clk_i, 2)
    assert received == bench["words"]
    assert probe_log() == bench["calls"]


DEFAULTS: dict[str, int | str] = {
    "LAYER_ID": 1, "UPDATE_LANES": 2, "ACCUMULATOR_BITS": 8, "CURRENT_BITS": 12, "MEMBRANE_BITS": 12,
    "WEIGHT_EXPONENT": 0, "DECAY_KIND": 1, "DECAY_VALUE": 3, "SYNAPSE_KIND": 0, "SYNAPSE_VALUE": 2, "HARD_RESET": 0,
    "REFRACTORY_STEPS": 0, "SPIKING": 1, "MEMORY_STYLE": "distributed",
}  # fmt: skip

# "threshold" is the range of the random thresholds
CASES: dict[str, dict[str, Any]] = {
    "one_word": {"NEURONS": 2, "threshold": (1, 100)},
    "saturating": {"NEURONS": 7, "MEMBRANE_BITS": 8, "DECAY_VALUE": 15, "threshold": (100, 127)},
    "multiply_hard": {
        "NEURONS": 5, "DECAY_KIND": 2, "DECAY_VALUE": 1000, "HARD_RESET": 1, "REFRACTORY_STEPS": 5,
        "WEIGHT_EXPONENT": 3, "threshold": (1, 300),
    },
    "saturating_current": {
        "NEURONS": 18, "SYNAPSE_KIND": 2, "SYNAPSE_VALUE": 300, "CURRENT_BITS": 9, "MEMBRANE_BITS": 14,
        "DECAY_KIND": 0, "REFRACTORY_STEPS": 1, "threshold": (100, 3000),
    },
    "integrator_shift_current": {
        "NEURONS": 3, "SPIKING": 0, "SYNAPSE_KIND": 1, "DECAY_KIND": 2, "DECAY_VALUE": 5, "threshold": (1, 9),
    },
}  # fmt: skip


@pytest.mark.rtl
@pytest.mark.parametrize("case", CASES)
def test_nhw_neuron_update(case: str, tmp_path: Path) -> None:
    shape = dict(CASES[case])
    threshold = shape.pop("threshold")
    parameters = {**DEFAULTS, **shape}
    parameters["PARAMETER_FILE"] = str(tmp_path / "parameters.hex")
    neurons, bits = parameters["NEURONS"], parameters["ACCUMULATOR_BITS"]
    images = {"INPUTS": 1, "LANES": parameters["UPDATE_LANES"], "WEIGHT_BITS": 4, "BANK_ROWS": 100}
    images["WEIGHT_FILE"] = str(tmp_path / "unused_")
    data = random_data({**parameters, **images}, seed=21, threshold=threshold)
    write_images({**parameters, **images}, data)
    random = Random(22)
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    # phases of one sign drive the states into saturation, small sums meet the threshold exactly
    sums = []
    for t in range(STEPS):
        span = [(low, high), (0, high), (low, 0), (-3, 5)][t // 7 % 4]
        sums.append([random.randint(*span) for _ in range(neurons)])
    bench = {"sums": sums, **expectation(parameters, data, sums)}
    run_bench("test_nhw_neuron_update", "nhw_neuron_update", parameters, tmp_path, bench, probe=True)
