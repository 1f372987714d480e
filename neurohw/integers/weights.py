# SPDX-License-Identifier: Apache-2.0
"""Weights in integers: their steps, chosen or learned, and what rounding takes of them."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from neurohw.connections import Convolution, Sparse
from neurohw.fixedpoint import IntArray, IntFormat
from neurohw.network import FloatArray, Network, Population, Projection, TrainedNetwork

CLIP_CANDIDATES = np.linspace(0.3, 1.0, 71)
OFF_GRID = 1e-3  # of a step, in which a weight may miss a learned grid
LOST_SHARE = 0.1  # of a neuron's weights of one sign in the mean, twice it if neurons cancel
SMALL_MOVE = 0.25  # thresholds: weights that move a membrane by less are not looked at
SMALL_ROW = 0.1  # the same of readouts, of the largest sum of weights
CURE = (
    "quantize with more bits, train with clipped weights (TrainConfig.weight_clip), or train with "
    "weights of this width (TrainConfig.weight_bits)"
)


def weight_steps(weight: FloatArray, bits: int, common: bool) -> FloatArray:
    """Weight of one unit in the last place, per target neuron [target].

    8 bits and more use the largest weight; below, a grid search over clipping points minimises the
    squared error of each row (of the whole matrix if `common`). A row of zeros takes the matrix's
    step.
    """
    limit = IntFormat(bits).max
    rows = weight.reshape(1, -1) if common else weight
    largest = np.abs(rows).max(axis=1)
    largest[largest == 0] = np.abs(weight).max() or 1.0
    best, error = largest / limit, np.full(len(rows), np.inf)
    for clip in CLIP_CANDIDATES if bits < 8 else [1.0]:
        step = clip * largest / limit
        integers = np.clip(np.round(rows / step[:, None]), -limit - 1, limit)
        candidate = ((rows - integers * step[:, None]) ** 2).sum(axis=1)
        better = candidate < error
        best, error = np.where(better, step, best), np.where(better, candidate, error)
    return np.broadcast_to(best, weight.shape[:1]).copy()


def _rows_of_synapses(values: FloatArray, owner: IntArray, count: int) -> FloatArray:
    """Values [synapse] as rows [owner, value] in their order, filled up with zeros."""
    order = np.argsort(owner, kind="stable")
    sizes = np.bincount(owner, minlength=count)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    rows = np.zeros((count, max(int(sizes.max()), 1)))
    rows[owner[order], place] = values[order]
    return rows


def row_count(network: Network, population: Population) -> int:
    """Rows of `weight_rows`: parameters of the population, or channels.

    Where a convolution reaches neurons with parameters of their own, a row is a channel: its
    neurons share weights, so they share a step.
    """
    channels = [
        p.connection.channels
        for p in network.into(population.name)
        if isinstance(p.connection, Convolution) and population.channels is None
    ]
    return min([population.parameters, *channels])


def _owners(model: TrainedNetwork, projection: Projection, count: int) -> IntArray:
    """The row of every synapse of a Sparse projection."""
    size = model.network.population(projection.target).size
    return model.parameters[f"{projection.name}.target"].astype(np.int64) // (size // count)


def weight_rows(model: TrainedNetwork, population: Population) -> FloatArray:
    """The incoming weights of every row of a population [row, weight], filled up with zeros."""
    count = row_count(model.network, population)
    parts: list[FloatArray] = []
    for projection in model.network.into(population.name):
        weight = model.parameters[f"{projection.name}.weight"]
        if isinstance(projection.connection, Sparse):
            parts.append(_rows_of_synapses(weight, _owners(model, projection, count), count))
        else:
            parts.append(weight.reshape(count, -1))
    return np.concatenate(parts, axis=1)


def _row_sums(
    model: TrainedNetwork, projection: Projection, count: int, values: FloatArray
) -> FloatArray:
    """Sums [row] of values shaped as the weights of a projection."""
    if isinstance(projection.connection, Sparse):
        return np.asarray(np.bincount(_owners(model, projection, count), values, count), float)
    return np.asarray(values.reshape(count, -1).sum(axis=1))


def choose_step(
    model: TrainedNetwork, population: Population, bits: int, compared: bool, common: bool
) -> tuple[FloatArray, bool, str | None]:
    """The weight step [parameter], whether it is a learned one, and a warning where it is not.

    A learned step serves the width that it was learned for, and others in which all weights fit.

    compared: the population's neurons are compared with each other. common: one step for all.
    """
    incoming = model.network.into(population.name)
    learned = [
        model.parameters[f"{p.name}.step"] for p in incoming if f"{p.name}.step" in model.parameters
    ]
    reason = _unserved(model, population, learned, bits, compared)
    if learned and reason is None:
        return learned[0], True, None
    step = weight_steps(weight_rows(model, population), bits, common)
    step = np.repeat(step, population.parameters // len(step))
    if not learned:
        return step, False, None
    return (
        step,
        False,
        (
            f"population {population.name!r}: its learned weight steps are not used, {reason}: "
            f"the steps are chosen anew from the weights; train with weight_bits={bits} or "
            "quantize with the width that was trained"
        ),
    )


def _unserved(
    model: TrainedNetwork,
    population: Population,
    learned: list[FloatArray],
    bits: int,
    compared: bool,
) -> str | None:
    """Why learned steps do not serve, in words; None where they do."""
    incoming = model.network.into(population.name)
    if len(learned) < len(incoming):
        return f"{len(learned)} of {len(incoming)} projections have them"
    if any(not np.array_equal(step, learned[0]) for step in learned[1:]):
        return "they differ between projections, which are added in one unit"
    if compared and np.ptp(learned[0]) > 0:
        return "they differ between neurons that are compared with each other"
    config = model.info.get("config")
    width = config.get("weight_bits") if isinstance(config, dict) else None
    if width == bits:
        return None
    limits = IntFormat(bits)
    for projection in incoming:
        ratio = model.parameters[f"{projection.name}.weight"] / model.per_weight(
            projection, learned[0]
        )
        whole = np.round(ratio)
        of = "another width" if width is None else f"{width} bits"
        outside = (whole < limits.min) | (whole > limits.max)
        if outside.any():
            return (
                f"they are those of {of}: {int(outside.sum())} of {outside.size} weights of "
                f"{projection.name!r} would be clipped to {limits.min}..{limits.max} steps"
            )
        if width is not None and np.abs(ratio - whole).max() > OFF_GRID:
            return f"they are those of {of}, and weights of {projection.name!r} lie between them"
    return None


@dataclass(frozen=True)
class Rounded:
    """Weights of one projection in integers times their step, and the largest count of a source."""

    weight: FloatArray
    max_count: int


def _lost(
    total: FloatArray, left: FloatArray, gone: FloatArray, matters: NDArray[np.bool_]
) -> tuple[FloatArray, bool]:
    """The share of its sum [row] that a row loses or gains, 0 where it does not matter, and whether
    that is much.

    total, left: sums as trained and in integers. gone: of the weights that become 0.
    """
    whole = np.where(matters & (total > 0), total, np.inf)
    net = np.where(np.isinf(whole), 0.0, left - total) / whole
    share = np.maximum(np.abs(net), gone / whole)
    systematic = max(abs(float(net.mean())), float((gone / whole).mean()))
    return share, systematic >= LOST_SHARE or float(share.mean()) >= 2 * LOST_SHARE


def weight_warnings(
    model: TrainedNetwork,
    population: Population,
    rounded: dict[str, Rounded],
    step: FloatArray,
    bits: int,
    reach: FloatArray | None,
) -> list[str]:
    """What rounding takes of the positive or negative weights that neurons receive, where it is
    much.

    reach: thresholds by which a membrane moves if it gets a weight of 1 in every step, [parameter];
    None without thresholds.
    """
    count = row_count(model.network, population)
    force = None if reach is None else reach.reshape(count, -1).max(axis=1)
    row_step = step.reshape(count, -1)[:, 0]
    told, excitation, left_over = [], np.zeros(count), np.zeros(count)
    for projection in model.network.into(population.name):
        weight, part = model.parameters[f"{projection.name}.weight"], rounded[projection.name]
        sums = partial(_row_sums, model, projection, count)
        everything, found = sums(np.abs(weight)), []
        for sign, word in ((1.0, "positive"), (-1.0, "negative")):
            own = np.maximum(sign * weight, 0.0)
            kept = np.where(own > 0, sign * part.weight, 0.0)
            total, left = sums(own), sums(kept)
            if force is None:
                matters = total >= SMALL_ROW * everything.max()
            else:
                matters = total * part.max_count * force >= SMALL_MOVE
            share, much = _lost(total, left, sums(np.where(kept > 0, 0.0, own)), matters)
            worst = int(np.argmax(share))
            text = (
                f"projection {projection.name!r}: {bits} bits change the {word} weights of a "
                f"neuron by {100 * share.mean():.3g} % on average, by more than half for "
                f"{int((share > 0.5).sum())} of {count} (row {worst}: a sum of "
                f"{sign * total[worst]:.3g} becomes {sign * left[worst] + 0.0:.3g} in steps of "
                f"{row_step[worst]:.3g}, which follow the largest weights): {CURE}"
            )
            found += [(float(share.mean()), text)] if much else []
            if sign > 0:
                excitation += total * part.max_count
                left_over += left
        told += [max(found)[1]] if found else []
    if force is None or told:
        return told
    bias = model.parameters[f"{population.name}.bias"].reshape(count, -1).max(axis=1)
    silent = (left_over == 0) & (bias <= 0) & ((excitation + bias) * force >= 1.0)
    if silent.any():
        row = int(np.flatnonzero(silent)[0])
        told.append(
            f"population {population.name!r}: {int(silent.sum())} of {count} neurons could fire "
            f"and cannot in {bits} bits: all their positive weights become 0 (row {row}: a sum "
            f"of {excitation[row]:.3g} in steps of {row_step[row]:.3g}): {CURE}"
        )
    return told


def largest_excitation(model: TrainedNetwork, population: Population, max_count: int) -> float:
    """The largest sum of the positive weights that a neuron can receive in one step."""
    count = row_count(model.network, population)
    total = np.zeros(count)
    for projection in model.network.into(population.name):
        weight = np.maximum(model.parameters[f"{projection.name}.weight"], 0.0)
        most = max_count if projection.source == model.network.input.name else 1
        total += most * _row_sums(model, projection, count, weight)
    return float(total.max())
