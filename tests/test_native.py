# SPDX-License-Identifier: Apache-2.0
"""The golden model in C++ equals the specification on every spike and state."""

import dataclasses
import platform
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from neurohw import (
    Integrator,
    Lif,
    feed_forward,
    first_mismatch,
    native_library,
    quantize,
    run_golden,
)
from neurohw.errors import InvalidData, MissingTool
from neurohw.fixedpoint import IntFormat
from neurohw.golden import native
from neurohw.golden.native import run_native
from neurohw.integers import QuantizedNetwork
from neurohw.network import Projection
from neurohw.neurons import Adaptation
from tests.mutations import mutate_native
from tests.random_networks import random_graph, random_stimulus, random_trained


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_native_equals_the_specification(seed: int) -> None:
    rng = np.random.default_rng(seed)
    trained = random_trained(rng, random_graph(rng), 12, each_neuron=True)
    cap = int(rng.integers(4, 12)) if rng.random() < 0.3 else None  # narrow membranes saturate
    model = quantize(trained, int(rng.integers(2, 9)), membrane_cap=cap, max_count=2)
    if rng.random() < 0.3:  # 64-bit states
        wide = {
            n: dataclasses.replace(p, membrane=IntFormat(45)) for n, p in model.populations.items()
        }
        model = dataclasses.replace(model, populations=wide)
    spikes = random_stimulus(rng, model.network, 12, 5, 2)
    expected, actual = run_golden(model, spikes), run_native(model, spikes, threads=2)
    assert set(expected.arrays()) == set(actual.arrays())
    assert first_mismatch(expected, actual) is None
    assert expected.saturations == actual.saturations
    assert all(a.dtype == actual.arrays()[n].dtype for n, a in expected.arrays().items())


def test_without_states_only_spikes_are_returned() -> None:
    rng = np.random.default_rng(1)
    model = quantize(random_trained(rng))
    spikes = random_stimulus(rng, model.network, model.steps, 4)
    trace = run_native(model, spikes, states=False)
    assert not trace.states and first_mismatch(run_golden(model, spikes), trace) is None


def test_counts_beyond_the_proof_are_left_to_the_specification(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(3)
    model = quantize(random_trained(rng), max_count=1)
    spikes = random_stimulus(rng, model.network, model.steps, 4) * np.uint8(200)
    asked: list[int] = []
    monkeypatch.setattr(native, "run_golden", lambda *a: asked.append(1))
    run_native(model, spikes, beyond_proof=True)
    assert asked == [1]


def test_a_missing_compiler_and_a_wrong_stimulus_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    model = quantize(random_trained(rng))
    with pytest.raises(InvalidData, match="stimulus has shape"):
        run_native(model, np.zeros((2, 3), np.uint8))
    monkeypatch.setattr(native_library.shutil, "which", lambda name: None)
    native_library.compiled.cache_clear()
    with pytest.raises(MissingTool, match=r"g\+\+"):
        run_native(model, random_stimulus(rng, model.network, 3, 1))
    native_library.compiled.cache_clear()


def without_guard_bits(model: QuantizedNetwork) -> QuantizedNetwork:
    """The same weights, and other constants rounded to whole weight steps: numbers that 16 bits
    hold for a while.
    """
    guard = {n: report["guard_bits"] for n, report in model.info["populations"].items()}
    populations = {
        n: dataclasses.replace(
            p,
            bias=p.bias >> guard[n],
            threshold=np.maximum(p.threshold >> guard[n], 1),
            v_reset=p.v_reset >> guard[n],
            adaptation_strength=None
            if p.adaptation_strength is None
            else p.adaptation_strength >> guard[n],
        )
        for n, p in model.populations.items()
    }
    projections = {n: dataclasses.replace(p, exponent=0) for n, p in model.projections.items()}
    return dataclasses.replace(model, populations=populations, projections=projections)


def large_case(seed: int) -> tuple[QuantizedNetwork, NDArray[np.uint8]]:
    """Populations of up to 300 neurons with weights of up to 8 bits, shifted; the stimulus grows
    from sample to sample.

    First samples stay within the 16 bits that are tried first, later ones leave them, by sums or by
    membranes.
    """
    rng = np.random.default_rng(seed)
    sizes = [int(n) for n in rng.integers(20, 300, 4)]
    lif = Lif(
        decay=float(rng.choice([0.5, 0.9375, 0.99])),
        reset=rng.choice(["soft", "hard"]),  # type: ignore[arg-type]
        refractory=int(rng.integers(0, 3)),
        synapse_decay=float(rng.choice([0.5, 0.9])) if rng.random() < 0.5 else None,
        adaptation=Adaptation(0.9, 0.2) if rng.random() < 0.3 else None,
    )
    trained = random_trained(rng, feed_forward(sizes, lif, Integrator(0.99)), 30)
    model = without_guard_bits(quantize(trained, 8, max_count=3))
    if rng.random() < 0.5:
        shift = int(rng.integers(1, 5))
        projections = {
            n: dataclasses.replace(p, exponent=shift) for n, p in model.projections.items()
        }
        wide = {"accumulator": IntFormat(28), "current": IntFormat(33), "membrane": IntFormat(40)}
        populations = {n: dataclasses.replace(p, **wide) for n, p in model.populations.items()}
        model = dataclasses.replace(model, projections=projections, populations=populations)
    density = np.geomspace(0.002, 0.9, 9)[:, None]
    return model, (
        rng.integers(1, 4, (30, 9, sizes[0])) * (rng.random((30, 9, sizes[0])) < density)
    ).astype(np.uint8)


@pytest.mark.parametrize("threads", [1, 3])
def test_what_leaves_16_bits_is_computed_in_more(threads: int) -> None:
    beyond, within = 0, 0
    for seed in range(12):
        model, spikes = large_case(seed)
        expected = run_golden(model, spikes)
        assert first_mismatch(expected, run_native(model, spikes, threads=threads)) is None, seed
        sizes = np.max(
            [np.abs(v).max(axis=(0, 2)) for n, v in expected.states.items() if n[0] in "vc"], axis=0
        )
        beyond += int((sizes > 2**15).sum())
        within += int((sizes < 2**13).sum())
    assert beyond > 20 and within > 10


LEVELS = ["native", "x86-64-v3", "x86-64"]
only_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="names levels of x86-64")


