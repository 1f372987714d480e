# SPDX-License-Identifier: Apache-2.0
"""Decays of astrocytes that learn: gradients by hand, whole shifts, the same network in every
engine.
"""

import math
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
    quantize,
)
from neurohw.data import Encoder, delayed_recall
from neurohw.errors import InvalidModel
from neurohw.integers.to_float import decay_factor
from neurohw.modulation import Modulation
from neurohw.neurons import Astrocyte
from neurohw.readout import accuracy, scores
from neurohw.reference import run_reference
from neurohw.train import SpikingModule, TrainConfig, fit
from tests.random_networks import random_stimulus, random_trained
from tests.train.test_agreement import assert_agrees


def smooth() -> Network:
    """An astrocyte over the input that scales an Integrator: no threshold anywhere."""
    return Network(
        (
            Population("input", 4, Source()),
            Population("slow", 3, Astrocyte(0.9)),
            Population("output", 6, Integrator()),
        ),
        (Projection("input", "slow"), Projection("input", "output")),
        modulations=(Modulation("slow", "output", "gain", 2.0),),
    )


def unit(neurons: int = 8, inputs: int = 11) -> Network:
    """The astrocyte-modulated unit behind a readout that forgets."""
    return Network(
        (
            Population("input", inputs, Source()),
            Population("hidden", neurons, Lif(0.9, reset="hard")),
            Population("astrocyte", neurons, Astrocyte(0.9375)),
            Population("output", 2, Integrator(0.75)),
        ),
        (
            Projection("input", "hidden"),
            Projection("hidden", "astrocyte"),
            Projection("hidden", "output"),
        ),
        modulations=(Modulation("astrocyte", "hidden", "gain", 2.0),),
    )


def with_decays(trained: TrainedNetwork, name: str, decays: np.ndarray) -> TrainedNetwork:
    return TrainedNetwork(
        trained.network, {**trained.parameters, f"{name}.decay": decays}, trained.steps
    )


def test_the_gradient_is_that_of_the_decay() -> None:
    """By the shift k of 1 - 2^-k: ln 2 * 2^-k times the derivative by the decay, which the
    reference has by differences.
    """
    rng = np.random.default_rng(0)
    decays = 1 - 2.0 ** -np.array([1, 3, 5])
    trained = with_decays(random_trained(rng, smooth(), 12), "slow", decays)
    spikes = random_stimulus(rng, trained.network, 12, 5)
    module = SpikingModule.from_trained(trained, learn_decays=True)
    for states in (True, False):
        module.zero_grad()
        module(torch.from_numpy(spikes), states)["v.output"].square().sum().backward()
        actual = module.array("slow.shift").grad
        assert actual is not None
        for domain in range(3):
            change = np.eye(3)[domain] * 1e-6
            losses = [
                float(
                    np.square(
                        run_reference(with_decays(trained, "slow", d), spikes).states["v.output"]
                    ).sum()
                )
                for d in (decays + change, decays - change)
            ]
            by_decay = (losses[0] - losses[1]) / 2e-6
            expected = by_decay * math.log(2) * (1 - decays[domain])
            assert float(actual[domain]) == pytest.approx(expected, rel=1e-4)


def test_shifts_are_whole_in_the_forward_pass_and_exact_in_integers() -> None:
    rng = np.random.default_rng(1)
    trained = random_trained(rng, unit(), 20)
    module = SpikingModule.from_trained(trained, learn_decays=True)
    assert np.array_equal(module.to_trained(20).parameters["astrocyte.decay"], np.full(8, 0.9375))
    with torch.no_grad():
        module.array("astrocyte.shift").copy_(torch.linspace(-1.0, 14.0, 8))
    module.clamp()
    back = module.to_trained(20)
    decays = back.parameters["astrocyte.decay"]
    assert decays[0] == 0.5 and decays[-1] == 1 - 2.0**-12 and np.all(np.log2(1 - decays) % 1 == 0)
    spikes = random_stimulus(rng, trained.network, 20, 4)
    trace = assert_agrees(back, spikes)
    with torch.no_grad():
        assert np.array_equal(
            module(torch.from_numpy(spikes))["spikes.hidden"].numpy(), trace.spikes["hidden"]
        )
    assert trace.spikes["hidden"].any()
    integers = quantize(back, 8).populations["astrocyte"].decay
    assert np.array_equal(decay_factor(integers), decays)


def test_decays_learn_beside_quantized_weights() -> None:
    dataset = delayed_recall(2, 5, gap=10, samples=12, seed=1)
    assert dataset.steps is not None
    config = TrainConfig(
        epochs=2, batch_size=12, weight_bits=4, learn_decays=True, decay_learning_rate=0.5
    )
    trained = fit(unit(), dataset, Encoder("spikes", dataset.steps), config)
    quantized = quantize(trained, 4)
    assert np.array_equal(
        decay_factor(quantized.populations["astrocyte"].decay),
        trained.parameters["astrocyte.decay"],
    )
    assert (trained.parameters["astrocyte.decay"] != 0.9375).any()
    for projection in trained.network.projections:
        step = trained.parameters[f"{projection.name}.step"][:, None]
        weight = trained.parameters[f"{projection.name}.weight"]
        assert (
            np.array_equal(quantized.projections[projection.name].weight * step, weight)
            and weight.any()
        )


def test_an_interrupted_training_of_decays_ends_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    """It learns, too: shifts move, and the cue is remembered."""
    dataset = delayed_recall(2, 5, gap=20, samples=60, seed=1)
    assert dataset.steps is not None
    encoder = Encoder("spikes", dataset.steps)
    config = TrainConfig(epochs=8, batch_size=24, learning_rate=2e-2, learn_decays=True)

    def stop(epoch: int, epochs: int, metrics: object) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    expected = fit(unit(), dataset, encoder, config)
    with pytest.raises(KeyboardInterrupt):
        fit(unit(), dataset, encoder, config, tmp_path, stop)
    actual = fit(unit(), dataset, encoder, config, tmp_path)
    assert actual.info == expected.info
    assert all(np.array_equal(actual.parameters[n], a) for n, a in expected.parameters.items())
    assert len(np.unique(actual.parameters["astrocyte.decay"])) > 1
    trace = run_reference(actual, encoder.encode(dataset.x_test))
    assert accuracy(scores(trace, actual.network), dataset.y_test) > 0.8  # chance is 0.5


def test_decays_without_an_astrocyte_are_refused() -> None:
    with pytest.raises(InvalidModel, match="astrocyte"):
        SpikingModule(feed_forward([3, 2]), learn_decays=True)
    with pytest.raises(InvalidModel, match="decay_learning_rate"):
        TrainConfig(decay_learning_rate=0.0)
