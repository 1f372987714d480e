"""From float parameters to integers, with widths by proof."""

from neurohw.quantize.dequantize import dequantize
from neurohw.quantize.post_training import quantize
from neurohw.quantize.quantized import QuantizedModulation, QuantizedNetwork, QuantizedPopulation, QuantizedProjection

__all__ = [
    "QuantizedModulation",
    "QuantizedNetwork",
    "QuantizedPopulation",
    "QuantizedProjection",
    "dequantize",
    "quantize",
]
