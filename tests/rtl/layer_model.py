# SPDX-License-Identifier: Apache-2.0
"""One layer of `nhw_layer` in integers, for benches: the golden model of a network of one
projection, step by step, and its images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from neurohw.fixedpoint import Decay, IntFormat, MultiplyDecay, MultiplyDecays, NoDecay, ShiftDecay
from neurohw.golden import run_golden
from neurohw.golden.specification import integer_arithmetic
from neurohw.hardware.generate.neuron import MULTIPLY_EACH, NEURON_FLAGS
from neurohw.hardware.generate.pack import parameter_image
from neurohw.integers.quantized import QuantizedNetwork, QuantizedPopulation, QuantizedProjection
from neurohw.network import feed_forward
from neurohw.neurons import Adaptation, Integrator, Lif, Neuron
from neurohw.step import State, advance
from neurohw.stimulus import Spikes
from tests.saturations import Counting

# the defaults of `nhw_layer`
DEFAULTS: dict[str, int] = {
    **dict.fromkeys(NEURON_FLAGS, 0), "SPIKING": 1, "REFRACTORY_STEPS": 0,
    "DECAY_KIND": 1, "DECAY_VALUE": 4, "SYNAPSE_KIND": 0, "SYNAPSE_VALUE": 4, "ADAPTATION_KIND": 0,
    "ADAPTATION_VALUE": 4,
    "WEIGHT_BITS": 4, "WEIGHT_EXPONENT": 0, "ACCUMULATOR_BITS": 12, "CURRENT_BITS": 16,
    "MEMBRANE_BITS": 16,
}  # fmt: skip


@dataclass
class LayerData:
    """Constants of one layer: `weights[source][target]`, and one value per neuron of the others.

    deltas: of the membrane, the current and the adaptation, where their decays are of single
        neurons.
    """

    weights: list[list[int]]
    bias: list[int]
    threshold: list[int]
    v_reset: list[int]
    strength: list[int] = field(default_factory=list)
    deltas: dict[str, list[int]] = field(default_factory=dict)


@dataclass
class NeuronState:
    """State of one neuron after a step; saturated: a saturation of the step changed one."""

    spike: int = 0
    membrane: int = 0
    current: int = 0
    refractory: int = 0
    adaptation: int = 0
    saturated: bool = field(default=False, compare=False)


def saturate(value: int, bits: int) -> int:
    """`value` clipped to the signed range of `bits` bits."""
    return int(IntFormat(bits).saturate(np.array(value)))


def decay(value: int, kind: int, amount: int) -> int:
    """The decayed value for one KIND and VALUE of `nhw_decay`."""
    rule = golden_decay(kind, amount, [])
    return value if rule is None else int(rule.apply(np.array(value)))


def golden_decay(kind: int, amount: int, deltas: Sequence[int]) -> Decay | None:
    """The golden model's decay for a KIND and VALUE, with the deltas of single neurons for kind
    4.
    """
    rules: dict[int, Decay] = {3: NoDecay()}
    if kind == 1:
        rules[1] = ShiftDecay(amount)
    if kind == 2:
        rules[2] = MultiplyDecay(amount)
    if kind == MULTIPLY_EACH:
        rules[MULTIPLY_EACH] = MultiplyDecays(tuple(deltas))
    return rules.get(kind)


def quantized_population(parameters: Mapping[str, Any], data: LayerData) -> QuantizedPopulation:
    """The integers of the layer's neurons."""
    p = {**DEFAULTS, **parameters}
    membrane, synapse, adaptation = (
        golden_decay(p[f"{name}_KIND"], p[f"{name}_VALUE"], data.deltas.get(name, []))
        for name in ("DECAY", "SYNAPSE", "ADAPTATION")
    )
    adaptive = p["SPIKING"] and adaptation is not None
    return QuantizedPopulation(
        bias=np.array(data.bias),
        threshold=np.array(data.threshold),
        v_reset=np.array(data.v_reset),
        decay=membrane or NoDecay(),
        synapse_decay=synapse,
        membrane=IntFormat(p["MEMBRANE_BITS"]),
        current=IntFormat(p["CURRENT_BITS"]),
        accumulator=IntFormat(p["ACCUMULATOR_BITS"]),
        capped=True,
        adaptation_decay=adaptation if adaptive else None,
        adaptation_strength=np.array(data.strength) if adaptive else None,
    )


def quantized_network(
    parameters: Mapping[str, Any], data: LayerData, steps: int = 1
) -> QuantizedNetwork:
    """An input and the layer, in the golden model's terms."""
    p = {**DEFAULTS, **parameters}
    population = quantized_population(p, data)
    neuron: Neuron = Integrator(synapse_decay=None if population.synapse_decay is None else 0.5)
    if p["SPIKING"]:
        neuron = Lif(
            reset="hard" if p["HARD_RESET"] else "none" if p["RESET_NONE"] else "soft",
            synapse_decay=None if population.synapse_decay is None else 0.5,
            refractory=p["REFRACTORY_STEPS"],
            adaptation=None if population.adaptation_decay is None else Adaptation(0.5, 1.0),
            strict=bool(p["STRICT"]),
            delayed_reset=bool(p["DELAYED_RESET"]),
            membrane_bias=bool(p["MEMBRANE_BIAS"]),
            delayed_current=bool(p["DELAYED_CURRENT"]),
            clears_current=bool(p["CLEARS_CURRENT"]),
            integrates_refractory=bool(p["INTEGRATES_REFRACTORY"]),
        )
    network = feed_forward([len(data.weights), len(data.bias)], output=neuron)
    projection = QuantizedProjection(
        np.array(data.weights).T, p["WEIGHT_BITS"], p["WEIGHT_EXPONENT"]
    )
    name = network.output.name
    return QuantizedNetwork(
        network, {name: population}, {network.projections[0].name: projection}, steps
    )


