"""Smooth against rectified activations under quantized analog noise.

    python benchmarks/smooth_activations.py WORK [--out benchmarks/smooth_activations.md]

A projection that does not spike, on resistive memory, is  y = act(Q_b(x) + noise),  x = W h + bias: Q_b is the ADC of a column (`neurohw.memristor.converters`,
2^b - 1 codes), the noise is what the devices add to the sum,  noise = (W' - W) h  with W' the weights as a chip gives them back (`neurohw.memristor.crossbar`). A
rectifier's derivative is a step, that of GELU and SiLU is smooth, and the gradient needs it where the noise has moved the argument.

First, E|act'(x + n) - act'(x)| for x uniform in -sigma ... sigma and n normal with deviation sigma, sampled and by its expansion for small sigma. Then the same
multilayer perceptron is trained with each activation at b = 2 ... 6 bits, with a new chip in every training step, and tested on chips that it has not seen. Learning
rates are chosen for every activation on the validation part, by seeds of their own.
WORK: folder for results; a run that is there is not repeated, so that an interrupted benchmark goes on.
"""

import argparse
import functools
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from scipy import special, stats
from torch import Tensor
from torch.nn import functional

from neurohw.data import Dataset, digits
from neurohw.memristor import Crossbar, CrossbarMapping, Device, Layout, device_named, program_crossbar
from neurohw.memristor.converters import convert_signed
from neurohw.storage import write_atomically

SIZES = (64, 48, 48, 10)
BITS, OUTPUT_BITS = (2, 3, 4, 5, 6), 8
SEEDS, TUNING_SEEDS = tuple(range(10)), (100, 101)
RATES = (1e-3, 3e-3, 1e-2)
EPOCHS, BATCH, CHIPS = 20, 32, 20
DAY = 86400.0
MAPPING = CrossbarMapping()
DEVICES: dict[str, Device | None] = {
    "none": None,
    "pcm": device_named("pcm"),
    "additive": device_named("additive", fraction=0.1),
}
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "silu": functional.silu,
}
WIDTHS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
DRAWS = 2_000_000
RANGES = np.linspace(0.05, 1.0, 20)  # ends of a converter's range, of the largest size
Result = dict[str, Any]
Rng = np.random.Generator


# --- derivatives under noise ---------------------------------------------------------------------------------------------------


