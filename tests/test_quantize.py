# SPDX-License-Identifier: Apache-2.0
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurohw import (
    Lif,
    Network,
    Population,
    Projection,
    Source,
    TrainedNetwork,
    feed_forward,
    quantize,
    run_reference,
)
from neurohw.errors import InvalidModel, PrecisionWarning
from neurohw.fixedpoint import MultiplyDecay, NoDecay, ShiftDecay
from neurohw.golden import calibration_differences
from neurohw.integers import dequantize
from neurohw.integers.post_training import quantize_decay
from neurohw.integers.weights import weight_steps
from neurohw.network import FloatArray
from tests.random_networks import random_network, random_stimulus, random_trained


def test_decays_are_exact_or_declared() -> None:
    assert quantize_decay(0.75) == ShiftDecay(2)
    assert quantize_decay(1.0) == NoDecay()
    assert quantize_decay(0.9) == MultiplyDecay(410)
    assert quantize_decay(0.5, "multiply") == MultiplyDecay(2048)
    with pytest.raises(InvalidModel, match="0.9 is not 1 - 2.*train with 0.875"):
        quantize_decay(0.9, "shift")


def test_eight_bits_use_the_whole_range_and_four_bits_clip() -> None:
    rng = np.random.default_rng(0)
    weight = rng.standard_t(3, (6, 200))
    assert np.allclose(weight_steps(weight, 8, common=False), np.abs(weight).max(axis=1) / 127)

    def error(step: np.ndarray) -> np.ndarray:
        integers = np.clip(np.round(weight / step[:, None]), -8, 7)
        return ((weight - integers * step[:, None]) ** 2).sum(axis=1)

    searched, full_range = weight_steps(weight, 4, common=False), np.abs(weight).max(axis=1) / 7
    assert np.all(error(searched) < error(full_range))
    assert np.ptp(weight_steps(weight, 4, common=True)) == 0


def with_step(info: dict[str, Any] | None = None) -> TrainedNetwork:
    """Weights of -3 to 7 learned steps of 0.05, as 4 bits have them."""
    network = feed_forward([10, 8], output=Lif(0.9))
    weight = np.random.default_rng(0).integers(-3, 8, (8, 10)) * 0.05
    parameters = {
        "input_to_output.weight": weight,
        "input_to_output.step": np.full(8, 0.05),
        "output.bias": np.zeros(8),
        "output.threshold": np.ones(8),
    }
    return TrainedNetwork(network, parameters, 100, info or {})


@pytest.mark.parametrize("bits", [2, 3])
@pytest.mark.parametrize("info", [{}, {"config": {"weight_bits": 4}}])
def test_learned_steps_of_another_width_are_chosen_anew(bits: int, info: dict[str, Any]) -> None:
    """Clipping to -2..1 steps of 0.05 would leave a tenth of the spikes."""
    trained = with_step(info)
    free = {k: v for k, v in trained.parameters.items() if not k.endswith(".step")}
    with pytest.warns(PrecisionWarning, match="learned weight steps are not used.*clipped to -"):
        model = quantize(trained, bits)
    plain = quantize(TrainedNetwork(trained.network, free, 100), bits)
    weights = [m.projections["input_to_output"].weight for m in (model, plain)]
    assert np.array_equal(*weights)


@pytest.mark.parametrize("bits", [4, 5, 8])
def test_learned_steps_serve_where_all_weights_fit(bits: int) -> None:
    trained = with_step({"config": {"weight_bits": 4}})
    model = quantize(trained, bits)
    assert model.info["warnings"] == []
    expected = np.round(trained.parameters["input_to_output.weight"] / 0.05)
    assert np.array_equal(model.projections["input_to_output"].weight, expected)


def test_learned_steps_do_not_serve_weights_between_them_at_more_bits() -> None:
    """Weights as read back from devices lie between the steps of 4 bits; 8 bits resolve them."""
    trained = with_step({"config": {"weight_bits": 4}})
    noisy = {**trained.parameters}
    noisy["input_to_output.weight"] = noisy["input_to_output.weight"] + 0.005
    changed = TrainedNetwork(trained.network, noisy, 100, trained.info)
    with pytest.warns(PrecisionWarning, match="those of 4 bits, and weights .* lie between"):
        model = quantize(changed, 8)
    assert np.abs(model.projections["input_to_output"].weight).max() == 127
    assert quantize(changed, 4).info["warnings"] == []


def test_learned_steps_of_compared_neurons_must_be_one() -> None:
    trained = with_step({"config": {"weight_bits": 4}})
    steps = {"input_to_output.step": np.linspace(0.05, 0.1, 8)}
    changed = TrainedNetwork(trained.network, {**trained.parameters, **steps}, 100, trained.info)
    with pytest.warns(PrecisionWarning, match="differ between neurons that are compared"):
        model = quantize(changed, 4, common_scale=["output"])
    assert np.ptp(model.info["populations"]["output"]["unit"]) == 0


def plain(weight: FloatArray, steps: int = 100) -> TrainedNetwork:
    network = feed_forward([weight.shape[1], weight.shape[0]], output=Lif(0.9))
    parameters = {
        "input_to_output.weight": weight,
        "output.bias": np.zeros(len(weight)),
        "output.threshold": np.ones(len(weight)),
    }
    return TrainedNetwork(network, parameters, steps)


