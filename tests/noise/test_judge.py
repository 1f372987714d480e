# SPDX-License-Identifier: Apache-2.0
import dataclasses
from typing import Any

import numpy as np
import pytest

from neurohw import (
    Integrator,
    Lif,
    TrainedNetwork,
    feed_forward,
    quantize,
    run_golden,
    run_reference,
)
from neurohw.errors import InvalidData, InvalidModel
from neurohw.memristor import (
    KINDS,
    Converter,
    CrossbarMapping,
    Faults,
    Wires,
    calibrate_columns,
    calibrate_thresholds,
    device_named,
    program,
    without_noise,
)
from neurohw.noise import Experiment, Outcome, Scenario, device_from_text, judge_chip, judge_ideal
from neurohw.noise.judge import CHUNK_VALUES, chunk_size
from neurohw.readout import accuracy, scores
from neurohw.stimulus import Spikes
from tests.noise.common import TIMES, experiment, trained_digits
from tests.random_networks import random_graph, random_stimulus, random_trained


def reference_accuracy(e: Experiment, trained: TrainedNetwork | None = None) -> float:
    trained = trained or e.trained
    return accuracy(
        scores(run_reference(trained, Spikes(e.spikes)), trained.network, e.readout), e.labels
    )


@pytest.mark.parametrize("read_noise", ["none", "read", "step"])
@pytest.mark.parametrize("kind", ["pcm", "reram_wan", "reram_cmo", "additive"])
def test_without_noise_a_chip_is_as_accurate_as_its_network(kind: str, read_noise: Any) -> None:
    e = experiment(without_noise(device_named(kind)), read_noise=read_noise, compensate=True)
    ideal = judge_ideal(e)
    assert ideal.accuracy[0] == reference_accuracy(e) > 0.5
    outcome = judge_chip(e, 3)
    assert outcome == Outcome(
        np.repeat(ideal.confusion, 3, axis=0), {n: s * 3 for n, s in ideal.spikes.items()}
    )


def test_any_network_without_noise_is_itself() -> None:
    rng = np.random.default_rng(0)
    for index in range(12):
        trained = random_trained(rng, random_graph(rng), each_neuron=True)
        spikes = Spikes(random_stimulus(rng, trained.network, 5, 7, 2))
        labels = rng.integers(trained.network.output.size, size=7)
        e = Experiment(
            trained, Scenario(without_noise(device_named("pcm"))), (1.0,), spikes, labels
        )
        outcome = judge_chip(e, index)
        trace = run_reference(trained, spikes, states=False)
        assert outcome == judge_ideal(e)
        assert outcome.accuracy[0] == reference_accuracy(e)
        assert outcome.spikes == {name: (int(array.sum()),) for name, array in trace.spikes.items()}


def test_outcomes_are_those_of_the_networks_that_a_chip_reads() -> None:
    e = experiment("pcm", read_noise="read", compensate=True, faults=Faults(0.02, 0.01))
    chip = program(e.trained, e.scenario.device, 5, faults=e.scenario.faults)
    outcome = judge_chip(e, 5)
    for index, t in enumerate(TIMES):
        network = chip.network(t, read=0, compensate=True)
        assert outcome.accuracy[index] == reference_accuracy(e, network)
        fired = run_reference(network, e.spikes).spikes
        assert {n: s[index] for n, s in outcome.spikes.items()} == {
            n: int(s.sum()) for n, s in fired.items()
        }


@pytest.mark.parametrize("read_noise", ["read", "step"])
@pytest.mark.parametrize("what", ["columns", "thresholds"])
def test_a_chip_is_recalibrated_at_every_time(what: str, read_noise: str) -> None:
    calibrate = {"columns": calibrate_columns, "thresholds": calibrate_thresholds}[what]
    e = experiment("pcm", samples=60, recalibrate=what, read_noise=read_noise)
    outcome, chip = judge_chip(e, 5), program(e.trained, e.scenario.device, 5)
    assert e.calibration is not None and outcome != judge_chip(
        experiment("pcm", samples=60, read_noise=read_noise), 5
    )
    for index, t in enumerate(TIMES):
        calibrated = calibrate(chip, e.calibration, t)
        if read_noise == "read":
            assert outcome.accuracy[index] == reference_accuracy(e, calibrated.network(t, read=0))
        else:
            trace = calibrated.run(e.spikes, t)
            assert outcome.accuracy[index] == accuracy(scores(trace, e.trained.network), e.labels)
    without = dataclasses.replace(e, scenario=dataclasses.replace(e.scenario, recalibrate=None))
    assert e.identity() != without.identity()
    with pytest.raises(InvalidData, match="calibration samples"):
        dataclasses.replace(e, calibration=None)
    with pytest.raises(InvalidModel, match="recalibrate must be 'columns' or 'thresholds'"):
        dataclasses.replace(e.scenario, recalibrate="batch")  # type: ignore[arg-type]


