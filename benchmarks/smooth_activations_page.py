# SPDX-License-Identifier: Apache-2.0
"""The page and plot of `benchmarks/smooth_activations.py`."""

from pathlib import Path

import numpy as np
import outputs
from intervals import student
from numpy.typing import NDArray
from smooth_activations_derivatives import derivative_error, expected_error
from smooth_activations_perceptron import (
    ACTIVATIONS,
    BATCH,
    CHIPS,
    DEVICES,
    EPOCHS,
    OUTPUT_BITS,
    SAME_CHIP,
    SIZES,
    Result,
)

BITS = (2, 3, 4, 5, 6)
SEEDS, TUNING_SEEDS = tuple(range(10)), (100, 101)
RATES = (3e-3, 1e-2, 3e-2)
WIDTHS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # of the noise, for derivatives
Case = tuple[str, int, str]  # activation, bits, device


def spread(values: list[float], scale: float = 100.0) -> str:
    """mean ± standard deviation."""
    return f"{scale * np.mean(values):.2f} ± {scale * np.std(values, ddof=1):.2f}"


def bounds(differences: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % interval of the mean of paired differences (Student)."""
    mean, half = student(differences)
    return mean - half, mean + half


def interval(differences: NDArray[np.float64]) -> str:
    """Mean of paired differences in points and its interval."""
    low, high = bounds(differences)
    return f"{100 * differences.mean():+.2f} [{100 * low:+.2f}, {100 * high:+.2f}]"


def verdicts(found: dict[Case, Result]) -> list[str]:
    """How often each smooth activation is better and worse than the rectifier, by intervals that
    leave out 0.
    """
    lines = []
    for smooth in ("gelu", "silu"):
        words = []
        for device in DEVICES:
            ranges = [
                bounds(
                    np.array(found[smooth, bits, device]["test"])
                    - np.array(found["relu", bits, device]["test"])
                )
                for bits in BITS
            ]
            better = [str(b) for b, (low, _) in zip(BITS, ranges, strict=True) if low > 0]
            worse = [str(b) for b, (_, high) in zip(BITS, ranges, strict=True) if high < 0]
            words.append(
                f"{device}: better at {', '.join(better) or 'no'} bits, worse at "
                f"{', '.join(worse) or 'no'} bits"
            )
        lines.append(f"- {smooth} against relu, by intervals without 0: {'; '.join(words)}.")
    return [*lines, ""]


def plot(path: Path, measured: dict[str, list[float]], found: dict[Case, Result]) -> None:
    """Errors of derivatives, and accuracies by bits for every device."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 1 + len(DEVICES), figsize=(13, 3.2), dpi=100)
    for name, values in measured.items():
        axes[0].loglog(WIDTHS, values, marker="o", ms=3, label=name)
    axes[0].set(xlabel="sigma of the noise", ylabel="E|act'(x+n) - act'(x)|")
    axes[0].legend(fontsize=7)
    for panel, device in zip(axes[1:], DEVICES, strict=True):
        for name in ACTIVATIONS:
            test = 100 * np.array([found[name, bits, device]["test"] for bits in BITS])
            panel.errorbar(
                BITS, test.mean(1), test.std(1, ddof=1), capsize=3, marker="o", ms=3, label=name
            )
        panel.set(
            xlabel="bits of the converters", ylabel="test accuracy, %", title=device, xticks=BITS
        )
        panel.legend(fontsize=7)
    figure.tight_layout()
    outputs.write_figure(figure, path)


def derivative_lines(measured: dict[str, list[float]]) -> list[str]:
    """The table of derivative errors."""
    lines = [
        "## Derivatives under noise",
        "",
        (
            "E|act'(x + n) - act'(x)|, x uniform in -σ … σ, n normal with deviation σ; in "
            "brackets the expansion for small σ."
        ),
        "",
        "| σ | relu | gelu | silu | relu / gelu | relu / silu |",
        "|---|---|---|---|---|---|",
    ]
    for i, sigma in enumerate(WIDTHS):
        cells = [f"{measured[a][i]:.4f} ({expected_error(a, sigma):.4f})" for a in ACTIVATIONS]
        ratios = [f"{measured['relu'][i] / measured[a][i]:.1f}" for a in ("gelu", "silu")]
        lines.append(f"| {sigma} | " + " | ".join([*cells, *ratios]) + " |")
    hundred = {
        a: expected_error("relu", 1.0) / expected_error(a, 1.0) / 100 for a in ("gelu", "silu")
    }
    return [
        *lines,
        "",
        "A rectifier's error does not depend on σ, a smooth one's is proportional to it: the "
        f"ratio is what the width of the noise makes it. It is 100 at σ = {hundred['gelu']:.4f} "
        f"for GELU and {hundred['silu']:.4f} for SiLU.",
    ]


def training_lines(found: dict[Case, Result], rates: dict[Case, float]) -> list[str]:
    """The tables of accuracies and gradient errors."""
    lines = ["", "## The same perceptron with each", ""]
    for device in DEVICES:
        words = {
            "none": "no devices: converters alone",
            "pcm": "PCM a day after programming",
            "additive": "additive Gaussian error, 10 % of the range",
        }
        lines += [
            f"### {words[device]}",
            "",
            (
                "| bits | relu | gelu | silu | gelu - relu | silu - relu | gradient error: relu "
                "| gelu | silu | learning rates |"
            ),
            "|---|---|---|---|---|---|---|---|---|---|",
        ]
        for bits in BITS:
            test = {a: np.array(found[a, bits, device]["test"]) for a in ACTIVATIONS}
            cells = [spread(list(test[a])) for a in ACTIVATIONS]
            cells += [interval(test[a] - test["relu"]) for a in ("gelu", "silu")]
            cells += [
                f"{np.mean(found[a, bits, device]['gradient_error']):.2f}" for a in ACTIVATIONS
            ]
            cells.append(", ".join(f"{rates[a, bits, device]:g}" for a in ACTIVATIONS))
            lines.append(f"| {bits} | " + " | ".join(cells) + " |")
        lines.append("")
    return [
        *lines,
        *verdicts(found),
        f"Test accuracy in percent, mean ± standard deviation of {len(SEEDS)} seeds (split, "
        f"weights, order, chips), each the mean of {CHIPS} chips that were not trained on; "
        "differences are paired by seed, with their 95 % interval (Student). Gradient error: "
        "mean of |g - g0| / |g0| over chips on 500 training samples before the first step, by "
        "the parameters of the hidden layers; g0 without converters and devices.",
        "",
        f"{'-'.join(str(s) for s in SIZES)} on the 8x8 digits, {EPOCHS} epochs in batches of "
        f"{BATCH}, AdamW, cosine to 0, a new chip for every {SAME_CHIP} mini-batches; the output "
        f"has a converter of {OUTPUT_BITS} bits; ranges with the least squared error, anew in "
        f"every epoch. Learning rates are chosen from {', '.join(f'{r:g}' for r in RATES)} for "
        f"every cell on the validation part by {len(TUNING_SEEDS)} other seeds. `python "
        "benchmarks/smooth_activations.py WORK` writes this page.",
    ]


def write_page(found: dict[Case, Result], rates: dict[Case, float], path: Path) -> None:
    """Page and plot of all cases, with the learning rates that were chosen."""
    measured = {a: [derivative_error(a, sigma) for sigma in WIDTHS] for a in ACTIVATIONS}
    plot(path.with_suffix(".png"), measured, found)
    lines = [
        "# Smooth and rectified activations under quantized analog noise",
        "",
        (
            "y = act(Q_b(x) + noise), x = W h + bias: Q_b is the column's converter, the noise "
            "is what devices of resistive memory add to the sum."
        ),
        "",
        "![derivatives and accuracies](smooth_activations.png)",
        "",
        *derivative_lines(measured),
        *training_lines(found, rates),
        "",
    ]
    outputs.write_page(path, "\n".join(lines))
