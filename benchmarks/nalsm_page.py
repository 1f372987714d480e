# SPDX-License-Identifier: Apache-2.0
"""The page and plot of `benchmarks/nalsm.py`, from the results in its work folder."""

from pathlib import Path
from typing import Any

import numpy as np
import outputs
import scipy.stats
from intervals import student_text, table
from work_folder import Results

MODES = ("nalsm", "stdp", "static")
CHECKPOINTS = (300, 1000, 3000, 10000, 30000, 50000)
BRANCHING_SAMPLES = 50
INITIALISING = {"paired": 3000, "long": 10000}  # images that initialise the weights
# results that choose the fixed amplitude
AMPLITUDE = {"paired": "amplitude", "long": "amplitude_long"}
# an event per ms is little: more and stronger input synapses
FSDD_STEPS, FSDD_DENSITY, FSDD_WEIGHT = 600, 0.3, 3.0
NMNIST_STEPS = 310
FOLDS = 5


def fixed_amplitude(results: Results, part: str = "paired") -> float:
    """The amplitude of depression with the best validation accuracy after the initialisation of a
    part.
    """
    found = [r for r in results.found(f"{AMPLITUDE[part]}-*").values() if r["mode"] == "stdp"]
    if not found:
        raise SystemExit("the part `amplitude` comes first: it chooses the amplitude of STDP")
    return float(max(found, key=lambda r: r["validation"])["depression"])


def wilson(right: int, samples: int) -> str:
    """Accuracy in percent with its 95 % interval (Wilson)."""
    low, high = scipy.stats.binomtest(right, samples).proportion_ci(method="wilson")
    return f"{100 * right / samples:.1f} ({100 * low:.1f}–{100 * high:.1f})"


def full_lines(results: Results) -> list[str]:
    """All of MNIST."""
    found = results.found("mnist[0-9]*-*")
    if not found:
        return []
    rows = []
    for key, r in found.items():
        third = results.found(f"logistic-{key}").get(f"logistic-{key}")
        logistic_cell = f"{third['logistic']:.2f}" if third else "–"
        rows.append(
            f"| {r['neurons']:,} | {r['mode']} | {r['ridge']:.2f} | {r['adadelta']:.2f} | "
            f"{logistic_cell} | {r['branching']:.3f} | {r['rate']:.1f} | "
            f"{r['encode_ms']:.2f} |"
        )
    both = [
        found[f"mnist1000-{m}"]["right"] for m in ("nalsm", "static") if f"mnist1000-{m}" in found
    ]
    margin = ""
    if len(both) == 2:
        margin = (
            " Images that ridge regression has right only with the astrocyte : only without "
            f"plasticity: {sign_test(both[:1], both[1:])}."
        )
    return [
        "",
        "## All of MNIST",
        "",
        "50,000 / 10,000 / 10,000 images, weights initialised by the 50,000 training images, 20 "
        "ms each; one liquid. Test accuracy in percent: ridge regression; the published readout "
        "(Adadelta, 100 epochs, the best validation epoch, which is among the last: it has not "
        "converged); and logistic regression by L-BFGS, stopped at the best validation "
        "accuracy. Rate in spikes per second and neuron; processor milliseconds per image of "
        "250 ms. Published: 97.61 with 8,000 neurons. `stdp` has the fixed amplitude "
        f"{fixed_amplitude(results)}, which was the best after 3,000 samples, and leaves 2 "
        f"spikes per second after 50,000: see below.{margin}",
        *table(
            "| neurons | mode | ridge | Adadelta | logistic | branching factor | rate | ms |", rows
        ),
    ]


def amplitude_lines(results: Results) -> list[str]:
    """STDP of fixed amplitudes."""
    rows = []
    for part, initialising in INITIALISING.items():
        found = results.found(f"{AMPLITUDE[part]}-*")
        for r in sorted(found.values(), key=lambda r: r["depression"] or np.inf):
            name = r["mode"] if r["depression"] is None else r["depression"]
            rows.append(
                f"| {initialising:,} | {name} | {r['validation']:.2f} | {r['branching']:.3f} "
                f"| {r['rate']:.1f} |"
            )
            samples = r["samples"]
    if not rows:
        return []
    return [
        "",
        "## The amplitude of depression",
        "",
        "STDP with a fixed amplitude of depression (that of potentiation is 0.15), and the "
        f"other two modes, on a subset: {samples[0]:,} training images; accuracy on "
        f"{samples[1]:,} validation images (the last of the training part) by ridge regression. "
        "The best fixed amplitude after so many samples of the initialisation is the mode "
        "`stdp` of the comparisons below after as many, that after 3,000 the one of all other "
        "comparisons.",
        *table("| initialised by | depression | validation | branching factor | rate |", rows),
        "",
        "![accuracy and branching factor over the amplitude](nalsm.png)",
    ]


