# SPDX-License-Identifier: Apache-2.0
"""The row of layers of a module whose order only its `forward` knows, found by running it.

Every layer records what it takes and gives while `forward` runs on random counts. The module is a
row of layers if every step calls the same layers in one order, and each takes what the one before
gave. `check` then compares the import with that run, spike for spike, and `forward` with its
layers. A layer may be called at several places: neurons then are two populations if forward hands
each place its own state, which the comparison shows.

A module is run on one step at a time [batch, ...], on [time, batch, ...] or on [batch, time, ...],
whichever makes its first layer take the steps one by one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
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
LONG = 600  # steps for a forward that takes more than STEPS by numbers of its own
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
    """One run of a module: the stimulus [time, sample, ...], and the calls of every step.

    fixed: whether forward itself says how many steps it runs.
    """

    stimulus: torch.Tensor
    steps: list[list[Call]]
    returned: list[Any] = field(default_factory=list)
    fixed: bool = False

    def values(self, position: int, which: int) -> NDArray[np.float64]:
        """Values of the layer at a position [time, sample, value]."""
        return np.array([step[position].given[which].flatten(1).numpy() for step in self.steps])


def leaves(module: Any) -> Iterator[tuple[str, Any]]:
    """(name, layer) of everything inside a module that is a layer or has no parts, each once."""
    inside: set[Any] = set()
    for name, part in module.named_modules():
        if part in inside:
            continue
        if is_layer(part) or (name and not any(True for _ in part.children())):
            inside.update(part.modules())
            yield name, part


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
    _check_states(module, names)
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


def check(model: TrainedNetwork, run: Run, populations: list[str], readout: str | None) -> None:
    """Raise Unsupported, naming the layer, unless the import gives what the run gave.

    populations: the population at every call of a step.
    readout: of the last layer, if it has no neurons.
    """
    counts = run.stimulus.flatten(2).numpy()
    trace = run_reference(model, Spikes.time_first(counts))
    for position, call in enumerate(run.steps[0]):
        last = position == len(run.steps[0]) - 1
        name = readout if last and readout is not None else populations[position]
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


def _counts(shape: tuple[int, ...], level: int, steps: int) -> torch.Tensor:
    """Random counts [time, sample, ...] as float64."""
    rng = np.random.default_rng(0)
    counts = (
        level
        * rng.integers(0, 2, (steps, SAMPLES, *shape))
        * rng.choice([1, 1, 3], (steps, SAMPLES, 1))[(..., *(None for _ in shape[1:]))]
    )
    return torch.from_numpy(counts.astype(np.float64))


def _run(module: Any, shape: tuple[int, ...], level: int) -> Run:
    reasons = []
    tries = [
        ("a step", STEPS, _by_step),
        ("time first", STEPS, _whole),
        ("batch first", STEPS, _batch_first),
    ]
    for style, steps, run in tries:  # which grow
        x = _counts(shape, level, steps)
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
            if isinstance(error, IndexError) and steps == STEPS and run is not _by_step:
                tries.append((f"{style}, {LONG} steps", LONG, run))
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
    first = calls[0]
    count = sum(call.name == first.name and _same(call.taken, first.taken) for call in calls)
    if count > 1:  # a loop over time inside, on a constant input
        repeated = x[:1].expand(count, *x.shape[1:])
        return replace(_sorted(repeated, calls, returned), fixed=True)
    for step in x[1:]:
        returned.append(module(step))
    return _sorted(x, calls, returned)


def _whole(module: Any, x: torch.Tensor, calls: list[Call]) -> Run:
    return _all_or_first(x, calls, [module(x)])


def _batch_first(module: Any, x: torch.Tensor, calls: list[Call]) -> Run:
    return _all_or_first(x, calls, [module(x.transpose(0, 1).contiguous())])


def _all_or_first(x: torch.Tensor, calls: list[Call], returned: list[Any]) -> Run:
    """The run over all steps of the stimulus, or over the first few that forward takes."""
    taken = sum(call.name == calls[0].name for call in calls) if calls else 0
    run = _sorted(x[:taken] if 1 < taken < len(x) else x, calls, returned)
    return replace(run, fixed=len(run.steps) < len(x))


def _sorted(x: torch.Tensor, calls: list[Call], returned: list[Any]) -> Run:
    """The calls by step; Unsupported unless the first layer takes the stimulus step by step."""
    steps: list[list[Call]] = []
    for call in calls:
        # a layer without state may be the first of a step and be called once more in it
        if call.name == calls[0].name and len(steps) < len(x) and _same(call.taken, x[len(steps)]):
            steps.append([])
        if steps:
            steps[-1].append(call)
    if len(steps) != len(x):
        raise Unsupported(f"layer {calls[0].name!r} does not take the input step by step")
    return Run(x, steps, returned)


def _same(taken: torch.Tensor, given: torch.Tensor) -> bool:
    """Whether two tensors hold the same values in the same order, sample by sample."""
    return (
        len(taken) == len(given)
        and taken.numel() == given.numel()
        and torch.equal(taken.flatten().double(), given.flatten().double())
    )


def _check_states(module: Any, names: list[str]) -> None:
    """Raise Unsupported for neurons with one hidden state that a step calls more than once."""
    for name in names:
        layer = module.get_submodule(name)
        if names.count(name) > 1 and getattr(layer, "init_hidden", False):
            raise Unsupported(
                f"layer {name!r} ({type(layer).__name__}): forward calls it {names.count(name)} "
                "times a step, and with init_hidden=True it keeps one state for all of them; give "
                "each place a layer of its own"
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


def _given(run: Run, position: int) -> list[torch.Tensor]:
    """What the layer at a position gave, by step, over time, summed and averaged."""
    known: list[torch.Tensor] = []
    for which in range(len(run.steps[0][position].given)):
        each = [step[position].given[which].double() for step in run.steps]
        stacked = torch.stack(each)
        known += [*each, stacked, stacked.transpose(0, 1), stacked.movedim(0, -1)]
        known += [stacked.sum(0), stacked.mean(0)]
    return known


def _check_returned(run: Run) -> None:
    """Every tensor that forward returns is what a layer gave, and one is of the last layer."""
    first = run.steps[0]
    known = [_given(run, position) for position in range(len(first))]
    returned: set[int] = set()
    for tensor in _tensors(run.returned):
        flat = tensor.detach().double().flatten()
        origins = {
            position
            for position, values in enumerate(known)
            if any(
                k.numel() == flat.numel() and torch.allclose(k.flatten(), flat, rtol=1e-12, atol=0)
                for k in values
            )
        }
        returned |= origins
        if not origins:
            raise Unsupported(
                f"forward returns a tensor of shape {tuple(tensor.shape)} that none of its layers "
                f"gave: it computes after them; {ADVICE}"
            )
    if returned and len(first) - 1 not in returned:
        raise Unsupported(
            f"forward returns what layer {first[max(returned)].name!r} gives, and runs on to "
            f"layer {first[-1].name!r}, which would be the output here; hand over the layers up "
            "to the one that is returned in order, as a list, or return the last"
        )
