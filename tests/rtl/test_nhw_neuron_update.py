# SPDX-License-Identifier: Apache-2.0
"""Bench of `nhw_neuron_update`, and of `nhw_lif_step` in it: random sums at the shortest allowed
distance, every state.
"""

import os
from pathlib import Path
from random import Random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge

from tests.rtl.common import bench_description, probe_log, run_bench, start
from tests.rtl.layer_model import LayerData, NeuronState, random_data, steps_of_sums, write_images

MINIMUM_STEP_CLOCKS = 8
SAMPLE_STEPS = 25
STEPS = 100


def expectation(
    parameters: dict[str, Any],
    data: LayerData,
    sums: list[list[int]],
    levels: dict[str, list[list[int]]],
) -> dict[str, Any]:
    """Output words, probe calls and saturations (of words that have any, in order) of the golden
    model's step.
    """
    lanes, neurons = parameters["UPDATE_LANES"], parameters["NEURONS"]
    words: list[Any] = []
    calls: list[list[int]] = []
    saturated: list[int] = []
    if parameters["MODULATES"]:  # the membranes of the initialisation
        firsts = range(0, neurons, lanes)
        words = [
            [[0] * len(range(neurons)[n : n + lanes]), int(n + lanes >= neurons), 0] for n in firsts
        ]
    for first_step in range(0, len(sums), SAMPLE_STEPS):
        part = slice(first_step, first_step + SAMPLE_STEPS)
        sample = steps_of_sums(
            parameters,
            data,
            sums[part],
            [NeuronState() for _ in range(neurons)],
            levels["gain"][part] if parameters["GAIN"] else None,
            levels["addition"][part] if parameters["ADDITION"] else None,
        )
        for t, states in enumerate(sample):
            end = t == SAMPLE_STEPS - 1
            for neuron, s in enumerate(states):
                values = [s.spike, s.membrane, s.current, s.refractory, s.adaptation]
                calls.append([parameters["LAYER_ID"], neuron, *values])
            for first in range(0, neurons, lanes):
                chunk = states[first : first + lanes]
                last = first + lanes >= neurons
                saturated += (
                    [sum(s.saturated for s in chunk)] if any(s.saturated for s in chunk) else []
                )
                if parameters["SPIKING"]:
                    words.append(
                        [sum(s.spike << lane for lane, s in enumerate(chunk)), int(last), int(end)]
                    )
                elif parameters["MODULATES"]:  # after the clear
                    words.append([[0 if end else s.membrane for s in chunk], int(last), int(end)])
                elif end:
                    words.append([[s.membrane for s in chunk], int(last), int(end)])
    return {"words": words, "calls": calls, "saturated": saturated}


