"""The resistive liquid state machine: what its spike counts tell a linear probe, what read noise and integers cost, and retrieval of classes never trained.

    python benchmarks/zero_shot.py DATA WORK [PART ...] [--chips 5] [--out benchmarks/zero_shot.md]

DATA: folder with fsdd/fsdd_spikes64.npz and nmnist_small/nmnist_small.npz. WORK: folder for counts and results; what is there is not repeated, and an interrupted run goes on.
PARTS, all by default, in this order:

    select      scales of the liquids, on training samples only, with a chip that is used for nothing else
    probe       the same linear probe on raw counts and on counts of the liquid: spoken digits leaving each speaker out, event camera cross-validated
    noise       accuracy with 5 % read noise, drawn for every device and step, and a probe that was fitted without
    integers    accuracy of the whole quantized network, liquid and readout, on the golden integers that the RTL equals
    digits      retrieval from sound to image and back of two digits that the projections were not trained on, all 45 pairs of digits
    pairs       the same with classes that are pairs of digits: pairs never trained, of digits known from other pairs
    page        nothing but the page, which every call writes from the results that are there
"""

import argparse
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from work_folder import WorkFolder
from zero_shot_page import write_page
from zero_shot_setup import (
    AUDIO_STEPS,
    BITS,
    CONFIGS,
    DIGITS,
    PAIR_TEST,
    PAIR_TRAIN,
    PAIRS,
    PAUSE,
    READ_NOISE,
    SELECTION_CHIP,
    SPEAKERS,
    STEPS,
    Config,
    Data,
    Indices,
    Modality,
    common,
    counted,
    load,
    matchings,
    selected,
    splits,
)

from neurohw.golden.native import run_native
from neurohw.plasticity import Events, encode
from neurohw.quantize import quantize
from neurohw.readout import scores
from neurohw.reservoir import Retrieval, attach_readout, resistive_liquid, retrieve, ridge
from neurohw.storage import write_atomically
from neurohw.train.contrastive import fit_contrastive

Counts = NDArray[np.uint16]
PARTS = ("select", "probe", "noise", "integers", "digits", "pairs", "page")
CHUNK = 250


class Bench(WorkFolder):
    """The work folder, and counts of liquids in it."""

    def counts(self, name: str, config: Config, seed: int, events: Events, steps: int) -> Counts:
        """Spike counts of a liquid, kept in the work folder."""
        liquid = resistive_liquid(config.chip(events.inputs, steps, seed))
        folder = self.work / f"counts-{name}-{config.key}-{seed}"
        found: Counts = self.shown(
            f"{name} {config.key}, chip {seed}",
            lambda p: encode(liquid.trained, None, events, steps, checkpoint=folder, progress=p, threads=1),
        )
        return found

    def single(self, modality: Modality, config: Config, seed: int) -> Counts:
        """Spike counts of single digits."""
        return self.counts(modality.name, config, seed, modality.events, modality.steps)


def probed(features: NDArray[Any], labels: Indices, train: Indices, test: Indices) -> NDArray[np.bool_]:
    """Which test samples a ridge regression has right; its regularisation is chosen by leave-one-out on the training samples."""
    readout = ridge(features[train], labels[train], DIGITS, normalise=False)
    right: NDArray[np.bool_] = readout.predict(features[test]) == labels[test]
    return right


def select_audio(bench: Bench, data: Data) -> dict[str, Any]:
    """Accuracy [configuration, speaker left out, training speaker left out in turn] of probes that were fitted to the four others."""
    labels = data.audio.labels
    accuracy = np.zeros((len(CONFIGS["audio"]), SPEAKERS, SPEAKERS))
    for c, config in enumerate(CONFIGS["audio"]):
        counts = bench.single(data.audio, config, SELECTION_CHIP)
        for a, b in combinations(range(SPEAKERS), 2):
            rest, at_b, at_a = (
                np.flatnonzero(x) for x in (~np.isin(data.speaker, [a, b]), data.speaker == b, data.speaker == a)
            )
            readout = ridge(counts[rest], labels[rest], DIGITS, normalise=False)
            for outer, inner, judged_on in ((a, b, at_b), (b, a, at_a)):
                accuracy[c, outer, inner] = (readout.predict(counts[judged_on]) == labels[judged_on]).mean()
    return {"accuracy": (accuracy.sum(axis=2) / (SPEAKERS - 1)).tolist()}


