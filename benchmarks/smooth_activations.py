"""Smooth against rectified activations under quantized analog noise.

    python benchmarks/smooth_activations.py WORK [--out benchmarks/smooth_activations.md]

A projection that does not spike, on resistive memory, is  y = act(Q_b(x) + noise),  x = W h + bias: Q_b is the ADC of a column (`neurohw.memristor.converters`,
2^b - 1 codes), the noise is what the devices add to the sum,  noise = (W' - W) h  with W' the weights as a chip gives them back (`neurohw.memristor.crossbar`). A
rectifier's derivative is a step, that of GELU and SiLU is smooth, and the gradient needs it where the noise has moved the argument.

First, E|act'(x + n) - act'(x)| for x uniform in -sigma ... sigma and n normal with deviation sigma, sampled and by its expansion for small sigma. Then the same
multilayer perceptron is trained with each activation at b = 2 ... 6 bits, with a new chip for every four mini-batches, and tested on chips that it has not seen. Learning
rates are chosen for every activation, device and b on the validation part, by seeds of their own.
WORK: folder for results; a run that is there is not repeated, so that an interrupted benchmark goes on.
"""

import argparse
import io
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from scipy import special, stats
from torch import Tensor
from torch.nn import functional

from neurohw.data import digits
from neurohw.memristor import CrossbarMapping, Device, Layout, device_named, program_crossbar
from neurohw.memristor.converters import convert_signed
from neurohw.storage import write_atomically

SIZES = (64, 48, 48, 10)
BITS, OUTPUT_BITS = (2, 3, 4, 5, 6), 8
SEEDS, TUNING_SEEDS = tuple(range(10)), (100, 101)
RATES = (3e-3, 1e-2, 3e-2)
EPOCHS, BATCH, CHIPS = 20, 32, 20
SAME_CHIP = 4  # mini-batches that are trained on one chip, since drawing devices takes longer than a step
DAY = 86400.0
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
IDEAL: list[Tensor | None] = [None] * (len(SIZES) - 1)
Result = dict[str, list[float]]  # by seed
Case = tuple[str, int, str]  # activation, bits, device
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
# All seeds at once: parameters [seed, ...], samples [seed, sample, feature]. Nothing is shared between them but the order of random draws.


def layer_errors(weight: Tensor, device: Device, rng: Rng) -> Tensor:
    """W' - W [seed, target, source] of new devices after a day, with one read; every seed has tiles of its own."""
    seeds, columns, rows = weight.shape
    column, row = np.mgrid[: seeds * columns, :rows]
    layout = Layout("layer", row, column, rows, seeds * columns)
    flat = weight.detach().reshape(seeds * columns, rows).numpy()
    crossbar = program_crossbar(flat, layout, device, rng, CrossbarMapping(tile_columns=columns))
    return torch.from_numpy(crossbar.weights(DAY, rng) - flat).reshape(weight.shape)


def errors_of_chip(parameters: list[Tensor], device: Device | None, rng: Rng) -> list[Tensor] | None:
    """What a new chip adds to the weights of every layer; None without a device."""
    return None if device is None else [layer_errors(w, device, rng) for w in parameters[::2]]


def convert(x: Tensor, limit: Tensor, bits: int) -> Tensor:
    """Q_b(x) with the gradient of the identity inside the range, 0 outside."""
    codes = torch.from_numpy(np.asarray(convert_signed(x.detach().numpy(), limit.numpy(), bits), np.float32))
    inside = x.clamp(-limit, limit)
    return inside + (codes - inside).detach()


def forward(
    parameters: list[Tensor],
    x: Tensor,
    activation: str,
    bits: int,
    limits: list[Tensor | None],
    errors: list[Tensor] | None,
    seen: list[Tensor] | None = None,
) -> Tensor:
    """Logits. bits, limits: of the converters, a limit of None for an ideal one. errors: what the devices add to the weights. seen: collects the sums of every layer."""
    weights, biases = parameters[::2], parameters[1::2]
    h = x
    for index, (w, b) in enumerate(zip(weights, biases, strict=True)):
        last = index == len(weights) - 1
        total = torch.baddbmm(b[:, None], h, w.mT)
        if seen is not None:
            seen.append(total.detach())
        limit = limits[index]
        if limit is not None:
            total = convert(total, limit, OUTPUT_BITS if last else bits)
        if errors is not None:
            total = torch.baddbmm(total, h, errors[index].mT)
        h = total if last else ACTIVATIONS[activation](total)
    return h


def best_range(values: NDArray[np.float32], bits: int) -> float:
    """The end of a converter's range with the smallest squared error, of 20 up to the largest size."""
    ends = RANGES * float(np.abs(values).max())
    errors = [float(((convert_signed(values, end, bits) - values) ** 2).mean()) for end in ends]
    return float(ends[int(np.argmin(errors))])


