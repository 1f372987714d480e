# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from neurohw import Lif, feed_forward, quantize, run_reference
from neurohw.errors import InvalidModel
from neurohw.fixedpoint import MultiplyDecay, NoDecay, ShiftDecay
from neurohw.integers import dequantize
from neurohw.integers.post_training import quantize_decay, weight_steps
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
