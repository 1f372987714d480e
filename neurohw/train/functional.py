# SPDX-License-Identifier: Apache-2.0
"""One step of the neuron models in PyTorch, as pure functions: the equations and the order of
`neurohw.step`, with gradients.

Tensors are [sample, neuron] in a step and [time, sample, neuron] in a scan.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from neurohw.neurons import Adaptation, Astrocyte, Integrator, Lif, Source
from neurohw.support import Implements, attributes
from neurohw.train.surrogate import SpikeFunction

# what `lif_step` and `integrator_step` compute
NEURONS = {
    Lif: attributes(
        "decay threshold v_reset synapse_decay refractory adaptation strict delayed_reset "
        "membrane_bias delayed_current clears_current integrates_refractory",
        reset=("soft", "hard", "none"),
    ),
    Adaptation: attributes("decay strength"),
    Integrator: attributes("decay synapse_decay"),
    Astrocyte: attributes("decay synapse_decay"),
    Source: attributes(),
}


class Constants(NamedTuple):
    """The constants of a population: one value, or one for every neuron [neuron].

    membrane_bias: added to the membrane at every step, 0 unless the neuron model says so.
    """

    decay: float | Tensor
    synapse_decay: float | Tensor | None = None
    threshold: float | Tensor = 1.0
    v_reset: float | Tensor = 0.0
    adaptation_decay: float | Tensor = 0.0
    adaptation_strength: float | Tensor = 0.0
    membrane_bias: float | Tensor = 0.0


class NeuronState(NamedTuple):
    """Membrane after the reset, synaptic current, refractory steps left, adaptation of the
    threshold, each [sample, neuron].
    """

    v: Tensor
    c: Tensor
    r: Tensor
    a: Tensor


class Record(NamedTuple):
    """What a population did: spikes and states, each [time, sample, neuron]."""

    spikes: Tensor
    v: Tensor
    c: Tensor
    r: Tensor
    a: Tensor


class Carried(NamedTuple):
    """What a window of steps needs of those before: states by population, and by projection the
    spikes that are still on their way.

    states: none for a population at rest. spikes [step, sample, source]: the latest ones, as many
        steps as the longest delay or all there were.
    """

    states: dict[str, NeuronState]
    spikes: dict[str, Tensor]

    def detached(self) -> "Carried":
        """Copies without a history: a step of a record would keep the record of its whole
        window.
        """
        states = {
            name: NeuronState(*(t.detach().clone() for t in state))
            for name, state in self.states.items()
        }
        return Carried(states, {name: t.detach().clone() for name, t in self.spikes.items()})


def rest(like: Tensor) -> NeuronState:
    """The state before the first step: all zero, of the shape, dtype and device of `like` [sample,
    neuron].
    """
    zero = torch.zeros_like(like)
    return NeuronState(zero, zero, zero, zero)


def integrator_step(constants: Constants, current: Tensor, state: NeuronState) -> NeuronState:
    """The next state of a readout that never fires: c = synapse_decay c + I, v = decay v + c."""
    c = current if constants.synapse_decay is None else constants.synapse_decay * state.c + current
    return NeuronState(constants.decay * state.v + c, c, state.r, state.a)


def lif_step(
    neuron: Lif,
    constants: Constants,
    current: Tensor,
    state: NeuronState,
    spike: SpikeFunction,
    detach_reset: bool = True,
) -> tuple[Tensor, NeuronState]:
    """Spikes (0 and 1) and the next state after the current I of one step.

    spike: the surrogate.
    detach_reset: no gradient through the reset, which steadies learning over many steps. A hard
        reset cuts the gradient of the membrane where the neuron fired.
    """
    c = current if constants.synapse_decay is None else constants.synapse_decay * state.c + current
    held = state.r > 0 if neuron.refractory or neuron.delayed_reset else None
    if neuron.clears_current and held is not None:
        c = torch.where(held, torch.zeros_like(c), c)
    drive = state.c if neuron.delayed_current else c
    if neuron.membrane_bias:
        drive = drive + constants.membrane_bias
    threshold = torch.as_tensor(constants.threshold, dtype=c.dtype, device=c.device)
    if neuron.adaptation is not None:
        threshold = threshold + state.a
    before = state.v
    if held is not None and neuron.delayed_reset and neuron.reset == "hard":
        before = torch.where(held, torch.zeros_like(before) + constants.v_reset, before)
    if neuron.delayed_reset and neuron.reset == "soft":
        drive = drive - threshold * state.r  # r is the spike before, 0 or 1
    u = constants.decay * before + drive
    fired = spike(u, threshold)
    if neuron.strict:
        fired = torch.where(u == threshold, torch.zeros_like(fired), fired)
    if held is not None and neuron.refractory:
        fired = torch.where(held, torch.zeros_like(fired), fired)
    v = u
    if not neuron.delayed_reset and neuron.reset == "soft":
        v = u - threshold * (fired.detach() if detach_reset else fired)
    if not neuron.delayed_reset and neuron.reset == "hard":
        v = torch.where(
            fired > 0, torch.as_tensor(constants.v_reset, dtype=u.dtype, device=u.device), u
        )
    r = state.r
    if neuron.delayed_reset:
        r = fired.detach() if detach_reset else fired
    elif held is not None:
        if not neuron.integrates_refractory:
            v = torch.where(held, state.v, v)
        full = torch.full_like(state.r, float(neuron.refractory))
        r = torch.where(fired > 0, full, (state.r - 1).clamp_min(0)).detach()
    a = state.a
    if neuron.adaptation is not None:
        a = constants.adaptation_decay * a + constants.adaptation_strength * fired
    return fired, NeuronState(v, c, r, a)


def raised(constants: Constants, rise: Tensor | None) -> Constants:
    """The constants of one step in which an astrocyte raises the thresholds [sample, neuron];
    without a rise those that are given.
    """
    return constants if rise is None else constants._replace(threshold=constants.threshold + rise)


def scan(
    neuron: Lif | Integrator,
    constants: Constants,
    currents: Tensor,
    spike: SpikeFunction,
    detach_reset: bool = True,
    rises: Tensor | None = None,
    state: NeuronState | None = None,
) -> Record:
    """Run one population over currents, and rises of its threshold, [time, sample, neuron] that are
    known beforehand, from `state` or from rest.

    Raises Unsupported for a neuron model that the steps do not know.
    """
    if not torch.compiler.is_compiling():  # the module that is compiled has looked already
        Implements("training", NEURONS).refuse("neuron", neuron)
    state = rest(currents[0]) if state is None else state
    fired: list[Tensor] = []
    states: list[NeuronState] = []
    each_rise = [None] * len(currents) if rises is None else rises.unbind(0)
    for current, rise in zip(currents.unbind(0), each_rise, strict=True):
        if isinstance(neuron, Integrator):
            state = integrator_step(constants, current, state)
        else:
            spikes, state = lif_step(
                neuron, raised(constants, rise), current, state, spike, detach_reset
            )
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
        torch.stack([s.a for s in states]),
    )
