"""A short integer model of `nhw_layer`, written from docs/hardware.md; the golden model of the same layer; its images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from neurohw.fixedpoint import Decay, IntFormat, MultiplyDecay, NoDecay, ShiftDecay
from neurohw.golden import run_golden
from neurohw.network import feed_forward
from neurohw.neurons import Integrator, Lif, Neuron
from neurohw.quantize.quantized import QuantizedNetwork, QuantizedPopulation, QuantizedProjection


@dataclass
class LayerData:
    """Constants of one layer: `weights[source][target]`, and one value per neuron of the others."""

    weights: list[list[int]]
    bias: list[int]
    threshold: list[int]
    v_reset: list[int]


@dataclass
class NeuronState:
    """State of one neuron after a step."""

    spike: int = 0
    membrane: int = 0
    current: int = 0
    refractory: int = 0


def saturate(value: int, bits: int) -> int:
    """`value` clipped to the signed range of `bits` bits."""
    return max(-(1 << (bits - 1)), min((1 << (bits - 1)) - 1, value))


def decay(value: int, kind: int, amount: int) -> int:
    """The decayed value: 0 none, 1 shift (floors), 2 multiply (truncates toward zero)."""
    if kind == 1:
        return value - (value >> amount)
    if kind == 2:
        product = value * (4096 - amount)
        return product // 4096 if product >= 0 else -(-product // 4096)
    return value


def step(
    parameters: Mapping[str, Any], data: LayerData, states: Sequence[NeuronState], events: Sequence[int]
) -> list[NeuronState]:
    """States after one step, given those before and the events of the step."""
    synapse = parameters["SYNAPSE_KIND"]
    result = []
    for neuron, old in enumerate(states):
        total = sum(data.weights[event][neuron] for event in events if event < parameters["INPUTS"])
        current = (total << parameters["WEIGHT_EXPONENT"]) + data.bias[neuron]
        if synapse:
            decayed = decay(old.current, 0 if synapse == 3 else synapse, parameters["SYNAPSE_VALUE"])
            current = saturate(decayed + current, parameters["CURRENT_BITS"])
        if old.refractory:
            result.append(NeuronState(0, old.membrane, current, old.refractory - 1))
            continue
        decayed = decay(old.membrane, parameters["DECAY_KIND"], parameters["DECAY_VALUE"])
        u = saturate(decayed + current, parameters["MEMBRANE_BITS"])
        spike = int(bool(parameters["SPIKING"]) and u >= data.threshold[neuron])
        after = data.v_reset[neuron] if parameters["HARD_RESET"] else u - data.threshold[neuron]
        refractory = parameters["REFRACTORY_STEPS"] if spike else 0
        result.append(NeuronState(spike, after if spike else u, current, refractory))
    return result


def golden_decay(kind: int, amount: int) -> Decay:
    """The golden model's decay for DECAY_KIND and DECAY_VALUE."""
    if kind == 1:
        return ShiftDecay(amount)
    return MultiplyDecay(amount) if kind == 2 else NoDecay()


