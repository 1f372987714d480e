# SPDX-License-Identifier: Apache-2.0
"""Neuron parameters of the hardware and their image."""

import numpy as np
import pytest

from neurohw.fixedpoint import Decay, IntFormat, MultiplyDecay, MultiplyDecays, NoDecay, ShiftDecay
from neurohw.hardware.generate.neuron import decay_parameters, neuron_parameters
from neurohw.hardware.generate.pack import parameter_image
from neurohw.integers import QuantizedPopulation
from neurohw.network import Population
from neurohw.neurons import Adaptation, Integrator, Lif


def adaptive() -> QuantizedPopulation:
    """Two channels of two neurons each, every field in use."""
    return QuantizedPopulation(
        bias=np.array([-1, 2]),
        threshold=np.array([3, 4]),
        v_reset=np.array([-5, 6]),
        decay=MultiplyDecays((0, 4096)),
        synapse_decay=MultiplyDecays((1, 2)),
        membrane=IntFormat(7),
        current=IntFormat(5),
        accumulator=IntFormat(5),
        adaptation_decay=MultiplyDecays((4095, 4094)),
        adaptation_strength=np.array([8, 9]),
    )


NEURON = Lif(
    reset="hard",
    synapse_decay=0.5,
    adaptation=Adaptation(0.5, 1.0),
    strict=True,
    clears_current=True,
)


@pytest.mark.parametrize(
    ("decay", "expected"),
    [
        (None, (0, 0)),
        (ShiftDecay(3), (1, 3)),
        (MultiplyDecay(41), (2, 41)),
        (NoDecay(), (3, 0)),
        (MultiplyDecays((1, 2)), (4, 0)),
        (MultiplyDecays((7, 7)), (2, 7)),
    ],
)
def test_decay_parameters(decay: Decay | None, expected: tuple[int, int]) -> None:
    assert decay_parameters(decay) == expected


def test_parameters_of_a_neuron() -> None:
    assert neuron_parameters(Population("p", 4, NEURON, 2), adaptive()) == {
        "DECAY_KIND": 4, "DECAY_VALUE": 0, "SYNAPSE_KIND": 4, "SYNAPSE_VALUE": 0,
        "ADAPTATION_KIND": 4, "ADAPTATION_VALUE": 0,
        "HARD_RESET": 1, "RESET_NONE": 0, "DELAYED_RESET": 0, "STRICT": 1, "MEMBRANE_BIAS": 0,
        "DELAYED_CURRENT": 0,
        "CLEARS_CURRENT": 1, "INTEGRATES_REFRACTORY": 0, "REFRACTORY_STEPS": 0, "SPIKING": 1,
    }  # fmt: skip


def fields(text: bytes, widths: list[int], lanes: int) -> list[list[list[int]]]:
    """Unsigned values [word][field][lane] of an image."""
    words = []
    for line in text.decode().split():
        word, content = int(line, 16), []
        for width in widths:
            content.append([word >> (lane * width) & ((1 << width) - 1) for lane in range(lanes)])
            word >>= lanes * width
        words.append(content)
    return words


def test_the_image_holds_every_field_of_the_neuron_in_each_slot() -> None:
    quantized = adaptive()
    sizes = {"UPDATE_LANES": 2, "NEURONS": 4, "CURRENT_BITS": 5, "MEMBRANE_BITS": 7}
    parameters = {**sizes, **neuron_parameters(Population("p", 4, NEURON, 2), quantized)}
    first = [31, 3, 128 - 5, 4096, 4095, 1, 8]
    second = [2, 4, 6, 0, 4094, 2, 9]
    empty = [0, 63, 0, 0, 0, 0, 0]
    widths = [5, 7, 7, 13, 13, 13, 7]

    def expected(*slots: list[int]) -> list[list[list[int]]]:
        pairs = zip(slots[::2], slots[1::2], strict=True)
        return [[list(pair) for pair in zip(*lanes, strict=True)] for lanes in pairs]

    in_order = fields(parameter_image(quantized, parameters), widths, 2)
    assert in_order == expected(first, first, second, second)
    slots = np.array([0, 2, -1, 1, 3])
    assert fields(parameter_image(quantized, parameters, slots), widths, 2) == expected(
        first, second, empty, first, second, empty
    )


def test_the_image_holds_only_what_the_neuron_uses() -> None:
    eight = IntFormat(8)
    bias, threshold, v_reset = (np.array([n]) for n in (1, 2, 3))
    plain = QuantizedPopulation(bias, threshold, v_reset, ShiftDecay(1), None, eight, eight, eight)
    for neuron, text in (
        (Lif(), b"0201\n"),
        (Lif(reset="hard"), b"030201\n"),
        (Integrator(), b"01\n"),
    ):
        sizes = {"UPDATE_LANES": 1, "NEURONS": 1, "CURRENT_BITS": 8, "MEMBRANE_BITS": 8}
        parameters = {**sizes, **neuron_parameters(Population("p", 1, neuron), plain)}
        assert parameter_image(plain, parameters) == text


def test_the_image_is_as_wide_as_the_hardware() -> None:
    """A current that is always 0 needs 1 bit, the hardware has 2 at least: the threshold lies above
    both lanes of 2 bits.
    """
    one, zero = IntFormat(1), np.array([0])
    plain = QuantizedPopulation(
        zero, np.array([5]), zero, ShiftDecay(1), None, IntFormat(4), one, one
    )
    sizes = {"UPDATE_LANES": 2, "NEURONS": 2, "CURRENT_BITS": 2, "MEMBRANE_BITS": 4}
    parameters = {**sizes, **neuron_parameters(Population("p", 2, Lif()), plain)}
    assert fields(parameter_image(plain, parameters), [2, 4], 2) == [[[0, 0], [5, 5]]]
