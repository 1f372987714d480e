# SPDX-License-Identifier: Apache-2.0
"""From float parameters to integers, with widths by proof."""

from neurohw.integers.post_training import quantize
from neurohw.integers.quantized import (
    QuantizedModulation,
    QuantizedNetwork,
    QuantizedPopulation,
    QuantizedProjection,
)
from neurohw.integers.to_float import dequantize

__all__ = [
    "QuantizedModulation",
    "QuantizedNetwork",
    "QuantizedPopulation",
    "QuantizedProjection",
    "dequantize",
    "quantize",
]
