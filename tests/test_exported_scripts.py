# SPDX-License-Identifier: Apache-2.0
"""Exported scripts read files as `neurohw run` does, and replace nothing that was not named."""

import importlib.util
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pytest
from numpy.typing import NDArray

from neurohw import (
    Integrator,
    Lif,
    Spikes,
    TrainedNetwork,
    feed_forward,
    quantize,
    run_golden,
    run_reference,
)
from neurohw.errors import InvalidData
from neurohw.export_model import export_model
from neurohw.run_model import load_spikes
from neurohw.spike_files import SOURCE, write_trace
from tests.random_networks import random_stimulus, random_trained

STEPS, SAMPLES, INPUTS = 7, 3, 6
AXES = ("sample time neuron", "time sample neuron")
needs_lava = pytest.mark.skipif(importlib.util.find_spec("lava") is None, reason="needs lava-nc")
TOOLS = ["snntorch", "brian2", pytest.param("lava", marks=needs_lava)]


def network(steps: int = STEPS) -> TrainedNetwork:
    rng = np.random.default_rng(2)
    neuron = Lif(0.75, 1.0, "hard", strict=True, delayed_reset=True)
    chain = feed_forward([INPUTS, 8, 4], neuron, Integrator(0.5))
    return random_trained(rng, chain, steps, dyadic=True)


def exported(tool: str, folder: Path) -> Any:
    """The model that the script is of."""
    model: Any = network()
    if tool == "lava":
        model = quantize(model, 8, max_count=1)
    export_model(model, tool, folder / "net.py")
    return model


def start(folder: Path, *arguments: str) -> Any:
    """The script with neither this package nor the current folder on its path, where it can."""
    text = (folder / "net.py").read_text()
    alone = "from neurohw" not in text and "lava" not in text
    command = ["-I", "net.py"] if alone else ["-m", "neurohw.engines.lava.compat", "net.py"]
    return subprocess.run(
        [sys.executable, *command, *arguments], cwd=folder, capture_output=True, text=True
    )


def files(spikes: Any, folder: Path) -> None:
    """The same spikes [time, sample, neuron] in files of both orders, and without a word."""
    by_sample = spikes.transpose(1, 0, 2)
    np.savez(folder / "time.npz", spikes=spikes, axes=AXES[1])
    np.savez(folder / "sample.npz", spikes=by_sample, axes=AXES[0])
    np.savez(folder / "bare.npz", spikes=by_sample)
    np.savez(folder / "one.npz", spikes=by_sample[0])
    np.savez(folder / "exchanged.npz", spikes=spikes)
    np.savez(folder / "other.npz", spikes=by_sample, axes="neuron time sample")
    np.savez(folder / "narrow.npz", spikes=by_sample[..., :-1])
    np.savez(folder / "half.npz", spikes=by_sample * 0.5)
    (folder / "text.npz").write_text("no spikes")


REFUSED = {
    "exchanged": "so that time and sample may be exchanged",
    "other": "axes is one of 'sample time neuron'",
    "narrow": "5 neurons, the input of the model has 6",
    "half": "stimulus must hold whole counts",
    "text": "is no .npz of NumPy",
    "gone": "there is no such file of spikes",
}
IN_SCRIPTS = ("exchanged", "half", "text")  # which hold the same text


@pytest.mark.parametrize("tool", TOOLS)
def test_a_script_reads_the_axes_that_a_file_says(tool: str, tmp_path: Path) -> None:
    model = exported(tool, tmp_path)
    spikes = random_stimulus(np.random.default_rng(3), model.network, STEPS, SAMPLES, 1)
    files(spikes, tmp_path)
    run = run_golden if tool == "lava" else run_reference
    expected = run(model, Spikes.time_first(spikes)).spikes["hidden1"]
    assert expected.sum() > 20
    for name in ("time", "bare") if tool == "lava" else ("time", "sample", "bare"):
        done = start(tmp_path, "--input", f"{name}.npz", "--out", f"{name}-out.npz")
        assert done.returncode == 0, done.stderr[-2000:]
        with np.load(tmp_path / f"{name}-out.npz") as out:
            assert np.array_equal(out["spikes.hidden1"].transpose(1, 0, 2), expected), name


