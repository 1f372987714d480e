# SPDX-License-Identifier: Apache-2.0
"""`check`: every node, what it becomes, and every problem at once."""

from pathlib import Path

import h5py
import nir
import numpy as np
import pytest

from neurohw.interop import check_model
from neurohw.interop.nir import check_nir
from tests.interop.nir.judges import JUDGES
from tests.interop.test_nir import graph_of, lif

pytestmark = pytest.mark.filterwarnings("ignore::neurohw.interop.nir.DoubtfulImport")


def test_a_good_file_says_what_everything_becomes(tmp_path: Path) -> None:
    judge = next(j for j in JUDGES if j.case == "rsynaptic")
    found = {f.node: f for f in check_nir(judge.write(tmp_path), written_by="snntorch")}
    assert not any(f.problem for f in found.values()) and len(found) == 8
    assert found["1.lif"].becomes == (
        "population n1_lif (Synaptic and RSynaptic, subtract): 8 Lif, decay 0.9, current decay "
        "0.8, threshold 1, "
        "reset minus threshold, a step later, fires at > threshold, input gain 1"
    )
    assert found["1.w_rec"].becomes == found["0"].becomes == "weights of a projection"
    assert {f.becomes for f in found.values() if f.kind in ("Input", "Output")} == {
        "input",
        "output",
    }


def test_all_problems_are_listed_at_once(tmp_path: Path) -> None:
    """Eight nodes in a row, of which four cannot be expressed, each with its own reason and what to
    do.
    """
    graph = graph_of(
        nir.Linear(np.ones((4, 3))),
        nir.Linear(np.ones((4, 4))),
        lif(4, tau=np.zeros(4)),
        nir.Linear(np.ones((2, 4))),
        lif(2, v_threshold=-np.ones(2)),
        nir.Linear(np.ones((2, 3))),
        lif(2),
    )
    path = tmp_path / "net.nir"
    nir.write(path, graph)
    with h5py.File(path, "r+") as file:
        del file["node/nodes/n6/type"]
        file["node/nodes/n6/type"] = "Izhikevich"
    before = path.read_bytes()
    found = {f.node: f.problem for f in check_nir(path, dt=1e-3)}
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    assert set(found) >= {"input", "n0", "n1", "n2", "n3", "n4", "n5", "n6", "output"}
    assert "'Izhikevich'" in found["n6"] and "replace it by one of LIF" in found["n6"]
    assert "second weighted node" in found["n1"]
    assert "time constant" in found["n2"] and "threshold -1" in found["n4"]
    assert not found["n0"] and not found["n3"] and not found["input"]


def test_problems_of_the_graph_have_a_row_of_their_own(tmp_path: Path) -> None:
    ones = np.ones(2)
    nodes = {
        "input": nir.Input({"input": np.array([3])}),
        "w": nir.Linear(np.ones((2, 3))),
        "a": nir.LIF(tau=ones, r=ones, v_leak=ones, v_threshold=ones),
        "alone": nir.LIF(tau=ones, r=ones, v_leak=ones, v_threshold=ones),
        "output": nir.Output({"output": np.array([2])}),
    }
    edges = [("input", "w"), ("w", "a"), ("a", "output")]
    nir.write(tmp_path / "net.nir", nir.NIRGraph(nodes, edges, type_check=False))
    [whole] = [f for f in check_nir(tmp_path / "net.nir") if f.node == "graph"]
    assert "'alone': the input does not reach them" in whole.problem
    wrong = {f.node: f.problem for f in check_nir(tmp_path / "net.nir", written_by="snntorch")}
    assert "did not write this graph" in wrong["graph"]


def test_other_formats(tmp_path: Path) -> None:
    script = tmp_path / "net.py"
    script.write_text(
        "from torch import nn\nimport snntorch as snn\n\nnet = nn.Sequential(nn.Linear(3, 2), "
        "snn.Leaky(0.5))\n"
        "bad = nn.Sequential(nn.Linear(3, 2), nn.Softmax())\n"
    )
    good = check_model(f"{script}:net", input_shape=(3,))
    assert not any(f.problem for f in good) and [f.kind for f in good][0] == "Source"
    [bad] = check_model(f"{script}:bad", input_shape=(3,))
    assert "Softmax" in bad.problem


def test_lava_dl(tmp_path: Path) -> None:
    path = tmp_path / "net.net"
    with h5py.File(path, "w") as file:
        layer = file.create_group("layer/0")
        layer["type"] = np.array([b"dense"], "S10")
        layer["inFeatures"], layer["outFeatures"], layer["weight"] = 3, 2, np.full((2, 3), 4.0)
        for key, value in {"type": b"CUBA", "iDecay": 1024, "vDecay": 128, "vThMant": 10}.items():
            layer[f"neuron/{key}"] = value
    assert [(f.node, f.kind) for f in check_model(str(path)) if not f.problem] == [
        ("input", "Source"),
        ("layer0", "Lif"),
        ("input_to_layer0", "Dense"),
    ]
    with h5py.File(path, "r+") as file:
        del file["layer/0/neuron/type"]
        file["layer/0/neuron/type"] = b"ADRF"
    [bad] = check_model(str(path))
    assert "layer 0" in bad.problem and "ADRF" in bad.problem
