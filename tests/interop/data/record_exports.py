# SPDX-License-Identifier: Apache-2.0
"""Records what other tools write as NIR and what they compute themselves: the judges of `--from`.

    python record_exports.py norse          in an environment with norse 1.1.0, nir 1.0.4, nirtorch
    2.0.2 (nir 1.0.8 cannot write its 0-d numbers) python record_exports.py sinabs         sinabs
    3.1.3, nir 1.0.4, nirtorch 2.0.2 python record_exports.py spikingjelly   spikingjelly 2.0.0, nir
    1.0.8, nirtorch 2.6 python record_exports.py rockpool       rockpool 3.1.0, nir 1.0.4, nirtorch
    2.0.2 python record_exports.py spyx           spyx 1.0.0, nir 1.0.8 python record_exports.py
    snntorch       snntorch 1.0.0, nir 1.0.8, nirtorch 2.6

with torch 2.13.0 (jax 0.10.2 for spyx). Every case becomes `<tool>_<case>.npz`: `nir` (the bytes of
the file that the tool's exporter and nir wrote), `spikes` [time, neuron] (the input), `hidden` and
`out` [time, neuron] (the tool's own simulation), `version` (of the tool). Nothing here knows
neurohw.
"""

import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
STEPS, INPUTS, HIDDEN, OUTPUTS = 60, 6, 8, 4


def stimulus(size: int = INPUTS, rate: float = 0.4) -> Any:
    return (np.random.default_rng(7).random((STEPS, size)) < rate).astype(np.uint8)


def numbers(tool: str, case: str, scale: float = 1.0, bias: float = 0.1) -> list[Any]:
    """Weight and bias of both layers, float32."""
    rng = np.random.default_rng(sum(map(ord, tool + case)))
    return [
        (value * scale).astype(np.float32)
        for value in (
            rng.normal(0.1, 0.5, (HIDDEN, INPUTS)),
            rng.normal(0, bias, HIDDEN),
            rng.normal(0.1, 0.5, (OUTPUTS, HIDDEN)),
            rng.normal(0, bias, OUTPUTS),
        )
    ]


def keep(tool: str, case: str, graph: Any, spikes: Any, hidden: Any, out: Any) -> None:
    import nir

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.nir"
        nir.write(path, graph)
        content = np.frombuffer(path.read_bytes(), np.uint8)
    arrays = {"spikes": spikes, "hidden": np.asarray(hidden), "out": np.asarray(out)}
    np.savez_compressed(HERE / f"{tool}_{case}.npz", nir=content, version=version(tool), **arrays)
    print(
        f"{tool}_{case}: {arrays['hidden'].sum():.0f} hidden, {arrays['out'].sum():.0f} output; "
        f"largest {arrays['hidden'].max()}"
    )


def torch_layers(weights: list[Any]) -> tuple[Any, Any]:
    import torch

    first, second = torch.nn.Linear(INPUTS, HIDDEN), torch.nn.Linear(HIDDEN, OUTPUTS)
    for layer, weight, bias in ((first, *weights[:2]), (second, *weights[2:])):
        layer.weight.data, layer.bias.data = torch.from_numpy(weight), torch.from_numpy(bias)
    return first, second


def norse() -> None:
    import norse.torch as norse
    import torch

    rows = torch.from_numpy(stimulus()).float()

    def case(
        name: str, make: Callable[[int], Any], scale: float, readout: Any = None, **options: Any
    ) -> None:
        first, second = torch_layers(numbers("norse", name, scale))
        a, b = make(HIDDEN), (readout or make)(OUTPUTS)
        net = norse.SequentialState(first, a, second, b)
        graph = norse.to_nir(net, torch.zeros(1, INPUTS), **options)
        hidden, out, sa, sb = [], [], None, None
        for row in rows:
            h, sa = a(first(row[None]), sa)
            o, sb = b(second(h), sb)
            hidden.append(h[0].detach().numpy())
            out.append(o[0].detach().numpy())
        keep("norse", name, graph, stimulus(), hidden, out)

    box = norse.LIFBoxParameters(tau_mem_inv=torch.tensor(100.0))
    case("lifbox", lambda n: norse.LIFBoxCell(p=box), 8)
    case("lifbox_dt1", lambda n: norse.LIFBoxCell(p=box), 8, dt=1.0)
    case("iaf", lambda n: norse.IAFCell(), 1)
    case("lif", lambda n: norse.LIFCell(), 5)
    leaky = norse.LIBoxParameters(tau_mem_inv=torch.tensor(80.0))
    case("li", lambda n: norse.LIFBoxCell(p=box), 8, lambda n: norse.LIBoxCell(p=leaky))


