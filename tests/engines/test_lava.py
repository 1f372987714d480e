# SPDX-License-Identifier: Apache-2.0
"""Lava's fixed point equals the golden model: its own processes where they are exact, ours
elsewhere.
"""

import dataclasses
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurohw import Lif, Network, feed_forward, first_mismatch, quantize, run_golden
from neurohw.engines import lava as engine
from neurohw.engines.lava import session
from neurohw.engines.lava.planning import plan
from neurohw.errors import InvalidData, MissingTool, NeurohwError, Unsupported
from neurohw.fixedpoint import IntFormat, MultiplyDecay, NoDecay, ShiftDecay
from neurohw.integers import QuantizedNetwork
from neurohw.network import Population, Projection
from neurohw.neurons import Adaptation, Integrator, Source
from tests.random_networks import random_graph, random_stimulus, random_trained

pytestmark = pytest.mark.slow  # Lava takes seconds to start
PACKAGE = Path(session.__file__).parents[3]
needs_lava = pytest.mark.skipif(
    importlib.util.find_spec("lava") is None and not os.environ.get("CI"),
    reason="lava-nc is not installed",
)


def fired(trace: Any) -> int:
    return sum(int(s.sum()) for s in list(trace.spikes.values())[1:])


def supported(model: QuantizedNetwork) -> bool:
    """False for the one thing that random graphs have and Lava has not: a loop with less delay than
    hops.
    """
    try:
        engine.check(model)
    except Unsupported as error:
        assert "form a loop" in str(error)
        return False
    return True


def random_case(seed: int, steps: int = 9, samples: int = 3) -> tuple[QuantizedNetwork, Any]:
    rng = np.random.default_rng(seed)
    trained = random_trained(rng, random_graph(rng), steps, dyadic=True, each_neuron=True)
    spikes = random_stimulus(rng, trained.network, steps, samples, 2)
    return quantize(trained, 3 + seed % 6, resolution_bits=0, max_count=2), spikes


def native_case(
    seed: int, features: set[str], steps: int = 12, samples: int = 1
) -> tuple[QuantizedNetwork, Any]:
    """A network of Lava's own hard-reset LIF neurons, and counts up to 2 for it."""
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, frozenset(features))
    populations = [graph.input]
    for p in graph.populations[1:]:
        lif = Lif(
            reset="hard",
            strict=bool(rng.integers(2)),
            membrane_bias=bool(rng.integers(2)),
            synapse_decay=0.5 if rng.random() < 0.7 else None,
        )
        populations.append(dataclasses.replace(p, neuron=lif))
    network = Network(tuple(populations), graph.projections)
    model = quantize(random_trained(rng, network, steps), 8, max_count=2)
    integers = {}
    for name, q in model.populations.items():
        lif = network.population(name).neuron
        assert isinstance(lif, Lif)
        bias = rng.integers(-400, 900, q.bias.shape) << 3
        if lif.synapse_decay is not None and not lif.membrane_bias:
            bias = bias * 0
        threshold = 64 * int(rng.integers(60, 160)) + (0 if lif.strict else 1)
        integers[name] = dataclasses.replace(
            q,
            bias=bias,
            threshold=np.full_like(q.threshold, threshold),
            decay=MultiplyDecay(int(rng.integers(1, 2000))) if rng.random() < 0.8 else NoDecay(),
            synapse_decay=None
            if lif.synapse_decay is None
            else MultiplyDecay(int(rng.integers(500, 4097))),
            membrane=IntFormat(24),
            current=IntFormat(24),
            accumulator=IntFormat(18),
        )
    projections = {
        name: dataclasses.replace(
            p, exponent=int(rng.integers(6, 8)), weight=rng.integers(-60, 90, p.weight.shape)
        )
        for name, p in model.projections.items()
    }
    model = dataclasses.replace(model, populations=integers, projections=projections)
    return model, random_stimulus(rng, network, steps, samples, 2)


def compare(jobs: list[tuple[QuantizedNetwork, Any]], side_by_side: bool) -> int:
    """Spikes of the golden model, all of which Lava has equal, with every state."""
    spikes = 0
    for (model, stimulus), actual in zip(
        jobs, engine.run_many(jobs, side_by_side=side_by_side), strict=True
    ):
        expected = run_golden(model, stimulus)
        assert set(expected.arrays()) == set(actual.arrays())
        assert all(a.dtype == expected.arrays()[n].dtype for n, a in actual.arrays().items())
        mismatch = first_mismatch(expected, actual)
        assert mismatch is None, f"{model.network}: {mismatch}"
        spikes += fired(expected)
    return spikes