def derivative(activation: str, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """act'(x)."""
    match activation:
        case "relu":
            return (x > 0).astype(np.float64)
        case "gelu":
            return special.ndtr(x) + x * np.exp(-0.5 * x**2) / math.sqrt(2 * math.pi)
        case _:
            s = special.expit(x)
            return s * (1 + x * (1 - s))


def derivative_error(activation: str, sigma: float) -> float:
    """E|act'(x + n) - act'(x)|, x uniform in -sigma ... sigma, n ~ N(0, sigma^2)."""
    rng = np.random.default_rng(0)
    x, n = rng.uniform(-sigma, sigma, DRAWS), sigma * rng.standard_normal(DRAWS)
    return float(np.abs(derivative(activation, x + n) - derivative(activation, x)).mean())


def expected_error(activation: str, sigma: float) -> float:
    """The same for small sigma: a rectifier errs where the sign changes, whatever sigma; a smooth one by |act''(0)| E|n|."""
    if activation == "relu":  # the integral of Phi(-u) over u in 0..1
        return float(special.ndtr(-1.0) + stats.norm.pdf(0.0) - stats.norm.pdf(1.0))
    curvature = {"gelu": 2 / math.sqrt(2 * math.pi), "silu": 0.5}[activation]
    return curvature * sigma * math.sqrt(2 / math.pi)


# --- the perceptron ---------------------------------------------------------------------------------------------------------------


def layout(columns: int, rows: int) -> Layout:
    """Of a dense matrix [target, source]."""
    column, row = np.mgrid[:columns, :rows]
    return Layout("layer", row, column, rows, columns)


LAYOUTS = [layout(b, a) for a, b in zip(SIZES, SIZES[1:], strict=False)]


def crossbars(weights: list[Tensor], device: Device, rng: Rng) -> list[Crossbar]:
    """New devices, programmed to the weights of every layer."""
    return [
        program_crossbar(w.detach().numpy(), where, device, rng, MAPPING)
        for w, where in zip(weights, LAYOUTS, strict=True)
    ]


def errors_of_chip(weights: list[Tensor], device: Device | None, rng: Rng) -> list[Tensor] | None:
    """W' - W of every layer after a day, with one read; None without a device."""
    if device is None:
        return None
    bars = crossbars(weights, device, rng)
    return [torch.from_numpy(bar.weights(DAY, rng)) - w.detach() for bar, w in zip(bars, weights, strict=True)]


IDEAL: list[float | None] = [None] * len(LAYOUTS)


def convert(x: Tensor, limit: float, bits: int) -> Tensor:
    """Q_b(x) with the gradient of the identity inside the range, 0 outside."""
    codes = torch.from_numpy(np.asarray(convert_signed(x.detach().numpy(), limit, bits), np.float32))
    inside = x.clamp(-limit, limit)
    return inside + (codes - inside).detach()


def forward(
    parameters: list[Tensor],
    x: Tensor,
    activation: str,
    bits: int,
    limits: list[float | None],
    errors: list[Tensor] | None,
    seen: list[Tensor] | None = None,
) -> Tensor:
    """Logits. bits, limits: of the converters, a limit of None for an ideal one. errors: what the devices add to the weights. seen: collects the sums of every layer."""
    weights, biases = parameters[::2], parameters[1::2]
    h = x
    for index, (w, b) in enumerate(zip(weights, biases, strict=True)):
        last = index == len(weights) - 1
        total = h @ w.T + b
        if seen is not None:
            seen.append(total.detach())
        limit = limits[index]
        if limit is not None:
            total = convert(total, limit, OUTPUT_BITS if last else bits)
        if errors is not None:
            total = total + h @ errors[index].T
        h = total if last else ACTIVATIONS[activation](total)
    return h


def best_range(values: NDArray[np.float32], bits: int) -> float:
    """The end of a converter's range with the smallest squared error, of 20 up to the largest size."""
    ends = RANGES * float(np.abs(values).max())
    errors = [float(((convert_signed(values, end, bits) - values) ** 2).mean()) for end in ends]
    return float(ends[int(np.argmin(errors))])


def calibrated(parameters: list[Tensor], x: Tensor, activation: str, bits: int) -> list[float | None]:
    """Ranges of the converters of every layer for inputs x, one layer after the other, so that each sees what the ones before it convert."""
    limits = list(IDEAL)
    for index in range(len(limits)):
        seen: list[Tensor] = []
        with torch.no_grad():
            forward(parameters, x, activation, bits, limits, None, seen)
        limits[index] = best_range(seen[index].numpy(), OUTPUT_BITS if index == len(limits) - 1 else bits)
    return limits


def initial(seed: int) -> list[Tensor]:
    """Weights with variance 2 / inputs, the same for every activation, and biases of 0."""
    generator = torch.Generator().manual_seed(seed)
    parameters: list[Tensor] = []
    for a, b in zip(SIZES, SIZES[1:], strict=False):
        parameters += [torch.randn((b, a), generator=generator) * math.sqrt(2 / a), torch.zeros(b)]
    return [p.requires_grad_() for p in parameters]


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Fraction of samples whose largest logit is their label's."""
    return float((logits.argmax(1) == labels).float().mean())


def gradient_error(
    parameters: list[Tensor], data: tuple[Tensor, Tensor], activation: str, bits: int, device: Device | None, rng: Rng
) -> float:
    """Mean of |g - g0| / |g0| over chips: g0 the gradient by the hidden layers' parameters without converters and noise, g with both."""

    def gradient(limits: list[float | None], errors: list[Tensor] | None) -> Tensor:
        loss = functional.cross_entropy(forward(parameters, data[0], activation, bits, limits, errors), data[1])
        return torch.cat([g.ravel() for g in torch.autograd.grad(loss, parameters[:-2])])

    ideal, limits = gradient(IDEAL, None), calibrated(parameters, data[0], activation, bits)
    found = [gradient(limits, errors_of_chip(parameters[::2], device, rng)) for _ in range(CHIPS)]
    return float(torch.stack([(g - ideal).norm() / ideal.norm() for g in found]).mean())


def run(activation: str, bits: int, device_name: str, seed: int, rate: float) -> Result:
    """Train one perceptron; accuracies on the validation and test parts, mean over chips, and without converters and devices."""
    torch.set_num_threads(1)
    device, data = DEVICES[device_name], dataset(seed)
    parts = {n: tuple(torch.from_numpy(a.copy()) for a in data.part(n)) for n in ("train", "validation", "test")}
    x, y = parts["train"]
    parameters, rng = initial(seed), np.random.default_rng([seed, 1])
    order = torch.Generator().manual_seed(seed + 1)
    some = (x[:500], y[:500])
    result: Result = {"gradient_error": gradient_error(parameters, some, activation, bits, device, rng)}
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=1e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS * -(-len(y) // BATCH))
    for _ in range(EPOCHS):
        limits = calibrated(parameters, some[0], activation, bits)
        for chosen in torch.randperm(len(y), generator=order).split(BATCH):
            errors = errors_of_chip(parameters[::2], device, rng)
            loss = functional.cross_entropy(forward(parameters, x[chosen], activation, bits, limits, errors), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
    limits = calibrated(parameters, some[0], activation, bits)
    result |= {"activation": activation, "bits": bits, "device": device_name, "seed": seed, "rate": rate}
    with torch.no_grad():
        for part in ("validation", "test"):
            samples, labels = parts[part]
            chips = np.random.default_rng([seed, 2, part == "test"])
            values = [
                accuracy(
                    forward(
                        parameters, samples, activation, bits, limits, errors_of_chip(parameters[::2], device, chips)
                    ),
                    labels,
                )
                for _ in range(CHIPS if device is not None else 1)
            ]
            result |= {part: float(np.mean(values)), f"{part}_worst": float(np.min(values))}
    return result


@functools.cache
def dataset(seed: int) -> Dataset:
    """The 8x8 digits, split by the seed."""
    return digits(seed=seed)


def kept_run(work: Path, *job: Any) -> Result:
    """The run of a job, from its file where that is there."""
    file = work / ("-".join(str(x) for x in job) + ".json")
    if not file.exists():
        write_atomically(file, json.dumps(run(*job)).encode())
    return json.loads(file.read_text())  # type: ignore[no-any-return]


# --- the page --------------------------------------------------------------------------------------------------------------------------


def spread(values: list[float], scale: float = 100.0) -> str:
    """mean ± standard deviation."""
    return f"{scale * np.mean(values):.2f} ± {scale * np.std(values, ddof=1):.2f}"


def interval(differences: NDArray[np.float64]) -> str:
    """Mean of paired differences in points and its 95 % interval (Student)."""
    n = len(differences)
    half = float(stats.t.ppf(0.975, n - 1)) * differences.std(ddof=1) / math.sqrt(n)
    return f"{100 * differences.mean():+.2f} [{100 * (differences.mean() - half):+.2f}, {100 * (differences.mean() + half):+.2f}]"


def plot(path: Path, measured: dict[str, list[float]], found: dict[tuple[str, int, str], list[Result]]) -> None:
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
            values = 100 * np.array([[r["test"] for r in found[name, bits, device]] for bits in BITS])
            panel.errorbar(BITS, values.mean(1), values.std(1, ddof=1), capsize=3, marker="o", ms=3, label=name)
        panel.set(xlabel="bits of the converters", ylabel="test accuracy, %", title=device, xticks=BITS)
        panel.legend(fontsize=7)
    figure.tight_layout()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    write_atomically(path, buffer.getvalue())


def derivative_lines(measured: dict[str, list[float]]) -> list[str]:
    """The table of derivative errors."""
    lines = [
        "## Derivatives under noise",
        "",
        "E|act'(x + n) - act'(x)|, x uniform in -σ … σ, n normal with deviation σ; in brackets the expansion for small σ.",
        "",
        "| σ | relu | gelu | silu | relu / gelu | relu / silu |",
        "|---|---|---|---|---|---|",
    ]
    for i, sigma in enumerate(WIDTHS):
        cells = [f"{measured[a][i]:.4f} ({expected_error(a, sigma):.4f})" for a in ACTIVATIONS]
        ratios = [f"{measured['relu'][i] / measured[a][i]:.1f}" for a in ("gelu", "silu")]
        lines.append(f"| {sigma} | " + " | ".join([*cells, *ratios]) + " |")
    hundred = {a: expected_error("relu", 1.0) / expected_error(a, 1.0) / 100 for a in ("gelu", "silu")}
    return [
        *lines,
        "",
        "A rectifier's error does not depend on σ, a smooth one's is proportional to it: the ratio is what the width of the noise makes it. It is 100 at "
        f"σ = {hundred['gelu']:.4f} for GELU and {hundred['silu']:.4f} for SiLU.",
    ]


def training_lines(found: dict[tuple[str, int, str], list[Result]], rates: dict[str, float]) -> list[str]:
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
            "| bits | relu | gelu | silu | gelu - relu | silu - relu | gradient error: relu | gelu | silu |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        for bits in BITS:
            test = {a: np.array([r["test"] for r in found[a, bits, device]]) for a in ACTIVATIONS}
            cells = [spread(list(test[a])) for a in ACTIVATIONS]
            cells += [interval(test[a] - test["relu"]) for a in ("gelu", "silu")]
            cells += [f"{np.mean([r['gradient_error'] for r in found[a, bits, device]]):.2f}" for a in ACTIVATIONS]
            lines.append(f"| {bits} | " + " | ".join(cells) + " |")
        lines.append("")
    chosen = ", ".join(f"{a} {rate:g}" for a, rate in rates.items())
    return [
        *lines,
        f"Test accuracy in percent, mean ± standard deviation of {len(SEEDS)} seeds (split, weights, order, chips), each the mean of {CHIPS} chips that were not "
        "trained on; differences are paired by seed, with their 95 % interval (Student). Gradient error: mean of |g - g0| / |g0| over chips on 500 training "
        "samples before the first step, by the parameters of the hidden layers; g0 without converters and devices.",
        "",
        f"{'-'.join(str(s) for s in SIZES)} on the 8x8 digits, {EPOCHS} epochs in batches of {BATCH}, AdamW, cosine to 0, a new chip in every step; the output has a "
        f"converter of {OUTPUT_BITS} bits; ranges with the least squared error, anew in every epoch. Learning rates, chosen from {', '.join(f'{r:g}' for r in RATES)} on the "
        f"validation part at 4 bits on PCM by {len(TUNING_SEEDS)} other seeds: {chosen}. `python benchmarks/smooth_activations.py WORK` writes this page.",
    ]


def main() -> None:
    """Run what is missing, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    measured = {a: [derivative_error(a, sigma) for sigma in WIDTHS] for a in ACTIVATIONS}
    tuning = [(a, 4, "pcm", seed, rate) for a in ACTIVATIONS for rate in RATES for seed in TUNING_SEEDS]
    tuned = [kept_run(arguments.work, *job) for job in track(tuning, "learning rates")]
    rates = {
        a: max(
            RATES,
            key=lambda rate, a=a: np.mean(
                [r["validation"] for r in tuned if (r["activation"], r["rate"]) == (a, rate)]
            ),
        )  # type: ignore[misc]
        for a in ACTIVATIONS
    }
    jobs = [
        (a, bits, device, seed, rates[a]) for seed in SEEDS for device in DEVICES for bits in BITS for a in ACTIVATIONS
    ]
    found: dict[tuple[str, int, str], list[Result]] = {}
    for job in track(jobs, "training"):
        found.setdefault(job[:3], []).append(kept_run(arguments.work, *job))
    plot(arguments.out.with_suffix(".png"), measured, found)
    page = [
        "# Smooth and rectified activations under quantized analog noise",
        "",
        "y = act(Q_b(x) + noise), x = W h + bias: Q_b is the column's converter, the noise is what devices of resistive memory add to the sum.",
        "",
        "![derivatives and accuracies](smooth_activations.png)",
        "",
        *derivative_lines(measured),
        *training_lines(found, rates),
        "",
    ]
    write_atomically(arguments.out, "\n".join(page).encode())


if __name__ == "__main__":
    main()
