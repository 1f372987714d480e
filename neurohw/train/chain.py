# SPDX-License-Identifier: Apache-2.0
"""Populations that feed each other in a chain, each perhaps with a projection on itself, as one
operator in C++ (`chain.cpp`).

    I[t] = bias + W s_before[t - d] + R s[t - r]
           s, v: one step of the neurons, see `neurohw.train.functional`

A block of samples goes through all populations and steps in the caches. The forward pass writes
what is wanted and keeps u - threshold, from which the backward pass makes the gradients by all
weights and biases, and by the stimulus where it is wanted. The stimulus is kept as events. float32
on the processor, with a compiler; `SpikingModule` takes it where it knows the neuron models, the
projections are dense and the stimulus of the chain is sparse enough, and else PyTorch's operators
around `lif_scan`. Spikes and membranes are those of these, to the last bit where their sums are
exact; gradients to rounding.
"""

import ctypes
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from neurohw.errors import MissingTool
from neurohw.native_library import FLAGS, compiled
from neurohw.neurons import Astrocyte, Integrator, Lif, as_lif
from neurohw.support import Implements
from neurohw.train import scan
from neurohw.train.events import LINE, Events, address
from neurohw.train.functional import Constants
from neurohw.train.scan import EXACT, constant_rows, reset_code, usable
from neurohw.train.surrogate import SLOPES

# `neuron.h` is shared with the scan; an astrocyte, whose levels others need, is no member
IMPLEMENTS = Implements(
    "a chain of populations", {k: v for k, v in scan.IMPLEMENTS.nodes.items() if k is not Astrocyte}
)
SOURCE = Path(__file__).with_name("chain.cpp")
ARRAYS = 3  # of a population that have gradients: weight of the feed, weight of the loop, bias


@functools.cache
def _library() -> ctypes.CDLL | None:
    """The compiled operator, or None without a compiler: `scan.usable` warns."""
    try:
        return compiled(SOURCE, (*FLAGS, *EXACT))
    except MissingTool:
        return None


INTEGERS = (
    "neurons",
    "sources",
    "delay",
    "loop_delay",
    "reset",
    "refractory",
    "integrates",
    "strict",
)
POINTERS = ("constants", "feed", "loop", "bias", "spikes", "membrane")
GRADIENTS = ("by_spikes", "by_membrane", "by_feed", "by_loop", "by_bias")


class _Population(ctypes.Structure):
    """`Population` of chain.cpp."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in INTEGERS),
        *((name, ctypes.c_void_p) for name in (*POINTERS, *GRADIENTS)),
    ]


class _Chain(ctypes.Structure):
    """`Chain` of chain.cpp."""

    _fields_ = [
        *(
            (name, ctypes.c_int64)
            for name in ("steps", "samples", "count", "surrogate", "through_reset")
        ),
        ("slope", ctypes.c_double),
        *(
            (name, ctypes.c_void_p)
            for name in ("populations", "currents", "first", "source", "value", "kept")
        ),
        *((name, ctypes.c_void_p) for name in ("by_currents", "by_stimulus")),
        ("threads", ctypes.c_int32),
    ]


class Member(NamedTuple):
    """A population of a chain.

    weight [target, source] and delay of the projection that feeds it, and bias [neuron]: none in
    the first one where its currents are given. loop [target, source] and loop_delay, 1 at least, of
    the one on itself.
    spikes, membrane: True where they are wanted.
    """

    neuron: Lif | Integrator
    constants: Constants
    weight: Tensor | None
    delay: int
    loop: Tensor | None
    loop_delay: int
    bias: Tensor | None
    spikes: bool
    membrane: bool


class _Setting(NamedTuple):
    """What the operator knows besides tensors. numbers: INTEGERS of every population."""

    numbers: tuple[tuple[int, ...], ...]
    wanted: tuple[tuple[str, int], ...]  # "spikes" or "membrane", and of which population
    steps: int
    samples: int
    surrogate: int
    slope: float
    through_reset: bool
    differentiates: bool


def _native(
    setting: _Setting, constants: Sequence[Tensor], events: Events | None
) -> tuple[_Chain, Any]:
    """The structures, without weights and biases; populations and tensors have to stay alive while
    C++ reads them.
    """
    populations = (_Population * len(constants))()
    for k, population in enumerate(populations):
        for name, number in zip(INTEGERS, setting.numbers[k], strict=True):
            setattr(population, name, number)
        population.constants = address(constants[k])
    chain = _Chain(
        steps=setting.steps,
        samples=setting.samples,
        count=len(constants),
        surrogate=setting.surrogate,
        through_reset=setting.through_reset,
        slope=setting.slope,
        populations=ctypes.addressof(populations),
        threads=torch.get_num_threads(),
    )
    if events is not None:
        chain.first, chain.source, chain.value = (address(t) for t in events)
    return chain, populations


class _Function(torch.autograd.Function):
    """The spikes and membranes that are wanted, from currents or events of the stimulus and the
    arrays of the populations.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        setting: _Setting,
        events: Events | None,
        constants: tuple[Tensor, ...],
        currents: Tensor | None,
        stimulus: Tensor | None,
        *arrays: Tensor | None,
    ) -> tuple[Tensor, ...]:
        library = _library()
        assert library is not None
        currents = None if currents is None else currents.contiguous()
        chain, populations = _native(setting, constants, events)
        chain.currents = address(currents)
        arrays = tuple(None if t is None else t.contiguous() for t in arrays)
        for k, population in enumerate(populations):
            own = arrays[ARRAYS * k : ARRAYS * (k + 1)]
            population.feed, population.loop, population.bias = map(address, own)
        results = []
        for name, k in setting.wanted:
            results.append(torch.empty(setting.steps, setting.samples, populations[k].neurons))
            setattr(populations[k], name, address(results[-1]))
        above = None
        if setting.differentiates and any(ctx.needs_input_grad):
            # NumPy asks for large pages: touching small ones for the first time takes longer than
            # the rest of a forward pass
            neurons = sum(rows.shape[1] for rows in constants)
            above = torch.from_numpy(
                np.empty(setting.steps * setting.samples * neurons, np.float32)
            )
        chain.kept = address(above)
        library.neurohw_chain(ctypes.byref(chain))
        ctx.setting, ctx.has_events = setting, events is not None
        ctx.save_for_backward(above, currents, *constants, *(events or ()), *arrays)
        ctx.set_materialize_grads(False)
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *given: Tensor | None) -> Any:  # type: ignore[override]
        library = _library()
        assert library is not None
        setting, count = ctx.setting, len(ctx.setting.numbers)
        above, currents, *rest = ctx.saved_tensors
        constants, rest = rest[:count], rest[count:]
        events = Events(*rest[:3]) if ctx.has_events else None
        arrays = rest[3:] if ctx.has_events else rest
        chain, populations = _native(setting, constants, events)
        chain.currents, chain.kept = address(currents), address(above)
        given = tuple(None if t is None else t.contiguous() for t in given)
        for (name, k), gradient in zip(setting.wanted, given, strict=True):
            setattr(populations[k], f"by_{name}", address(gradient))
        _, _, _, currents_wanted, stimulus_wanted, *wanted = ctx.needs_input_grad
        results: list[Tensor | None] = []
        reached = stimulus_wanted or currents_wanted  # by a gradient that goes further
        for k, population in enumerate(populations):
            of_population = slice(ARRAYS * k, ARRAYS * (k + 1))
            weight, loop, _ = arrays[of_population]
            asked = stimulus_wanted if k == 0 else reached
            population.feed, population.loop = address(weight if asked else None), address(loop)
            own = [
                torch.empty_like(t) if is_wanted else None
                for t, is_wanted in zip(arrays[of_population], wanted[of_population], strict=True)
            ]
            population.by_feed, population.by_loop, population.by_bias = map(address, own)
            reached = reached or any(t is not None for t in own)
            results += own
        by_currents = torch.empty_like(currents) if currents_wanted else None
        by_stimulus = (
            torch.empty(setting.steps, setting.samples, populations[0].sources)
            if stimulus_wanted
            else None
        )
        chain.by_currents, chain.by_stimulus = address(by_currents), address(by_stimulus)
        library.neurohw_chain_gradient(ctypes.byref(chain))
        return (None, None, None, by_currents, by_stimulus, *results)


