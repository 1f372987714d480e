# SPDX-License-Identifier: Apache-2.0
"""Figures of a reservoir: who is connected to whom, what fires, avalanches, and how measures spread
over neurons.
"""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Line3DCollection
from numpy.typing import NDArray
from scipy.special import zeta

from neurohw.report.drawing import BLUE, GREY, INK, ORANGE, svg
from neurohw.reservoir import Liquid
from neurohw.reservoir.avalanches import Avalanches
from neurohw.reservoir.summary import LiquidSummary

SHOWN_SYNAPSES = 700  # more would be a cloud
SHOWN_NEURONS = 1000  # rows of a raster


def _ends(liquid: Liquid) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """(source, target, weight) of the recurrent synapses."""
    arrays = liquid.trained.parameters
    source, target = (
        arrays[f"liquid_to_liquid.{end}"].astype(np.int64) for end in ("source", "target")
    )
    return source, target, arrays["liquid_to_liquid.weight"]


def _circle(neurons: int) -> NDArray[np.float64]:
    """Places on a circle for neurons without any, [neuron, 2]."""
    angle = 2 * np.pi * np.arange(neurons) / neurons
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def connections(liquid: Liquid, seed: int = 0) -> str:
    """The neurons in space, or on a circle if they have no places, and a random choice of recurrent
    synapses in the colour of their sign.
    """
    source, target, weight = _ends(liquid)
    chosen = np.random.default_rng(seed).permutation(len(source))[:SHOWN_SYNAPSES]
    source, target, negative = source[chosen], target[chosen], weight[chosen] < 0
    dale = bool(liquid.inhibitory.any())
    color = np.where(liquid.inhibitory, ORANGE, BLUE) if dale else np.full(liquid.neurons, INK)

    def space(figure: Figure) -> None:
        axes: Any = figure.add_subplot(projection="3d")
        assert liquid.positions is not None
        place = liquid.positions
        for sign, line in ((False, BLUE), (True, ORANGE)):
            segments = np.stack(
                [place[source[negative == sign]], place[target[negative == sign]]], axis=1
            )
            axes.add_collection3d(
                Line3DCollection(segments, colors=line, linewidths=0.6, alpha=0.4, rasterized=True)
            )
        axes.scatter(place[:, 0], place[:, 1], place[:, 2], c=color, s=9, rasterized=True)
        axes.set_box_aspect(np.ptp(place, axis=0) + 1, zoom=0.92)
        axes.view_init(22, -58)
        for name, axis in zip("xyz", (axes.xaxis, axes.yaxis, axes.zaxis), strict=True):
            axis.set_pane_color((1, 1, 1, 0))
            axis._axinfo["grid"].update(color="#dfe5ea", linewidth=0.5)
            axis.set_label_text(name)
            axis.set_major_locator(_whole_numbers())

    def circle(figure: Figure) -> None:
        axes = figure.subplots()
        place = _circle(liquid.neurons)
        for sign, line in ((False, BLUE), (True, ORANGE)):
            part = negative == sign
            xy = np.stack([place[source[part]], place[target[part]]])  # [end, synapse, axis]
            axes.plot(xy[..., 0], xy[..., 1], color=line, lw=0.5, alpha=0.35, rasterized=True)
        axes.scatter(place[:, 0], place[:, 1], c=color, s=7, zorder=3, rasterized=True)
        axes.set_aspect("equal")
        axes.axis("off")

    def draw(figure: Figure) -> None:
        (circle if liquid.positions is None else space)(figure)
        kinds = ("excitatory", "inhibitory") if dale else ("positive", "negative")
        handles = [figure.axes[0].plot([], [], color=c, lw=1.6)[0] for c in (BLUE, ORANGE)]
        figure.legend(handles, kinds, frameon=False, fontsize=8, loc="upper right")

    return svg(draw, 4.6, 4.0)


def _whole_numbers() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(4, integer=True)


