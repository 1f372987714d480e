#!/bin/sh
# Three exchanges of networks over NIR in which numbers change without an error or a warning.
#   sinabs 3.1.3    from_nir has no case for nir.Linear: the layer is left out, its weights are gone
#   norse 1.1.0     to_nir multiplies time constants by its dt (0.001), from_nir does not divide:
#                   a membrane of 10 ms comes back as one of 10 us, whose decay per step is -99
#   rockpool 3.1.0  to_nir leaves out recurrent weights and the bias of the neurons
# Each tool gets a fresh environment with pinned packages in a temporary folder. Prints versions and
# what was seen; exits with 1 if one of them behaves differently.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
wrong=0

environment() { # NAME PACKAGE...
    name=$1
    shift
    python3 -m venv "$folder/$name"
    "$folder/$name/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.3.5 nir==1.0.4 nirtorch==2.0.2 "$@"
}

environment sinabs sinabs==3.1.3
"$folder/sinabs/bin/python" - <<'PYTHON' || wrong=1
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

environment norse norse==1.1.0
"$folder/norse/bin/python" - <<'PYTHON' || wrong=1
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

environment rockpool rockpool==3.1.0
"$folder/rockpool/bin/python" - <<'PYTHON' || wrong=1
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

exit $wrong
