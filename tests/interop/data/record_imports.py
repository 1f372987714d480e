# SPDX-License-Identifier: Apache-2.0
"""Records what other tools compute when their own importer reads a graph that neurohw wrote for
them: the judges of `--for`.

    python record_imports.py write FOLDER      in neurohw's environment, from the root of the
    checkout: the graphs of tests/interop/target_cases.py python record_imports.py TOOL FOLDER
    in the tool's environment (see record_exports.py): runs its graphs

Every case becomes `for_<case>.npz`: `nir` (the bytes of the file), `spikes` [time, neuron] (the
input), `out` [time, neuron] (the tool's own simulation), `version` (of the tool).
"""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent


def write(folder: Path) -> None:
    from neurohw.interop.nir import write_nir
    from tests.interop.target_cases import NAMES, case_named, stimulus

    folder.mkdir(exist_ok=True)
    for name in NAMES:
        target, model = case_named(name)
        write_nir(model, folder / f"{name}.nir", target=target)
        np.save(folder / f"{name}.npy", stimulus(model))


def torch_rows(spikes: Any, graph: Any) -> Any:
    import torch

    shape = tuple(int(n) for n in np.ravel(graph.nodes["input"].input_type["input"]))
    return torch.from_numpy(spikes).float().reshape(len(spikes), 1, *shape)


def snntorch(graph: Any, spikes: Any) -> Any:
    from snntorch.import_nir import import_from_nir

    net, out, state = import_from_nir(graph), [], None
    for row in torch_rows(spikes, graph):
        found, state = net(row, state)
        out.append(found.detach().numpy().ravel())
    return out


def spikingjelly(graph: Any, spikes: Any) -> Any:
    from spikingjelly.activation_based.nir_exchange import import_from_nir

    net, out, state = import_from_nir(graph), [], None
    for row in torch_rows(spikes, graph):
        found, state = net(row, state)
        out.append(found.detach().numpy().ravel())
    return out


def norse(graph: Any, spikes: Any) -> Any:
    import norse.torch

    net, out, state = norse.torch.from_nir(graph), [], None
    for row in torch_rows(spikes, graph):
        found, state = net(row, state)
        out.append(found.detach().numpy().ravel())
    return out


def sinabs(graph: Any, spikes: Any) -> Any:
    import sinabs.activation
    import sinabs.layers as sl
    from sinabs.nir import from_nir

    net = from_nir(graph, batch_size=1)
    for layer in net.modules():
        if isinstance(layer, sl.LIF) and not isinstance(layer, sl.ExpLeak):
            layer.spike_fn = sinabs.activation.SingleSpike
            layer.min_v_mem = None
    rows = torch_rows(spikes, graph)[:, 0]
    found = net(rows)
    return (found[0] if isinstance(found, tuple) else found).detach().numpy()


def rockpool(graph: Any, spikes: Any) -> Any:
    import torch
    from rockpool.nn.modules import LIFTorch
    from rockpool.nn.modules.torch.nir import from_nir

    net = from_nir(graph)
    for layer in net.modules():
        if isinstance(layer, LIFTorch):
            layer.max_spikes_per_dt = torch.tensor(1.0)
    found = net(torch.from_numpy(spikes).float()[None])
    return (found[0] if isinstance(found, tuple) else found)[0].detach().numpy()


def spyx(graph: Any, spikes: Any) -> Any:
    import jax.numpy as jnp
    from spyx.nir import from_nir

    _, out = from_nir(graph, jnp.array(spikes[:, None], jnp.float32))
    return np.asarray(out[:, 0])


def run(tool: str, folder: Path) -> None:
    import nir

    for path in sorted(folder.glob(f"{tool}_*.nir")):
        spikes = np.load(path.with_suffix(".npy"))
        out = np.asarray(globals()[tool](nir.read(path), spikes)).reshape(len(spikes), -1)
        content = np.frombuffer(path.read_bytes(), np.uint8)
        np.savez_compressed(
            HERE / f"for_{path.stem}.npz",
            nir=content,
            spikes=spikes,
            out=out,
            version=version(tool),
        )
        print(f"{path.stem}: {out.sum():g} spikes, largest {out.max():g}")


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(Path(sys.argv[2]))
    else:
        run(sys.argv[1], Path(sys.argv[2]))
