# SPDX-License-Identifier: Apache-2.0
"""Crosschecks: agreement, a first mismatch in words and as a picture, and engines that refuse,
crash or hang.
"""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from neurohw import Lif, TrainedNetwork, feed_forward, quantize, run_golden, run_reference, save
from neurohw.crosscheck import CrosscheckResult, EngineRun, compare, crosscheck
from neurohw.engines import ENGINES, Engine
from neurohw.errors import InvalidData
from neurohw.flow.check import crosscheck_saved, draw_mismatch, first_words
from tests.random_networks import random_stimulus, random_trained


def models() -> tuple[TrainedNetwork, np.ndarray]:
    rng = np.random.default_rng(3)
    trained = random_trained(rng, feed_forward([10, 8, 4], Lif(0.5)), 20, dyadic=True)
    return trained, random_stimulus(rng, trained.network, 20, 3)


@pytest.mark.slow
def test_engines_agree_pair_by_pair() -> None:
    trained, spikes = models()
    seen: list[str] = []
    result = crosscheck(
        [trained, quantize(trained, 6)],
        list(ENGINES),
        spikes,
        lambda text, _: seen.append(text),
        timeout=300,
    )
    assert result.agrees and (result.samples, result.steps) == (3, 20)
    assert [r.status for r in result.runs] == ["ran"] * 8 and len(seen) == 8
    kinds = [p.kind for p in result.pairs]
    assert kinds.count("float") == 3 and kinds.count("integer") == 10
    assert all(
        p.mismatches == 0 and p.spikes_compared == 20 * 3 * 22 and p.states_compared
        for p in result.pairs
    )
    assert all(p.largest_difference <= 1e-9 for p in result.pairs)
    [lava] = [r for r in result.runs if r.engine == "lava"]
    assert lava.offsets == {"input": 0, "hidden1": 1, "output": 2}
    assert json.loads(json.dumps(result.to_json()))["agrees"]


def test_a_difference_is_told_in_words_and_drawn() -> None:
    trained, spikes = models()
    right = run_reference(trained, spikes)
    other = run_reference(trained, spikes)
    assert compare("float", "a", "b", right, other).agrees
    when, sample, neuron = (int(i[0]) for i in np.nonzero(right.spikes["hidden1"]))
    changed = {**right.spikes, "hidden1": right.spikes["hidden1"].copy()}
    changed["hidden1"][when, sample, neuron] = 0
    wrong = dataclasses.replace(right, spikes=changed)
    pair = compare("float", "torch", "brian2", right, wrong)
    assert not pair.agrees and pair.mismatches == 1
    assert pair.first_mismatch is not None
    for word in ("hidden1", f"neuron {neuron}", f"step {when}", "torch says 1", "brian2 says 0"):
        assert word in pair.first_mismatch
    result = CrosscheckResult(3, 20, (EngineRun("torch", "float", "ran"),), (pair,), (right, wrong))
    assert not result.agrees and "torch and brian2, 1 of" in first_words(result)
    picture = draw_mismatch(result)
    assert (
        picture.startswith("<svg") and "first mismatch: hidden1" in picture and "torch" in picture
    )


def test_membranes_that_drift_apart_are_a_difference() -> None:
    trained, spikes = models()
    right = run_reference(trained, spikes)
    drifted = dataclasses.replace(
        right, states={**right.states, "v.output": right.states["v.output"] + 1e-6}
    )
    pair = compare("float", "a", "b", right, drifted)
    assert pair.mismatches == 0 and not pair.agrees and 0.9e-6 < pair.largest_difference < 1.1e-6
    golden = run_golden(quantize(trained, 4), spikes)
    shifted = dataclasses.replace(
        golden, states={**golden.states, "c.output": golden.states["c.output"] + 1}
    )
    assert "synaptic current" in str(compare("integer", "a", "b", golden, shifted).first_mismatch)


def test_engines_that_refuse_hang_or_crash_are_lines_of_the_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trained, spikes = models()
    model = quantize(trained, 4)
    wide = dataclasses.replace(
        model,
        populations={
            n: dataclasses.replace(p, membrane=type(p.membrane)(30))
            for n, p in model.populations.items()
        },
    )
    result = crosscheck([wide], ["golden", "native", "lava"], spikes)
    [lava] = [r for r in result.runs if r.engine == "lava"]
    assert lava.status == "refused" and "30 bits" in lava.reason and result.agrees
    result = crosscheck([model], ["golden", "native"], spikes, timeout=0.05)
    assert [r.status for r in result.runs] == ["failed"] * 2 and "no result after" in result.runs[
        0
    ].reason
    assert not result.agrees and "failed" in first_words(result)
    # known here, unknown to the process that runs it
    monkeypatch.setitem(
        ENGINES, "strange", Engine("strange", ("integer",), "neurohw.engines.golden", "")
    )
    result = crosscheck([model], ["golden", "strange"], spikes)
    assert result.runs[1].status == "refused" and "no engine 'strange'" in result.runs[1].reason


def test_nothing_to_compare_is_an_error() -> None:
    trained, spikes = models()
    with pytest.raises(InvalidData, match="nothing to compare"):
        crosscheck([trained], ["reference"], spikes)


def test_a_saved_model_is_crosschecked_on_random_or_given_spikes(tmp_path: Path) -> None:
    trained, spikes = models()
    save(trained, tmp_path / "model")
    engines, picture = ["reference", "brian2"], tmp_path / "mismatch.svg"
    result = crosscheck_saved(tmp_path / "model", engines, 2, None, picture, lambda *_: None)
    assert result.agrees and result.samples == 2 and not picture.exists()
    np.savez(tmp_path / "in.npz", spikes=spikes.transpose(1, 0, 2))
    result = crosscheck_saved(
        tmp_path / "model", engines, 3, tmp_path / "in.npz", picture, lambda *_: None
    )
    assert (result.samples, result.steps) == (3, 20)
    with pytest.raises(InvalidData, match="samples must be at least 1"):
        crosscheck_saved(tmp_path / "model", engines, 0, None, picture, lambda *_: None)
