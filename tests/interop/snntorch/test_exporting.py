# SPDX-License-Identifier: Apache-2.0
"""Exported modules and scripts of snnTorch give our spikes."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from torch import nn

from neurohw import Integrator, Lif, TrainedNetwork, feed_forward, run_reference
from neurohw.engines.features import FEATURES
from neurohw.errors import Unsupported
from neurohw.interop.snntorch import export, from_snntorch, import_script, to_snntorch
from neurohw.network import Network, Population, Projection
from neurohw.neurons import Adaptation, Source
from tests.random_networks import random_trained


def exportable() -> TrainedNetwork:
    leaky = Lif(0.7, 1.0, "soft", strict=True, delayed_reset=True)
    synaptic = Lif(0.6, 1.0, "hard", synapse_decay=0.5, strict=True, refractory=1)
    network = Network(
        (
            Population("input", 9, Source()),
            Population("first", 8, leaky),
            Population("second", 6, synaptic),
            Population("output", 4, Integrator(0.9)),
        ),
        (
            Projection("input", "first"),
            Projection("first", "first", 1),
            Projection("first", "second"),
            Projection("second", "output"),
        ),
    )
    return random_trained(np.random.default_rng(5), network, 20)


def test_an_exported_module_gives_the_same_spikes_and_comes_back_the_same(tmp_path: Path) -> None:
    model = exportable()
    module = to_snntorch(model)
    assert any(p.requires_grad for p in module.parameters())
    x = (np.random.default_rng(1).random((20, 5, 9)) < 0.4).astype(np.uint8)
    with torch.no_grad():
        record = module(torch.from_numpy(x).double())
    trace = run_reference(model, x)
    for name in ("first", "second"):
        assert trace.spikes[name].sum() > 30
        assert np.array_equal(record[name].numpy(), trace.spikes[name])
    again = from_snntorch(module, 9, 20)

    def model_of(network: Network) -> list[Any]:
        # the model's threshold is only a default: the arrays are compared below
        return [
            dataclasses.replace(p.neuron, threshold=1.0) if isinstance(p.neuron, Lif) else p.neuron
            for p in network.populations
        ]

    assert model_of(again.network) == model_of(model.network)
    for name, other in (("first", "layers_1"), ("second", "layers_3")):
        assert np.array_equal(
            again.parameters[f"{other}.threshold"], model.parameters[f"{name}.threshold"]
        )
    assert [p.size for p in again.network.populations] == [
        p.size for p in model.network.populations
    ]
    ours, theirs = list(model.network.projections), list(again.network.projections)
    for projection in ours:
        ends = [
            [p.name for p in model.network.populations].index(n)
            for n in (projection.source, projection.target)
        ]
        [other] = [
            q
            for q in theirs
            if [[p.name for p in again.network.populations].index(n) for n in (q.source, q.target)]
            == ends
        ]
        assert other.delay == projection.delay
        assert np.array_equal(
            again.parameters[f"{other.name}.weight"], model.parameters[f"{projection.name}.weight"]
        )
    loss = sum(v.sum() for v in module(torch.from_numpy(x).double()).values())
    loss.backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())


def test_an_exported_script_runs_without_the_framework(tmp_path: Path) -> None:
    model = exportable()
    assert export(model, tmp_path / "net.py") == [tmp_path / "net.py", tmp_path / "net.npz"]
    assert re.search(r"(import|from) neurohw", (tmp_path / "net.py").read_text()) is None
    x = (np.random.default_rng(1).random((5, 20, 9)) < 0.4).astype(np.uint8)
    np.savez(tmp_path / "in.npz", spikes=x)
    command = [sys.executable, "-I", "net.py", "--input", "in.npz", "--out", "out.npz"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    trace = run_reference(model, x.transpose(1, 0, 2))
    with np.load(tmp_path / "out.npz") as out:
        for name in ("input", "first", "second"):
            assert np.array_equal(out[f"spikes.{name}"], trace.spikes[name].transpose(1, 0, 2))
    again = import_script(tmp_path / "net.py", "build")
    assert again.network.output.neuron == Integrator(0.9)


def test_a_convolution_survives_the_way_there_and_back() -> None:
    torch.manual_seed(4)
    module = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        snn.Leaky(0.8),
        nn.Flatten(),
        nn.Linear(48, 5),
        snn.Leaky(0.9, reset_mechanism="zero"),
    )
    model = from_snntorch(module.double(), (1, 4, 4))
    again = from_snntorch(to_snntorch(model), (1, 4, 4))
    assert [p.connection for p in again.network.projections] == [
        p.connection for p in model.network.projections
    ]
    for mine, theirs in zip(model.parameters.values(), again.parameters.values(), strict=True):
        assert np.array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("neuron_model", "message"),
    [
        (Lif(0.5, refractory=1), "hidden1.*no neuron with soft reset.*1 refractory"),
        (Lif(0.5, adaptation=Adaptation(0.9, 0.1)), "hidden1.*no Lif with adaptation=Adaptation"),
        (Lif(0.5, membrane_bias=True), "hidden1.*no Lif with membrane_bias=True"),
        (
            Lif(0.5, strict=True, reset="hard", delayed_reset=True, v_reset=-0.5),
            "hidden1.*v_reset -0.5",
        ),
        (Lif(0.5, strict=True, reset="hard", refractory=3), "hidden1.*3 refractory"),
        (
            Lif(0.5, strict=True, reset="hard", refractory=1, integrates_refractory=True),
            "hidden1.*integrates_refractory",
        ),
    ],
)
def test_what_snntorch_cannot_say_is_named(neuron_model: Lif, message: str) -> None:
    with pytest.raises(Unsupported, match=message):
        to_snntorch(random_trained(np.random.default_rng(0), feed_forward([3, 2, 2], neuron_model)))


def test_a_reset_value_of_one_neuron_is_named() -> None:
    model = random_trained(
        np.random.default_rng(0), feed_forward([3, 2, 2], Lif(0.5, reset="hard"))
    )
    values = {"hidden1.v_reset": np.array([0.0, -0.25])}
    with pytest.raises(Unsupported, match="hidden1.*v_reset -0.25"):
        to_snntorch(dataclasses.replace(model, parameters=model.parameters | values))


def run_script(model: TrainedNetwork, folder: Path, x: Any) -> Any:
    """Spikes [time, sample, neuron] that the exported script gives by itself."""
    export(model, folder / "net.py")
    np.savez(folder / "in.npz", spikes=x.transpose(1, 0, 2))
    command = [sys.executable, "-I", "net.py", "--input", "in.npz", "--out", "out.npz"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(folder / "out.npz") as out:
        return {name: out[name].transpose(1, 0, 2) for name in out.files}


def coarse(model: TrainedNetwork) -> TrainedNetwork:
    """The same with numbers on a grid, so that membranes meet their thresholds exactly."""
    parameters = {
        name: np.round(values * 4) / 4 if not name.endswith("threshold") else np.ones_like(values)
        for name, values in model.parameters.items()
    }
    return dataclasses.replace(model, parameters=parameters)


def test_a_demo_fires_at_the_threshold_in_its_script_too(tmp_path: Path) -> None:
    """u >= theta and a reset in the same step, which snnTorch's own neurons do not have.

    On coarse numbers a membrane often is the threshold: the strict comparison differs.
    """
    lif = Lif(0.5)
    model = coarse(
        random_trained(np.random.default_rng(3), feed_forward([12, 16, 5], lif, lif), 25)
    )
    x = np.random.default_rng(1).integers(0, 2, (25, 6, 12)).astype(np.uint8)
    trace = run_reference(model, x)
    theirs = run_script(model, tmp_path, x)
    for name in ("hidden1", "output"):
        assert 50 < trace.spikes[name].sum() < 0.8 * trace.spikes[name].size
        assert np.array_equal(theirs[f"spikes.{name}"], trace.spikes[name])
    others: list[dict[str, Any]] = [{"strict": True}, {"delayed_reset": True}]
    for change in others:
        populations = tuple(
            dataclasses.replace(p, neuron=dataclasses.replace(p.neuron, **change))
            if isinstance(p.neuron, Lif)
            else p
            for p in model.network.populations
        )
        network = dataclasses.replace(model.network, populations=populations)
        other = run_reference(TrainedNetwork(network, model.parameters, 25), x)
        assert not np.array_equal(other.spikes["hidden1"], trace.spikes["hidden1"]), change


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("synapse", [None, 0.5])
@pytest.mark.parametrize(
    "convention",
    [
        {"reset": "none"},
        {"reset": "soft"},
        {"reset": "soft", "delayed_reset": True},
        {"reset": "hard"},
        {"reset": "hard", "delayed_reset": True},
        {"reset": "hard", "refractory": 1},
    ],
    ids=str,
)
def test_every_convention_is_exact_there_and_back_or_refused(
    convention: dict[str, Any], synapse: float | None, recurrent: bool, strict: bool
) -> None:
    lif = Lif(0.5, strict=strict, synapse_decay=synapse, **convention)
    populations = (Population("input", 7, Source()), Population("cells", 9, lif))
    projections = [Projection("input", "cells")]
    if recurrent:
        projections.append(Projection("cells", "cells", 1))
    network = Network(populations, tuple(projections))
    model = coarse(random_trained(np.random.default_rng(2), network, 20))
    leaky = synapse is None and not recurrent
    if (leaky and convention.get("refractory")) or (
        not leaky and convention == {"reset": "hard", "delayed_reset": True}
    ):
        with pytest.raises(Unsupported, match="'cells': snnTorch has no neuron with hard reset"):
            to_snntorch(model)
        return
    module = to_snntorch(model)
    x = np.random.default_rng(1).integers(0, 3, (20, 5, 7)).astype(np.uint8)
    with torch.no_grad():
        record = module(torch.from_numpy(x).double())
    trace = run_reference(model, x)
    assert trace.spikes["cells"].sum() > 50
    assert np.array_equal(record["cells"].numpy(), trace.spikes["cells"])
    again = from_snntorch(module, 7, 20)
    theirs = run_reference(again, x)
    assert np.array_equal(theirs.spikes[again.network.output.name], trace.spikes["cells"])
    assert dataclasses.replace(again.network.output.neuron, threshold=1.0) == lif


def test_both_own_classes_can_be_trained() -> None:
    model = random_trained(
        np.random.default_rng(0), feed_forward([5, 6, 3], Lif(0.8), Lif(0.8)), 10
    )
    module = to_snntorch(model)
    out = module(torch.ones(10, 2, 5, dtype=torch.float64))
    out["output"].sum().backward()
    gradient = module.layers[0].weight.grad
    assert torch.all(torch.isfinite(gradient)) and gradient.abs().sum() > 0


def test_values_of_every_neuron_after_a_convolution_survive() -> None:
    torch.manual_seed(0)
    row = [nn.Conv2d(1, 3, 3, padding=1), snn.Leaky(0.8, threshold=torch.rand(5) * 0.5 + 0.2)]
    model = from_snntorch(nn.ModuleList(row).double(), (1, 4, 5))  # a threshold for every column
    again = from_snntorch(to_snntorch(model), (1, 4, 5))
    threshold = model.parameters["layer1.threshold"]
    assert threshold.shape == (60,)
    assert np.array_equal(again.parameters["layers_1.threshold"], threshold)


def test_an_astrocyte_is_named() -> None:
    probe = next(f for f in FEATURES if f.name == "astrocyte: threshold")
    with pytest.raises(Unsupported, match="'astrocyte': export to snnTorch computes no Astrocyte"):
        to_snntorch(probe.make())
