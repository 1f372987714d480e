# SPDX-License-Identifier: Apache-2.0
"""What the parts of `benchmarks/zero_shot.py` and its page share: data, configurations of liquids
and their spike counts, divisions of samples and of pairs of digits.
"""

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from work_folder import Results, WorkFolder

from neurohw.memristor import Chip, device_named
from neurohw.neurons import Lif
from neurohw.plasticity import Events, encode
from neurohw.reservoir import resistive_chip, resistive_liquid

Indices = NDArray[np.int64]
Counts = NDArray[np.uint16]
NEURONS, THRESHOLD, READ_NOISE, BITS = 400, 5.0, 0.05, 8
SELECTION_CHIP = 1000
FOLDS, SPEAKERS, DIGITS = 5, 6, 10
AUDIO_STEPS, AUDIO_STEP_MS, CHANNELS = 128, 5, 64
IMAGE_STEPS, IMAGE_STEP_US, SIDE, BLOCK, POLARITY = 50, 6000, 16, 2, 1
PAUSE = 10  # steps between two spoken digits
PAIR_TRAIN, PAIR_TEST = 40, 20  # samples of every pair of digits
STEPS = 300  # of the contrastive training


@dataclass(frozen=True)
class Config:
    """Scales of input and recurrent weights, and leak, of a liquid."""

    input_scale: float
    scale: float
    decay: float

    def chip(self, inputs: int, steps: int, seed: int, read_fraction: float = 0.0) -> Chip:
        """A chip of these."""
        neuron = Lif(decay=self.decay, threshold=THRESHOLD, reset="hard")
        device = device_named("forming", read_fraction=read_fraction)
        return resistive_chip(
            inputs, NEURONS, self.scale, self.input_scale, device, neuron, steps, seed
        )

    @property
    def key(self) -> str:
        """For file names."""
        return f"{self.input_scale:g}-{self.scale:g}-{self.decay:g}"


CONFIGS = {
    "audio": [
        Config(i, r, 1 - 1 / 32)
        for i, r in ((1.2, 0.1), (1.2, 0.3), (2.4, 0.1), (2.4, 0.3), (2.4, 0.6))
    ],
    "image": [
        Config(i, r, 1 - 1 / 16)
        for i, r in ((0.3, 0.1), (0.3, 0.3), (0.6, 0.1), (0.6, 0.3), (1.2, 0.1))
    ],
}


@dataclass(frozen=True)
class Modality:
    """Stimuli with labels;

    raw: counts of what the liquid hears, everything: counts of all events that were recorded.
    """

    name: str
    events: Events
    steps: int
    labels: Indices
    everything: NDArray[np.float64]

    @property
    def raw(self) -> NDArray[np.float64]:
        """[sample, input]."""
        return counted(self.events)


def counted(events: Events) -> NDArray[np.float64]:
    """Events by sample and channel."""
    sample = np.repeat(np.arange(events.samples), np.diff(events.offsets))
    total = np.bincount(
        sample * events.inputs + events.channel, minlength=events.samples * events.inputs
    )
    return total.reshape(events.samples, events.inputs).astype(np.float64)


def counts_of(
    sample: Indices, channel: Indices, samples: int, channels: int
) -> NDArray[np.float64]:
    """Counts of all events."""
    total = np.bincount(sample * channels + channel, minlength=samples * channels)
    return total.reshape(samples, channels).astype(np.float64)


@dataclass(frozen=True)
class Data:
    """Both modalities."""

    audio: Modality
    image: Modality
    speaker: Indices
    index: Indices
    fold: Indices

    def of(self, name: str) -> Modality:
        """One of them."""
        return self.audio if name == "audio" else self.image