def select_image(bench: Bench, data: Data) -> dict[str, Any]:
    """Leave-one-out accuracy [configuration, fold left out] of the training samples."""
    accuracy = []
    for config in CONFIGS["image"]:
        counts = bench.single(data.image, config, SELECTION_CHIP)
        readouts = [ridge(counts[t], data.image.labels[t], DIGITS, normalise=False) for t, _ in splits(data, "image")]
        accuracy.append([r.info["leave_one_out_accuracy"] for r in readouts])
    return {"accuracy": accuracy}


def run_select(bench: Bench, data: Data, chips: int) -> None:
    """Both modalities."""
    bench.result("select-audio", lambda: select_audio(bench, data))
    bench.result("select-image", lambda: select_image(bench, data))


def text(right: NDArray[np.bool_]) -> str:
    """As it is stored."""
    return "".join("1" if r else "0" for r in right)


def judged(labels: Indices, train: Indices, test: Indices, features: NDArray[Any]) -> dict[str, Any]:
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
                bench.result(key, lambda of=of, m=modality, c=config, n=chip: of(bench.single(m, c, n)))  # type: ignore[misc]


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
    bench: Bench, key: str, modality: Modality, fired: Callable[[NDArray[np.uint8], int], NDArray[Any]]
) -> Counts:
    """Counts of all samples, kept in the work folder. fired: spikes [time, sample, neuron] for a stimulus, the number-th of these."""
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
    """Probes fitted to noiseless counts and to counts with read noise, on counts of the same chip with read noise."""
    modality, config = data.of(name), selected(bench, name, split)
    train, test = splits(data, name)[split]
    device = config.chip(modality.events.inputs, modality.steps, chip, READ_NOISE)

    def fired(spikes: NDArray[np.uint8], number: int) -> NDArray[Any]:
        return device.run(spikes, 0.0, states=False, draw=number).spikes["liquid"]

    counts = kept_counts(bench, f"noisy-counts-{name}-{config.key}-{chip}", modality, fired)
    clean = bench.single(modality, config, chip)
    labels = modality.labels
    plain, adapted = (ridge(c[train], labels[train], DIGITS, normalise=False) for c in (clean, counts))
    right = {
        "clean": plain.predict(clean[test]) == labels[test],
        "noisy": plain.predict(counts[test]) == labels[test],
        "adapted": adapted.predict(counts[test]) == labels[test],
    }
    differ = np.abs(counts[test].astype(int) - clean[test]).sum() / max(int(clean[test].sum()), 1)
    found = {k: float(r.mean()) for k, r in right.items()} | {f"right_{k}": text(r) for k, r in right.items()}
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
        return run_native(model, spikes, states=False).spikes["liquid"]

    return kept_counts(bench, f"integer-counts-{modality.name}-{config.key}-{chip}", modality, fired)


def integers(bench: Bench, data: Data, name: str, split: int) -> dict[str, Any]:
    """Float and golden accuracy of liquid and readout as one network, chip 0; each readout is fitted to counts of its own liquid (docs/adr/0014)."""
    modality, config = data.of(name), selected(bench, name, split)
    train, test = splits(data, name)[split]
    liquid = resistive_liquid(config.chip(modality.events.inputs, modality.steps, 0))
    counts = {"float": bench.single(modality, config, 0), "golden": integer_counts(bench, modality, config, 0)}
    readouts = {k: ridge(c[train], modality.labels[train], DIGITS, standardise=False) for k, c in counts.items()}
    model = quantize(attach_readout(liquid, readouts["golden"]), BITS, max_count=1)

    def work(progress: Callable[[int, int], None]) -> NDArray[Any]:
        predicted: list[NDArray[Any]] = []
        for part in chunks(test):
            trace = run_native(model, stimulus(modality.events, part, modality.steps), states=True)
            assert np.array_equal(trace.spikes["liquid"].sum(axis=0), counts["golden"][part])
            predicted.append(scores(trace, model.network).argmax(axis=1))
            progress(sum(len(p) for p in predicted), len(test))
        return np.concatenate(predicted)

    golden = bench.shown(f"{name} {split}, golden", work) == modality.labels[test]
    right = readouts["float"].predict(counts["float"][test]) == modality.labels[test]
    differ = np.abs(counts["golden"][test].astype(int) - counts["float"][test]).sum() / max(
        int(counts["float"][test].sum()), 1
    )
    return {
        "float": float(right.mean()),
        "golden": float(golden.mean()),
        "samples": len(test),
        "differ": float(differ),
        "synapses": sum(len(liquid.trained.parameters[f"{p}_to_liquid.weight"]) for p in ("input", "liquid")),
    }


