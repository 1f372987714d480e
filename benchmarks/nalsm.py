# SPDX-License-Identifier: Apache-2.0
"""Liquids with astrocyte-modulated STDP, with STDP of fixed amplitude and without plasticity, by
the protocol of Ivanov & Michmizos (NeurIPS 2021).

    python benchmarks/nalsm.py DATA WORK [PART ...] [--threads 2] [--seeds 10] [--out
        benchmarks/nalsm.md]

DATA: folder with mnist/mnist.npz, fsdd/fsdd_spikes64.npz and nmnist_small/nmnist_small.npz. WORK:
folder for results and checkpoints; what is there is not repeated, and an interrupted run goes on.
PARTS, all by default:

    amplitude      validation accuracy of STDP with fixed amplitudes, on a subset: which one the
                   mode `stdp` uses
    drift          branching factor while the weights are initialised, with the astrocyte and with
                   fixed amplitudes
    paired         the modes on a subset of MNIST, the same liquids and spikes for all, several
                   seeds, after an initialisation as long as that of `amplitude`
    long           the same after a longer initialisation, with an amplitude that was chosen after
                   one as long
    mnist          all of MNIST, 1,000 neurons
    mnist8000      all of MNIST, 8,000 neurons
    fsdd           spoken digits: official split, and leaving each speaker out
    nmnist_small   recordings of an event camera, cross-validated over all 1,100 (no N-MNIST
                   accuracy)
    page           nothing but the page, which every call writes from the results that are there

The modes share liquid, input spikes and readouts. Regularisation and epochs of readouts are chosen
on training and validation samples, never on test samples.
"""

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nalsm_page import (
    AMPLITUDE,
    BRANCHING_SAMPLES,
    CHECKPOINTS,
    FOLDS,
    FSDD_DENSITY,
    FSDD_STEPS,
    FSDD_WEIGHT,
    INITIALISING,
    NMNIST_STEPS,
    fixed_amplitude,
    write_page,
)
from numpy.typing import NDArray
from work_folder import WorkFolder

from neurohw.data.dataset import stratified_split
from neurohw.plasticity import (
    Bernoulli,
    Events,
    Plasticity,
    Stdp,
    encode,
    initialise,
    intensity_rates,
    nalsm,
    spikes_of,
)
from neurohw.plasticity.native import PlasticKernel
from neurohw.plasticity.protocol import KIND
from neurohw.plasticity.stimulus import Stimulus
from neurohw.reservoir import Liquid, grid_liquid
from neurohw.reservoir.measure import branching_factor, connectivity
from neurohw.reservoir.readout import normalised, ridge
from neurohw.storage import load_value
from neurohw.train.linear_readout import fit_linear_readout

Indices = NDArray[np.int64]
PARTS = (
    "amplitude",
    "drift",
    "paired",
    "long",
    "mnist",
    "mnist8000",
    "fsdd",
    "nmnist_small",
    "page",
)
AMPLITUDES = {"paired": (0.15, 0.2, 0.25, 0.3, 0.4), "long": (0.2, 0.2125, 0.225, 0.25)}
DRIFTING = (0.2, 0.225, 0.25)
EPOCHS = 100
SHAPES = {1000: (10, 10, 10), 8000: (20, 20, 20)}
GAINS = {1000: 0.015, 8000: 0.0075}


@dataclass(frozen=True)
class Mode:
    """What learns: with an astrocyte, by a fixed amplitude of depression, or nothing."""

    name: str
    gain: float | None = None
    depression: float | None = None

    def rule(self, liquid: Liquid) -> Plasticity | None:
        """The rule for a liquid."""
        if self.gain is None and self.depression is None:
            return None
        rule = nalsm(liquid.inhibitory, self.gain)
        return (
            rule
            if self.depression is None
            else replace(rule, stdp=Stdp(depression=self.depression))
        )


@dataclass(frozen=True)
class Task:
    """Stimuli by part, with labels, and the indices that go into each. steps: of the two phases."""

    initialising: Stimulus
    stimulus: Stimulus
    labels: Indices
    train: Indices
    validation: Indices
    test: Indices
    steps: tuple[int, int] = (20, 250)


