# SPDX-License-Identifier: Apache-2.0
"""Memory images: the only place that knows how integers lie in the hardware's memories (see
docs/hardware.md).
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from neurohw.fixedpoint import MULTIPLY_UNIT, IntArray, IntFormat, MultiplyDecays
from neurohw.hardware.generate.layout import Rows
from neurohw.hardware.generate.neuron import MULTIPLY_EACH
from neurohw.integers import QuantizedPopulation

FACTOR_BITS = 13  # 0 to 4096


def word_text(values: list[int], bits: int, width: int) -> str:
    """One image line: values from the least significant end, `bits` bits each in two's complement,
    in a word of `width` bits.
    """
    mask = (1 << bits) - 1
    word = 0
    for position, value in enumerate(values):
        word |= (value & mask) << (position * bits)
    return f"{word:0{-(-width // 4)}x}"


def target_bits(parameters: dict[str, Any]) -> int:
    """Bits of the target of an entry of compressed rows: the update word above the lane of the
    word; 0 for rows of groups.
    """
    if not parameters["COMPRESSED"]:
        return 0
    words = -(-parameters["NEURONS"] // parameters["UPDATE_LANES"])
    return max(1, (words - 1).bit_length()) + _part_bits(parameters)


def _part_bits(parameters: dict[str, Any]) -> int:
    return (parameters["UPDATE_LANES"] - 1).bit_length()


def row_fields(parameters: dict[str, Any]) -> list[tuple[str, int, int]]:
    """(name, values in a row, bits of each) of the weights, targets and delays of a row, from the
    least significant bit; only those that are there.
    """
    lanes, delay_bits = parameters["LANES"], (parameters["SLOTS"] - 1).bit_length()
    fields = [
        ("weights", lanes, parameters["WEIGHT_BITS"]),
        ("targets", lanes, target_bits(parameters)),
        ("delays", 1 if parameters["SHARED_DELAYS"] else lanes, delay_bits),
    ]
    return [field for field in fields if field[2]]


def weight_images(rows: Sequence[Rows], parameters: dict[str, Any]) -> dict[str, bytes]:
    """Files of the weight banks of a population, the rows of all its projections one after the
    other, with the fields of `row_fields`.
    """
    bank_rows, part_bits = parameters["BANK_ROWS"], _part_bits(parameters)
    weights, delays = (
        np.concatenate([r.weights for r in rows]),
        np.concatenate([r.delays for r in rows]),
    )
    # a lane without a synapse has no delay
    delays = np.where(weights != 0, delays, 0)
    values = {
        "weights": weights,
        "delays": delays.max(axis=1, keepdims=True) if parameters["SHARED_DELAYS"] else delays,
    }
    if parameters["COMPRESSED"]:
        slots = np.concatenate([r.targets for r in rows if r.targets is not None])
        update_word, part = np.divmod(slots, parameters["UPDATE_LANES"])
        values["targets"] = update_word << part_bits | part
    fields = row_fields(parameters)
    digits = -(-sum(count * bits for _, count, bits in fields) // 4)
    columns = [(values[name].tolist(), count * bits, bits) for name, count, bits in fields]
    lines = []
    for row in range(len(weights)):
        word, at = 0, 0
        for column, width, bits in columns:
            word |= int(word_text(column[row], bits, width), 16) << at
            at += width
        lines.append(f"{word:0{digits}x}")
    return {
        f"{parameters['WEIGHT_FILE']}{bank:02d}.hex": (
            "\n".join(lines[start : start + bank_rows]) + "\n"
        ).encode()
        for bank, start in enumerate(range(0, len(lines), bank_rows))
    }


def read_weight_images(files: dict[str, bytes], parameters: dict[str, Any]) -> dict[str, IntArray]:
    """Weights, slots of the targets and delays [row, lane] that `weight_images` packed, as far as
    the rows have them; a shared delay in one column.
    """
    # and no file of a population of a longer name
    bank = re.compile(re.escape(parameters["WEIGHT_FILE"]) + r"\d+\.hex")
    names = sorted(n for n in files if bank.fullmatch(n))
    lines = [line for name in names for line in files[name].decode().split()]
    result, at = {}, 0
    for name, count, bits in row_fields(parameters):
        values = [
            [int(line, 16) >> (at + i * bits) & ((1 << bits) - 1) for i in range(count)]
            for line in lines
        ]
        result[name] = np.array(values, np.int64)
        at += count * bits
    result["weights"] -= (result["weights"] >> (parameters["WEIGHT_BITS"] - 1)) << parameters[
        "WEIGHT_BITS"
    ]
    if "targets" in result:
        part_bits = _part_bits(parameters)
        part = result["targets"] & ((1 << part_bits) - 1)
        result["targets"] = (result["targets"] >> part_bits) * parameters["UPDATE_LANES"] + part
    return result


def table_image(words: list[int]) -> bytes:
    """A table of an address generator, one word a line."""
    return ("\n".join(f"{word:x}" for word in words) + "\n").encode()


def lane_image(values: IntArray, lanes: int, bits: int) -> bytes:
    """Words of `lanes` values of `bits` bits each, the first least significant;

    0 in the lanes that are left over.
    """
    padded = np.append(values, np.zeros(-len(values) % lanes, np.int64)).reshape(-1, lanes)
    return (
        "\n".join(word_text(row, bits, lanes * bits) for row in padded.tolist()) + "\n"
    ).encode()


def parameter_image(
    population: QuantizedPopulation, parameters: dict[str, Any], slots: IntArray | None = None
) -> bytes:
    """The neuron parameter file: one word per UPDATE_LANES slots; from the least significant end
    every field of `parameter_fields`, of all lanes.

    slots: the neuron in every slot of the hardware, -1 where there is none; by default, and in one
        dimension, neuron n is in slot n. An empty slot has the largest threshold and otherwise
        zeros, and never fires.
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


def parameter_fields(
    population: QuantizedPopulation, parameters: dict[str, Any]
) -> list[tuple[IntArray, int, int]]:
    """(values per parameter, bits, value of an empty slot) of each field that the neuron uses,
    least significant first.

    The widths are those of the hardware, at least 2, which may be more than a format needs.
    """
    membrane = IntFormat(parameters["MEMBRANE_BITS"])
    spiking = bool(parameters["SPIKING"])
    fields = [(population.bias, parameters["CURRENT_BITS"], 0)]
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