@needs_lava
def test_random_graphs_side_by_side() -> None:
    jobs = [case for seed in range(24) if supported((case := random_case(seed))[0])]
    assert {m.effect for model, _ in jobs for m in model.network.modulations} == {
        "gain",
        "threshold",
    }
    assert {x.lag for model, _ in jobs for x in plan(model, 9, 2).levels.values()} >= {0, 1}
    assert len(jobs) > 15 and compare(jobs, True) > 1000


@needs_lava
def test_random_graphs_one_sample_after_the_other() -> None:
    jobs = [case for seed in range(30, 44) if supported((case := random_case(seed, samples=2))[0])]
    used = {q.process for model, _ in jobs for q in plan(model, 9, 2).projections.values()}
    assert used >= {"Dense", "DelayDense", "Sparse", "DelaySparse"}
    assert len(jobs) > 9 and compare(jobs, False) > 200


@needs_lava
@pytest.mark.parametrize("side_by_side", [False, True])
def test_hard_reset_networks_run_on_lavas_own_processes(side_by_side: bool) -> None:
    features = {"recurrence", "skip", "delay", "synapse_delay", "sparse", "convolution"}
    seeds = range(14) if not side_by_side else range(20, 28)
    samples = 2 if side_by_side else 1
    jobs = [
        case
        for seed in seeds
        if supported((case := native_case(seed, features, samples=samples))[0])
    ]
    used = set()
    for model, spikes in jobs:
        planned = plan(model, len(spikes), 2, samples)
        assert all(p.lif is not None for p in planned.populations.values()), planned
        used |= {q.process for q in planned.projections.values()}
    assert used >= (
        {"Sparse"} if side_by_side else {"Dense", "DelayDense", "Sparse", "DelaySparse", "Conv"}
    )
    assert len(jobs) >= 6 and compare(jobs, side_by_side) > 300


@needs_lava
def test_saturating_membranes_agree() -> None:
    jobs = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        trained = random_trained(rng, random_graph(rng), 9, dyadic=True)
        model = quantize(trained, 8, membrane_cap=5)
        if supported(model):
            jobs.append((model, random_stimulus(rng, trained.network, 9, 2)))
    assert compare(jobs, True) > 100


@needs_lava
def test_without_states_only_spikes_are_recorded() -> None:
    model, spikes = native_case(3, set())
    trace = engine.run(model, spikes, states=False)
    assert not trace.states and first_mismatch(run_golden(model, spikes), trace) is None


def chain(neuron: Lif | Integrator, **fields: Any) -> QuantizedNetwork:
    """5-4 neurons that Lava's LIF computes, but for what `fields` of the population change."""
    model = quantize(
        random_trained(np.random.default_rng(2), feed_forward([5, 4], output=neuron), 6)
    )
    q = model.populations["output"]
    lava = {
        "threshold": np.full(4, 640),
        "decay": MultiplyDecay(100),
        "bias": np.zeros(4, int),
        "membrane": IntFormat(24),
        "current": IntFormat(24),
    }
    known = {
        k: v for k, v in (lava | fields).items() if k in {f.name for f in dataclasses.fields(q)}
    }
    exponent = fields.get("exponent", 6)
    connection = dataclasses.replace(model.projections["input_to_output"], exponent=exponent)
    return dataclasses.replace(
        model,
        populations={"output": dataclasses.replace(q, **known)},
        projections={"input_to_output": connection},
    )


HARD = Lif(reset="hard", strict=True)


@pytest.mark.parametrize(
    ("neuron", "fields", "why"),
    [
        (HARD, {}, ""),
        (dataclasses.replace(HARD, strict=False), {"threshold": np.full(4, 641)}, ""),
        (Integrator(), {}, "never fires"),
        (dataclasses.replace(HARD, reset="soft"), {}, "soft reset"),
        (dataclasses.replace(HARD, refractory=1), {}, "refractory"),
        (dataclasses.replace(HARD, delayed_reset=True), {}, "delayed reset"),
        (HARD, {"v_reset": np.array([0, 0, 1, 0])}, "reset value"),
        (HARD, {"threshold": np.full(4, 641)}, "v > 641"),
        (HARD, {"threshold": np.array([640, 704, 640, 640])}, "single neurons"),
        (dataclasses.replace(HARD, strict=False), {}, "v > 639"),
        (HARD, {"decay": ShiftDecay(3)}, "no dv"),
        (HARD, {"bias": np.full(4, 4097)}, "mantissa"),
        (HARD, {"bias": np.full(4, 4095 << 7)}, ""),
        (HARD, {"membrane": IntFormat(15)}, "membrane can saturate"),
        (HARD, {"exponent": 5}, "shifted by 5"),
        (
            dataclasses.replace(HARD, synapse_decay=0.5),
            {"synapse_decay": NoDecay()},
            "du",
        ),
        (
            dataclasses.replace(HARD, synapse_decay=0.5),
            {"synapse_decay": MultiplyDecay(1024), "bias": np.full(4, 64)},
            "not to the current",
        ),
    ],
)
def test_what_lavas_lif_is_taken_for(
    neuron: Lif | Integrator, fields: dict[str, Any], why: str
) -> None:
    planned = plan(chain(neuron, **fields), 6).populations["output"]
    assert why in planned.why and (planned.lif is None) == bool(why), planned


