# SPDX-License-Identifier: Apache-2.0
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from neurohw import run_reference, save
from neurohw.cli.app import app
from neurohw.errors import CannotWrite, InvalidData, InvalidModel, NeurohwError
from neurohw.flow import RunConfig, RunFolder, run_stages
from neurohw.flow.noise import folder_name, spaced, write_study
from neurohw.memristor import KINDS, device_named, program
from neurohw.noise import Study, monte_carlo
from neurohw.readout import accuracy, scores
from neurohw.report.noise_figures import accuracy_over_time, baselines, curves
from tests.noise.common import experiment, trained_digits

RUN = "--processes 1 --chips 3 --samples 60"


def call(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["noise", *arguments])
    assert result.exit_code == code, result.output
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def judged(model: Path, out: Path, options: str, code: int = 0) -> str:
    """The command for the saved network of the digits."""
    return call(str(model), "--recipe", "digits", "--out", str(out), *options.split(), code=code)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("noise") / "model"
    save(trained_digits()[0], path)
    return path


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A terminal on which tables are not cut."""
    monkeypatch.setattr("neurohw.cli.noise.console._width", 300)
    yield


def test_a_saved_network(model: Path, tmp_path: Path, wide: None) -> None:
    out = tmp_path / "out"
    output = judged(
        model, out, f"--device pcm --device reram_wan:read_fraction=0.02 --times 25s,1d,1y {RUN}"
    )
    results = json.loads((out / "results.json").read_text())
    assert list(results) == ["pcm", "reram_wan-read_fraction=0.02"]
    trained, dataset, encoder = trained_digits()
    chosen = spaced(len(dataset.y_test), 60)
    spikes, labels = encoder.encode(dataset.x_test[chosen]), dataset.y_test[chosen]
    ideal = accuracy(scores(run_reference(trained, spikes), trained.network), labels)
    device = device_named("reram_wan", read_fraction=0.02)
    for seed in range(3):
        trace = program(trained, device, seed).run(spikes, 86400.0)
        expected = accuracy(scores(trace, trained.network), labels)
        assert results["reram_wan-read_fraction=0.02"]["accuracy"][str(seed)][1] == expected
    assert results["pcm"]["ideal"] == {"float": ideal} and results["pcm"]["samples"] == 60
    assert (
        f"{100 * ideal:.2f}" in output
        and "reram_wan-read_fraction=0.02: measured up to 2d; later times are an extrapolation"
        in output
    )
    table = (out / "results.md").read_text()
    assert (
        "| pcm | 3 |" in table
        and "| chips | float | 25s | 1d | 1y |" in table
        and "extrapolation" in table
    )
    lines = (out / "results.csv").read_text().splitlines()
    assert len(lines) == 7 and lines[5].startswith("reram_wan-read_fraction=0.02,86400.0,3,")
    assert (out / "accuracy.svg").read_text().startswith("<svg")


def test_again_does_only_what_is_missing(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neurohw.noise import executors

    done: list[tuple[Any, int]] = []
    real = executors.judge_chip
    monkeypatch.setattr(
        "neurohw.noise.executors.judge_chip", lambda e, s: done.append((e, s)) or real(e, s)
    )  # type: ignore[func-returns-value]
    common = "--times 1h --samples 30 --processes 1 --read-noise none"
    judged(model, tmp_path, f"{common} --chips 2")
    assert [seed for _, seed in done] == [0, 1]
    judged(model, tmp_path, f"{common} --chips 3 --device pcm --device additive")
    assert [seed for _, seed in done[2:]] == [0, 1, 2, 2]
    judged(model, tmp_path, f"{common} --chips 2 --seed 1")
    assert len(done) == 6
    assert list(json.loads((tmp_path / "results.json").read_text())["pcm"]["accuracy"]) == [
        "1",
        "2",
    ]
    with pytest.raises(
        InvalidData,
        match=r"scenario\.compensate is False there, and True now\. Choose another folder",
    ):
        judged(model, tmp_path, f"{common} --compensate", code=1)


def test_every_option_reaches_the_chip(model: Path, tmp_path: Path) -> None:
    judged(
        model,
        tmp_path,
        "--times 1h --samples 20 --processes 1 --chips 1 --adc-bits 6 --dac-bits 5 --levels 16 "
        "--scheme offset_column --scale-per column --tile 32 --stuck-low 0.01 --stuck-high 0.02 "
        "--unformed 0.03 --wire-ohm 2 --exact-wires --compensate --recalibrate columns",
    )
    scenario = json.loads((tmp_path / "results.json").read_text())["pcm"]["experiment"]["scenario"]
    assert scenario == {
        "device": {"kind": "pcm"},
        "mapping": {
            "scheme": "offset_column",
            "scale_per": "column",
            "levels": 16,
            "tile_rows": 32,
            "tile_columns": 32,
        },
        "faults": {"stuck_low": 0.01, "stuck_high": 0.02, "unformed": 0.03},
        "wires": {"segment_ohm": 2.0, "method": "exact"},
        "adc": {"bits": 6, "percentile": 99.9},
        "dac": {"bits": 5, "percentile": 99.9},
        "compensate": True,
        "read_noise": "step",
        "bits": None,
        "recalibrate": "columns",
    }


def test_integers(model: Path, tmp_path: Path) -> None:
    judged(model, tmp_path, f"--times 1h --bits 4 --read-noise read {RUN}")
    assert set(json.loads((tmp_path / "results.json").read_text())["pcm"]["ideal"]) == {
        "float",
        "int4",
    }


def test_a_run_folder(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "digits", RunConfig(epochs=1))
    run_stages(run, ("train",), lambda *_: None)
    options = (
        "--times 1h --read-noise none --device additive:programming_scale=0 --chips 1 --processes 1"
    )
    call(str(run.path), *options.split())
    results = json.loads((run.path / "noise" / "results.json").read_text())[
        "additive-programming_scale=0"
    ]
    expected = run.need("train")["float_accuracy"]
    assert results["ideal"] == {"float": expected} and results["accuracy"] == {"0": [expected]}
    assert results["samples"] == run.need("train")["test_samples"]


def test_mistakes_say_what_to_do(model: Path, tmp_path: Path) -> None:
    name, out = str(model), ("--out", str(tmp_path / "out"))
    mistakes: dict[str, tuple[type[NeurohwError], list[str]]] = {
        "unknown device 'flash': known are pcm, hermes_two": (
            InvalidModel,
            ["--recipe", "digits", "--device", "flash"],
        ),
        "name what it was trained for with --recipe": (InvalidData, []),
        "unknown recipe 'cifar'": (InvalidModel, ["--recipe", "cifar"]),
        "recipe 'mnist' needs --data": (InvalidData, ["--recipe", "mnist"]),
        "time '1 month' is not a number": (
            InvalidData,
            ["--recipe", "digits", "--times", "1 month"],
        ),
        "samples must be at least 1, not 0": (
            InvalidData,
            ["--recipe", "digits", "--samples", "0"],
        ),
        "processes: at least 1": (InvalidData, ["--recipe", "digits", "--processes", "0"]),
        "use read_noise 'read' or 'none'": (InvalidModel, ["--recipe", "digits", "--bits", "4"]),
        "weights of both signs": (
            InvalidModel,
            ["--recipe", "digits", "--scheme", "unipolar", "--processes", "1"],
        ),
        "must be a whole number, at least 2, not 1": (
            InvalidModel,
            ["--recipe", "digits", "--levels", "1"],
        ),
    }
    for message, (kind, options) in mistakes.items():
        with pytest.raises(kind, match=re.escape(message)):
            call(name, *out, *options, code=1)
    with pytest.raises(InvalidData, match="there is no such model folder"):
        call(str(tmp_path / "nothing"), code=1)


def test_a_failed_chip_is_exit_code_1(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wide: None
) -> None:
    from neurohw.noise import executors

    real = executors.judge_chip

    def fails(e: Any, seed: int) -> Any:
        if seed == 1:
            raise MemoryError("no room")
        return real(e, seed)

    monkeypatch.setattr("neurohw.noise.executors.judge_chip", fails)
    output = judged(model, tmp_path, f"--times 1h {RUN}", code=1)
    assert "pcm: chip 1 failed: no room" in output
    assert list(json.loads((tmp_path / "results.json").read_text())["pcm"]["accuracy"]) == [
        "0",
        "2",
    ]


def test_help_teaches(wide: None) -> None:
    output = " ".join(call("--help").replace("│", " ").split())
    assert "neurohw noise runs/mnist --device pcm" in output and "--dask tcp://" in output
    for kind in KINDS:
        assert kind in output


def test_data_of_the_figure() -> None:
    e = experiment("pcm", samples=60, times=(3600.0, 0.0, 25.0))
    study = monte_carlo(
        {"pcm": e, "still": experiment("additive", samples=60, times=(25.0,))}, range(4)
    )
    first, second = curves(study)
    values = 100 * study.accuracy("pcm")[:, [1, 2, 0]]
    assert first.seconds.tolist() == [0.0, 25.0, 3600.0] and second.seconds.tolist() == [25.0]
    np.testing.assert_allclose(first.mean, values.mean(axis=0))
    np.testing.assert_allclose(first.mean - first.low, values.std(axis=0, ddof=1))
    np.testing.assert_allclose(first.high, np.minimum(100, first.mean + values.std(axis=0, ddof=1)))
    assert baselines(study) == {"float": 100 * study.baseline("pcm")}
    drawing = accuracy_over_time(study)
    for text in ("pcm", "still", "float", "0s", "25s", "1h", "accuracy, %"):
        assert f">{text}<" in drawing
    alone = curves(monte_carlo({"pcm": e}, [0]))[0]
    assert np.array_equal(alone.low, alone.mean) and np.array_equal(alone.high, alone.mean)


def test_nothing_finished_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="no chip is finished"):
        write_study(Study({"pcm": experiment(samples=20)}, {"pcm": {}}, {"pcm": {}}), tmp_path)


def test_names_and_samples() -> None:
    assert (
        folder_name("pcm:drift_scale=0,g_max_microsiemens=2e1")
        == "pcm-drift_scale=0-g_max_microsiemens=2e1"
    )
    assert spaced(10, None).tolist() == spaced(10, 99).tolist() == list(range(10))
    assert spaced(10, 4).tolist() == [0, 2, 5, 7]


@pytest.mark.slow
def test_a_real_interrupt_of_the_command(model: Path, tmp_path: Path) -> None:
    """Ctrl-C reaches the whole group: exit code 130, no process left, finished chips stay, and the
    same command ends as an undisturbed one.
    """
    options = ["--recipe", "digits", "--chips", "40", "--times", "25s,1d", "--processes", "2"]
    command = [
        sys.executable,
        "-m",
        "neurohw.cli",
        "noise",
        str(model),
        *options,
        "--out",
        str(tmp_path / "out"),
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 200
    while not list(tmp_path.glob("out/pcm/chips/*.json")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=120)
    assert (
        process.returncode == 130
        and "goes on where it stopped" in errors
        and "Traceback" not in output + errors
    )
    # the tracker of multiprocessing ends a moment after its parent
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < deadline + 60:
            os.killpg(process.pid, 0)
            time.sleep(0.1)
    finished = list((tmp_path / "out" / "pcm" / "chips").iterdir())
    assert 0 < len(finished) < 40 and all(
        p.suffix == ".json" and not p.name.startswith(".") for p in finished
    )
    subprocess.run(command, check=True, capture_output=True)
    call(str(model), *options[:-1], "1", "--out", str(tmp_path / "straight"))
    names = ("out", "straight")
    interrupted, straight = (
        json.loads((tmp_path / name / "results.json").read_text()) for name in names
    )
    assert interrupted == straight


def test_results_do_not_replace_files_of_the_user(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told before a chip is judged; a folder that holds other things is no experiment."""
    (tmp_path / "results.csv").write_text("measured, by hand")
    with monkeypatch.context() as patch:
        patch.setattr(
            "neurohw.cli.noise.noise_experiments", lambda *_: pytest.fail("the work began")
        )
        with pytest.raises(CannotWrite, match=r"results\.csv: neurohw did not write it"):
            judged(model, tmp_path, f"--times 25s {RUN}", code=1)
    assert [p.name for p in tmp_path.iterdir()] == ["results.csv"]
    (tmp_path / "results.csv").unlink()
    (tmp_path / "pcm").mkdir()
    (tmp_path / "pcm" / "thesis.tex").write_text("years of work")
    with pytest.raises(
        CannotWrite, match=r"pcm: it holds thesis\.tex and no experiment\.json of ours"
    ):
        judged(model, tmp_path, f"--times 25s {RUN}", code=1)
    judged(model, tmp_path / "new", f"--times 25s {RUN}")
    judged(model, tmp_path / "new", f"--times 25s {RUN}")  # its own results again


def test_an_experiment_of_another_format_is_refused_by_name(model: Path, tmp_path: Path) -> None:
    judged(model, tmp_path, f"--times 25s {RUN}")
    file = tmp_path / "pcm" / "experiment.json"
    value = json.loads(file.read_text())
    del value["kind"]  # as the last release wrote it
    file.write_text(json.dumps({**value, "format_version": 1}))
    with pytest.raises(
        CannotWrite, match="pcm: it is a noise experiment of format version 1, this program reads 2"
    ):
        judged(model, tmp_path, f"--times 25s {RUN}", code=1)