def known(neuron: Lif | Integrator, like: Tensor, detach_reset: bool) -> bool:
    """True where the operator runs: float32 on the processor with a compiler, a neuron model that
    `lif_scan` knows, and not while PyTorch compiles.
    """
    plain = (
        like.dtype == torch.float32
        and like.device.type == "cpu"
        and not torch.compiler.is_compiling()
    )
    return plain and usable(neuron, like, detach_reset) and _library() is not None


def run_chain(
    members: Sequence[Member],
    stimulus: Tensor | None,
    events: Events | None,
    currents: Tensor | None,
    surrogate: tuple[str, float | None],
    detach_reset: bool,
) -> list[dict[str, Tensor]]:
    """`spikes` and `membrane` [time, sample, neuron] of every population, from rest, where they are
    wanted.

    Either currents [time, sample, neuron] of the first population, which hold everything but its
    loop, or a stimulus [time, sample, source] and its events. Only for neuron models that are
    `known`.
    """
    given = stimulus if currents is None else currents
    assert given is not None
    (steps, samples), like = given.shape[:2], torch.empty(0, dtype=torch.float32)
    numbers, constants = [], []
    for member in members:
        IMPLEMENTS.refuse("neuron", member.neuron)
        neurons = (
            currents.shape[2]
            if member.weight is None and currents is not None
            else len(member.weight)  # type: ignore[arg-type]
        )
        rows = constant_rows(member.neuron, member.constants, like, neurons)
        rest = torch.zeros(len(rows), -neurons % LINE)
        rest[2] = torch.inf  # neurons that fill the last line never fire
        constants.append(torch.cat([rows, rest], 1))
        lif = as_lif(member.neuron)
        sources = 0 if member.weight is None else member.weight.shape[1]
        options = (reset_code(lif), lif.refractory, lif.integrates_refractory, lif.strict)
        numbers.append((neurons, sources, member.delay, member.loop_delay, *map(int, options)))
    name, slope = surrogate
    setting = _Setting(
        tuple(numbers),
        tuple(
            (name, k)
            for k, m in enumerate(members)
            for name in ("spikes", "membrane")
            if getattr(m, name)
        ),
        steps,
        samples,
        list(SLOPES).index(name),
        SLOPES[name] if slope is None else slope,
        not detach_reset,
        torch.is_grad_enabled(),
    )
    arrays = [t for member in members for t in (member.weight, member.loop, member.bias)]
    results = _Function.apply(
        setting, events, tuple(constants), currents, stimulus if currents is None else None, *arrays
    )  # type: ignore[no-untyped-call]
    found: list[dict[str, Tensor]] = [{} for _ in members]
    for (what, k), result in zip(setting.wanted, results, strict=True):
        found[k][what] = result
    return found
