# SPDX-License-Identifier: Apache-2.0
"""Spikes that are drawn or recorded."""

import numpy as np
import pytest

from neurohw.errors import InvalidData
from neurohw.plasticity import Bernoulli, Events, intensity_rates
from neurohw.plasticity.stimulus import mix
from neurohw.stimulus import Spikes


def test_mix_is_the_finalizer_of_splitmix64() -> None:
    # one step by hand in whole numbers of Python
    word = 0x0123456789ABCDEF
    expected = word
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        expected = (expected ^ (expected >> shift)) * factor % 2**64
    expected ^= expected >> 31
    assert int(mix(np.array([word], np.uint64))[0]) == expected


def test_rates_and_refractory_steps() -> None:
    rates = np.array([[0.0, 0.05, 0.3, 1.0]], np.float32)
    free = Bernoulli(rates, 3, refractory=0).spikes(20000)[:, 0]
    assert np.allclose(free.mean(axis=0), rates[0], atol=4 * np.sqrt(0.25 / 20000))
    held = Bernoulli(rates, 3, refractory=2).spikes(20000)[:, 0]
    assert held[:7, 3].tolist() == [1, 0, 0, 1, 0, 0, 1]
    for channel in (1, 2):
        assert np.diff(np.flatnonzero(held[:, channel])).min() == 3
    # a draw in a refractory step is kept: after a spike comes at once another with probability 1 -
    # (1 - p)^3
    after = held[3:, 2][held[:-3, 2] > 0]
    assert after.mean() == pytest.approx(1 - 0.7**3, abs=0.02)


def test_a_sample_has_the_same_spikes_wherever_it_stands() -> None:
    stimulus = Bernoulli(np.full((5, 7), 0.2, np.float32), 1)
    every = stimulus.spikes(30)
    assert np.array_equal(stimulus.spikes(30, 2, 4), every[:, 2:4]) and np.array_equal(
        stimulus.spikes(9), every[:9]
    )
    assert not np.array_equal(every[:, 0], every[:, 1])
    assert not np.array_equal(Bernoulli(stimulus.rates, 2).spikes(30), every)


def test_events_of_recordings_are_sorted_and_alike_ones_are_one() -> None:
    events = Events.of_recordings([3, 1, 1, 1, 0], [0, 2, 1, 2, 2], [0, 4, 4, 5], 3)
    assert (events.step.tolist(), events.channel.tolist(), events.offsets.tolist()) == (
        [1, 1, 3, 0],
        [1, 2, 0, 2],
        [0, 3, 3, 4],
    )
    part = events.part([2, 0, 0])
    assert (part.step.tolist(), part.offsets.tolist()) == ([0, 1, 1, 3, 1, 1, 3], [0, 1, 4, 7])
    spikes = np.zeros((4, 3, 3), np.uint8)
    spikes[[1, 1, 3, 0], [0, 0, 0, 2], [1, 2, 0, 2]] = 2
    again = Events.of_spikes(Spikes(spikes))
    assert all(
        np.array_equal(getattr(again, n), getattr(events, n))
        for n in ("step", "channel", "offsets")
    )


def test_intensity_rates() -> None:
    images = np.array([[[0, 1], [1, 2]], [[8, 0], [0, 0]]], np.uint8)
    assert intensity_rates(images).tolist() == [[0, 0.25, 0.25, 0.5], [1, 0, 0, 0]]
    assert intensity_rates(images, 2.0)[0].tolist() == [0, 0.125, 0.125, 0.25]
    with pytest.raises(InvalidData, match="above 0"):
        intensity_rates(np.zeros((1, 4)))


def test_wrong_stimuli_are_named() -> None:
    with pytest.raises(InvalidData, match=r"0\.\.1"):
        Bernoulli(np.array([[1.5]], np.float32), 0)
    with pytest.raises(InvalidData, match="shape"):
        Bernoulli(np.zeros(3, np.float32), 0)
    with pytest.raises(InvalidData, match="seed must be a whole number.*not -1"):
        Bernoulli(np.zeros((1, 1), np.float32), -1)
    with pytest.raises(InvalidData, match="do not match"):
        Events(np.zeros(2, np.int32), np.zeros(1, np.int32), np.array([0, 2]), 1)
    with pytest.raises(InvalidData, match="offsets run from 0 to 1"):
        Events(np.zeros(2, np.int32), np.zeros(2, np.int32), np.array([0, 1]), 1)
    with pytest.raises(InvalidData, match=r"channels lie in 0\.\.3, allowed are 0\.\.2"):
        Events(np.array([0, 0]), np.array([0, 3]), np.array([0, 2]), 3)
    with pytest.raises(InvalidData, match="sort those"):
        Events(np.array([1, 0]), np.array([0, 0]), np.array([0, 2]), 3)
    with pytest.raises(InvalidData, match=r"made of Spikes, not of an array: wrap it"):
        Events.of_spikes(np.zeros((2, 3, 1)))  # type: ignore[arg-type]