def calibrated(parameters: list[Tensor], x: Tensor, activation: str, bits: int) -> list[Tensor | None]:
    """Ranges [seed, 1, 1] of the converters of every layer for inputs x, one layer after the other, so that each sees what the ones before it convert."""
    limits = list(IDEAL)
    for index in range(len(limits)):
        seen: list[Tensor] = []
        with torch.no_grad():
            forward(parameters, x, activation, bits, limits, None, seen)
        own = OUTPUT_BITS if index == len(limits) - 1 else bits
        limits[index] = torch.tensor([best_range(values, own) for values in seen[index].numpy()])[:, None, None]
    return limits


def initial(seeds: Sequence[int]) -> list[Tensor]:
    """Weights with variance 2 / inputs, the same for every activation, and biases of 0."""
    parameters: list[Tensor] = []
    for a, b in zip(SIZES, SIZES[1:], strict=False):
        drawn = [np.random.default_rng([seed, a, b]).standard_normal((b, a), dtype=np.float32) for seed in seeds]
        parameters += [torch.from_numpy(np.stack(drawn)) * math.sqrt(2 / a), torch.zeros((len(seeds), b))]
    return [p.requires_grad_() for p in parameters]


def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
    """The sum over seeds of the mean cross-entropy of each, so that each has the gradient that it would have alone."""
    return functional.cross_entropy(logits.flatten(0, 1), labels.flatten()) * len(logits)


def accuracy(logits: Tensor, labels: Tensor) -> NDArray[np.float64]:
    """Fraction of samples whose largest logit is their label's, [seed]."""
    return (logits.argmax(2) == labels).double().mean(1).numpy()


def gradient_error(
    parameters: list[Tensor], data: tuple[Tensor, Tensor], activation: str, bits: int, device: Device | None, rng: Rng
) -> NDArray[np.float64]:
    """Mean over chips of |g - g0| / |g0| [seed]: g0 the gradient by the hidden layers' parameters without converters and noise, g with both."""

    def gradient(limits: list[Tensor | None], errors: list[Tensor] | None) -> Tensor:
        loss = loss_of(forward(parameters, data[0], activation, bits, limits, errors), data[1])
        return torch.cat([g.flatten(1) for g in torch.autograd.grad(loss, parameters[:-2])], 1)

    ideal, limits = gradient(IDEAL, None), calibrated(parameters, data[0], activation, bits)
    found = [gradient(limits, errors_of_chip(parameters, device, rng)) for _ in range(CHIPS)]
    return torch.stack([(g - ideal).norm(dim=1) / ideal.norm(dim=1) for g in found]).mean(0).double().numpy()


def part_of(seeds: Sequence[int], name: str) -> tuple[Tensor, Tensor]:
    """Samples and labels of a part of the 8x8 digits, split by each seed."""
    parts = [digits(seed=seed).part(name) for seed in seeds]
    x, y = (np.stack(arrays) for arrays in zip(*parts, strict=True))
    return torch.from_numpy(x), torch.from_numpy(y)


