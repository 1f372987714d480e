# SPDX-License-Identifier: Apache-2.0
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from neurohw import (
    Integrator,
    Lif,
    Source,
    TrainedNetwork,
    feed_forward,
    load_trained,
    quantize,
    run_golden,
    run_reference,
    save,
)
from neurohw.connections import Convolution, sum_pool
from neurohw.engines import engine_named
from neurohw.errors import BrokenFile, InvalidModel
from neurohw.memristor import (
    Chip,
    Converter,
    CrossbarMapping,
    Device,
    Faults,
    Wires,
    device_named,
    layout_of,
    load_chip,
    program,
    sample_weights,
    without_noise,
)
from neurohw.memristor.converters import convert_signed, convert_unsigned
from neurohw.memristor.wires import effective_conductances, first_order
from neurohw.network import Network, Population, Projection
from neurohw.stimulus import Spikes
from tests.random_networks import random_graph, random_network, random_stimulus, random_trained

DAY = 86400.0
PCM = device_named("pcm")


def one_projection(weight: NDArray[np.float64]) -> TrainedNetwork:
    """A network whose readout is the current of its only projection: weight [target, source]."""
    targets, sources = weight.shape
    network = feed_forward([sources, targets], output=Integrator(0.0))
    return TrainedNetwork(
        network, {"input_to_output.weight": weight, "output.bias": np.zeros(targets)}, 1
    )


def currents(
    chip: Chip, spikes: NDArray[np.uint8], seconds: float, **options: Any
) -> NDArray[np.float64]:
    """[time, sample, target] of a network from `one_projection`."""
    return chip.run(Spikes(spikes), seconds, **options).states["v.output"]


def same(a: TrainedNetwork, b: TrainedNetwork) -> bool:
    return all(np.array_equal(a.parameters[n], b.parameters[n]) for n in a.parameters)