def sinabs() -> None:
    import sinabs.activation as sa
    import sinabs.layers as sl
    import torch
    from sinabs.nir import to_nir

    def case(name: str, make: Callable[[], Any], scale: float, readout: Any = None) -> None:
        first, second = torch_layers(numbers("sinabs", name, scale))
        a, b = make(), (readout or make)()
        net = torch.nn.Sequential(first, a, second, b)
        rows = torch.from_numpy(stimulus()).float()
        with torch.no_grad():
            hidden = a(first(rows))
            out = b(second(hidden))
            a.reset_states()
            b.reset_states()
            graph = to_nir(net, rows)
        keep("sinabs", name, graph, stimulus(), hidden.numpy(), out.numpy())

    def lif(**more: Any) -> Any:
        options = {"tau_mem": 20.0, "spike_fn": sa.SingleSpike, "batch_size": 1, **more}
        return lambda: sl.LIFSqueeze(**options)

    case("lif", lif(), 12)
    case("lif_unnormed", lif(norm_input=False), 0.6)
    case("lif_hard", lif(reset_fn=sa.MembraneReset()), 12)
    case("lif_multi", lif(spike_fn=sa.MultiSpike), 40)
    case("iaf", lambda: sl.IAFSqueeze(spike_fn=sa.SingleSpike, batch_size=1), 0.6)
    case("leak", lif(), 12, lambda: sl.ExpLeakSqueeze(tau_mem=30.0, batch_size=1))
    case(
        "leak_normed",
        lif(),
        12,
        lambda: sl.ExpLeakSqueeze(tau_mem=30.0, batch_size=1, norm_input=True),
    )


def spikingjelly() -> None:
    import torch
    from spikingjelly.activation_based import layer, neuron
    from spikingjelly.activation_based.nir_exchange import export_to_nir

    def case(name: str, make: Callable[[], Any], scale: float, **options: Any) -> None:
        weights = numbers("spikingjelly", name, scale)
        first, second = layer.Linear(INPUTS, HIDDEN), layer.Linear(HIDDEN, OUTPUTS)
        for linear, weight, bias in ((first, *weights[:2]), (second, *weights[2:])):
            linear.weight.data, linear.bias.data = torch.from_numpy(weight), torch.from_numpy(bias)
        a, b = make(), make()
        net = torch.nn.Sequential(first, a, second, b)
        hidden, out = [], []
        with torch.no_grad():
            for row in torch.from_numpy(stimulus()).float():
                h = a(first(row[None]))
                out.append(b(second(h))[0].numpy())
                hidden.append(h[0].numpy())
            a.reset()
            b.reset()
            graph = export_to_nir(net, torch.zeros(1, INPUTS), **options)
        keep("spikingjelly", name, graph, stimulus(), hidden, out)

    case("lif", lambda: neuron.LIFNode(tau=2.0), 2)
    case("lif_undecayed", lambda: neuron.LIFNode(tau=4.0, decay_input=False), 0.7)
    case("lif_reset", lambda: neuron.LIFNode(tau=3.0, v_reset=-0.25), 3)
    case("lif_dt", lambda: neuron.LIFNode(tau=4.0, decay_input=False), 0.7, dt=1e-3)
    case("plif", lambda: neuron.ParametricLIFNode(init_tau=3.0), 3)
    case("if", lambda: neuron.IFNode(v_reset=-0.125), 0.8)
    case("cuba", lambda: neuron.CUBALIFNode(), 0.3)


