# SPDX-License-Identifier: Apache-2.0
"""The figure of RESULTS.md: times and memory of a training step, how they grow, and the curves of
losses.
"""

import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from outputs import write_figure
from training_speed import ALL, AXES, BASE, LOSS_PAIRS, OURS, PEERS, RECURRENT, Training, spread

COLORS = dict(
    zip(ALL, ("#c44e52", "#4c72b0", "#55a868", "#8172b2", "#ccb974", "#8c8c8c"), strict=True)
)


def _bars(axis: Any, title: str, unit: str, values: dict[str, tuple[float, float, float]]) -> None:
    """Horizontal bars with quartiles and numbers."""
    for row, (name, (middle, low, high)) in enumerate(values.items()):
        axis.barh(row, middle, color=COLORS.get(name, "#8c8c8c"))
        axis.plot([low, high], [row, row], color="black", linewidth=1)
        axis.text(middle, row, f" {middle:.0f}", va="center", fontsize=8)
    axis.set_yticks(range(len(values)), list(values), fontsize=8)
    axis.invert_yaxis()
    axis.margins(x=0.15)
    axis.set_title(title, fontsize=9)
    axis.set_xlabel(unit, fontsize=8)


def _curves(axis: Any, training: Training, name: str) -> None:
    """Time of a step along one axis."""
    for way in (OURS, *PEERS):
        found = [
            (value, training.times(way, replace(BASE, **{name: value}))) for value in AXES[name]
        ]  # type: ignore[arg-type]
        points = [(value, 1e3 * statistics.median(times)) for value, times in found if times]
        if len(points) > 2:
            axis.loglog(
                *zip(*points, strict=True), "o-", color=COLORS[way], label=way, markersize=3
            )
    axis.set_xlabel(f"{name} (base: {getattr(BASE, name)})", fontsize=8)
    axis.set_ylabel("training step [ms]", fontsize=8)
    axis.set_xticks(AXES[name], [f"{v:g}" for v in AXES[name]], fontsize=8)
    axis.minorticks_off()
    if axis.lines:
        axis.legend(fontsize=7)


def _losses(axis: Any, training: Training, ours: str, theirs: str) -> None:
    """Two curves over each other."""
    for name, style in (
        (ours, {"color": COLORS[OURS], "linewidth": 4, "alpha": 0.5}),
        (theirs, {"color": "black", "linewidth": 1}),
    ):
        losses = training.losses(name, False)
        axis.plot(range(1, len(losses) + 1), losses, label=name, **style)
    axis.set_xlabel("training step", fontsize=8)
    axis.set_ylabel("loss", fontsize=8)
    axis.legend(fontsize=7)


def draw(training: Training, path: Path) -> None:
    """Write the figure."""
    figure, axes = plt.subplots(3, 3, figsize=(13, 10), layout="constrained")

    def times(workload: Any, part: str) -> dict[str, tuple[float, float, float]]:
        found = {name: training.times(name, workload, part) for name in ALL}
        return {name: spread([1e3 * t for t in values]) for name, values in found.items() if values}

    memories = {name: training.memory(name, BASE) for name in ALL}
    sizes = {name: (m / 2**20,) * 3 for name, m in memories.items() if m is not None}
    _bars(axes[0, 0], f"Training step, {BASE.name}", "ms", times(BASE, "step"))
    _bars(axes[0, 1], f"Training step, {RECURRENT.name}", "ms", times(RECURRENT, "step"))
    _bars(axes[0, 2], "Memory above the idle process", "MiB", sizes)
    for axis, name in zip(
        (*axes[1], axes[2, 0]), ("batch", "steps", "width", "density"), strict=True
    ):
        _curves(axis, training, name)
    for axis, (ours, theirs) in zip(axes[2, 1:], LOSS_PAIRS, strict=True):
        _losses(axis, training, ours, theirs)
    for axis in axes.flat:
        axis.tick_params(labelsize=8)
    write_figure(figure, path, dpi=80)
    plt.close(figure)