def run(activation: str, bits: int, device_name: str, seeds: Sequence[int], rate: float) -> Result:
    """Train the perceptrons of all seeds; by seed, accuracies on the validation and test parts, mean over chips, and the error of the first gradient."""
    torch.set_num_threads(1)
    device = DEVICES[device_name]
    x, y = part_of(seeds, "train")
    parameters, rng = initial(seeds), np.random.default_rng([*seeds, 1])
    some = (x[:, :500], y[:, :500])
    result: Result = {"gradient_error": gradient_error(parameters, some, activation, bits, device, rng).tolist()}
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=1e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS * -(-y.shape[1] // BATCH))
    for _ in range(EPOCHS):
        limits = calibrated(parameters, some[0], activation, bits)
        order = torch.from_numpy(np.stack([rng.permutation(y.shape[1]) for _ in seeds]))
        for number, chosen in enumerate(order.split(BATCH, 1)):
            each = torch.arange(len(seeds))[:, None]
            if number % SAME_CHIP == 0:
                errors = errors_of_chip(parameters, device, rng)
            logits = forward(parameters, x[each, chosen], activation, bits, limits, errors)
            optimizer.zero_grad()
            loss_of(logits, y[each, chosen]).backward()
            optimizer.step()
            scheduler.step()
    limits = calibrated(parameters, some[0], activation, bits)
    with torch.no_grad():
        for name in ("validation", "test"):
            samples, labels = part_of(seeds, name)
            values = []
            for _ in range(CHIPS if device is not None else 1):
                errors = errors_of_chip(parameters, device, rng)
                values.append(accuracy(forward(parameters, samples, activation, bits, limits, errors), labels))
            result[name] = np.mean(values, axis=0).tolist()
    return result


def kept_run(work: Path, activation: str, bits: int, device: str, seeds: Sequence[int], rate: float) -> Result:
    """The run, from its file where that is there."""
    file = work / f"{activation}-{bits}-{device}-{seeds[0]}-{len(seeds)}-{rate}.json"
    if not file.exists():
        write_atomically(file, json.dumps(run(activation, bits, device, seeds, rate)).encode())
    return json.loads(file.read_text())  # type: ignore[no-any-return]


# --- the page --------------------------------------------------------------------------------------------------------------------------


def spread(values: list[float], scale: float = 100.0) -> str:
    """mean ± standard deviation."""
    return f"{scale * np.mean(values):.2f} ± {scale * np.std(values, ddof=1):.2f}"


def bounds(differences: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % interval of the mean of paired differences (Student)."""
    n = len(differences)
    half = float(stats.t.ppf(0.975, n - 1)) * differences.std(ddof=1) / math.sqrt(n)
    return float(differences.mean() - half), float(differences.mean() + half)


def interval(differences: NDArray[np.float64]) -> str:
    """Mean of paired differences in points and its interval."""
    low, high = bounds(differences)
    return f"{100 * differences.mean():+.2f} [{100 * low:+.2f}, {100 * high:+.2f}]"


def verdicts(found: dict[Case, Result]) -> list[str]:
    """How often each smooth activation is better and worse than the rectifier, by intervals that leave out 0."""
    lines = []
    for smooth in ("gelu", "silu"):
        words = []
        for device in DEVICES:
            ranges = [
                bounds(np.array(found[smooth, bits, device]["test"]) - np.array(found["relu", bits, device]["test"]))
                for bits in BITS
            ]
            better = [str(b) for b, (low, _) in zip(BITS, ranges, strict=True) if low > 0]
            worse = [str(b) for b, (_, high) in zip(BITS, ranges, strict=True) if high < 0]
            words.append(
                f"{device}: better at {', '.join(better) or 'no'} bits, worse at {', '.join(worse) or 'no'} bits"
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
            panel.errorbar(BITS, test.mean(1), test.std(1, ddof=1), capsize=3, marker="o", ms=3, label=name)
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
            "| bits | relu | gelu | silu | gelu - relu | silu - relu | gradient error: relu | gelu | silu | learning rates |",
            "|---|---|---|---|---|---|---|---|---|---|",
        ]
        for bits in BITS:
            test = {a: np.array(found[a, bits, device]["test"]) for a in ACTIVATIONS}
            cells = [spread(list(test[a])) for a in ACTIVATIONS]
            cells += [interval(test[a] - test["relu"]) for a in ("gelu", "silu")]
            cells += [f"{np.mean(found[a, bits, device]['gradient_error']):.2f}" for a in ACTIVATIONS]
            cells.append(", ".join(f"{rates[a, bits, device]:g}" for a in ACTIVATIONS))
            lines.append(f"| {bits} | " + " | ".join(cells) + " |")
        lines.append("")
    return [
        *lines,
        *verdicts(found),
        f"Test accuracy in percent, mean ± standard deviation of {len(SEEDS)} seeds (split, weights, order, chips), each the mean of {CHIPS} chips that were not "
        "trained on; differences are paired by seed, with their 95 % interval (Student). Gradient error: mean of |g - g0| / |g0| over chips on 500 training "
        "samples before the first step, by the parameters of the hidden layers; g0 without converters and devices.",
        "",
        f"{'-'.join(str(s) for s in SIZES)} on the 8x8 digits, {EPOCHS} epochs in batches of {BATCH}, AdamW, cosine to 0, a new chip for every {SAME_CHIP} mini-batches; the output has a "
        f"converter of {OUTPUT_BITS} bits; ranges with the least squared error, anew in every epoch. Learning rates are chosen from {', '.join(f'{r:g}' for r in RATES)} for every cell on the "
        f"validation part by {len(TUNING_SEEDS)} other seeds. `python benchmarks/smooth_activations.py WORK` writes this page.",
    ]


def main() -> None:
    """Run what is missing, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    measured = {a: [derivative_error(a, sigma) for sigma in WIDTHS] for a in ACTIVATIONS}
    cases = [(a, bits, device) for device in DEVICES for bits in BITS for a in ACTIVATIONS]
    rates: dict[Case, float] = {}
    for case in track(cases, "learning rates"):
        tried = {rate: kept_run(arguments.work, *case, TUNING_SEEDS, rate)["validation"] for rate in RATES}
        rates[case] = max(RATES, key=lambda rate, tried=tried: np.mean(tried[rate]))  # type: ignore[misc]
    found = {case: kept_run(arguments.work, *case, SEEDS, rates[case]) for case in track(cases, "training")}
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
