# SPDX-License-Identifier: Apache-2.0
"""The page and plot of `benchmarks/zero_shot.py`, from the results in its work folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import outputs
import scipy.stats
from intervals import student_text, table
from numpy.typing import NDArray
from work_folder import Results
from zero_shot_setup import (
    AUDIO_STEP_MS,
    AUDIO_STEPS,
    BITS,
    BLOCK,
    CONFIGS,
    FOLDS,
    IMAGE_STEP_US,
    IMAGE_STEPS,
    NEURONS,
    PAIR_TEST,
    PAIR_TRAIN,
    PAIRS,
    READ_NOISE,
    SIDE,
    SPEAKERS,
    THRESHOLD,
    bools,
    matchings,
    selected,
)

from neurohw.reservoir import Retrieval


def percent(right: NDArray[np.bool_]) -> str:
    """Accuracy in percent with its exact 95 % binomial interval."""
    low, high = Retrieval(right, 0.5).interval()
    return f"{100 * right.mean():.1f} ({100 * low:.1f}–{100 * high:.1f})"


def points(shares: Sequence[float] | NDArray[np.float64]) -> str:
    """Mean of shares in points, with its 95 % interval (Student)."""
    return student_text(100 * np.asarray(shares, np.float64))


def small(p: float) -> str:
    """A p value."""
    return f"{p:.2g}" if p >= 1e-300 else "< 1e-300"


def chips_of(found: dict[str, Any], prefix: str) -> list[int]:
    """Numbers of the chips whose results are all there."""
    return sorted(
        {int(k.rsplit("chip", 1)[1]) for k in found if k.startswith(prefix) and "chip" in k}
    )


NAMES = {"audio": "speaker", "image": "fold"}


def probe_lines(results: Results) -> list[str]:
    """Raw counts against liquids."""
    lines: list[str] = []
    for name, title in (
        ("audio", "Spoken digits, leaving each speaker out"),
        ("image", "Recordings of an event camera"),
    ):
        found, count = results.found(f"probe-{name}-*"), SPEAKERS if name == "audio" else FOLDS
        chips = [
            c
            for c in chips_of(found, "probe")
            if all(f"probe-{name}-{s}-chip{c}" in found for s in range(count))
        ]
        if not chips:
            continue
        raw = [bools(found[f"probe-{name}-{s}-raw"]["right"]) for s in range(count)]
        every = [bools(found[f"probe-{name}-{s}-everything"]["right"]) for s in range(count)]
        liquid = [
            [bools(found[f"probe-{name}-{s}-chip{c}"]["right"]) for c in chips]
            for s in range(count)
        ]
        rows, differences = [], []
        for s in range(count):
            accuracies = [float(x.mean()) for x in liquid[s]]
            differences.append(float(np.mean(accuracies) - raw[s].mean()))
            config = selected(results, name, s)
            rows.append(
                f"| {s} | {len(raw[s])} | {percent(every[s])} | {percent(raw[s])} | "
                f"{100 * np.mean(accuracies):.1f} ± "
                f"{100 * np.std(accuracies, ddof=len(chips) > 1):.1f} | "
                f"{100 * differences[-1]:+.1f} | {config.input_scale:g}, {config.scale:g}, "
                f"{config.decay:g} |"
            )
        joined = [np.concatenate([liquid[s][i] for s in range(count)]) for i in range(len(chips))]
        raw_all, every_all = np.concatenate(raw), np.concatenate(every)
        rows.append(
            f"| all | {len(raw_all)} | {percent(every_all)} | {percent(raw_all)} | "
            f"{100 * np.mean([j.mean() for j in joined]):.1f} ± "
            f"{100 * np.std([j.mean() for j in joined], ddof=len(chips) > 1):.1f} | "
            f"{points(differences)} | |"
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
                f"64 channels, {AUDIO_STEPS} steps of {AUDIO_STEP_MS} ms, at most one spike per "
                "step and channel. Regularisation: leave-one-out on the training samples, for "
                "all columns alike; configuration of the liquid: mean accuracy on each of the "
                "five training speakers, left out in turn."
                if name == "audio"
                else f"nmnist_small, 1,100 recordings, {FOLDS}-fold cross-validation; one "
                f"polarity, {SIDE} x {SIDE} blocks of {BLOCK} x {BLOCK} pixels, "
                f"{IMAGE_STEPS} steps of {IMAGE_STEP_US // 1000} ms, at most one spike per "
                "step and channel. Regularisation and configuration: leave-one-out accuracy "
                "on the training samples. This is no accuracy on N-MNIST, which has 70,000 "
                "recordings."
            )
            + " Linear probe (ridge) of counts, test accuracy in percent with exact 95 % "
            f"binomial intervals; liquids of {NEURONS} neurons, mean ± standard deviation "
            f"over {len(chips)} chips; mean difference with its 95 % interval over "
            f"{NAMES[name]}s (Student).",
            *table(
                (
                    f"| {NAMES[name]} | samples | all events recorded | the spikes that the "
                    "liquid hears | liquid | liquid less what it hears | input scale, scale, "
                    "decay |"
                ),
                rows,
            ),
            "",
            f"By chip, all {len(raw_all)} samples: {intervals}. The difference is above 0 over "
            f"{NAMES[name]}s with p = {small(float(t))} (one-sided t test of {count} means over "
            "chips); over samples, the chip with the largest p value of a sign test has "
            f"{worst[1]} samples right that raw counts have wrong and {worst[2]} the other way "
            f"round, p = {small(worst[0])}.",
        ]
    return lines


def noise_lines(results: Results) -> list[str]:
    """Read noise."""
    rows = []
    for name, title in (("audio", "spoken digits"), ("image", "event camera")):
        found = results.found(f"noise-{name}-*")
        chips = chips_of(found, "noise")
        if not chips:
            continue
        right = {
            k: np.concatenate([bools(r[f"right_{k}"]) for r in found.values()])
            for k in ("clean", "noisy", "adapted")
        }
        for kind, fitted in (("noisy", "without noise"), ("adapted", "with noise")):
            change = [
                np.mean([r[kind] - r["clean"] for k, r in found.items() if k.endswith(f"chip{c}")])
                for c in chips
            ]
            won, lost = (
                int((right[kind] & ~right["clean"]).sum()),
                int((~right[kind] & right["clean"]).sum()),
            )
            p = scipy.stats.binomtest(won, won + lost).pvalue if won + lost else 1.0
            rows.append(
                f"| {title} | {fitted} | {len(chips)} | {len(right[kind])} | "
                f"{100 * right['clean'].mean():.2f} | {percent(right[kind])} | {points(change)} "
                f"| {won} : {lost}, p = {small(float(p))} | "
                f"{100 * np.mean([r['differ'] for r in found.values()]):.1f} |"
            )
    if not rows:
        return []
    return [
        "",
        "## Read noise",
        "",
        f"Every device reads G (1 + {READ_NOISE:g} N(0, 1)), drawn anew for every device, step "
        "and sample (`Chip.run`). The probe was fitted to counts of the same chip without "
        "noise, or with. Accuracy in percent over all test samples of all chips, of the probe "
        "without any noise and of the probe that reads noisy counts; mean change in points with "
        "its 95 % interval over chips (Student); samples right only with noise : only without, "
        "and their sign test; sum of the changes of counts over the sum of counts, in percent.",
        *table(
            (
                "| data | probe fitted | chips | samples x chips | no noise | read noise | "
                "change | only with : only without | counts changed |"
            ),
            rows,
        ),
    ]


def integer_lines(results: Results) -> list[str]:
    """Integers."""
    rows = []
    for name, title in (("audio", "spoken digits"), ("image", "event camera")):
        found = list(results.found(f"integers-{name}-*").values())
        if not found:
            continue
        weight = [r["samples"] for r in found]
        of = {
            k: 100 * np.average([r[k] for r in found], weights=weight)
            for k in ("float", "golden", "differ")
        }
        change = points([r["golden"] - r["float"] for r in found])
        synapses = int(np.mean([r["synapses"] for r in found]))
        rows.append(
            f"| {title} | {sum(weight)} | {synapses:,} | {of['float']:.2f} | "
            f"{of['golden']:.2f} | {change} | {of['differ']:.1f} |"
        )
    if not rows:
        return []
    return [
        "",
        "## Integers",
        "",
        f"Liquid and readout as one network, int{BITS}, chip 0: accuracy in percent of the "
        "golden integers, with which the RTL agrees on every state and step "
        "(`tests/hardware/verify/test_resistive.py`), beside that of the float network; change "
        "in points with its 95 % interval over speakers or folds (Student); sum of the changes "
        "of the liquid's counts over their sum, in percent. Each readout is fitted to counts of "
        "its own liquid and is the one for hardware (normalised counts, no bias, "
        "docs/adr/0014), hence accuracies other than above.",
        *table(
            (
                "| data | samples | synapses of the liquid | float | golden | change | counts "
                "changed |"
            ),
            rows,
        ),
    ]


WAYS = {"audio_to_image": "sound to image", "image_to_audio": "image to sound"}


def digit_lines(results: Results) -> list[str]:
    """Two digits that were not trained."""
    found = results.found("digits-*")
    chips = [
        c
        for c in chips_of(found, "digits")
        if all(f"digits-{a}{b}-chip{c}" in found for a, b in PAIRS)
    ]
    if not chips:
        return []
    rows, verdicts = [], []
    for way, title in WAYS.items():
        of = {
            pair: [found[f"digits-{pair[0]}{pair[1]}-chip{c}"][way] for c in chips]
            for pair in PAIRS
        }
        means = np.array([np.mean([bools(r["right"]).mean() for r in own]) for own in of.values()])
        chance = np.array([np.mean([r["chance"] for r in own]) for own in of.values()])
        p = [
            [Retrieval(bools(r["right"]), r["chance"]).p_value() for r in own]
            for own in of.values()
        ]
        above = sum(max(x) < 0.01 for x in p)
        below = sum(
            max(
                float(
                    scipy.stats.binomtest(
                        int(bools(r["right"]).sum()), len(r["right"]), r["chance"], "less"
                    ).pvalue
                )
                for r in own
            )
            < 0.01
            for own in of.values()
        )
        best, worst = PAIRS[int(means.argmax())], PAIRS[int(means.argmin())]
        for name, pair in (("as published", (8, 9)), ("best", best), ("worst", worst)):
            right = [bools(r["right"]) for r in of[pair]]
            rows.append(
                (
                    f"| {title} | {pair[0]}, {pair[1]} ({name}) | {len(right[0])} | "
                    f"{100 * np.mean([r['chance'] for r in of[pair]]):.1f} | "
                )
                + ", ".join(percent(x) for x in right)
                + f" | {small(max(p[PAIRS.index(pair)]))} |"
            )
        test = scipy.stats.ttest_1samp(means - chance, 0, alternative="greater").pvalue
        by_chip = np.array([[bools(r["right"]).mean() for r in own] for own in of.values()]).T
        agreement = (
            np.corrcoef(by_chip)[np.triu_indices(len(chips), 1)].mean()
            if len(chips) > 1
            else float("nan")
        )
        verdicts.append(
            f"{title}: mean {100 * means.mean():.1f} %, chance {100 * chance.mean():.1f} %, "
            f"difference {points(means - chance)} points over the 45 pairs, p = "
            f"{small(float(test))}; p < 0.01 over the queries on every chip above chance for "
            f"{above} pairs, below chance for {below}; correlation of the 45 accuracies between "
            f"chips {agreement:.2f}"
        )
    return [
        "",
        "## Two digits that were never trained",
        "",
        "Projections trained on eight digits, paired by class; queries of the two others, and a "
        "gallery of the two others. Held out of means, spreads and projections; only the choice "
        "of the configuration, the one that most splits above selected, has seen all digits, "
        f"which could but help. {len(chips)} chips of either modality. Accuracy in percent of "
        "the first item retrieved, one number per chip, with exact binomial intervals over "
        "queries; the largest p value over chips (exact binomial, one-sided).",
        *table("| from, to | unseen | queries | chance | accuracy by chip | p |", rows),
        "",
        ". ".join(v[0].upper() + v[1:] for v in verdicts) + ".",
        "",
        "Many pairs are far from chance, in either direction, whatever the chip: it depends on "
        "which trained digits the two resemble by sound and by shape. Nothing that was trained "
        "says which of two unknown sounds belongs to which of two unknown shapes: over the pairs "
        "that is a coin. A p value over queries of one pair, as the published 87.5 % for 8 and "
        "9, does not see this. What can be retrieved without ever having been trained is a new "
        "combination of what is known:",
    ]


def pair_lines(results: Results) -> list[str]:
    """Pairs of digits that were not trained."""
    found = results.found("pairs-*")
    groups = matchings()
    sources = [
        s
        for s in ("raw", *(f"chip{c}" for c in chips_of(found, "pairs")))
        if all(f"pairs-{g}-{s}" in found for g in range(len(groups)))
    ]
    chips = [s for s in sources if s != "raw"]
    if not chips:
        return []
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
            s: np.concatenate(
                [bools(found[f"pairs-{g}-{s}"][way]["right"]) for g in range(len(groups))]
            )
            for s in sources
        }
        chance = float(
            np.mean([found[f"pairs-{g}-{chips[0]}"][way]["chance"] for g in range(len(groups))])
        )
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
    return [
        "",
        "## Pairs of digits that were never trained",
        "",
        "A class is a pair of different digits, 45 in all: one speaker says both, one after the "
        "other in either order; two recordings of the event camera stand side by side, either "
        "left. Nine folds leave out five pairs each, in which every digit is once (a round "
        "robin), so that every pair is unseen once and its digits are known from eight other "
        f"pairs. {PAIR_TRAIN} training and {PAIR_TEST} test samples of a pair and modality, made "
        "of different recordings; configuration of the liquids as most splits above selected "
        "it, on single digits. One number per chip over all queries of all folds, percent with "
        f"exact 95 % binomial intervals; the largest p value over {len(chips)} chips (exact "
        "binomial, one-sided, queries as units); pairs whose share of right queries, mean over "
        "chips, is above chance, with a one-sided Wilcoxon test (pairs as units). Last column: "
        "the same heads on raw counts of the spikes that the liquids hear.",
        *table(
            (
                "| from, to | queries | chance | accuracy by chip | p | pairs above chance | raw "
                "counts |"
            ),
            rows,
        ),
    ]


def plot(results: Results, path: Path) -> None:
    """Probes by split, and retrieval by pair."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    probe, single, double = (
        results.found("probe-*"),
        results.found("digits-*"),
        results.found("pairs-*"),
    )
    if not (probe and single and double):
        return
    figure, axes = plt.subplots(1, 3, figsize=(11, 3), layout="constrained")
    for axis, name, count in ((axes[0], "audio", SPEAKERS), (axes[0], "image", FOLDS)):
        start = 0 if name == "audio" else SPEAKERS + 1
        for s in range(count):
            of = [
                100 * r["accuracy"]
                for k, r in probe.items()
                if k.startswith(f"probe-{name}-{s}-chip")
            ]
            axis.plot(
                [start + s] * len(of),
                of,
                ".",
                color="tab:blue",
                label="liquid" if start + s == 0 else None,
            )
            axis.plot(
                start + s,
                100 * probe[f"probe-{name}-{s}-raw"]["accuracy"],
                "_",
                color="black",
                markersize=12,
                label="raw counts" if start + s == 0 else None,
            )
    axes[0].set(
        ylabel="test accuracy, %",
        xticks=[2.5, SPEAKERS + 3],
        xticklabels=["speakers left out", "event camera, folds"],
    )
    axes[0].legend(fontsize=7)
    means = sorted(
        np.mean(
            [
                bools(r["audio_to_image"]["right"]).mean()
                for k, r in single.items()
                if k.startswith(f"digits-{a}{b}-")
            ]
        )
        for a, b in PAIRS
    )
    axes[1].plot(100 * np.array(means), ".", color="tab:red")
    axes[1].axhline(50, color="black", linewidth=0.5)
    axes[1].set(
        title="two unseen digits",
        xlabel="pairs of digits, sorted",
        ylabel="sound to image, %",
        ylim=(0, 100),
    )
    shares: list[list[float]] = [[] for _ in PAIRS]
    for key, r in double.items():
        if "chip" in key:
            right, label = bools(r["audio_to_image"]["right"]), np.array(r["labels"][0])
            for k in np.unique(label):
                shares[k].append(float(right[label == k].mean()))
    axes[2].plot(100 * np.array(sorted(np.mean(s) for s in shares if s)), ".", color="tab:blue")
    axes[2].axhline(20, color="black", linewidth=0.5)
    axes[2].set(
        title="five unseen pairs of digits",
        xlabel="pairs of digits, sorted",
        ylabel="sound to image, %",
        ylim=(0, 100),
    )
    outputs.write_figure(figure, path, dpi=80)
    plt.close(figure)


def write_page(results: Results, path: Path) -> None:
    """Page and plot from the results that are there."""
    lines = [
        "# The resistive liquid state machine",
        "",
        f"Liquids of {NEURONS} neurons whose weights are differential pairs of devices that "
        "forming left at random (half of them conduct, spread 0.3), never trained; hard reset, "
        f"threshold {THRESHOLD:g}. A chip is a draw of all devices. Scales are chosen among "
        f"{len(CONFIGS['audio'])} configurations for sound and {len(CONFIGS['image'])} for "
        "images, on training samples with a chip that is used for nothing else; their range and "
        "the leak come from a first look at one other draw of weights with recordings of all "
        "speakers and folds, those of the tests among them. `python benchmarks/zero_shot.py` "
        "writes this page.",
    ]
    for part in (probe_lines, noise_lines, integer_lines, digit_lines, pair_lines):
        lines += part(results)
    if results.found("pairs-*") and results.found("digits-*"):
        lines += ["", f"![probes by split, and retrieval by pair]({path.with_suffix('.png').name})"]
    outputs.write_page(path, "\n".join(lines) + "\n")
    plot(results, path.with_suffix(".png"))