class Bench(WorkFolder):
    """The work folder, and the runs of modes on tasks."""

    def __init__(self, work: Path, threads: int) -> None:
        super().__init__(work)
        self.threads = threads

    def run(self, key: str, liquid: Liquid, mode: Mode, task: Task) -> dict[str, Any]:
        """Both phases and both readouts."""
        return self.result(key, lambda: self._run(key, liquid, mode, task))

    def _run(self, key: str, liquid: Liquid, mode: Mode, task: Task) -> dict[str, Any]:
        rule, trained, marks = mode.rule(liquid), liquid.trained, [time.process_time()]
        if rule is not None:
            started = trained
            trained = self.shown(
                f"{key} initialise",
                lambda p: initialise(
                    started,
                    rule,
                    task.initialising,
                    task.steps[0],
                    self.work / f"{key}-weights",
                    progress=p,
                ),
            )
        marks.append(time.process_time())
        counts = self.shown(
            f"{key} encode",
            lambda p: encode(
                trained,
                rule,
                task.stimulus,
                task.steps[1],
                checkpoint=self.work / f"{key}-counts",
                progress=p,
                threads=self.threads,
            ),
        )
        marks.append(time.process_time())
        y, classes = task.labels, int(task.labels.max()) + 1
        closed = ridge(counts[task.train], y[task.train], classes)
        gradient = fit_linear_readout(
            counts[task.train],
            y[task.train],
            counts[task.validation],
            y[task.validation],
            classes,
            EPOCHS,
        )
        right = {
            name: r.predict(counts[task.test]) == y[task.test]
            for name, r in (("ridge", closed), ("adadelta", gradient))
        }
        judged = closed.predict(counts[task.validation]) == y[task.validation]
        spikes = spikes_of(
            trained,
            rule,
            task.stimulus,
            min(BRANCHING_SAMPLES, task.stimulus.samples),
            task.steps[1],
        )
        return {
            "mode": mode.name,
            "depression": mode.depression,
            "neurons": liquid.neurons,
            "samples": [len(task.train), len(task.validation), len(task.test)],
            **{name: 100 * float(r.mean()) for name, r in right.items()},
            "validation": 100 * float(judged.mean()),
            "epoch": gradient.info["epoch"],
            "branching": branching_factor(spikes, connectivity(trained)),
            "rate": 1000 * float(spikes.mean()),
            "initialise_ms": 1000 * (marks[1] - marks[0]) / task.initialising.samples,
            "encode_ms": 1000 * (marks[2] - marks[1]) / task.stimulus.samples,
            "right": "".join(str(int(x)) for x in right["ridge"]),
        }


def mnist_task(
    data: Path, seed: int, initialising: int, train: int, validation: int, test: int
) -> Task:
    """The first training images, the last ones before 60,000 for validation, the first test images;
    spikes of the two phases by different seeds.
    """
    with np.load(data / "mnist" / "mnist.npz") as file:
        images = np.concatenate([file["x_train"], file["x_test"]])
        labels = np.concatenate([file["y_train"], file["y_test"]]).astype(np.int64)
    rates = intensity_rates(images)
    chosen = np.concatenate(
        [np.arange(train), np.arange(60000 - validation, 60000), np.arange(60000, 60000 + test)]
    )
    borders = np.split(np.arange(len(chosen)), [train, train + validation])
    phases = Bernoulli(rates[:initialising], 2 * seed), Bernoulli(rates[chosen], 2 * seed + 1)
    return Task(*phases, labels[chosen], *borders)


def mnist_liquid(neurons: int, seed: int) -> Liquid:
    """A grid of the protocol."""
    return grid_liquid(784, SHAPES[neurons], seed=seed)


def run_amplitude(bench: Bench, data: Path, seeds: int) -> None:
    """STDP of fixed amplitudes, on a subset of the training images, after each length of
    initialisation; the liquid is none of those that are compared.
    """
    liquid = mnist_liquid(1000, 100)
    for part, initialising in INITIALISING.items():
        task = mnist_task(data, 100, initialising, 2000, 1500, 1)
        for amplitude in AMPLITUDES[part]:
            bench.run(
                f"{AMPLITUDE[part]}-{amplitude}", liquid, Mode("stdp", depression=amplitude), task
            )
        for mode in (Mode("nalsm", GAINS[1000]), Mode("static")):
            bench.run(f"{AMPLITUDE[part]}-{mode.name}", liquid, mode, task)


