# SPDX-License-Identifier: Apache-2.0
"""Random command lines: a world of files, values good and bad, stand-ins for what takes long."""

import os
import shutil
import wave
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
import typer

from neurohw import Lif, TrainedNetwork, feed_forward, load_trained, quantize, save
from neurohw.cli.app import app
from neurohw.errors import DoesNotFit, InvalidData, Unsupported
from neurohw.flow import RunFolder, run_stages
from neurohw.flow.reservoir import build_stage
from neurohw.interop.nir import write_nir
from neurohw.noise.outcome import Outcome
from neurohw.reservoir import LIQUIDS
from neurohw.stimulus import Spikes
from neurohw.storage import write_file
from tests.flow.common import Tools, quiet
from tests.random_networks import random_stimulus, random_trained

SCRIPT = """
from torch import nn
import snntorch as snn

def build():
    return nn.Sequential(nn.Linear(3, 2), snn.Leaky(0.5))
"""
PATHS = (
    "digits", "digits4", "liquid", "broken", "float", "integer", "many.npz", "one.npz", "wrong.npz",
    "array.npy", "images.npz",
    "text.txt", "empty", "thesis", "net.nir", "net.net", "net.py", "net.py:build", "net.py:nothing",
    "sounds", "nowhere",
    "new/deep", "text.txt/below", "with a blank ü", "[/red]", "a'b\"c$d%e#f", ".", "", "/dev/null",
    "/dev/full", "/proc/nothing",
    "x" * 300, "out.npz", "out.nir", "out.py",
)  # fmt: skip
NUMBERS = (
    "0",
    "1",
    "2",
    "3",
    "4",
    "8",
    "-1",
    "9",
    "10000000000000000000",
    "1.5",
    "x",
    "",
    "nan",
    "inf",
    "-inf",
    "0.5",
    "1e308",
)
LISTS = (
    "3,3,3",
    "4,4",
    "1,8,8",
    "abc",
    "3,,3",
    "-1,2,3",
    "0,0,0",
    "3",
    "25s,1h",
    "1 month",
    ",",
    "1y",
)
WORDS = (
    "digits", "digits-cnn", "mnist", "spoken-digits", "shd", "imagenet", "ulx3s", "icebreaker",
    "arty", "cpu", "cuda", "tpu",
    "reference", "torch", "golden", "native", "brian2", "lava", "rtl", "golden,native",
    "golden,,native", "nir", "snntorch",
    "pynn", "pcm", "flash", "pcm:drift_scale=0", "pcm:x", "grid", "random", "small-world",
    "gaussian", "resistive", "torus",
    "ridge", "adadelta", "step", "read", "none", "differential", "unipolar", "offset_column",
    "tile", "column", "columns",
    "thresholds", "hard", "soft", "exponential_euler", "forward_euler", "fsdd", "norse", "[/x]",
    "ü", "--", "-",
)  # fmt: skip
# what an argument or option is meant to take, by its name; else a number that fits its type
MEANT = {
    "recipe": ("digits",) * 4 + ("mnist", "digits-pcm", "spoken-digits"),
    "model": ("digits", "digits4", "float", "float", "integer", "integer"),
    "source": ("net.nir", "net.net", "net.py:build", "sounds"),
    "--run": ("digits", "digits", "digits", "liquid", "liquid", "digits4", "new run"),
    "--input": ("many.npz", "many.npz", "one.npz"),
    "--out": ("out", "out.npz", "out.nir", "out.py"),
    "--picture": ("picture.svg",),
    "--data": ("images.npz",),
    "--engine": ("reference", "torch", "golden", "native"),
    "--engines": ("golden,native", "reference,torch", "golden"),
    "--to": ("nir", "snntorch", "brian2", "lava"),
    "--board": ("ulx3s", "icebreaker"),
    "--device": ("cpu", "pcm", "additive:programming_scale=0.1", "reram_wan"),
    "--topology": ("grid", "random", "small-world", "gaussian", "resistive"),
    "--readout": ("ridge",),
    "--shape": ("3,3,3", "4,4,4"),
    "--input-shape": ("3", "6"),
    "--times": ("25s,1h", "1y"),
    "--read-noise": ("step", "read", "none"),
    "--recalibrate": ("columns", "thresholds"),
    "--scheme": ("differential", "offset_column", "unipolar"),
    "--scale-per": ("tile", "column"),
    "--discretisation": ("exponential_euler", "forward_euler"),
    "--reset": ("hard", "soft", "none"),
    "--dask": ("tcp://127.0.0.1:1",),
    "--recipe": ("digits", "mnist"),
    "--steps": ("1", "5", "20"),
    "--degree": ("1", "4"),
    "--chips": ("1", "2"),
}


