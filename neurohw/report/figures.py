# SPDX-License-Identifier: Apache-2.0
"""Figures of the report, as SVG text that is embedded in the page."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neurohw.report.drawing import BLUE, GREY, ORANGE
from neurohw.report.drawing import svg as _svg
from neurohw.trace import Trace


def accuracy_bars(accuracy: dict[str, float]) -> str:
    """Test accuracy at each stage; values are fractions of 1."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        names = list(accuracy)
        values = [100 * accuracy[n] for n in names]
        bars = axes.bar(names, values, color=[GREY, BLUE, BLUE, ORANGE][: len(names)], width=0.6)
        axes.bar_label(bars, [f"{v:.2f}" for v in values], padding=2)
        axes.set_ylim(max(0.0, min(values) - 4), min(101.5, max(values) + 1.5))
        axes.set_ylabel("test accuracy, %")

    return _svg(draw, 4.2, 2.6)


def learning_curve(history: list[dict[str, float]]) -> str:
    """Training loss and validation accuracy per epoch. history: one dictionary an epoch."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        epochs = np.arange(1, len(history) + 1)
        axes.plot(epochs, [h["train_loss"] for h in history], color=GREY)
        axes.set_xlabel("epoch")
        axes.set_ylabel("training loss", color=GREY)
        axes.set_yscale("log")
        right = axes.twinx()
        right.plot(epochs, [100 * h["validation_accuracy"] for h in history], color=BLUE)
        right.set_ylabel("validation accuracy, %", color=BLUE)

    return _svg(draw, 4.2, 2.6)


def raster(trace: Trace, sample: int, dt: float) -> str:
    """Spikes of every population in one sample: one dot per spike, time in ms."""

    def draw(figure: Figure) -> None:
        names = [
            n for n, s in trace.spikes.items() if s[:, sample].any() or n != list(trace.spikes)[-1]
        ]
        rows = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
        for axes, name in zip(rows, names, strict=True):
            spikes: NDArray[np.uint8] = trace.spikes[name][:, sample]
            step, neuron = np.nonzero(spikes)
            axes.scatter(step * dt * 1e3, neuron, s=5, color=BLUE, marker="|", linewidths=1.2)
            axes.set_ylabel(f"{name}\nneuron")
            axes.set_ylim(-1, spikes.shape[1])
            axes.set_xlim(-0.6 * dt * 1e3, (len(spikes) - 0.4) * dt * 1e3)
        rows[-1].set_xlabel("time, ms")

    return _svg(draw, 4.6, 3.4)


def membranes(trace: Trace, population: str, sample: int, dt: float, label: int) -> str:
    """Membranes of the output population in one sample; the neuron of the true class is drawn
    strong.
    """

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        v = trace.states[f"v.{population}"][:, sample]
        time = np.arange(1, len(v) + 1) * dt * 1e3
        for neuron in range(v.shape[1]):
            strong = neuron == label
            axes.plot(
                time,
                v[:, neuron],
                color=ORANGE if strong else GREY,
                lw=2.2 if strong else 0.9,
                marker="o",
                ms=2,
            )
        axes.set_xlabel("time, ms")
        axes.set_ylabel("membrane, integer")
        axes.set_title(f"true class {label}", color=ORANGE, fontsize=9, loc="right")

    return _svg(draw, 4.6, 3.4)


def utilization_bars(hardware: dict[str, dict[str, Any]]) -> str:
    """Share of each board's LUT, FF, block RAM and DSP blocks in use, in percent."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        kinds = ["lut", "ff", "bram", "dsp"]
        height = 0.8 / max(len(hardware), 1)
        for i, (board, numbers) in enumerate(hardware.items()):
            shares = [
                100 * numbers[k] / numbers[f"{k}_available"] if numbers.get(f"{k}_available") else 0
                for k in kinds
            ]
            bars = axes.barh(
                np.arange(4) + i * height,
                shares,
                height,
                label=board,
                color=[BLUE, ORANGE, GREY][i % 3],
            )
            axes.bar_label(
                bars,
                [f" {numbers[k]:,} ({s:.0f} %)" for k, s in zip(kinds, shares, strict=True)],
                fontsize=8,
            )
        axes.set_yticks(np.arange(4) + 0.4 - height / 2, ["LUT", "FF", "block RAM", "DSP"])
        axes.invert_yaxis()
        axes.set_xlim(0, 135)
        axes.set_xticks([0, 25, 50, 75, 100])
        axes.set_xlabel("of the device, %")
        axes.legend(
            frameon=False,
            fontsize=8,
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            ncols=len(hardware),
        )

    return _svg(draw, 4.6, 2.6)


def mismatch(
    traces: tuple[Trace, Trace],
    names: tuple[str, str],
    population: str,
    sample: int,
    step: int,
    neuron: int,
    window: int = 20,
) -> str:
    """Where two engines part: rasters of the population in both around the step, and the neuron's
    membrane in both.
    """

    def draw(figure: Figure) -> None:
        rows = figure.subplots(3, 1, sharex=True, height_ratios=[2, 2, 2])
        first, last = max(0, step - window), step + window
        for axes, trace, name, color in zip(rows, traces, names, (BLUE, ORANGE), strict=False):
            spikes = trace.spikes[population][first:last, sample]
            when, which = np.nonzero(spikes)
            axes.scatter(when + first, which, s=14, color=color, marker="|", linewidths=1.2)
            axes.set_ylabel(f"{name}\nneuron")
            axes.set_ylim(-1, spikes.shape[1])
        for trace, name, color, dash in zip(
            traces, names, (BLUE, ORANGE), ("-", "--"), strict=True
        ):
            v = trace.states.get(f"v.{population}")
            if v is not None:
                part = v[first:last, sample, neuron]
                rows[2].plot(
                    np.arange(first, first + len(part)),
                    part,
                    color=color,
                    ls=dash,
                    marker="o",
                    ms=2,
                    label=name,
                )
        rows[2].set_ylabel(f"membrane of\nneuron {neuron}")
        rows[2].legend(frameon=False, fontsize=8)
        for axes in rows:
            axes.axvline(step, color=GREY, lw=0.8, ls=":")
        rows[2].set_xlabel("step")
        rows[0].set_title(
            f"first mismatch: {population}, neuron {neuron}, sample {sample}, step {step}",
            fontsize=9,
        )

    return _svg(draw, 6.4, 4.6)
