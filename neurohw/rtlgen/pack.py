"""Memory images: the only place that knows how integers lie in the hardware's memories (see docs/hardware.md)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurohw.fixedpoint import MULTIPLY_UNIT, IntArray, MultiplyDecays
from neurohw.quantize import QuantizedPopulation
from neurohw.rtlgen.layout import Rows
from neurohw.rtlgen.neuron import MULTIPLY_EACH

FACTOR_BITS = 13  # 0 to 4096


def word_text(values: list[int], bits: int, width: int) -> str:
    """One image line: values from the least significant end, `bits` bits each in two's complement, in a word of `width` bits."""
    mask = (1 << bits) - 1
    word = 0
    for position, value in enumerate(values):
        word |= (value & mask) << (position * bits)
    return f"{word:0{-(-width // 4)}x}"


def delay_fields(parameters: dict[str, Any]) -> tuple[int, int]:
    """(number of delays beside the weights of a row, bits of each)."""
    bits = (parameters["SLOTS"] - 1).bit_length()
    return (0, 0) if not bits else (1 if parameters["SHARED_DELAYS"] else parameters["LANES"], bits)


def weight_images(rows: Sequence[Rows], parameters: dict[str, Any]) -> dict[str, bytes]:
    """Files of the weight banks of a population, all its projections one after the other: weights of a row, then its delays."""
    bits, bank_rows, lanes = parameters["WEIGHT_BITS"], parameters["BANK_ROWS"], parameters["LANES"]
    fields, delay_bits = delay_fields(parameters)
    weights, delays = np.concatenate([r.weights for r in rows]), np.concatenate([r.delays for r in rows])
    # a lane without a synapse has no delay
    delays = np.where(weights != 0, delays, 0)
    if fields == 1:
        delays = delays.max(axis=1, keepdims=True)
    width = lanes * bits + fields * delay_bits
    digits = -(-width // 4)
    lines = []
    for row, late in zip(weights.tolist(), delays.tolist(), strict=True):
        word = int(word_text(row, bits, lanes * bits), 16)
        if fields:
            word |= int(word_text(late, delay_bits, fields * delay_bits), 16) << (lanes * bits)
        lines.append(f"{word:0{digits}x}")
    return {
        f"{parameters['WEIGHT_FILE']}{bank:02d}.hex": ("\n".join(lines[start : start + bank_rows]) + "\n").encode()
        for bank, start in enumerate(range(0, len(lines), bank_rows))
    }


def read_weight_images(files: dict[str, bytes], parameters: dict[str, Any]) -> tuple[IntArray, IntArray]:
    """Weights and delays [row, lane] that `weight_images` packed."""
    lanes, bits = parameters["LANES"], parameters["WEIGHT_BITS"]
    fields, delay_bits = delay_fields(parameters)
    names = sorted(n for n in files if n.startswith(parameters["WEIGHT_FILE"]))
    lines = [line for name in names for line in files[name].decode().split()]
    weights, delays = np.zeros((2, len(lines), lanes), np.int64)
    for row, line in enumerate(lines):
        word = int(line, 16)
        for lane in range(lanes):
            value = (word >> (lane * bits)) & ((1 << bits) - 1)
            weights[row, lane] = value - (1 << bits) if value >> (bits - 1) else value
            if fields:
                place = lanes * bits + (lane if fields > 1 else 0) * delay_bits
                delays[row, lane] = word >> place & (1 << delay_bits) - 1
    return weights, delays


def table_image(words: list[int]) -> bytes:
    """A table of an address generator, one word a line."""
    return ("\n".join(f"{word:x}" for word in words) + "\n").encode()


def lane_image(values: IntArray, lanes: int, bits: int) -> bytes:
    """Words of `lanes` values of `bits` bits each, the first least significant; 0 in the lanes that are left over."""
    padded = np.append(values, np.zeros(-len(values) % lanes, np.int64)).reshape(-1, lanes)
    return ("\n".join(word_text(row, bits, lanes * bits) for row in padded.tolist()) + "\n").encode()


def parameter_image(
    population: QuantizedPopulation, parameters: dict[str, Any], slots: IntArray | None = None
) -> bytes:
    """The neuron parameter file: one word per UPDATE_LANES slots; from the least significant end every field of `parameter_fields`, of all lanes.

    slots: the neuron in every slot of the hardware, -1 where there is none; by default, and in one dimension, neuron n is in slot n.
    An empty slot has the largest threshold and otherwise zeros, and never fires.
    """
    update_lanes = parameters["UPDATE_LANES"]
    order = np.arange(parameters["NEURONS"]) if slots is None else np.asarray(slots)
    size = int(order.max()) + 1
    order = np.append(order, np.full(-len(order) % update_lanes, -1))
    fields = parameter_fields(population, parameters)
    width = update_lanes * sum(bits for _, bits, _ in fields)
    lines = []
    for first in range(0, len(order), update_lanes):
        word, at = 0, 0
        for values, bits, empty in fields:
            for neuron in order[first : first + update_lanes].tolist():
                # values of a channel hold for all of its neurons
                value = empty if neuron < 0 else int(values[neuron * len(values) // size])
                word |= (value & ((1 << bits) - 1)) << at
                at += bits
        lines.append(f"{word:0{-(-width // 4)}x}")
    return ("\n".join(lines) + "\n").encode()


def parameter_fields(population: QuantizedPopulation, parameters: dict[str, Any]) -> list[tuple[IntArray, int, int]]:
    """(values per parameter, bits, value of an empty slot) of each field that the neuron uses, least significant first."""
    membrane = population.membrane
    spiking = bool(parameters["SPIKING"])
    fields = [(population.bias, population.current.bits, 0)]
    if spiking:
        fields.append((population.threshold, membrane.bits, membrane.max))
    if spiking and parameters["HARD_RESET"]:
        fields.append((population.v_reset, membrane.bits, 0))
    for kind, decay in (
        ("DECAY_KIND", population.decay),
        ("SYNAPSE_KIND", population.synapse_decay),
        ("ADAPTATION_KIND", population.adaptation_decay),
    ):
        if parameters[kind] == MULTIPLY_EACH and isinstance(decay, MultiplyDecays):
            fields.append((MULTIPLY_UNIT - np.array(decay.deltas), FACTOR_BITS, 0))
    if population.adaptation_strength is not None:
        fields.append((population.adaptation_strength, membrane.bits, 0))
    return fields
