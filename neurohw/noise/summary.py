# SPDX-License-Identifier: Apache-2.0
"""Numbers of many chips: mean, spread, worst; as JSON, CSV and Markdown."""

import csv
import io
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.memristor import Device
from neurohw.noise.montecarlo import Study
from neurohw.noise.times import time_text


@dataclass(frozen=True)
class Statistics:
    """Of the accuracies of chips at one time, fractions of 1.

    sd: of single chips, with n - 1; None for one chip.
    """

    chips: int
    mean: float
    sd: float | None
    min: float
    max: float


def statistics(accuracies: NDArray[np.float64]) -> Statistics:
    """Of [chip]."""
    sd = float(accuracies.std(ddof=1)) if len(accuracies) > 1 else None
    return Statistics(
        len(accuracies),
        float(accuracies.mean()),
        sd,
        float(accuracies.min()),
        float(accuracies.max()),
    )


def rows(study: Study) -> list[tuple[str, float, Statistics]]:
    """(experiment, seconds, statistics) of everything that has chips."""
    found = []
    for name, experiment in study.experiments.items():
        values = study.accuracy(name)
        if len(values):
            found += [(name, t, statistics(values[:, i])) for i, t in enumerate(experiment.times)]
    return found


def spread_text(value: Statistics) -> str:
    """mean ± sd in percent."""
    return f"{100 * value.mean:.2f}" + ("" if value.sd is None else f" ± {100 * value.sd:.2f}")


def to_json(study: Study) -> dict[str, Any]:
    """All of a study: identities, statistics, and the accuracies of every chip by seed."""
    return {
        name: {
            "experiment": experiment.identity(),
            "samples": len(experiment.labels),
            "ideal": {
                kind: float(outcome.accuracy[0]) for kind, outcome in study.ideal[name].items()
            },
            "ideal_spikes": {
                kind: {n: s[0] for n, s in o.spikes.items()}
                for kind, o in study.ideal[name].items()
            },
            "statistics": [{"seconds": t, **asdict(s)} for n, t, s in rows(study) if n == name],
            "accuracy": {
                str(s): study.outcomes[name][s].accuracy.tolist()
                for s in sorted(study.outcomes[name])
            },
            "spikes": {
                str(s): {n: list(v) for n, v in study.outcomes[name][s].spikes.items()}
                for s in sorted(study.outcomes[name])
            },
            "failures": {
                str(job.seed): str(e) for job, e in study.failures.items() if job.name == name
            },
        }
        for name, experiment in study.experiments.items()
    }


def to_csv(study: Study) -> str:
    """A line per experiment and time: experiment, seconds, chips, mean, sd, min, max, float."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["experiment", "seconds", "chips", "mean", "sd", "min", "max", "float"])
    for name, t, s in rows(study):
        writer.writerow(
            [
                name,
                t,
                s.chips,
                s.mean,
                "" if s.sd is None else s.sd,
                s.min,
                s.max,
                study.baseline(name),
            ]
        )
    return text.getvalue()


def notes(study: Study) -> list[str]:
    """What a reader has to know beside the numbers: times that no measurement covers, and chips
    that failed.
    """
    found = []
    for name, experiment in study.experiments.items():
        device = experiment.scenario.device
        named = (
            {name: device}
            if isinstance(device, Device)
            else {f"{name}, {d.kind}": d for d in device.values()}
        )
        for label, each in named.items():
            limit = each.characterized_seconds
            if limit == 0:
                found.append(
                    f"{label}: a model of programming alone, which does not change with time."
                )
            elif max(experiment.times) > limit:
                found.append(
                    f"{label}: measured up to {time_text(limit)}; later times are an extrapolation."
                )
    found += [
        f"{job.name}: chip {job.seed} failed: {error}" for job, error in study.failures.items()
    ]
    return list(dict.fromkeys(found))


def to_markdown(study: Study) -> str:
    """A table with a row per experiment and a column per time, accuracy in percent, mean ± sd over
    chips and the worst chip.
    """
    head, body = table(study)
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *body)]
    return "\n".join(lines) + "\n"


def table(study: Study, between: str = ", ") -> tuple[list[str], list[list[str]]]:
    """Head and rows of `to_markdown`, as text. between: the mean and the worst chip."""
    times = sorted({t for e in study.experiments.values() for t in e.times})
    ideals = sorted({kind for kinds in study.ideal.values() for kind in kinds})
    found = {
        (name, t): f"{spread_text(s)}{between}min {100 * s.min:.2f}" for name, t, s in rows(study)
    }
    body = []
    for name in study.experiments:
        without = [
            f"{100 * i.accuracy[0]:.2f}" if (i := study.ideal[name].get(kind)) else ""
            for kind in ideals
        ]
        body.append(
            [
                name,
                str(len(study.outcomes[name])),
                *without,
                *(found.get((name, t), "") for t in times),
            ]
        )
    return ["experiment", "chips", *ideals, *(time_text(t) for t in times)], body
