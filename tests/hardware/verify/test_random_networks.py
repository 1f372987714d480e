# SPDX-License-Identifier: Apache-2.0
"""Golden against RTL: every spike and every state at every step, over random networks and the
awkward shapes.
"""

import dataclasses
from pathlib import Path

import numpy as np
import pylibfst
import pytest

from neurohw import Integrator, Lif, feed_forward, first_mismatch, quantize, run_golden
from neurohw.engines import rtl
from neurohw.hardware.generate import emit
from neurohw.hardware.verify import verify
from neurohw.integers import QuantizedNetwork
from tests.random_networks import random_network, random_stimulus, random_trained

pytestmark = pytest.mark.rtl

SHAPES = {
    "one neuron, one input": ([1, 1], Lif(decay=0.5), 8),
    "one lane, hard reset to a value": ([5, 3, 2], Lif(decay=0.75, reset="hard", v_reset=-0.25), 1),
    "no multiple of the lanes": ([9, 11, 7, 3], Lif(decay=0.5, refractory=2), 4),
    "more lanes than neurons": ([6, 5, 4], Lif(decay=1.0), 32),
    "multiplying decays": ([7, 10, 4], Lif(decay=0.9, synapse_decay=0.8), 4),
    "current that never decays": ([4, 6, 3], Lif(decay=0.0, synapse_decay=1.0, reset="hard"), 8),
}


def assert_equal(
    model: QuantizedNetwork, stimulus: np.ndarray, lanes: int, **conditions: float
) -> None:
    trace = rtl.run(model, stimulus, lanes, optimize=False, **conditions)
    golden = run_golden(model, stimulus)
    assert set(golden.arrays()) == set(trace.arrays())
    mismatch = first_mismatch(golden, trace)
    assert mismatch is None, str(mismatch)


@pytest.mark.parametrize("name", SHAPES)
def test_awkward_shapes(name: str) -> None:
    sizes, lif, lanes = SHAPES[name]
    rng = np.random.default_rng(len(name))
    output = lif if len(sizes) % 2 else Integrator(0.75)
    model = quantize(random_trained(rng, feed_forward(sizes, lif, output)), 4, max_count=3)
    stimulus = random_stimulus(rng, model.network, 7, 12, max_count=3)
    stimulus[:, 0] = 0
    stimulus[:, 1] = 3
    assert_equal(model, stimulus, lanes)


@pytest.mark.parametrize("seed", range(6))
def test_random_networks_with_idle_and_backpressure(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    model = quantize(random_trained(rng, random_network(rng)), int(rng.integers(2, 9)))
    stimulus = random_stimulus(rng, model.network, 7, 15)
    assert_equal(
        model,
        stimulus,
        int(rng.integers(1, 9)),
        idle=0.4 * (seed % 2),
        backpressure=0.5 * (seed % 3 > 0),
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_more_random_networks(seed: int) -> None:
    rng = np.random.default_rng(1000 + seed)
    model = quantize(random_trained(rng, random_network(rng)), int(rng.integers(2, 9)), max_count=2)
    stimulus = random_stimulus(rng, model.network, 7, 40, max_count=2)
    assert_equal(
        model,
        stimulus,
        int(rng.integers(1, 17)),
        idle=float(rng.choice([0, 0.3])),
        backpressure=float(rng.choice([0, 0.3])),
    )


def test_extreme_weights_and_saturation_at_a_cap() -> None:
    """Weights at both ends of int8, a capped membrane: the RTL saturates where golden does, after
    the whole sum.
    """
    rng = np.random.default_rng(7)
    trained = random_trained(rng, feed_forward([10, 9, 5], Lif(decay=1.0), Lif(decay=0.5)), steps=7)
    model = quantize(trained, 8, membrane_cap=9)
    weights = {
        n: dataclasses.replace(p, weight=np.where(rng.random(p.weight.shape) < 0.5, -128, 127))
        for n, p in model.projections.items()
    }
    wide = {
        n: dataclasses.replace(p, accumulator=type(p.accumulator)(12), current=type(p.current)(16))
        for n, p in model.populations.items()
    }
    extreme = dataclasses.replace(model, projections=weights, populations=wide)
    stimulus = random_stimulus(rng, model.network, 7, 20)
    membranes = run_golden(extreme, stimulus).states["v.hidden1"]
    assert membranes.min() == extreme.populations["hidden1"].membrane.min  # it does saturate
    assert_equal(extreme, stimulus, 4)


def test_a_wrong_weight_is_found_and_drawn(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    model = quantize(random_trained(rng, feed_forward([8, 6, 3], Lif(decay=0.5)), steps=5), 8)
    stimulus = random_stimulus(rng, model.network, 5, 30)
    projections = dict(model.projections)
    weight = projections["input_to_hidden1"].weight.copy()
    weight[2, 5] = -weight[2, 5] if weight[2, 5] else 100
    projections["input_to_hidden1"] = dataclasses.replace(
        projections["input_to_hidden1"], weight=weight
    )
    emit(dataclasses.replace(model, projections=projections), lanes=4).write(tmp_path / "rtl")
    result = verify(tmp_path / "rtl", model, stimulus, states=True, optimize=False)
    assert result.mismatches > 0
    assert (
        result.first_mismatch is not None
        and "population 'hidden1', neuron 2, sample" in result.first_mismatch
    )
    assert "expected" in result.first_mismatch and "got" in result.first_mismatch
    assert result.waveform is not None
    reader = pylibfst.lib.fstReaderOpen(result.waveform.encode())  # GTKWave's own reader
    assert pylibfst.lib.fstReaderGetVarCount(reader) > 100
    assert pylibfst.lib.fstReaderGetEndTime(reader) > 50
    pylibfst.lib.fstReaderClose(reader)
    good = tmp_path / "good"
    emit(model, lanes=4).write(good)
    assert verify(good, model, stimulus, states=True, optimize=False).mismatches == 0


def test_lanes_are_kept_busy_while_events_wait(tmp_path: Path) -> None:
    """Synaptic operations per clock within 20 % of LANES while events wait."""
    rng = np.random.default_rng(9)
    model = quantize(random_trained(rng, feed_forward([40, 64, 10], Lif(decay=0.5)), steps=6), 4)
    emit(model, lanes=16).write(tmp_path / "rtl")
    stimulus = (rng.random((6, 20, 40)) < 0.5).astype(np.uint8)
    result = verify(tmp_path / "rtl", model, stimulus, optimize=False)
    assert result.mismatches == 0
    assert 0.8 * 16 <= result.synaptic_operations_per_cycle <= 16
    assert result.synaptic_operations["input_to_hidden1"] == int(stimulus.sum()) * 64