def drift(mode: Mode, data: Path) -> dict[str, Any]:
    """Branching factor and rate after so many samples of the initialisation."""
    task = mnist_task(data, 0, CHECKPOINTS[-1], 1, BRANCHING_SAMPLES, 1)
    liquid = mnist_liquid(1000, 0)
    rule, connected = mode.rule(liquid), connectivity(liquid.trained)
    assert rule is not None
    kernel = PlasticKernel(liquid.trained, rule)
    factors, rates = [], []
    for begin, end in zip((0, *CHECKPOINTS), CHECKPOINTS, strict=False):
        kernel.run(task.initialising, 20, begin, end, carry=True)
        weights = {f"{n}.weight": w for n, w in kernel.weights().items()}
        trained = replace(liquid.trained, parameters={**liquid.trained.parameters, **weights})
        spikes = spikes_of(trained, rule, task.stimulus, BRANCHING_SAMPLES)
        factors.append(branching_factor(spikes, connected))
        rates.append(1000 * float(spikes.mean()))
    return {"mode": mode.name, "depression": mode.depression, "branching": factors, "rate": rates}


def run_drift(bench: Bench, data: Path, seeds: int) -> None:
    """The astrocyte and fixed amplitudes over the whole initialisation."""
    for mode in (
        Mode("nalsm", GAINS[1000]),
        *(Mode("stdp", depression=a) for a in reversed(DRIFTING)),
    ):
        bench.result(f"drift-{mode.depression or mode.name}", lambda mode=mode: drift(mode, data))  # type: ignore[misc]


def modes(bench: Bench, neurons: int = 1000, part: str = "paired") -> list[Mode]:
    """The modes that are compared.

    part: for the initialisation of which the fixed amplitude is the best.
    """
    best = fixed_amplitude(bench, part)
    return [Mode("nalsm", GAINS[neurons]), Mode("stdp", depression=best), Mode("static")]


def run_paired(bench: Bench, data: Path, seeds: int, part: str = "paired") -> None:
    """The modes on a subset, the liquid and all spikes drawn anew with every seed."""
    for seed in range(seeds):
        task = mnist_task(data, seed, INITIALISING[part], 4000, 500, 5000)
        for mode in modes(bench, part=part):
            bench.run(f"{part}-{seed}-{mode.name}", mnist_liquid(1000, seed), mode, task)


