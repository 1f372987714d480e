# SPDX-License-Identifier: Apache-2.0
"""Parts of `benchmarks/zero_shot.py`: retrieval from sound to image and back, of classes that
nothing was trained on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from zero_shot_setup import (
    AUDIO_STEPS,
    DIGITS,
    PAIR_TEST,
    PAIR_TRAIN,
    PAIRS,
    PAUSE,
    SPEAKERS,
    STEPS,
    Bench,
    Data,
    Indices,
    common,
    counted,
    matchings,
    text,
)

from neurohw.plasticity import Events
from neurohw.reservoir import Retrieval, retrieve
from neurohw.train.contrastive import fit_contrastive


def stored(found: dict[str, Retrieval]) -> dict[str, Any]:
    """Retrievals as they are stored."""
    return {n: {"right": text(r.right), "chance": r.chance} for n, r in found.items()}


def both_ways(
    audio: tuple[NDArray[Any], Indices], image: tuple[NDArray[Any], Indices]
) -> dict[str, Retrieval]:
    """Sound to image and back."""
    return {"audio_to_image": retrieve(*audio, *image), "image_to_audio": retrieve(*image, *audio)}


def digits(bench: Bench, data: Data, held: tuple[int, int], chip: int) -> dict[str, Any]:
    """Two digits held out from scaling of counts and projections."""
    kept = [d for d in range(DIGITS) if d not in held]
    features = {
        name: bench.single(data.of(name), common(bench, name), chip) for name in ("audio", "image")
    }
    labels = data.audio.labels, data.image.labels
    model = fit_contrastive(
        features["audio"], labels[0], features["image"], labels[1], kept, steps=STEPS, seed=chip
    )
    audio, image = model.first.embed(features["audio"]), model.second.embed(features["image"])
    query = [np.isin(y, held) for y in labels]
    return stored(
        both_ways((audio[query[0]], labels[0][query[0]]), (image[query[1]], labels[1][query[1]]))
    )


def run_digits(bench: Bench, data: Data, chips: int) -> None:
    """All pairs of digits."""
    for chip, held in product(range(chips), combinations(range(DIGITS), 2)):
        bench.result(
            f"digits-{held[0]}{held[1]}-chip{chip}",
            lambda held=held, chip=chip: digits(bench, data, held, chip),  # type: ignore[misc]
        )


@dataclass(frozen=True)
class Pairs:
    """Samples of pairs of digits.

    labels: which pair;
    train: made of recordings for training, else of others.
    """

    events: Events
    steps: int
    labels: Indices
    train: NDArray[np.bool_]


def made_pairs(data: Data, name: str) -> Pairs:
    """Two recordings as one sample: one speaker saying one digit after the other, in either order;
    two images side by side, either left.

    Training and test samples are made of different recordings: the indices from 25 on and those
    below of every speaker and digit, or two halves of the images.
    """
    modality, rng = data.of(name), np.random.default_rng(1 if name == "audio" else 2)
    half = data.index >= 25 if name == "audio" else rng.random(len(modality.labels)) < 0.5
    chosen, labels, train = [], [], []
    for label, pair in enumerate(PAIRS):
        for count, part in ((PAIR_TRAIN, True), (PAIR_TEST, False)):
            for _ in range(count):
                usable = half == part
                if name == "audio":
                    usable = usable & (data.speaker == rng.integers(SPEAKERS))
                ends = [
                    rng.choice(np.flatnonzero(usable & (modality.labels == d)))
                    for d in rng.permutation(pair)
                ]
                chosen.append(ends)
                labels.append(label)
                train.append(part)
    first, second = (modality.events.part(e) for e in np.array(chosen).T)
    sample = [np.repeat(np.arange(len(labels)), np.diff(e.offsets)) for e in (first, second)]
    step, channel, inputs, steps = (
        [first.step, second.step],
        [first.channel, second.channel],
        first.inputs,
        0,
    )
    if name == "audio":
        last = np.zeros(len(labels), np.int64)
        np.maximum.at(last, sample[0], first.step)
        step[1] = second.step + (last + PAUSE)[sample[1]]
        steps = 2 * AUDIO_STEPS + PAUSE + 1
    else:
        channel[1], inputs, steps = second.channel + inputs, 2 * inputs, modality.steps
    order = np.argsort(np.concatenate(sample), kind="stable")
    offsets = np.concatenate(
        [[0], np.cumsum(np.bincount(np.concatenate(sample), minlength=len(labels)))]
    )
    events = Events.of_recordings(
        np.concatenate(step)[order], np.concatenate(channel)[order], offsets, inputs
    )
    return Pairs(events, steps, np.array(labels), np.array(train))


def pairs(
    features: list[NDArray[Any]], made: list[Pairs], held: list[int], seed: int
) -> dict[str, Any]:
    """Five pairs held out; queries of them among images of them, and among images of all pairs."""
    kept = [p for p in range(len(PAIRS)) if p not in held]
    train = [(f[m.train], m.labels[m.train]) for f, m in zip(features, made, strict=True)]
    model = fit_contrastive(*train[0], *train[1], kept, steps=STEPS, samples_per_class=4, seed=seed)
    test = [
        (head.embed(f[~m.train]), m.labels[~m.train])
        for head, f, m in zip((model.first, model.second), features, made, strict=True)
    ]
    queries = [(e[np.isin(y, held)], y[np.isin(y, held)]) for e, y in test]
    found = both_ways(queries[0], queries[1])
    found |= {
        "audio_to_all_images": retrieve(*queries[0], *test[1]),
        "image_to_all_audio": retrieve(*queries[1], *test[0]),
    }
    others = [(e[~np.isin(y, held)], y[~np.isin(y, held)]) for e, y in test]
    found["trained_audio_to_all_images"] = retrieve(*others[0], *test[1])
    found["trained_image_to_all_audio"] = retrieve(*others[1], *test[0])
    return {**stored(found), "labels": [y.tolist() for _, y in queries]}


def run_pairs(bench: Bench, data: Data, chips: int) -> None:
    """Every pair held out once, for chips and for raw counts."""
    made = [made_pairs(data, name) for name in ("audio", "image")]
    sources: dict[str, Callable[[], list[NDArray[Any]]]] = {
        "raw": lambda: [counted(m.events) for m in made]
    }
    for chip in range(chips):
        sources[f"chip{chip}"] = lambda chip=chip: [  # type: ignore[misc]
            bench.counts(f"pairs-{name}", common(bench, name), chip, m.events, m.steps)
            for name, m in zip(("audio", "image"), made, strict=True)
        ]
    for source, features in sources.items():
        seed = int(source.removeprefix("chip")) if source != "raw" else 0
        for group, held in enumerate(matchings()):
            bench.result(
                f"pairs-{group}-{source}",
                lambda features=features, held=held, seed=seed: pairs(features(), made, held, seed),  # type: ignore[misc]
            )
