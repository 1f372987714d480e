# SPDX-License-Identifier: Apache-2.0
"""Scores without a trace equal those of the specification's trace."""

import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurohw import Integrator, Lif, feed_forward, infer, quantize, run_golden
from neurohw.errors import InvalidData, InvalidModel
from neurohw.golden import inference
from neurohw.model_files import save
from neurohw.readout import READOUTS, scores
from tests.random_networks import random_graph, random_stimulus, random_trained


def case(seed: int, samples: int = 5) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    model = quantize(
        random_trained(rng, random_graph(rng), 12), int(rng.integers(2, 9)), max_count=2
    )
    return model, random_stimulus(rng, model.network, 12, samples, 2)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_scores_are_those_of_the_golden_trace(seed: int) -> None:
    model, spikes = case(seed)
    readouts = ("membrane",) if isinstance(model.network.output.neuron, Integrator) else READOUTS
    trace = run_golden(model, spikes)
    for readout in readouts:
        actual = infer(model, spikes, readout)
        assert actual.dtype == np.int64 and np.array_equal(
            actual, scores(trace, model.network, readout)
        )
    assert np.array_equal(infer(model, spikes), scores(trace, model.network))


def test_any_layout_and_a_file_larger_than_a_chunk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
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


def test_the_stimulus_is_not_copied() -> None:
    rng = np.random.default_rng(6)
    model = quantize(
        random_trained(rng, feed_forward([750, 20, 5], Lif(0.5), Integrator(1.0)), 40), 8
    )
    spikes = (rng.random((40, 1000, 750), np.float32) < 0.02).astype(np.uint8)
    infer(model, spikes[:, :1])
    tracemalloc.start()
    try:
        infer(model, spikes, threads=2)
        assert tracemalloc.get_traced_memory()[1] < spikes.nbytes / 20
    finally:
        tracemalloc.stop()


FILE_STEPS, FILE_SAMPLES = 40, 10_000
STREAM = """
import resource, sys
from pathlib import Path
import numpy as np
from neurohw import infer
from neurohw.model_files import load_quantized
from neurohw.golden.native import SOURCE
from neurohw.native_library import compiled
compiled(SOURCE)
model = load_quantized(Path(sys.argv[1]))
mapped = np.memmap(sys.argv[2], np.uint8, "r", shape=tuple(int(n) for n in sys.argv[4:]))
# data, not files
pages = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_DATA, (pages + (128 << 20), resource.RLIM_INFINITY))
np.save(sys.argv[3], infer(model, mapped, threads=2))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_a_file_larger_than_the_memory_is_streamed(tmp_path: Path) -> None:
    """300 MB of stimulus under a limit of 128 MiB for all that is not a mapped file: no part of it
    is copied whole.
    """
    rng = np.random.default_rng(5)
    model = quantize(
        random_trained(rng, feed_forward([750, 20, 5], Lif(0.5), Integrator(1.0)), FILE_STEPS), 8
    )
    save(model, tmp_path / "model")
    few = (rng.random((FILE_STEPS, 10, 750)) < 0.02).astype(np.uint8)
    shape = (FILE_STEPS, FILE_SAMPLES, 750)
    with (tmp_path / "spikes").open("wb") as file:
        for row in few:
            file.write(np.tile(row, (FILE_SAMPLES // 10, 1)).tobytes())
    arguments = [str(tmp_path / n) for n in ("model", "spikes", "scores.npy")] + [
        str(n) for n in shape
    ]
    done = subprocess.run(
        [sys.executable, "-c", STREAM, *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    expected = scores(run_golden(model, few), model.network)
    assert np.array_equal(
        np.load(tmp_path / "scores.npy"), np.tile(expected, (FILE_SAMPLES // 10, 1))
    )


def test_counts_beyond_the_proof_are_checked_sum_by_sum() -> None:
    model, spikes = case(4)
    assert int(spikes.max()) == 2 == model.max_count
    many = np.zeros_like(spikes)
    many[2, 1, 0] = 3  # alone, so that every sum has room
    with pytest.raises(
        InvalidData, match="a count of 3, the widths of this model are proved for 2"
    ):
        infer(model, many)
    golden = run_golden(model, many, beyond_proof=True)
    assert golden.beyond_proof
    assert np.array_equal(infer(model, many, beyond_proof=True), scores(golden, model.network))


def test_what_is_wrong_is_named() -> None:
    model, spikes = case(4)
    with pytest.raises(InvalidData, match="stimulus has shape"):
        infer(model, spikes[..., :-1])
    with pytest.raises(InvalidModel, match="unknown readout"):
        infer(model, spikes, "loudest")  # type: ignore[arg-type]
