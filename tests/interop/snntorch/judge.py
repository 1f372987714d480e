# SPDX-License-Identifier: Apache-2.0
"""snnTorch itself, run layer by layer, and the comparison of an import with it."""

from typing import Any

import numpy as np
import snntorch as snn
import torch
from numpy.typing import NDArray
from torch import nn

from neurohw import TrainedNetwork, run_reference
from neurohw.interop.snntorch import from_snntorch

STEPS, SAMPLES = 30, 6
STATES = ("spk", "syn", "syn_exc", "syn_inh", "mem")


def counts(
    rng: np.random.Generator, shape: tuple[int, ...], rate: float = 0.3, highest: int = 1
) -> NDArray[np.uint8]:
    """Input counts [time, sample, ...], 0 or 1 to `highest`."""
    size = (STEPS, SAMPLES, *shape)
    return ((rng.random(size) < rate) * rng.integers(1, highest + 1, size)).astype(np.uint8)


def simulate(
    layers: list[nn.Module], x: NDArray[Any]
) -> dict[int, tuple[NDArray[Any], NDArray[Any]]]:
    """snnTorch itself, in float64: spikes and membranes of every layer that fires, by position.

    The value of a last layer without neurons is under -1.
    """
    module = nn.ModuleList(layers).double().eval()
    state: dict[int, Any] = {}
    record: dict[int, list[Any]] = {}
    last: list[Any] = []
    with torch.no_grad():
        for step in torch.from_numpy(x).double():
            value = step
            for i, layer in enumerate(module):
                if isinstance(layer, snn.SpikingNeuron):
                    hidden = layer.init_hidden
                    if not hidden and i not in state:
                        each = sum(torch.is_tensor(getattr(layer, n, None)) for n in STATES)
                        state[i] = tuple(torch.zeros_like(value) for _ in range(each))
                    out = layer(value) if hidden else layer(value, *state[i])
                    spikes, mem = (out[0], out[-1]) if isinstance(out, tuple) else (out, layer.mem)
                    value = spikes.double()
                    if hidden and hasattr(layer, "spk"):
                        layer.spk = value  # snnTorch leaves float32, which a float64 layer refuses
                    recurrent = isinstance(layer, snn.RLeaky | snn.RSynaptic)
                    state[i] = () if hidden else (value, *out[1:]) if recurrent else out[1:]
                    entry = (value.flatten(1).numpy(), mem.flatten(1).numpy().copy())
                    record.setdefault(i, []).append(entry)
                else:
                    value = layer(value)
            last.append(value.flatten(1).numpy().copy())
    result = {
        i: (np.array([a for a, _ in r]), np.array([b for _, b in r])) for i, r in record.items()
    }
    return result | {-1: (np.array(last), np.array(last))}


def assert_same(
    layers: list[nn.Module] | nn.Sequential,
    shape: tuple[int, ...],
    seed: int = 0,
    highest: int = 1,
    rate: float = 0.3,
    least: int = 30,
) -> TrainedNetwork:
    """The import gives the layers' own spikes, all of them, at rates that mean something."""
    layers = list(layers)
    x = counts(np.random.default_rng(seed), shape, rate, highest)
    expected = simulate(layers, x)
    model = from_snntorch(layers, shape, STEPS)
    trace = run_reference(model, x.reshape(STEPS, SAMPLES, -1))
    fired = 0
    for i, (spikes, _) in expected.items():
        if i < 0:
            continue
        name = f"layer{i}"
        assert np.count_nonzero(trace.spikes[name] != spikes) == 0, model.network.population(name)
        fired += int(spikes.sum())
        assert spikes.mean() < 0.9
    assert fired >= least
    if model.network.output.name == "readout":
        v = trace.states["v.readout"]
        assert np.allclose(v, expected[-1][0], rtol=0, atol=1e-9)
        assert v.any()
    return model


def scaled(layer: Any, factor: float) -> Any:
    """The layer with its weights times a factor."""
    with torch.no_grad():
        layer.weight *= factor
    return layer


def neuron(kind: str, reset: str, size: int, generator: torch.Generator, **more: Any) -> Any:
    """A layer of `size` different neurons."""
    beta = 0.5 + 0.3 * torch.rand(size, generator=generator)
    alpha = 0.85 + 0.1 * torch.rand(size, generator=generator)
    threshold = 0.5 + torch.rand(size, generator=generator)
    common = {"beta": beta, "threshold": threshold, "reset_mechanism": reset}
    if kind in ("RLeaky", "RSynaptic"):
        common["linear_features"] = size
    if kind in ("Synaptic", "RSynaptic", "Alpha"):
        common["alpha"] = alpha
    if kind == "Lapicque":  # beta may be one number only: snnTorch asks `not beta`
        del common["beta"]
        common |= {"R": 4.0, "C": 2.0, "time_step": 1.0}
    return getattr(snn, kind)(**(common | more))