def steps_of_sums(
    parameters: Mapping[str, Any],
    data: LayerData,
    sums: Sequence[Sequence[int]],
    before: Sequence[NeuronState],
    gains: Sequence[Sequence[int]] | None = None,
    additions: Sequence[Sequence[int]] | None = None,
) -> list[list[NeuronState]]:
    """States by step and neuron of the golden model's own step, given the finished sums, the states
    before, and what an astrocyte does.
    """
    model = quantized_network(parameters, data)
    population = model.network.output
    counting = Counting(integer_arithmetic(model, population))
    state = State(
        *(
            np.array([[getattr(s, n) for s in before]])
            for n in ("membrane", "current", "refractory", "adaptation")
        )
    )
    neuron = population.neuron
    assert isinstance(neuron, Lif | Integrator)
    result = []
    for t, row in enumerate(sums):
        gain, raised = (
            None if values is None else np.array([values[t]]) for values in (gains, additions)
        )
        arriving = np.array([row]) << parameters["WEIGHT_EXPONENT"]
        spikes = advance(neuron, counting.arithmetic, state, arriving, gain, raised)
        columns = (
            spikes[0],
            state.v[0],
            state.c[0],
            state.r[0],
            state.a[0],
            counting.steps()[-1, 0],
        )
        result.append(
            [
                NeuronState(*map(int, values), bool(over))
                for *values, over in zip(*columns, strict=True)
            ]
        )
    return result


def step(
    parameters: Mapping[str, Any],
    data: LayerData,
    states: Sequence[NeuronState],
    events: Sequence[int],
) -> list[NeuronState]:
    """States after one step, given those before and the events of the step; events of unknown
    sources add nothing.
    """
    known = [event for event in events if event < parameters["INPUTS"]]
    sums = [sum(data.weights[event][neuron] for event in known) for neuron in range(len(states))]
    return steps_of_sums(parameters, data, [sums], states)[0]


def golden_steps(
    parameters: Mapping[str, Any], data: LayerData, samples: Sequence[Sequence[Sequence[int]]]
) -> list[list[list[NeuronState]]]:
    """States by sample, step and neuron from the golden model, given events by sample and step."""
    inputs, neurons, steps = parameters["INPUTS"], parameters["NEURONS"], len(samples[0])
    model = quantized_network(parameters, data, steps)
    name = model.network.output.name
    spikes = np.zeros((steps, len(samples), inputs), np.int64)
    for sample, sample_steps in enumerate(samples):
        for t, events in enumerate(sample_steps):
            for event in events:
                if event < inputs:
                    spikes[t, sample, event] += 1
    trace = run_golden(model, Spikes(spikes), beyond_proof=True)
    fired, states = trace.spikes[name], trace.states
    letters = [letter for letter in "vcra" if f"{letter}.{name}" in states]
    return [
        [
            [
                NeuronState(
                    int(fired[t, sample, n]),
                    *(int(states[f"{letter}.{name}"][t, sample, n]) for letter in letters),
                )
                for n in range(neurons)
            ]
            for t in range(steps)
        ]
        for sample in range(len(samples))
    ]


def random_data(parameters: Mapping[str, Any], seed: int, threshold: tuple[int, int]) -> LayerData:
    """Random constants over the whole range of the weights, with thresholds in the given range.

    The first strength of an adaptation is the largest value; among the deltas of single neurons are
    0 and 4096.
    """
    random = Random(seed)
    bits, inputs, neurons = parameters["WEIGHT_BITS"], parameters["INPUTS"], parameters["NEURONS"]
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    largest = IntFormat(parameters["MEMBRANE_BITS"]).max
    return LayerData(
        weights=[[random.randint(low, high) for _ in range(neurons)] for _ in range(inputs)],
        bias=[random.randint(-5, 8) for _ in range(neurons)],
        threshold=[random.randint(*threshold) for _ in range(neurons)],
        v_reset=[random.randint(-threshold[0], threshold[0] - 1) for _ in range(neurons)],
        strength=[largest, *(random.randint(0, 1 + largest // 8) for _ in range(neurons - 1))],
        deltas={
            name: [random.choice([0, 4096, *[random.randint(1, 4095)] * 6]) for _ in range(neurons)]
            for name in ("DECAY", "SYNAPSE", "ADAPTATION")
        },
    )


def write_images(parameters: Mapping[str, Any], data: LayerData) -> None:
    """Write the weight and parameter images to the files that the parameters name."""
    lanes, weight_bits = parameters["LANES"], parameters["WEIGHT_BITS"]
    groups = -(-parameters["NEURONS"] // lanes)
    rows = []
    for source in range(parameters["INPUTS"]):
        for group in range(groups):
            chunk = data.weights[source][group * lanes : (group + 1) * lanes]
            rows.append(packed(chunk, weight_bits, lanes * weight_bits))
    bank_rows = parameters["BANK_ROWS"]
    for bank in range(-(-len(rows) // bank_rows)):
        lines = rows[bank * bank_rows : (bank + 1) * bank_rows]
        Path(f"{parameters['WEIGHT_FILE']}{bank:02d}.hex").write_text("\n".join(lines) + "\n")

    image = parameter_image(quantized_population(parameters, data), {**DEFAULTS, **parameters})
    Path(parameters["PARAMETER_FILE"]).write_bytes(image)


def packed(values: Sequence[int], bits: int, width: int) -> str:
    """Hexadecimal digits of `values`, `bits` bits each, the first one least significant, padded to
    `width` bits.
    """
    number = sum(
        (value & ((1 << bits) - 1)) << (index * bits) for index, value in enumerate(values)
    )
    return f"{number:0{-(-width // 4)}x}"