def test_integers_of_a_chip_are_those_of_the_golden_model() -> None:
    e = experiment("reram_wan", read_noise="none", bits=4)
    chip = program(e.trained, e.scenario.device, 2)
    outcome = judge_chip(e, 2)
    for index, t in enumerate(TIMES):
        model = quantize(chip.network(t), 4)
        assert outcome.accuracy[index] == accuracy(
            scores(run_golden(model, e.spikes), model.network), e.labels
        )
    golden = run_golden(quantize(e.trained, 4), e.spikes)
    assert judge_ideal(e, 4).accuracy[0] == accuracy(scores(golden, e.trained.network), e.labels)


def test_read_noise_and_converters_at_every_step_are_those_of_the_chip() -> None:
    scenario = {"adc": Converter(5), "wires": Wires(1.0), "compensate": True}
    e = experiment("pcm", times=(3600.0,), **scenario)
    chip = program(e.trained, e.scenario.device, 1, wires=Wires(1.0), adc=Converter(5)).calibrated(
        e.calibration
    )
    trace = chip.run(e.spikes, 3600.0, draw=0, compensate=True)
    assert judge_chip(e, 1).accuracy[0] == accuracy(scores(trace, e.trained.network), e.labels)
    still = judge_chip(experiment("pcm", times=(3600.0,), read_noise="none", **scenario), 1)
    quiet = chip.run(e.spikes, 3600.0, compensate=True, read_noise=False)
    assert still.accuracy[0] == accuracy(scores(quiet, e.trained.network), e.labels)
    assert np.any(still.confusion != judge_chip(e, 1).confusion)


def test_one_seed_one_outcome_and_others_differ() -> None:
    e = experiment("pcm", times=(25.0, 86400.0))
    assert judge_chip(e, 0) == judge_chip(e, 0) != judge_chip(e, 1)
    alone = judge_chip(experiment("pcm", times=(86400.0,)), 0)
    assert np.array_equal(alone.confusion[0], judge_chip(e, 0).confusion[1])


def test_samples_in_chunks_are_all_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    e = experiment("additive")
    whole = judge_chip(e, 0)
    monkeypatch.setattr("neurohw.noise.judge.CHUNK", 50)
    assert judge_chip(e, 0) == whole and whole.samples == len(e.labels) == 120
    network = feed_forward([10_000, 10])
    assert (
        chunk_size(network, 100, 50) == CHUNK_VALUES // (10_010 * 100)
        and chunk_size(network, 10**6, 50) == 1
    )