def load(folder: Path) -> Data:
    """Spoken digits with at most a spike per 5 ms and channel; one polarity of the event camera, 2
    x 2 pixels together, at most a spike per 6 ms.
    """
    with np.load(folder / "fsdd" / "fsdd_spikes64.npz") as file:
        step, channel = file["t_ms"].astype(np.int64) // AUDIO_STEP_MS, file["ch"].astype(np.int64)
        offsets = file["offsets"].astype(np.int64)
        labels, speaker, index = (file[n].astype(np.int64) for n in ("labels", "speaker", "index"))
    sample = np.repeat(np.arange(len(labels)), np.diff(offsets))
    inside = step < AUDIO_STEPS
    before = np.concatenate([[0], np.cumsum(np.bincount(sample[inside], minlength=len(labels)))])
    heard = Events.of_recordings(step[inside], channel[inside], before, CHANNELS)
    audio = Modality(
        "audio", heard, AUDIO_STEPS + 1, labels, counts_of(sample, channel, len(labels), CHANNELS)
    )
    parts = []
    with np.load(folder / "nmnist_small" / "nmnist_small.npz") as file:
        for p in ("train", "test"):
            arrays = [file[f"{p}_{n}"].astype(np.int64) for n in ("x", "y", "p", "t_us")]
            parts.append((*arrays, np.diff(file[f"{p}_offsets"]), file[f"{p}_labels"]))
    x, y, polarity, time, lengths, labels = (
        np.concatenate(a).astype(np.int64) for a in zip(*parts, strict=True)
    )
    sample, step = np.repeat(np.arange(len(labels)), lengths), time // IMAGE_STEP_US
    everything = counts_of(sample, (polarity * 34 + y) * 34 + x, len(labels), 2 * 34 * 34)
    margin = (34 - SIDE * BLOCK) // 2
    row, column = (y - margin) // BLOCK, (x - margin) // BLOCK
    inside = (np.minimum(x, y) >= margin) & (np.maximum(row, column) < SIDE) & (step < IMAGE_STEPS)
    inside &= polarity == POLARITY
    before = np.concatenate([[0], np.cumsum(np.bincount(sample[inside], minlength=len(labels)))])
    seen = Events.of_recordings(step[inside], (row * SIDE + column)[inside], before, SIDE * SIDE)
    image = Modality("image", seen, IMAGE_STEPS + 1, labels, everything)
    fold, rng = np.zeros(len(labels), np.int64), np.random.default_rng(0)
    for label in range(DIGITS):
        members = rng.permutation(np.flatnonzero(labels == label))
        fold[members] = np.arange(len(members)) % FOLDS
    return Data(audio, image, speaker, index, fold)


class Bench(WorkFolder):
    """The work folder, and counts of liquids in it."""

    def counts(self, name: str, config: Config, seed: int, events: Events, steps: int) -> Counts:
        """Spike counts of a liquid, kept in the work folder."""
        liquid = resistive_liquid(config.chip(events.inputs, steps, seed))
        folder = self.work / f"counts-{name}-{config.key}-{seed}"
        found: Counts = self.shown(
            f"{name} {config.key}, chip {seed}",
            lambda p: encode(
                liquid.trained, None, events, steps, checkpoint=folder, progress=p, threads=1
            ),
        )
        return found

    def single(self, modality: Modality, config: Config, seed: int) -> Counts:
        """Spike counts of single digits."""
        return self.counts(modality.name, config, seed, modality.events, modality.steps)


def splits(data: Data, name: str) -> list[tuple[Indices, Indices]]:
    """Training and test samples: every speaker once, or every fold once."""
    group, count = (data.speaker, SPEAKERS) if name == "audio" else (data.fold, FOLDS)
    return [(np.flatnonzero(group != k), np.flatnonzero(group == k)) for k in range(count)]


def selected(results: Results, name: str, split: int) -> Config:
    """The best configuration for a split, the first of equals."""
    found = results.found(f"select-{name}")
    if not found:
        raise SystemExit("the part `select` comes first")
    return CONFIGS[name][int(np.argmax(np.array(found[f"select-{name}"]["accuracy"])[:, split]))]


def common(results: Results, name: str) -> Config:
    """The configuration that most splits selected, the first of equals."""
    chosen = [
        selected(results, name, split) for split in range(SPEAKERS if name == "audio" else FOLDS)
    ]
    return max(chosen, key=chosen.count)


def text(right: NDArray[np.bool_]) -> str:
    """As it is stored."""
    return "".join("1" if r else "0" for r in right)


def bools(stored: str) -> NDArray[np.bool_]:
    """As it was."""
    return np.array(list(stored)) == "1"


PAIRS = list(combinations(range(DIGITS), 2))


def matchings() -> list[list[int]]:
    """The 45 pairs of ten digits in nine groups of five in which every digit is once: a round
    robin.
    """
    ring, groups = list(range(1, DIGITS)), []
    for turn in range(DIGITS - 1):
        order = [0, *ring[turn:], *ring[:turn]]
        games = [tuple(sorted((order[i], order[-1 - i]))) for i in range(DIGITS // 2)]
        groups.append(sorted(PAIRS.index(g) for g in games))  # type: ignore[arg-type]
    return groups