def test_without_noise_a_chip_is_its_network() -> None:
    rng = np.random.default_rng(0)
    for index in range(30):
        trained = random_trained(rng, random_graph(rng), each_neuron=True)
        spikes = random_stimulus(rng, trained.network, 6, 3, 2)
        mapping = CrossbarMapping(
            scale_per=("tile", "column")[index % 2], tile_rows=4, tile_columns=3
        )  # type: ignore[arg-type]
        chip = program(trained, without_noise(PCM), index, mapping)
        assert same(chip.network(1e4, read=3, compensate=True), trained)
        expected, actual = (
            run_reference(trained, Spikes(spikes)),
            chip.run(Spikes(spikes), 1e4, compensate=True),
        )
        for name, array in expected.arrays().items():
            np.testing.assert_allclose(actual.arrays()[name], array, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("scheme", ["differential", "offset_column", "unipolar"])
def test_every_scheme_gives_the_same_sums(scheme: str) -> None:
    rng = np.random.default_rng(1)
    weight = rng.normal(size=(11, 20))
    trained = one_projection(-np.abs(weight) if scheme == "unipolar" else weight)
    spikes = (rng.random((3, 4, 20)) < 0.5).astype(np.uint8)
    mapping = CrossbarMapping(scheme, tile_rows=7, tile_columns=4)  # type: ignore[arg-type]
    chip = program(trained, without_noise(device_named("reram_cmo")), 0, mapping)
    np.testing.assert_allclose(
        currents(chip, spikes, DAY), spikes @ trained.parameters["input_to_output.weight"].T
    )


def test_a_chip_is_a_network_for_everything_else(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    trained = random_trained(rng, random_network(rng, [12, 9, 4]))
    spikes = Spikes(random_stimulus(rng, trained.network, 5, 2))
    network = program(trained, PCM, 0).network(DAY, read=0)
    assert (
        isinstance(network, TrainedNetwork)
        and network.parent == trained.digest()
        and network.steps == trained.steps
    )
    assert save(network, tmp_path / "network") == load_trained(tmp_path / "network").digest()
    assert network.info["chip"]["seconds"] == DAY and network.info["chip"]["devices"] == ["pcm"]
    expected = run_reference(network, spikes)
    torch_trace = engine_named("torch").run(network, spikes)
    for name, array in expected.spikes.items():
        np.testing.assert_array_equal(torch_trace.spikes[name], array)
    assert run_golden(quantize(network), spikes).spikes["output"].shape == (5, 2, 4)


def test_batch_normalisation_is_folded_before_programming() -> None:
    rng = np.random.default_rng(3)
    network = Network(
        (Population("input", 6, Source()), Population("output", 5, Lif())),
        (Projection("input", "output", batch_norm=True),),
    )
    trained = random_trained(rng, network)
    assert same(program(trained, without_noise(PCM), 0).network(0.0), trained.folded())


def test_one_seed_is_one_chip_in_any_order() -> None:
    rng = np.random.default_rng(4)
    trained = random_trained(rng, random_network(rng, [10, 8, 6]))
    spikes = Spikes(random_stimulus(rng, trained.network, 4, 3))
    one, two, other = (program(trained, PCM, seed) for seed in (5, 5, 6))
    assert one.digest() == two.digest() != other.digest()
    # as another process would get it
    assert pickle.loads(pickle.dumps(one)).digest() == one.digest()
    times = [0.0, 25.0, 3600.0, DAY, 365 * DAY]
    forward = [one.network(t, read=0) for t in times]
    one.run(spikes, 3.0)
    backward = [two.network(t, read=0) for t in reversed(times)][::-1]
    assert all(same(a, b) for a, b in zip(forward, backward, strict=True))
    assert not same(one.network(DAY), other.network(DAY))
    assert not same(one.network(DAY, read=0), one.network(DAY, read=1))
    assert same(one.network(DAY), one.network(DAY)) and not same(
        one.network(DAY), one.network(2 * DAY)
    )
    for a, b in zip(*(c.run(spikes, DAY).arrays().values() for c in (one, two)), strict=True):
        np.testing.assert_array_equal(a, b)
    # what else is on a chip does not matter
    last = trained.network.projections[-1].name
    alone = program(trained, PCM, 5, projections=[last])
    np.testing.assert_array_equal(
        alone.network(DAY).parameters[f"{last}.weight"],
        one.network(DAY).parameters[f"{last}.weight"],
    )
    first = trained.network.projections[0].name
    np.testing.assert_array_equal(
        alone.network(DAY).parameters[f"{first}.weight"], trained.parameters[f"{first}.weight"]
    )


def test_drift_is_one_history_and_the_exponent_is_in_the_weights() -> None:
    weight = np.abs(np.random.default_rng(5).normal(size=(40, 50))) + 0.05
    chip = program(
        one_projection(weight),
        device_named("pcm", programming_scale=0.0),
        0,
        CrossbarMapping("unipolar"),
    )
    times = np.array([0.0, 25.0, 3600.0, DAY, 365 * DAY])
    w = np.log([chip.network(t).parameters["input_to_output.weight"] for t in times])
    x = np.log(times + 20.0)
    slopes = np.diff(w, axis=0) / np.diff(x)[:, None, None]
    np.testing.assert_allclose(slopes, np.broadcast_to(slopes[0], slopes.shape), atol=1e-9)
    np.testing.assert_allclose(
        -slopes[0], chip.crossbars["input_to_output"].cells.kept["exponent"][0], atol=1e-9
    )


def brute_force(
    chip: Chip, spikes: NDArray[np.uint8], seconds: float, reads: int
) -> NDArray[np.float64]:
    """[read, target]: the current with every device drawn by itself."""
    crossbar, rng = chip.crossbars["input_to_output"], np.random.default_rng(99)
    return np.array([crossbar.weights(seconds, rng) @ spikes for _ in range(reads)])


@pytest.mark.parametrize("scheme", ["differential", "offset_column"])
@pytest.mark.parametrize("kind", ["pcm", "reram_wan", "reram_cmo"])
def test_read_noise_is_drawn_at_every_step(kind: str, scheme: str) -> None:
    rng = np.random.default_rng(6)
    trained = one_projection(rng.normal(size=(3, 40)))
    mapping = CrossbarMapping(scheme, tile_rows=16, tile_columns=2)  # type: ignore[arg-type]
    chip = program(
        trained, device_named(kind), 0, mapping, faults=Faults(stuck_high=0.05, unformed=0.05)
    )
    pattern = (rng.random(40) < 0.6).astype(np.uint8)
    steps, samples = 20, 1000
    got = currents(chip, np.broadcast_to(pattern, (steps, samples, 40)), 3600.0)
    flat = got.reshape(-1, 3)
    expected = brute_force(chip, pattern, 3600.0, 10_000)
    np.testing.assert_allclose(
        flat.mean(axis=0), expected.mean(axis=0), atol=5 * expected.std() / 100
    )
    np.testing.assert_allclose(
        np.cov(flat.T), np.cov(expected.T), atol=0.05 * expected.var(axis=0).max()
    )
    # columns of a tile share the noise of their offset column, those of different tiles do not
    correlation = np.corrcoef(flat.T)
    assert (correlation[0, 1] > 0.2) == (scheme == "offset_column") and abs(
        correlation[0, 2]
    ) < 0.03
    # steps and samples are independent
    first, second = got[0, :, 0], got[1, :, 0]
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.12 and np.std(got[:, 0, 0]) > 0
    silent = currents(chip, np.broadcast_to(pattern, (2, 2, 40)), 3600.0, read_noise=False)
    assert (silent == silent[0, 0]).all()
    assert not np.array_equal(
        got, currents(chip, np.broadcast_to(pattern, (steps, samples, 40)), 3600.0, draw=1)
    )


def test_a_convolution_is_one_set_of_devices_read_at_every_position() -> None:
    convolution = Convolution((2, 1, 9), 4, (1, 2), groups=2)
    size = int(np.prod(convolution.output_shape))
    network = Network(
        (Population("input", 18, Source()), Population("output", size, Integrator(0.0), 4)),
        (Projection("input", "output", connection=convolution),),
    )
    rng = np.random.default_rng(7)
    weight = rng.normal(size=(4, 1, 1, 2))
    trained = TrainedNetwork(
        network, {"input_to_output.weight": weight, "output.bias": np.zeros(4)}, 1
    )
    chip = program(trained, PCM, 0, CrossbarMapping("offset_column"))
    assert chip.crossbars["input_to_output"].cells.target.shape == (1, 4, 1, 1, 2)
    read = chip.network(DAY).parameters["input_to_output.weight"]
    spikes = np.ones((1, 4000, 18), np.uint8)
    steady = currents(chip, spikes, DAY, read_noise=False)[0]
    # the same error at every position ...
    np.testing.assert_allclose(
        steady.reshape(-1, 4, 8),
        np.broadcast_to(read.sum(axis=(1, 2, 3))[:, None], (4000, 4, 8)),
        atol=1e-3,
    )
    assert np.ptp(steady.reshape(-1, 4, 8), axis=2).max() < 1e-12
    noise = currents(chip, spikes, DAY)[0] - steady
    correlation = np.corrcoef(noise.T).reshape(4, 8, 4, 8)
    assert abs(correlation[0, 0, 0, 1]) < 0.1  # ... and another read noise
    # channels of a group read their offset column together, those of another group read other rows
    # of it
    assert (
        correlation[0, 3, 1, 3] > 0.2
        and abs(correlation[0, 3, 2, 3]) < 0.1
        and abs(correlation[0, 3, 1, 4]) < 0.1
    )


def test_poolings_stay_digital() -> None:
    pool, ones = sum_pool((2, 4, 4), 2)
    network = Network(
        (
            Population("input", 32, Source()),
            Population("hidden", 8, Lif()),
            Population("output", 3, Lif()),
        ),
        (
            Projection("input", "hidden", connection=pool, trainable=False),
            Projection("hidden", "output"),
        ),
    )
    trained = random_trained(np.random.default_rng(8), network)
    assert list(program(trained, PCM, 0).crossbars) == ["hidden_to_output"]
    assert list(program(trained, {"input_to_hidden": PCM}, 0).crossbars) == ["input_to_hidden"]
    assert ones.shape == (2, 1, 2, 2)


def test_adcs_convert_every_tile_by_its_range() -> None:
    rng = np.random.default_rng(9)
    weight = rng.normal(size=(6, 10)) * np.where(np.arange(10) < 5, 1.0, 0.1)
    spikes = (rng.random((4, 50, 10)) < 0.5).astype(np.uint8)
    mapping = CrossbarMapping(tile_rows=5, tile_columns=4)
    chip = program(
        one_projection(weight), without_noise(PCM), 0, mapping, adc=Converter(4, 90.0)
    ).calibrated(Spikes(spikes))
    expected = np.zeros((4, 50, 6))
    for rows in (slice(0, 5), slice(5, 10)):
        for columns in (slice(0, 4), slice(4, 6)):
            part = spikes[..., rows] @ weight[columns, rows].T
            limit = np.percentile(np.abs(part[part != 0]), 90.0)
            expected[..., columns] += convert_signed(part, limit, 4)
    np.testing.assert_allclose(currents(chip, spikes, 0.0), expected, atol=1e-12)
    assert np.abs(expected - spikes @ weight.T).max() > 0.1
    fine = program(
        one_projection(weight), without_noise(PCM), 0, mapping, adc=Converter(20, 100)
    ).calibrated(Spikes(spikes))
    np.testing.assert_allclose(currents(fine, spikes, 0.0), spikes @ weight.T, atol=1e-4)
    with pytest.raises(InvalidModel, match="ADC has no range: call calibrated"):
        program(one_projection(weight), PCM, 0, adc=Converter()).run(spikes, 0.0)


def test_adcs_of_a_unipolar_crossbar_use_all_codes_for_one_sign() -> None:
    rng = np.random.default_rng(10)
    weight = -rng.random((5, 8))
    spikes = (rng.random((2, 40, 8)) < 0.5).astype(np.uint8)
    chip = program(
        one_projection(weight),
        without_noise(PCM),
        0,
        CrossbarMapping("unipolar"),
        adc=Converter(5, 100),
    )
    total = spikes @ weight.T
    expected = -convert_unsigned(-total, np.abs(total).max(), 5)
    np.testing.assert_allclose(
        currents(chip.calibrated(Spikes(spikes)), spikes, 0.0), expected, atol=1e-12
    )


def test_dacs_convert_counts() -> None:
    rng = np.random.default_rng(11)
    weight = rng.normal(size=(3, 8))
    spikes = rng.integers(0, 200, (2, 30, 8)).astype(np.uint8)
    chip = program(
        one_projection(weight), without_noise(PCM), 0, dac=Converter(3, 95.0)
    ).calibrated(Spikes(spikes))
    limit = np.percentile(spikes[spikes > 0], 95.0)
    np.testing.assert_allclose(
        currents(chip, spikes, 0.0), convert_unsigned(spikes, limit, 3) @ weight.T, atol=1e-9
    )
    # without a DAC a count is so many reads, with one it is one read of that height
    noisy = {}
    for dac in (None, Converter(8, 100.0)):
        chip = program(one_projection(weight), PCM, 0, dac=dac).calibrated(
            np.full((1, 1, 8), 9, np.uint8)
        )
        noisy[dac is None] = currents(chip, np.full((1, 3000, 8), 9, np.uint8), 0.0)[0].std(axis=0)
    np.testing.assert_allclose(noisy[False], 3 * noisy[True], rtol=0.1)


@pytest.mark.parametrize(
    "method,solve", [("first_order", first_order), ("exact", effective_conductances)]
)
@pytest.mark.parametrize("scheme", ["differential", "offset_column"])
def test_wires_act_within_each_tile(method: str, solve: Any, scheme: str) -> None:
    rng = np.random.default_rng(12)
    weight = rng.normal(size=(7, 9))
    mapping = CrossbarMapping(scheme, tile_rows=5, tile_columns=4)  # type: ignore[arg-type]
    chip = program(one_projection(weight), PCM, 0, mapping, wires=Wires(200.0, method))
    crossbar = chip.crossbars["input_to_output"]
    cells, reference = crossbar.conductances(DAY)
    expected = np.zeros((7, 9))
    for rows in (slice(0, 5), slice(5, 9)):
        for columns in (slice(0, 4), slice(4, 7)):
            tiles = [g[columns, rows].T for g in cells]
            if reference is None:
                difference = solve(tiles[0], 200.0) - solve(tiles[1], 200.0)
            else:
                both = solve(
                    np.column_stack([tiles[0], reference[columns.start // 4, rows]]), 200.0
                )
                difference = both[:, :-1] - both[:, -1:]
            expected[columns, rows] = difference.T * crossbar.mapped.step[columns, rows]
    np.testing.assert_allclose(crossbar.weights(DAY), expected, atol=1e-12)
    ideal = (
        program(one_projection(weight), PCM, 0, mapping)
        .network(DAY)
        .parameters["input_to_output.weight"]
    )
    assert np.abs(expected - ideal).max() > 0.01


def test_compensation_undoes_the_mean_drift() -> None:
    rng = np.random.default_rng(13)
    weight = rng.normal(size=(30, 40))
    trained = one_projection(weight)
    chip = program(trained, PCM, 0, CrossbarMapping(tile_rows=16, tile_columns=16))
    name = "input_to_output.weight"
    year = 365 * DAY
    plain, compensated = (chip.network(year, compensate=c).parameters[name] for c in (False, True))
    start = chip.network(0.0).parameters[name]
    assert np.abs(plain).sum() < 0.6 * np.abs(start).sum()
    # every tile has its first readout again
    for rows in (slice(0, 16), slice(16, 32), slice(32, 40)):
        for columns in (slice(0, 16), slice(16, 30)):
            tile = (columns, rows)
            assert np.abs(compensated[tile]).sum() == pytest.approx(np.abs(start[tile]).sum())
            largest = np.unravel_index(np.abs(plain[tile]).argmax(), plain[tile].shape)
            factor = compensated[tile][largest] / plain[tile][largest]
            np.testing.assert_allclose(compensated[tile], factor * plain[tile])
    assert np.abs(compensated - weight).mean() < 0.5 * np.abs(plain - weight).mean()
    spikes = np.ones((1, 1, 40), np.uint8)
    np.testing.assert_allclose(
        currents(chip, spikes, year, compensate=True, read_noise=False)[0, 0],
        compensated.sum(axis=1),
        rtol=0.02,
        atol=0.02,
    )


@pytest.mark.parametrize("scheme", ["differential", "offset_column"])
def test_compensation_amplifies_read_noise_with_the_rest(scheme: str) -> None:
    trained = one_projection(np.random.default_rng(17).normal(size=(5, 40)))
    chip = program(trained, PCM, 0, CrossbarMapping(scheme))  # type: ignore[arg-type]
    spikes, year = np.ones((1, 3000, 40), np.uint8), 365 * DAY
    plain, compensated = (currents(chip, spikes, year, compensate=c)[0] for c in (False, True))
    weights = [
        chip.network(year, compensate=c).parameters["input_to_output.weight"] for c in (False, True)
    ]
    factor = np.abs(weights[1]).sum() / np.abs(weights[0]).sum()
    assert factor > 1.3
    # equal draws: the same noise, larger
    np.testing.assert_allclose(compensated, factor * plain, rtol=1e-9)


@pytest.mark.parametrize("scheme", ["differential", "offset_column"])
@pytest.mark.parametrize("kind", ["pcm", "reram_wan", "forming"])
def test_chips_survive_saving(kind: str, scheme: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(14)
    trained = random_trained(rng, random_network(rng, [10, 8, 6]))
    spikes = Spikes(random_stimulus(rng, trained.network, 4, 3))
    chip = program(
        trained,
        device_named(kind),
        3,
        CrossbarMapping(scheme, levels=16, tile_rows=4),  # type: ignore[arg-type]
        Faults(0.1, 0.1, 0.1),
        Wires(1.0),
        Converter(6),
        Converter(4),
    ).calibrated(spikes)
    assert chip.save(tmp_path / "chip") == chip.digest()
    loaded = load_chip(tmp_path / "chip")
    assert loaded.digest() == chip.digest()
    assert same(
        loaded.network(DAY, read=1, compensate=True), chip.network(DAY, read=1, compensate=True)
    )
    for a, b in zip(*(c.run(spikes, DAY).arrays().values() for c in (chip, loaded)), strict=True):
        np.testing.assert_array_equal(a, b)
    arrays = tmp_path / "chip" / "arrays.safetensors"
    arrays.write_bytes(arrays.read_bytes()[:-9] + b"x" * 9)
    with pytest.raises(BrokenFile, match="chip"):
        load_chip(tmp_path / "chip")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sampled_weights_are_those_of_chips(dtype: type) -> None:
    rng = np.random.default_rng(15)
    weight = np.repeat(rng.normal(size=(1, 6)), 2000, axis=0)
    trained = one_projection(weight)
    layout = layout_of(trained, trained.network.projections[0])
    device: Device = PCM
    sample = sample_weights(weight.astype(dtype), layout, device, rng, time_seconds=DAY)
    chip = program(trained, device, 0).network(DAY, read=0).parameters["input_to_output.weight"]
    assert sample.dtype == dtype and sample.shape == weight.shape
    np.testing.assert_allclose(sample.mean(axis=0), chip.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(sample.std(axis=0), chip.std(axis=0), rtol=0.1)
    assert not np.array_equal(
        sample, sample_weights(weight.astype(dtype), layout, device, rng, time_seconds=DAY)
    )


def test_a_random_array_comes_from_forming() -> None:
    weight = np.random.default_rng(16).normal(size=(100, 100))
    limit = np.abs(weight).max()
    read = (
        program(one_projection(weight), device_named("forming"), 0)
        .network(0.0)
        .parameters["input_to_output.weight"]
    )
    # both devices of a pair unformed; one formed; both formed
    assert np.mean(read == 0) == pytest.approx(0.25, abs=0.02)
    assert abs(read.mean()) < 0.05 * limit
    # E w^2 = 2 p E G^2 - 2 p^2 mean^2 in units of the mean of a formed device, spread 0.3
    assert np.mean(read**2) / limit**2 == pytest.approx(1.09 - 0.5, rel=0.05)
    assert abs(np.corrcoef(read.ravel(), weight.ravel())[0, 1]) < 0.05


def test_what_is_not_there_is_refused_by_name() -> None:
    trained = one_projection(np.ones((2, 2)))
    with pytest.raises(
        InvalidModel, match="projection 'a_to_b': no such projection, known are input_to_output"
    ):
        program(trained, PCM, 0, projections=["a_to_b"])
    with pytest.raises(InvalidModel, match="'input_to_output': no device"):
        program(trained, {}, 0, projections=["input_to_output"])
    with pytest.raises(
        InvalidModel,
        match="seed of a chip must be a whole number, in 0..9223372036854775807, not -1",
    ):
        program(trained, PCM, -1)
    with pytest.raises(InvalidModel, match="time in seconds .* not -5"):
        program(trained, PCM, 0).network(-5.0)