def drift_lines(results: Results) -> list[str]:
    """The branching factor over the initialisation."""
    found = results.found("drift-*")
    if not found:
        return []
    rows = [
        f"| {r['depression'] or r['mode']} | "
        + " | ".join(
            f"{f:.2f} ({rate:.0f})" for f, rate in zip(r["branching"], r["rate"], strict=True)
        )
        + " |"
        for r in sorted(found.values(), key=lambda r: r["depression"] or np.inf)
    ]
    return [
        "",
        "## What the astrocyte holds",
        "",
        (
            f"Branching factor (and rate) in the encoding of {BRANCHING_SAMPLES} digits, after "
            "so many samples of the initialisation, with fixed amplitudes of depression and "
            "with the astrocyte."
        ),
        *table("| depression | " + " | ".join(f"{n:,}" for n in CHECKPOINTS) + " |", rows),
    ]


def sign_test(right: list[str], others: list[str]) -> str:
    """Samples that only one of two sets of predictions has right, and the p value of their sign
    test.
    """
    mine, theirs = (np.array(list("".join(x))) == "1" for x in (right, others))
    won, lost = int((mine & ~theirs).sum()), int((theirs & ~mine).sum())
    p = scipy.stats.binomtest(won, won + lost).pvalue if won + lost else 1.0
    return f"{won} : {lost} (p = {p:.1g})"


COMPARED = (
    "| mode | ridge | Adadelta | branching factor | nalsm less it, ridge | nalsm less it, "
    "Adadelta | it less static, ridge | it less static, Adadelta | right only with nalsm : only "
    "with it, ridge |"
)


def compared(
    found: dict[str, dict[str, Any]], groups: list[str], prefix: str, names: tuple[str, ...]
) -> list[str]:
    """Every mode over groups, and its paired differences from the mode with the astrocyte."""
    of = {m: [found[f"{prefix}{g}-{m}"] for g in groups] for m in names}
    lines = []
    for m, results in of.items():
        cells = [
            f"{np.mean([r[key] for r in results]):.2f}"
            for key in ("ridge", "adadelta", "branching")
        ]
        less = {
            o: [
                (a["ridge"] - b["ridge"], a["adadelta"] - b["adadelta"])
                for a, b in zip(of[o], results, strict=True)
            ]
            for o in ("nalsm", "static")
        }
        cells += [
            student_text([d[i] for d in less["nalsm"]]) if m != "nalsm" else "" for i in (0, 1)
        ]
        cells += [
            student_text([-d[i] for d in less["static"]]) if m != "static" else "" for i in (0, 1)
        ]
        cells += [
            sign_test(*([r["right"] for r in x] for x in (of["nalsm"], results)))
            if m != "nalsm"
            else ""
        ]
        lines.append(f"| {m} | " + " | ".join(cells) + " |")
    return lines


def paired_lines(results: Results) -> list[str]:
    """The modes on subsets of MNIST, over seeds."""
    lines: list[str] = []
    for part, initialising in INITIALISING.items():
        found = results.found(f"{part}-*")
        seeds = [str(s) for s in range(100) if all(f"{part}-{s}-{m}" in found for m in MODES)]
        if not seeds:
            continue
        samples = found[f"{part}-{seeds[0]}-nalsm"]["samples"]
        lines += [
            "",
            f"## The modes, paired, after {initialising:,} samples",
            "",
            f"MNIST, {samples[0]:,} training and {samples[2]:,} test images, weights initialised "
            f"by {initialising:,}; {len(seeds)} seeds, each with a liquid and spikes of its own "
            "that the modes share. Mean test accuracy, mean paired difference with its 95 % "
            "interval over the seeds (Student), and a sign test over all images of all seeds. "
            f"`stdp` has the amplitude {fixed_amplitude(results, part)}.",
            *table(COMPARED, compared(found, seeds, f"{part}-", MODES)),
        ]
    return lines