def run_integers(bench: Bench, data: Data, chips: int) -> None:
    """Every split."""
    for name in ("audio", "image"):
        for split in range(len(splits(data, name))):
            bench.result(f"integers-{name}-{split}", lambda name=name, split=split: integers(bench, data, name, split))  # type: ignore[misc]


def stored(found: dict[str, Retrieval]) -> dict[str, Any]:
    """Retrievals as they are stored."""
    return {n: {"right": text(r.right), "chance": r.chance} for n, r in found.items()}


def both_ways(audio: tuple[NDArray[Any], Indices], image: tuple[NDArray[Any], Indices]) -> dict[str, Retrieval]:
    """Sound to image and back."""
    return {"audio_to_image": retrieve(*audio, *image), "image_to_audio": retrieve(*image, *audio)}


def digits(bench: Bench, data: Data, held: tuple[int, int], chip: int) -> dict[str, Any]:
    """Two digits held out from scaling of counts and projections."""
    kept = [d for d in range(DIGITS) if d not in held]
    features = {name: bench.single(data.of(name), common(bench, name), chip) for name in ("audio", "image")}
    labels = data.audio.labels, data.image.labels
    model = fit_contrastive(features["audio"], labels[0], features["image"], labels[1], kept, steps=STEPS, seed=chip)
    audio, image = model.first.embed(features["audio"]), model.second.embed(features["image"])
    query = [np.isin(y, held) for y in labels]
    return stored(both_ways((audio[query[0]], labels[0][query[0]]), (image[query[1]], labels[1][query[1]])))


def run_digits(bench: Bench, data: Data, chips: int) -> None:
    """All pairs of digits."""
    for chip, held in product(range(chips), combinations(range(DIGITS), 2)):
        bench.result(
            f"digits-{held[0]}{held[1]}-chip{chip}",
            lambda held=held, chip=chip: digits(bench, data, held, chip),  # type: ignore[misc]
        )


@dataclass(frozen=True)
class Pairs:
    """Samples of pairs of digits. labels: which pair; train: made of recordings for training, else of others."""

    events: Events
    steps: int
    labels: Indices
    train: NDArray[np.bool_]


def made_pairs(data: Data, name: str) -> Pairs:
    """Two recordings as one sample: one speaker saying one digit after the other, in either order; two images side by side, either left.

    Training and test samples are made of different recordings: the indices from 25 on and those below of every speaker and digit, or two halves of the images.
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
                ends = [rng.choice(np.flatnonzero(usable & (modality.labels == d))) for d in rng.permutation(pair)]
                chosen.append(ends)
                labels.append(label)
                train.append(part)
    first, second = (modality.events.part(e) for e in np.array(chosen).T)
    sample = [np.repeat(np.arange(len(labels)), np.diff(e.offsets)) for e in (first, second)]
    step, channel, inputs, steps = [first.step, second.step], [first.channel, second.channel], first.inputs, 0
    if name == "audio":
        last = np.zeros(len(labels), np.int64)
        np.maximum.at(last, sample[0], first.step)
        step[1] = second.step + (last + PAUSE)[sample[1]]
        steps = 2 * AUDIO_STEPS + PAUSE + 1
    else:
        channel[1], inputs, steps = second.channel + inputs, 2 * inputs, modality.steps
    order = np.argsort(np.concatenate(sample), kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(np.concatenate(sample), minlength=len(labels)))])
    events = Events.of_recordings(np.concatenate(step)[order], np.concatenate(channel)[order], offsets, inputs)
    return Pairs(events, steps, np.array(labels), np.array(train))


def pairs(features: list[NDArray[Any]], made: list[Pairs], held: list[int], seed: int) -> dict[str, Any]:
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
    sources: dict[str, Callable[[], list[NDArray[Any]]]] = {"raw": lambda: [counted(m.events) for m in made]}
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


def main() -> None:
    """Run what is missing, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--chips", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"unknown parts {sorted(unknown)}: known are {', '.join(PARTS)}")
    bench = Bench(arguments.work)
    work = {
        "select": run_select,
        "probe": run_probe,
        "noise": run_noise,
        "integers": run_integers,
        "digits": run_digits,
        "pairs": run_pairs,
    }
    data = None
    with threadpool_limits(1):
        for part in arguments.parts or PARTS:
            if part in work:
                data = data or load(arguments.data)
                work[part](bench, data, arguments.chips)
    write_page(bench, arguments.out)


if __name__ == "__main__":
    main()
