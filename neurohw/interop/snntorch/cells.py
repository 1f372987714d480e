# SPDX-License-Identifier: Apache-2.0
"""What one spiking layer of snnTorch computes: its neuron model and its constants."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import snntorch as snn
import torch
from numpy.typing import NDArray

from neurohw.errors import InvalidModel, Unsupported
from neurohw.neurons import Integrator, Lif

FloatArray = NDArray[np.float64]
NEURONS = (snn.Leaky, snn.Synaptic, snn.RLeaky, snn.RSynaptic, snn.Alpha, snn.Lapicque)
RECURRENT = (snn.RLeaky, snn.RSynaptic)
RESETS = {"_base_sub": "subtract", "_base_zero": "zero", "_base_int": "none"}


@dataclass
class Cell:
    """A spiking layer: its model, its constants [neuron], and the gain of its input [neuron].

    threshold: None for a layer that never fires. notes: where arguments do not what they say.
    """

    neuron: Lif | Integrator
    varied: dict[str, FloatArray]
    threshold: FloatArray | None
    gain: FloatArray
    notes: tuple[str, ...] = ()


def numbers(value: Any) -> FloatArray:
    """A number, array or tensor as float64."""
    if torch.is_tensor(value):
        value = value.detach().cpu()
        value = (value.double() if value.is_floating_point() else value).numpy()
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise Unsupported(f"numbers of type {array.dtype} cannot be expressed")
    return array.astype(np.float64)


def spread(value: Any, shape: tuple[int, ...], node: str) -> FloatArray:
    """A parameter as PyTorch broadcasts it over [batch, *shape], one value per neuron [neuron].

    Raises InvalidModel where PyTorch would fail, and for values that differ between samples.
    """
    array = numbers(value)
    try:
        return np.broadcast_to(array, (1, *shape)).ravel().copy()
    except ValueError as error:
        per_channel = array.ndim == 1 and len(shape) > 1 and array.size == shape[0]
        cure = f"; one value per channel has shape {(shape[0], *(1 for _ in shape[1:]))}"
        raise InvalidModel(
            f"{node} has shape {array.shape}, its layer {shape}: PyTorch lines the last axes up"
            + (cure if per_channel else "")
        ) from error


def base_of(layer: Any) -> type | None:
    """The class of snnTorch that a layer is, or that the script of an export derives from."""
    if type(layer) in NEURONS:
        return type(layer)
    if at_once(layer):
        return next((c for c in type(layer).__mro__ if c in NEURONS), None)
    return None


def at_once(layer: Any) -> bool:
    """Whether the class is one of an exported script, which resets in the step of the spike."""
    classes = type(layer).__mro__
    return (
        len(classes) > 2 and vars(classes[1]).get("RESETS_AT_ONCE", False) and classes[2] in NEURONS
    )


def is_neuron(layer: Any) -> bool:
    """Whether a module is a spiking layer of snnTorch of any kind, known or not."""
    return isinstance(layer, snn.SpikingNeuron)


def _fires_strictly(layer: Any, node: str) -> bool:
    """Whether a membrane at the threshold does not fire; Unsupported if spike_grad is no step."""
    points = [1e-30, 1e-9, 1e-3, 0.1, 0.5, 1.0, 3.0, 1e3]
    x = torch.tensor([[*(-p for p in points), 0.0, *points]], dtype=torch.float64)
    try:
        with torch.no_grad():
            values = [torch.as_tensor(layer.spike_grad(x)).double() for _ in range(3)]
    except Exception as error:  # whatever a function of others may raise
        raise Unsupported(
            f"{node}: its spike_grad fails with {type(error).__name__}: {error}"
        ) from error
    for strict, step in ((True, x > 0), (False, x >= 0)):
        if all(torch.equal(v, step.double()) for v in values):
            return strict
    raise Unsupported(f"{node}: spike_grad is not 0 below the threshold and 1 above it")


def _check_plain(layer: Any, node: str) -> None:
    if base_of(layer) is None:
        known = ", ".join(c.__name__ for c in NEURONS)
        parents = [c.__name__ for c in type(layer).__mro__ if c in NEURONS]
        raise Unsupported(
            f"{node}: a subclass of {parents[0]} can compute anything; use the class itself"
            if parents
            else f"{node}: this neuron cannot be expressed; known are {known}"
        )
    for name in ("inhibition", "state_quant"):
        if getattr(layer, name, False) not in (False, None):
            raise Unsupported(f"{node}: {name} cannot be expressed")
    if np.any(numbers(getattr(layer, "graded_spikes_factor", 1.0)) != 1.0):
        raise Unsupported(
            f"{node}: graded_spikes_factor other than 1 cannot be expressed, spikes are 0 or 1"
        )


def _reset(layer: Any, node: str) -> tuple[str, bool, list[str]]:
    """The reset that a layer computes, whether it is a step late, and what to say about it."""
    notes = []
    reset = RESETS.get(getattr(layer.state_function, "__name__", ""))
    if reset is None:
        raise Unsupported(f"{node}: its state_function is none of snnTorch's")
    late = bool(getattr(layer, "reset_delay", True))
    if not late and base_of(layer) is snn.RSynaptic:
        late = True
        notes.append(
            f"{node}: snnTorch ignores reset_delay=False of RSynaptic; so does this import"
        )
    named = layer.reset_mechanism
    if named != reset or RESETS_BY_VALUE[int(layer.reset_mechanism_val)] != reset:
        if not late:
            raise Unsupported(
                f"{node}: reset_mechanism was changed from {reset!r} after construction, which "
                "reset_delay=False takes up half; construct the layer with it"
            )
        notes.append(
            f"{node}: reset_mechanism was changed after construction; snnTorch keeps {reset!r}, "
            "and so does this import"
        )
    return reset, late, notes


RESETS_BY_VALUE = {number: name for name, number in snn.SpikingNeuron.reset_dict.items()}


def _decays(layer: Any, node: str, shape: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
    """Decay of the membrane and gain of the input [neuron], but for Alpha's gain."""
    if base_of(layer) is not snn.Lapicque:
        beta = np.clip(spread(layer.beta, shape, f"{node}: beta"), 0, 1)
        return beta, np.ones(math.prod(shape))
    resistance, capacity, step = (
        spread(getattr(layer, name), shape, f"{node}: {name}") for name in ("R", "C", "time_step")
    )
    decay = 1 - step / (resistance * capacity)
    if np.any((decay < 0) | (decay > 1)):
        raise Unsupported(
            f"{node}: time_step / (R C) is {np.min(1 - decay)} to {np.max(1 - decay)}; 0 to 1 can "
            "be expressed, use a shorter time_step"
        )
    return decay, resistance * (1 / (resistance * capacity)) * step


