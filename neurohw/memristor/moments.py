# SPDX-License-Identifier: Apache-2.0
"""What a new chip makes of a weight, as mean and deviation: tables for training, which draws a chip
for every mini-batch.

Drawing all that is random about every device (`sample_weights`) takes half a million normal numbers
for 784-128-10 and as long as the training step itself. A sum over many synapses knows of each
weight's noise the mean and the variance alone. Both are functions of the weight relative to the
largest of its group, w / m, so that they are tabulated once per device, mapping and time, and a
step draws one normal number per weight:

    w(t) = w + m (shift(w / m, t) + deviation(w / m, t) N)

The tables are taken from programmed crossbars, SAMPLES devices at each of POINTS weights, so that
the device models remain their only definition. Mean and variance over reads are exact
(`Crossbar.read_moments`).
"""

import functools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from neurohw.errors import InvalidModel
from neurohw.memristor.crossbar import program_crossbar
from neurohw.memristor.devices import Device
from neurohw.memristor.faults import Faults
from neurohw.memristor.mapping import CrossbarMapping, Layout, map_weights

FloatArray = NDArray[np.float64]
# of a pair: the mean at a point is right to 0.8 %, the deviation to 0.6 % of the deviation
POINTS, SAMPLES = 65, 8000
BINS = 4096  # of w / m from -1 to 1, one of them exactly 0


@dataclass(frozen=True)
class WeightMoments:
    """Everything in units of the group's largest weight m; bin k is for w / m = 2 k / BINS - 1.

    shift, deviation: [time, bin], of what is read of a weight, minus the weight.
    shared: [time, 2], mean and deviation of what the device of an offset column adds to all weights
        of its row; None without one.
    size: [1 + time, bin], mean of |w(t)| without read noise, right after programming and at the
        times: what the compensation of drift measures.
    """

    shift: FloatArray
    deviation: FloatArray
    shared: FloatArray | None
    size: FloatArray


@functools.lru_cache(maxsize=32)
def weight_moments(
    device: Device,
    mapping: CrossbarMapping,
    faults: Faults,
    times_seconds: tuple[float, ...],
    seed: int = 0,
) -> WeightMoments:
    """The tables of a device at times after programming.

    Without any noise shift and deviation are exactly 0, but for what `levels` round.

    Raises InvalidModel for a unipolar crossbar, whose weights have one sign only, and for a time
    before the end of programming.
    """
    if mapping.scheme == "unipolar":
        raise InvalidModel(
            "a unipolar crossbar holds weights of one sign and training changes signs: train "
            "for the differential scheme or an offset column"
        )
    grid = np.linspace(-1, 1, POINTS, dtype=np.float32)
    column, row = np.mgrid[:POINTS, :SAMPLES]
    layout = Layout("moments", row, column, SAMPLES, POINTS)
    one_tile = replace(
        mapping, scale_per="tile", levels=None, tile_rows=SAMPLES, tile_columns=POINTS
    )
    weight = np.repeat(grid[:, None], SAMPLES, axis=1)
    crossbar = program_crossbar(
        weight, layout, device, np.random.default_rng(seed), one_tile, faults
    )
    shift, deviation, shared = [], [], []
    size = [np.abs(crossbar.weights(0.0)).mean(axis=1, dtype=np.float64)]
    for time in times_seconds:
        mean, own, common = crossbar.read_moments(time)
        beside = np.zeros(SAMPLES)
        if crossbar.reference is not None:
            _, reference = crossbar.conductances(time)
            assert reference is not None
            beside = (crossbar.reference.target - reference)[0] * crossbar.mapped.step[0]
        off = mean - weight.astype(np.float64) - beside
        average, variance = (
            off.mean(axis=1),
            off.var(axis=1) + (0.0 if own is None else own.mean(axis=1)),
        )
        # exchanging the devices of a pair changes the sign and nothing else
        if mapping.scheme == "differential":
            average, variance = (average - average[::-1]) / 2, (variance + variance[::-1]) / 2
        shift.append(average)
        deviation.append(np.sqrt(variance))
        read = 0.0 if common is None else float(common.mean())
        shared.append((beside.mean(), np.sqrt(beside.var() + read)))
        size.append(np.abs(crossbar.weights(time)).mean(axis=1, dtype=np.float64))

    # levels round before a device is programmed: a rounded weight has the moments of where it was
    # rounded to
    fine = np.linspace(-1, 1, BINS + 1)
    beside_each_other = Layout("moments", np.zeros(BINS + 1, int), np.arange(BINS + 1), 1, BINS + 1)
    rounding = replace(mapping, scale_per="tile", tile_rows=1, tile_columns=BINS + 1)
    held = map_weights(
        fine, beside_each_other, rounding, device.g_min_microsiemens, device.g_max_microsiemens
    ).weight

    def at_bins(values: list[FloatArray]) -> FloatArray:
        return np.stack([np.interp(held, grid, v) for v in values])

    return WeightMoments(
        (held - fine) + at_bins(shift),
        at_bins(deviation),
        None if crossbar.reference is None else np.array(shared),
        at_bins(size),
    )
