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
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from threadpoolctl import threadpool_limits

from neurohw.golden.native import run_native
from neurohw.memristor import Chip, device_named
from neurohw.neurons import Lif
from neurohw.plasticity import Events, encode
from neurohw.quantize import quantize
from neurohw.readout import scores
from neurohw.reservoir import Retrieval, attach_readout, resistive_chip, resistive_liquid, retrieve, ridge
from neurohw.storage import write_atomically
from neurohw.train.contrastive import fit_contrastive

Indices = NDArray[np.int64]
Counts = NDArray[np.uint16]
PARTS = ("select", "probe", "noise", "integers", "digits", "pairs", "page")
NEURONS, THRESHOLD, READ_NOISE, BITS = 400, 5.0, 0.05, 8
SELECTION_CHIP = 1000
FOLDS, SPEAKERS, DIGITS = 5, 6, 10
AUDIO_STEPS, AUDIO_STEP_MS, CHANNELS = 128, 5, 64
IMAGE_STEPS, IMAGE_STEP_US, SIDE, BLOCK, POLARITY = 50, 6000, 16, 2, 1
PAUSE = 10  # steps between two spoken digits
PAIR_TRAIN, PAIR_TEST = 40, 20  # samples of every pair of digits
STEPS = 300  # of the contrastive training
CHUNK = 250


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
        return resistive_chip(inputs, NEURONS, self.scale, self.input_scale, device, neuron, steps, seed)

    @property
    def key(self) -> str:
        """For file names."""
        return f"{self.input_scale:g}-{self.scale:g}-{self.decay:g}"


CONFIGS = {
    "audio": [Config(i, r, 1 - 1 / 32) for i, r in ((1.2, 0.1), (1.2, 0.3), (2.4, 0.1), (2.4, 0.3), (2.4, 0.6))],
    "image": [Config(i, r, 1 - 1 / 16) for i, r in ((0.3, 0.1), (0.3, 0.3), (0.6, 0.1), (0.6, 0.3), (1.2, 0.1))],
}


@dataclass(frozen=True)
class Modality:
    """Stimuli with labels; raw: counts of what the liquid hears, everything: counts of all events that were recorded."""

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
    total = np.bincount(sample * events.inputs + events.channel, minlength=events.samples * events.inputs)
    return total.reshape(events.samples, events.inputs).astype(np.float64)


def counts_of(sample: Indices, channel: Indices, samples: int, channels: int) -> NDArray[np.float64]:
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
    """Spoken digits with at most a spike per 5 ms and channel; one polarity of the event camera, 2 x 2 pixels together, at most a spike per 6 ms."""
    with np.load(folder / "fsdd" / "fsdd_spikes64.npz") as file:
        step, channel = file["t_ms"].astype(np.int64) // AUDIO_STEP_MS, file["ch"].astype(np.int64)
        offsets = file["offsets"].astype(np.int64)
        labels, speaker, index = (file[n].astype(np.int64) for n in ("labels", "speaker", "index"))
    sample = np.repeat(np.arange(len(labels)), np.diff(offsets))
    inside = step < AUDIO_STEPS
    before = np.concatenate([[0], np.cumsum(np.bincount(sample[inside], minlength=len(labels)))])
    heard = Events.of_recordings(step[inside], channel[inside], before, CHANNELS)
    audio = Modality("audio", heard, AUDIO_STEPS + 1, labels, counts_of(sample, channel, len(labels), CHANNELS))
    parts = []
    with np.load(folder / "nmnist_small" / "nmnist_small.npz") as file:
        for p in ("train", "test"):
            arrays = [file[f"{p}_{n}"].astype(np.int64) for n in ("x", "y", "p", "t_us")]
            parts.append((*arrays, np.diff(file[f"{p}_offsets"]), file[f"{p}_labels"]))
    x, y, polarity, time, lengths, labels = (np.concatenate(a).astype(np.int64) for a in zip(*parts, strict=True))
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


