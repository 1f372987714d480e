# SPDX-License-Identifier: Apache-2.0
"""Initialisation and encoding: against the specification sample by sample, and however they are cut
and shared out.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neurohw import TrainedNetwork
from neurohw.errors import BrokenFile, CannotWrite, InvalidData
from neurohw.plasticity import (
    Bernoulli,
    Events,
    Plasticity,
    encode,
    initialise,
    run_plastic_reference,
    spikes_of,
)
from neurohw.plasticity import protocol as protocol_module
from neurohw.plasticity.native import PlasticKernel
from neurohw.stimulus import Spikes
from tests.plasticity.random_plastic import random_plastic


def example(seed: int = 0, samples: int = 7) -> tuple[TrainedNetwork, Plasticity, Bernoulli]:
    """A random plastic network that fires, and spikes for it."""
    rng = np.random.default_rng(seed)
    while True:
        trained, plasticity = random_plastic(rng)
        stimulus = Bernoulli(
            (rng.random((samples, trained.network.input.size)) * 0.6).astype(np.float32), 9, 1
        )
        if (
            len(plasticity.projections) == 2
            and encode(trained, plasticity, stimulus, 20).sum() > 50
        ):
            return trained, plasticity, stimulus


def test_the_kernel_draws_the_spikes_of_the_definition() -> None:
    rng = np.random.default_rng(1)
    trained, plasticity, _ = example()
    for refractory in (0, 1, 2):
        rates = (
            rng.random((6, trained.network.input.size))
            * rng.choice([0, 1], trained.network.input.size)
        ).astype(np.float32)
        rates[0, 0] = 1.0
        stimulus = Bernoulli(rates, 2**63 + 5, refractory)
        got = (
            PlasticKernel(trained, plasticity)
            .run(stimulus, 40, 1, 5, record=("input_spikes",))
            .input_spikes
        )
        assert got is not None and np.array_equal(got.transpose(1, 0, 2), stimulus.spikes(40, 1, 5))


def test_initialise_is_the_specification_sample_after_sample() -> None:
    trained, plasticity, stimulus = example()
    spikes, expected = stimulus.spikes(15), trained
    for sample in range(stimulus.samples):
        weights = run_plastic_reference(expected, plasticity, spikes[:, sample]).weights
        expected = replace(
            expected,
            parameters={**expected.parameters, **{f"{n}.weight": w for n, w in weights.items()}},
        )
    got = initialise(trained, plasticity, stimulus, 15)
    assert all(np.array_equal(got.parameters[n], a) for n, a in expected.parameters.items())
    assert any(np.any(got.parameters[n] != a) for n, a in trained.parameters.items())
    assert got.parent == trained.digest()


def test_encode_is_the_specification_from_the_same_weights() -> None:
    trained, plasticity, stimulus = example()
    spikes, fading = stimulus.spikes(25), replace(plasticity, fading=0.9)
    expected = [
        run_plastic_reference(trained, fading, spikes[:, k]).trace.spikes["liquid"].sum(axis=0)[0]
        for k in range(stimulus.samples)
    ]
    counts = encode(trained, plasticity, stimulus, 25, fading=0.9)
    assert counts.dtype == np.uint16 and np.array_equal(counts, expected)
    assert np.array_equal(
        counts, encode(trained, plasticity, Events.of_spikes(Spikes(spikes)), 25, fading=0.9)
    )
    assert np.array_equal(
        spikes_of(trained, plasticity, stimulus, 3, 25, 0.9).sum(axis=0), counts[:3]
    )
    still = encode(trained, None, stimulus, 25)
    frozen = replace(plasticity, projections=())
    assert np.array_equal(still, encode(trained, frozen, stimulus, 25)) and not np.array_equal(
        still, counts
    )


def test_threads_and_batches_do_not_change_results(monkeypatch: pytest.MonkeyPatch) -> None:
    trained, plasticity, stimulus = example(3, 11)
    counts, weights = (
        encode(trained, plasticity, stimulus, 30, threads=1),
        initialise(trained, plasticity, stimulus).parameters,
    )
    monkeypatch.setattr(protocol_module, "BATCH", 4)
    for threads in (1, 2, 5):
        assert np.array_equal(encode(trained, plasticity, stimulus, 30, threads=threads), counts)
    again = initialise(trained, plasticity, stimulus).parameters
    assert all(np.array_equal(again[n], a) for n, a in weights.items())


def test_an_interrupted_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol_module, "BATCH", 2)
    trained, plasticity, stimulus = example(4, 9)
    seen: list[int] = []

    def stop(done: int, total: int) -> None:
        seen.append(done)
        if done == 4:
            raise KeyboardInterrupt

    def follow(done: int, total: int) -> None:
        seen.append(done)

    weights, counts = (
        initialise(trained, plasticity, stimulus).parameters,
        encode(trained, plasticity, stimulus, 30),
    )
    for k, run in enumerate(
        (
            lambda p: initialise(
                trained, plasticity, stimulus, 20, tmp_path / "a", 0, p
            ).parameters,
            lambda p: encode(trained, plasticity, stimulus, 30, 0.99, tmp_path / "b", 0, p),
        )
    ):
        with pytest.raises(KeyboardInterrupt):
            run(stop)
        got = run(follow)
        assert seen == [2, 4, 6, 8, 9], (
            "the second run begins after the samples that the first one finished"
        )
        assert (
            np.array_equal(got, counts)
            if k
            else all(np.array_equal(got[n], a) for n, a in weights.items())
        )
        seen.clear()
        run(follow)
        assert not seen, "a finished run is not repeated"
        seen.clear()
    # a checkpoint of another run is not used
    other = encode(trained, plasticity, replace(stimulus, seed=10), 30, checkpoint=tmp_path / "b")
    assert not np.array_equal(other, counts)
    (tmp_path / "b" / "arrays.safetensors").write_bytes(b"broken")
    with pytest.raises(BrokenFile, match="b: truncated or unreadable"):
        encode(trained, plasticity, stimulus, 30, checkpoint=tmp_path / "b")


def test_stimuli_that_do_not_fit_are_named() -> None:
    trained, plasticity, stimulus = example()
    with pytest.raises(InvalidData, match=r"the stimulus has 99 inputs, population 'input' has"):
        encode(trained, plasticity, Bernoulli(np.zeros((2, 99), np.float32), 0))
    with pytest.raises(InvalidData, match="1 to 65535 steps, not 70000"):
        encode(trained, plasticity, stimulus, 70000)
    with pytest.raises(InvalidData, match="holds 7 samples, not 8"):
        spikes_of(trained, plasticity, stimulus, 8)
    with pytest.raises(InvalidData, match="samples 3 to 3"):
        PlasticKernel(trained, plasticity).run(stimulus, 5, 3, 3)


def test_a_checkpoint_does_not_replace_a_folder_of_the_user(tmp_path: Path) -> None:
    """Told before the first sample is heard."""
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(CannotWrite, match=r"it holds thesis\.tex"):
        protocol_module._run(
            1, "identity", tmp_path, 0.0, None, {}, lambda *_: pytest.fail("the work began")
        )
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
