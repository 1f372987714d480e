# SPDX-License-Identifier: Apache-2.0
"""Parts of `benchmarks/zero_shot.py`: what a linear probe makes of spike counts, and what read
noise and integers cost it.
"""

import io
from collections.abc import Callable
from functools import partial
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from zero_shot_setup import (
    BITS,
    CONFIGS,
    DIGITS,
    READ_NOISE,
    SELECTION_CHIP,
    SPEAKERS,
    Bench,
    Config,
    Counts,
    Data,
    Indices,
    Modality,
    selected,
    splits,
    text,
)

from neurohw.golden import infer
from neurohw.golden.native import run_native
from neurohw.integers import quantize
from neurohw.plasticity import Events
from neurohw.reservoir import attach_readout, resistive_liquid, ridge
from neurohw.stimulus import Spikes
from neurohw.storage import write_atomically

CHUNK = 250  # samples at once


def probed(
    features: NDArray[Any], labels: Indices, train: Indices, test: Indices
) -> NDArray[np.bool_]:
    """Which test samples a ridge regression has right; its regularisation is chosen by
    leave-one-out on the training samples.
    """
    readout = ridge(features[train], labels[train], DIGITS, normalise=False)
    right: NDArray[np.bool_] = readout.predict(features[test]) == labels[test]
    return right


def select_audio(bench: Bench, data: Data) -> dict[str, Any]:
    """Accuracy [configuration, speaker left out, training speaker left out in turn] of probes that
    were fitted to the four others.
    """
    labels = data.audio.labels
    accuracy = np.zeros((len(CONFIGS["audio"]), SPEAKERS, SPEAKERS))
    for c, config in enumerate(CONFIGS["audio"]):
        counts = bench.single(data.audio, config, SELECTION_CHIP)
        for a, b in combinations(range(SPEAKERS), 2):
            rest, at_b, at_a = (
                np.flatnonzero(x)
                for x in (~np.isin(data.speaker, [a, b]), data.speaker == b, data.speaker == a)
            )
            readout = ridge(counts[rest], labels[rest], DIGITS, normalise=False)
            for outer, inner, judged_on in ((a, b, at_b), (b, a, at_a)):
                accuracy[c, outer, inner] = (
                    readout.predict(counts[judged_on]) == labels[judged_on]
                ).mean()
    return {"accuracy": (accuracy.sum(axis=2) / (SPEAKERS - 1)).tolist()}


def select_image(bench: Bench, data: Data) -> dict[str, Any]:
    """Leave-one-out accuracy [configuration, fold left out] of the training samples."""
    accuracy = []
    for config in CONFIGS["image"]:
        counts = bench.single(data.image, config, SELECTION_CHIP)
        readouts = [
            ridge(counts[t], data.image.labels[t], DIGITS, normalise=False)
            for t, _ in splits(data, "image")
        ]
        accuracy.append([r.info["leave_one_out_accuracy"] for r in readouts])
    return {"accuracy": accuracy}


def run_select(bench: Bench, data: Data, chips: int) -> None:
    """Both modalities."""
    bench.result("select-audio", lambda: select_audio(bench, data))
    bench.result("select-image", lambda: select_image(bench, data))


def judged(
    labels: Indices, train: Indices, test: Indices, features: NDArray[Any]
) -> dict[str, Any]:
    """`probed`, as it is stored."""
    right = probed(features, labels, train, test)
    return {"accuracy": float(right.mean()), "right": text(right)}


def run_probe(bench: Bench, data: Data, chips: int) -> None:
    """The same probe on raw counts, on counts of everything recorded, and on counts of liquids."""
    for name in ("audio", "image"):
        modality = data.of(name)
        for split, (train, test) in enumerate(splits(data, name)):
            of = partial(judged, modality.labels, train, test)
            for kind, raw in (("raw", modality.raw), ("everything", modality.everything)):
                bench.result(f"probe-{name}-{split}-{kind}", partial(of, raw))
            config = selected(bench, name, split)
            for chip in range(chips):
                key = f"probe-{name}-{split}-chip{chip}"
                bench.result(
                    key, lambda of=of, m=modality, c=config, n=chip: of(bench.single(m, c, n))
                )  # type: ignore[misc]


def stimulus(events: Events, chosen: Indices, steps: int) -> NDArray[np.uint8]:
    """Spikes [time, sample, input] of the chosen samples."""
    part = events.part(chosen)
    spikes = np.zeros((steps, len(chosen), events.inputs), np.uint8)
    sample = np.repeat(np.arange(len(chosen)), np.diff(part.offsets))
    spikes[part.step, sample, part.channel] = 1
    return spikes


def chunks(indices: Indices) -> list[Indices]:
    """Parts that fit into memory."""
    return [indices[start : start + CHUNK] for start in range(0, len(indices), CHUNK)]


