"""Scores without a trace equal those of the specification's trace."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurohw import Integrator, infer, quantize, run_golden
from neurohw.errors import InvalidData, InvalidModel
from neurohw.golden import inference
from neurohw.readout import READOUTS, scores
from tests.random_networks import random_graph, random_stimulus, random_trained


def case(seed: int, samples: int = 5) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    model = quantize(random_trained(rng, random_graph(rng), 12), int(rng.integers(2, 9)), max_count=2)
    return model, random_stimulus(rng, model.network, 12, samples, 2)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_scores_are_those_of_the_golden_trace(seed: int) -> None:
    model, spikes = case(seed)
    readouts = ("membrane",) if isinstance(model.network.output.neuron, Integrator) else READOUTS
    trace = run_golden(model, spikes)
    for readout in readouts:
        actual = infer(model, spikes, readout)
        assert actual.dtype == np.int64 and np.array_equal(actual, scores(trace, model.network, readout))
    assert np.array_equal(infer(model, spikes), scores(trace, model.network))


def test_any_layout_and_a_file_larger_than_a_chunk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(inference, "CHUNK", 3)
    model, spikes = case(4, samples=11)
    expected = scores(run_golden(model, spikes), model.network)
    spikes.tofile(tmp_path / "spikes")
    mapped = np.memmap(tmp_path / "spikes", np.uint8, "r", shape=spikes.shape)
    turned = np.ascontiguousarray(spikes.transpose(2, 1, 0)).transpose(2, 1, 0)
    by_sample = np.ascontiguousarray(spikes.transpose(1, 0, 2)).transpose(1, 0, 2)
    for view in (mapped, turned, by_sample, spikes[:, ::-1][:, ::-1], spikes.astype(float)):
        assert np.array_equal(infer(model, view), expected)
    assert np.array_equal(infer(model, spikes[:, ::-2]), expected[::-2])


def test_counts_beyond_the_proof_are_checked_sum_by_sum() -> None:
    model, spikes = case(4)
    assert int(spikes.max()) == 2 == model.max_count
    many = np.zeros_like(spikes)
    many[2, 1, 0] = 3  # alone, so that every sum has room
    assert np.array_equal(infer(model, many), scores(run_golden(model, many), model.network))


def test_what_is_wrong_is_named() -> None:
    model, spikes = case(4)
    with pytest.raises(InvalidData, match="stimulus has shape"):
        infer(model, spikes[..., :-1])
    with pytest.raises(InvalidModel, match="unknown readout"):
        infer(model, spikes, "loudest")  # type: ignore[arg-type]