def _sound(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes((1000 * np.sin(np.arange(800))).astype("<i2").tobytes())


def make_world(folder: Path, finished: Path) -> None:
    """Files that a command line may name, in `folder`."""
    folder.mkdir()
    shutil.copytree(finished, folder / "digits")
    shutil.copytree(finished, folder / "digits4")
    run_stages(RunFolder.start(folder / "digits4", None, bits=4), ("train",), quiet)
    build_stage(RunFolder.start(folder / "liquid", "digits", LIQUIDS["digits"]), quiet)
    shutil.copytree(finished, folder / "broken")
    (folder / "broken" / "run.json").write_text("{")
    rng = np.random.default_rng(0)
    trained = random_trained(rng, feed_forward([6, 5, 3], Lif(0.5)), 15, dyadic=True)
    save(trained, folder / "float")
    save(quantize(trained, 5), folder / "integer")
    spikes = random_stimulus(rng, trained.network, 15, 4)
    np.savez(folder / "many.npz", spikes=spikes.transpose(1, 0, 2))
    np.savez(folder / "one.npz", spikes=spikes[:, 0])
    np.savez(folder / "wrong.npz", spikes=np.zeros((4, 9)))
    np.save(folder / "array.npy", spikes)
    labels = np.arange(40) % 10
    images = rng.integers(0, 256, (40, 28, 28), np.uint8)
    np.savez(folder / "images.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    (folder / "text.txt").write_text("text")
    (folder / "empty").mkdir()
    (folder / "thesis").mkdir()
    (folder / "thesis" / "thesis.tex").write_text("years")
    write_nir(trained, folder / "net.nir")
    with h5py.File(folder / "net.net", "w") as file:
        layer = file.create_group("layer/0")
        layer["type"] = np.array([b"dense"], "S10")
        layer["inFeatures"], layer["outFeatures"], layer["weight"] = 3, 2, np.full((2, 3), 4.0)
        for key, value in {"type": b"CUBA", "iDecay": 1024, "vDecay": 128, "vThMant": 10}.items():
            layer[f"neuron/{key}"] = value
    (folder / "net.py").write_text(SCRIPT)
    (folder / "sounds").mkdir()
    for name in ("0_a_0.wav", "1_a_0.wav", "1_b_1.wav"):
        _sound(folder / "sounds" / name)


def stand_ins(patch: pytest.MonkeyPatch, finished: Path) -> Tools:
    """Stand-ins for trainings, tools and long measurements; what checks values stays."""
    tools = Tools(patch)
    tools.broken["icebreaker"] = DoesNotFit("board 'icebreaker' has 30 block RAMs")
    digits = load_trained(finished / "trained")

    def fit(
        network: Any,
        dataset: Any,
        encoder: Any,
        config: Any,
        folder: Any,
        progress: Any,
        device: str,
    ) -> TrainedNetwork:
        wanted = network.network if isinstance(network, TrainedNetwork) else network
        if wanted != digits.network:
            raise InvalidData("the stand-in trains digits alone")
        return digits

    patch.setattr("neurohw.train.fitting.fit", fit)

    def accuracy(run: Any, model: Any, network: Any, spikes: Spikes, labels: Any) -> float:
        run(model, spikes.part(slice(1)))  # which counts saturations
        return 0.5

    patch.setattr("neurohw.flow.stages.model_accuracy", accuracy)
    patch.setattr("neurohw.flow.training.model_accuracy", lambda *_: 0.5)
    patch.setattr(
        "neurohw.flow.stages.write_report",
        lambda run, *_: (run.path / "report.html").write_text("page"),
    )

    def unsupported(*_: object, **__: object) -> None:
        raise Unsupported("the stand-in runs nothing")

    for engine in ("brian2", "lava", "rtl"):
        patch.setattr(f"neurohw.engines.{engine}.run", unsupported)

    def export(model: Any, path: Path, force: bool = False) -> None:
        write_file(path, b"# script\n", "script", force)

    patch.setattr("neurohw.engines.brian2.export", export)
    patch.setattr("neurohw.engines.lava.export", export)
    patch.setattr("neurohw.flow.check.crosscheck", tools.crosscheck)
    patch.setattr(
        "neurohw.data.speech.download_fsdd",
        lambda: (_ for _ in ()).throw(InvalidData("no network")),
    )
    patch.setattr("neurohw.cli.tools.find_version", lambda tool: "1.0")
    # reservoirs
    patch.setattr("neurohw.flow.reservoir.initialise", lambda trained, *_, **__: trained)
    patch.setattr("neurohw.flow.reservoir._branching", lambda *_: None)
    ranks = {"kernel": 1, "generalisation": 1, "inputs": 1}
    values = {"ranks": ranks, "statistics": {"rate": 1.0, "active": 0.5}}
    values |= dict.fromkeys(("branching_factor", "lyapunov_exponent", "spectral_radius"))
    patch.setattr("neurohw.flow.reservoir.summarise", lambda *_: SimpleNamespace(values=values))
    patch.setattr("neurohw.report.reservoir_figures.reservoir_drawings", lambda *_: {})
    patch.setattr("neurohw.report.reservoir_page.render_reservoir", lambda *_: "page")

    def counter(liquid: Any, *_: object) -> Callable[[Any], Any]:
        return (
            lambda spikes: np.random.default_rng(0)
            .integers(0, 9, (spikes.samples, liquid.neurons))
            .astype(np.uint16)
        )

    patch.setattr("neurohw.flow.reservoir._counter", counter)
    # chips
    outcome = Outcome(np.full((2, 10, 10), 1), {"input": (1, 1)})

    def judged(experiment: Any, *_: object) -> Outcome:
        return Outcome(
            np.full((len(experiment.times), 10, 10), 1), {"input": (1,) * len(experiment.times)}
        )

    patch.setattr("neurohw.noise.montecarlo.judge_ideal", lambda *_: outcome)
    patch.setattr("neurohw.noise.executors.judge_chip", judged)
    patch.setattr(
        "neurohw.cli.noise.processes",
        lambda count: __import__("neurohw.noise", fromlist=["x"]).serial,
    )
    patch.setattr(
        "neurohw.cli.noise.dask", lambda address: (_ for _ in ()).throw(InvalidData("no scheduler"))
    )
    patch.setattr("neurohw.report.noise_figures.accuracy_over_time", lambda *_: "<svg/>")
    return tools


def _commands(group: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    found: dict[tuple[str, ...], Any] = {}
    for name, command in group.commands.items():
        found |= (
            _commands(command, (*path, name))
            if hasattr(command, "commands")
            else {(*path, name): command}
        )
    return found


COMMANDS = _commands(typer.main.get_command(app))


def _value(rng: np.random.Generator, name: str, parameter: Any) -> str:
    """A value that an option is meant to take, or one that breaks it."""
    kind = str(getattr(parameter.type, "name", parameter.type)).lower()
    pool: tuple[str, ...]
    if rng.random() < 0.8:
        numbers = ("0.5", "1", "0.1", "2", "0") if "float" in kind else ("1", "2", "3", "4", "8")
        pool = MEANT.get(name, numbers)
    else:
        pool = (NUMBERS, LISTS, WORDS, PATHS)[rng.integers(4)]
    return str(pool[rng.integers(len(pool))])


def random_line(rng: np.random.Generator) -> list[str]:
    """A verb, some arguments and options with values, now and then a word too many."""
    names = list(COMMANDS)
    words = names[rng.integers(len(names))]
    line: list[str] = list(words)
    for parameter in COMMANDS[words].params:
        option = parameter.opts[0]
        needed = parameter.required
        if rng.random() > (0.98 if needed else 0.2):
            continue
        if not option.startswith("--"):
            line.append(_value(rng, option, parameter))
            continue
        if parameter.is_flag:
            every = [*parameter.opts, *parameter.secondary_opts]
            line.append(every[rng.integers(len(every))])
        else:
            line += [option, _value(rng, option, parameter)]
    if rng.random() < 0.05:
        line.insert(
            int(rng.integers(len(line) + 1)),
            str(rng.choice(["--nothing", "--help", "-x", "extra", "--bits", "ü"])),
        )
    return line


def outputs(line: list[str]) -> set[str]:
    """The names at the top of the world that a command line may write under."""
    named = {"runs", "noise", "mismatch.svg"}
    for option, value in zip(line, line[1:], strict=False):
        if option in ("--run", "--out", "--picture"):
            first = (Path(value).parts or (".",))[0]
            named |= {
                first,
                os.path.splitext(first)[0] + ".npz",
            }  # a script has its arrays beside it
    if line[0] == "noise" and "--out" not in line:
        named |= set(line[1:])  # the results lie in the run folder
    return named
