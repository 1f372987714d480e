# SPDX-License-Identifier: Apache-2.0
"""Training: determinism, resuming, early stopping, quantization-aware training."""

from pathlib import Path

import numpy as np
import pytest
import torch

from neurohw import (
    Integrator,
    Lif,
    Network,
    Population,
    Projection,
    Source,
    feed_forward,
    load_trained,
    quantize,
    run_golden,
    run_reference,
    save,
)
from neurohw.data import Dataset, Encoder, coincidences, digits
from neurohw.errors import BrokenFile, CannotWrite, InvalidData, InvalidModel
from neurohw.readout import accuracy, scores
from neurohw.train import SpikingModule, TrainConfig, digits_recipe, fit
from neurohw.train.recipes import delayed
from tests.train.common import ENCODER, NETWORK, StopAfter, assert_equal, small_digits


@pytest.fixture(scope="module")
def small() -> Dataset:
    return small_digits()


@pytest.mark.parametrize("kind", ["phase", "rate"])
@pytest.mark.parametrize("bits", [None, 4])
def test_an_interrupted_training_ends_as_if_it_had_never_stopped(
    tmp_path: Path, small: Dataset, kind: str, bits: int | None
) -> None:
    encoder = Encoder(kind, 3, seed=3)  # type: ignore[arg-type]
    config = TrainConfig(epochs=4, shift=1, rotation=5, weight_bits=bits, weight_decay=0.01)
    expected = fit(NETWORK, small, encoder, config)
    with pytest.raises(KeyboardInterrupt):
        fit(NETWORK, small, encoder, config, tmp_path, StopAfter(2))
    seen: list[int] = []
    actual = fit(
        NETWORK, small, encoder, config, tmp_path, lambda epoch, epochs, metrics: seen.append(epoch)
    )
    assert seen == [3, 4]
    assert_equal(expected, actual)


def test_an_interrupted_training_of_delays_ends_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    dataset = coincidences(samples=20)
    assert dataset.steps is not None
    encoder, network = Encoder("spikes", dataset.steps), delayed([8, 12, 4], Lif(0.5), 9)
    config = TrainConfig(
        epochs=4, learn_delays=True, dropout=0.2, time_shift=2, channel_shift=1, event_drop=0.1
    )
    expected = fit(network, dataset, encoder, config)
    with pytest.raises(KeyboardInterrupt):
        fit(network, dataset, encoder, config, tmp_path, StopAfter(2))
    assert_equal(expected, fit(network, dataset, encoder, config, tmp_path))
    changed = expected.parameters["input_to_hidden1.delay"]
    assert np.array_equal(changed, np.rint(changed)) and len(np.unique(changed)) > 4


def test_another_training_does_not_use_the_checkpoint(tmp_path: Path, small: Dataset) -> None:
    fit(NETWORK, small, ENCODER, TrainConfig(epochs=1), tmp_path)
    seen: list[int] = []
    other = TrainConfig(epochs=1, seed=5)
    actual = fit(
        NETWORK, small, ENCODER, other, tmp_path, lambda epoch, epochs, metrics: seen.append(epoch)
    )
    assert seen == [1]
    assert_equal(actual, fit(NETWORK, small, ENCODER, other))


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_a_broken_checkpoint_is_named(
    tmp_path: Path, small: Dataset, content: bytes | None
) -> None:
    config = TrainConfig(epochs=1)
    fit(NETWORK, small, ENCODER, config, tmp_path)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:2000] if content is None else content)
    with pytest.raises(BrokenFile, match=r"checkpoint\.pt"):
        fit(NETWORK, small, ENCODER, config, tmp_path)


def test_the_seed_decides(small: Dataset) -> None:
    results = [fit(NETWORK, small, ENCODER, TrainConfig(epochs=1, seed=s)) for s in (0, 0, 1)]
    assert_equal(results[0], results[1])
    weight = "input_to_hidden1.weight"
    assert not np.array_equal(results[0].parameters[weight], results[2].parameters[weight])


def test_the_best_epoch_is_kept_and_patience_stops(small: Dataset) -> None:
    config = TrainConfig(epochs=40, learning_rate=0.02, patience=2)
    trained = fit(NETWORK, small, ENCODER, config)
    history = trained.info["history"]
    accuracies = [m["validation_accuracy"] for m in history]
    best = trained.info["best_epoch"]
    assert max(accuracies) == accuracies[best - 1]
    assert len(history) == min(best + 2, 40) < 40
    spikes = ENCODER.encode(small.x_validation)
    measured = accuracy(scores(run_reference(trained, spikes), NETWORK), small.y_validation)
    assert measured == pytest.approx(
        accuracies[best - 1], abs=1.01 / len(small.y_validation)
    )  # float32 against float64
    assert trained.parent == small.digest()


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_quantize_finds_the_integers_that_were_trained(
    small: Dataset, bits: int, batch_norm: bool
) -> None:
    network = Network(
        (
            Population("input", 64, Source()),
            Population("hidden", 16, Lif(0.5)),
            Population("output", 10, Integrator()),
        ),
        (Projection("input", "hidden", batch_norm=batch_norm), Projection("hidden", "output")),
    )
    trained = fit(network, small, ENCODER, TrainConfig(epochs=2, weight_bits=bits))
    quantized = quantize(trained, bits)
    folded = trained.folded()
    for projection in network.projections:
        step = folded.parameters[f"{projection.name}.step"]
        integers = quantized.projections[projection.name].weight
        np.testing.assert_allclose(
            integers * step[:, None], folded.parameters[f"{projection.name}.weight"], rtol=1e-9
        )
        assert len(np.unique(integers)) > 2
    assert len(np.unique(trained.parameters["hidden_to_output.step"])) == 1
    module = SpikingModule.from_trained(trained, weight_bits=bits)
    again = module.to_trained(trained.steps)
    assert all(
        np.array_equal(quantize(again, bits).projections[n].weight, p.weight)
        for n, p in quantized.projections.items()
    )