def kept_counts(
    bench: Bench,
    key: str,
    modality: Modality,
    fired: Callable[[NDArray[np.uint8], int], NDArray[Any]],
) -> Counts:
    """Counts of all samples, kept in the work folder.

    fired: spikes [time, sample, neuron] for a stimulus, the number-th of these.
    """
    path = bench.work / f"{key}.npy"
    if not path.is_file():

        def work(progress: Callable[[int, int], None]) -> Counts:
            found = []
            for number, part in enumerate(chunks(np.arange(modality.events.samples))):
                spikes = stimulus(modality.events, part, modality.steps)
                found.append(fired(spikes, number).sum(axis=0, dtype=np.uint16))
                progress(sum(len(f) for f in found), modality.events.samples)
            return np.concatenate(found)

        buffer = io.BytesIO()
        np.save(buffer, bench.shown(key, work))
        write_atomically(path, buffer.getvalue())
    counts: Counts = np.load(path, allow_pickle=False)
    return counts


def noisy(bench: Bench, data: Data, name: str, split: int, chip: int) -> dict[str, Any]:
    """Probes fitted to noiseless counts and to counts with read noise, on counts of the same chip
    with read noise.
    """
    modality, config = data.of(name), selected(bench, name, split)
    train, test = splits(data, name)[split]
    device = config.chip(modality.events.inputs, modality.steps, chip, READ_NOISE)

    def fired(spikes: NDArray[np.uint8], number: int) -> NDArray[Any]:
        return device.run(Spikes(spikes), 0.0, states=False, draw=number).spikes["liquid"]

    counts = kept_counts(bench, f"noisy-counts-{name}-{config.key}-{chip}", modality, fired)
    clean = bench.single(modality, config, chip)
    labels = modality.labels
    plain, adapted = (
        ridge(c[train], labels[train], DIGITS, normalise=False) for c in (clean, counts)
    )
    right = {
        "clean": plain.predict(clean[test]) == labels[test],
        "noisy": plain.predict(counts[test]) == labels[test],
        "adapted": adapted.predict(counts[test]) == labels[test],
    }
    differ = np.abs(counts[test].astype(int) - clean[test]).sum() / max(int(clean[test].sum()), 1)
    found = {k: float(r.mean()) for k, r in right.items()} | {
        f"right_{k}": text(r) for k, r in right.items()
    }
    return {**found, "differ": float(differ)}


def run_noise(bench: Bench, data: Data, chips: int) -> None:
    """Every split and chip."""
    for name in ("audio", "image"):
        for chip, split in product(range(chips), range(len(splits(data, name)))):
            bench.result(
                f"noise-{name}-{split}-chip{chip}",
                lambda name=name, split=split, chip=chip: noisy(bench, data, name, split, chip),  # type: ignore[misc]
            )


def integer_counts(bench: Bench, modality: Modality, config: Config, chip: int) -> Counts:
    """Counts of the quantized liquid, of all samples."""
    liquid = resistive_liquid(config.chip(modality.events.inputs, modality.steps, chip))
    model = quantize(liquid.trained, BITS, max_count=1)

    def fired(spikes: NDArray[np.uint8], number: int) -> NDArray[Any]:
        return run_native(model, Spikes(spikes), states=False).spikes["liquid"]

    return kept_counts(
        bench, f"integer-counts-{modality.name}-{config.key}-{chip}", modality, fired
    )


def integers(bench: Bench, data: Data, name: str, split: int) -> dict[str, Any]:
    """Float and golden accuracy of liquid and readout as one network, chip 0; each readout is
    fitted to counts of its own liquid (docs/adr/0014).
    """
    modality, config = data.of(name), selected(bench, name, split)
    train, test = splits(data, name)[split]
    liquid = resistive_liquid(config.chip(modality.events.inputs, modality.steps, 0))
    counts = {
        "float": bench.single(modality, config, 0),
        "golden": integer_counts(bench, modality, config, 0),
    }
    readouts = {
        k: ridge(c[train], modality.labels[train], DIGITS, standardise=False)
        for k, c in counts.items()
    }
    model = quantize(attach_readout(liquid, readouts["golden"]), BITS, max_count=1)

    found = [
        infer(model, Spikes(stimulus(modality.events, part, modality.steps)))
        for part in chunks(test)
    ]
    golden = np.concatenate(found).argmax(axis=1) == modality.labels[test]
    right = readouts["float"].predict(counts["float"][test]) == modality.labels[test]
    differ = np.abs(counts["golden"][test].astype(int) - counts["float"][test]).sum() / max(
        int(counts["float"][test].sum()), 1
    )
    return {
        "float": float(right.mean()),
        "golden": float(golden.mean()),
        "samples": len(test),
        "differ": float(differ),
        "synapses": sum(
            len(liquid.trained.parameters[f"{p}_to_liquid.weight"]) for p in ("input", "liquid")
        ),
    }


def run_integers(bench: Bench, data: Data, chips: int) -> None:
    """Every split."""
    for name in ("audio", "image"):
        for split in range(len(splits(data, name))):
            bench.result(
                f"integers-{name}-{split}",
                lambda name=name, split=split: integers(bench, data, name, split),
            )  # type: ignore[misc]
