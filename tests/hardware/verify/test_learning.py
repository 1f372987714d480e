# SPDX-License-Identifier: Apache-2.0
"""A learning core against its golden model: every spike, state, trace, weight and the astrocyte, at
every step.
"""

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from neurohw.errors import Unsupported
from neurohw.fixedpoint import IntFormat
from neurohw.hardware.generate import RtlPackage
from neurohw.hardware.generate.plastic import emit_plastic, learning_layout
from neurohw.hardware.verify.learning import learning_mismatch, run_learning
from neurohw.plasticity import golden as plastic_golden
from neurohw.plasticity.golden import run_plastic_golden
from neurohw.plasticity.integer import QuantizedPlasticity, quantize_plasticity
from neurohw.plasticity.rule import AstrocyteControl
from neurohw.stimulus import Spikes
from tests.random_plasticity import random_learning, random_quantized, random_spikes
from tests.saturations import saturations_while

pytestmark = pytest.mark.rtl


def mismatch(
    folder: Path,
    q: QuantizedPlasticity,
    spikes: np.ndarray,
    lanes: int,
    update_lanes: int,
    learning: np.ndarray | bool = True,
    **conditions: float,
) -> str | None:
    emit_plastic(q, lanes, update_lanes).write(folder / "rtl")
    result = run_learning(folder / "rtl", q, spikes, learning, 7, optimize=False, **conditions)
    assert (
        result.counters["events"] == spikes.sum()
        and result.counters["steps"] == spikes.shape[0] * spikes.shape[1]
    )
    given = Spikes(spikes)
    saturated = saturations_while(lambda: run_plastic_golden(q, given, learning), plastic_golden)
    assert [result.counters["saturations"]] == list(saturated.values())
    assert result.counters["invalid_events"] == 0
    assert result.counters["status"] == 2 * (result.counters["saturations"] > 0)
    return learning_mismatch(run_plastic_golden(q, given, learning, 7), result)


@pytest.mark.parametrize("seed", range(3))
def test_random_liquids_with_idle_and_backpressure(seed: int, tmp_path: Path) -> None:
    """Awkward sizes, formats and conventions; samples that learn and samples that do not; weights
    from a limit.
    """
    rng = np.random.default_rng(30 + seed)
    learns = [(True, True), (True, False), (False, True)][seed]
    q = random_quantized(
        rng,
        at_limits=seed == 1,
        recurrent=seed != 1,
        learns=learns,
        astrocyte=seed != 2,
        crosses=(seed != 2, seed == 2),
    )
    spikes = random_spikes(rng, q, 14, 4)
    update_lanes = int(rng.integers(1, 4))
    assert (
        mismatch(
            tmp_path, q, spikes, update_lanes * int(rng.integers(1, 4)), update_lanes,
            np.array([True, False, True, True]), idle=0.4 * (seed % 2),
            backpressure=0.6 * (seed < 2),
        )
        is None
    )  # fmt: skip