@cocotb.test()
async def every_word_and_state(dut: Any) -> None:
    bench = bench_description()
    parameters = bench["parameters"]
    lanes, neurons, bits = (
        parameters["UPDATE_LANES"],
        parameters["NEURONS"],
        parameters["ACCUMULATOR_BITS"],
    )
    membrane_bits = parameters["MEMBRANE_BITS"]
    received: list[Any] = []
    saturated: list[int] = []

    def look() -> None:
        if dut.saturated_o.value != 0:
            saturated.append(int(dut.saturated_o.value))
        if dut.word_valid_o.value != 1:
            return
        if parameters["SPIKING"]:
            content: Any = int(dut.spikes_o.value)
        else:
            vector = int(dut.membranes_o.value)
            used = min(lanes, neurons - len(received) % -(-neurons // lanes) * lanes)
            fields = [
                vector >> (lane * membrane_bits) & ((1 << membrane_bits) - 1)
                for lane in range(used)
            ]
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
            dut.sums_i.value = sum(
                (v & ((1 << bits) - 1)) << (lane * bits) for lane, v in enumerate(chunk)
            )
            clocks += 1
        while clocks < MINIMUM_STEP_CLOCKS:
            await FallingEdge(dut.clk_i)
            look()
            dut.sums_valid_i.value = 0
            clocks += 1

    async def modulate(name: str, bits: int) -> None:
        """Values two clocks after they were asked for, and noise in all other clocks."""
        random, step, word, asked = Random(5), 0, 0, None
        while True:
            await RisingEdge(dut.clk_i)
            now, asked = asked, (step, word) if getattr(dut, f"{name}_read_o").value == 1 else None
            if asked:
                assert bool(getattr(dut, f"{name}_last_o").value) == ((word + 1) * lanes >= neurons)
                step, word = (step + 1, 0) if (word + 1) * lanes >= neurons else (step, word + 1)
            values = bench["levels"][name][now[0]][now[1] * lanes :][:lanes] if now else []
            values += [random.randrange(1 << bits) for _ in range(lanes - len(values))]
            await FallingEdge(dut.clk_i)
            getattr(dut, f"{name}_i").value = sum(
                v << (lane * bits) for lane, v in enumerate(values)
            )

    dut.sums_valid_i.value = 0
    await start(dut)
    if parameters["GAIN"]:
        cocotb.start_soon(modulate("gain", 10))
    if parameters["ADDITION"]:
        cocotb.start_soon(modulate("addition", parameters["ADDITION_BITS"]))
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
    assert saturated == bench["saturated"]


DEFAULTS: dict[str, int | str] = {
    "LAYER_ID": 1, "UPDATE_LANES": 2, "ACCUMULATOR_BITS": 8, "CURRENT_BITS": 12,
    "MEMBRANE_BITS": 12,
    "WEIGHT_EXPONENT": 0, "DECAY_KIND": 1, "DECAY_VALUE": 3, "SYNAPSE_KIND": 0, "SYNAPSE_VALUE": 2,
    "ADAPTATION_KIND": 0,
    "ADAPTATION_VALUE": 2, "HARD_RESET": 0, "RESET_NONE": 0, "DELAYED_RESET": 0, "STRICT": 0,
    "MEMBRANE_BIAS": 0,
    "DELAYED_CURRENT": 0, "CLEARS_CURRENT": 0, "INTEGRATES_REFRACTORY": 0, "REFRACTORY_STEPS": 0,
    "SPIKING": 1,
    "MODULATES": 0, "GAIN": 0, "ADDITION": 0, "ADDITION_BITS": 6, "MEMORY_STYLE": "distributed",
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
        "NEURONS": 18, "SYNAPSE_KIND": 2, "SYNAPSE_VALUE": 300, "CURRENT_BITS": 9,
        "MEMBRANE_BITS": 14,
        "DECAY_KIND": 0, "REFRACTORY_STEPS": 1, "threshold": (100, 3000),
    },
    "integrator_shift_current": {
        "NEURONS": 3, "SPIKING": 0, "SYNAPSE_KIND": 1, "DECAY_KIND": 2, "DECAY_VALUE": 5,
        "threshold": (1, 9),
    },
    "integrator_own_decays": {
        "NEURONS": 5, "SPIKING": 0, "SYNAPSE_KIND": 4, "DECAY_KIND": 4, "MEMBRANE_BITS": 9,
        "threshold": (1, 9),
    },
    "strict": {"NEURONS": 6, "MEMBRANE_BITS": 9, "STRICT": 1, "threshold": (1, 20)},
    "no_reset_refractory": {"NEURONS": 4, "MEMBRANE_BITS": 9, "RESET_NONE": 1,
        "REFRACTORY_STEPS": 3, "threshold": (1, 60)},
    "delayed_soft": {
        "NEURONS": 4, "ACCUMULATOR_BITS": 6, "MEMBRANE_BITS": 8, "DELAYED_RESET": 1,
        "DECAY_KIND": 0, "threshold": (1, 40),
    },
    "delayed_soft_adaptive": {
        "NEURONS": 2, "MEMBRANE_BITS": 8, "DELAYED_RESET": 1, "DECAY_KIND": 2, "DECAY_VALUE": 700,
        "ADAPTATION_KIND": 2,
        "ADAPTATION_VALUE": 300, "MEMBRANE_BIAS": 1, "SYNAPSE_KIND": 3, "CURRENT_BITS": 8,
        "threshold": (1, 40),
    },
    "delayed_hard": {
        "NEURONS": 5, "MEMBRANE_BITS": 9, "DELAYED_RESET": 1, "HARD_RESET": 1, "SYNAPSE_KIND": 1,
        "CLEARS_CURRENT": 1,
        "DECAY_KIND": 2, "DECAY_VALUE": 900, "threshold": (1, 80),
    },
    # currents that reach the ends of their format, to which bias and theta are added
    "membrane_bias": {
        "NEURONS": 3, "MEMBRANE_BITS": 8, "CURRENT_BITS": 8, "SYNAPSE_KIND": 3, "MEMBRANE_BIAS": 1,
        "DECAY_KIND": 0,
        "threshold": (1, 90),
    },
    "delayed_current_clears": {
        "NEURONS": 4, "MEMBRANE_BITS": 9, "SYNAPSE_KIND": 2, "SYNAPSE_VALUE": 800,
        "DELAYED_CURRENT": 1,
        "CLEARS_CURRENT": 1, "REFRACTORY_STEPS": 2, "threshold": (1, 120),
    },
    "delayed_current_adaptive": {
        "NEURONS": 3, "MEMBRANE_BITS": 9, "DECAY_KIND": 0, "SYNAPSE_KIND": 1, "DELAYED_CURRENT": 1,
        "ADAPTATION_KIND": 2,
        "ADAPTATION_VALUE": 900, "threshold": (1, 120),
    },
    "adaptive_saturating": {
        "NEURONS": 5, "ACCUMULATOR_BITS": 6, "MEMBRANE_BITS": 8, "ADAPTATION_KIND": 3,
        "SYNAPSE_KIND": 3, "threshold": (1, 60),
    },
    "adaptive_own_decays": {
        "NEURONS": 9, "ACCUMULATOR_BITS": 6, "MEMBRANE_BITS": 8, "ADAPTATION_KIND": 4,
        "SYNAPSE_KIND": 4, "DECAY_KIND": 4,
        "MEMORY_STYLE": "block", "threshold": (1, 60),
    },
}  # fmt: skip
CASES |= {
    "integrates_refractory_clears": {
        "NEURONS": 5, "MEMBRANE_BITS": 9, "REFRACTORY_STEPS": 3, "INTEGRATES_REFRACTORY": 1,
        "SYNAPSE_KIND": 2, "SYNAPSE_VALUE": 700,
        "CLEARS_CURRENT": 1, "HARD_RESET": 1, "threshold": (1, 60),
    },
    "astrocyte": {"NEURONS": 5, "SPIKING": 0, "MODULATES": 1, "DECAY_VALUE": 5, "MEMBRANE_BITS": 9,
        "threshold": (1, 9)},
    "gain_integrator": {"NEURONS": 2, "SPIKING": 0, "GAIN": 1, "SYNAPSE_KIND": 1,
        "CURRENT_BITS": 14, "WEIGHT_EXPONENT": 1, "threshold": (1, 9)},
    "gain_large_exponent": {
        "NEURONS": 3, "GAIN": 1, "WEIGHT_EXPONENT": 9, "CURRENT_BITS": 22, "MEMBRANE_BITS": 22,
        "MEMBRANE_BIAS": 1, "threshold": (1, 90000),
    },
    # a rise beyond every membrane
    "addition_wide": {"NEURONS": 4, "MEMBRANE_BITS": 8, "ADDITION": 1, "ADDITION_BITS": 9,
        "STRICT": 1, "threshold": (1, 127)},
    "both_delayed_soft_adaptive": {
        "NEURONS": 3, "MEMBRANE_BITS": 9, "CURRENT_BITS": 11, "GAIN": 1, "ADDITION": 1,
        "DELAYED_RESET": 1, "ADAPTATION_KIND": 2,
        "ADAPTATION_VALUE": 600, "SYNAPSE_KIND": 1, "threshold": (1, 60),
    },
    "both_delayed_current": {
        "NEURONS": 4, "MEMBRANE_BITS": 9, "GAIN": 1, "ADDITION": 1, "DELAYED_CURRENT": 1,
        "SYNAPSE_KIND": 1, "DECAY_KIND": 0,
        "ADAPTATION_KIND": 1, "REFRACTORY_STEPS": 1, "threshold": (1, 80),
    },
}  # fmt: skip
RANDOM_CASES = int(os.environ.get("NHW_RANDOM_NEURONS", "5"))


def random_case(seed: int) -> dict[str, Any]:
    """Any combination of features, narrow enough to saturate and to meet the threshold exactly."""
    random = Random(seed)
    case: dict[str, Any] = {"NEURONS": random.randint(1, 9), "UPDATE_LANES": random.randint(1, 3)}
    case |= {"MEMBRANE_BITS": random.randint(7, 12), "CURRENT_BITS": random.randint(11, 12)}
    case["WEIGHT_EXPONENT"] = random.randint(0, 2)
    for name, kinds in (("DECAY", 5), ("SYNAPSE", 5), ("ADAPTATION", 5)):
        case[f"{name}_KIND"] = random.randrange(kinds)
        case[f"{name}_VALUE"] = (
            random.randint(1, 15) if case[f"{name}_KIND"] == 1 else random.randint(0, 4096)
        )
    if random.random() < 0.4:
        case["ADAPTATION_KIND"] = 0
    case[random.choice(["HARD_RESET", "RESET_NONE", "SPIKING"])] = 1
    for name in ("STRICT", "MEMBRANE_BIAS", "DELAYED_RESET"):
        case[name] = random.randrange(2)
    for name in ("DELAYED_CURRENT", "CLEARS_CURRENT"):
        case[name] = random.randrange(2) if case["SYNAPSE_KIND"] else 0
    case["REFRACTORY_STEPS"] = 0 if case["DELAYED_RESET"] else random.randrange(4)
    case["MEMORY_STYLE"] = random.choice(["distributed", "block", "registers"])
    case["threshold"] = (1, random.choice([4, 30, 63]))
    if not case["DELAYED_RESET"]:
        case["INTEGRATES_REFRACTORY"] = random.randrange(2)
    case["GAIN"], case["ADDITION"] = random.randrange(2), random.randrange(2)
    case["CURRENT_BITS"] += 2 * case["GAIN"]
    case["ADDITION_BITS"] = random.choice([3, 6, case["MEMBRANE_BITS"]])
    return case


CASES |= {f"random_{seed}": random_case(seed) for seed in range(RANDOM_CASES)}


def constants_and_sums(
    case: str,
) -> tuple[dict[str, Any], LayerData, list[list[int]], dict[str, list[list[int]]]]:
    """Parameters without files, constants, sums, and the gains and additions of a case."""
    shape = dict(CASES[case])
    threshold = shape.pop("threshold")
    parameters: dict[str, Any] = {**DEFAULTS, **shape}
    neurons, bits = parameters["NEURONS"], parameters["ACCUMULATOR_BITS"]
    data = random_data({**parameters, "INPUTS": 1, "WEIGHT_BITS": 4}, seed=21, threshold=threshold)
    random = Random(22)
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    # phases of one sign drive the states into saturation, small sums meet the threshold exactly
    sums = []
    for t in range(STEPS):
        span = [(low, high), (0, high), (low, 0), (-3, 5)][t // 7 % 4]
        sums.append([random.randint(*span) for _ in range(neurons)])
    # both ends, the factor 1, and anything; no addition as often as not
    gains = [
        [random.choice([0, 256, 1023, random.randrange(1024)]) for _ in range(neurons)]
        for _ in sums
    ]
    largest = (1 << parameters["ADDITION_BITS"]) - 1
    additions = [
        [random.choice([0, 0, largest, random.randint(0, largest)]) for _ in range(neurons)]
        for _ in sums
    ]
    return parameters, data, sums, {"gain": gains, "addition": additions}


@pytest.mark.rtl
@pytest.mark.parametrize("case", CASES)
def test_nhw_neuron_update(case: str, tmp_path: Path) -> None:
    parameters, data, sums, levels = constants_and_sums(case)
    parameters["PARAMETER_FILE"] = str(tmp_path / "parameters.hex")
    images = {"INPUTS": 1, "LANES": parameters["UPDATE_LANES"], "WEIGHT_BITS": 4, "BANK_ROWS": 100}
    write_images({**parameters, **images, "WEIGHT_FILE": str(tmp_path / "unused_")}, data)
    bench = {"sums": sums, "levels": levels, **expectation(parameters, data, sums, levels)}
    run_bench(
        "test_nhw_neuron_update", "nhw_neuron_update", parameters, tmp_path, bench, probe=True
    )


def states_reached(case: str, **changes: int) -> list[list[int]]:
    """[spike, v, c, r, a] of every neuron and step of a case whose parameters are changed."""
    parameters, data, sums, levels = constants_and_sums(case)
    return [
        call[2:] for call in expectation({**parameters, **changes}, data, sums, levels)["calls"]
    ]


@pytest.mark.parametrize(
    "case",
    [
        "strict",
        "no_reset_refractory",
        "delayed_soft",
        "delayed_hard",
        "membrane_bias",
        "adaptive_own_decays",
    ],
)
def test_the_stimulus_meets_thresholds(case: str) -> None:
    """A strict comparison gives other spikes: some u equals its threshold."""
    assert states_reached(case, STRICT=0) != states_reached(case, STRICT=1)


@pytest.mark.parametrize(
    ("case", "state", "limits"),
    [
        ("saturating", 1, [-128]),
        ("integrator_own_decays", 1, [-256, 255]),
        ("saturating_current", 2, [-256, 255]),
        ("adaptive_saturating", 4, [127]),
        ("delayed_soft_adaptive", 1, [-128]),
    ],
)
def test_the_stimulus_saturates(case: str, state: int, limits: list[int]) -> None:
    reached = {values[state] for values in states_reached(case)}
    assert reached.issuperset(limits)
    parameters, data, sums, levels = constants_and_sums(case)
    assert expectation(parameters, data, sums, levels)["saturated"]
