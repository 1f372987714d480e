"""The float network that a quantized one stands for: rounded parameters, exact arithmetic."""

import dataclasses

import numpy as np

from neurohw.fixedpoint import MULTIPLY_UNIT, Decay, MultiplyDecay, NoDecay, ShiftDecay
from neurohw.network import FloatArray, Network, TrainedNetwork
from neurohw.neurons import Integrator, Lif
from neurohw.quantize.quantized import QuantizedNetwork


def decay_factor(decay: Decay) -> float:
    """The factor per step that an integer decay approximates by rounding."""
    match decay:
        case ShiftDecay(shift):
            return 1.0 - 2.0**-shift
        case MultiplyDecay(delta):
            return 1.0 - delta / MULTIPLY_UNIT
        case NoDecay():
            return 1.0


def dequantize(model: QuantizedNetwork) -> TrainedNetwork:
    """Every parameter back in the trained network's units, decays as the integer decays' factors.

    weight = w_int 2^exponent unit, bias and threshold = integer * unit, with `unit` [neuron] from the quantization
    report. Simulated by the float reference it shows what rounding the parameters costs; the golden model adds
    what rounding the leak costs.
    """
    parameters: dict[str, FloatArray] = {}
    populations = [model.network.input]
    for population in model.network.populations[1:]:
        quantized = model.populations[population.name]
        unit = np.asarray(model.info["populations"][population.name]["unit"])
        parameters[f"{population.name}.bias"] = quantized.bias * unit
        if isinstance(population.neuron, Lif):
            parameters[f"{population.name}.threshold"] = quantized.threshold * unit
        for projection in model.network.into(population.name):
            synapses = model.projections[projection.name]
            parameters[f"{projection.name}.weight"] = (synapses.weight << synapses.exponent) * unit[:, None]
        neuron = population.neuron
        assert isinstance(neuron, Lif | Integrator)
        synapse = None if quantized.synapse_decay is None else decay_factor(quantized.synapse_decay)
        neuron = dataclasses.replace(neuron, decay=decay_factor(quantized.decay), synapse_decay=synapse)
        populations.append(dataclasses.replace(population, neuron=neuron))
    network = Network(tuple(populations), model.network.projections, model.network.dt)
    return TrainedNetwork(network, parameters, model.steps, parent=model.parent)
