"""Memory images: the only place that knows how integers lie in the hardware's memories (see docs/hardware.md)."""

from typing import Any

import numpy as np

from neurohw.fixedpoint import IntArray
from neurohw.quantize import QuantizedPopulation


def word_text(values: list[int], bits: int, width: int) -> str:
    """One image line: values from the least significant end, `bits` bits each in two's complement, in a word of `width` bits."""
    mask = (1 << bits) - 1
    word = 0
    for position, value in enumerate(values):
        word |= (value & mask) << (position * bits)
    return f"{word:0{-(-width // 4)}x}"


def weight_images(weight: IntArray, parameters: dict[str, Any]) -> dict[str, bytes]:
    """Files of the weight banks. weight: [target, source]; row source * GROUPS + group holds the lanes of one group."""
    lanes, bits, bank_rows = parameters["LANES"], parameters["WEIGHT_BITS"], parameters["BANK_ROWS"]
    groups = -(-parameters["NEURONS"] // lanes)
    padded = np.zeros((groups * lanes, weight.shape[1]), np.int64)
    padded[: len(weight)] = weight
    rows = padded.T.reshape(weight.shape[1] * groups, lanes)
    lines = [word_text(row.tolist(), bits, lanes * bits) for row in rows]
    return {
        f"{parameters['WEIGHT_FILE']}{bank:02d}.hex": ("\n".join(lines[start : start + bank_rows]) + "\n").encode()
        for bank, start in enumerate(range(0, len(lines), bank_rows))
    }


def read_weight_images(files: dict[str, bytes], parameters: dict[str, Any]) -> IntArray:
    """The weights [target, source] that `weight_images` packed."""
    lanes, bits, neurons = parameters["LANES"], parameters["WEIGHT_BITS"], parameters["NEURONS"]
    names = sorted(n for n in files if n.startswith(parameters["WEIGHT_FILE"]))
    lines = [line for name in names for line in files[name].decode().split()]
    words = np.zeros((len(lines), lanes), np.int64)
    for row, line in enumerate(lines):
        word = int(line, 16)
        for lane in range(lanes):
            value = (word >> (lane * bits)) & ((1 << bits) - 1)
            words[row, lane] = value - (1 << bits) if value >> (bits - 1) else value
    groups = -(-neurons // lanes)
    return words.reshape(-1, groups * lanes).T[:neurons]


def parameter_image(population: QuantizedPopulation, parameters: dict[str, Any]) -> bytes:
    """The neuron parameter file: per lane threshold, v_reset (membrane width each), bias (current width)."""
    update_lanes, neurons = parameters["UPDATE_LANES"], parameters["NEURONS"]
    membrane, current = population.membrane, population.current
    fields = 2 * membrane.bits + current.bits
    lines = []
    for first in range(0, neurons, update_lanes):
        values = []
        for neuron in range(first, first + update_lanes):
            there = neuron < neurons
            threshold = int(population.threshold[neuron]) if there else membrane.max
            v_reset = int(population.v_reset[neuron]) if there else 0
            bias = int(population.bias[neuron]) if there else 0
            low = int(word_text([threshold, v_reset], membrane.bits, 2 * membrane.bits), 16)
            values.append(low | (bias & ((1 << current.bits) - 1)) << (2 * membrane.bits))
        lines.append(word_text(values, fields, update_lanes * fields))
    return ("\n".join(lines) + "\n").encode()
