# SPDX-License-Identifier: Apache-2.0
"""The Monte Carlo: every chip of every experiment once, kept as it arrives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurohw.errors import InvalidData
from neurohw.noise.executors import Executor, Experiments, Job, serial
from neurohw.noise.judge import judge_ideal
from neurohw.noise.outcome import Outcome
from neurohw.noise.store import Store

# what is known now: how many jobs are done, of how many
Progress = Callable[["Study", int, int], None]


@dataclass
class Study:
    """Outcomes of chips by experiment and seed, of the networks without hardware ("float", and
    "int<bits>" where integers are judged), and failed jobs.
    """

    experiments: Experiments
    outcomes: dict[str, dict[int, Outcome]] = field(default_factory=dict)
    ideal: dict[str, dict[str, Outcome]] = field(default_factory=dict)
    failures: dict[Job, Exception] = field(default_factory=dict)

    def accuracy(self, name: str) -> NDArray[np.float64]:
        """Accuracies [chip, time] of the finished chips of an experiment, by increasing seed."""
        chips = self.outcomes[name]
        rows = [chips[seed].accuracy for seed in sorted(chips)]
        return np.array(rows).reshape(len(rows), len(self.experiments[name].times))

    def baseline(self, name: str) -> float:
        """Accuracy of the float network of an experiment."""
        return float(self.ideal[name]["float"].accuracy[0])


def monte_carlo(
    experiments: Experiments,
    seeds: Sequence[int],
    executor: Executor = serial,
    folder: Path | None = None,
    progress: Progress | None = None,
    force: bool = False,
) -> Study:
    """Judge the chips of all seeds in every experiment.

    experiments: by name, a name is the name of a folder.
    folder: keeps every chip when it is finished, under `<folder>/<name>` (`neurohw.noise.store`);
        what is there already is not computed again, None keeps nothing.
    progress: called after the start and after every job.
    Raises InvalidData for a folder of another experiment, CannotWrite for one of something else,
    unless `force`, InvalidModel for a network that a crossbar cannot hold. A job that fails later
    is in `failures`.
    """
    if not experiments or not seeds or len(set(seeds)) < len(seeds):
        raise InvalidData(
            f"{len(experiments)} experiments and seeds {list(seeds)}: at least one of each, "
            "and no seed twice"
        )
    study = Study(experiments, {name: {} for name in experiments})
    stores = {}
    for name, experiment in experiments.items():
        if folder is not None:
            stores[name] = Store(Path(folder) / name, experiment.identity(), force)
            found = {seed: stores[name].chip(seed) for seed in seeds}
            study.outcomes[name] = {
                seed: outcome for seed, outcome in found.items() if outcome is not None
            }
    jobs = [
        Job(name, seed)
        for seed in seeds
        for name in experiments
        if seed not in study.outcomes[name]
    ]
    for name in {job.name: None for job in jobs}:
        experiments[name].chip(seeds[0])  # what no chip can be made of is an error of all jobs
    _judge_ideal(study, stores)
    total = len(seeds) * len(experiments)
    done = total - len(jobs)
    if progress:
        progress(study, done, total)
    for job, result in executor(experiments, jobs) if jobs else ():
        if isinstance(result, Outcome):
            if job.name in stores:
                stores[job.name].put_chip(job.seed, result)
            study.outcomes[job.name][job.seed] = result
        else:
            study.failures[job] = result
        done += 1
        if progress:
            progress(study, done, total)
    return study


def _judge_ideal(study: Study, stores: dict[str, Store]) -> None:
    """Fill in the networks without hardware; experiments of the same network and samples share
    them.
    """
    known: dict[tuple[int, int, str | None], dict[str, Outcome]] = {}
    for name, experiment in study.experiments.items():
        bits = experiment.scenario.bits
        wanted: dict[str, int | None] = {"float": None} | (
            {} if bits is None else {f"int{bits}": bits}
        )
        store = stores.get(name)
        ideal = store.ideal() if store else {}
        shared = known.setdefault(
            (id(experiment.trained), id(experiment.spikes), experiment.readout), {}
        )
        if not set(wanted) <= set(ideal):
            for kind in wanted:
                if kind not in shared:
                    shared[kind] = judge_ideal(experiment, wanted[kind])
            ideal = {kind: shared[kind] for kind in wanted}
            if store:
                store.put_ideal(ideal)
        study.ideal[name] = ideal
