# SPDX-License-Identifier: Apache-2.0
"""Calibration of a programmed chip at a time: digital values are set anew, devices are not touched.

Typical input, without labels, runs on the chip, and what the trained network did on the same input
is restored:

    calibrate_columns       gain g and offset o of every column, so that its current I has the mean
                            and the deviation that it had:
                            g = deviation(I_trained) / deviation(I_chip),
                                o = mean(I_trained) - g mean(I_chip)
    calibrate_thresholds    a factor of every neuron's threshold (or one per population), so that it
                            fires as often as it did

Columns: the statistics of a batch normalisation on the chip, which is folded into gains and biases
(AdaBS in Joshi et al., "Accurate deep neural network inference using computational phase-change
memory", Nature Communications 2020). Thresholds: where gains are not to be had, as on a spiking
core; a factor on the threshold is the inverse gain of all currents, bias included. Populations are
taken in the order in which they are updated, so that each sees the spikes of calibrated ones. A
chip calibrated at one time is meant for use about then, with the same `compensate`.
"""

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neurohw.connections import apply_matrix
from neurohw.errors import InvalidModel
from neurohw.memristor.chip import Chip
from neurohw.network import FloatArray, Population, Projection, TrainedNetwork
from neurohw.neurons import Lif
from neurohw.reference import run_reference
from neurohw.stimulus import Spikes, stimulus_of

FACTORS = (1 / 16, 16.0)  # of thresholds
# of a column's current, relative to its largest: below, there is nothing to scale
SMALLEST_DEVIATION = 1e-9


def projection_currents(
    trained: TrainedNetwork, projection: Projection, spikes: NDArray[Any]
) -> FloatArray:
    """The current of a projection [time, sample, target] for spikes of its source [time, sample,
    source].
    """
    target = trained.network.population(projection.target).size
    current = np.zeros((*spikes.shape[:2], target))
    for delay, matrix in trained.matrices(projection):
        for t in range(delay, len(spikes)):
            current[t] += apply_matrix(matrix, spikes[t - delay].astype(np.float64))
    return current


def calibrate_columns(
    chip: Chip, spikes: Spikes | NDArray[Any], time_seconds: float, compensate: bool = False
) -> Chip:
    """The chip with gains of its columns and biases calibrated at a time by typical input, counts
    [time, sample, input neuron].

    Currents are those of `chip.network(time_seconds)`, without converters and without read noise,
    which a measurement would average out. A column whose current does not vary keeps its gain.
    Calibrating again starts from the trained network.
    Raises InvalidData for a stimulus of the wrong shape.
    """
    trained, given = chip.trained, stimulus_of(chip.trained, spikes)
    reference = run_reference(trained, given, states=False)
    now = replace(chip, calibration={}).network(time_seconds, compensate=compensate)
    values: dict[str, FloatArray] = {}
    for population in trained.network.update_order():
        on_chip = [p for p in trained.network.into(population.name) if p.name in chip.crossbars]
        if not on_chip:
            continue
        alone = {p.source for p in on_chip} == {trained.network.input.name}
        sent = (
            {trained.network.input.name: given.counts}
            if alone
            else run_reference(now, given, states=False).spikes
        )
        offset, weights = np.zeros(population.size), {}
        for projection in on_chip:
            layout = chip.crossbars[projection.name].layout
            before = projection_currents(trained, projection, reference.spikes[projection.source])
            after = projection_currents(now, projection, sent[projection.source])
            gain = _deviation(before, layout.columns) / _deviation(after, layout.columns)
            values[f"{projection.name}.gain"] = gain = np.where(np.isfinite(gain), gain, 1.0)
            every = np.repeat(gain, population.size // layout.columns)
            offset += before.mean(axis=(0, 1)) - after.mean(axis=(0, 1)) * every
            weights[f"{projection.name}.weight"] = (
                now.parameters[f"{projection.name}.weight"] * gain[layout.column]
            )
        bias = f"{population.name}.bias"
        # neurons that share a bias share the mean of their offsets
        values[bias] = trained.parameters[bias] + offset.reshape(population.parameters, -1).mean(
            axis=1
        )
        now = replace(now, parameters={**now.parameters, **weights, bias: values[bias]})
    return replace(chip, calibration=values)


def _deviation(currents: FloatArray, columns: int) -> FloatArray:
    """Of every column [column] over steps, samples and positions, each about its own mean; not a
    number where nothing varies.
    """
    centred = (currents - currents.mean(axis=(0, 1))).reshape(*currents.shape[:2], columns, -1)
    deviation = np.sqrt((centred**2).mean(axis=(0, 1, 3)))
    largest = np.abs(currents).max(initial=0.0)
    return np.where(deviation > SMALLEST_DEVIATION * largest, deviation, np.nan)


def calibrate_thresholds(
    chip: Chip,
    spikes: Spikes | NDArray[Any],
    time_seconds: float,
    compensate: bool = False,
    per: Literal["neuron", "population"] = "neuron",
    iterations: int = 16,
) -> Chip:
    """The chip with thresholds calibrated at a time by typical input, counts [time, sample, input
    neuron].

    Bisects the logarithm of a factor in FACTORS, of all neurons of a population (or of what shares
    a threshold) at once, `iterations` runs of the chip each, with read noise of one draw; the
    factor whose count of spikes came nearest is kept, 1 among equals. Neurons that did not fire
    keep their threshold.
    Raises InvalidData for a stimulus of the wrong shape, InvalidModel where no population has a
    threshold.
    """
    if per not in ("neuron", "population"):
        raise InvalidModel(f"thresholds are calibrated per 'neuron' or 'population', not {per!r}")
    trained, given = chip.trained, stimulus_of(chip.trained, spikes)
    reference = run_reference(trained, given, states=False)
    firing = [p for p in trained.network.update_order() if isinstance(p.neuron, Lif)]
    if not firing:
        raise InvalidModel(
            "no population of the network has a threshold to calibrate: calibrate the columns"
        )
    values = dict(chip.calibration)
    for population in firing:
        name = f"{population.name}.threshold"

        def counted(sent: NDArray[Any], population: Population = population) -> FloatArray:
            """Spikes of all that shares a factor."""
            totals = (
                sent.sum(axis=(0, 1), dtype=np.float64)
                .reshape(population.parameters, -1)
                .sum(axis=1)
            )
            return totals if per == "neuron" else totals.sum(keepdims=True)

        wanted = counted(reference.spikes[population.name])
        low, high = (np.full_like(wanted, np.log(f)) for f in FACTORS)
        best, middle, off = (
            np.zeros_like(wanted),
            np.zeros_like(wanted),
            np.full_like(wanted, np.inf),
        )
        for _ in range(iterations):
            tried = replace(
                chip, calibration=values | {name: trained.parameters[name] * np.exp(middle)}
            )
            trace = tried.run(given, time_seconds, states=False, compensate=compensate)
            difference = counted(trace.spikes[population.name]) - wanted
            nearer = np.abs(difference) < off
            best, off = np.where(nearer, middle, best), np.where(nearer, np.abs(difference), off)
            if not off.any():
                break
            low, high = (
                np.where(difference > 0, middle, low),
                np.where(difference > 0, high, middle),
            )
            middle = (low + high) / 2
        values[name] = trained.parameters[name] * np.exp(np.where(wanted > 0, best, 0.0))
    return replace(chip, calibration=values)
