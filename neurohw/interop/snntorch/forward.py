# SPDX-License-Identifier: Apache-2.0
"""The row of layers of a module whose order only its `forward` knows, found by running it.

Every layer records what it takes and gives while `forward` runs on random counts. The module is a
row of layers if, at every step, each layer is called once, in one order, and takes what the one
before gave. `check` then compares the import with that run, spike for spike, and `forward` with its
layers.

A module is run on one step at a time [batch, ...], on [time, batch, ...] or on [batch, time, ...],
whichever makes its first layer take the steps one by one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neurohw.errors import NeurohwError, Unsupported
from neurohw.interop.snntorch.cells import is_neuron
from neurohw.interop.snntorch.layers import is_layer
from neurohw.interop.snntorch.probe import TOLERANCE, membrane_error, still
from neurohw.network import TrainedNetwork
from neurohw.reference import run_reference
from neurohw.stimulus import Spikes

STEPS, SAMPLES = 11, 5
LEVELS = (1, 9, 81)  # of the random counts, until every layer fires
ADVICE = "hand its layers over in order, as a list"


@dataclass
class Call:
    """What a layer took and gave; if it fires, spikes come first and the membrane last."""

    name: str
    fires: bool
    taken: torch.Tensor
    given: list[torch.Tensor]


@dataclass
class Run:
    """One run of a module: the stimulus [time, sample, ...], and the calls of every step."""

    stimulus: torch.Tensor
    steps: list[list[Call]]
    returned: list[Any] = field(default_factory=list)

    def values(self, position: int, which: int) -> NDArray[np.float64]:
        """Values of the layer at a position [time, sample, value]."""
        return np.array([step[position].given[which].flatten(1).numpy() for step in self.steps])


def leaves(module: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(name, layer) of everything inside a module that is a layer or has no parts."""
    children = list(module.named_children())
    if is_layer(module) or (prefix and not children):
        yield prefix, module
        return
    for name, child in children:
        yield from leaves(child, f"{prefix}.{name}" if prefix else name)


def layers_by_running(
    module: Any, shape: tuple[int, ...]
) -> tuple[list[tuple[str, tuple[int, ...]]], Run]:
    """(name, shape that it takes) of the layers in order, and the run that showed it.

    Raises Unsupported, naming the layer, for a module that is no row of layers, and for parts that
    its forward does not reach.
    """
    for level in LEVELS:
        run = _run(module, shape, level)
        silent = _silent(run)
        if not silent:
            break
    else:
        raise Unsupported(
            f"layer {silent[0]!r} never fires on random counts, so that nobody can see what "
            f"forward does with its spikes; {ADVICE}"
        )
    first = run.steps[0]
    names = [call.name for call in first]
    for name in names:
        if names.count(name) > 1:
            raise Unsupported(f"layer {name!r} is called {names.count(name)} times a step")
    for number, step in enumerate(run.steps):
        if [call.name for call in step] != names:
            raise Unsupported(
                f"step {number} calls {[call.name for call in step]}, step 0 {names}: not one row "
                "of layers"
            )
    _check_reached(module, names)
    for step in run.steps:
        for before, call in zip(step, step[1:], strict=False):
            if not _same(call.taken, before.given[0]):
                raise Unsupported(
                    f"layer {call.name!r} takes something else than layer {before.name!r} gives: "
                    f"forward computes in between, or the layers are no row; {ADVICE}"
                )
    _check_returned(run)
    return [(call.name, tuple(call.taken.shape[1:])) for call in first], run


def check(
    model: TrainedNetwork, run: Run, populations: dict[str, str], readout: str | None
) -> None:
    """Raise Unsupported, naming the layer, unless the import gives what the run gave.

    populations: the population of every layer. readout: of the last layer, if it has no neurons.
    """
    counts = run.stimulus.flatten(2).numpy()
    trace = run_reference(model, Spikes.time_first(counts))
    for position, call in enumerate(run.steps[0]):
        last = position == len(run.steps[0]) - 1
        name = readout if last and readout is not None else populations[call.name]
        if not (call.fires or (last and readout is not None)):
            continue
        spikes, v = trace.spikes[name], trace.states[f"v.{name}"]
        wrong = int(np.count_nonzero(spikes != run.values(position, 0))) if call.fires else 0
        seen = run.values(position, -1)
        error = membrane_error(v, seen, spikes, 1.0)
        if wrong or error > TOLERANCE:
            raise Unsupported(
                f"layer {call.name!r}: forward gives {wrong} of {spikes.size} spikes other than "
                f"the layers in a row, and membranes that differ by up to {error:.3g}: its states "
                f"are not carried from step to step, or it computes more; {ADVICE}"
            )


def _silent(run: Run) -> list[str]:
    """Neuron layers before the last layer that gave no spike."""
    return [
        call.name
        for position, call in enumerate(run.steps[0][:-1])
        if call.fires
        and not any(position < len(s) and bool(s[position].given[0].any()) for s in run.steps)
    ]


