# SPDX-License-Identifier: Apache-2.0
"""How many samples a crosscheck compares is said, and never fewer than asked for without a word."""

import sys
from pathlib import Path

import numpy as np
import pytest

from neurohw import Lif, cli, feed_forward, quantize, save
from neurohw.errors import InvalidData
from neurohw.flow import RunFolder
from neurohw.flow.check import crosscheck_saved
from tests.flow.common import Tools
from tests.random_networks import random_stimulus, random_trained

ENGINES = ["golden", "native"]


def compared(path: Path, samples: int | None, spikes: Path | None = None) -> tuple[int, int | None]:
    result = crosscheck_saved(
        path, ENGINES, samples, spikes, path / "mismatch.svg", lambda *_: None
    )
    return result.samples, result.samples_there


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tools = Tools(monkeypatch)
    monkeypatch.setattr("neurohw.flow.check.crosscheck", tools.crosscheck)
    rng = np.random.default_rng(2)
    trained = random_trained(rng, feed_forward([6, 5, 3], Lif(0.5)), 15, dyadic=True)
    save(quantize(trained, 5), tmp_path / "model")
    spikes = random_stimulus(rng, trained.network, 15, 100)
    np.savez(tmp_path / "many.npz", spikes=spikes.transpose(1, 0, 2))
    return tmp_path / "model"


def test_all_samples_of_a_file(model: Path) -> None:
    spikes = model.parent / "many.npz"
    assert compared(model, None, spikes) == (100, 100)
    assert compared(model, 7, spikes) == (7, 100)
    assert compared(model, 99999, spikes) == (100, 100)


def test_test_samples_of_a_run(
    copied: RunFolder, monkeypatch: pytest.MonkeyPatch, tools: Tools
) -> None:
    monkeypatch.setattr("neurohw.flow.check.crosscheck", tools.crosscheck)
    assert compared(copied.path, None) == (3, 450)
    assert compared(copied.path, 99999) == (450, 450)


def test_random_spikes_are_as_many_as_asked_for(model: Path) -> None:
    assert compared(model, None) == (3, 3) and compared(model, 11) == (11, 11)
    with pytest.raises(
        InvalidData, match="9,000,000,000 numbers, at most 67,108,864 are made: ask for fewer"
    ):
        compared(model, 10**8)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "compared 100 of 100 samples"),
        (("--samples", "7"), "compared 7 of 100 samples"),
        (
            ("--samples", "99999"),
            "compared 100 of 100 samples; 99,999 were asked for, more are not there",
        ),
    ],
)
def test_the_command_says_it(
    model: Path,
    options: tuple[str, ...],
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        sys,
        "argv",
        ["neurohw", "crosscheck", str(model), "--input", str(model.parent / "many.npz"), *options],
    )
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0 and capsys.readouterr().out.splitlines()[-1].strip() == words


def test_options_of_a_run_are_not_dropped(
    copied: RunFolder,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tools: Tools,
) -> None:
    """`crosscheck --run RUN --samples 99999` used to repeat the stage, which compares 3."""
    monkeypatch.setattr("neurohw.flow.check.crosscheck", tools.crosscheck)
    monkeypatch.setattr(
        sys, "argv", ["neurohw", "crosscheck", "--run", str(copied.path), "--samples", "99999"]
    )
    with pytest.raises(SystemExit):
        cli.main()
    assert "compared 450 of 450 samples; 99,999 were asked for" in capsys.readouterr().out


def test_a_model_of_another_training_is_not_compared(copied: RunFolder, tools: Tools) -> None:
    from neurohw.flow import run_stages
    from tests.flow.common import quiet

    run_stages(RunFolder.start(copied.path, None, bits=4), ("train",), quiet)
    with pytest.raises(InvalidData, match="run `neurohw quantize"):
        compared(copied.path, 3)