def logistic(bench: Bench, key: str, task: Task) -> dict[str, Any]:
    """Test accuracy of a logistic regression of the stored counts by L-BFGS, stopped where the
    validation accuracy is best.
    """
    _, arrays = load_value(bench.work / f"{key}-counts", KIND)
    x = torch.from_numpy(normalised(arrays["counts"]).astype(np.float32))
    x /= x[task.train].std(dim=0).clamp(min=1e-9)
    y = torch.from_numpy(task.labels)
    layer = torch.nn.Linear(x.shape[1], int(y.max()) + 1)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    optimizer = torch.optim.LBFGS(
        layer.parameters(), max_iter=10, history_size=20, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = (
            torch.nn.functional.cross_entropy(layer(x[task.train]), y[task.train])
            + 1e-4 * layer.weight.square().sum()
        )
        value.backward()
        return value

    best = {"validation": -1.0, "logistic": 0.0}
    for _ in range(14):
        optimizer.step(loss)
        with torch.no_grad():
            validation, test = (
                100 * float((layer(x[part]).argmax(dim=1) == y[part]).float().mean())
                for part in (task.validation, task.test)
            )
        if validation > best["validation"]:
            best = {"validation": validation, "logistic": test}
    return best


def run_mnist(bench: Bench, data: Path, seeds: int, neurons: int = 1000) -> None:
    """All of MNIST, 50,000 / 10,000 / 10,000."""
    task = mnist_task(data, 0, 50000, 50000, 10000, 10000)
    chosen = modes(bench) if neurons == 1000 else [Mode("nalsm", GAINS[neurons])]
    for mode in chosen:
        key = f"mnist{neurons}-{mode.name}"
        bench.run(key, mnist_liquid(neurons, 0), mode, task)
        bench.result(f"logistic-{key}", lambda key=key: logistic(bench, key, task))  # type: ignore[misc]


def held_out(train: Indices, labels: Indices, seed: int) -> tuple[Indices, Indices]:
    """A tenth of the training samples for validation, the rest for training."""
    kept, held = stratified_split(labels[train], 0.1, seed)
    return train[kept], train[held]


def run_fsdd(bench: Bench, data: Path, seeds: int) -> None:
    """Spoken digits, steps of 1 ms; one liquid."""
    with np.load(data / "fsdd" / "fsdd_spikes64.npz") as file:
        labels, speaker, index = (file[n].astype(np.int64) for n in ("labels", "speaker", "index"))
        inside = file["t_ms"] < FSDD_STEPS
        before = np.concatenate([[0], np.cumsum(inside)])
        events = Events.of_recordings(
            file["t_ms"][inside], file["ch"][inside], before[file["offsets"]], 64
        )
    liquid = grid_liquid(64, input_density=FSDD_DENSITY, input_weight=FSDD_WEIGHT)
    splits = {"official": index < 5} | {f"speaker{s}": speaker == s for s in range(6)}
    for name, tested in splits.items():
        train, test = np.flatnonzero(~tested), np.flatnonzero(tested)
        kept, held = held_out(train, labels, 0)
        shuffled = np.random.default_rng(0).permutation(train)
        task = Task(
            events.part(shuffled), events, labels, kept, held, test, (FSDD_STEPS, FSDD_STEPS)
        )
        for mode in modes(bench):
            bench.run(f"fsdd-{name}-{mode.name}", liquid, mode, task)


def run_nmnist_small(bench: Bench, data: Path, seeds: int) -> None:
    """All 1,100 recordings, each tested once."""
    parts = []
    with np.load(data / "nmnist_small" / "nmnist_small.npz") as file:
        for p in ("train", "test"):
            channel = (file[f"{p}_p"].astype(np.int64) * 34 + file[f"{p}_y"]) * 34 + file[f"{p}_x"]
            parts.append(
                (
                    file[f"{p}_t_us"] // 1000,
                    channel,
                    np.diff(file[f"{p}_offsets"]),
                    file[f"{p}_labels"],
                )
            )
    step, channel, lengths, labels = (
        np.concatenate(a).astype(np.int64) for a in zip(*parts, strict=True)
    )
    inside = step < NMNIST_STEPS
    before = np.concatenate([[0], np.cumsum(inside)])[np.concatenate([[0], np.cumsum(lengths)])]
    events = Events.of_recordings(step[inside], channel[inside], before, 2 * 34 * 34)
    liquid = grid_liquid(2 * 34 * 34)
    fold = np.zeros(len(labels), np.int64)
    rng = np.random.default_rng(0)
    for label in range(10):
        members = rng.permutation(np.flatnonzero(labels == label))
        fold[members] = np.arange(len(members)) % FOLDS
    for k in range(FOLDS):
        train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        kept, held = held_out(train, labels, k)
        shuffled = np.random.default_rng(k).permutation(train)
        task = Task(
            events.part(shuffled), events, labels, kept, held, test, (NMNIST_STEPS, NMNIST_STEPS)
        )
        for mode in modes(bench):
            bench.run(f"nmnist_small-{k}-{mode.name}", liquid, mode, task)


def main() -> None:
    """Run what is missing, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=10, help="of the parts `paired` and `long`")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"unknown parts {sorted(unknown)}: known are {', '.join(PARTS)}")
    bench = Bench(arguments.work, arguments.threads)
    work = {
        "amplitude": run_amplitude,
        "drift": run_drift,
        "paired": run_paired,
        "long": lambda bench, data, seeds: run_paired(bench, data, seeds, "long"),
        "mnist": run_mnist,
        "mnist8000": lambda bench, data, seeds: run_mnist(bench, data, seeds, 8000),
        "fsdd": run_fsdd,
        "nmnist_small": run_nmnist_small,
    }
    for part in arguments.parts or PARTS:
        if part in work:
            work[part](bench, arguments.data, arguments.seeds)
    write_page(bench, arguments.out)


if __name__ == "__main__":
    main()
