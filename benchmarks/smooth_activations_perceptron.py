# SPDX-License-Identifier: Apache-2.0
"""A perceptron behind converters and on resistive devices, trained and tested, for
`benchmarks/smooth_activations.py`.

All seeds at once: parameters [seed, ...], samples [seed, sample, feature]. Nothing is shared
between them but the order of random draws.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from neurohw.data import digits
from neurohw.memristor import CrossbarMapping, Device, Layout, device_named, program_crossbar
from neurohw.memristor.converters import convert_signed

SIZES = (64, 48, 48, 10)
OUTPUT_BITS = 8  # of the converter behind the output
EPOCHS, BATCH, CHIPS = 20, 32, 20
# mini-batches that are trained on one chip, since drawing devices takes longer than a step
SAME_CHIP = 4
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
RANGES = np.linspace(0.05, 1.0, 20)  # ends of a converter's range, of the largest size
IDEAL: list[Tensor | None] = [None] * (len(SIZES) - 1)
Result = dict[str, list[float]]  # by seed
Rng = np.random.Generator


def layer_errors(weight: Tensor, device: Device, rng: Rng) -> Tensor:
    """W' - W [seed, target, source] of new devices after a day, with one read; every seed has tiles
    of its own.
    """
    seeds, columns, rows = weight.shape
    column, row = np.mgrid[: seeds * columns, :rows]
    layout = Layout("layer", row, column, rows, seeds * columns)
    flat = weight.detach().reshape(seeds * columns, rows).numpy()
    crossbar = program_crossbar(flat, layout, device, rng, CrossbarMapping(tile_columns=columns))
    return torch.from_numpy(crossbar.weights(DAY, rng) - flat).reshape(weight.shape)


def errors_of_chip(
    parameters: list[Tensor], device: Device | None, rng: Rng
) -> list[Tensor] | None:
    """What a new chip adds to the weights of every layer; None without a device."""
    return None if device is None else [layer_errors(w, device, rng) for w in parameters[::2]]


def convert(x: Tensor, limit: Tensor, bits: int) -> Tensor:
    """Q_b(x) with the gradient of the identity inside the range, 0 outside."""
    codes = torch.from_numpy(
        np.asarray(convert_signed(x.detach().numpy(), limit.numpy(), bits), np.float32)
    )
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
    """Logits.

    bits, limits: of the converters, a limit of None for an ideal one.
    errors: what the devices add to the weights.
    seen: collects the sums of every layer.
    """
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
    """The end of a converter's range with the smallest squared error, of 20 up to the largest
    size.
    """
    ends = RANGES * float(np.abs(values).max())
    errors = [float(((convert_signed(values, end, bits) - values) ** 2).mean()) for end in ends]
    return float(ends[int(np.argmin(errors))])


def calibrated(
    parameters: list[Tensor], x: Tensor, activation: str, bits: int
) -> list[Tensor | None]:
    """Ranges [seed, 1, 1] of the converters of every layer for inputs x, one layer after the other,
    so that each sees what the ones before it convert.
    """
    limits = list(IDEAL)
    for index in range(len(limits)):
        seen: list[Tensor] = []
        with torch.no_grad():
            forward(parameters, x, activation, bits, limits, None, seen)
        own = OUTPUT_BITS if index == len(limits) - 1 else bits
        limits[index] = torch.tensor([best_range(values, own) for values in seen[index].numpy()])[
            :, None, None
        ]
    return limits


def initial(seeds: Sequence[int]) -> list[Tensor]:
    """Weights with variance 2 / inputs, the same for every activation, and biases of 0."""
    parameters: list[Tensor] = []
    for a, b in zip(SIZES, SIZES[1:], strict=False):
        drawn = [
            np.random.default_rng([seed, a, b]).standard_normal((b, a), dtype=np.float32)
            for seed in seeds
        ]
        parameters += [
            torch.from_numpy(np.stack(drawn)) * math.sqrt(2 / a),
            torch.zeros((len(seeds), b)),
        ]
    return [p.requires_grad_() for p in parameters]


def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
    """The sum over seeds of the mean cross-entropy of each, so that each has the gradient that it
    would have alone.
    """
    return functional.cross_entropy(logits.flatten(0, 1), labels.flatten()) * len(logits)


def accuracy(logits: Tensor, labels: Tensor) -> NDArray[np.float64]:
    """Fraction of samples whose largest logit is their label's, [seed]."""
    return (logits.argmax(2) == labels).double().mean(1).numpy()


def gradient_error(
    parameters: list[Tensor],
    data: tuple[Tensor, Tensor],
    activation: str,
    bits: int,
    device: Device | None,
    rng: Rng,
) -> NDArray[np.float64]:
    """Mean over chips of |g - g0| / |g0| [seed]: g0 the gradient by the hidden layers' parameters
    without converters and noise, g with both.
    """

    def gradient(limits: list[Tensor | None], errors: list[Tensor] | None) -> Tensor:
        loss = loss_of(forward(parameters, data[0], activation, bits, limits, errors), data[1])
        return torch.cat([g.flatten(1) for g in torch.autograd.grad(loss, parameters[:-2])], 1)

    ideal, limits = gradient(IDEAL, None), calibrated(parameters, data[0], activation, bits)
    found = [gradient(limits, errors_of_chip(parameters, device, rng)) for _ in range(CHIPS)]
    return (
        torch.stack([(g - ideal).norm(dim=1) / ideal.norm(dim=1) for g in found])
        .mean(0)
        .double()
        .numpy()
    )


def part_of(seeds: Sequence[int], name: str) -> tuple[Tensor, Tensor]:
    """Samples and labels of a part of the 8x8 digits, split by each seed."""
    parts = [digits(seed=seed).part(name) for seed in seeds]
    x, y = (np.stack(arrays) for arrays in zip(*parts, strict=True))
    return torch.from_numpy(x), torch.from_numpy(y)


def run(activation: str, bits: int, device_name: str, seeds: Sequence[int], rate: float) -> Result:
    """Train the perceptrons of all seeds; by seed, accuracies on the validation and test parts,
    mean over chips, and the error of the first gradient.
    """
    torch.set_num_threads(1)
    device = DEVICES[device_name]
    x, y = part_of(seeds, "train")
    parameters, rng = initial(seeds), np.random.default_rng([*seeds, 1])
    some = (x[:, :500], y[:, :500])
    result: Result = {
        "gradient_error": gradient_error(parameters, some, activation, bits, device, rng).tolist()
    }
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=1e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimizer, EPOCHS * -(-y.shape[1] // BATCH)
    )
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
                values.append(
                    accuracy(forward(parameters, samples, activation, bits, limits, errors), labels)
                )
            result[name] = np.mean(values, axis=0).tolist()
    return result