def test_offsets_are_the_longest_zero_delay_paths() -> None:
    names = [Population("input", 2, Source()), *(Population(n, 2, Lif()) for n in "abc")]
    projections = (
        Projection("input", "a"),
        Projection("a", "b"),
        Projection("input", "b"),
        Projection("input", "c", delay=1),
        Projection("b", "c", delay=3),
        Projection("b", "a", delay=1, max_delay=3),
    )
    network = Network(tuple(names), projections)
    trained = random_trained(np.random.default_rng(1), network)
    arrays = dict(trained.parameters)
    arrays["b_to_a.delay"] = np.array([[2, 3], [3, 2]])
    model = quantize(dataclasses.replace(trained, parameters=arrays))
    assert engine.offsets(model) == {"input": 0, "a": 1, "b": 2, "c": 0}
    delays = {n: [d for d, _ in p.matrices] for n, p in plan(model, 7).projections.items()}
    assert delays["b_to_a"] == [0, 1] and delays["input_to_b"] == [1] and delays["b_to_c"] == [0]
    assert delays["input_to_c"] == [0] and delays["a_to_b"] == [0]

    arrays["b_to_a.delay"] = np.array([[1, 3], [3, 2]])
    model = quantize(dataclasses.replace(trained, parameters=arrays))
    with pytest.raises(
        Unsupported, match="'a_to_b', 'b_to_a'|'b_to_a', 'a_to_b'.*2 hops with a delay of 1"
    ):
        engine.check(model)


def test_what_lava_does_not_hold_is_refused_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        session.subprocess, "Popen", lambda *a, **k: pytest.fail("something was started")
    )
    spikes = np.zeros((6, 1, 5), np.uint8)
    with pytest.raises(Unsupported, match="'output'.*membrane has 25 bits.*24"):
        engine.run(chain(HARD, membrane=IntFormat(25)), spikes)
    with pytest.raises(Unsupported, match="'output'.*current has 30 bits.*24"):
        engine.run(chain(HARD, current=IntFormat(30)), spikes)
    with pytest.raises(Unsupported, match="'input_to_output'.*36 bits.*31"):
        engine.run(chain(HARD, accumulator=IntFormat(30)), spikes)
    with pytest.raises(Unsupported, match="'input': a count of 3 is above 1"):
        engine.run(chain(HARD), spikes + 3)
    with pytest.raises(InvalidData, match="is needed"):
        engine.run(chain(HARD), spikes[:, 0])


def test_checking_loads_no_lava() -> None:
    code = (
        "import sys; from neurohw import *; from neurohw.engines import engine_named; import "
        "neurohw.engines.lava as e; from tests.random_networks import *; import numpy as np; "
        "engine_named('lava').check(quantize(random_trained(np.random.default_rng(1), "
        "feed_forward([3, 2])))); print([m for m in sys.modules if m == 'lava' or "
        "m.startswith('lava.')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE
    )
    assert done.stdout.strip() == "[]"


# --- what goes wrong in the child ---


@needs_lava
def test_a_timeout_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[int, str]] = []
    shared: list[Path] = []

    class Spy(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, command: list[str], **options: Any) -> None:
            super().__init__(command, **options)
            started.append((self.pid, command[-1].strip("/")))
            # a busy machine may not have loaded Lava when the time is over
            ready = time.monotonic() + 120
            while (
                not list(session.SHARED_MEMORY.glob(f"{started[-1][1]}*"))
                and time.monotonic() < ready
            ):
                time.sleep(0.05)

    clear = session._clear

    def spied(child: Any, prefix: str) -> None:
        shared.extend(session.SHARED_MEMORY.glob(f"{prefix.strip('/')}*"))
        clear(child, prefix)

    monkeypatch.setattr(session.subprocess, "Popen", Spy)
    monkeypatch.setattr(session, "_clear", spied)
    spikes = np.ones((60_000, 1, 5), np.uint8)
    with pytest.raises(NeurohwError, match="did not finish within 5 s"):
        engine.run(chain(HARD), spikes, timeout=5, beyond_proof=True)
    ((pid, prefix),) = started
    assert shared, "Lava had no shared memory when it was stopped: the test shows nothing"
    assert not list(session.SHARED_MEMORY.glob(f"{prefix}*"))
    running = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it ended while we looked
            continue
        if int(fields[2]) == pid and fields[0] not in "ZX":
            running.append(stat)
    assert not running