@pytest.mark.parametrize("tool", TOOLS)
def test_a_script_refuses_what_run_refuses(tool: str, tmp_path: Path) -> None:
    model = exported(tool, tmp_path)
    files(random_stimulus(np.random.default_rng(3), model.network, STEPS, SAMPLES, 1), tmp_path)
    for name, message in REFUSED.items():
        with pytest.raises(InvalidData, match=message):
            load_spikes(tmp_path / f"{name}.npz", model)
        if name not in IN_SCRIPTS:
            continue
        done = start(tmp_path, "--input", f"{name}.npz", "--out", "out.npz")
        assert done.returncode == 2 and message in done.stderr, done.stderr[-2000:]
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize("tool", TOOLS)
def test_a_script_replaces_a_link_and_not_what_is_behind_it(tool: str, tmp_path: Path) -> None:
    model = exported(tool, tmp_path)
    files(random_stimulus(np.random.default_rng(3), model.network, STEPS, SAMPLES, 1), tmp_path)
    (tmp_path / "precious.txt").write_text("precious")
    (tmp_path / "link.npz").symlink_to("precious.txt")
    (tmp_path / "dangling.npz").symlink_to("nothing")
    (tmp_path / "folder").mkdir()
    common = ("--input", "one.npz", "--out")
    for name in ("link.npz", "dangling.npz"):
        done = start(tmp_path, *common, name)
        assert done.returncode == 2 and f"{name} is there" in done.stderr, done.stderr[-2000:]
    done = start(tmp_path, *common, "missing/out.npz")
    assert done.returncode == 2 and "its folder is not there" in done.stderr
    for name in ("link.npz", "dangling.npz"):
        done = start(tmp_path, *common, name, "--force")
        assert done.returncode == 0, done.stderr[-2000:]
        assert not (tmp_path / name).is_symlink()
        with np.load(tmp_path / name) as out:
            assert out["spikes.hidden1"].shape == (STEPS, 8)
    done = start(tmp_path, *common, "folder", "--force")
    assert done.returncode == 2 and "folder is no file: name another place" in done.stderr
    assert (tmp_path / "precious.txt").read_text() == "precious"
    assert not (tmp_path / "nothing").exists()
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_trace_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text of the scripts, run as a script runs it."""
    names: dict[str, Any] = {"np": np, "os": os, "secrets": secrets, "Path": Path, "Any": Any}
    names |= {"BadZipFile": BadZipFile, "NDArray": NDArray}
    exec(SOURCE, names)
    write, refusal = names["write_trace"], names["InvalidData"]
    out, arrays = tmp_path / "out.npz", {"a": np.arange(3)}
    write(out, arrays, False)
    before = out.read_bytes()

    def fails(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez_compressed", fails)
        with pytest.raises(refusal, match="out.npz: cannot be written .*No space left"):
            write(out, arrays, True)
    assert out.read_bytes() == before and list(tmp_path.iterdir()) == [out]
    with pytest.raises(refusal, match="out.npz is there"):
        write(out, arrays, False)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(refusal, match="pipe is no file"):
        write(tmp_path / "pipe", arrays, True)
    monkeypatch.setattr(os, "link", fails)  # as a file system without hard links does
    write(tmp_path / "second.npz", arrays, False)
    assert (tmp_path / "second.npz").is_file() and not list(tmp_path.glob(".*"))


def test_a_hidden_file_of_somebody_else_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A temporary file is removed only by who made it, even where the random names meet."""
    monkeypatch.setattr(secrets, "token_hex", lambda _: "01234567")
    theirs = tmp_path / f".out.npz.{os.getpid()}-01234567.tmp"
    theirs.write_text("not ours")
    with pytest.raises(InvalidData, match=r"out\.npz: cannot be written"):
        write_trace(tmp_path / "out.npz", {"a": np.zeros(1)}, force=False)
    assert theirs.read_text() == "not ours" and not (tmp_path / "out.npz").exists()
