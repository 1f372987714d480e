# SPDX-License-Identifier: Apache-2.0
"""The structures of native.cpp, and how a quantized network fills them."""

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from neurohw.connections import MATRICES, Matrix
from neurohw.fixedpoint import Decay, IntArray, MultiplyDecay, MultiplyDecays, NoDecay, ShiftDecay
from neurohw.integers.quantized import GAIN_FRACTION_BITS, QuantizedNetwork
from neurohw.integers.widths import Drive
from neurohw.modulation import Modulation
from neurohw.network import GRAPH, Network, Population, Projection
from neurohw.neurons import Adaptation, Astrocyte, Integrator, Lif, Source, as_lif
from neurohw.support import Implements, attributes

Pointer = ctypes.c_void_p
# what native.cpp computes of `_flags`, `_decay` and the matrices
IMPLEMENTS = Implements(
    "the native golden model",
    GRAPH
    | MATRICES
    | {
        Lif: attributes(
            "decay threshold v_reset synapse_decay refractory adaptation strict delayed_reset "
            "membrane_bias delayed_current clears_current integrates_refractory",
            reset=("soft", "hard", "none"),
        ),
        Adaptation: attributes("decay strength"),
        Integrator: attributes("decay synapse_decay"),
        Astrocyte: attributes("decay synapse_decay"),
        Source: attributes(),
        Modulation: attributes("source target max_gain", effect=("threshold", "gain")),
        NoDecay: attributes(),
        ShiftDecay: attributes("shift"),
        MultiplyDecay: attributes("delta"),
        MultiplyDecays: attributes("deltas"),
    },
)


class NativePopulation(ctypes.Structure):
    """`NativePopulation` of native.cpp."""

    _fields_ = [
        ("size", ctypes.c_int64),
        ("bits", ctypes.c_int64),
        ("flags", ctypes.c_int32),
        ("refractory", ctypes.c_int32),
        ("exponent", ctypes.c_int64),
        ("decay_kind", ctypes.c_int32 * 3),
        ("decay_value", Pointer * 3),
        ("bias", Pointer),
        ("threshold", Pointer),
        ("v_reset", Pointer),
        ("strength", Pointer),
        ("membrane_min", ctypes.c_int64),
        ("membrane_max", ctypes.c_int64),
        ("current_min", ctypes.c_int64),
        ("current_max", ctypes.c_int64),
        ("spikes", Pointer),
        ("states", Pointer * 4),
        ("last", ctypes.c_int64),
    ]


class NativeProjection(ctypes.Structure):
    """`NativeProjection` of native.cpp."""

    _fields_ = [
        ("source", ctypes.c_int32),
        ("target", ctypes.c_int32),
        ("delay", ctypes.c_int64),
        ("sources", ctypes.c_int64),
        ("first", Pointer),
        ("targets", Pointer),
        ("weights", Pointer),
    ]


class NativeModulation(ctypes.Structure):
    """`NativeModulation` of native.cpp."""

    _fields_ = [
        ("source", ctypes.c_int32),
        ("target", ctypes.c_int32),
        ("shift", ctypes.c_int64),
        ("domains", ctypes.c_int64),
        ("table", Pointer),
        ("offset", Pointer),
    ]


class Arrays:
    """Contiguous arrays, kept alive while C++ reads them."""

    def __init__(self) -> None:
        self.kept: list[NDArray[Any]] = []

    def pointer(self, array: NDArray[Any], dtype: Any) -> int:
        """The address of the array in the given type."""
        self.kept.append(np.ascontiguousarray(array, dtype))
        return int(self.kept[-1].ctypes.data)


def _decay(decay: Decay | None, population: Population) -> tuple[int, NDArray[np.int32]]:
    match decay:
        case None | NoDecay():
            kind, value = 0, np.zeros(1, np.int32)
        case ShiftDecay(shift):
            kind, value = 1, np.array([shift], np.int32)
        case MultiplyDecay(delta):
            kind, value = 2, np.array([delta], np.int32)
        case MultiplyDecays(deltas):
            return 2, population.expand(np.array(deltas, np.int32))
    return kind, np.repeat(value, population.size)


def _flags(network: Network, population: Population, has_synapse: bool) -> int:
    neuron = population.neuron
    gain, rise = (
        network.modulation(population.name, effect) is not None for effect in ("gain", "threshold")
    )
    if not isinstance(neuron, Lif):
        return 256 * has_synapse + 2048 * gain
    conditions = (
        True,
        neuron.reset == "soft",
        neuron.reset == "hard",
        neuron.strict,
        neuron.delayed_reset,
        neuron.membrane_bias,
        neuron.delayed_current,
        neuron.clears_current,
        has_synapse,
        neuron.adaptation is not None,
        neuron.integrates_refractory,
        gain,
        rise,
    )
    return sum(1 << bit for bit, condition in enumerate(conditions) if condition)