def cell_of(layer: Any, node: str, shape: tuple[int, ...]) -> Cell:
    """The cell of a spiking layer whose neurons stand in `shape`.

    Raises Unsupported or InvalidModel, naming layer and argument, for what has no equal here.
    """
    _check_plain(layer, node)
    base = base_of(layer)
    reset, late, notes = _reset(layer, node)
    strict = _fires_strictly(layer, node)
    beta, gain = _decays(layer, node, shape)
    threshold = spread(layer.threshold, shape, f"{node}: threshold")
    varied, alpha = {"decay": beta}, None
    if base in (snn.Synaptic, snn.RSynaptic, snn.Alpha):
        alpha = np.clip(spread(layer.alpha, shape, f"{node}: alpha"), 0, 1)
        varied["synapse_decay"] = alpha
    synapse = None if alpha is None else float(alpha[0])
    if base is not snn.Alpha and reset != "subtract" and np.all(threshold == math.inf):
        return Cell(Integrator(float(beta[0]), synapse), varied, None, gain, tuple(notes))
    if np.any(threshold <= 0) or not np.all(np.isfinite(threshold)):
        raise Unsupported(
            f"{node}: threshold {threshold.min()} cannot be expressed, it must be above 0 and "
            "finite"
        )
    neuron = Lif(
        decay=float(beta[0]), threshold=float(threshold[0]), synapse_decay=synapse, strict=strict
    )
    if base is snn.Alpha:
        assert alpha is not None
        gain = _gain_of_alpha(alpha, beta, node)
        neuron = replace(neuron, delayed_current=True)
    neuron = _with_reset(neuron, layer, reset, late, node)
    return Cell(neuron, varied, threshold, gain, tuple(notes))


def _gain_of_alpha(alpha: FloatArray, beta: FloatArray, node: str) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        tau = np.log(alpha) / (np.log(beta) - np.log(alpha)) + 1
        gain = tau * (alpha - beta)
    if not np.all(np.isfinite(gain)):
        raise Unsupported(
            f"{node}: alpha and beta must differ: snnTorch divides by log beta - log alpha"
        )
    return gain


def _with_reset(neuron: Lif, layer: Any, reset: str, late: bool, node: str) -> Lif:
    base = base_of(layer)
    if reset == "none":
        return replace(neuron, reset="none")
    if at_once(layer):
        return replace(neuron, reset="soft" if reset == "subtract" else "hard")
    if reset == "zero" and not late:
        return replace(neuron, reset="hard")
    if reset == "zero" and base is snn.Leaky:
        return replace(neuron, reset="hard", delayed_reset=True)
    if reset == "zero":
        return replace(neuron, reset="hard", refractory=1, clears_current=base is snn.Alpha)
    if base is snn.Alpha:
        raise Unsupported(
            f"{node}: Alpha with reset_mechanism 'subtract' sets the inhibitory current to 0 and "
            "adds its old value to the membrane in the step after a spike; no neuron model here "
            "does that: use 'zero' or 'none'"
        )
    if not late:
        raise Unsupported(
            f"{node}: 'subtract' with reset_delay=False gives back a threshold when the membrane "
            "stays above it; use reset_delay=True"
        )
    return replace(neuron, reset="soft", delayed_reset=True)
