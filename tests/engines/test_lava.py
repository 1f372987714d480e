"""Lava equals the golden model on every spike and state, with its own processes wherever they are exact."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurohw import Lif, QuantizedNetwork, first_mismatch, quantize, run_golden
from neurohw.connections import Convolution, Sparse
from neurohw.engines import lava as engine
from neurohw.engines.lava.plan import plan
from neurohw.engines.lava.session import run_child
from neurohw.errors import MissingTool, NeurohwError, Unsupported
from neurohw.fixedpoint import IntFormat, MultiplyDecay, NoDecay
from neurohw.network import Network, Population, Projection
from neurohw.neurons import Source
from neurohw.quantize import QuantizedPopulation, QuantizedProjection
from tests.random_networks import random_graph, random_stimulus, random_trained

LAVA_NEURON = Lif(0.9, 1.0, "hard", synapse_decay=0.75, strict=True, membrane_bias=True)


def loihi_network(rng: np.random.Generator, kind: str) -> QuantizedNetwork:
    """Two hard-reset populations that Lava's own LIF computes, joined by the given kind of connection."""
    shape = (2, 5, 4)
    connection: Any = {"conv": Convolution(shape, 3, (3, 2), (1, 2), (1, 0)), "sparse": Sparse(60)}.get(kind)
    sizes = [40, 60 if kind != "conv" else int(np.prod(Convolution(shape, 3, (3, 2), (1, 2), (1, 0)).output_shape)), 6]
    names = ["input", "first", "second"]
    neurons = [Source(), LAVA_NEURON, LAVA_NEURON]
    first = Projection("input", "first", **({"connection": connection} if connection else {}))
    if kind == "delay":
        first = Projection("input", "first", max_delay=5)
    projections = (first, Projection("first", "second"), Projection("first", "first", 2))
    network = Network(tuple(Population(n, s, m) for n, s, m in zip(names, sizes, neurons, strict=True)), projections)
    quantized = {}
    for projection in projections:
        weight = rng.integers(-70, 80, network.shapes()[f"{projection.name}.weight"])
        arrays: dict[str, Any] = {}
        if isinstance(projection.connection, Sparse):
            pairs = rng.permutation(40 * 60)[:60]
            arrays = {"source": pairs % 40, "target": pairs // 40}
        if projection.max_delay is not None:
            arrays["delay"] = rng.integers(0, 6, weight.shape)
        quantized[projection.name] = QuantizedProjection(
            weight // (4 if projection.source == "first" else 1), 8, 6, **arrays
        )
    populations = {
        name: QuantizedPopulation(
            bias=rng.integers(-20, 30, size) << 6,
            threshold=np.full(size, (100 if kind == "conv" else 300) << 6),
            v_reset=np.zeros(size, np.int64),
            decay=MultiplyDecay(410) if name == "first" else NoDecay(),
            synapse_decay=MultiplyDecay(1024),
            membrane=IntFormat(24),
            current=IntFormat(24),
            accumulator=IntFormat(16),
        )
        for name, size in zip(names[1:], sizes[1:], strict=True)
    }
    return QuantizedNetwork(network, populations, quantized, 30)


@pytest.mark.parametrize("kind", ["dense", "delay", "sparse", "conv"])
def test_hard_resets_run_in_lavas_own_processes(kind: str) -> None:
    rng = np.random.default_rng(3)
    model = loihi_network(rng, kind)
    planned = plan(model, 30)
    assert all(p.lif is not None for p in planned.populations.values()), planned
    wanted = {"dense": "Dense", "delay": "DelayDense", "sparse": "Sparse", "conv": "Conv"}[kind]
    assert planned.projections["input_to_first"].process == wanted
    assert planned.projections["first_to_first"].process == "DelayDense"
    spikes = (rng.random((30, 2, 40)) < 0.2).astype(np.uint8)
    golden = run_golden(model, spikes)
    assert all(0.01 < golden.spikes[n].mean() < 0.8 for n in ("first", "second"))
    trace = engine.run(model, spikes, side_by_side=False)
    assert set(trace.arrays()) == set(golden.arrays())
    assert first_mismatch(golden, trace) is None


def test_random_graphs_equal_the_golden_model() -> None:
    jobs, refused = [], 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        trained = random_trained(rng, random_graph(rng), 9, each_neuron=True)
        model = quantize(trained, 3 + seed % 6, resolution_bits=3, max_count=2)
        try:
            engine.check(model)
        except Unsupported as error:
            assert "bits" in str(error) or "loop" in str(error)
            refused += 1
            continue
        jobs.append((model, random_stimulus(rng, model.network, 9, 3, 2)))
    assert len(jobs) >= 15, refused
    fired = 0
    for (model, spikes), trace in zip(jobs, engine.run_many(jobs), strict=True):
        golden = run_golden(model, spikes)
        assert set(trace.arrays()) == set(golden.arrays())
        assert first_mismatch(golden, trace) is None
        fired += sum(int(s.sum()) for s in list(golden.spikes.values())[1:])
    assert fired > 500


def small_model(neuron: Lif = LAVA_NEURON, **changes: Any) -> QuantizedNetwork:
    rng = np.random.default_rng(1)
    network = Network(
        (Population("input", 6, Source()), Population("cells", 5, neuron)), (Projection("input", "cells"),)
    )
    size = 5
    population = QuantizedPopulation(
        **{
            "bias": np.zeros(size, np.int64),
            "threshold": np.full(size, 640),
            "v_reset": np.zeros(size, np.int64),
            "decay": MultiplyDecay(512),
            "synapse_decay": MultiplyDecay(1024),
            "membrane": IntFormat(24),
            "current": IntFormat(24),
            "accumulator": IntFormat(12),
            **changes,
        }
    )
    weight = rng.integers(-6, 9, (5, 6))
    return QuantizedNetwork(network, {"cells": population}, {"input_to_cells": QuantizedProjection(weight, 8, 6)}, 20)


STIMULUS = (np.random.default_rng(2).random((20, 4, 6)) < 0.5).astype(np.uint8)


def test_a_mutated_semantic_is_noticed() -> None:
    """Lava's own LIF, asked for a slightly different neuron, differs from the golden model of the right one."""
    right = small_model()
    golden = run_golden(right, STIMULUS)
    assert golden.spikes["cells"].any() and first_mismatch(golden, engine.run(right, STIMULUS)) is None
    mutants = {
        "comparison": small_model(dataclasses.replace(LAVA_NEURON, strict=False)),
        "decay": small_model(decay=MultiplyDecay(513)),
        "order of leak and sum": small_model(dataclasses.replace(LAVA_NEURON, delayed_current=True)),
        "reset": small_model(dataclasses.replace(LAVA_NEURON, reset="soft")),
        "offset": dataclasses.replace(
            right,
            network=Network(right.network.populations, (Projection("input", "cells", 1),)),
        ),
    }
    jobs = [(model, STIMULUS) for model in mutants.values()]
    for name, trace in zip(mutants, engine.run_many(jobs), strict=True):
        assert first_mismatch(golden, trace) is not None, name


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: small_model(membrane=IntFormat(25)), "cells.*membrane has 25 bits.*24"),
        (lambda: small_model(current=IntFormat(30)), "cells.*current has 30 bits"),
        (lambda: small_model(accumulator=IntFormat(26)), "input_to_cells.*32 bits"),
    ],
)
def test_what_lava_does_not_hold_is_named_before_anything_runs(model: Any, message: str) -> None:
    with pytest.raises(Unsupported, match=message):
        engine.run(model(), STIMULUS)