def rockpool() -> None:
    import torch
    from rockpool.nn.combinators import Sequential
    from rockpool.nn.modules import LIFNeuronTorch, LIFTorch, LinearTorch
    from rockpool.nn.modules.torch.nir import to_nir

    def case(name: str, make: Callable[[int], Any], scale: float) -> None:
        weights = numbers("rockpool", name, scale)
        layers = []
        for i, (inputs, outputs) in enumerate(((INPUTS, HIDDEN), (HIDDEN, OUTPUTS))):
            linear = LinearTorch((inputs, outputs), has_bias=True)
            linear.weight.data, linear.bias.data = (
                torch.from_numpy(weights[2 * i].T),
                torch.from_numpy(weights[2 * i + 1]),
            )
            layers += [linear, make(outputs)]
        net = Sequential(*layers)
        rows = torch.from_numpy(stimulus()).float()[None]
        with torch.no_grad():
            hidden = layers[1](layers[0](rows)[0])[0]
            out = layers[3](layers[2](hidden)[0])[0]
            graph = to_nir(net)
        keep("rockpool", name, graph, stimulus(), hidden[0].numpy(), out[0].numpy())

    one = torch.tensor(1.0)

    def lif(n: int, **more: Any) -> Any:
        return LIFNeuronTorch(
            n, tau_mem=torch.full((n,), 0.02), bias=torch.zeros(n), max_spikes_per_dt=one, **more
        )

    def cuba(n: int, **more: Any) -> Any:
        taus = {"tau_mem": torch.full((n,), 0.02), "tau_syn": torch.full((n, 1), 0.01)}
        return LIFTorch(
            n, **taus, bias=torch.zeros(n), threshold=torch.ones(n), max_spikes_per_dt=one, **more
        )

    case("lif", lif, 0.6)
    case("lif_dt", lambda n: lif(n, dt=2e-3), 0.6)
    case(
        "lif_multi",
        lambda n: LIFNeuronTorch(n, tau_mem=torch.full((n,), 0.02), bias=torch.zeros(n)),
        2,
    )
    case("cuba", cuba, 0.3)


def spyx() -> None:
    import jax.numpy as jnp
    import spyx.nn as snn
    from flax import nnx
    from spyx.nir import to_nir

    def case(name: str, make: Callable[[int], Any], scale: float, use_bias: bool = True) -> None:
        weights = numbers("spyx", name, scale)
        layers = []
        for i, (inputs, outputs) in enumerate(((INPUTS, HIDDEN), (HIDDEN, OUTPUTS))):
            linear = nnx.Linear(inputs, outputs, use_bias=use_bias, rngs=nnx.Rngs(0))
            linear.kernel[...] = jnp.array(weights[2 * i].T)
            if use_bias:
                linear.bias[...] = jnp.array(weights[2 * i + 1])
            layers += [linear, make(outputs)]
        net = snn.Sequential(*layers)
        graph = to_nir(net, {"input": np.array([INPUTS])}, {"output": np.array([OUTPUTS])})
        hidden, out = [], []
        a, b = layers[1].initial_state(1), layers[3].initial_state(1)
        for row in stimulus():
            h, a = layers[1](layers[0](jnp.array(row[None], jnp.float32)), a)
            o, b = layers[3](layers[2](h), b)
            hidden.append(np.asarray(h[0]))
            out.append(np.asarray(o[0]))
        keep("spyx", name, graph, stimulus(), hidden, out)

    rngs = nnx.Rngs(3)

    def recurrent(make: Any, n: int, **more: Any) -> Any:
        layer = make((n,), rngs=rngs, **more)
        weight = np.random.default_rng(n).normal(0, 0.25, (n, n))
        layer.recurrent_w[...] = jnp.array(weight, jnp.float32)
        return layer

    case("if", lambda n: snn.IF((n,)), 0.6, use_bias=False)
    case("if_bias", lambda n: snn.IF((n,)), 0.6)
    case("lif", lambda n: snn.LIF((n,), beta=0.875, rngs=rngs), 0.7)
    case("cuba", lambda n: snn.CuBaLIF((n,), alpha=0.5, beta=0.875, rngs=rngs), 0.4)
    case("rif", lambda n: recurrent(snn.RIF, n), 0.6)
    case("rlif", lambda n: recurrent(snn.RLIF, n, beta=0.875), 0.7)
    case("rcuba", lambda n: recurrent(snn.RCuBaLIF, n, alpha=0.5, beta=0.875), 0.4)

    rng = np.random.default_rng(5)
    image = (rng.random((STEPS, 2, 6, 6)) < 0.25).astype(np.uint8)
    conv = nnx.Conv(2, 4, (3, 3), padding="SAME", rngs=nnx.Rngs(0))
    conv.kernel[...] = jnp.array(rng.normal(0.05, 0.3, (3, 3, 2, 4)), jnp.float32)
    dense = nnx.Linear(36, OUTPUTS, rngs=nnx.Rngs(0))
    dense.kernel[...] = jnp.array(rng.normal(0.02, 0.2, (36, OUTPUTS)), jnp.float32)
    layers = [
        conv,
        snn.IF((6, 6, 4)),
        snn.SumPool((2, 2), (2, 2), "VALID"),
        snn.Flatten(),
        dense,
        snn.IF((OUTPUTS,)),
    ]
    graph = to_nir(
        snn.Sequential(*layers), {"input": np.array([2, 6, 6])}, {"output": np.array([OUTPUTS])}
    )
    hidden, out = [], []
    a, b = layers[1].initial_state(1), layers[5].initial_state(1)
    for row in image:
        h, a = layers[1](conv(jnp.array(row.transpose(1, 2, 0)[None], jnp.float32)), a)
        o, b = layers[5](dense(layers[3](layers[2](h))), b)
        hidden.append(np.asarray(h[0]).transpose(2, 0, 1).ravel())  # as [channel, row, column]
        out.append(np.asarray(o[0]))
    keep("spyx", "cnn", graph, image.reshape(STEPS, -1), hidden, out)


