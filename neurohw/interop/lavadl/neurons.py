# SPDX-License-Identifier: Apache-2.0
"""The neurons of one layer of lava-dl, in Loihi's integers."""

from dataclasses import dataclass

import numpy as np

from neurohw.errors import InvalidModel, Unsupported
from neurohw.fixedpoint import (
    MULTIPLY_UNIT,
    Decay,
    IntArray,
    MultiplyDecay,
    MultiplyDecays,
    NoDecay,
)
from neurohw.interop.lavadl.file import Layer, text
from neurohw.neurons import Integrator, Lif

WEIGHT_SHIFT = 6  # weights, biases and thresholds stand so many bits above the last one of a state
NEURON_TYPES = ("CUBA", "LOIHI")
SPIKES_OFF = (1 << 17) - 1  # no threshold of Loihi is larger; Affine writes 2^18 - 1
LARGEST_WEIGHT_EXPONENT = 3  # SLAYER computes with at most this one, but writes any


@dataclass(frozen=True)
class Neurons:
    """Constants of a layer's neurons; arrays are [parameter]: neuron, or channel of a convolution.

    exponent: of the weights. never_fires: by its threshold, or since it has no neurons at all.
    """

    decay: Decay
    synapse_decay: Decay | None
    threshold: IntArray
    exponent: int
    never_fires: bool

    def model(self, strict: bool) -> Lif:
        """The spiking neuron model."""
        return Lif(
            decay=_factor(self.decay),
            threshold=float(self.threshold[0]),
            reset="hard",
            synapse_decay=None if self.synapse_decay is None else _factor(self.synapse_decay),
            strict=strict,
            membrane_bias=True,
        )

    def readout(self) -> Integrator:
        """The same without spikes."""
        synapse = self.synapse_decay
        return Integrator(_factor(self.decay), None if synapse is None else _factor(synapse))


def _factor(decay: Decay) -> float:
    """The model's one factor, of the first neuron; the integers hold the others."""
    match decay:
        case MultiplyDecay(delta):
            return 1.0 - delta / MULTIPLY_UNIT
        case MultiplyDecays(deltas):
            return 1.0 - deltas[0] / MULTIPLY_UNIT
    return 1.0


def neurons_of(layer: Layer, parameters: int) -> Neurons:
    """The neurons of a layer with that many neurons, or channels; without memory where it has none.

    Raises InvalidModel or Unsupported, naming the field, for what cannot be exact.
    """
    if not layer.has_neurons:
        return Neurons(
            MultiplyDecay(MULTIPLY_UNIT), None, np.ones(parameters, np.int64), WEIGHT_SHIFT, True
        )
    kind = text(layer.need("neuron/type"))
    if kind not in NEURON_TYPES:
        known = ", ".join(NEURON_TYPES)
        raise Unsupported(f"{layer.node}: neuron type {kind!r} is not one of {known}")
    for name in ("gradedSpike", "messageBits"):
        if np.any(layer.fields.get(f"neuron/{name}", False)):
            raise Unsupported(
                f"{layer.node}: graded spikes ({name}) cannot be expressed, spikes are 0 or 1"
            )
    for refractory in np.ravel(layer.fields.get("neuron/refDelay", 1)):
        if refractory != 1:
            raise Unsupported(
                f"{layer.node}: refDelay {refractory} cannot be expressed, 1 is needed"
            )
    mantissa = np.array(layer.numbers("neuron/vThMant", parameters))
    if np.any(mantissa < 0):
        raise InvalidModel(f"{layer.node}: vThMant is {mantissa.min()}, 0 or more is needed")
    if np.any(mantissa == 0):
        raise Unsupported(f"{layer.node}: vThMant 0 cannot be expressed, thresholds are above 0")
    synapse: Decay | None = _decay(layer, "iDecay", parameters)
    exponent = WEIGHT_SHIFT + layer.number_of("neuron/wgtExp", 0) - _weight_exponent(layer)
    if synapse == MultiplyDecay(MULTIPLY_UNIT):
        synapse = None
    decay = _decay(layer, "vDecay", parameters)
    never = bool(np.all(mantissa >= SPIKES_OFF))
    return Neurons(decay, synapse, mantissa << WEIGHT_SHIFT, exponent, never)


def _decay(layer: Layer, name: str, parameters: int) -> Decay:
    deltas = layer.numbers(f"neuron/{name}", parameters)
    for delta in deltas:
        if not 0 <= delta <= MULTIPLY_UNIT:
            raise InvalidModel(
                f"{layer.node}: {name} holds {delta}, 0 to {MULTIPLY_UNIT} are possible"
            )
    if len(set(deltas)) > 1:
        return MultiplyDecays(deltas)
    return NoDecay() if deltas[0] == 0 and name == "vDecay" else MultiplyDecay(deltas[0])


def _weight_exponent(layer: Layer) -> int:
    """The power of two by which WgtScaleBatchNorm divides.

    It divides the current, after that has decayed and before the membrane takes it. Only a current
    that does not decay, or does so at once, is the same with weights that were divided before.
    """
    exponent = layer.number_of("neuron/weight_exp", 0)
    if exponent == 0:
        return 0
    if abs(exponent) > LARGEST_WEIGHT_EXPONENT:
        raise Unsupported(
            f"{layer.node}: neuron/weight_exp {exponent} cannot be expressed: lava-dl writes it as "
            f"trained, but computes with at most its weight_exp_bits ({LARGEST_WEIGHT_EXPONENT} by "
            "default), which the file does not hold"
        )
    deltas = np.ravel(layer.need("neuron/iDecay"))
    if np.any((deltas != 0) & (deltas != MULTIPLY_UNIT)):
        raise Unsupported(
            f"{layer.node}: neuron/weight_exp {exponent} with iDecay {int(deltas[0])} cannot be "
            "expressed: the current is divided after it has decayed; iDecay 4096 or 0 is needed, "
            "or another norm"
        )
    return exponent
