"""From float parameters to integers, with widths by proof."""

from neurohw.quantize.dequantize import dequantize
from neurohw.quantize.post_training import quantize
from neurohw.quantize.quantized import QuantizedNetwork, QuantizedPopulation, QuantizedProjection

__all__ = ["QuantizedNetwork", "QuantizedPopulation", "QuantizedProjection", "dequantize", "quantize"]
