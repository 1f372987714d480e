# SPDX-License-Identifier: Apache-2.0
"""Saturations in the registers of the RTL, against a count from outside the golden model's step;
and what the widths are proved for.
"""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from neurohw import Integrator, Lif, TrainedNetwork, feed_forward, quantize, run_golden
from neurohw.errors import InvalidData
from neurohw.fixedpoint import IntFormat
from neurohw.hardware.generate import emit
from neurohw.hardware.verify import comparison, verify
from neurohw.hardware.verify.harness import build_harness, run_harness
from neurohw.integers import QuantizedNetwork
from neurohw.neurons import Adaptation
from tests.random_networks import random_trained
from tests.saturations import saturations

pytestmark = pytest.mark.rtl


def narrow(model: QuantizedNetwork, membrane: int) -> QuantizedNetwork:
    """The same model with membranes of fewer bits than it needs, and synaptic currents that just
    hold the input of one step.
    """
    populations = {}
    for name, p in model.populations.items():
        into = [model.projections[q.name] for q in model.network.into(name)]
        drive = sum(int(np.abs(q.weight).sum(axis=1).max()) << q.exponent for q in into) + int(
            np.abs(p.bias).max()
        )
        v, c = IntFormat(min(membrane, p.membrane.bits)), IntFormat.holding(-drive, drive)
        strength = None if p.adaptation_strength is None else v.saturate(p.adaptation_strength)
        populations[name] = dataclasses.replace(
            p,
            membrane=v,
            current=c,
            capped=True,
            threshold=v.saturate(p.threshold),
            v_reset=v.saturate(p.v_reset),
            adaptation_strength=strength,
        )
    return dataclasses.replace(model, populations=populations)


CASES = {
    "membrane": (Lif(1.0, reset="none"), 7),
    "current": (Lif(0.5, synapse_decay=1.0), 24),
    "adaptation": (Lif(0.5, adaptation=Adaptation(0.9, 8.0)), 14),
    "all, refractory": (
        Lif(0.9, synapse_decay=0.9, refractory=2, adaptation=Adaptation(1.0, 0.5)),
        8,
    ),
}


def saturating(case: str) -> tuple[QuantizedNetwork, np.ndarray]:
    """Two populations, one of them no multiple of the update lanes, and a stimulus that drives them
    to the ends of their formats.
    """
    neuron, membrane = CASES[case]
    rng = np.random.default_rng(11)
    trained = random_trained(rng, feed_forward([10, 9, 5], neuron, Integrator(1.0)), 12)
    model = narrow(quantize(trained, 6), membrane)
    return model, (rng.random((12, 6, 10)) < 0.7).astype(np.uint8)


@pytest.mark.parametrize("case", CASES)
def test_registers_count_as_golden_saturates(case: str, tmp_path: Path) -> None:
    """Pauses at both ends change nothing."""
    model, stimulus = saturating(case)
    expected = saturations(model, stimulus)
    assert expected["hidden1"] > 0
    emit(model, 4).write(tmp_path / "rtl")
    program = build_harness(tmp_path / "rtl", tmp_path / "sim", optimize=False)
    for pauses in ({}, {"idle": 0.3, "backpressure": 0.4}):
        result = run_harness(program, tmp_path / "rtl", stimulus, **pauses)
        assert result.saturations == expected
        assert result.counters["status"] == 2 and result.counters["invalid_events"] == 0


def steady() -> QuantizedNetwork:
    """One input with weights of +1 and -1 on a readout that never forgets, quantized for 10
    steps.
    """
    network = feed_forward([1, 2], output=Integrator(1.0))
    arrays = {"input_to_output.weight": np.array([[1.0], [-1.0]]), "output.bias": np.zeros(2)}
    return quantize(TrainedNetwork(network, arrays, 10), 4)


def test_a_longer_stimulus_is_refused_or_allowed_by_name_and_counted(tmp_path: Path) -> None:
    """10 steps are proved; after 640 the score has long been clipped, and its register says how
    often.
    """
    model, spikes = steady(), np.ones((640, 1, 1), np.uint8)
    emit(model, 2).write(tmp_path / "rtl")
    with pytest.raises(InvalidData, match=r"640 steps.*proved for 10.*beyond_proof"):
        verify(tmp_path / "rtl", model, spikes, jobs=1, optimize=False)
    short = verify(tmp_path / "rtl", model, spikes[:10], jobs=1, optimize=False)
    assert short.saturations == {"output": 0} and short.mismatches == 0
    result = verify(tmp_path / "rtl", model, spikes, jobs=1, optimize=False, beyond_proof=True)
    assert result.proved_steps == 10 and result.mismatches == 0
    # a weight of +-7 a step in a membrane of n bits: each of the two neurons saturates from the
    # step on that would exceed it
    limits, step = (
        model.populations["output"].membrane,
        int(model.projections["input_to_output"].weight.max()),
    )
    step <<= model.projections["input_to_output"].exponent
    expected = (640 - limits.max // step) + (640 - (-limits.min) // step)
    assert result.saturations == {"output": expected} and expected > 1000
    assert result.scores.tolist() == [[limits.max, limits.min]]
    with pytest.raises(InvalidData, match=r"a count of 2.*proved for 1.*max_count"):
        verify(tmp_path / "rtl", model, 2 * spikes[:10], jobs=1)


def test_a_counter_that_differs_from_goldens_is_a_mismatch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The golden model's own count, where it has one, is compared for every population."""
    model = steady()
    emit(model, 2).write(tmp_path / "rtl")
    spikes = np.ones((640, 1, 1), np.uint8)
    counted = saturations(model, spikes)

    for extra in (0, 1):

        def golden(
            model: QuantizedNetwork, part: np.ndarray, *_: object, extra: int = extra, **__: object
        ) -> object:
            trace = run_golden(model, part, beyond_proof=True)
            object.__setattr__(trace, "saturations", {"output": counted["output"] + extra})
            return trace

        monkeypatch.setattr(comparison, "run_native", golden)
        result = verify(tmp_path / "rtl", model, spikes, jobs=1, optimize=False, beyond_proof=True)
        assert result.mismatches == extra
    expected, got = counted["output"] + 1, counted["output"]
    assert result.first_mismatch is not None
    assert (
        f"saturations of population 'output', samples of one process: expected {expected}, "
        f"got {got}"
    ) in result.first_mismatch


def test_the_manifest_says_what_is_proved() -> None:
    rng = np.random.default_rng(4)
    trained = random_trained(rng, feed_forward([6, 5, 3], Lif(1.0)), 9)
    for cap in (None, 8):
        model = quantize(trained, 8, max_count=3, membrane_cap=cap)
        package = emit(model, 2)
        assert (package.steps(), package.max_count()) == (9, 3)
        assert [layer["capped"] for layer in package.layers()] == [
            p.capped for p in model.populations.values()
        ]
    assert any(p.capped for p in model.populations.values())
