# SPDX-License-Identifier: Apache-2.0
"""Readouts by hand, and their PyTorch versions against the NumPy ones."""

import numpy as np
import pytest
import torch

from neurohw import Trace, feed_forward
from neurohw.errors import InvalidData, InvalidModel
from neurohw.neurons import Lif
from neurohw.readout import accuracy, check_readout, default_readout, first_spike_scores, scores
from neurohw.train import readout as torch_readout

SPIKES = np.array([[[0, 0, 0, 1]], [[1, 0, 0, 1]], [[1, 0, 1, 0]]], np.uint8)
V = np.array([[[9.0, 0, 0, 0]], [[9, 0, 0, 0]], [[1, 2, 4, 3]]])


def test_scores_by_hand() -> None:
    network = feed_forward([2, 4], output=Lif())
    trace = Trace({"output": SPIKES}, {"v.output": V})
    assert scores(trace, network).tolist() == [[2, 0, 1, 2]]
    assert scores(trace, network, "first_spike").tolist() == [[2, 0, 1, 3]]
    assert scores(trace, network, "membrane").tolist() == [[1, 2, 4, 3]]
    assert default_readout(feed_forward([2, 4])) == "membrane"


def test_torch_gives_the_same_scores_and_a_gradient() -> None:
    rng = np.random.default_rng(0)
    spikes = (rng.random((6, 50, 5)) < 0.2).astype(np.float64)
    expected = first_spike_scores(spikes)
    assert set(np.unique(expected)) == set(range(7))
    tensor = torch.from_numpy(spikes).requires_grad_()
    actual = torch_readout.first_spike_scores(tensor)
    assert np.array_equal(actual.detach().numpy(), expected)
    actual.sum().backward()
    # A spike that comes after the first changes nothing.
    after_first = (np.cumsum(spikes, axis=0) - spikes) > 0
    assert tensor.grad is not None
    assert not tensor.grad.numpy()[after_first].any() and tensor.grad.numpy()[~after_first].any()
    network = feed_forward([2, 5], output=Lif())
    trace = Trace({"output": spikes.astype(np.uint8)}, {"v.output": spikes * 0.5})
    for kind in ("rate", "membrane", "first_spike"):
        result = {
            "spikes.output": torch.from_numpy(spikes),
            "v.output": torch.from_numpy(spikes * 0.5),
        }
        assert np.array_equal(
            torch_readout.scores(result, network, kind).numpy(), scores(trace, network, kind)
        )  # type: ignore[arg-type]


def test_accuracy_prefers_the_lowest_index_among_equals() -> None:
    values = np.array([[1, 1, 0], [0, 2, 2], [0, 0, 1]])
    assert accuracy(values, np.array([0, 2, 2])) == pytest.approx(2 / 3)
    with pytest.raises(InvalidData):
        accuracy(values, np.array([0, 1]))


def test_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(InvalidModel, match="Integrator"):
        check_readout(feed_forward([2, 4]), "rate")
    with pytest.raises(InvalidModel, match="unknown readout"):
        check_readout(feed_forward([2, 4]), "median")
    with pytest.raises(InvalidData, match="states=True"):
        scores(Trace({"output": SPIKES}), feed_forward([2, 4]))
    with pytest.raises(InvalidData, match="no spikes"):
        scores(Trace({"hidden": SPIKES}), feed_forward([2, 4], output=Lif()))