def raster(
    spikes: NDArray[Any], inputs: NDArray[Any], inhibitory: NDArray[np.bool_], dt: float
) -> str:
    """One sample: input spikes [time, input], spikes of the liquid [time, neuron], inhibitory
    neurons below, and how many fire in a step.
    """
    order = np.argsort(~inhibitory, kind="stable")
    order = order[:: max(1, len(order) // SHOWN_NEURONS)]
    below = int(inhibitory[order].sum())

    def dots(axes: Any, x: NDArray[Any], colors: Any) -> None:
        step, neuron = np.nonzero(x)
        size = 1.2 if x.shape[1] > 300 else 4
        axes.scatter(
            step * dt * 1e3,
            neuron,
            s=size,
            c=colors[neuron],
            marker="|",
            linewidths=0.8,
            rasterized=len(step) > 2000,
        )
        axes.set_ylim(-1, x.shape[1])

    def draw(figure: Figure) -> None:
        top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=[1.1, 3, 1.1])
        dots(top, inputs, np.full(inputs.shape[1], GREY))
        top.set_ylabel("input")
        dots(middle, spikes[:, order], np.where(inhibitory[order], ORANGE, BLUE))
        middle.set_ylabel("neuron of the liquid")
        if below:
            middle.axhline(below - 0.5, color=GREY, lw=0.6)
            for at, text, color in (
                (below / 2, "inhibitory", ORANGE),
                ((below + len(order)) / 2, "excitatory", BLUE),
            ):
                middle.text(
                    1.01,
                    at / len(order),
                    text,
                    color=color,
                    fontsize=8,
                    rotation=90,
                    va="center",
                    transform=middle.transAxes,
                )
        time = np.arange(len(spikes)) * dt * 1e3
        bottom.fill_between(time, spikes.sum(axis=1), step="mid", color=BLUE, alpha=0.3, lw=0)
        bottom.step(time, spikes.sum(axis=1), where="mid", color=BLUE, lw=0.9)
        bottom.set_ylabel("spikes\nper step")
        bottom.set_ylim(0)
        bottom.set_xlim(0, time[-1])
        bottom.set_xlabel("time, ms")

    return svg(draw, 6.2, 4.4)


def _density(values: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Density of whole numbers in bins that grow by a quarter of a decade:

    (geometric centre, probability per whole number).
    """
    edges = np.unique(np.round(10 ** np.arange(0, np.log10(values.max()) + 0.3, 0.2)))
    edges = np.append(edges, edges[-1] + 1) if edges[-1] <= values.max() else edges
    count, _ = np.histogram(values, edges)
    filled = count > 0
    centre = np.sqrt(edges[:-1] * np.maximum(edges[1:] - 1, edges[:-1]))
    return centre[filled], (count / len(values) / np.diff(edges))[filled]


def avalanche_sizes(found: Avalanches, fits: dict[str, Any]) -> str:
    """Densities of sizes and durations, doubly logarithmic, and the power law fitted to each.

    fits: "size" and "duration", a PowerLaw as JSON or None.
    """

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        for axes, name, values, unit in (
            (left, "size", found.size, "spikes"),
            (right, "duration", found.duration, "steps"),
        ):
            axes.set_xlabel(f"{name} of avalanche, {unit}")
            if not len(values):
                axes.text(
                    0.5,
                    0.5,
                    "no avalanche",
                    ha="center",
                    va="center",
                    color=GREY,
                    transform=axes.transAxes,
                )
                axes.set_axis_off()
                continue
            x, density = _density(values)
            axes.loglog(x, density, "o", ms=4.5, color=BLUE, mec="white", mew=0.5)
            fit = fits.get(name)
            if fit:
                line = np.geomspace(fit["minimum"], values.max(), 50)
                share = fit["events"] / len(values) / zeta(fit["exponent"], fit["minimum"])
                axes.loglog(line, share * line ** -fit["exponent"], color=ORANGE, lw=1.5)
                label = (
                    f"exponent {fit['exponent']:.2f} ± {fit['error']:.2f}\nfrom {fit['minimum']} on"
                )
                axes.text(
                    0.97,
                    0.96,
                    label,
                    color=ORANGE,
                    ha="right",
                    va="top",
                    fontsize=8,
                    transform=axes.transAxes,
                )
        left.set_ylabel("density")

    return svg(draw, 6.2, 2.7)


def branching_histogram(branching: NDArray[np.float64], mean: float | None) -> str:
    """Branching factors of all neurons, each the mean over the samples in which it fired;

    [sample, neuron].
    """

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        known = ~np.isnan(branching)
        fired = known.any(axis=0)
        values = np.where(known, branching, 0.0)[:, fired].sum(axis=0) / np.maximum(
            known[:, fired].sum(axis=0), 1
        )
        axes.hist(values, bins=40, color=BLUE, alpha=0.75)
        axes.axvline(1.0, color=GREY, lw=1, ls=":")
        if mean is not None:
            axes.axvline(mean, color=ORANGE, lw=1.6)
            axes.set_title(f"mean {mean:.3f}", color=ORANGE, fontsize=9, loc="right")
        axes.set_xlabel("branching factor of a neuron")
        axes.set_ylabel("neurons")

    return svg(draw, 3.6, 2.6)


def weights(liquid: Liquid) -> str:
    """Weights of the recurrent and of the input synapses."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        parts = (("liquid_to_liquid", BLUE, "recurrent"), ("input_to_liquid", GREY, "input"))
        arrays = [liquid.trained.parameters[f"{name}.weight"] for name, _, _ in parts]
        reach = max(float(np.abs(a).max()) for a in arrays)
        bins = np.linspace(-1.05 * reach, 1.05 * reach, 42).tolist()
        shares = [np.full(len(values), 1 / len(values)) for values in arrays]
        _, colors, labels = zip(*parts, strict=True)
        axes.hist(arrays, bins=bins, weights=shares, color=colors, label=labels, rwidth=0.95)
        axes.set_yscale("log")
        axes.set_ylim(bottom=1e-4)
        axes.set_xlabel("weight")
        axes.set_ylabel("share of synapses")
        axes.legend(
            frameon=False, fontsize=8, loc="upper center", ncols=2, bbox_to_anchor=(0.5, 1.17)
        )

    return svg(draw, 3.6, 2.6)


def degrees(liquid: Liquid) -> str:
    """How many recurrent synapses neurons have, coming in and going out."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        source, target, _ = _ends(liquid)
        counts = [np.bincount(end, minlength=liquid.neurons) for end in (target, source)]
        lowest, highest = (f(f(c) for c in counts) for f in (min, max))
        width = 1 + (highest - lowest) // 30
        bins = [lowest - 0.5 + width * k for k in range((highest - lowest) // width + 2)]
        for values, color, label in zip(
            counts, (BLUE, ORANGE), ("coming in", "going out"), strict=True
        ):
            axes.hist(
                values, bins=bins, histtype="stepfilled", color=color, alpha=0.45, label=label
            )
        axes.set_xlim(bins[0] - 2 * width, bins[-1] + 2 * width)
        axes.xaxis.set_major_locator(_whole_numbers())
        axes.set_xlabel("recurrent synapses of a neuron")
        axes.set_ylabel("neurons")
        axes.legend(
            frameon=False, fontsize=8, loc="upper center", ncols=2, bbox_to_anchor=(0.5, 1.17)
        )

    return svg(draw, 3.6, 2.6)


def reservoir_drawings(
    liquid: Liquid, summary: LiquidSummary, inputs: NDArray[np.uint8]
) -> dict[str, str]:
    """All figures of the page, name -> SVG.

    inputs: the input spikes [time, neuron] of the first sample of the summary.
    """
    return {
        "connections": connections(liquid),
        "raster": raster(summary.spikes[:, 0], inputs, liquid.inhibitory, liquid.network.dt),
        "avalanches": avalanche_sizes(summary.avalanches, summary.values["avalanches"]),
        "branching": branching_histogram(summary.branching, summary.values["branching_factor"]),
        "weights": weights(liquid),
        "degrees": degrees(liquid),
    }
