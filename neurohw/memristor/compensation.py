# SPDX-License-Identifier: Apache-2.0
"""Global drift compensation: one digital factor per tile, from a probe that is measured after
programming and again later.

    factor = sum |y(t0)| / sum |y(t)|,   y the outputs of the tile for every input alone

It undoes the mean decay of a tile, not the spread between its devices. Read noise of the probe is
taken to be averaged out. Source: Joshi et al. (Nature Communications 2020); aihwkit
`GlobalDriftCompensation`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.memristor.mapping import CrossbarMapping, Layout


def compensation_factors(
    programmed: NDArray[Any], now: NDArray[Any], layout: Layout, mapping: CrossbarMapping
) -> NDArray[Any]:
    """The factor of its tile for every weight, of the weight's shape;

    1 where a tile has nothing left to measure.

    programmed, now: weights as read back right after programming and at the time of use.
    """
    tile_row, tile_column = layout.tile(mapping)
    down, beside = layout.tile_grid(mapping)
    tile = tile_row * beside + tile_column
    before, after = (
        np.bincount(tile.ravel(), np.abs(values).ravel(), minlength=down * beside)
        for values in (programmed, now)
    )
    factor = np.divide(before, after, out=np.ones_like(before), where=after > 0)
    return factor[tile].astype(now.dtype)
