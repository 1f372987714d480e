#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# sinabs 3.1.3: from_nir has no case for nir.Linear. The layer is left out of the network, with its
# weights, without an error or a warning; the same layer as nir.Affine with a bias of 0 is read.
# Pinned packages in a temporary folder. Prints the version and what was seen; exits with an error if
# the tool behaves differently.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.3.5 nir==1.0.4 nirtorch==2.0.2 sinabs==3.1.3
"$folder/venv/bin/python" - <<'PYTHON'
import nir, numpy as np, sinabs, torch
from importlib.metadata import version
from sinabs.nir import from_nir

def graph(dense):
    nodes = {
        "input": nir.Input({"input": np.array([2])}),
        "w": dense,
        "cell": nir.IF(r=np.ones(2), v_threshold=np.ones(2)),
        "output": nir.Output({"output": np.array([2])}),
    }
    return nir.NIRGraph(nodes, [("input", "w"), ("w", "cell"), ("cell", "output")])

weight = np.array([[0.0, 0.0], [0.0, 0.5]])
counts = {}
for name, dense in (("Linear", nir.Linear(weight)), ("Affine", nir.Affine(weight, np.zeros(2)))):
    out = from_nir(graph(dense), batch_size=1)(torch.ones(8, 2))
    counts[name] = (out[0] if isinstance(out, tuple) else out).sum(0).tolist()
print("sinabs", version("sinabs"), "spikes in 8 steps through weights of 0 and 0.5:", counts)
assert counts == {"Linear": [8.0, 8.0], "Affine": [0.0, 4.0]}, "sinabs does not skip nir.Linear any more"
PYTHON
