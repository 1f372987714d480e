#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# snnTorch 1.0.0: its NIR export drops what NIR has no field for, without a word.
#
# A Leaky with graded_spikes_factor 0.5 sends spikes of 0.5; the graph that snnTorch writes says
# nothing of it, and snnTorch's own import of that graph sends spikes of 1. beta and threshold have
# to be given per neuron: for one number per layer nir 1.0.8 refuses the node that snnTorch writes.
# export_to_nir needs nirtorch, which snnTorch does not declare.
#
# Exits with 0 while that is so, with 1 if it changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 \
  snntorch==1.0.0 nir==1.0.8 nirtorch==2.6 numpy==2.3.5
cat > "$folder/show.py" <<'PY'
from importlib.metadata import version

import nir
import snntorch as snn
import torch
from snntorch.export_nir import export_to_nir
from snntorch.import_nir import import_from_nir

print(*(f"{name} {version(name)}" for name in ("snntorch", "nir", "nirtorch", "torch")))


def spikes(network, steps=4):
    """Sum of the last layer's output in every step, for a constant input of ones."""
    state, sums = None, []
    for _ in range(steps):
        out = network(torch.ones(1, 3)) if state is None else network(torch.ones(1, 3), state)
        out, state = out if isinstance(out, tuple) and len(out) == 2 else (out, None)
        sums.append(round(float(torch.as_tensor(out).detach().sum()), 3))
    return sums


# one number for a layer is a node without a shape, which nir refuses
BETA, ONE = torch.full((4,), 0.5), torch.ones(4)
ok = True
for name, options in {
    "graded_spikes_factor=0.5": {"graded_spikes_factor": 0.5},
}.items():
    torch.manual_seed(0)
    linear = torch.nn.Linear(3, 4)
    with torch.no_grad():
        linear.weight[:] = torch.tensor([0.6, 0.7, 0.8, 0.9])[:, None]
        linear.bias[:] = 0
    leaky = snn.Leaky(beta=BETA, threshold=ONE, init_hidden=True, **options)
    network = torch.nn.Sequential(linear, leaky)
    plain = torch.nn.Sequential(linear, snn.Leaky(beta=BETA, threshold=ONE, init_hidden=True))
    graph = export_to_nir(network, torch.ones(3))
    other = export_to_nir(plain, torch.ones(3))
    fields = [sorted(vars(node)) for node in graph.nodes.values() if isinstance(node, nir.LIF)]
    print(name, "node:", type(list(graph.nodes.values())[1]).__name__, fields)
    equal = all(
        all((getattr(a, f) == getattr(b, f)).all() for f in ("tau", "r", "v_threshold", "v_leak"))
        for a, b in zip(graph.nodes.values(), other.nodes.values())
        if isinstance(a, nir.LIF)
    )
    network[1].reset_mem()
    own, again = spikes(network), spikes(import_from_nir(graph))
    print(f"  same numbers as without it: {equal}; snnTorch {own}; after export and import {again}")
    ok &= equal and own != again
raise SystemExit(0 if ok else 1)
PY
"$folder/venv/bin/python" "$folder/show.py"
