# SPDX-License-Identifier: Apache-2.0
"""Converters at the edges of a tile: uniform, with a range that was calibrated on data.

    DAC    inputs above one spike become one of 2^bits - 1 amplitudes, or none, in 0 ... range; a
           spike needs no converter
    ADC    the sum of a column becomes one of 2^bits - 1 codes in -range ... range, 0 among them; 0
           ... range with 2^bits codes on a unipolar crossbar

What lies outside is clipped to the end of the range.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.checks import Range, check_fields
from neurohw.errors import InvalidData


@dataclass(frozen=True)
class Converter:
    """bits: 1 ... 24.

    percentile: of what the calibration saw (of the sizes that are not 0) becomes the end of the
        range; 100 for the largest.
    """

    bits: int = 8
    percentile: float = 99.9

    def __post_init__(self) -> None:
        check_fields(self, bits=Range(1, 24), percentile=Range(0, 100, open_low=True))


def calibrated_range(converter: Converter, values: NDArray[Any], node: str) -> float:
    """The end of the range for values of any shape; 0 where all are 0.

    Raises InvalidData, naming the node, where there are none.
    """
    if values.size == 0:
        raise InvalidData(f"{node}: no values to calibrate a converter with")
    sizes = np.abs(values[values != 0])
    return float(np.percentile(sizes, converter.percentile)) if sizes.size else 0.0


def convert_signed(values: NDArray[Any], limit: NDArray[Any] | float, bits: int) -> NDArray[Any]:
    """Values rounded to 2^bits - 1 steps in -limit ... limit (with 1 bit:

    3, since 0 is one); limit broadcasts. Unchanged where limit is 0.
    """
    return _convert(values, limit, max(2 ** (bits - 1) - 1, 1), -1.0)


def convert_unsigned(values: NDArray[Any], limit: NDArray[Any] | float, bits: int) -> NDArray[Any]:
    """Values rounded to 2^bits steps in 0 ... limit; limit broadcasts. Unchanged where limit is
    0.
    """
    return _convert(values, limit, 2**bits - 1, 0.0)


def _convert(
    values: NDArray[Any], limit: NDArray[Any] | float, steps: int, lowest: float
) -> NDArray[Any]:
    end = np.asarray(limit)
    safe = np.where(end > 0, end, 1.0)
    converted = np.round(np.clip(values / safe, lowest, 1.0) * steps) / steps * safe
    return np.where(end > 0, converted, values)