def compile_for(monkeypatch: pytest.MonkeyPatch, level: str) -> None:
    """Let the native golden model be compiled for a level of x86-64, whose vectors have 64, 32 or
    16 bytes.
    """
    flags = (*native_library.FLAGS, f"-march={level}", "-O1", "-Wno-psabi")
    monkeypatch.setattr(native, "compiled", lambda source: native_library.compiled(source, flags))


@only_x86
@pytest.mark.parametrize("level", LEVELS[1:])
def test_processors_with_shorter_vectors(monkeypatch: pytest.MonkeyPatch, level: str) -> None:
    compile_for(monkeypatch, level)
    for seed in range(12):
        model, spikes = large_case(seed)
        assert first_mismatch(run_golden(model, spikes), run_native(model, spikes)) is None, seed


def plain_case(seed: int) -> tuple[QuantizedNetwork, NDArray[np.uint8]]:
    """Neurons that are advanced in one pass, in populations that fill vectors or just do not; sums
    meet thresholds and membranes their ends.

    Thresholds are sums of a few weights of one size, decays none, halves or sixteenths, membranes
    of 6 bits or of all that they need, inputs counts up to 3.
    """
    rng = np.random.default_rng(seed)
    sizes = [int(n) for n in rng.choice([1, 31, 32, 33, 63, 64, 65, 129, 300], 4)]
    reset = ("soft", "hard", "none")[seed % 3]
    lif = Lif(float(rng.choice([0.5, 0.9375, 1.0])), reset=reset, strict=bool(rng.random() < 0.5))
    output = lif if rng.random() < 0.5 else Integrator(float(rng.choice([0.5, 1.0])))
    graph = feed_forward(sizes, lif, output)
    names = [p.name for p in graph.populations]
    delayed = tuple(dataclasses.replace(p, delay=int(rng.integers(3))) for p in graph.projections)
    loop = Projection(names[1], names[1], 1)
    trained = random_trained(rng, dataclasses.replace(graph, projections=(*delayed, loop)), 15)
    cap = 6 if rng.random() < 0.4 else None
    model = quantize(trained, 8, membrane_cap=cap, max_count=3)
    unit = int(rng.choice([1, 40, 127]))
    weights = {
        n: dataclasses.replace(
            p, weight=rng.integers(-1, 2, p.weight.shape).astype(p.weight.dtype) * unit
        )
        for n, p in model.projections.items()
    }
    populations = {
        n: dataclasses.replace(
            p,
            threshold=np.minimum(rng.integers(1, 4, p.threshold.shape) * unit, p.membrane.max),
            accumulator=IntFormat(20),
            current=IntFormat(22),
        )
        for n, p in model.populations.items()
    }
    model = dataclasses.replace(model, projections=weights, populations=populations)
    density = np.geomspace(0.01, 1.0, 6)[:, None]
    counts = rng.integers(1, 4 if rng.random() < 0.5 else 2, (15, 6, sizes[0]))
    return model, (counts * (rng.random(counts.shape) < density)).astype(np.uint8)


