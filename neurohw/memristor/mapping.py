# SPDX-License-Identifier: Apache-2.0
"""From weights to conductances and back.

A projection becomes a crossbar with a row for every input and a column for every output, cut into
tiles. Within a group of weights (a tile, or a column of a tile) with the limit m = max |w|, and
g_min ... g_max the range of the device:

    differential    G+ = g_min + max(w, 0) / step,  G- = g_min + max(-w, 0) / step,
                    w = (G+ - G-) step,       step = m / (g_max - g_min)
    offset_column   G = middle + w / step,  a column of devices at the middle,
                    w = (G - G_column) step,  step = 2 m / (g_max - g_min)
    unipolar        G = g_min + |w| / step,
                    w = sign (G - g_min) step, step = m / (g_max - g_min)

with middle = (g_min + g_max) / 2. The device of a pair that carries nothing is programmed to g_min
and has its noise. A group of zeros has the step 0 and reads as zeros. A convolution's weights are
one set of devices, used for every position. Bias and threshold stay digital.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neurohw.checks import at_least, check_fields
from neurohw.connections import Convolution, Dense, Sparse
from neurohw.errors import InvalidModel, Unsupported
from neurohw.network import Projection, TrainedNetwork

Array = NDArray[Any]
Scheme = Literal["differential", "offset_column", "unipolar"]
SCHEMES = ("differential", "offset_column", "unipolar")


@dataclass(frozen=True)
class CrossbarMapping:
    """How weights become conductances.

    scale_per: weights of one "tile", or of one "column" of a tile, share a scale.
    levels: targets are rounded to so many evenly spaced conductances from g_min to g_max, None for
        any.
    tile_rows, tile_columns: size of a tile.
    Raises InvalidModel for values out of range.
    """

    scheme: Scheme = "differential"
    scale_per: Literal["tile", "column"] = "tile"
    levels: int | None = None
    tile_rows: int = 256
    tile_columns: int = 256

    def __post_init__(self) -> None:
        check_fields(self, levels=at_least(2), tile_rows=at_least(1), tile_columns=at_least(1))


@dataclass(frozen=True)
class Layout:
    """Where the weights of a projection are: row and column of each, arrays of the weight's shape,
    and how many there are of both.

    groups: of rows that are used together (groups of a convolution, else one);
    dense: every row and column of a group meet.
    """

    node: str
    row: Array
    column: Array
    rows: int
    columns: int
    groups: int = 1
    dense: bool = True

    def tile(self, mapping: CrossbarMapping) -> tuple[Array, Array]:
        """Row and column of the tile of every weight."""
        return self.row // mapping.tile_rows, self.column // mapping.tile_columns

    def tile_grid(self, mapping: CrossbarMapping) -> tuple[int, int]:
        """Tiles above each other and beside each other."""
        return -(-self.rows // mapping.tile_rows), -(-self.columns // mapping.tile_columns)


def layout_of(trained: TrainedNetwork, projection: Projection) -> Layout:
    """The layout of a projection of a network."""
    sources = trained.network.population(projection.source).size
    targets = trained.network.population(projection.target).size
    match projection.connection:
        case Dense():
            column, row = np.mgrid[:targets, :sources]
            return Layout(projection.name, row, column, sources, targets)
        case Sparse():
            row, column = (
                trained.parameters[f"{projection.name}.{end}"].astype(np.int64)
                for end in ("source", "target")
            )
            return Layout(projection.name, row, column, sources, targets, dense=False)
        case Convolution() as convolution:
            shape = convolution.weight_shape(sources, targets)
            per_channel = int(np.prod(shape[1:]))
            group = np.arange(convolution.channels) // (convolution.channels // convolution.groups)
            row = (group[:, None] * per_channel + np.arange(per_channel)).reshape(shape)
            column = np.broadcast_to(np.arange(convolution.channels)[:, None, None, None], shape)
            return Layout(
                projection.name,
                row,
                column,
                convolution.groups * per_channel,
                convolution.channels,
                convolution.groups,
            )
        case _:
            raise Unsupported(
                f"projection {projection.name!r}: a crossbar knows no connection "
                f"{projection.connection!r}"
            )


@dataclass(frozen=True)
class Mapped:
    """Weights as targets.

    weight: as the targets say, rounded to levels.
    step: weight per microsiemens, of every weight.
    target: [1 or 2, ...], microsiemens.
    sign: of a unipolar crossbar, else 1.
    reference: target of the devices of an offset column, microsiemens.
    """

    weight: Array
    step: Array
    target: Array
    sign: float = 1.0
    reference: float | None = None


def groups(layout: Layout, mapping: CrossbarMapping) -> tuple[NDArray[np.int64], int]:
    """Which group (tile, or column of a tile) every weight belongs to, of the weight's shape, and
    how many groups there are.
    """
    tile_row, tile_column = layout.tile(mapping)
    down, beside = layout.tile_grid(mapping)
    within, count = (
        (tile_column, beside) if mapping.scale_per == "tile" else (layout.column, layout.columns)
    )
    return tile_row * count + within, down * count


def group_maximum(values: Array, layout: Layout, mapping: CrossbarMapping) -> Array:
    """The largest value of each weight's group (tile, or column of a tile), of the weight's
    shape.
    """
    group, count = groups(layout, mapping)
    if count == 1:
        return np.full(values.shape, values.max(), values.dtype)
    largest = np.zeros(count, values.dtype)
    np.maximum.at(largest, group.ravel(), values.ravel())
    return largest[group]


def map_weights(
    weight: Array, layout: Layout, mapping: CrossbarMapping, g_min: float, g_max: float
) -> Mapped:
    """Targets in g_min ... g_max (microsiemens) for the weights of a projection, in their type.

    Raises InvalidModel, naming the projection, for weights of both signs on a unipolar crossbar and
    for a sparse projection on one with an offset column, where a synapse that is not there would
    need a device.
    """
    size = np.abs(weight)
    limit = group_maximum(size, layout, mapping)
    span = g_max - g_min
    safe = np.where(limit > 0, limit, 1)
    grid = None if mapping.levels is None else span / (mapping.levels - 1)

    def rounded(microsiemens: Array) -> Array:  # counted from g_min
        return microsiemens if grid is None else np.round(microsiemens / grid) * grid

    if mapping.scheme == "offset_column":
        if not layout.dense:
            raise InvalidModel(
                f"projection {layout.node!r}: a sparse projection has no device where there is "
                "no synapse, an offset column needs one there: use the differential scheme"
            )
        step, middle = 2 * limit / span, span / 2
        target = rounded(middle + weight / safe * middle)
        back = weight if grid is None else (target - middle) * step
        return Mapped(back, step, (target + g_min)[None], reference=g_min + middle)
    step = limit / span
    if mapping.scheme == "unipolar":
        sign = -1.0 if weight.min() < 0 else 1.0
        if np.any(sign * weight < 0):
            where = tuple(int(i) for i in np.argwhere(weight < 0)[0])
            raise InvalidModel(
                f"projection {layout.node!r}: weights of both signs ({weight.max():g}, and "
                f"{weight[where]:g} at {where}) on a unipolar crossbar: use the differential "
                "scheme or an offset column"
            )
        target = rounded(size / safe * span)
        back = weight if grid is None else sign * target * step
        return Mapped(back, step, (target + g_min)[None], sign)
    pair = rounded(np.stack([np.maximum(weight, 0), np.maximum(-weight, 0)]) / safe * span)
    back = weight if grid is None else (pair[0] - pair[1]) * step
    return Mapped(back, step, pair + g_min)
