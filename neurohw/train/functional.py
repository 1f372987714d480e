"""One step of the neuron models in PyTorch, as pure functions: the equations and the order of `neurohw.reference`.

Tensors are [sample, neuron] in a step and [time, sample, neuron] in a scan.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from neurohw.neurons import Integrator, Lif
from neurohw.train.surrogate import SpikeFunction


class NeuronState(NamedTuple):
    """Membrane after the reset, synaptic current and refractory steps left, each [sample, neuron]."""

    v: Tensor
    c: Tensor
    r: Tensor


class Record(NamedTuple):
    """What a population did: spikes and states, each [time, sample, neuron]."""

    spikes: Tensor
    v: Tensor
    c: Tensor
    r: Tensor


def rest(like: Tensor) -> NeuronState:
    """The state before the first step: all zero, of the shape, dtype and device of `like` [sample, neuron]."""
    zero = torch.zeros_like(like)
    return NeuronState(zero, zero, zero)


def integrator_step(neuron: Integrator, current: Tensor, state: NeuronState) -> NeuronState:
    """The next state of a readout that never fires: c = synapse_decay c + I, v = decay v + c."""
    c = current if neuron.synapse_decay is None else neuron.synapse_decay * state.c + current
    return NeuronState(neuron.decay * state.v + c, c, state.r)


def lif_step(
    neuron: Lif,
    threshold: Tensor,
    current: Tensor,
    state: NeuronState,
    spike: SpikeFunction,
    detach_reset: bool = True,
) -> tuple[Tensor, NeuronState]:
    """Spikes (0 and 1) and the next state after the current I of one step.

    threshold: [neuron]. spike: the surrogate. detach_reset: no gradient through the reset, which steadies learning over many steps.
    A hard reset cuts the gradient of the membrane where the neuron fired.
    """
    c = current if neuron.synapse_decay is None else neuron.synapse_decay * state.c + current
    u = neuron.decay * state.v + c
    fired = spike(u, threshold)
    able = None
    if neuron.refractory:
        able = state.r == 0
        fired = torch.where(able, fired, torch.zeros_like(fired))
    if neuron.reset == "soft":
        v = u - threshold * (fired.detach() if detach_reset else fired)
    else:
        v = torch.where(fired > 0, torch.full_like(u, neuron.v_reset), u)
    if able is None:
        return fired, NeuronState(v, c, state.r)
    left = torch.where(fired > 0, torch.full_like(state.r, float(neuron.refractory)), (state.r - 1).clamp_min(0))
    return fired, NeuronState(torch.where(able, v, state.v), c, left.detach())


def scan(
    neuron: Lif | Integrator,
    threshold: Tensor | None,
    currents: Tensor,
    spike: SpikeFunction,
    detach_reset: bool = True,
) -> Record:
    """Run one population over currents [time, sample, neuron] that are known beforehand. threshold: None for an Integrator."""
    state = rest(currents[0])
    fired: list[Tensor] = []
    states: list[NeuronState] = []
    for current in currents.unbind(0):
        if isinstance(neuron, Integrator):
            state = integrator_step(neuron, current, state)
        else:
            assert threshold is not None
            spikes, state = lif_step(neuron, threshold, current, state, spike, detach_reset)
            fired.append(spikes)
        states.append(state)
    return record(fired, states)


def record(fired: list[Tensor], states: list[NeuronState]) -> Record:
    """Steps put together along time; without any spikes (an Integrator) they are zero."""
    v = torch.stack([s.v for s in states])
    return Record(
        torch.stack(fired) if fired else torch.zeros_like(v),
        v,
        torch.stack([s.c for s in states]),
        torch.stack([s.r for s in states]),
    )