@pytest.mark.parametrize(("code", "how"), [("sys.exit(7)", "code 7"), ("os.abort()", "code -6")])
def test_a_crash_is_reported_with_the_last_words(tmp_path: Path, code: str, how: str) -> None:
    command = [
        sys.executable,
        "-c",
        f"import os, sys; print('the last words'); sys.stdout.flush(); {code}",
    ]
    with pytest.raises(NeurohwError, match=f"{how}.*the last words"):
        session.run_child(command, tmp_path, 60)


def copied_package(folder: Path) -> Path:
    shutil.copytree(
        PACKAGE / "neurohw", folder / "neurohw", ignore=shutil.ignore_patterns("__pycache__")
    )
    return folder


def test_missing_lava_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = copied_package(tmp_path)
    (root / "lava").mkdir()
    (root / "lava" / "__init__.py").write_text("raise ImportError('no Lava here')")
    monkeypatch.setattr(session, "PACKAGE_ROOT", root)
    with pytest.raises(MissingTool, match="no Lava here.*pip install.*lava-nc==0.10.0"):
        engine.run(chain(HARD), np.zeros((6, 1, 5), np.uint8))


# --- one semantic at a time: what the right code says, and a wrong text for it ---

SOFT = Lif(0.5)
MUTATIONS: dict[str, tuple[Lif, str, str, str]] = {
    "nothing": (SOFT, "step.py", "u >= threshold", "u >= threshold"),
    "comparison": (SOFT, "step.py", "u >= threshold", "u > threshold"),
    "order of leak and sum": (SOFT, "step.py", "decay_v(before) + drive)",
        "decay_v(before + drive))"),
    "rounding of the shift": (SOFT, "fixedpoint.py", "values - (values >> self.shift)",
        "values - np.fix(values / 2**self.shift)"),
    "reset": (SOFT, "step.py", "u - threshold, u)", "0, u)"),
    "offset of a connection": (SOFT, "engines/lava/planning.py", "- late[projection.source] - 1",
        "- late[projection.source]"),
    "offset of a population": (SOFT, "engines/lava/processes/soft_reset_lif.py",
        "- 1 - self.offset", "- 1"),
    "adaptation": (Lif(0.5, adaptation=Adaptation(0.5, 0.5)), "step.py", "decay_a(state.a) +",
        "decay_a(state.a) * 0 +"),
    "saturation": (SOFT, "fixedpoint.py", "np.clip(values, self.min, self.max)",
        "np.clip(values, self.min + 1, self.max)"),
    "Lava's LIF: comparison": (HARD, "engines/lava/planning.py", "0 if neuron.strict else 1", "64"),
    "Lava's LIF: current decay": (HARD, "engines/lava/planning.py", "LifPlan(decay_c - 1",
        "LifPlan(decay_c - 300"),
    "Lava's LIF: offset": (HARD, "engines/lava/processes/recorder.py", "- 1 - self.offset",
        "- self.offset"),
    "Lava's LIF: bias": (HARD, "engines/lava/simulate.py",
        "for stop in sorted({p.offset for p in biased}", "for stop in sorted(set()"),
    "Lava's Dense: last bit": (HARD, "engines/lava/simulate.py", "2 * _dense(p.matrices[0][1])",
        "_dense(p.matrices[0][1])"),
}  # fmt: skip


def mutation_case(neuron: Lif, saturates: bool) -> tuple[QuantizedNetwork, Any]:
    """Coarse weights, so that membranes meet the threshold exactly, in two layers."""
    rng = np.random.default_rng(5)
    trained = random_trained(rng, feed_forward([8, 10, 6], neuron, neuron), 20, dyadic=True)
    coarse = {
        k: np.full_like(v, 0.5) if k.endswith("threshold") else np.round(v * 4) / 4
        for k, v in trained.parameters.items()
    }
    trained = dataclasses.replace(trained, parameters=coarse)
    model = quantize(trained, 3, resolution_bits=0, membrane_cap=2 if saturates else None)
    if neuron.reset == "hard":
        populations = {
            n: dataclasses.replace(
                q,
                threshold=np.full_like(q.threshold, 192),
                bias=np.full_like(q.bias, 64),
                decay=MultiplyDecay(1024),
                membrane=IntFormat(24),
                current=IntFormat(24),
            )
            for n, q in model.populations.items()
        }
        projections = {n: dataclasses.replace(p, exponent=6) for n, p in model.projections.items()}
        model = dataclasses.replace(model, populations=populations, projections=projections)
    return model, random_stimulus(rng, trained.network, 20, 1)


