# SPDX-License-Identifier: Apache-2.0
"""Noise of devices in training: nothing without noise, the devices' own distribution with it, and
networks that survive on chips.
"""

from dataclasses import replace
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
    TrainedNetwork,
    feed_forward,
    run_reference,
)
from neurohw.data import Dataset, digits
from neurohw.errors import InvalidModel
from neurohw.memristor import (
    KINDS,
    CrossbarMapping,
    Device,
    Faults,
    device_named,
    layout_of,
    program,
    sample_weights,
    without_noise,
)
from neurohw.memristor.moments import weight_moments
from neurohw.readout import accuracy, scores
from neurohw.train import DeviceNoise, SpikingModule, TrainConfig, fit
from neurohw.train.clip import clip_at_deviations
from neurohw.train.device_noise import ChipNoise
from neurohw.train.recipes import recipe_named
from tests.random_networks import random_graph, random_trained
from tests.train.common import ENCODER, NETWORK, StopAfter, assert_equal, small_digits

DAY = 86400.0
PCM = device_named("pcm")


@pytest.fixture(scope="module")
def small() -> Dataset:
    return small_digits()


def with_batch_norm() -> Network:
    return Network(
        (
            Population("input", 64, Source()),
            Population("hidden", 16, Lif(0.5)),
            Population("output", 10, Integrator()),
        ),
        (Projection("input", "hidden", batch_norm=True), Projection("hidden", "output")),
    )


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("scheme", ["differential", "offset_column"])
def test_a_device_without_noise_changes_no_bit_of_a_training(
    small: Dataset, batch_norm: bool, scheme: str
) -> None:
    network = with_batch_norm() if batch_norm else NETWORK
    config = TrainConfig(epochs=2, shift=1, rotation=5, dropout=0.1, weight_decay=0.01)
    mapping = CrossbarMapping(scheme, "column", tile_rows=20, tile_columns=6)
    noise = DeviceNoise(without_noise(PCM), mapping, compensate=True)
    plain, noisy = (
        fit(network, small, ENCODER, c) for c in (config, replace(config, device_noise=noise))
    )
    assert plain.info["history"] == noisy.info["history"]
    for name, array in plain.parameters.items():
        assert np.array_equal(array, noisy.parameters[name]), name
    other = fit(network, small, ENCODER, replace(config, device_noise=replace(noise, device=PCM)))
    assert plain.info["history"] != other.info["history"]


@pytest.mark.parametrize("bits", [None, 4])
def test_an_interrupted_training_ends_as_if_it_had_never_stopped(
    tmp_path: Path, small: Dataset, bits: int | None
) -> None:
    noise = DeviceNoise(
        PCM, CrossbarMapping(scale_per="column"), Faults(stuck_low=0.01), compensate=True
    )
    config = TrainConfig(epochs=3, shift=1, device_noise=noise, weight_clip=2.0, weight_bits=bits)
    expected = fit(NETWORK, small, ENCODER, config)
    with pytest.raises(KeyboardInterrupt):
        fit(NETWORK, small, ENCODER, config, tmp_path, StopAfter(2))
    seen: list[int] = []
    actual = fit(
        NETWORK, small, ENCODER, config, tmp_path, lambda epoch, epochs, metrics: seen.append(epoch)
    )
    assert seen == [3]
    assert_equal(expected, actual)


def test_windows_of_truncation_see_one_chip(small: Dataset) -> None:
    """A network without memory between steps has the same gradient in windows of one step as over
    all steps: only if every window is on the same chip.
    """
    network = feed_forward([64, 10], output=Integrator(1.0))
    config = TrainConfig(epochs=1, device_noise=DeviceNoise(PCM))
    whole, windows = (
        fit(network, small, ENCODER, replace(config, truncation=n)) for n in (None, 1)
    )
    name = "input_to_output.weight"
    np.testing.assert_allclose(
        windows.parameters[name], whole.parameters[name], rtol=1e-3, atol=1e-5
    )