class Bench:
    """The work folder: counts and results by key, and the progress display."""

    def __init__(self, work: Path) -> None:
        self.work = work

    def result(self, key: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The stored result, or the computed one, which is stored."""
        path = self.work / f"{key}.json"
        if not path.is_file():
            result = compute()
            write_atomically(path, json.dumps(result).encode())
            print(key, {k: v for k, v in result.items() if not isinstance(v, str | list | dict)}, flush=True)
        return dict(json.loads(path.read_text()))

    def found(self, pattern: str) -> dict[str, dict[str, Any]]:
        """The stored results whose key matches, by key."""
        return {p.stem: json.loads(p.read_text()) for p in sorted(self.work.glob(f"{pattern}.json"))}

    def shown(self, text: str, work: Callable[[Callable[[int, int], None]], Any]) -> Any:
        """work(progress) under a progress bar."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, transient=True) as display:
            task = display.add_task(text, total=None)
            return work(lambda done, total: display.update(task, completed=done, total=total))

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


def splits(data: Data, name: str) -> list[tuple[Indices, Indices]]:
    """Training and test samples: every speaker once, or every fold once."""
    group, count = (data.speaker, SPEAKERS) if name == "audio" else (data.fold, FOLDS)
    return [(np.flatnonzero(group != k), np.flatnonzero(group == k)) for k in range(count)]


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


def selected(bench: Bench, name: str, split: int) -> Config:
    """The best configuration for a split, the first of equals."""
    found = bench.found(f"select-{name}")
    if not found:
        raise SystemExit("the part `select` comes first")
    return CONFIGS[name][int(np.argmax(np.array(found[f"select-{name}"]["accuracy"])[:, split]))]


def common(bench: Bench, name: str) -> Config:
    """The configuration that most splits selected, the first of equals."""
    chosen = [selected(bench, name, split) for split in range(SPEAKERS if name == "audio" else FOLDS)]
    return max(chosen, key=chosen.count)


def text(right: NDArray[np.bool_]) -> str:
    """As it is stored."""
    return "".join("1" if r else "0" for r in right)


def bools(stored: str) -> NDArray[np.bool_]:
    """As it was."""
    return np.array(list(stored)) == "1"


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


PAIRS = list(combinations(range(DIGITS), 2))


def matchings() -> list[list[int]]:
    """The 45 pairs of ten digits in nine groups of five in which every digit is once: a round robin."""
    ring, groups = list(range(1, DIGITS)), []
    for turn in range(DIGITS - 1):
        order = [0, *ring[turn:], *ring[:turn]]
        games = [tuple(sorted((order[i], order[-1 - i]))) for i in range(DIGITS // 2)]
        groups.append(sorted(PAIRS.index(g) for g in games))  # type: ignore[arg-type]
    return groups


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


def percent(right: NDArray[np.bool_]) -> str:
    """Accuracy in percent with its exact 95 % binomial interval."""
    low, high = Retrieval(right, 0.5).interval()
    return f"{100 * right.mean():.1f} ({100 * low:.1f}–{100 * high:.1f})"


def student(values: list[float] | NDArray[np.float64]) -> str:
    """Mean with its 95 % interval (Student), in points."""
    array = 100 * np.asarray(values, np.float64)
    if len(array) < 2:
        return f"{array.mean():+.2f}"
    half = scipy.stats.t.ppf(0.975, len(array) - 1) * array.std(ddof=1) / np.sqrt(len(array))
    return f"{array.mean():+.2f} ± {half:.2f}"


def small(p: float) -> str:
    """A p value."""
    return f"{p:.2g}" if p >= 1e-300 else "< 1e-300"


def table(header: str, rows: list[str]) -> list[str]:
    """A Markdown table."""
    return ["", header, "|" + "---|" * (header.count("|") - 1), *rows]


def chips_of(found: dict[str, Any], prefix: str) -> list[int]:
    """Numbers of the chips whose results are all there."""
    return sorted({int(k.rsplit("chip", 1)[1]) for k in found if k.startswith(prefix) and "chip" in k})


NAMES = {"audio": "speaker", "image": "fold"}


def probe_lines(bench: Bench) -> list[str]:
    """Raw counts against liquids."""
    lines: list[str] = []
    for name, title in (
        ("audio", "Spoken digits, leaving each speaker out"),
        ("image", "Recordings of an event camera"),
    ):
        found, count = bench.found(f"probe-{name}-*"), SPEAKERS if name == "audio" else FOLDS
        chips = [c for c in chips_of(found, "probe") if all(f"probe-{name}-{s}-chip{c}" in found for s in range(count))]
        if not chips:
            continue
        raw = [bools(found[f"probe-{name}-{s}-raw"]["right"]) for s in range(count)]
        every = [bools(found[f"probe-{name}-{s}-everything"]["right"]) for s in range(count)]
        liquid = [[bools(found[f"probe-{name}-{s}-chip{c}"]["right"]) for c in chips] for s in range(count)]
        rows, differences = [], []
        for s in range(count):
            accuracies = [float(x.mean()) for x in liquid[s]]
            differences.append(float(np.mean(accuracies) - raw[s].mean()))
            config = selected(bench, name, s)
            rows.append(
                f"| {s} | {len(raw[s])} | {percent(every[s])} | {percent(raw[s])} | {100 * np.mean(accuracies):.1f} ± {100 * np.std(accuracies, ddof=len(chips) > 1):.1f} | {100 * differences[-1]:+.1f} | "
                f"{config.input_scale:g}, {config.scale:g}, {config.decay:g} |"
            )
        joined = [np.concatenate([liquid[s][i] for s in range(count)]) for i in range(len(chips))]
        raw_all, every_all = np.concatenate(raw), np.concatenate(every)
        rows.append(
            f"| all | {len(raw_all)} | {percent(every_all)} | {percent(raw_all)} | {100 * np.mean([j.mean() for j in joined]):.1f} ± {100 * np.std([j.mean() for j in joined], ddof=len(chips) > 1):.1f} | "
            f"{student(differences)} | |"
        )
        signs = []
        for j in joined:
            won, lost = int((j & ~raw_all).sum()), int((~j & raw_all).sum())
            signs.append((float(scipy.stats.binomtest(won, won + lost).pvalue), won, lost))
        worst = max(signs)
        intervals = ", ".join(percent(j) for j in joined)
        t = scipy.stats.ttest_1samp(differences, 0, alternative="greater").pvalue
        lines += [
            "",
            f"## {title}",
            "",
            (
                f"64 channels, {AUDIO_STEPS} steps of {AUDIO_STEP_MS} ms, at most one spike per step and channel. Regularisation: leave-one-out on the training samples, for all columns alike; "
                "configuration of the liquid: mean accuracy on each of the five training speakers, left out in turn."
                if name == "audio"
                else f"nmnist_small, 1,100 recordings, {FOLDS}-fold cross-validation; one polarity, {SIDE} x {SIDE} blocks of {BLOCK} x {BLOCK} pixels, {IMAGE_STEPS} steps of {IMAGE_STEP_US // 1000} ms, at most one "
                "spike per step and channel. Regularisation and configuration: leave-one-out accuracy on the training samples. This is no accuracy on N-MNIST, which has 70,000 recordings."
            )
            + f" Linear probe (ridge) of counts, test accuracy in percent with exact 95 % binomial intervals; liquids of {NEURONS} neurons, mean ± standard deviation over {len(chips)} chips; mean "
            f"difference with its 95 % interval over {NAMES[name]}s (Student).",
            *table(
                f"| {NAMES[name]} | samples | all events recorded | the spikes that the liquid hears | liquid | liquid less what it hears | input scale, scale, decay |",
                rows,
            ),
            "",
            f"By chip, all {len(raw_all)} samples: {intervals}. The difference is above 0 over {NAMES[name]}s with p = {small(float(t))} (one-sided t test of {count} means over chips); over samples, the chip with "
            f"the largest p value of a sign test has {worst[1]} samples right that raw counts have wrong and {worst[2]} the other way round, p = {small(worst[0])}.",
        ]
    return lines


def noise_lines(bench: Bench) -> list[str]:
    """Read noise."""
    rows = []
    for name, title in (("audio", "spoken digits"), ("image", "event camera")):
        found = bench.found(f"noise-{name}-*")
        chips = chips_of(found, "noise")
        if not chips:
            continue
        right = {
            k: np.concatenate([bools(r[f"right_{k}"]) for r in found.values()]) for k in ("clean", "noisy", "adapted")
        }
        for kind, fitted in (("noisy", "without noise"), ("adapted", "with noise")):
            change = [
                np.mean([r[kind] - r["clean"] for k, r in found.items() if k.endswith(f"chip{c}")]) for c in chips
            ]
            won, lost = int((right[kind] & ~right["clean"]).sum()), int((~right[kind] & right["clean"]).sum())
            p = scipy.stats.binomtest(won, won + lost).pvalue if won + lost else 1.0
            rows.append(
                f"| {title} | {fitted} | {len(chips)} | {len(right[kind])} | {100 * right['clean'].mean():.2f} | {percent(right[kind])} | {student(change)} | {won} : {lost}, p = {small(float(p))} | "
                f"{100 * np.mean([r['differ'] for r in found.values()]):.1f} |"
            )
    if not rows:
        return []
    return [
        "",
        "## Read noise",
        "",
        f"Every device reads G (1 + {READ_NOISE:g} N(0, 1)), drawn anew for every device, step and sample (`Chip.run`). The probe was fitted to counts of the same chip without noise, or with. Accuracy in percent over all test "
        "samples of all chips, of the probe without any noise and of the probe that reads noisy counts; mean change in points with its 95 % interval over chips (Student); samples right only with noise : only "
        "without, and their sign test; sum of the changes of counts over the sum of counts, in percent.",
        *table(
            "| data | probe fitted | chips | samples x chips | no noise | read noise | change | only with : only without | counts changed |",
            rows,
        ),
    ]


def integer_lines(bench: Bench) -> list[str]:
    """Integers."""
    rows = []
    for name, title in (("audio", "spoken digits"), ("image", "event camera")):
        found = list(bench.found(f"integers-{name}-*").values())
        if not found:
            continue
        weight = [r["samples"] for r in found]
        of = {k: 100 * np.average([r[k] for r in found], weights=weight) for k in ("float", "golden", "differ")}
        change = student([r["golden"] - r["float"] for r in found])
        synapses = int(np.mean([r["synapses"] for r in found]))
        rows.append(
            f"| {title} | {sum(weight)} | {synapses:,} | {of['float']:.2f} | {of['golden']:.2f} | {change} | {of['differ']:.1f} |"
        )
    if not rows:
        return []
    return [
        "",
        "## Integers",
        "",
        f"Liquid and readout as one network, int{BITS}, chip 0: accuracy in percent of the golden integers, with which the RTL agrees on every state and step (`tests/verify/test_resistive.py`), beside that of the float "
        "network; change in points with its 95 % interval over speakers or folds (Student); sum of the changes of the liquid's counts over their sum, in percent. Each readout is fitted to counts of its own liquid and is the "
        "one for hardware (normalised counts, no bias, docs/adr/0014), hence accuracies other than above.",
        *table("| data | samples | synapses of the liquid | float | golden | change | counts changed |", rows),
    ]


WAYS = {"audio_to_image": "sound to image", "image_to_audio": "image to sound"}


def digit_lines(bench: Bench) -> list[str]:
    """Two digits that were not trained."""
    found = bench.found("digits-*")
    chips = [c for c in chips_of(found, "digits") if all(f"digits-{a}{b}-chip{c}" in found for a, b in PAIRS)]
    if not chips:
        return []
    rows, verdicts = [], []
    for way, title in WAYS.items():
        of = {pair: [found[f"digits-{pair[0]}{pair[1]}-chip{c}"][way] for c in chips] for pair in PAIRS}
        means = np.array([np.mean([bools(r["right"]).mean() for r in results]) for results in of.values()])
        chance = np.array([np.mean([r["chance"] for r in results]) for results in of.values()])
        p = [[Retrieval(bools(r["right"]), r["chance"]).p_value() for r in results] for results in of.values()]
        above = sum(max(x) < 0.01 for x in p)
        below = sum(
            max(
                float(scipy.stats.binomtest(int(bools(r["right"]).sum()), len(r["right"]), r["chance"], "less").pvalue)
                for r in results
            )
            < 0.01
            for results in of.values()
        )
        for pair in ((8, 9), PAIRS[int(means.argmax())], PAIRS[int(means.argmin())]):
            right = [bools(r["right"]) for r in of[pair]]
            name = {0: "as published", 1: "best"}.get(
                0 if pair == (8, 9) else 1 if pair == PAIRS[int(means.argmax())] else 2, "worst"
            )
            rows.append(
                f"| {title} | {pair[0]}, {pair[1]} ({name}) | {len(right[0])} | {100 * np.mean([r['chance'] for r in of[pair]]):.1f} | "
                + ", ".join(percent(x) for x in right)
                + f" | {small(max(p[PAIRS.index(pair)]))} |"
            )
        test = scipy.stats.ttest_1samp(means - chance, 0, alternative="greater").pvalue
        by_chip = np.array([[bools(r["right"]).mean() for r in results] for results in of.values()]).T
        agreement = np.corrcoef(by_chip)[np.triu_indices(len(chips), 1)].mean() if len(chips) > 1 else float("nan")
        verdicts.append(
            f"{title}: mean {100 * means.mean():.1f} %, chance {100 * chance.mean():.1f} %, difference {student(means - chance)} points over the 45 pairs, p = {small(float(test))}; p < 0.01 over the queries on every "
            f"chip above chance for {above} pairs, below chance for {below}; correlation of the 45 accuracies between chips {agreement:.2f}"
        )
    return [
        "",
        "## Two digits that were never trained",
        "",
        "Projections trained on eight digits, paired by class; queries of the two others, and a gallery of the two others. Held out of means, spreads "
        "and projections; only the choice of the configuration, the one that most splits above selected, has seen all digits, which could but help. "
        f"{len(chips)} chips of either modality. Accuracy in percent of the first item retrieved, one number per chip, with exact binomial intervals over queries; the largest p value over chips (exact "
        "binomial, one-sided).",
        *table("| from, to | unseen | queries | chance | accuracy by chip | p |", rows),
        "",
        ". ".join(v[0].upper() + v[1:] for v in verdicts) + ".",
        "",
        "Many pairs are far from chance, in either direction, whatever the chip: it depends on which trained digits the two resemble by sound and by shape. Nothing that was trained says which of two unknown sounds "
        "belongs to which of two unknown shapes: over the pairs that is a coin. A p value over queries of one pair, as the published 87.5 % for 8 and 9, does not see this. What can be retrieved without ever having been trained is "
        "a new combination of what is known:",
    ]


def pair_lines(bench: Bench) -> list[str]:
    """Pairs of digits that were not trained."""
    found = bench.found("pairs-*")
    groups = matchings()
    sources = [
        s
        for s in ("raw", *(f"chip{c}" for c in chips_of(found, "pairs")))
        if all(f"pairs-{g}-{s}" in found for g in range(len(groups)))
    ]
    chips = [s for s in sources if s != "raw"]
    if not chips:
        return []
    lines: list[str] = []
    ways = {
        "audio_to_image": "sound to image, among the 5 unseen pairs",
        "image_to_audio": "image to sound, among the 5 unseen pairs",
        "audio_to_all_images": "sound to image, among all 45 pairs",
        "image_to_all_audio": "image to sound, among all 45 pairs",
        "trained_audio_to_all_images": "trained pairs, sound to image, among all 45",
        "trained_image_to_all_audio": "trained pairs, image to sound, among all 45",
    }
    rows = []
    for way, title in ways.items():
        of = {
            s: np.concatenate([bools(found[f"pairs-{g}-{s}"][way]["right"]) for g in range(len(groups))])
            for s in sources
        }
        chance = float(np.mean([found[f"pairs-{g}-{chips[0]}"][way]["chance"] for g in range(len(groups))]))
        p = max(Retrieval(of[s], chance).p_value() for s in chips)
        classes = ""
        if not way.startswith("trained"):
            # mean over chips of every pair's share of right queries: pairs as units
            label = np.concatenate(
                [
                    found[f"pairs-{g}-{chips[0]}"]["labels"][0 if way.startswith("audio") else 1]
                    for g in range(len(groups))
                ]
            )
            mean = np.mean([of[s] for s in chips], axis=0)
            per_pair = np.array([mean[label == k].mean() for k in range(len(PAIRS))])
            test = scipy.stats.wilcoxon(per_pair - chance, alternative="greater").pvalue
            classes = f"{int((per_pair > chance).sum())} of {len(PAIRS)}, p = {small(float(test))}"
        rows.append(
            f"| {title} | {len(of[chips[0]])} | {100 * chance:.1f} | "
            + ", ".join(percent(of[s]) for s in chips)
            + f" | {small(p)} | {classes} | {percent(of['raw']) if 'raw' in of else ''} |"
        )
    lines += [
        "",
        "## Pairs of digits that were never trained",
        "",
        "A class is a pair of different digits, 45 in all: one speaker says both, one after the other in either order; two recordings of the event camera stand side by side, either left. Nine folds leave out five "
        "pairs each, in which every digit is once (a round robin), so that every pair is unseen once and its digits are known from eight other pairs. "
        f"{PAIR_TRAIN} training and {PAIR_TEST} test samples of a pair and modality, made of different recordings; configuration of the liquids as most splits above selected it, on single digits. One number per chip over all queries "
        f"of all folds, percent with exact 95 % binomial intervals; the largest p value over {len(chips)} chips (exact binomial, one-sided, queries as units); pairs whose share of right queries, mean over chips, is above chance, "
        "with a one-sided Wilcoxon test (pairs as units). Last column: the same heads on raw counts of the spikes that the liquids hear.",
        *table("| from, to | queries | chance | accuracy by chip | p | pairs above chance | raw counts |", rows),
    ]
    return lines


def plot(bench: Bench, path: Path) -> None:
    """Probes by split, and retrieval by pair."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    probe, single, double = bench.found("probe-*"), bench.found("digits-*"), bench.found("pairs-*")
    if not (probe and single and double):
        return
    figure, axes = plt.subplots(1, 3, figsize=(11, 3), layout="constrained")
    for axis, name, count in ((axes[0], "audio", SPEAKERS), (axes[0], "image", FOLDS)):
        start = 0 if name == "audio" else SPEAKERS + 1
        for s in range(count):
            of = [100 * r["accuracy"] for k, r in probe.items() if k.startswith(f"probe-{name}-{s}-chip")]
            axis.plot([start + s] * len(of), of, ".", color="tab:blue", label="liquid" if start + s == 0 else None)
            axis.plot(
                start + s,
                100 * probe[f"probe-{name}-{s}-raw"]["accuracy"],
                "_",
                color="black",
                markersize=12,
                label="raw counts" if start + s == 0 else None,
            )
    axes[0].set(
        ylabel="test accuracy, %", xticks=[2.5, SPEAKERS + 3], xticklabels=["speakers left out", "event camera, folds"]
    )
    axes[0].legend(fontsize=7)
    means = sorted(
        np.mean(
            [bools(r["audio_to_image"]["right"]).mean() for k, r in single.items() if k.startswith(f"digits-{a}{b}-")]
        )
        for a, b in PAIRS
    )
    axes[1].plot(100 * np.array(means), ".", color="tab:red")
    axes[1].axhline(50, color="black", linewidth=0.5)
    axes[1].set(title="two unseen digits", xlabel="pairs of digits, sorted", ylabel="sound to image, %", ylim=(0, 100))
    shares: list[list[float]] = [[] for _ in PAIRS]
    for key, r in double.items():
        if "chip" in key:
            right, label = bools(r["audio_to_image"]["right"]), np.array(r["labels"][0])
            for k in np.unique(label):
                shares[k].append(float(right[label == k].mean()))
    axes[2].plot(100 * np.array(sorted(np.mean(s) for s in shares if s)), ".", color="tab:blue")
    axes[2].axhline(20, color="black", linewidth=0.5)
    axes[2].set(
        title="five unseen pairs of digits", xlabel="pairs of digits, sorted", ylabel="sound to image, %", ylim=(0, 100)
    )
    figure.savefig(path, dpi=80)
    plt.close(figure)


def write_page(bench: Bench, path: Path) -> None:
    """Page and plot from the results that are there."""
    lines = [
        "# The resistive liquid state machine",
        "",
        f"Liquids of {NEURONS} neurons whose weights are differential pairs of devices that forming left at random (half of them conduct, spread 0.3), never trained; hard reset, threshold {THRESHOLD:g}. A chip is a draw of all devices. "
        f"Scales are chosen among {len(CONFIGS['audio'])} configurations for sound and {len(CONFIGS['image'])} for images, on training samples with a chip that is used for nothing else; their range and the leak come from a first look at one other draw of weights with recordings of all speakers and folds, those of the tests among them. `python benchmarks/zero_shot.py` writes this page.",
    ]
    for part in (probe_lines, noise_lines, integer_lines, digit_lines, pair_lines):
        lines += part(bench)
    if bench.found("pairs-*") and bench.found("digits-*"):
        lines += ["", f"![probes by split, and retrieval by pair]({path.with_suffix('.png').name})"]
    write_atomically(path, ("\n".join(lines) + "\n").encode())
    plot(bench, path.with_suffix(".png"))


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
