# SPDX-License-Identifier: Apache-2.0
"""Figures of a Monte Carlo over chips: accuracy against time after programming."""

from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neurohw.noise import Study, statistics, time_text
from neurohw.report.drawing import GREY, INK, svg

BEFORE = 10.0  # a time of 0 is drawn so many times before the first other one
DASHES = ((0, (4, 2)), (0, (1, 1)), (0, (6, 2, 1, 2)))


@dataclass(frozen=True)
class Curve:
    """One experiment, percent: mean and mean -+ standard deviation over chips (equal to the mean
    for one chip), [time]; seconds increase.
    """

    name: str
    seconds: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def curves(study: Study) -> list[Curve]:
    """What `accuracy_over_time` draws of every experiment that has a finished chip."""
    found = []
    for name, experiment in study.experiments.items():
        order = np.argsort(experiment.times)
        values = 100 * study.accuracy(name)[:, order]
        if not len(values):
            continue
        each = [statistics(column) for column in values.T]
        mean, sd = np.array([s.mean for s in each]), np.array([s.sd or 0.0 for s in each])
        found.append(
            Curve(
                name,
                np.array(experiment.times)[order],
                mean,
                mean - sd,
                np.minimum(mean + sd, 100.0),
            )
        )
    return found


def baselines(study: Study) -> dict[str, float]:
    """Accuracies without hardware, percent, by kind; numbered where experiments differ."""
    values: dict[str, float] = {}
    for name, kinds in study.ideal.items():
        for kind, outcome in kinds.items():
            value = 100 * float(outcome.accuracy[0])
            values[kind if values.get(kind, value) == value else f"{kind}, {name}"] = value
    return values


def accuracy_over_time(study: Study) -> str:
    """Mean accuracy over chips against the logarithm of time, a band of one standard deviation for
    every experiment, and the networks without hardware.
    """
    found, ideal = curves(study), baselines(study)
    times = np.unique(np.concatenate([c.seconds for c in found]))
    positive = times[times > 0]
    zero = positive[0] / BEFORE if len(positive) else 1.0
    palette = matplotlib.colormaps["tab10" if len(found) <= 10 else "tab20"]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for index, curve in enumerate(found):
            x, color = np.where(curve.seconds > 0, curve.seconds, zero), palette(index % palette.N)
            axes.fill_between(x, curve.low, curve.high, color=color, alpha=0.15, lw=0)
            axes.plot(x, curve.mean, color=color, marker="o", ms=3, lw=1.4, label=curve.name)
        for index, (kind, value) in enumerate(ideal.items()):
            axes.axhline(
                value,
                color=INK if index == 0 else GREY,
                lw=1,
                ls=DASHES[index % len(DASHES)],
                label=kind,
            )
        axes.set_xscale("log")
        axes.set_xticks(np.where(times > 0, times, zero), [time_text(t) for t in times])
        axes.minorticks_off()
        axes.set_xlabel("time after programming")
        axes.set_ylabel("accuracy, %")
        axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))

    return svg(draw, 6.4, 3.4)