def _run(module: Any, shape: tuple[int, ...], level: int) -> Run:
    rng = np.random.default_rng(0)
    counts = (
        level
        * rng.integers(0, 2, (STEPS, SAMPLES, *shape))
        * rng.choice([1, 1, 3], (STEPS, SAMPLES, 1))[(..., *(None for _ in shape[1:]))]
    )
    x = torch.from_numpy(counts.astype(np.float64))
    reasons = []
    for style, run in (("a step", _by_step), ("time first", _whole), ("batch first", _batch_first)):
        copied = still(module)
        calls: list[Call] = []
        handles = [
            layer.register_forward_hook(_recorder(name, calls), with_kwargs=True)
            for name, layer in leaves(copied)
        ]
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                return run(copied, x, calls)
        except NeurohwError as error:
            reasons.append(f"{style}: {error}")
        except Exception as error:  # whatever a forward of others may raise
            reasons.append(f"{style}: {type(error).__name__}: {str(error).splitlines()[0]}")
        for handle in handles:
            handle.remove()
    raise Unsupported(
        f"{type(module).__name__}: its forward could not be followed ({'; '.join(reasons)}); "
        f"{ADVICE}"
    )


def _recorder(name: str, calls: list[Call]) -> Any:
    def hook(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        taken = args[0] if args else next(iter(kwargs.values()))
        given = list(output) if isinstance(output, tuple | list) else [output]
        if is_neuron(layer) and len(given) == 1 and torch.is_tensor(getattr(layer, "mem", None)):
            given.append(layer.mem)
        copies = [g.detach().clone() for g in given]
        calls.append(Call(name, is_neuron(layer), taken.detach().clone(), copies))

    return hook


def _by_step(module: Any, x: torch.Tensor, calls: list[Call]) -> Run:
    returned = [module(x[0])]
    if not calls:
        raise Unsupported("forward calls no layer")
    count = [call.name for call in calls].count(calls[0].name)
    if count > 1:  # a loop over time inside, on a constant input
        repeated = x[:1].expand(count, *x.shape[1:])
        return _sorted(repeated, calls, returned)
    for step in x[1:]:
        returned.append(module(step))
    return _sorted(x, calls, returned)


def _whole(module: Any, x: torch.Tensor, calls: list[Call]) -> Run:
    return _sorted(x, calls, [module(x)])


def _batch_first(module: Any, x: torch.Tensor, calls: list[Call]) -> Run:
    return _sorted(x, calls, [module(x.transpose(0, 1).contiguous())])


def _sorted(x: torch.Tensor, calls: list[Call], returned: list[Any]) -> Run:
    """The calls by step; Unsupported unless the first layer takes the stimulus step by step."""
    steps: list[list[Call]] = []
    for call in calls:
        if call.name == calls[0].name:
            steps.append([])
        steps[-1].append(call)
    if len(steps) != len(x) or any(
        not _same(step[0].taken, value) for step, value in zip(steps, x, strict=True)
    ):
        raise Unsupported(f"layer {calls[0].name!r} does not take the input step by step")
    return Run(x, steps, returned)


def _same(taken: torch.Tensor, given: torch.Tensor) -> bool:
    """Whether two tensors hold the same values in the same order, sample by sample."""
    return (
        len(taken) == len(given)
        and taken.numel() == given.numel()
        and torch.equal(taken.flatten().double(), given.flatten().double())
    )


def _check_reached(module: Any, names: list[str]) -> None:
    parts = dict(leaves(module))
    lost = [
        name
        for name, part in parts.items()
        if name not in names and (is_neuron(part) or any(True for _ in part.parameters()))
    ]
    inside = {id(p) for part in parts.values() for p in part.parameters()}
    lost += [name for name, p in module.named_parameters() if id(p) not in inside]
    if lost:
        raise Unsupported(
            f"{', '.join(map(repr, lost))}: forward calls no such layer, and a parameter of no "
            f"layer can be used for anything; {ADVICE}"
        )


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if torch.is_tensor(value):
        yield value
    elif isinstance(value, dict):
        for entry in value.values():
            yield from _tensors(entry)
    elif isinstance(value, tuple | list):
        for entry in value:
            yield from _tensors(entry)


def _check_returned(run: Run) -> None:
    """Every tensor that forward returns is what a layer gave, over time, summed or averaged."""
    known: list[torch.Tensor] = []
    for position in range(len(run.steps[0])):
        for which in range(len(run.steps[0][position].given)):
            each = [step[position].given[which].double() for step in run.steps]
            known += each
            stacked = torch.stack(each)
            known += [stacked, stacked.transpose(0, 1), stacked.movedim(0, -1)]
            known += [stacked.sum(0), stacked.mean(0)]
    for tensor in _tensors(run.returned):
        flat = tensor.detach().double().flatten()
        if not any(
            k.numel() == flat.numel() and torch.allclose(k.flatten(), flat, rtol=1e-12, atol=0)
            for k in known
        ):
            raise Unsupported(
                f"forward returns a tensor of shape {tuple(tensor.shape)} that none of its layers "
                f"gave: it computes after them; {ADVICE}"
            )
