# SPDX-License-Identifier: Apache-2.0
"""The page RESULTS.md: targets and whether they are reached, then a section per benchmark."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from intervals import table
from machine_ceilings import cores, memory_gib, processor
from training_floor import floor_seconds
from training_speed import (
    ALL,
    AXES,
    BASE,
    EXTREMES,
    LOSS_PAIRS,
    OTHERS,
    OURS,
    PEERS,
    RECURRENT,
    Training,
    difference,
    spread,
)
from training_workload import Workload

# curves that differ by no more than so many times what float32 changes in the peer's own curve
# differ by rounding,
ROUNDING = 10.0
LEAST_ROUNDING = 1e-6  # and so do those that differ by no more than some roundings of a loss

BRIAN2 = ("Brian2, Cython, a sample at a time", "Brian2, Cython, 16 samples in one network")


@dataclass
class Measured:
    """Everything that the page shows.

    ceilings: by threads;
    rates: firing of hidden populations by workload;
    parts: JSON of other benchmarks by script.
    """

    training: Training
    load: float = 0.0
    quick: bool = False
    ceilings: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    rates: Mapping[Workload, tuple[float, float]] = field(default_factory=dict)
    parts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


Target = tuple[str, str, bool | None]  # what, what was measured, reached (None: not measured)


def times_text(values: list[float]) -> str:
    """Median and quartiles in ms."""
    middle, low, high = (1e3 * t for t in spread(values))
    digits = 0 if middle >= 100 else 1
    return f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def ratio_text(ratio: float | None) -> str:
    """A ratio with two digits."""
    return "–" if ratio is None else f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"


def _faster(training: Training, workload: Workload, peer: str, least: float) -> Target:
    ratio = training.ratio(peer, workload)
    what = f"training step, {workload.name}: {least:g} times faster than {peer}"
    return what, ratio_text(ratio), None if ratio is None else ratio >= least


def _no_loss(training: Training, workload: Workload, what: str) -> Target:
    best = training.best_peers(workload)
    ratio = training.ratio(best[0], workload) if best else None
    text = f"{ratio_text(ratio)} times faster than {best[0]}" if best else "–"
    return f"{what}: not slower than the best peer", text, None if ratio is None else ratio >= 1


def loss_rounding(training: Training, ours: str, peer: str) -> dict[str, Any] | None:
    """Differences of two curves in float32 and float64, and of the peer's curves in both;

    None where one is missing.
    """
    curves = [training.losses(name, double) for name in (ours, peer) for double in (False, True)]
    if not all(curves):
        return None
    float32, begins = difference(curves[0], curves[2])
    float64, _ = difference(curves[1], curves[3])
    own, own_begins = difference(curves[2], curves[3])
    within = float64 <= 1e-9 and float32 <= max(LEAST_ROUNDING, ROUNDING * own)
    return {
        "float32": float32,
        "begins": begins,
        "float64": float64,
        "own": own,
        "own_begins": own_begins,
        "within": within,
        "steps": len(curves[0]),
    }


def _training_targets(training: Training) -> list[Target]:
    rows = [_faster(training, BASE, peer, 5.0) for peer in ("snnTorch", "SpikingJelly")]
    rows += [_faster(training, RECURRENT, peer, 4.0) for peer in ("snnTorch", "SpikingJelly")]
    ours, theirs = training.memory(OURS, BASE), training.memory("snnTorch", BASE)
    share = ours / theirs if ours is not None and theirs else None
    text = "–" if share is None else f"{share:.2f}"
    rows.append(
        ("peak memory: at most 0.33 of snnTorch's", text, None if share is None else share <= 1 / 3)
    )
    for name, peer in LOSS_PAIRS:
        found = loss_rounding(training, name, peer)
        text = (
            "–"
            if found is None
            else (
                f"float64: {found['float64']:.0e}; float32: {found['float32']:.0e}, what float32 "
                f"changes in {peer} itself: {found['own']:.0e}"
            )
        )
        steps = "" if found is None else f" over {found['steps']} steps"
        rows.append(
            (
                f"losses of {peer}{steps} within rounding",
                text,
                None if found is None else found["within"],
            )
        )
    dense, single = EXTREMES
    rows.append(_no_loss(training, dense, f"{100 * dense.density:g} % density"))
    rows.append(_no_loss(training, single, f"batch {single.batch}"))
    return rows


def _inference_targets(part: Mapping[str, Any]) -> list[Target]:
    rates: Mapping[str, Mapping[str, float]] = part.get("samples_per_second", {})
    ours = rates[part["ours"]]["median"] if rates else None
    text = "–" if ours is None else f"{ours:,.0f}"
    reached = None if ours is None else ours >= 40_000
    rows: list[Target] = [("integer inference: 40,000 samples per second", text, reached)]
    plain = rates.get("C++ without AVX-512, scores", {}).get("median")
    for peer, least, mine in (
        ("numba", 1.0, plain),
        ("Lava", 4000.0, ours),
        *((p, 400.0, ours) for p in BRIAN2),
    ):
        theirs = rates.get(peer)
        how = ", without AVX-512" if peer == "numba" else ""
        what = f"integer inference{how}: {least:,.0f} times the rate of {peer}"
        if not (mine and theirs):
            rows.append((what, "–", None))
            continue
        ratio, low, high = (mine / theirs[which] for which in ("median", "highest", "lowest"))
        digits = 0 if ratio >= 100 else 1
        rows.append(
            (what, f"{ratio:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})", ratio >= least)
        )
    return rows


def targets(found: Measured) -> list[Target]:
    """All rows of the first table."""
    rows = _training_targets(found.training) + _inference_targets(
        found.parts.get("golden_inference", {})
    )
    verify, flow = (found.parts.get(name, {}) for name in ("verify_speed", "flow_time"))
    rate, seconds = None, flow.get("seconds")
    if "clocks" in verify:  # its script stops unless all 10,000 images are compared and equal
        rate = verify["clocks"] / verify["command_seconds"]["spikes"]
    text = "–" if rate is None else f"{rate:,.0f}"
    reached = None if rate is None else rate >= 1e6
    rows.append(("`neurohw verify`: 1,000,000 clock cycles per second", text, reached))
    text = "–" if seconds is None else f"{seconds:.0f} s"
    rows.append(
        ("`neurohw flow digits` in under 60 s", text, None if seconds is None else seconds < 60)
    )
    return rows


def target_lines(rows: list[Target]) -> list[str]:
    """The first table."""
    words = {True: "yes", False: "no", None: "not measured"}
    return table(
        "| target | measured | reached |",
        [f"| {what} | {text} | {words[ok]} |" for what, text, ok in rows],
    )


def floor_text(found: Measured, way: str, workload: Workload) -> str:
    """How many times the floor of a workload a way takes."""
    times = found.training.times(way, workload)
    if not times or workload not in found.rates or workload.threads not in found.ceilings:
        return "–"
    floor = sum(
        floor_seconds(workload, found.rates[workload], found.ceilings[workload.threads]).values()
    )
    return f"{statistics.median(times) / floor:.1f}"


def comparison(found: Measured, workload: Workload) -> list[str]:
    """The table of all frameworks on one workload."""
    training, rows = found.training, []
    for way in (*ALL, *OTHERS):
        times = training.times(way, workload)
        if not times:
            continue
        # its compiler lives in the process
        memory = training.memory(way, workload) if way != "torch.compile" else None
        processor_times = training.times(way, workload, "step", "process")
        rows.append(
            f"| {way} | {times_text(times)} | {ratio_text(training.ratio(way, workload))} | "
            f"{1e3 * statistics.median(processor_times):.0f} | "
            f"{floor_text(found, way, workload)} | "
            f"{'–' if memory is None else f'{memory / 2**20:.0f}'} | "
            f"{times_text(training.times(way, workload, 'forward'))} | "
            f"{ratio_text(training.ratio(way, workload, 'forward'))} |"
        )
    header = (
        "| | step [ms] | to ours | processor [ms] | of the floor | memory [MiB] | inference [ms] "
        "| to ours |"
    )
    return table(header, rows) if rows else []


def workload_text(workload: Workload) -> str:
    """Its numbers in words."""
    return (
        f"{workload.name}, T = {workload.steps}, batch {workload.batch}, "
        f"{100 * workload.density:g} % of the inputs fire in a step, {workload.threads} threads"
    )


def scaling(found: Measured) -> list[str]:
    """A table per axis, of all frameworks that were measured there."""
    lines: list[str] = []
    for axis, values in AXES.items():
        workloads = [replace(BASE, **{axis: value}) for value in values]  # type: ignore[arg-type]
        ways = [OURS, *(p for p in PEERS if all(found.training.times(p, w) for w in workloads))]
        rows = []
        for value, workload in zip(values, workloads, strict=True):
            times = [found.training.times(way, workload) for way in ways]
            if all(times):
                texts = " | ".join(times_text(t) for t in times)
                ratios = [found.training.ratio(way, workload) for way in ways[1:]]
                best = min((r for r in ratios if r is not None), default=None)
                rows.append(f"| {value:g} | {texts} | {ratio_text(best)} |")
        if len(rows) > 1:
            lines += table(f"| {axis} | " + " | ".join(ways) + " | best peer to ours |", rows)
    return (
        ["", "## Scaling", "", "Training step in ms, the base with one number changed.", *lines]
        if lines
        else []
    )


def loss_lines(found: Measured) -> list[str]:
    """What the curves say."""
    lines: list[str] = []
    for ours, peer in LOSS_PAIRS:
        result = loss_rounding(found.training, ours, peer)
        if result is not None:
            begins = "never" if result["begins"] is None else f"in step {result['begins']}"
            own = "never" if result["own_begins"] is None else f"in step {result['own_begins']}"
            lines.append(
                f"- {ours} and {peer}, {result['steps']} steps: largest relative difference "
                f"{result['float64']:.1e} in float64, {result['float32']:.1e} in float32 (above "
                f"1e-6 first {begins}); the float32 and float64 curves of {peer} itself differ "
                f"by {result['own']:.1e} (first {own})."
            )
    if not lines:
        return []
    words = (
        "The same spikes, weights and labels in every step. Frameworks sum in different orders; "
        "sooner or later a membrane within rounding of the threshold fires in one and not in "
        "the other, and from there the curves are two. So they are judged by float64, and by "
        f"what float32 changes in the peer's own curve (at most {ROUNDING:g} times that, or "
        f"{LEAST_ROUNDING:g})."
    )
    return ["", "## Loss curves", "", words, "", *lines]


def _shown(value: Any) -> str:
    if not isinstance(value, int | float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def part_lines(title: str, name: str, part: Mapping[str, Any]) -> list[str]:
    """The section of another benchmark: its numbers, and a table per dictionary."""
    lines = [
        "",
        f"## {title}",
        "",
        f"`python benchmarks/{name}.py` writes [its own page]({name}.md).",
    ]
    if not part:
        return [
            *lines,
            "",
            "Not measured in this run, or without the data that it needs (`--mnist`).",
        ]
    if "error" in part:
        return [*lines, "", "Failed:", "", "```", part["error"], "```"]
    rows = [
        f"| {key} | {_shown(value)} |"
        for key, value in part.items()
        if isinstance(value, str | int | float)
    ]
    lines += table("| | |", rows) if rows else []
    for key, values in part.items():
        if isinstance(values, dict) and values:
            columns = next((list(v) for v in values.values() if isinstance(v, dict)), None)
            header = f"| {key} | {' | '.join(columns or ['value'])} |"
            cells = [[v.get(c) for c in columns] if columns else [v] for v in values.values()]
            lines += table(
                header,
                [
                    f"| {k} | {' | '.join(map(_shown, c))} |"
                    for k, c in zip(values, cells, strict=True)
                ],
            )
    return lines


def page(found: Measured) -> str:
    """The whole page."""
    training = found.training
    noise = training.others()
    lines = [
        "# Results: this package and its peers in one run",
        "",
        "`make bench` measures what has changed and writes this page; `--again` measures all anew. "
        + ("A quick look: few repeats. " if found.quick else "")
        + (
            "Wall time, medians, quartiles in brackets; ratios above 1 mean that the other takes "
            "longer than this package."
        ),
        "",
        (
            f"Machine: {processor()}, {cores()} cores, {memory_gib():.0f} GiB; load "
            f"{found.load:.1f} when the run began"
        )
        + (
            "."
            if noise is None
            else f"; while steps were timed, other processes took up to {noise:.2f} processors."
        ),
        "",
        "![Training steps, memory, scaling and loss curves](results.png)",
        "",
        "## Targets",
        *target_lines(targets(found)),
    ]
    for workload, title in ((BASE, "Training"), (RECURRENT, "Training, recurrent")):
        rows = comparison(found, workload)
        if rows:
            lines += [
                "",
                f"## {title}",
                "",
                workload_text(workload) + "; float32, forward, backward and Adam.",
                *rows,
            ]
    compiled = training.first_seconds("torch.compile", BASE)
    if compiled is not None:
        lines += ["", f"torch.compile of the loop took {compiled:.0f} s for its first step."]
    for workload in EXTREMES:
        rows = comparison(found, workload)
        if rows:
            lines += ["", workload_text(workload) + ":", *rows]
    if found.ceilings:
        measured = "; ".join(
            f"{threads} thread{'s' * (threads > 1)}: products {c['large_product'] / 1e9:.0f} "
            f"(large) and {c['layer_product'] / 1e9:.0f} (of a layer) 10^9 multiply-adds/s, "
            f"copies {c['copy'] / 1e9:.0f} GB/s, cache {c['cache'] / 1e9:.0f} GB/s"
            for threads, c in found.ceilings.items()
        )
        parts = floor_seconds(BASE, found.rates[BASE], found.ceilings[BASE.threads])
        floor = ", ".join(f"{name} {1e3 * seconds:.1f} ms" for name, seconds in parts.items())
        lines += [
            "",
            "Memory is the peak of a process above what it holds with its network and stimulus "
            f"before the first step. Floor of a step ({BASE.name}): {floor}; "
            "`benchmarks/training_floor.py` says what counts. Ceilings of this machine, "
            f"measured in this run: {measured}. Hidden neurons fire as often as inputs do at the "
            "start.",
            "",
            "Every framework gets the same weights, spikes and labels, prepared outside of the "
            "timing, and does the products of all steps at once where it can. This package takes "
            "the stimulus in bytes, as its own data sets are; the others multiply it, and need "
            "float32. Timed steps have a learning rate of 0: the optimizer works, and neurons go "
            "on firing as often as the page says. SpikingJelly and sinabs have our equations, "
            "snnTorch those of `Lif(delayed_reset=True)`; norse has its own surrogate and a "
            "scaled membrane.",
        ]
    lines += scaling(found) + loss_lines(found)
    titles = {
        "golden_inference": "Integer inference",
        "verify_speed": "`neurohw verify`",
        "flow_time": "`neurohw flow digits`",
    }
    for name, part in found.parts.items():
        lines += part_lines(titles[name], name, part)
    for way, words in training.errors().items():
        lines += ["", f"{way} failed:", "", "```", words, "```"]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(found.versions.items()))
    lines += ["", "## Versions", "", versions, ""]
    return "\n".join(lines)
