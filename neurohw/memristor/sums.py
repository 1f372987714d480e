# SPDX-License-Identifier: Apache-2.0
"""The sums that a crossbar's columns make, tile by tile, of the spikes of one step, with read noise
drawn anew for every sum.

What reads are independent, the noise of a sum of n devices is one normal draw with the sum of their
variances: two products with matrices in the place of a draw for every device, sample and step. Mean
and variance of each device are those of its clipped read
(`neurohw.memristor.read.clipped_moments`), so that the first two moments of every sum are exact.

A count of k is k reads one after another (variance k); behind a DAC it is one read with k times the
voltage (variance k^2). Synapses of different delays are in columns of their own and are read and
converted by themselves.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.connections import Convolution, Dense, Matrix, apply_matrix, delay_matrices
from neurohw.memristor.converters import Converter, convert_signed, convert_unsigned
from neurohw.memristor.crossbar import Crossbar
from neurohw.network import CONNECTION_FIELDS, FloatArray, Projection, TrainedNetwork


@dataclass(frozen=True)
class TileRow:
    """The tiles beside each other that share rows.

    mean, own, shared: matrices [target, source of `sources`] of weights, of variances by a
        synapse's own devices and by its offset column (None for none).
    step: weight per microsiemens [target], with the compensation in it.
    tile: tile column of every target.
    draw: which draw of the offset column's noise a target shares.
    """

    index: int
    sources: slice
    mean: Matrix
    own: Matrix | None
    shared: Matrix | None
    step: FloatArray
    tile: NDArray[np.int64]
    draw: NDArray[np.int64]


def tile_rows(
    trained: TrainedNetwork,
    projection: Projection,
    crossbar: Crossbar,
    time_seconds: float,
    compensation: FloatArray | None = None,
) -> list[tuple[int, list[TileRow]]]:
    """(delay, tiles from top to bottom) for every delay of a projection, in increasing order.

    compensation: factor of every weight, None for none.
    """
    source, target = (
        trained.network.population(projection.source),
        trained.network.population(projection.target),
    )
    arrays = {
        k: v
        for k in CONNECTION_FIELDS
        if (v := trained.parameters.get(f"{projection.name}.{k}")) is not None
    }
    layout, mapping = crossbar.layout, crossbar.mapping
    gain = 1.0 if compensation is None else compensation
    mean, own, shared = crossbar.read_moments(time_seconds)
    values = {"mean": mean * gain, "own": own if own is None else own * gain**2}
    values["shared"] = shared if shared is None else shared * gain**2
    step = crossbar.mapped.step * gain
    row_of_tile, _ = layout.tile(mapping)

    # what a target neuron reads: its column, and at which position of a convolution
    neurons = np.arange(target.size)
    positions = (
        1 if not isinstance(projection.connection, Convolution) else target.size // layout.columns
    )
    column, position = neurons // positions, neurons % positions
    tile = column // mapping.tile_columns
    group = column // (layout.columns // layout.groups)
    _, draw = np.unique(np.stack([tile, group, position]), axis=1, return_inverse=True)

    plain = isinstance(projection.connection, Dense) and "delay" not in arrays

    def matrices(array: FloatArray | None, index: int) -> dict[int, Matrix]:
        """By delay, of the weights of one row of tiles; a dense matrix is cut to its sources."""
        if array is None:
            return {}
        if plain:
            return {
                projection.delay: np.ascontiguousarray(array[:, _rows(index, mapping.tile_rows)])
            }
        found = dict(
            delay_matrices(
                projection.connection,
                source.size,
                target.size,
                np.where(row_of_tile == index, array, 0.0),
                arrays,
                projection.delay,
                projection.delay_per,
            )
        )
        for matrix in found.values():
            if not isinstance(matrix, np.ndarray):
                matrix.eliminate_zeros()
        return found

    result: dict[int, list[TileRow]] = {}
    for index in range(layout.tile_grid(mapping)[0]):
        here = row_of_tile == index
        of_column = np.zeros(layout.columns)
        np.maximum.at(of_column, layout.column[here], step[here])
        variances, of_reference = matrices(values["own"], index), matrices(values["shared"], index)
        for delay, matrix in matrices(values["mean"], index).items():
            result.setdefault(delay, []).append(
                TileRow(
                    index,
                    _rows(index, mapping.tile_rows) if plain else slice(None),
                    matrix,
                    variances.get(delay),
                    of_reference.get(delay),
                    of_column[column],
                    tile,
                    draw.ravel(),
                )
            )
    return sorted(result.items())


def _rows(index: int, height: int) -> slice:
    return slice(index * height, (index + 1) * height)


def column_sum(
    parts: Sequence[TileRow],
    inputs: NDArray[Any],
    variance_inputs: NDArray[Any],
    rng: np.random.Generator | None,
) -> FloatArray:
    """The sums of rows of tiles above each other [sample, target], in weights, of inputs [sample,
    source]; without read noise where there is no generator.

    Columns of several tiles are added before anything else happens to them, so that their variances
    add and one draw serves them all.
    """

    def added(values: NDArray[Any], kind: Callable[[TileRow], Matrix | None]) -> FloatArray | None:
        found = [
            apply_matrix(m, values[:, part.sources])
            for part in parts
            if (m := kind(part)) is not None
        ]
        return functools.reduce(np.add, found) if found else None

    total = added(inputs, lambda part: part.mean)
    assert total is not None
    if rng is None:
        return total
    variance = added(variance_inputs, lambda part: part.own)
    if variance is not None:
        total = total + np.sqrt(variance) * rng.standard_normal(variance.shape)
    variance = added(variance_inputs, lambda part: part.shared)
    if variance is not None:
        draw = parts[0].draw
        noise = rng.standard_normal((len(variance), int(draw.max()) + 1))
        total = total - np.sqrt(variance) * noise[:, draw]
    return total


def digitized(
    part: TileRow,
    total: FloatArray,
    adc: Converter | None,
    ranges: FloatArray | None,
    crossbar: Crossbar,
) -> FloatArray:
    """Sums after the ADC of their tile.

    ranges: [tile row, tile column], microsiemens times spikes; without an ADC or ranges as they
        are.
    """
    if adc is None or ranges is None:
        return total
    limit = ranges[part.index][part.tile] * part.step
    if crossbar.mapping.scheme == "unipolar":
        sign = crossbar.mapped.sign
        return sign * convert_unsigned(sign * total, limit, adc.bits)
    return convert_signed(total, limit, adc.bits)