@needs_lava
@pytest.mark.parametrize("name", sorted(MUTATIONS))
def test_a_mutated_semantic_is_noticed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    neuron, file, right, wrong = MUTATIONS[name]
    model, spikes = mutation_case(neuron, name == "saturation")
    root = copied_package(tmp_path)
    source = root / "neurohw" / file
    assert right in source.read_text()
    source.write_text(source.read_text().replace(right, wrong))
    monkeypatch.setattr(session, "PACKAGE_ROOT", root)
    mismatch = first_mismatch(run_golden(model, spikes), engine.run(model, spikes))
    assert (mismatch is None) == (name == "nothing"), mismatch


# --- exported scripts ---


def native_with(*processes: str) -> tuple[QuantizedNetwork, Any]:
    """The first random network of Lava's own processes that has all of these, and nothing of
    ours.
    """
    for seed in range(60, 120):
        model, spikes = native_case(
            seed, {"convolution", "sparse", "delay", "synapse_delay", "recurrence"}, samples=2
        )
        used = (
            {q.process for q in plan(model, 12, 2).projections.values()}
            if supported(model)
            else set()
        )
        if used >= set(processes) and "IntegerSynapses" not in used:
            return model, spikes
    pytest.fail(f"no seed gives a network with {processes}")


def export_case(name: str) -> tuple[QuantizedNetwork, Any]:
    if name == "with our processes":
        return random_case(7, samples=2)
    if name == "astrocytes":
        model, spikes = random_case(1, samples=2)
        assert {m.effect for m in model.network.modulations} == {"gain", "threshold"}
        return model, spikes
    if name == "adaptive":
        rng = np.random.default_rng(3)
        neuron = Lif(
            0.75, reset="hard", v_reset=-0.25, adaptation=Adaptation(0.5, 0.5), synapse_decay=0.5
        )
        trained = random_trained(
            rng, feed_forward([6, 5, 4], neuron, Integrator(0.5)), 9, dyadic=True
        )
        return quantize(trained, 8, max_count=2), random_stimulus(rng, trained.network, 9, 2, 2)
    return native_with(*name.split(" and "))


@needs_lava
@pytest.mark.parametrize(
    "name",
    [
        "with our processes",
        "adaptive",
        "astrocytes",
        "Conv and Sparse",
        "Dense and DelayDense",
        "DelaySparse",
    ],
)
def test_an_exported_script_is_the_network(tmp_path: Path, name: str) -> None:
    model, spikes = export_case(name)
    expected = run_golden(model, spikes)
    assert fired(expected) > 10
    script = tmp_path / "network.py"
    assert engine.export(model, script) == [script, tmp_path / "network.npz"]
    native = name not in ("with our processes", "adaptive", "astrocytes")
    assert (
        "import neurohw" in script.read_text() or "from neurohw" in script.read_text()
    ) != native
    np.savez(tmp_path / "in.npz", spikes=spikes.transpose(1, 0, 2))
    np.savez(tmp_path / "one.npz", spikes=spikes[:, 0])
    for source, target in (("in", "out"), ("one", "single")):
        start = ["-m", "neurohw.engines.lava.compat"] if native else []
        command = [
            sys.executable,
            *start,
            str(script),
            "--input",
            f"{source}.npz",
            "--out",
            f"{target}.npz",
            "--states",
        ]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-2000:]
    with np.load(tmp_path / "out.npz") as many, np.load(tmp_path / "single.npz") as single:
        for population in model.network.populations:
            key = f"spikes.{population.name}"
            assert np.array_equal(many[key].transpose(1, 0, 2), expected.spikes[population.name])
            assert np.array_equal(single[key], expected.spikes[population.name][:, 0])
        for population in model.network.populations[1:]:
            key = f"v.{population.name}"
            assert np.array_equal(many[key].transpose(1, 0, 2), expected.states[key])


def test_an_export_is_a_python_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="name it"):
        engine.export(random_case(1)[0], tmp_path / "network.txt")