SNNTORCH = {  # case: class, its options, scale of the weights
    "leaky": ("Leaky", {"beta": 0.9}, 0.4),
    "leaky_zero": ("Leaky", {"beta": 0.9, "reset_mechanism": "zero"}, 0.4),
    "leaky_none": ("Leaky", {"beta": 0.9, "reset_mechanism": "none"}, 0.2),
    "if": ("Leaky", {"beta": 1.0}, 0.4),
    "synaptic": ("Synaptic", {"alpha": 0.8, "beta": 0.9}, 0.2),
    "synaptic_zero": ("Synaptic", {"alpha": 0.8, "beta": 0.9, "reset_mechanism": "zero"}, 0.2),
    "rleaky": ("RLeaky", {"beta": 0.9}, 0.4),
    "rleaky_zero": ("RLeaky", {"beta": 0.9, "reset_mechanism": "zero"}, 0.4),
    "rsynaptic": ("RSynaptic", {"alpha": 0.8, "beta": 0.9}, 0.2),
    "rsynaptic_zero": ("RSynaptic", {"alpha": 0.8, "beta": 0.9, "reset_mechanism": "zero"}, 0.2),
}


def snntorch_network(name: str) -> Any:
    """The network of a case, ready to run: Linear, neurons, Linear, neurons, each with its own
    state.
    """
    import snntorch
    import torch

    kind, options, scale = SNNTORCH[name]
    first, second = torch_layers(numbers("snntorch", name, scale))
    layers = [first, None, second, None]
    for place, size in ((1, HIDDEN), (3, OUTPUTS)):
        constants = {
            k: torch.full((size,), v) if isinstance(v, float) else v for k, v in options.items()
        }
        more = {"linear_features": size} if kind.startswith("R") else {}
        cell = getattr(snntorch, kind)(
            **constants, threshold=torch.ones(size), init_hidden=True, **more
        )
        if more:
            rng = np.random.default_rng(place)
            cell.recurrent.weight.data = torch.from_numpy(
                rng.normal(0, 0.25, (size, size)).astype(np.float32)
            )
            cell.recurrent.bias.data = torch.from_numpy(
                rng.normal(0, 0.05, size).astype(np.float32)
            )
        layers[place] = cell
    return torch.nn.Sequential(*layers)


def snntorch_spikes(name: str) -> tuple[Any, Any]:
    """What snnTorch computes: spikes [time, neuron] of both layers."""
    import torch

    net = snntorch_network(name)
    hidden, out = [], []
    with torch.no_grad():
        for row in torch.from_numpy(stimulus()).float():
            h = net[1](net[0](row[None]))
            out.append(net[3](net[2](h))[0].numpy())
            hidden.append(h[0].numpy())
    return np.asarray(hidden), np.asarray(out)


def snntorch() -> None:
    import torch
    from snntorch.export_nir import export_to_nir

    for name in SNNTORCH:
        graph = export_to_nir(snntorch_network(name), torch.zeros(1, INPUTS), ignore_dims=[0])
        keep("snntorch", name, graph, stimulus(), *snntorch_spikes(name))


if __name__ == "__main__":
    {
        "snntorch": snntorch,
        "norse": norse,
        "sinabs": sinabs,
        "spikingjelly": spikingjelly,
        "rockpool": rockpool,
        "spyx": spyx,
    }[sys.argv[1]]()
