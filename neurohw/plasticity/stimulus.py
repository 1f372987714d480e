# SPDX-License-Identifier: Apache-2.0
"""What a plastic network is given: spikes drawn inside the kernel, or recorded events.

A draw of `Bernoulli` depends on nothing but (seed, number of the sample, step, input), so that it
is the same for any order of samples and any number of threads. In 64-bit arithmetic, with mix the
finalizer of SplitMix64 (Steele, Lea & Flood, 2014):

    key  = mix(mix(seed) + sample)
    word = mix(key + (step inputs + input) 0x9E3779B97F4A7C15)
    draw = (word >> 11) 2^-53 < rate

An input neuron that is drawn fires, and then not in the next `refractory` steps; a draw within them
is kept and fires in the step after them, as an input neuron does whose membrane stays above the
threshold.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurohw.checks import Range, at_least, check_fields
from neurohw.errors import InvalidData
from neurohw.stimulus import CURE, Spikes

STRIDE = np.uint64(0x9E3779B97F4A7C15)


def mix(word: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finalizer of SplitMix64, for every element."""
    with np.errstate(over="ignore"):
        word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return word ^ (word >> np.uint64(31))


@dataclass(frozen=True)
class Bernoulli:
    """Random spikes.

    rates: probability of a draw per step, float32 [sample, input] in 0..1.
    refractory: whole steps.

    Raises InvalidData for rates of another shape or outside 0..1, a negative seed or refractory
    time.
    """

    rates: NDArray[np.float32]
    seed: int
    refractory: int = 2

    def __post_init__(self) -> None:
        rates = np.ascontiguousarray(self.rates, np.float32)
        if rates.ndim != 2 or 0 in rates.shape:
            raise InvalidData(f"rates have shape {rates.shape}, [sample, input] is needed")
        if not (rates.min() >= 0 and rates.max() <= 1):  # also false for nan
            raise InvalidData(
                f"rates range from {rates.min():g} to {rates.max():g}: a probability per "
                "step is in 0..1"
            )
        seeds = Range(0, 2**64, open_high=True)
        check_fields(self, error=InvalidData, skip=("rates",), seed=seeds, refractory=at_least(0))
        object.__setattr__(self, "rates", rates)

    @property
    def samples(self) -> int:
        """Number of samples."""
        return len(self.rates)

    @property
    def inputs(self) -> int:
        """Number of input neurons."""
        return int(self.rates.shape[1])

    def spikes(self, steps: int, begin: int = 0, end: int | None = None) -> NDArray[np.uint8]:
        """The spikes of the samples begin ... end - 1, [time, sample, input]: the definition in
        NumPy.
        """
        rates = self.rates[begin:end].astype(np.float64)
        numbers = np.arange(begin, begin + len(rates), dtype=np.uint64)[:, None]
        with np.errstate(over="ignore"):
            key = mix(mix(np.array([self.seed], np.uint64)) + numbers)
        spikes = np.zeros((steps, *rates.shape), np.uint8)
        pending, wait = np.zeros(rates.shape, np.bool_), np.zeros(rates.shape, np.int64)
        for t in range(steps):
            place = np.uint64(t) * np.uint64(self.inputs) + np.arange(self.inputs, dtype=np.uint64)
            with np.errstate(over="ignore"):
                word = mix(key + place * STRIDE)
            pending |= (word >> np.uint64(11)).astype(np.float64) * 2.0**-53 < rates
            fires = pending & (wait == 0)
            pending &= ~fires
            wait = np.where(fires, self.refractory, np.maximum(wait - 1, 0))
            spikes[t] = fires
        return spikes