def golden_steps(
    parameters: Mapping[str, Any], data: LayerData, samples: Sequence[Sequence[Sequence[int]]]
) -> list[list[list[NeuronState]]]:
    """States by sample, step and neuron from the golden model, given events by sample and step."""
    inputs, neurons, synapse = parameters["INPUTS"], parameters["NEURONS"], parameters["SYNAPSE_KIND"]
    neuron: Neuron = Integrator()
    if parameters["SPIKING"]:
        neuron = Lif(reset="hard" if parameters["HARD_RESET"] else "soft", refractory=parameters["REFRACTORY_STEPS"])
    network = feed_forward([inputs, neurons], output=neuron)
    population = QuantizedPopulation(
        bias=np.array(data.bias),
        threshold=np.array(data.threshold),
        v_reset=np.array(data.v_reset),
        decay=golden_decay(parameters["DECAY_KIND"], parameters["DECAY_VALUE"]),
        synapse_decay=golden_decay(synapse % 3, parameters["SYNAPSE_VALUE"]) if synapse else None,
        membrane=IntFormat(parameters["MEMBRANE_BITS"]),
        current=IntFormat(parameters["CURRENT_BITS"]),
        accumulator=IntFormat(parameters["ACCUMULATOR_BITS"]),
        capped=True,
    )
    weight = np.array(data.weights).T
    projection = QuantizedProjection(weight, parameters["WEIGHT_BITS"], parameters["WEIGHT_EXPONENT"])
    name = network.output.name
    steps = len(samples[0])
    model = QuantizedNetwork(network, {name: population}, {network.projections[0].name: projection}, steps)
    spikes = np.zeros((steps, len(samples), inputs), np.int64)
    for sample, sample_steps in enumerate(samples):
        for t, events in enumerate(sample_steps):
            for event in events:
                if event < inputs:
                    spikes[t, sample, event] += 1
    trace = run_golden(model, spikes)
    fired, states = trace.spikes[name], trace.states
    return [
        [
            [
                NeuronState(
                    int(fired[t, sample, n]),
                    *(int(states[f"{letter}.{name}"][t, sample, n]) for letter in "vcr"),
                )
                for n in range(neurons)
            ]
            for t in range(steps)
        ]
        for sample in range(len(samples))
    ]


def random_data(parameters: Mapping[str, Any], seed: int, threshold: tuple[int, int]) -> LayerData:
    """Random constants over the whole range of the weights, with thresholds in the given range."""
    random = Random(seed)
    bits, inputs, neurons = parameters["WEIGHT_BITS"], parameters["INPUTS"], parameters["NEURONS"]
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return LayerData(
        weights=[[random.randint(low, high) for _ in range(neurons)] for _ in range(inputs)],
        bias=[random.randint(-5, 8) for _ in range(neurons)],
        threshold=[random.randint(*threshold) for _ in range(neurons)],
        v_reset=[random.randint(-threshold[0], threshold[0] - 1) for _ in range(neurons)],
    )


def write_images(parameters: Mapping[str, Any], data: LayerData) -> None:
    """Write the weight and parameter images to the files that the parameters name."""
    lanes, weight_bits = parameters["LANES"], parameters["WEIGHT_BITS"]
    neurons, update_lanes = parameters["NEURONS"], parameters["UPDATE_LANES"]
    groups = -(-neurons // lanes)
    rows = []
    for source in range(parameters["INPUTS"]):
        for group in range(groups):
            chunk = data.weights[source][group * lanes : (group + 1) * lanes]
            rows.append(packed(chunk, weight_bits, lanes * weight_bits))
    bank_rows = parameters["BANK_ROWS"]
    for bank in range(-(-len(rows) // bank_rows)):
        lines = rows[bank * bank_rows : (bank + 1) * bank_rows]
        Path(f"{parameters['WEIGHT_FILE']}{bank:02d}.hex").write_text("\n".join(lines) + "\n")

    membrane, current = parameters["MEMBRANE_BITS"], parameters["CURRENT_BITS"]
    fields = 2 * membrane + current
    words = []
    for word in range(-(-neurons // update_lanes)):
        values = []
        for neuron in range(word * update_lanes, (word + 1) * update_lanes):
            if neuron < neurons:
                threshold, v_reset, bias = data.threshold[neuron], data.v_reset[neuron], data.bias[neuron]
            else:
                threshold, v_reset, bias = (1 << (membrane - 1)) - 1, 0, 0
            mask = (1 << membrane) - 1
            low = (threshold & mask) | (v_reset & mask) << membrane
            values.append(low | (bias & ((1 << current) - 1)) << 2 * membrane)
        words.append(packed(values, fields, update_lanes * fields))
    Path(parameters["PARAMETER_FILE"]).write_text("\n".join(words) + "\n")


def packed(values: Sequence[int], bits: int, width: int) -> str:
    """Hexadecimal digits of `values`, `bits` bits each, the first one least significant, padded to `width` bits."""
    number = sum((value & ((1 << bits) - 1)) << (index * bits) for index, value in enumerate(values))
    return f"{number:0{-(-width // 4)}x}"
