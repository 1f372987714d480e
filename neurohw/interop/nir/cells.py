# SPDX-License-Identifier: Apache-2.0
"""A neuron node of NIR under conventions: the neuron model, its constants, and the gain of its
input.

With dt the step, b the decay of the membrane and a that of the synaptic current per step
(`Conventions`):

    LIF      v = b v + (1 - b) (v_leak + r I)
    CubaLIF  i = a i + (1 - a) w_in I,   v = b v + (1 - b) (v_leak + r i)
    IF       v = v + dt r I                                  (with dt = 1 the sum of the inputs)

LI and CubaLI are the same without spikes; Threshold is a neuron without memory. The gains before I
move into weights and biases, v_leak becomes a bias.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.errors import InvalidModel, Unsupported
from neurohw.interop.chain import kind_of_node, node_values
from neurohw.interop.nir.conventions import Conventions
from neurohw.interop.nir.graph import READOUT
from neurohw.neurons import Integrator, Lif, Neuron

FloatArray = NDArray[np.float64]
PARAMETERS = {
    "IF": ("r", "v_threshold", "v_reset"),
    "LIF": ("tau", "r", "v_leak", "v_threshold", "v_reset"),
    "CubaLIF": ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "v_reset", "w_in"),
    "LI": ("tau", "r", "v_leak"),
    "CubaLI": ("tau_syn", "tau_mem", "r", "v_leak", "w_in"),
    "Threshold": ("threshold",),
}


@dataclass
class Cell:
    """A neuron node: its model, its constants [neuron], and the gain of its input [neuron]."""

    neuron: Neuron
    shape: tuple[int, ...]
    gain: FloatArray
    leak: FloatArray  # added to the membrane in every step
    threshold: FloatArray | None = None
    varied: dict[str, FloatArray] = field(default_factory=dict)


def own_shape(node: Any) -> tuple[int, ...] | None:
    """The shape of a node's parameters, None where each is one number for any population."""
    shapes = [np.shape(getattr(node, name)) for name in PARAMETERS[kind_of_node(node)]]
    shape = max(shapes, key=lambda s: (math.prod(s), len(s)))
    return shape if math.prod(shape) > 1 else None


def cell_of(name: str, node: Any, shape: tuple[int, ...], conventions: Conventions) -> Cell:
    """The neurons of a node. shape: of the population, for parameters that are one number.

    Raises InvalidModel or Unsupported naming node, parameter, value and what to do.
    """
    kind, size = kind_of_node(node), math.prod(shape)
    zero, one = np.zeros(size), np.ones(size)

    def values(attribute: str) -> FloatArray:
        return node_values(node, name, attribute, size)

    def decay_of(attribute: str) -> FloatArray:
        return conventions.decay(_time_constant(name, node, attribute, size), name)

    decay, synapse, gain, leak = zero, None, one, zero
    if kind == "IF":
        decay = one
        gain = conventions.dt * values("r") if conventions.gain == "nir" else one
    if kind in ("LIF", "LI"):
        decay = decay_of("tau")
    if kind in ("CubaLIF", "CubaLI"):
        decay, synapse = decay_of("tau_mem"), decay_of("tau_syn")
        gain = conventions.input_gain(
            conventions.current_gain,
            synapse,
            values("w_in") if conventions.current_gain == "nir" else one,
        )
    if kind in ("LIF", "LI", "CubaLIF", "CubaLI"):
        scale = values("r") if conventions.gain == "nir" else one
        gain = gain * conventions.input_gain(conventions.gain, decay, scale)
        leak = (1 - decay) * values("v_leak")
    varied = {"decay": decay} | ({} if synapse is None else {"synapse_decay": synapse})
    first_synapse = None if synapse is None else float(synapse[0])
    if kind in READOUT:
        return Cell(Integrator(float(decay[0]), first_synapse), shape, gain, leak, None, varied)
    threshold = values("threshold" if kind == "Threshold" else "v_threshold")
    v_reset = zero if kind == "Threshold" else values("v_reset")
    if conventions.begins_at_reset and np.any(v_reset != 0):
        rest = node.v_leak if kind in ("LIF", "CubaLIF") else v_reset
        if np.any(np.abs(np.ravel(rest) - v_reset) > 1e-9):
            raise Unsupported(
                f"node {name!r}: its membrane begins at v_reset {v_reset[0]:g} and rests at "
                "another v_leak, which cannot be expressed: "
                "make them equal or 0"
            )
        # counted from v_reset, the membrane begins, rests and is reset at 0
        threshold, leak, v_reset = threshold - v_reset, zero, zero
    if np.any(threshold <= 0):
        raise Unsupported(
            f"node {name!r}: threshold {threshold.min():g} is not above 0, where a silent neuron "
            "begins: raise it"
        )
    hard = conventions.reset == "hard" and kind != "Threshold"
    if not hard and np.any(v_reset != 0):
        raise Unsupported(
            f"node {name!r}: v_reset {v_reset[np.argmax(v_reset != 0)]:g} would be ignored with "
            f"reset {conventions.reset!r}: choose reset 'hard' or set it to 0"
        )
    if np.any(v_reset >= threshold):
        raise Unsupported(
            f"node {name!r}: v_reset {v_reset.max():g} is not below its threshold: the neuron "
            "would fire for ever"
        )
    if hard:
        varied["v_reset"] = v_reset
    try:
        neuron = Lif(
            decay=float(decay[0]),
            threshold=float(threshold[0]),
            reset="none" if kind == "Threshold" else conventions.reset,
            v_reset=float(v_reset[0]) if hard else 0.0,
            synapse_decay=first_synapse,
            refractory=0 if kind == "Threshold" else conventions.refractory,
            strict=conventions.strict,
            delayed_reset=conventions.delayed_reset and kind != "Threshold",
            membrane_bias=kind == "CubaLIF" and bool(np.any(leak != 0)),
        )
    except InvalidModel as error:
        raise InvalidModel(f"node {name!r}: {error}") from error
    return Cell(neuron, shape, gain, leak, threshold, varied)


def _time_constant(name: str, node: Any, attribute: str, size: int) -> FloatArray:
    """A time constant; unlike other parameters it may be infinite, for no leak."""
    array = np.asarray(getattr(node, attribute), np.float64).ravel()
    if array.size not in (1, size):
        raise InvalidModel(
            f"node {name!r}: {attribute} holds {array.size} values, {size} are needed"
        )
    return np.broadcast_to(array, (size,))