def common_exponent(model: QuantizedNetwork, population: Population) -> int:
    """The shift that all sums into a population have in common.

    It is done once a step and not with every weight.
    """
    incoming = model.network.into(population.name)
    return min((model.projections[p.name].exponent for p in incoming), default=0)


def native_population(
    model: QuantizedNetwork, population: Population, arrays: Arrays, bits: int
) -> NativePopulation:
    """The constants of a population; nothing of it is recorded yet. bits: see `bits_of`."""
    q, neuron = model.populations[population.name], population.neuron
    assert not isinstance(neuron, Source)
    strength = np.zeros_like(q.bias) if q.adaptation_strength is None else q.adaptation_strength
    decays = [_decay(d, population) for d in (q.decay, q.synapse_decay, q.adaptation_decay)]
    return NativePopulation(
        size=population.size,
        bits=bits,
        flags=_flags(model.network, population, q.synapse_decay is not None),
        refractory=as_lif(neuron).refractory,
        exponent=common_exponent(model, population),
        decay_kind=(ctypes.c_int32 * 3)(*(kind for kind, _ in decays)),
        decay_value=(Pointer * 3)(*(arrays.pointer(value, np.int32) for _, value in decays)),
        bias=arrays.pointer(population.expand(q.bias), np.int64),
        threshold=arrays.pointer(population.expand(q.threshold), np.int64),
        v_reset=arrays.pointer(population.expand(q.v_reset), np.int64),
        strength=arrays.pointer(population.expand(strength), np.int64),
        membrane_min=q.membrane.min,
        membrane_max=q.membrane.max,
        current_min=q.current.min,
        current_max=q.current.max,
    )


def native_projection(
    projection: Projection,
    matrix: Matrix,
    delay: int,
    exponent: int,
    position: Mapping[str, int],
    arrays: Arrays,
) -> NativeProjection:
    """One matrix of a projection, of the synapses with one delay.

    exponent: shift of its weights beyond that of its target's sums.
    position: of a population in the update order, -1 for the input.
    """
    columns = None if isinstance(matrix, np.ndarray) else scipy.sparse.csc_array(matrix)
    weights = np.asarray(matrix.T if columns is None else columns.data).astype(np.int64) << exponent
    return NativeProjection(
        source=position[projection.source],
        target=position[projection.target],
        delay=delay,
        sources=matrix.shape[1],
        first=None if columns is None else arrays.pointer(columns.indptr, np.int64),
        targets=None if columns is None else arrays.pointer(columns.indices, np.int32),
        weights=arrays.pointer(weights, np.int32),
    )


def native_modulation(
    model: QuantizedNetwork, modulation: Modulation, position: Mapping[str, int], arrays: Arrays
) -> NativeModulation:
    """What an astrocyte does to its target."""
    integers, source = model.modulations[modulation.name], model.populations[modulation.source]
    astrocyte = model.network.population(modulation.source)
    assert source.offset is not None
    return NativeModulation(
        source=position[modulation.source],
        target=position[modulation.target],
        shift=integers.shift,
        domains=astrocyte.size,
        table=None if integers.table is None else arrays.pointer(integers.table, np.int32),
        offset=arrays.pointer(astrocyte.expand(source.offset), np.int64),
    )


def bits_of(model: QuantizedNetwork, population: Population, drives: list[Drive]) -> int:
    """16, 32 or 64: the least that hold every number that a step of the population comes by,
    whatever its sign.
    """
    q, neuron = model.populations[population.name], population.neuron

    def size(values: IntArray | None) -> int:
        return 0 if values is None or not np.size(values) else int(np.abs(values).max())

    arriving = sum(max(size(d.lowest), size(d.highest)) << d.exponent for d in drives)
    membrane, current = (max(-f.min, f.max) for f in (q.membrane, q.current))
    gain, rise = (
        model.network.modulation(population.name, effect) for effect in ("gain", "threshold")
    )
    if gain is not None:
        arriving = max(
            arriving,
            (arriving * size(model.modulations[gain.name].table) >> GAIN_FRACTION_BITS) + 1,
        )
    total = max(arriving + size(q.bias), current)
    threshold = size(q.threshold) + (membrane if q.adaptation_strength is not None else 0)
    if rise is not None:
        source, shift = model.populations[rise.source], model.modulations[rise.name].shift
        level = source.membrane.max + size(source.offset)
        threshold += level << -shift if shift < 0 else level >> shift
    refractory = as_lif(neuron).refractory
    largest = membrane + total + size(q.bias) + threshold
    largest = max(
        largest,
        current + total,
        membrane + size(q.adaptation_strength),
        size(q.v_reset),
        refractory,
    )
    return next(bits for bits in (16, 32, 64) if largest < 1 << (bits - 1))
