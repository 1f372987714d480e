# SPDX-License-Identifier: Apache-2.0
"""Order of axes and the proof of the widths, at every door through which spikes come in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurohw import (
    Integrator,
    Lif,
    TrainedNetwork,
    feed_forward,
    infer,
    quantize,
    run_golden,
    run_reference,
    save,
)
from neurohw.cli.app import app
from neurohw.crosscheck import crosscheck
from neurohw.data import Encoder
from neurohw.engines import ENGINES
from neurohw.errors import InvalidData
from neurohw.flow.check import crosscheck_saved
from neurohw.flow.models import run_model
from neurohw.golden.native import run_native
from neurohw.hardware.verify import verify
from neurohw.memristor import calibrate_columns, calibrate_thresholds, device_named, program
from neurohw.noise import Experiment, Scenario
from neurohw.plasticity import run_plastic_reference
from neurohw.plasticity.golden import run_plastic_golden
from neurohw.plasticity.integer import quantize_plasticity
from neurohw.plasticity.native import run_plastic_native
from neurohw.reservoir import gaussian_reservoir, run_liquid
from neurohw.reservoir.summary import summarise
from neurohw.run_model import load_spikes
from neurohw.stimulus import Spikes
from neurohw.train import SpikingModule
from neurohw.train.fitting import evaluate
from tests.random_networks import random_trained
from tests.random_plasticity import random_learning

STEPS, INPUTS = 6, 5


def trained(steps: int = STEPS) -> TrainedNetwork:
    network = feed_forward([INPUTS, 8, 3], Lif(0.9, threshold=1.0), Integrator(1.0))
    return random_trained(np.random.default_rng(0), network, steps=steps)


def counts(steps: int, samples: int, inputs: int = INPUTS) -> np.ndarray:
    return (np.random.default_rng(1).random((steps, samples, inputs)) < 0.4).astype(np.uint8)


FLOAT, INTEGER = trained(), quantize(trained(), 8)
CHIP = program(FLOAT, device_named("pcm"), 0)
LIQUID = gaussian_reservoir(INPUTS, 10, steps=STEPS)
LEARNING = random_learning(np.random.default_rng(0), INPUTS, 6, steps=STEPS)
LABELS = np.zeros(STEPS, int)


def experiment(spikes: Any) -> Experiment:
    samples = spikes.samples if isinstance(spikes, Spikes) else spikes.shape[1]
    return Experiment(FLOAT, Scenario(device_named("pcm")), (1.0,), spikes, np.zeros(samples, int))


def calibrating(spikes: Any) -> Experiment:
    scenario = Scenario(device_named("pcm"), recalibrate="columns")
    return Experiment(FLOAT, scenario, (1.0,), Spikes(counts(STEPS, 2)), np.zeros(2, int), spikes)


def saved_and_loaded(spikes: Any, folder: Path) -> Any:
    """The door of files, whose arrays are [sample, time, neuron]."""
    np.savez(folder / "in.npz", spikes=spikes.swapaxes(0, 1))
    return load_spikes(folder / "in.npz", FLOAT)


# each takes an array [time, sample, neuron]
TIME_FIRST: dict[str, Callable[[Any], Any]] = {
    "reference": lambda x: run_reference(FLOAT, x),
    "golden": lambda x: run_golden(INTEGER, x),
    "native": lambda x: run_native(INTEGER, x),
    "infer": lambda x: infer(INTEGER, x),
    "verify": lambda x: verify(Path("nowhere"), INTEGER, x),
    "crosscheck, float": lambda x: crosscheck([FLOAT], ["reference", "torch"], x),
    "crosscheck, integer": lambda x: crosscheck([INTEGER], ["golden", "native"], x),
    "chip": lambda x: CHIP.run(x, 1.0),
    "converters": lambda x: CHIP.calibrated(x),
    "columns": lambda x: calibrate_columns(CHIP, x, 1.0),
    "thresholds": lambda x: calibrate_thresholds(CHIP, x, 1.0),
    "experiment": experiment,
    "calibration": calibrating,
    "liquid": lambda x: run_liquid(LIQUID, x),
    "summary": lambda x: summarise(LIQUID, x),
    "plastic golden": lambda x: run_plastic_golden(quantize_plasticity(*LEARNING), x),
    **{
        f"{name}, {kind}": lambda x, e=engine, m=FLOAT if kind == "float" else INTEGER: e.run(m, x)
        for name, engine in ENGINES.items()
        for kind in engine.takes
    },
}
SAMPLE_FIRST: dict[str, Callable[[Any], Any]] = {
    "encoder": lambda x: Encoder("spikes", STEPS).encode(x),
    "evaluate": lambda x: evaluate(
        SpikingModule(FLOAT.network), Encoder("spikes", STEPS), x, LABELS, "membrane"
    ),
}
# those that start other programs, where nothing is refused
SLOW = {"verify", "lava, integer", "rtl, integer"}


@pytest.mark.parametrize("name", TIME_FIRST)
def test_time_and_sample_are_never_exchanged(name: str) -> None:
    """An array [sample, time, neuron] in place of [time, sample, neuron], and one in which both
    axes have the steps of the model.
    """
    run = TIME_FIRST[name]
    for array, reason in (
        (
            counts(STEPS, 9).swapaxes(0, 1),
            "its samples are 6, the steps of the model, and its steps 9",
        ),
        (counts(STEPS, STEPS), "both of its first axes have the 6 steps of the model"),
        (counts(4, 9), "neither of its first axes has the 6 steps of the model"),
        (counts(1, STEPS), "its samples are 6"),
        (counts(1, 2), "neither"),
    ):
        with pytest.raises(
            InvalidData, match=rf"{reason}.*Spikes.time_first\(array\).*Spikes.sample_first"
        ):
            run(array)
    with pytest.raises(InvalidData, match=r"needs \[time, sample, 5\]"):
        run(counts(STEPS, 2, 4))


# needs more steps
@pytest.mark.parametrize("name", [n for n in TIME_FIRST if n not in SLOW and n != "summary"])
def test_what_is_known_is_taken(name: str) -> None:
    run = TIME_FIRST[name]
    run(counts(STEPS, 2))
    run(counts(STEPS, 1))
    run(Spikes(counts(STEPS, STEPS)))


@pytest.mark.parametrize("name", SAMPLE_FIRST)
def test_samples_come_first_where_a_dataset_is_taken(name: str) -> None:
    run = SAMPLE_FIRST[name]
    for array in (counts(STEPS, 9), counts(STEPS, STEPS)):
        with pytest.raises(InvalidData, match="may be exchanged"):
            run(array)
    run(Spikes(counts(STEPS, STEPS)))


def test_a_wrapped_array_is_what_it_says() -> None:
    """Both orders of one square stimulus give one result; the bare array, read wrongly, would give
    another.
    """
    array = counts(STEPS, STEPS)
    expected = run_reference(FLOAT, Spikes.time_first(array)).states["v.output"]
    assert np.array_equal(
        run_reference(FLOAT, Spikes.sample_first(array.swapaxes(0, 1))).states["v.output"], expected
    )
    assert not np.array_equal(
        run_reference(FLOAT, Spikes.sample_first(array)).states["v.output"], expected
    )
    spikes = Spikes.time_first(array)
    assert (spikes.steps, spikes.samples, spikes.neurons) == (STEPS, STEPS, INPUTS)
    assert spikes.counts is array  # nothing is copied
    assert np.array_equal(spikes.part(slice(2, 4)).counts, array[:, 2:4])
    assert np.array_equal(spikes.part(np.array([3, 0])).counts, array[:, [3, 0]])


def test_one_sample_may_have_any_length() -> None:
    for steps in (1, 3, 50):
        assert run_reference(FLOAT, counts(steps, 1)).spikes["input"].shape == (steps, 1, INPUTS)
    assert run_reference(trained(1), counts(1, 4)).spikes["input"].shape == (1, 4, INPUTS)
    with pytest.raises(InvalidData, match="its samples are 1, the steps of the model"):
        run_reference(trained(1), counts(4, 1))
    # both orders are one
    assert run_reference(trained(1), counts(1, 1)).spikes["input"].shape == (1, 1, INPUTS)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (counts(STEPS, 2)[0], "stimulus has shape"),
        (counts(STEPS, 2)[:0], "empty"),
        (counts(STEPS, 2)[:, :0], "empty"),
        (counts(STEPS, 2) * 0.5, "whole counts"),
        (counts(STEPS, 2) * np.nan, "whole counts"),
        (counts(STEPS, 2).astype(int) - 1, "whole counts"),
        (counts(STEPS, 2) * 256.0, "a count of 256, at most 255"),
        (counts(STEPS, 2).astype(str), "of type <U"),
    ],
)
def test_what_is_no_count_is_refused(array: np.ndarray, message: str) -> None:
    with np.errstate(all="ignore"), pytest.raises(InvalidData, match=message):
        run_reference(FLOAT, array)


def test_counts_of_any_type_are_bytes() -> None:
    for kind in (bool, np.int64, np.float32):
        spikes = Spikes(counts(STEPS, 2).astype(kind))
        assert spikes.counts.dtype == np.uint8 and np.array_equal(spikes.counts, counts(STEPS, 2))


@pytest.mark.parametrize(
    ("array", "many"),
    [(counts(STEPS, 9), True), (counts(20, 1), True), (counts(7, 1)[:, 0], False)],
)
def test_files_hold_samples_first(array: np.ndarray, many: bool, tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", spikes=array.swapaxes(0, 1) if many else array)
    spikes, found = load_spikes(tmp_path / "in.npz", FLOAT)
    assert found == many and np.array_equal(spikes.counts, array if many else array[:, None])


def test_a_file_says_its_order_where_it_could_be_both(tmp_path: Path) -> None:
    square, path = counts(STEPS, STEPS), tmp_path / "in.npz"
    for array in (square, counts(STEPS, 9)):  # the second is [time, sample, neuron]
        np.savez(path, spikes=array)
        with pytest.raises(
            InvalidData,
            match=r"in\.npz: .*may be exchanged.*savez\(.*'sample time neuron'\) or",
        ):
            load_spikes(path, FLOAT)
    np.savez(path, spikes=square, axes="sample time neuron")
    assert np.array_equal(load_spikes(path, FLOAT)[0].counts, square.swapaxes(0, 1))
    np.savez(path, spikes=square, axes="time sample neuron")
    assert np.array_equal(load_spikes(path, FLOAT)[0].counts, square)
    np.savez(path, spikes=square, axes="neuron time sample")
    with pytest.raises(InvalidData, match="axes is one of"):
        load_spikes(path, FLOAT)


# an array [time, sample, neuron], and the keyword
PROVED: dict[str, Callable[..., Any]] = {
    "golden": lambda x, **k: run_golden(INTEGER, x, **k),
    "native": lambda x, **k: run_native(INTEGER, x, **k),
    "infer": lambda x, **k: infer(INTEGER, x, **k),
    "verify": lambda x, **k: verify(Path("nowhere"), INTEGER, x, **k),
    "crosscheck": lambda x, **k: crosscheck(
        [FLOAT, INTEGER], ["golden", "native", "reference"], x, **k
    ),
    "plastic golden": lambda x, **k: run_plastic_golden(quantize_plasticity(*LEARNING), x, **k),
    **{
        f"{name}": lambda x, e=engine, **k: e.run(INTEGER, x, **k)
        for name, engine in ENGINES.items()
        if "integer" in engine.takes and name not in ("golden", "native")
    },
}


@pytest.mark.parametrize("name", PROVED)
def test_more_than_is_proved_is_refused(name: str) -> None:
    longer = Spikes(counts(STEPS + 1, 2))
    with pytest.raises(
        InvalidData,
        match="has 7 steps, the widths of this model are proved for 6.*beyond_proof=True",
    ):
        PROVED[name](longer)
    if name == "lava":  # refuses what it cannot run exactly
        return
    with pytest.raises(
        InvalidData, match="has a count of 2, the widths of this model are proved for 1"
    ):
        PROVED[name](Spikes(2 * counts(STEPS, 2)))


@pytest.mark.parametrize("name", ["golden", "native", "brian2", "crosscheck", "plastic golden"])
def test_what_is_allowed_by_name_is_marked(name: str) -> None:
    for beyond in (False, True):
        result = PROVED[name](Spikes(counts(STEPS + beyond, 2)), beyond_proof=True)
        assert getattr(result, "trace", result).beyond_proof is beyond
    shorter = PROVED[name](Spikes(counts(STEPS - 1, 2)))
    assert getattr(shorter, "trace", shorter).beyond_proof is False


def test_beyond_the_proof_is_what_saturates() -> None:
    """A readout that adds 1 per step, proved for 6 steps: after 600 it stands at the end of its
    format, where floats go on.
    """
    network = feed_forward([1, 1], output=Integrator(1.0))
    parameters = {"input_to_output.weight": np.ones((1, 1)), "output.bias": np.zeros(1)}
    model = quantize(TrainedNetwork(network, parameters, STEPS), 8)
    spikes = np.ones((600, 1, 1), np.uint8)
    with pytest.raises(InvalidData, match="600 steps"):
        infer(model, spikes)
    trace = run_golden(model, spikes, beyond_proof=True)
    assert (
        trace.beyond_proof
        and trace.states["v.output"].max() == model.populations["output"].membrane.max
    )
    assert infer(model, spikes, beyond_proof=True)[0, 0] == trace.states["v.output"][-1, 0, 0]


def test_floats_have_no_proof() -> None:
    assert run_reference(FLOAT, Spikes(counts(50, 3))).beyond_proof is False
    assert (
        ENGINES["reference"].run(FLOAT, Spikes(counts(50, 3)), beyond_proof=True).beyond_proof
        is False
    )


def test_files_and_commands_keep_the_mark(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(INTEGER, tmp_path / "model")
    np.savez(tmp_path / "in.npz", spikes=counts(STEPS + 1, 1)[:, 0])
    files = (tmp_path / "model", "golden", tmp_path / "in.npz", tmp_path / "out.npz")
    with pytest.raises(InvalidData, match="7 steps"):
        run_model(*files)
    assert not (tmp_path / "out.npz").exists()
    assert run_model(*files, beyond_proof=True).beyond_proof
    with np.load(tmp_path / "out.npz") as file:
        assert bool(file["beyond_proof"])
    options = [
        "--engine",
        "golden",
        "--input",
        str(files[2]),
        "--out",
        str(files[3]),
        "--beyond-proof",
    ]
    app(["run", str(files[0]), *options], standalone_mode=False)
    assert "beyond the proof" in capsys.readouterr().out
    np.savez(tmp_path / "in.npz", spikes=counts(STEPS, 1)[:, 0])
    run_model(*files, beyond_proof=True)
    with np.load(tmp_path / "out.npz") as file:
        assert "beyond_proof" not in file.files


def test_a_crosscheck_of_a_longer_file_is_marked(tmp_path: Path) -> None:
    save(INTEGER, tmp_path / "model")
    np.savez(tmp_path / "in.npz", spikes=counts(STEPS + 1, 1)[:, 0])
    arguments: tuple[Any, ...] = (
        tmp_path / "model",
        ["golden", "native"],
        1,
        tmp_path / "in.npz",
        tmp_path / "picture.svg",
        lambda text, done: None,
    )
    with pytest.raises(InvalidData, match="7 steps"):
        crosscheck_saved(*arguments)
    result = crosscheck_saved(*arguments, beyond_proof=True)
    assert result.agrees and result.beyond_proof and result.to_json()["beyond_proof"] is True


def test_one_sample_of_learning_needs_no_wrapping() -> None:
    spikes = counts(20, 1)[:, 0]
    assert run_plastic_reference(*LEARNING, spikes).trace.spikes["input"].shape == (20, 1, INPUTS)
    assert run_plastic_native(*LEARNING, spikes).trace.spikes["input"].shape == (20, 1, INPUTS)
