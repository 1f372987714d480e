# SPDX-License-Identifier: Apache-2.0
"""Truncated backpropagation through time: the forward pass of all steps, gradients that stop at the
borders of windows.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from neurohw import Integrator, Lif, Network, Population, Projection, Source, TrainedNetwork
from neurohw.data import Encoder, coincidences
from neurohw.errors import InvalidModel
from neurohw.readout import READOUTS, Readout
from neurohw.train import SpikingModule, TrainConfig, fit
from neurohw.train.functional import Carried
from neurohw.train.readout import scores
from neurohw.train.truncation import backward_in_windows
from tests.random_networks import random_graph, random_stimulus, random_trained


def module_of(rng: np.random.Generator, steps: int) -> SpikingModule:
    trained = random_trained(rng, random_graph(rng), steps, dyadic=True)
    module = SpikingModule.from_trained(trained)
    module.train()
    return module


def gradients(module: SpikingModule) -> dict[str, torch.Tensor]:
    return {
        n: torch.zeros_like(p) if p.grad is None else p.grad.clone()
        for n, p in module.named_parameters()
    }


def whole(
    module: SpikingModule, spikes: torch.Tensor, readout: Readout, labels: torch.Tensor
) -> torch.Tensor:
    module.zero_grad()
    values = scores(module(spikes), module.network, readout)
    loss = cross_entropy(values, labels)
    assume(loss.requires_grad)  # it does not where nothing arrives within so few steps
    loss.backward()
    return values.detach()


def in_windows(
    module: SpikingModule, spikes: torch.Tensor, window: int, readout: Readout, labels: torch.Tensor
) -> torch.Tensor:
    module.zero_grad()
    return backward_in_windows(
        module, spikes, window, readout, lambda values: cross_entropy(values, labels)
    )[0]


def readouts_of(network: Network) -> tuple[Readout, ...]:
    return ("membrane",) if isinstance(network.output.neuron, Integrator) else READOUTS


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_windows_put_together_are_the_whole(seed: int) -> None:
    """Every spike and state of random graphs, with delays longer than a window, recurrence and all
    neuron models.

    To the last bit, but where a gain is a sigmoid, which PyTorch rounds otherwise in a long tensor
    than in a short one.
    """
    rng = np.random.default_rng(seed)
    steps, window = int(rng.integers(1, 12)), int(rng.integers(1, 6))
    module = module_of(rng, steps)
    spikes = torch.from_numpy(random_stimulus(rng, module.network, steps, 2, 2)).double()
    with torch.no_grad():
        expected = module(spikes)
        carried, parts = Carried({}, {}), []
        for begin in range(0, steps, window):
            part, carried = module.advance(spikes[begin : begin + window], carried)
            parts.append(part)
    tolerance = 1e-12 if any(m.effect == "gain" for m in module.network.modulations) else 0.0
    for name, values in expected.items():
        torch.testing.assert_close(
            torch.cat([p[name] for p in parts]), values, rtol=tolerance, atol=tolerance
        )


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_window_of_all_steps_gives_the_same_gradients(seed: int) -> None:
    rng = np.random.default_rng(seed)
    steps = int(rng.integers(1, 10))
    module = module_of(rng, steps)
    spikes = torch.from_numpy(random_stimulus(rng, module.network, steps, 3)).double()
    labels = torch.from_numpy(rng.integers(module.network.output.size, size=3))
    for readout in readouts_of(module.network):
        expected_scores = whole(module, spikes, readout, labels)
        expected = gradients(module)
        for window in (steps, steps + 3):
            assert torch.equal(in_windows(module, spikes, window, readout, labels), expected_scores)
            actual = gradients(module)
            assert all(torch.equal(actual[n], g) for n, g in expected.items())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_readout_carries_the_gradient_over_borders_exactly(seed: int) -> None:
    """A network whose only memory is its readout loses nothing in windows, for every readout."""
    rng = np.random.default_rng(seed)
    readout = READOUTS[seed % 3]
    neurons = (
        Source(),
        Lif(0.0, reset="none"),
        Integrator(0.9, 0.5) if readout == "membrane" else Lif(0.7),
    )
    names = ("input", "hidden", "output")
    network = Network(
        tuple(
            Population(n, size, neuron)
            for n, size, neuron in zip(names, (4, 6, 3), neurons, strict=True)
        ),
        (Projection("input", "hidden"), Projection("hidden", "output")),
    )
    steps = int(rng.integers(2, 12))
    module = SpikingModule.from_trained(random_trained(rng, network, steps))
    module.train()
    spikes = torch.from_numpy(random_stimulus(rng, network, steps, 3)).double()
    labels = torch.from_numpy(rng.integers(3, size=3))
    expected_scores = whole(module, spikes, readout, labels)
    expected = gradients(module)
    actual_scores = in_windows(module, spikes, int(rng.integers(1, steps)), readout, labels)
    torch.testing.assert_close(actual_scores, expected_scores)
    torch.testing.assert_close(gradients(module), expected)
    assert any(g.abs().max() > 0 for g in expected.values())


def remembering(delay: int) -> SpikingModule:
    """One input, one neuron with memory (or a delay behind it), one readout that sees the last step
    alone.
    """
    network = Network(
        (
            Population("input", 1, Source()),
            Population("hidden", 1, Lif(0.0 if delay else 1.0, reset="none")),
            Population("output", 1, Integrator(0.0)),
        ),
        (Projection("input", "hidden"), Projection("hidden", "output", delay)),
    )
    module = SpikingModule(network, dtype=torch.float64)
    with torch.no_grad():
        module.array("input_to_hidden.weight").fill_(0.8)
        module.array("hidden_to_output.weight").fill_(1.0)
    return module


@pytest.mark.parametrize("delay", [0, 5])
def test_windows_cut_the_gradient_and_nothing_else(delay: int) -> None:
    """The only input spike comes at step 0 and acts at step 5: a window that begins after it sees
    no gradient by its weight.
    """
    module, spikes = remembering(delay), torch.zeros(6, 1, 1)
    spikes[0] = 1.0
    found = {}
    for window in range(1, 8):
        module.zero_grad()
        values, _ = backward_in_windows(module, spikes, window, "membrane", lambda v: v.sum())
        weight = module.array("input_to_hidden.weight").grad
        found[window] = 0.0 if weight is None else float(weight)
        assert torch.equal(values, scores(module(spikes), module.network, "membrane"))
    # 3: windows 0-2 and 3-5; 5: windows 0-4 and 5. A spike on its way over the border is a
    # constant, too.
    assert all(found[window] == 0.0 for window in range(1, 6))
    assert found[6] == found[7] > 0.0


def saved_bytes(run: object) -> int:
    """The most memory that tensors kept for the backward pass take at one time."""
    live: dict[int, int] = {}
    most = 0

    class Kept:
        def __init__(self, tensor: torch.Tensor) -> None:
            nonlocal most
            self.tensor, self.key = tensor, tensor.untyped_storage().data_ptr()
            live[id(self)] = tensor.untyped_storage().nbytes()
            most = max(most, sum(live.values()))

        def __del__(self) -> None:
            live.pop(id(self), None)

    with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.tensor):
        run()  # type: ignore[operator]
    return most


def test_memory_falls_with_the_window() -> None:
    network = Network(
        (
            Population("input", 8, Source()),
            Population("hidden", 16, Lif(0.9)),
            Population("output", 4, Integrator()),
        ),
        (
            Projection("input", "hidden"),
            Projection("hidden", "hidden", 1),
            Projection("hidden", "output"),
        ),
    )
    module, rng = SpikingModule(network), np.random.default_rng(0)
    spikes = torch.from_numpy(random_stimulus(rng, network, 160, 8))
    labels = torch.from_numpy(rng.integers(4, size=8))
    by_window = {
        w: saved_bytes(lambda w=w: in_windows(module, spikes, w, "membrane", labels))
        for w in (160, 40, 10)
    }
    assert by_window[40] < 0.3 * by_window[160] and by_window[10] < 0.3 * by_window[40]


def test_an_interrupted_training_in_windows_ends_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    dataset = coincidences(samples=6)
    assert dataset.steps is not None
    encoder = Encoder("spikes", dataset.steps)
    network = Network(
        (
            Population("input", 8, Source()),
            Population("hidden", 12, Lif(0.9)),
            Population("output", 4, Integrator()),
        ),
        (
            Projection("input", "hidden", max_delay=9),
            Projection("hidden", "hidden", 1),
            Projection("hidden", "output"),
        ),
    )
    config = TrainConfig(
        epochs=3, learn_delays=True, dropout=0.2, event_drop=0.1, truncation=7, spectral_radius=0.9
    )

    def stop(epoch: int, epochs: int, metrics: object) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    def equal(a: TrainedNetwork, b: TrainedNetwork) -> bool:
        return a.info == b.info and all(
            np.array_equal(b.parameters[n], v) for n, v in a.parameters.items()
        )

    expected = fit(network, dataset, encoder, config)
    with pytest.raises(KeyboardInterrupt):
        fit(network, dataset, encoder, config, tmp_path, stop)
    assert equal(expected, fit(network, dataset, encoder, config, tmp_path))
    longer = TrainConfig(**{**config.to_json(), "truncation": 1000})
    assert not equal(expected, fit(network, dataset, encoder, longer))


def test_dropout_is_the_same_in_both_passes() -> None:
    """Each window is run twice: with the first run's draws the scores of windows are those of one
    pass.
    """
    network = Network(
        (
            Population("input", 8, Source()),
            Population("hidden", 16, Lif(0.9)),
            Population("output", 4, Integrator()),
        ),
        (Projection("input", "hidden"), Projection("hidden", "output")),
    )
    module, rng = SpikingModule(network, dropout=0.5, dtype=torch.float64), np.random.default_rng(0)
    spikes = torch.from_numpy(random_stimulus(rng, network, 12, 8)).double()
    module.generator.manual_seed(4)
    carried, last = Carried({}, {}), torch.zeros(())
    for begin in range(0, 12, 4):
        result, carried = module.advance(spikes[begin : begin + 4], carried)
        last = result["v.output"][-1]
    after = module.generator.get_state()
    module.generator.manual_seed(4)
    values, _ = backward_in_windows(module, spikes, 4, "membrane", lambda v: v.square().sum())
    assert torch.equal(values, last.detach()) and torch.equal(module.generator.get_state(), after)
    # The gradient is that of the same draws: of the readout's weights it is exact, 2 v times the
    # spikes that passed.
    module.zero_grad()
    module.generator.manual_seed(4)
    carried, last = Carried({}, {}), torch.zeros(())
    for begin in range(0, 12, 4):
        result, carried = module.advance(spikes[begin : begin + 4], carried)
        last = result["v.output"][-1]
    last.square().sum().backward()
    expected = module.array("hidden_to_output.weight").grad.clone()  # type: ignore[union-attr]
    module.zero_grad()
    module.generator.manual_seed(4)
    backward_in_windows(module, spikes, 4, "membrane", lambda v: v.square().sum())
    torch.testing.assert_close(module.array("hidden_to_output.weight").grad, expected)


def test_what_cannot_be_trained_in_windows_is_refused() -> None:
    network = Network(
        (Population("input", 8, Source()), Population("output", 4, Lif())),
        (Projection("input", "output", batch_norm=True),),
    )
    dataset = coincidences(samples=4)
    assert dataset.steps is not None
    encoder = Encoder("spikes", dataset.steps)
    with pytest.raises(InvalidModel, match="input_to_output.*windows of 5 steps"):
        fit(network, dataset, encoder, TrainConfig(epochs=1, truncation=5))
    fit(network, dataset, encoder, TrainConfig(epochs=1, truncation=dataset.steps))
    for wrong in ({"truncation": 0}, {"spectral_radius": 0.0}):
        with pytest.raises(InvalidModel):
            TrainConfig.from_json(wrong)
