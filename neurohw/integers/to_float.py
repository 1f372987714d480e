# SPDX-License-Identifier: Apache-2.0
"""The float network that a quantized one stands for: rounded parameters, exact arithmetic."""

from dataclasses import replace

import numpy as np

from neurohw.checks import exactly
from neurohw.connections import MATRICES
from neurohw.fixedpoint import (
    MULTIPLY_UNIT,
    Decay,
    MultiplyDecay,
    MultiplyDecays,
    NoDecay,
    ShiftDecay,
)
from neurohw.integers.quantized import QuantizedNetwork
from neurohw.modulation import MODULATION
from neurohw.network import GRAPH, FloatArray, TrainedNetwork, per_weight
from neurohw.neurons import Adaptation, Astrocyte, Integrator, Lif, Source
from neurohw.support import Implements, attributes

IMPLEMENTS = Implements(
    "dequantize",
    GRAPH
    | MATRICES
    | MODULATION
    | {
        Lif: attributes(
            "decay threshold v_reset synapse_decay refractory adaptation strict delayed_reset "
            "membrane_bias delayed_current clears_current integrates_refractory",
            reset=("soft", "hard", "none"),
        ),
        Adaptation: attributes("decay strength"),
        Integrator: attributes("decay synapse_decay"),
        Astrocyte: attributes("decay synapse_decay"),
        Source: attributes(),
        NoDecay: attributes(),
        ShiftDecay: attributes("shift"),
        MultiplyDecay: attributes("delta"),
        MultiplyDecays: attributes("deltas"),
    },
)


def decay_factor(decay: Decay) -> float | FloatArray:
    """The factor per step that an integer decay approximates by rounding;

    [parameter] for decays of single neurons.
    """
    match decay:
        case ShiftDecay(shift):
            return 1.0 - 2.0**-shift
        case MultiplyDecay(delta):
            return 1.0 - delta / MULTIPLY_UNIT
        case MultiplyDecays(deltas):
            return 1.0 - np.asarray(deltas) / MULTIPLY_UNIT
        case NoDecay():
            return 1.0


def dequantize(model: QuantizedNetwork) -> TrainedNetwork:
    """Every parameter back in the trained network's units, decays as the integer decays' factors.

    weight = w_int 2^g unit with g guard bits, bias and threshold = integer * unit, with `unit`
    [parameter] from the quantization report (1, and the exponent for g, where there is none, as in
    imported integers). Simulated by the float reference it shows what rounding the parameters
    costs; the golden model adds what rounding the leak costs.
    """
    exactly("dequantize: model", model, QuantizedNetwork)
    IMPLEMENTS.check(model.network, model.populations)
    parameters: dict[str, FloatArray] = {}
    populations = [model.network.input]
    for population in model.network.populations[1:]:
        name, quantized = population.name, model.populations[population.name]
        report = model.info.get("populations", {}).get(name, {})
        unit = np.asarray(report.get("unit", np.ones(population.parameters)))
        parameters[f"{name}.bias"] = quantized.bias * unit
        neuron = population.neuron
        assert isinstance(neuron, Lif | Integrator)
        decays = {"decay": quantized.decay, "synapse_decay": quantized.synapse_decay}
        if isinstance(neuron, Lif):
            parameters[f"{name}.threshold"] = quantized.threshold * unit
            if neuron.reset == "hard":
                parameters[f"{name}.v_reset"] = quantized.v_reset * unit
            if quantized.adaptation_strength is not None:
                parameters[f"{name}.adaptation_strength"] = quantized.adaptation_strength * unit
                decays["adaptation_decay"] = quantized.adaptation_decay
        if quantized.offset is not None:
            parameters[f"{name}.offset"] = quantized.offset * unit
        for kind, decay in decays.items():
            if decay is not None:
                parameters[f"{name}.{kind}"] = np.broadcast_to(
                    decay_factor(decay), (population.parameters,)
                )
        for projection in model.network.into(name):
            synapses = model.projections[projection.name]
            scale = per_weight(projection, population, unit, synapses.target)
            # before a raised table of gains the sums are shifted by less than the guard bits
            shift = report.get("guard_bits", synapses.exponent)
            parameters[f"{projection.name}.weight"] = (synapses.weight << shift) * scale
            parameters |= {
                f"{projection.name}.{k}": v.astype(np.float64) for k, v in synapses.arrays().items()
            }
        populations.append(population)
    network = replace(model.network, populations=tuple(populations))
    return TrainedNetwork(network, parameters, model.steps, parent=model.parent)