def test_counts_beyond_the_proof_are_refused() -> None:
    with pytest.raises(Unsupported, match="count of 3"):
        engine.run(small_model(), STIMULUS * np.uint8(3))


def test_a_loop_with_less_delay_than_hops_is_named() -> None:
    network = Network(
        (Population("input", 2, Source()), Population("a", 2, LAVA_NEURON), Population("b", 2, LAVA_NEURON)),
        (Projection("input", "a"), Projection("a", "b"), Projection("b", "a", 1)),
    )
    model = quantize(random_trained(np.random.default_rng(0), network), 3)
    with pytest.raises(Unsupported, match="loop of 2 hops with a delay of 1"):
        engine.check(model)


def test_a_child_that_hangs_or_crashes_becomes_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(NeurohwError, match="did not finish within 1 s"):
        run_child([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path, 1.0)
    with pytest.raises(NeurohwError, match="code 7.*last words: it hurts"):
        run_child([sys.executable, "-c", "print('it hurts'); raise SystemExit(7)"], tmp_path, 30.0)
    with pytest.raises(NeurohwError, match="Lava process failed"):
        run_child([sys.executable, "-c", "import os; os.abort()"], tmp_path, 30.0)


def test_a_missing_lava_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from neurohw.engines.lava import compat

    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(compat.importlib, "import_module", missing)
    with pytest.raises(MissingTool, match="lava-nc==0.10.0"):
        compat.enable()


@pytest.mark.parametrize("kind", ["dense", "conv", "soft"])
def test_an_exported_script_gives_the_same_spikes(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(4)
    if kind == "soft":
        trained = random_trained(rng, random_graph(rng, frozenset({"sparse"})), 12, dyadic=True)
        model = quantize(trained, 4, resolution_bits=3)
    else:
        model = loihi_network(rng, kind)
    script = tmp_path / "network.py"
    engine.export(model, script)
    assert ("neurohw.golden" in script.read_text()) == (kind == "soft")
    spikes = (rng.random((12, 2, model.network.input.size)) < 0.2).astype(np.uint8)
    np.savez(tmp_path / "in.npz", spikes=spikes.transpose(1, 0, 2))
    command = [sys.executable, "-m", "neurohw.engines.lava.compat", str(script)]
    arguments = ["--input", "in.npz", "--out", "out.npz", "--states"]
    done = subprocess.run([*command, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    golden = run_golden(model, spikes)
    with np.load(tmp_path / "out.npz") as out:
        for population in model.network.populations:
            name = population.name
            assert np.array_equal(out[f"spikes.{name}"].transpose(1, 0, 2), golden.spikes[name])
            if name != "input":
                assert np.array_equal(out[f"v.{name}"].transpose(1, 0, 2), golden.states[f"v.{name}"])
