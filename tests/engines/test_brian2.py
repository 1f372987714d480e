# SPDX-License-Identifier: Apache-2.0
"""Brian2 equals the reference in float64 and the golden model in integers, and its exported scripts
stand alone.
"""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurohw import (
    Astrocyte,
    Lif,
    Modulation,
    Population,
    Projection,
    feed_forward,
    first_mismatch,
    quantize,
    run_golden,
    run_reference,
)
from neurohw.engines import brian2 as engine
from neurohw.engines.brian2.equation_text import Code, equations
from neurohw.errors import InvalidData, Unsupported
from neurohw.fixedpoint import IntFormat
from neurohw.neurons import Adaptation
from tests.random_networks import random_graph, random_stimulus, random_trained

BOTH_EFFECTS = 1  # the seed of a network with a modulated gain and a modulated threshold


def random_case(seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    trained = random_trained(rng, random_graph(rng), 9, dyadic=True, each_neuron=True)
    return trained, random_stimulus(rng, trained.network, 9, 3, 2)


def fired(trace: Any) -> int:
    return sum(int(s.sum()) for s in list(trace.spikes.values())[1:])


@pytest.mark.slow
def test_random_graphs_agree_in_float_and_in_integers() -> None:
    compared = modulated = 0
    for seed in range(25):
        trained, spikes = random_case(seed)
        expected, actual = run_reference(trained, spikes), engine.run(trained, spikes)
        assert set(expected.arrays()) == set(actual.arrays())
        assert first_mismatch(expected, actual, 1e-9) is None, seed
        model = quantize(trained, 3 + seed % 6, max_count=2)
        golden, integers = run_golden(model, spikes), engine.run(model, spikes)
        assert first_mismatch(golden, integers) is None, seed
        assert all(a.dtype == golden.arrays()[n].dtype for n, a in integers.arrays().items())
        compared += fired(expected) + fired(golden)
        modulated += len(model.network.modulations)
    assert compared > 1000 and modulated > 5


@pytest.mark.slow
def test_saturating_membranes_agree() -> None:
    for seed in range(8):
        trained, spikes = random_case(seed)
        model = quantize(trained, 8, membrane_cap=5, max_count=2)
        assert first_mismatch(run_golden(model, spikes), engine.run(model, spikes)) is None, seed


@pytest.mark.exhaustive
def test_cython_agrees_too() -> None:
    # small ones, one in float and one in integers: every population and projection is compiled
    (gained, spikes), (raised, others) = random_case(37), random_case(49)
    assert [m.effect for trained in (gained, raised) for m in trained.network.modulations] == [
        "gain",
        "threshold",
    ]
    assert (
        first_mismatch(
            run_reference(gained, spikes), engine.run(gained, spikes, target="cython"), 1e-9
        )
        is None
    )
    model = quantize(raised, 6, max_count=2)
    assert (
        first_mismatch(run_golden(model, others), engine.run(model, others, target="cython"))
        is None
    )


def test_samples_in_chunks_are_the_same_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    trained, spikes = random_case(3)
    whole = engine.run(trained, spikes)
    monkeypatch.setattr(engine, "CHUNK_SYNAPSES", 1)
    assert first_mismatch(whole, engine.run(trained, spikes)) is None


def test_without_states_only_spikes_are_recorded_and_preferences_are_left_alone() -> None:
    import brian2

    before = brian2.prefs["codegen.target"]
    trained, spikes = random_case(2)
    trace = engine.run(trained, spikes, states=False, target="numpy")
    assert not trace.states and first_mismatch(run_reference(trained, spikes), trace) is None
    assert brian2.prefs["codegen.target"] == before


def test_integers_too_wide_for_float64_are_refused() -> None:
    model = quantize(random_trained(np.random.default_rng(1)))
    name = model.network.output.name
    wide = dataclasses.replace(model.populations[name], membrane=IntFormat(45))
    model = dataclasses.replace(model, populations={**model.populations, name: wide})
    with pytest.raises(Unsupported, match=f"{name}.*45 bits"):
        engine.check(model)


# one semantic at a time: what the right code says, and a wrong text for it
MUTATIONS = {
    "comparison": (Lif(0.5), "threshold", "v >= threshold", "v > threshold"),
    "order of leak and sum": (Lif(0.5), "update", "decay*v + c", "decay*(v + c)"),
    "reset": (Lif(0.5), "reset", "v -= threshold", "v = 0"),
    "reset a step late": (Lif(0.5, delayed_reset=True), "reset", "r = 1", "v -= threshold"),
    "refractory": (Lif(0.5, refractory=2), "reset", "r = 2", "r = 1"),
    "current": (Lif(0.5, synapse_decay=0.5), "update", "synapse_decay*c + I", "I"),
    "adaptation": (
        Lif(0.5, adaptation=Adaptation(0.5, 0.5)),
        "reset",
        "a + adaptation_strength",
        "a",
    ),
}
INTEGER_MUTATIONS = {
    "rounding of the shift": (Lif(0.5), "update", "floor(v/2)", "sign(v)*floor(abs(v)/2)"),
    "rounding of the product": (
        Lif(0.9),
        "update",
        "sign(v)*floor(abs(v)*decay/4096)",
        "floor(v*decay/4096)",
    ),
    "comparison": (Lif(0.5), "threshold", ">=", ">"),
}


def mutated(monkeypatch: pytest.MonkeyPatch, part: str, right: str, wrong: str) -> None:
    def change(*arguments: Any) -> Code:
        code = equations(*arguments)
        text = getattr(code, part)
        if not text:  # a readout has no reset
            return code
        assert right in text, text
        return dataclasses.replace(code, **{part: text.replace(right, wrong)})

    monkeypatch.setattr(engine, "equations", change)


@pytest.mark.parametrize("integers", [False, True])
@pytest.mark.parametrize(
    "name", sorted(set(MUTATIONS) | {f"integer {n}" for n in INTEGER_MUTATIONS})
)
def test_a_mutated_semantic_is_noticed(
    monkeypatch: pytest.MonkeyPatch, name: str, integers: bool
) -> None:
    if integers != name.startswith("integer "):
        return
    neuron, part, right, wrong = (
        INTEGER_MUTATIONS[name.removeprefix("integer ")] if integers else MUTATIONS[name]
    )
    rng = np.random.default_rng(5)
    trained = random_trained(rng, feed_forward([8, 10, 6], neuron, neuron), 20, dyadic=True)
    # coarse weights, so that membranes meet the threshold exactly
    coarse = {
        k: np.full_like(v, 0.5) if k.endswith("threshold") else np.round(v * 4) / 4
        for k, v in trained.parameters.items()
    }
    trained = dataclasses.replace(trained, parameters=coarse)
    spikes = random_stimulus(rng, trained.network, 20, 4)
    model = quantize(trained, 3, resolution_bits=0) if integers else trained
    expected = run_golden(model, spikes) if integers else run_reference(model, spikes)
    assert first_mismatch(expected, engine.run(model, spikes), 1e-9) is None
    mutated(monkeypatch, part, right, wrong)
    assert first_mismatch(expected, engine.run(model, spikes), 1e-9) is not None


MODULATIONS = {
    "sigmoid": ("gain", False, "exp(-", "exp("),
    "rectification": ("threshold", False, "int((v_threshold + offset_threshold) > 0)*", ""),
    "integer rectification": ("threshold", True, "int((v_threshold + offset_threshold) > 0)*", ""),
    "floor of the index": ("gain", True, "floor(", "0.5 + floor("),
    "floor of the rise": ("threshold", True, "floor(", "ceil("),
}


@pytest.mark.parametrize("name", MODULATIONS)
def test_a_mutated_modulation_is_noticed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    effect, integers, right, wrong = MODULATIONS[name]
    rng = np.random.default_rng(5)
    base = feed_forward([8, 10], output=Lif(0.5))
    network = dataclasses.replace(
        base,
        populations=(base.input, Population("astrocyte", 5, Astrocyte(0.75)), base.output),
        projections=(
            *base.projections,
            Projection("output", "astrocyte"),
            Projection("input", "astrocyte"),
        ),
        modulations=(Modulation("astrocyte", "output", effect),),  # type: ignore[arg-type]
    )
    trained = random_trained(rng, network, 20, dyadic=True)
    spikes = random_stimulus(rng, network, 20, 4)
    model = quantize(trained, 3, resolution_bits=0) if integers else trained
    expected = run_golden(model, spikes) if integers else run_reference(model, spikes)
    assert first_mismatch(expected, engine.run(model, spikes), 1e-9) is None
    mutated(monkeypatch, "modulate", right, wrong)
    assert first_mismatch(expected, engine.run(model, spikes), 1e-9) is not None


@pytest.mark.parametrize("integers", [False, True])
@pytest.mark.parametrize("seed", [7, BOTH_EFFECTS])
def test_an_exported_script_runs_without_the_framework(
    tmp_path: Path, integers: bool, seed: int
) -> None:
    trained, spikes = random_case(seed)
    assert len({m.effect for m in trained.network.modulations}) == (
        2 if seed == BOTH_EFFECTS else 0
    )
    model = quantize(trained, 6, max_count=2) if integers else trained
    expected = run_golden(model, spikes) if integers else run_reference(model, spikes)
    assert fired(expected) > 10
    script = tmp_path / "network.py"
    assert engine.export(model, script) == [script, tmp_path / "network.npz"]
    assert re.search(r"(import|from) neurohw", script.read_text()) is None
    np.savez(tmp_path / "in.npz", spikes=spikes.transpose(1, 0, 2))
    np.savez(tmp_path / "one.npz", spikes=spikes[:, 0])
    for source, target in (("in", "out"), ("one", "single")):
        command = [
            sys.executable,
            "-I",
            script,
            "--input",
            f"{source}.npz",
            "--out",
            f"{target}.npz",
            "--states",
        ]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
    np.savez(tmp_path / "wrong.npz", spikes=spikes)  # [time, sample, neuron]
    np.savez(tmp_path / "long.npz", spikes=np.concatenate([spikes, spikes])[:, 0])
    for source, message in (("wrong", "may be exchanged"), ("long", "the integers are proved for")):
        command = [
            sys.executable,
            "-I",
            script,
            "--input",
            f"{source}.npz",
            "--out",
            f"{source}-out.npz",
        ]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        refused = source == "wrong" or integers
        assert (
            (done.returncode == 2 and message in done.stderr) if refused else done.returncode == 0
        )
        assert (tmp_path / f"{source}-out.npz").exists() != refused
    with np.load(tmp_path / "out.npz") as many, np.load(tmp_path / "single.npz") as single:
        for population in trained.network.populations:
            name = f"spikes.{population.name}"
            assert np.array_equal(many[name].transpose(1, 0, 2), expected.spikes[population.name])
            assert np.array_equal(single[name], expected.spikes[population.name][:, 0])
        for population in trained.network.populations[1:]:
            v = expected.states[f"v.{population.name}"]
            assert np.abs(many[f"v.{population.name}"].transpose(1, 0, 2) - v).max() <= 1e-9


def test_an_export_is_a_python_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="name it"):
        engine.export(random_case(1)[0], tmp_path / "network.txt")