def test_a_large_weight_that_rounds_others_away_is_told() -> None:
    """A step of 20 / 7 leaves nothing of 0.5."""
    with pytest.warns(
        PrecisionWarning,
        match="'input_to_output': 4 bits change the positive weights of a neuron by 100 % .*"
        "a sum of 0.5 becomes 0 in steps of 2.86.*weight_clip",
    ):
        model = quantize(plain(np.array([[-20.0, 0.5]])), 4)
    assert model.projections["input_to_output"].weight.tolist() == [[-7, 0]]
    assert len(model.info["warnings"]) == 1


def test_a_large_weight_at_eight_bits_is_told() -> None:
    rng = np.random.default_rng(0)
    weight = np.hstack([rng.uniform(0.0, 0.2, (10, 20)), np.full((10, 1), -40.0)])
    with pytest.warns(PrecisionWarning, match="8 bits change the positive weights"):
        quantize(plain(weight), 8)


def test_strong_inhibition_beside_weak_inputs_is_told_by_projection() -> None:
    network = Network(
        (Population("input", 20, Source()), Population("output", 20, Lif(0.9))),
        (Projection("input", "output"), Projection("output", "output", 1)),
    )
    rng = np.random.default_rng(0)
    parameters = {
        "input_to_output.weight": rng.uniform(0.02, 0.2, (20, 20)),
        "output_to_output.weight": -5.0 * np.roll(np.eye(20), 1, axis=0),
        "output.bias": np.zeros(20),
        "output.threshold": np.ones(20),
    }
    with pytest.warns(PrecisionWarning, match="projection 'input_to_output'.*for 20 of 20"):
        model = quantize(TrainedNetwork(network, parameters, 100), 4)
    assert len(model.info["warnings"]) == 1


def test_one_silenced_neuron_of_many_is_told() -> None:
    weight = np.random.default_rng(0).normal(0.2, 0.1, (50, 20))
    weight[7] = 0.2
    weight[7, 0] = -20.0
    with pytest.warns(PrecisionWarning, match="1 of 50 neurons could fire and cannot in 4 bits"):
        quantize(plain(weight), 4)


@pytest.mark.parametrize("bits", [3, 4, 8])
def test_ordinary_weights_are_not_warned_of(bits: int) -> None:
    weight = np.random.default_rng(0).normal(0.02, 0.1, (64, 64))
    assert quantize(plain(weight), bits).info["warnings"] == []


@pytest.mark.parametrize("given", ["runs/digits", Path("runs/digits"), None, 3])
def test_what_is_no_model_is_refused_by_name(given: Any) -> None:
    with pytest.raises(InvalidModel, match="quantize: trained must be a TrainedNetwork, not"):
        quantize(given)
    with pytest.raises(InvalidModel, match="dequantize: model must be a QuantizedNetwork, not"):
        dequantize(given)
    with pytest.raises(InvalidModel, match="calibration_differences: trained must be a Trained"):
        calibration_differences(given, given, np.zeros((1, 1, 1)))
    if given == "runs/digits":
        with pytest.raises(InvalidModel, match=r"load it with neurohw\.load_trained"):
            quantize(given)


def test_quantizing_is_idempotent() -> None:
    """The dequantized network, quantized again with its own steps, has the same integers."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        model = quantize(random_trained(rng), 4)
        again = dequantize(model)
        steps = {}
        for projection in model.network.projections:
            unit = np.asarray(model.info["populations"][projection.target]["unit"])
            steps[f"{projection.name}.step"] = (
                unit * 2.0 ** model.projections[projection.name].exponent
            )
        repeated = quantize(
            type(again)(again.network, {**again.parameters, **steps}, again.steps), 4
        )
        for name, projection in model.projections.items():
            assert np.array_equal(projection.weight, repeated.projections[name].weight)
        for name, population in model.populations.items():
            assert np.array_equal(population.threshold, repeated.populations[name].threshold)


def test_dequantized_network_converges_to_the_trained_one() -> None:
    """Per-channel scales in thresholds change no spike: at 8 bits nearly every spike is the float
    network's.
    """
    rng = np.random.default_rng(2)
    network = feed_forward([30, 20, 10], Lif(decay=0.75), Lif(decay=0.5))
    trained = random_trained(rng, network, steps=10)
    stimulus = random_stimulus(rng, network, 10, 50)
    expected = run_reference(trained, stimulus).spikes["hidden1"]
    wrong = {
        b: np.mean(
            run_reference(dequantize(quantize(trained, b)), stimulus).spikes["hidden1"] != expected
        )
        for b in (2, 4, 8)
    }
    assert wrong[8] < 0.01 < wrong[2]
    assert wrong[8] < wrong[4] < wrong[2]


def test_power_of_two_scales_are_exact() -> None:
    """Weights on a power-of-two grid quantize without any error, thresholds included."""
    rng = np.random.default_rng(4)
    network = random_network(rng, [9, 7, 5])
    trained = random_trained(rng, network)
    parameters = {}
    for name, array in trained.parameters.items():
        parameters[name] = (
            np.clip(np.round(array * 32), 1 if "threshold" in name else -100, 100) / 32
        )
        if name.endswith(".weight"):
            parameters[name][:, 0] = 127 / 32
    exact = type(trained)(network, parameters, trained.steps)
    back = dequantize(quantize(exact, 8, resolution_bits=0))
    for name in parameters:
        assert np.allclose(back.parameters[name], parameters[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("bits", [1, 9])
def test_unsupported_weight_bits(bits: int) -> None:
    with pytest.raises(
        InvalidModel, match=f"bits of the weights must be a whole number, in 2..8, not {bits}"
    ):
        quantize(random_trained(np.random.default_rng(0)), bits)