def draws_of(trained: TrainedNetwork, noise: DeviceNoise, count: int) -> dict[str, np.ndarray]:
    """Weights [draw, ...] of `count` draws, with folded batch normalisation as on a chip."""
    module = SpikingModule.from_trained(trained)
    sampler, found = ChipNoise(module, noise, 3), {p.name: [] for p in trained.network.projections}
    with torch.no_grad():
        for index in range(count):
            sampler.draw(index)
            for projection in trained.network.projections:
                weight = module.effective_weight(projection)
                factor = module.fold_factor(projection) if projection.batch_norm else 1.0
                found[projection.name].append((weight * factor).numpy())
    return {name: np.stack(values) for name, values in found.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_the_noise_of_training_is_that_of_programmed_chips(kind: str) -> None:
    """Mean and deviation of every weight, over 400 draws and 400 chips."""
    rng = np.random.default_rng(7)
    network = with_batch_norm()
    trained = random_trained(rng, network)
    mapping = CrossbarMapping(
        scale_per="column" if kind == "hermes_two" else "tile", tile_rows=40, tile_columns=9
    )
    drawn = draws_of(trained, DeviceNoise(device_named(kind), mapping, times_seconds=(DAY,)), 400)
    chips = [program(trained, device_named(kind), seed, mapping) for seed in range(400)]
    for name, ours in drawn.items():
        theirs = np.stack([c.network(DAY, read=0).parameters[f"{name}.weight"] for c in chips])
        scale = np.abs(trained.folded().parameters[f"{name}.weight"]).max()
        limit = (
            np.sqrt(ours.var(axis=0) / 400 + theirs.var(axis=0) / 400)
            + 0.01 * theirs.std(axis=0)
            + 1e-3 * scale
        )
        assert (np.abs(ours.mean(axis=0) - theirs.mean(axis=0)) / limit).max() < 5
        assert ours.std(axis=0).mean() == pytest.approx(theirs.std(axis=0).mean(), rel=0.03)
        heavy = theirs.std(axis=0) > 0.01 * scale
        ratio = ours.std(axis=0)[heavy] / theirs.std(axis=0)[heavy]
        assert np.abs(np.log(ratio)).mean() < 0.08 and ratio.mean() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("options", ["compensate", "levels", "offset_column", "faults"])
def test_what_surrounds_the_devices_is_in_the_noise(options: str) -> None:
    """The current of each neuron under a fixed input, over draws and over chips: also what weights
    have in common is in it.
    """
    rng = np.random.default_rng(8)
    weight = rng.normal(size=(12, 60)) * np.geomspace(1, 3, 12)[:, None]
    trained = TrainedNetwork(
        feed_forward([60, 12], output=Integrator(0.0)),
        {"input_to_output.weight": weight, "output.bias": np.zeros(12)},
        1,
    )
    mapping = CrossbarMapping(
        "offset_column" if options == "offset_column" else "differential",
        levels=9 if options == "levels" else None,
        tile_rows=30,
        tile_columns=8,
    )
    faults, compensate = (
        Faults(0.05, 0.02, 0.01) if options == "faults" else Faults(),
        options == "compensate",
    )
    noise = DeviceNoise(PCM, mapping, faults, (DAY,), compensate)
    probe = (rng.random(60) < 0.5).astype(float)
    ours = draws_of(trained, noise, 600)["input_to_output"] @ probe
    chips = [program(trained, PCM, seed, mapping, faults) for seed in range(600)]
    theirs = np.stack(
        [c.network(DAY, 0, compensate).parameters["input_to_output.weight"] @ probe for c in chips]
    )
    deviation = theirs.std(axis=0)
    assert (np.abs(ours.mean(axis=0) - theirs.mean(axis=0)) / deviation).max() < 0.25
    np.testing.assert_allclose(ours.std(axis=0), deviation, rtol=0.12)
    common = [
        np.corrcoef(currents[:, :8].T)[np.triu_indices(8, 1)].mean() for currents in (ours, theirs)
    ]
    assert common[0] == pytest.approx(common[1], abs=0.05)
    # neighbours share the devices of the offset column
    assert (common[1] > 0.2) == (options == "offset_column")


def test_sampled_weights_of_single_devices_agree(kind: str = "pcm") -> None:
    rng = np.random.default_rng(9)
    trained = random_trained(rng, NETWORK)
    projection = NETWORK.projections[0]
    device, weight = device_named(kind), trained.parameters["input_to_hidden1.weight"]
    ours = (
        draws_of(trained, DeviceNoise(device, times_seconds=(25.0,)), 100)["input_to_hidden1"]
        - weight
    )
    layout = layout_of(trained, projection)
    theirs = (
        np.stack(
            [sample_weights(weight, layout, device, rng, time_seconds=25.0) for _ in range(100)]
        )
        - weight
    )
    assert ours.std() == pytest.approx(theirs.std(), rel=0.01)
    assert (
        np.abs((ours * np.sign(weight)).mean() - (theirs * np.sign(weight)).mean())
        < 0.01 * theirs.std()
    )


def test_tables_are_exact_where_there_is_no_noise() -> None:
    for kind in KINDS:
        if kind == "forming":
            continue  # its devices ignore their targets
        found = weight_moments(
            without_noise(device_named(kind)), CrossbarMapping(), Faults(), (0.0, DAY)
        )
        assert not found.shift.any() and not found.deviation.any() and found.shared is None
    rounded = weight_moments(without_noise(PCM), CrossbarMapping(levels=3), Faults(), (0.0,))
    assert np.allclose(
        np.unique((rounded.shift[0] + np.linspace(-1, 1, 4097)).round(6)), [-1, -0.5, 0, 0.5, 1]
    )


def test_the_gradient_passes_straight_to_the_clean_weights() -> None:
    rng = np.random.default_rng(10)
    trained = random_trained(rng, NETWORK)
    spikes = torch.from_numpy((rng.random((3, 8, 64)) < 0.4).astype(np.float32))
    labels = torch.from_numpy(rng.integers(0, 10, 8))
    module = SpikingModule.from_trained(trained, dtype=torch.float32).train()
    sampler = ChipNoise(module, DeviceNoise(PCM), 0)
    sampler.draw(1)
    perturbed = {p.name: module.effective_weight(p).detach().clone() for p in NETWORK.projections}
    clean = {p.name: module.array(f"{p.name}.weight") for p in NETWORK.projections}

    def gradients() -> dict[str, torch.Tensor]:
        module.zero_grad()
        torch.nn.functional.cross_entropy(
            module(spikes, states=False)["v.output"][-1], labels
        ).backward()
        return {n: w.grad.clone() for n, w in clean.items() if w.grad is not None}

    of_perturbed = gradients()
    sampler.clear()
    with torch.no_grad():  # the same forward pass without a perturbation
        for name, weight in clean.items():
            assert not torch.equal(weight, perturbed[name])
            weight.copy_(perturbed[name])
    expected = gradients()
    assert set(expected) == set(of_perturbed) == set(clean)
    for name in clean:
        assert expected[name].any()
        torch.testing.assert_close(of_perturbed[name], expected[name])


def test_every_network_can_be_trained_with_noise() -> None:
    rng = np.random.default_rng(11)
    for index in range(15):
        trained = random_trained(rng, random_graph(rng))
        module = SpikingModule.from_trained(trained)
        sampler = ChipNoise(
            module,
            DeviceNoise(
                PCM, CrossbarMapping(tile_rows=4, tile_columns=3), compensate=bool(index % 2)
            ),
            index,
        )
        spikes = torch.from_numpy(rng.integers(0, 2, (5, 2, trained.network.input.size)))
        clean = module(spikes)
        sampler.draw(0)
        names = {
            p.name
            for p in trained.network.projections
            if trained.parameters[f"{p.name}.weight"].any()
        }
        assert names <= set(module.perturbation)
        module(spikes)
        sampler.clear()
        after = module(spikes)
        assert all(torch.equal(clean[name], after[name]) for name in clean)


@pytest.mark.parametrize("per", ["layer", "tile", "column"])
def test_clipping_bounds_every_group(small: Dataset, per: str) -> None:
    mapping = CrossbarMapping(tile_rows=30, tile_columns=7)
    noise = DeviceNoise(without_noise(PCM), mapping)
    config = TrainConfig(epochs=2, learning_rate=1e-2, device_noise=noise, weight_clip_per=per)
    free, clipped = (
        fit(NETWORK, small, ENCODER, replace(config, weight_clip=c)) for c in (None, 1.5)
    )
    for projection in NETWORK.projections:
        layout = layout_of(free, projection)
        tile_row, tile_column = layout.tile(mapping)
        key = {
            "layer": 0 * tile_row,
            "tile": 100 * tile_row + tile_column,
            "column": 100 * tile_row + layout.column,
        }[per]
        largest = []
        for trained in (free, clipped):
            weight = trained.parameters[f"{projection.name}.weight"]
            groups = [weight[key == k] for k in np.unique(key)]
            largest.append([np.abs(g).max() / g.std() for g in groups])
        # clipping makes the deviation smaller, so that the largest is more than 1.5 of what is left
        assert max(largest[1]) < 2.0 < max(largest[0])


def test_clipping_is_at_the_deviations_of_the_group() -> None:
    rng = np.random.default_rng(12)
    values = rng.normal(size=(6, 50))
    group = np.arange(6)[:, None] // 2 + np.zeros((6, 50), int)
    weight = torch.from_numpy(values.copy())
    clip_at_deviations(weight, 2.0, torch.from_numpy(group).reshape(-1), 3)
    for k in range(3):
        limit = 2.0 * values[group == k].std()
        np.testing.assert_allclose(
            weight.numpy()[group == k], np.clip(values[group == k], -limit, limit), rtol=1e-12
        )
    whole = torch.from_numpy(values.copy())
    clip_at_deviations(whole, 2.0)
    limit = 2.0 * values.std()
    np.testing.assert_allclose(whole.numpy(), np.clip(values, -limit, limit), rtol=1e-12)


def test_configurations_survive_json_and_refuse_nonsense() -> None:
    noise = DeviceNoise(
        device_named("pcm", programming_scale=2.0),
        CrossbarMapping(levels=16, tile_rows=128),
        Faults(0.1),
        (1.0, DAY),
        True,
    )
    config = TrainConfig(device_noise=noise, weight_clip=2.5, weight_clip_per="column")
    assert TrainConfig.from_json(config.to_json()) == config
    assert TrainConfig.from_json(TrainConfig().to_json()) == TrainConfig()
    with pytest.raises(InvalidModel, match="unipolar"):
        DeviceNoise(PCM, CrossbarMapping("unipolar"))
    with pytest.raises(InvalidModel, match="times_seconds is empty"):
        DeviceNoise(PCM, times_seconds=())
    with pytest.raises(InvalidModel, match="time in seconds .* not -1"):
        DeviceNoise(PCM, times_seconds=(-1.0,))
    with pytest.raises(InvalidModel, match="device noise: .*colour"):
        DeviceNoise.from_json({"device": {"kind": "pcm"}, "colour": 1})
    with pytest.raises(InvalidModel, match="weight_clip must be a number, above 1"):
        TrainConfig(weight_clip=1.0)
    with pytest.raises(InvalidModel, match="weight_clip_per"):
        TrainConfig(weight_clip_per="row")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_recipes_for_pcm_are_those_of_their_names_with_noise(name: str, small: Dataset) -> None:
    plain, noisy = recipe_named(name), recipe_named(f"{name}-pcm")
    assert noisy.network == plain.network and noisy.encoder == plain.encoder
    for before, after in ((plain.config, noisy.config), (plain.finetune, noisy.finetune)):
        if before is None or after is None:
            assert before is after
            continue
        assert (
            after.device_noise is not None
            and after.device_noise.device == PCM
            and after.weight_clip is None
        )
        assert replace(after, device_noise=None, weight_clip=None) == before
        assert TrainConfig.from_json(after.to_json()) == after
    if name == "digits":
        trained = fit(noisy.network, small, noisy.encoder, replace(noisy.config, epochs=1))
        assert trained.info["config"]["device_noise"]["device"] == {"kind": "pcm"}


def mean_accuracy(
    trained: TrainedNetwork, dataset: Dataset, device: Device, time: float, chips: int
) -> float:
    spikes = ENCODER.encode(dataset.x_test)
    found = []
    for seed in range(chips):
        network = program(trained, device, seed).network(time, read=0)
        found.append(
            accuracy(scores(run_reference(network, spikes), network.network), dataset.y_test)
        )
    return float(np.mean(found))


def test_a_network_that_met_the_devices_in_training_is_better_on_chips() -> None:
    dataset, device = digits(), device_named("hermes_one", programming_scale=2.0)
    plain = fit(
        NETWORK, dataset, ENCODER, TrainConfig(epochs=12, batch_size=32, learning_rate=5e-3)
    )
    noise = DeviceNoise(device, times_seconds=(DAY,))
    tuned = fit(
        plain,
        dataset,
        ENCODER,
        TrainConfig(
            epochs=12, batch_size=32, learning_rate=3e-3, device_noise=noise, weight_clip=2.5
        ),
    )
    same_again = fit(
        plain, dataset, ENCODER, TrainConfig(epochs=12, batch_size=32, learning_rate=3e-3)
    )
    on_chips = [mean_accuracy(t, dataset, device, DAY, 20) for t in (plain, same_again, tuned)]
    print(on_chips)
    assert on_chips[2] > max(on_chips[:2]) + 0.05