def test_read_noise_of_chunks_is_not_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the same samples, in two chunks."""
    e = experiment(device_from_text("pcm:read_scale=30"), samples=60, times=(1.0,))
    twice = Experiment(
        e.trained,
        e.scenario,
        e.times,
        np.concatenate([e.spikes] * 2, axis=1),
        np.concatenate([e.labels] * 2),
    )
    monkeypatch.setattr("neurohw.noise.judge.CHIP_CHUNK", 60)
    first, both = judge_chip(e, 0).confusion, judge_chip(twice, 0).confusion
    assert np.any(both != 2 * first)


@pytest.mark.parametrize("kind", KINDS)
def test_every_device_can_be_asked(kind: str) -> None:
    outcome = judge_chip(experiment(kind, samples=20), 0)
    assert outcome.confusion.shape == (3, 10, 10) and outcome.samples == 20


def test_rate_readout_of_spiking_outputs() -> None:
    network = feed_forward([6, 5, 3], Lif(threshold=0.5), Lif(threshold=0.5))
    rng = np.random.default_rng(3)
    trained = random_trained(rng, network)
    spikes = Spikes((rng.random((8, 20, 6)) < 0.5).astype(np.uint8))
    labels = rng.integers(3, size=20)
    for readout in ("rate", "first_spike", "membrane"):
        e = Experiment(
            trained, Scenario(device_named("pcm")), (25.0,), spikes, labels, readout=readout
        )  # type: ignore[arg-type]
        chip = program(trained, device_named("pcm"), 0)
        expected = accuracy(scores(chip.run(spikes, 25.0, draw=0), network, readout), labels)
        assert judge_chip(e, 0).accuracy[0] == expected


def test_scenarios_that_make_no_sense_are_refused() -> None:
    pcm = device_named("pcm")
    with pytest.raises(InvalidModel, match="a single read has none"):
        Scenario(pcm, adc=Converter(8), read_noise="read")
    with pytest.raises(InvalidModel, match="weights that are read once"):
        Scenario(pcm, bits=4)
    with pytest.raises(InvalidModel, match="in 2..8, not 9"):
        Scenario(pcm, bits=9, read_noise="none")
    with pytest.raises(
        InvalidModel, match="read_noise must be 'none', 'read' or 'step', not 'loud'"
    ):
        Scenario(pcm, read_noise="loud")  # type: ignore[arg-type]


def test_experiments_that_make_no_sense_are_refused() -> None:
    trained, dataset, encoder = trained_digits()
    spikes, labels = encoder.encode(dataset.x_test[:5]), dataset.y_test[:5]
    scenario = Scenario(device_named("pcm"))
    with pytest.raises(InvalidData, match="labels of shape"):
        Experiment(trained, scenario, (1.0,), spikes, labels[:4])
    with pytest.raises(InvalidData, match="labels 3..10: output 'output' has 10 neurons"):
        Experiment(trained, scenario, (1.0,), spikes, np.array([3, 4, 5, 6, 10]))
    with pytest.raises(InvalidData, match="no two equal"):
        Experiment(trained, scenario, (1.0, 1.0), spikes, labels)
    with pytest.raises(InvalidModel, match="time in seconds .* not -1"):
        Experiment(trained, scenario, (-1.0,), spikes, labels)
    with pytest.raises(InvalidData, match="needs \\[time, sample, 64\\]"):
        Experiment(trained, scenario, (1.0,), spikes.counts[:, :, :3], labels)
    square = spikes.part(slice(4)).counts  # 4 steps of 4 samples
    with pytest.raises(InvalidData, match="may be exchanged"):
        Experiment(trained, scenario, (1.0,), square, labels[:4])
    assert np.array_equal(
        Experiment(trained, scenario, (1.0,), Spikes(square), labels[:4]).spikes, square
    )
    with pytest.raises(InvalidData, match="calibration samples"):
        Experiment(trained, Scenario(device_named("pcm"), adc=Converter(8)), (1.0,), spikes, labels)
    with pytest.raises(InvalidModel, match="Integrator and never fires"):
        Experiment(trained, scenario, (1.0,), spikes, labels, readout="rate")
    assert isinstance(trained.network.output.neuron, Integrator)


def test_devices_from_text() -> None:
    assert device_from_text("pcm") == device_named("pcm")
    assert device_from_text("additive:fraction=0.1,g_max_microsiemens=30") == device_named(
        "additive", fraction=0.1, g_max_microsiemens=30.0
    )
    with pytest.raises(InvalidModel, match="unknown device 'flash': known are pcm"):
        device_from_text("flash")
    with pytest.raises(InvalidModel, match="'fraction' is no parameter"):
        device_from_text("additive:fraction")
    with pytest.raises(InvalidModel, match="device additive: .*speed"):
        device_from_text("additive:speed=3")


def test_devices_by_projection() -> None:
    devices = {
        "input_to_hidden1": device_named("pcm"),
        "hidden1_to_output": device_named("reram_wan"),
    }
    trained, dataset, encoder = trained_digits()
    e = Experiment(
        trained,
        Scenario(devices),
        (25.0,),
        encoder.encode(dataset.x_test[:50]),
        dataset.y_test[:50],
    )
    chip = program(trained, devices, 4)
    expected = accuracy(scores(chip.run(e.spikes, 25.0, draw=0), trained.network), e.labels)
    assert judge_chip(e, 4).accuracy[0] == expected
    assert e.identity()["scenario"]["device"]["hidden1_to_output"] == {"kind": "reram_wan"}


def test_mapping_that_cannot_hold_the_network_names_the_projection() -> None:
    with pytest.raises(InvalidModel, match="projection 'input_to_hidden1': weights of both signs"):
        judge_chip(experiment(mapping=CrossbarMapping("unipolar")), 0)
