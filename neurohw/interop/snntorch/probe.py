# SPDX-License-Identifier: Apache-2.0
"""The judge of every imported neuron layer: the layer itself, run on random input.

A rule found in the source of one version of snnTorch may be wrong for another, and a layer may have
been changed after construction. So each layer takes random currents in float64, and its import the
same; spikes must be equal, and membranes up to rounding.
"""

import copy
import math
from dataclasses import replace
from typing import Any

import numpy as np
import snntorch as snn
import torch
from numpy.typing import NDArray

from neurohw.connections import Dense
from neurohw.errors import Unsupported
from neurohw.interop.chain import Chain, start
from neurohw.interop.snntorch.cells import RECURRENT, Cell
from neurohw.neurons import Integrator
from neurohw.reference import run_reference
from neurohw.stimulus import Spikes

STATES = ("spk", "syn", "syn_exc", "syn_inh", "mem")
STEPS, SAMPLES, SOURCES = 24, 2, 8
TOLERANCE = 1e-6


def still(module: Any) -> Any:
    """A copy in evaluation mode, in float64, at rest.

    What a training left behind (states with their graph) is not copied. Spikes are float64 like the
    rest: snnTorch makes them float32, which a float64 layer does not take.
    """
    leftovers = {}
    for owner in module.modules():
        for value in (*vars(owner).values(), *owner._buffers.values()):
            if torch.is_tensor(value) and not value.is_leaf:
                leftovers[id(value)] = value.detach().clone()
    try:
        result = copy.deepcopy(module, leftovers).eval().double()
    except (RuntimeError, TypeError) as error:
        raise Unsupported(f"{type(module).__name__}: it cannot be copied: {error}") from error
    for layer in result.modules():
        if isinstance(layer, snn.SpikingNeuron):
            rest(layer)
            layer.spike_grad = _in_kind(layer.spike_grad)
    return result


def _in_kind(spike_grad: Any) -> Any:
    return lambda x: spike_grad(x).to(x.dtype)


def rest(layer: Any) -> None:
    """Empty states, which snnTorch takes as 0."""
    for name in STATES:
        if torch.is_tensor(getattr(layer, name, None)):
            setattr(layer, name, torch.zeros(0, dtype=torch.float64))


def run_neurons(
    layer: Any, currents: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Spikes and membranes [time, sample, ...] of one layer, from rest, under such currents."""
    layer = still(layer)
    layer.init_hidden = layer.output = False
    count = sum(torch.is_tensor(getattr(layer, name, None)) for name in STATES)
    state = tuple(torch.zeros(currents.shape[1:], dtype=torch.float64) for _ in range(count))
    spikes, membranes = [], []
    with torch.no_grad():
        for current in torch.from_numpy(currents):
            out = layer(current, *state)
            state = out if isinstance(layer, RECURRENT) else out[1:]
            spikes.append(out[0].numpy().copy())
            membranes.append(out[-1].numpy().copy())
    return np.array(spikes), np.array(membranes)


def membrane_error(
    ours: NDArray[np.float64],
    theirs: NDArray[np.float64],
    spikes: NDArray[Any],
    level: NDArray[np.float64] | float,
) -> float:
    """Largest difference of membranes [time, sample, neuron] relative to `level` and themselves.

    Steps with a spike do not count: snnTorch shows the membrane before a reset that comes late.
    """
    error = np.abs(ours - theirs) / (level + np.abs(ours))
    return float(np.max(np.where(spikes > 0, 0.0, error)))


def check_neurons(
    node: str, layer: Any, cell: Cell, shape: tuple[int, ...], recurrent: Chain | None
) -> None:
    """Raise Unsupported, naming the layer, unless it and its import do the same on random input."""
    from neurohw.interop.snntorch.layers import Builder

    rng = np.random.default_rng(0)
    size = math.prod(shape)
    counts = rng.integers(0, 4, (STEPS, SAMPLES, SOURCES)) * (rng.random((STEPS, 1, 1)) < 0.8)
    level = np.ones(size) if cell.threshold is None else cell.threshold
    scale = level / np.maximum(np.abs(cell.gain), 1e-300)
    grid = 2.0 ** (np.floor(np.log2(scale)) - 12)  # sums are exact, whatever their order
    weight = np.round(rng.uniform(-0.15, 0.25, (size, SOURCES)) * (scale / grid)[:, None])
    weight = weight * grid[:, None]
    currents = (counts.astype(np.float64) @ weight.T).reshape(STEPS, SAMPLES, *shape)
    try:
        spikes, membranes = run_neurons(layer, currents)
    except Exception as error:  # whatever a layer of others may raise
        raise Unsupported(
            f"{node}: it cannot be run on {shape}: {type(error).__name__}: "
            f"{str(error).splitlines()[0]}"
        ) from error
    builder = Builder.of_input((SOURCES,))
    chain = replace(start((SOURCES,)), connection=Dense(), weight=weight, shape=shape)
    builder.append("cell", cell, chain, recurrent=recurrent)
    trace = run_reference(builder.model(STEPS, 1e-3, {}), Spikes.time_first(counts))
    name = builder.populations[-1].name
    ours, v = trace.spikes[name], trace.states[f"v.{name}"]
    if not isinstance(cell.neuron, Integrator):
        wrong = int(np.count_nonzero(ours != spikes.reshape(ours.shape)))
        if wrong:
            raise Unsupported(
                f"{node}: run by snnTorch {snn.__version__} it gives {wrong} of {ours.size} spikes "
                "other than its import: this layer computes something that is not known here"
            )
    difference = membrane_error(v, membranes.reshape(v.shape), ours, level)
    if difference > TOLERANCE:
        raise Unsupported(
            f"{node}: run by snnTorch {snn.__version__} its membrane differs from its import by up "
            f"to {difference:.3g} of the threshold: this layer computes something that is not "
            "known here"
        )