def test_saturations_are_counted_while_weights_change(tmp_path: Path) -> None:
    """Membranes that just hold the thresholds."""
    rng = np.random.default_rng(5)
    q = random_quantized(rng)
    populations = {
        name: dataclasses.replace(
            p, membrane=IntFormat.holding(int(p.v_reset.min()), int(p.threshold.max())), capped=True
        )
        for name, p in q.model.populations.items()
    }
    q = dataclasses.replace(q, model=dataclasses.replace(q.model, populations=populations))
    spikes = random_spikes(rng, q, 14, 3)
    counted = saturations_while(lambda: run_plastic_golden(q, Spikes(spikes)), plastic_golden)
    assert sum(counted.values()) > 0
    assert mismatch(tmp_path, q, spikes, 4, 2) is None


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_more_random_liquids(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(300 + seed)
    q = random_quantized(
        rng, at_limits=bool(rng.random() < 0.3), inhibitory=float(rng.choice([0, 0.5, 1]))
    )
    spikes = random_spikes(rng, q, 25, 6)
    learning = rng.random(6) < 0.7
    update_lanes = int(rng.integers(1, 5))
    lanes = update_lanes * int(rng.integers(1, 5))
    assert (
        mismatch(
            tmp_path,
            q,
            spikes,
            lanes,
            update_lanes,
            learning,
            backpressure=float(rng.choice([0, 0.5])),
        )
        is None
    )


MUTATIONS = {
    "depression has the wrong sign": ("nhw_learning_traces.sv", "out_depression_o[lane] <= -amount",
        "out_depression_o[lane] <= amount"),
    "both rules are the excitatory one": ("nhw_learning_pass.sv",
        ": inhibitory3 ? ChangeBits'(target_potentiation)",
        ": 1'b0 ? ChangeBits'(target_potentiation)"),
    "no clip from above": ("nhw_learning_synapse.sv", "(sum2_q > SumBits'(high2)) ? high2 :",
        "1'b0 ? high2 :"),
    "the first change is not clipped": ("nhw_learning_synapse.sv",
        "(sum1_q < SumBits'(low1)) ? low1 :", "1'b0 ? low1 :"),
    "no clip from below": ("nhw_learning_synapse.sv", "(sum2_q < SumBits'(low2)) ? low2 :",
        "1'b0 ? low2 :"),
    "weights delivered are truncated": ("nhw_learning_synapse.sv",
        "carry_o = weight_o[HIDDEN_BITS-1]", "carry_o = 1'b0"),
    "traces learn before weights do": ("nhw_learning_traces.sv", "trace = {1'b0, traces[lane]}",
        "trace = {1'b0, traces[lane]} + (spikes_q[0][lane] ? (TRACE_BITS + 1)'(1) : '0)"),
    "the astrocyte forgets to start anew": ("nhw_learning_depression.sv",
        "update_q[2] && sample_end_q[2]", "update_q[2] && sample_end_q[2] && update_q[1]"),
    "the astrocyte rounds toward zero": ("nhw_learning_depression.sv", "(difference_q >>> LEAK)",
        "((difference_q + (difference_q[WideBits-1] ? WideBits'(1) : '0)) >>> LEAK)"),
    "a sum needed at once is not forwarded": ("nhw_learning_accumulator.sv", "again_q ? sum_q",
        "again_q && sums[lane] == sum_q ? sum_q"),
    "the last step is delivered to the next sample": ("nhw_learning_pass.sv",
        "spike6 && !sample_end_i", "spike6 && (sample_end_i || !sample_end_i)"),
    "flags are not cleared": ("nhw_learning_flags.sv", "(read_data[bank] | set_bit_q) : '0",
        "(read_data[bank] | set_bit_q) : read_data[bank]"),
    "frozen weights learn": ("nhw_learning_scan.sv", "field_now[FieldBits-4] && learning_i",
        "field_now[FieldBits-4]"),
}  # fmt: skip


def mutated(package: Path, folder: Path, file: str, text: str, other: str) -> Path:
    """A copy of a written package with one change in one core."""
    shutil.copytree(package, folder)
    files = dict(RtlPackage.load(folder).files)
    source = files[file].decode()
    assert source.count(text) == 1, f"{file} holds {source.count(text)} times {text!r}"
    (folder / file).write_text(source.replace(text, other))
    manifest = RtlPackage(files).manifest
    manifest["files"][file] = hashlib.sha256((folder / file).read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def mutation_bench() -> tuple[QuantizedPlasticity, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(77)
    trained, plasticity = random_learning(rng, 6, 10, 0.6, inhibitory=0.5, at_limits=True)
    # an amplitude that stays positive, so that weights are pressed against both limits
    plasticity = dataclasses.replace(plasticity, astrocyte=AstrocyteControl(gain=0.02))
    q = quantize_plasticity(trained, plasticity, 12, 6)
    return q, (rng.random((30, 4, 6)) < 0.6).astype(np.uint8), np.array([True, True, False, True])


@pytest.mark.exhaustive
def test_mutations_of_the_rtl_are_noticed(tmp_path: Path) -> None:
    q, spikes, learning = mutation_bench()
    emit_plastic(q, 4, 2).write(tmp_path / "rtl" / "rtl")
    golden = run_plastic_golden(q, Spikes(spikes), learning, 5)
    good = run_learning(tmp_path / "rtl" / "rtl", q, spikes, learning, 5, optimize=False)
    assert learning_mismatch(golden, good) is None
    survivors = []
    for number, (name, change) in enumerate(MUTATIONS.items()):
        folder = mutated(tmp_path / "rtl" / "rtl", tmp_path / str(number) / "rtl", *change)
        if (
            learning_mismatch(golden, run_learning(folder, q, spikes, learning, 5, optimize=False))
            is None
        ):
            survivors.append(name)
    assert not survivors


@pytest.mark.slow
def test_a_liquid_learns_for_ten_thousand_steps(tmp_path: Path) -> None:
    """128 neurons, 64 inputs, 100 samples of 100 steps: all that there is, weights every 100
    steps.
    """
    rng = np.random.default_rng(1)
    trained, plasticity = random_learning(rng, 64, 128, 0.1, steps=100)
    q = quantize_plasticity(trained, plasticity)
    spikes = (rng.random((100, 100, 64)) < 0.1).astype(np.uint8)
    emit_plastic(q).write(tmp_path / "rtl")
    golden = run_plastic_golden(q, Spikes(spikes), every=100)
    assert golden.trace.spikes["liquid"].mean() > 0.01
    assert all(np.abs(w - q.projections[n].weight).max() > 100 for n, w in golden.weights.items())
    assert learning_mismatch(golden, run_learning(tmp_path / "rtl", q, spikes, every=100)) is None


def test_emission_is_byte_identical_and_refuses() -> None:
    q = random_quantized(np.random.default_rng(3), astrocyte=True)
    package = emit_plastic(q, 4, 2)
    assert package.files == emit_plastic(q, 4, 2).files
    assert f"256'h{q.digest()}" in package.files["nhw_network_pkg.sv"].decode()
    with pytest.raises(Unsupported, match="4 lanes with 3 update lanes"):
        emit_plastic(q, 4, 3)


@pytest.mark.parametrize(("lanes", "update_lanes"), [(1, 1), (4, 2), (16, 8)])
def test_every_synapse_has_a_place_of_its_own(lanes: int, update_lanes: int) -> None:
    q = random_quantized(np.random.default_rng(4))
    layout = learning_layout(q, lanes, update_lanes)
    places = set()
    for projection in q.model.network.projections:
        name = projection.name
        row, lane = layout.row[name], layout.lane[name]
        assert np.array_equal(layout.groups[row, lane] * lanes + lane, q.target(projection))
        assert np.array_equal(layout.weights[row, lane], q.projections[name].weight)
        places |= set(zip(row.tolist(), lane.tolist(), strict=True))
    assert (
        len(places)
        == sum(len(q.source(p)) for p in q.model.network.projections)
        == np.sum(layout.groups >= 0)
    )
    assert layout.count.sum() == len(layout.weights)