def fsdd_lines(results: Results) -> list[str]:
    """Spoken digits."""
    found = results.found("fsdd-*")
    speakers = [
        f"speaker{s}" for s in range(6) if all(f"fsdd-speaker{s}-{m}" in found for m in MODES)
    ]
    rows = [
        f"| {split} | "
        + " | ".join(
            f"{found[f'fsdd-{split}-{m}'][r]:.1f}" for r in ("ridge", "adadelta") for m in MODES
        )
        + " |"
        for split in ("official", *speakers)
        if all(f"fsdd-{split}-{m}" in found for m in MODES)
    ]
    if not rows:
        return []
    return [
        "",
        "## Spoken digits",
        "",
        (
            f"64 cochlea channels, {FSDD_STEPS} steps of 1 ms, input density {FSDD_DENSITY:g} "
            f"and weights ±{FSDD_WEIGHT:g}, weights initialised by the training recordings; "
            "linear readout of counts. Test accuracy in percent."
        ),
        *table("| split | nalsm, ridge | stdp | static | nalsm, Adadelta | stdp | static |", rows),
        *(table(COMPARED, compared(found, speakers, "fsdd-", MODES)) if len(speakers) > 1 else []),
    ]


def nmnist_lines(results: Results) -> list[str]:
    """The small set of recordings of an event camera."""
    found = results.found("nmnist_small-*")
    folds = [str(k) for k in range(FOLDS) if all(f"nmnist_small-{k}-{m}" in found for m in MODES)]
    if len(folds) < FOLDS:
        return []
    rows = []
    for m in MODES:
        right = "".join(found[f"nmnist_small-{k}-{m}"]["right"] for k in folds)
        factor = np.mean([found[f"nmnist_small-{k}-{m}"]["branching"] for k in folds])
        rows.append(f"| {m} | {wilson(right.count('1'), len(right))} | {factor:.3f} |")
    return [
        "",
        "## Recordings of an event camera",
        "",
        f"nmnist_small: 1,100 recordings, {NMNIST_STEPS} steps of 1 ms, {FOLDS}-fold "
        "cross-validation, every recording tested once; ridge regression. Accuracy in percent "
        "with its 95 % interval. This is no accuracy on N-MNIST, which has 70,000 recordings.",
        *table("| mode | accuracy | branching factor |", rows),
    ]


def plot(results: Results, path: Path) -> None:
    """Accuracy over fixed amplitudes, and the branching factor over the initialisation."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    found = results.found("amplitude-*")
    fixed = sorted(
        (r for r in found.values() if r["mode"] == "stdp"), key=lambda r: r["depression"]
    )
    if not fixed:
        return
    figure, (left, right) = plt.subplots(1, 2, figsize=(7, 2.6), layout="constrained")
    left.plot(
        [r["depression"] for r in fixed],
        [r["validation"] for r in fixed],
        "o-",
        color="tab:blue",
        label="fixed",
    )
    for mode, colour, name in (
        ("nalsm", "black", "astrocyte"),
        ("static", "tab:gray", "no plasticity"),
    ):
        if f"amplitude-{mode}" in found:
            left.axhline(found[f"amplitude-{mode}"]["validation"], color=colour, label=name)
    left.set(xlabel="amplitude of depression", ylabel="validation accuracy, %")
    left.legend(fontsize=7)
    for r in sorted(results.found("drift-*").values(), key=lambda r: r["depression"] or 0):
        name = f"fixed {r['depression']}" if r["depression"] else "astrocyte"
        right.semilogx(
            CHECKPOINTS,
            r["branching"],
            ".-",
            label=name,
            color=None if r["depression"] else "black",
        )
    right.axhline(1.0, color="black", linewidth=0.5)
    right.set(xlabel="samples of the initialisation", ylabel="branching factor")
    right.legend(fontsize=7)
    outputs.write_figure(figure, path, dpi=80)


def write_page(results: Results, path: Path) -> None:
    """Page and plot from the results that are there."""
    lines = [
        "# Liquids with astrocyte-modulated plasticity",
        "",
        "Modes: `nalsm` STDP whose depression an astrocyte sets, `stdp` STDP of fixed amplitude, "
        "`static` no plasticity. The three share liquid, input spikes and readouts. `python "
        "benchmarks/nalsm.py` writes this page.",
    ]
    for part in (full_lines, drift_lines, amplitude_lines, paired_lines, fsdd_lines, nmnist_lines):
        lines += part(results)
    outputs.write_page(path, "\n".join(lines) + "\n")
    plot(results, path.with_suffix(".png"))