def test_the_result_can_be_saved_and_trained_on(tmp_path: Path, small: Dataset) -> None:
    first = fit(NETWORK, small, ENCODER, TrainConfig(epochs=8, batch_size=20))
    save(first, tmp_path / "first")
    tuned = fit(
        load_trained(tmp_path / "first"), small, ENCODER, TrainConfig(epochs=1, weight_bits=4)
    )
    assert tuned.info["initial"] == first.digest()
    # One epoch from scratch reaches far less than one epoch on top of the float training.
    scratch = fit(NETWORK, small, ENCODER, TrainConfig(epochs=1, weight_bits=4))
    assert tuned.info["history"][0]["train_loss"] < 0.8 * scratch.info["history"][0]["train_loss"]


@pytest.mark.parametrize("readout", ["rate", "first_spike", "membrane"])
@pytest.mark.parametrize("surrogate", ["arctan", "fast_sigmoid", "triangular"])
def test_every_readout_and_surrogate_learns(small: Dataset, readout: str, surrogate: str) -> None:
    network = feed_forward([64, 32, 10], Lif(0.5), Lif(0.5))
    config = TrainConfig(
        epochs=8, batch_size=20, learning_rate=1e-2, readout=readout, surrogate=surrogate
    )  # type: ignore[arg-type]
    history = fit(network, small, Encoder("phase", 6), config).info["history"]
    assert history[-1]["train_loss"] < 0.7 * history[0]["train_loss"]
    assert max(m["validation_accuracy"] for m in history) > 0.3  # chance is 0.1


def test_what_does_not_suit_is_refused(small: Dataset) -> None:
    flat = Dataset(
        "flat",
        small.x_train,
        small.y_train,
        small.x_test,
        small.y_test,
        small.x_test,
        small.y_test,
        10,
    )
    with pytest.raises(InvalidData, match="64 features, but the network 63 inputs"):
        fit(feed_forward([63, 10]), small, ENCODER)
    with pytest.raises(InvalidData, match="10 classes, but the network 9 outputs"):
        fit(feed_forward([64, 9]), small, ENCODER)
    with pytest.raises(InvalidModel, match="Integrator"):
        fit(NETWORK, small, ENCODER, TrainConfig(readout="rate"))
    with pytest.raises(InvalidModel, match="images"):
        fit(NETWORK, flat, ENCODER, TrainConfig(shift=1))
    with pytest.raises(InvalidModel, match="weight_bits must be a whole number, in 2..8, not 9"):
        fit(NETWORK, small, ENCODER, TrainConfig(weight_bits=9))
    shared = Network(
        (Population("input", 64, Source()), Population("output", 10, Lif())),
        (Projection("input", "output"), Projection("output", "output", 1)),
    )
    with pytest.raises(InvalidModel, match="output_to_output"):
        fit(shared, small, ENCODER, TrainConfig(weight_bits=4))
    for wrong in (
        {"epochs": 0},
        {"learning_rate": 0.0},
        {"optimizer": "sgd"},
        {"patience": 0},
        {"shift": -1.0},
    ):
        with pytest.raises(InvalidModel):
            TrainConfig.from_json(wrong)
    with pytest.raises(InvalidModel, match="colour"):
        TrainConfig.from_json({"colour": 1})


def test_the_digits_recipe_reaches_its_accuracy() -> None:
    recipe, dataset = digits_recipe(), digits()
    assert 0.2 <= len(dataset.y_test) / 1797 <= 0.25 + 1e-3
    trained = fit(recipe.network, dataset, recipe.encoder, recipe.config)
    spikes = recipe.encoder.encode(dataset.x_test)
    assert accuracy(scores(run_reference(trained, spikes), recipe.network), dataset.y_test) >= 0.975
    quantized = quantize(trained, 8, max_count=recipe.encoder.max_count)
    assert accuracy(scores(run_golden(quantized, spikes), recipe.network), dataset.y_test) >= 0.97


def test_a_checkpoint_of_somebody_else_is_not_replaced(tmp_path: Path, small: Dataset) -> None:
    """`checkpoint.pt` is a common name; another program's, or a folder or link of that name, is
    told before the first epoch.
    """
    config, path = TrainConfig(epochs=1), tmp_path / "checkpoint.pt"
    torch.save({"model": torch.ones(3)}, path)
    before = path.read_bytes()
    with pytest.raises(
        BrokenFile, match=r"checkpoint\.pt: not a checkpoint of neurohw; move it away"
    ):
        fit(NETWORK, small, ENCODER, config, tmp_path)
    assert path.read_bytes() == before
    path.rename(tmp_path / "theirs.pt")
    path.symlink_to("theirs.pt")
    with pytest.raises((BrokenFile, CannotWrite)):
        fit(NETWORK, small, ENCODER, config, tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(CannotWrite, match=r"checkpoint\.pt: it is a folder"):
        fit(NETWORK, small, ENCODER, config, tmp_path)
    assert (tmp_path / "theirs.pt").read_bytes() == before