@only_x86
@pytest.mark.parametrize("level", LEVELS)
def test_plain_neurons_in_one_pass(monkeypatch: pytest.MonkeyPatch, level: str) -> None:
    compile_for(monkeypatch, level)
    met = saturated = fired = 0
    for seed in range(30):
        model, spikes = plain_case(seed)
        expected, actual = run_golden(model, spikes), run_native(model, spikes, threads=1)
        assert first_mismatch(expected, actual) is None, seed
        assert expected.saturations == actual.saturations
        short = run_native(model, spikes, False, threads=2)
        assert first_mismatch(run_golden(model, spikes, False), short) is None, seed
        assert expected.saturations == short.saturations
        for name, population in model.populations.items():
            v, s = expected.states[f"v.{name}"], expected.spikes[name].astype(bool)
            saturated += int(
                (v == population.membrane.max).any() or (v == population.membrane.min).any()
            )
            fired += int(s.any())
            met += int((v == population.threshold).any())
    assert met > 20 and saturated > 10 and fired > 30


def wrapping_case() -> tuple[QuantizedNetwork, NDArray[np.uint8]]:
    """A sum of 65,532, of which 16 bits keep -4."""
    rng = np.random.default_rng(0)
    model = quantize(
        random_trained(rng, feed_forward([200, 40], Lif(0.5), Integrator(0.5)), 4), 8, max_count=3
    )
    [(name, projection)] = model.projections.items()
    target = model.network.output.name
    largest = dataclasses.replace(
        projection, exponent=0, weight=np.full_like(projection.weight, 127)
    )
    wide = {"accumulator": IntFormat(28), "current": IntFormat(33), "membrane": IntFormat(40)}
    wider = dataclasses.replace(model.populations[target], **wide)
    model = dataclasses.replace(
        model, projections={name: largest}, populations={**model.populations, target: wider}
    )
    spikes = np.zeros((4, 1, 200), np.uint8)
    spikes[1, 0, :172] = 3
    return model, spikes


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("whole[k] - (high[k] << 8)", "whole[k]"),
        ("if (beyond) saturated = true;", ""),
        ("events.sent * weights.largest <= std::numeric_limits<int16_t>::max()", "true"),
        (
            "events.counted.emplace_back(first + k, block[k]);",
            "events.counted.emplace_back(first + k, 1);",
        ),
        ("static_cast<uint64_t>(fires.bits()) << lane", "static_cast<uint64_t>(fires.bits())"),
    ],
)
def test_an_error_in_vectors_is_noticed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, right: str, wrong: str
) -> None:
    cases = [
        *(plain_case(seed) for seed in range(12)),
        *(large_case(seed) for seed in range(6)),
        wrapping_case(),
    ]
    expected = [run_golden(m, s) for m, s in cases]
    assert all(
        first_mismatch(e, run_native(m, s)) is None
        for e, (m, s) in zip(expected, cases, strict=True)
    )
    mutate_native(monkeypatch, tmp_path, right, wrong)
    assert any(
        first_mismatch(e, run_native(m, s)) is not None
        for e, (m, s) in zip(expected, cases, strict=True)
    )


@pytest.mark.parametrize("check", ["if (beyond) fits = false;", "if (load > room)"])
def test_a_missing_look_at_the_bits_is_noticed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, check: str
) -> None:
    cases = [wrapping_case()] if "room" in check else [large_case(seed) for seed in range(12)]
    assert all(
        first_mismatch(run_golden(m, s), run_native(m, s, threads=1)) is None for m, s in cases
    )
    mutate_native(monkeypatch, tmp_path, check, "if (false)" if check.endswith(")") else ";")
    assert any(
        first_mismatch(run_golden(m, s), run_native(m, s, threads=1)) is not None for m, s in cases
    )