@dataclass(frozen=True)
class Events:
    """Recorded spikes: step and channel int32 [event], sorted by sample, step and channel; offsets
    [sample + 1]: where each sample begins and ends.

    Several events of a channel in one step are one spike: see `of_recordings`. A run of fewer steps
    leaves the later events out.
    Raises InvalidData for arrays that do not match or are not sorted.
    """

    step: NDArray[Any]
    channel: NDArray[Any]
    offsets: NDArray[np.int64]
    inputs: int

    def __post_init__(self) -> None:
        step, channel = (np.ascontiguousarray(a, np.int32) for a in (self.step, self.channel))
        offsets = np.ascontiguousarray(self.offsets, np.int64)
        if step.shape != channel.shape or step.ndim != 1 or offsets.ndim != 1 or len(offsets) < 2:
            raise InvalidData(
                f"events: step {step.shape}, channel {channel.shape} and offsets "
                f"{offsets.shape} do not match"
            )
        if offsets[0] != 0 or offsets[-1] != len(step) or np.any(np.diff(offsets) < 0):
            raise InvalidData(
                f"events: offsets run from {offsets[0]} to {offsets[-1]}, 0 to {len(step)} "
                "without a fall is needed"
            )
        if len(step) and not (
            step.min() >= 0 and channel.min() >= 0 and channel.max() < self.inputs
        ):
            raise InvalidData(
                f"events: channels lie in {channel.min()}..{channel.max()}, allowed are "
                f"0..{self.inputs - 1}, and steps are 0 or more"
            )
        sample = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        place = step.astype(np.int64) * self.inputs + channel
        if np.any((np.diff(place) <= 0) & (np.diff(sample) == 0)):
            raise InvalidData(
                "events: sort those of a sample by step and channel, each once "
                "(Events.of_recordings does)"
            )
        for name, array in (("step", step), ("channel", channel), ("offsets", offsets)):
            object.__setattr__(self, name, array)

    @property
    def samples(self) -> int:
        """Number of samples."""
        return len(self.offsets) - 1

    @staticmethod
    def of_recordings(
        step: ArrayLike, channel: ArrayLike, offsets: ArrayLike, inputs: int
    ) -> "Events":
        """Events of recordings [event] in any order within a recording; those alike become one."""
        steps, channels, borders = (np.asarray(a, np.int64) for a in (step, channel, offsets))
        if not (
            steps.shape == channels.shape
            and borders.ndim == 1
            and len(borders) > 1
            and borders[-1] == len(steps)
        ):
            raise InvalidData(
                f"events: step {steps.shape}, channel {channels.shape} and offsets up to "
                f"{borders[-1:]} do not match"
            )
        sample = np.repeat(np.arange(len(borders) - 1), np.diff(borders))
        span = int(steps.max(initial=0)) + 1
        place = np.unique((sample * span + steps) * inputs + channels)
        counts = np.bincount(place // (span * inputs), minlength=len(borders) - 1)
        return Events(
            place // inputs % span, place % inputs, np.concatenate([[0], np.cumsum(counts)]), inputs
        )

    @staticmethod
    def of_spikes(spikes: Spikes) -> "Events":
        """Events of spikes; a count above 1 is one spike.

        Raises InvalidData for a bare array, since no model is here to tell its axes apart.
        """
        if not isinstance(spikes, Spikes):
            raise InvalidData(f"events are made of Spikes, not of an array: {CURE}")
        sample, step, channel = np.nonzero(spikes.counts.transpose(1, 0, 2))
        counts = np.bincount(sample, minlength=spikes.samples)
        return Events(step, channel, np.concatenate([[0], np.cumsum(counts)]), spikes.neurons)

    def part(self, chosen: ArrayLike) -> "Events":
        """The events of the chosen samples, in that order."""
        index = np.asarray(chosen, np.int64)
        lengths = np.diff(self.offsets)[index]
        borders = np.concatenate([[0], np.cumsum(lengths)])
        where = np.arange(borders[-1]) + np.repeat(self.offsets[index] - borders[:-1], lengths)
        return Events(self.step[where], self.channel[where], borders, self.inputs)


Stimulus = Bernoulli | Events


def intensity_rates(images: NDArray[Any], largest: float | None = None) -> NDArray[np.float32]:
    """Rates [sample, input] of images [sample, ...]: every image is divided by its sum, and all by
    `largest`, by default the largest value that this gives.

    Every image so makes about as many spikes.
    Raises InvalidData for negative values and for an image that is empty.
    """
    values = np.asarray(images, np.float32).reshape(len(images), -1)
    total = values.sum(axis=1, keepdims=True)
    if not (values.min() >= 0 and total.min() > 0):
        raise InvalidData(
            f"images range from {values.min():g}, their sums from {total.min():g}: 0 or "
            "more, and above 0, are needed"
        )
    shares = values / total
    return shares / np.float32(shares.max() if largest is None else largest)
