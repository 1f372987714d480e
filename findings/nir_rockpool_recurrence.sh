#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# rockpool 3.1.0: to_nir leaves out the recurrent weights of a LIFTorch and the bias of its neurons,
# without an error or a warning.
# Pinned packages in a temporary folder. Prints the version and what was seen; exits with an error if
# the tool behaves differently.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.3.5 nir==1.0.4 nirtorch==2.0.2 rockpool==3.1.0
"$folder/venv/bin/python" - <<'PYTHON'
import torch
from importlib.metadata import version
from rockpool.nn.combinators import Sequential
from rockpool.nn.modules import LIFTorch, LinearTorch
from rockpool.nn.modules.torch.nir import to_nir

bias = torch.full((3,), 0.25)
cell = LIFTorch(3, has_rec=True, w_rec=torch.eye(3), bias=bias, threshold=torch.ones(3))
graph = to_nir(Sequential(LinearTorch((2, 3)), cell))
kinds = sorted(type(node).__name__ for node in graph.nodes.values())
leak = next(node.v_leak for node in graph.nodes.values() if hasattr(node, "v_leak"))
print("rockpool", version("rockpool"), "a recurrent LIFTorch with a bias of 0.25 is written as", kinds, "with v_leak", leak.tolist(), "edges", graph.edges)
loops = [edge for edge in graph.edges if edge[::-1] in graph.edges]
assert kinds == ["Affine", "CubaLIF", "Input", "Output"] or kinds == ["CubaLIF", "Input", "Linear", "Output"], kinds
assert not loops and not leak.any(), "rockpool writes recurrence or bias now"
PYTHON
