#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# norse 1.1.0: to_nir multiplies time constants by its argument dt (0.001 by default), from_nir does
# not divide. A membrane of 10 ms comes back as one of 10 us, whose factor per step of 1 ms is -99.
# Pinned packages in a temporary folder. Prints the version and what was seen; exits with an error if
# the tool behaves differently.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.3.5 nir==1.0.4 nirtorch==2.0.2 norse==1.1.0
"$folder/venv/bin/python" - <<'PYTHON'
import norse.torch as norse, torch
from importlib.metadata import version

cell = norse.LIFBoxCell(p=norse.LIFBoxParameters(tau_mem_inv=torch.tensor(100.0)))
net = norse.SequentialState(torch.nn.Linear(2, 2), cell)
graph = norse.to_nir(net, torch.zeros(1, 2))
written = [float(node.tau) for node in graph.nodes.values() if hasattr(node, "tau")]
again = norse.from_nir(graph)
back = [float(m.p.tau_mem_inv) for m in again.modules() if isinstance(m, norse.LIFBoxCell)]
print("norse", version("norse"), "tau 0.01 s is written as", written, "and read as 1 /", back, "- decay per step", 1 - 0.001 * back[0])
assert abs(written[0] / 1e-5 - 1) < 1e-3 and abs(back[0] / 1e5 - 1) < 1e-3, "norse writes or reads tau differently now"
PYTHON
