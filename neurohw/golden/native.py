"""The golden model in C++: the same integers as `run_golden`, event driven and over several samples at once.

The source is `native.cpp`, see `neurohw.native_library`.
"""

import ctypes
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from neurohw.connections import Matrix
from neurohw.fixedpoint import Decay, IntArray, MultiplyDecay, MultiplyDecays, NoDecay, ShiftDecay
from neurohw.golden.specification import run_golden
from neurohw.native_library import compiled
from neurohw.network import Network, Population, Projection
from neurohw.neurons import Lif, Source
from neurohw.quantize.quantized import GAIN_FRACTION_BITS, QuantizedNetwork
from neurohw.quantize.widths import Drive
from neurohw.reference import check_stimulus
from neurohw.step import letters
from neurohw.trace import Trace

SOURCE = Path(__file__).with_name("native.cpp")
_Pointer = ctypes.c_void_p


class _NativePopulation(ctypes.Structure):
    """`NativePopulation` of native.cpp."""

    _fields_ = [
        ("size", ctypes.c_int64),
        ("bits", ctypes.c_int64),
        ("flags", ctypes.c_int32),
        ("refractory", ctypes.c_int32),
        ("decay_kind", ctypes.c_int32 * 3),
        ("decay_value", _Pointer * 3),
        ("bias", _Pointer),
        ("threshold", _Pointer),
        ("v_reset", _Pointer),
        ("strength", _Pointer),
        ("membrane_min", ctypes.c_int64),
        ("membrane_max", ctypes.c_int64),
        ("current_min", ctypes.c_int64),
        ("current_max", ctypes.c_int64),
        ("spikes", _Pointer),
        ("states", _Pointer * 4),
    ]


class _NativeProjection(ctypes.Structure):
    """`NativeProjection` of native.cpp."""

    _fields_ = [
        ("source", ctypes.c_int32),
        ("target", ctypes.c_int32),
        ("delay", ctypes.c_int64),
        ("sources", ctypes.c_int64),
        ("first", _Pointer),
        ("targets", _Pointer),
        ("weights", _Pointer),
    ]


class _NativeModulation(ctypes.Structure):
    """`NativeModulation` of native.cpp."""

    _fields_ = [
        ("source", ctypes.c_int32),
        ("target", ctypes.c_int32),
        ("shift", ctypes.c_int64),
        ("domains", ctypes.c_int64),
        ("table", _Pointer),
        ("offset", _Pointer),
    ]


class _Arrays:
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
    gain, rise = (network.modulation(population.name, effect) is not None for effect in ("gain", "threshold"))
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


def _population(
    model: QuantizedNetwork, population: Population, arrays: _Arrays, shape: tuple[int, int], states: bool
) -> tuple[_NativePopulation, NDArray[np.uint8], dict[str, NDArray[np.int64]]]:
    q, neuron = model.populations[population.name], population.neuron
    assert not isinstance(neuron, Source)
    spikes = np.zeros((*shape, population.size), np.uint8)
    kept = {x: np.zeros((*shape, population.size), np.int64) for x in letters(neuron)} if states else {}
    strength = np.zeros_like(q.bias) if q.adaptation_strength is None else q.adaptation_strength
    decays = [_decay(d, population) for d in (q.decay, q.synapse_decay, q.adaptation_decay)]
    native = _NativePopulation(
        size=population.size,
        flags=_flags(model.network, population, q.synapse_decay is not None),
        refractory=neuron.refractory if isinstance(neuron, Lif) else 0,
        decay_kind=(ctypes.c_int32 * 3)(*(kind for kind, _ in decays)),
        decay_value=(_Pointer * 3)(*(arrays.pointer(value, np.int32) for _, value in decays)),
        bias=arrays.pointer(population.expand(q.bias), np.int64),
        threshold=arrays.pointer(population.expand(q.threshold), np.int64),
        v_reset=arrays.pointer(population.expand(q.v_reset), np.int64),
        strength=arrays.pointer(population.expand(strength), np.int64),
        membrane_min=q.membrane.min,
        membrane_max=q.membrane.max,
        current_min=q.current.min,
        current_max=q.current.max,
        spikes=spikes.ctypes.data,
        states=(_Pointer * 4)(*(kept[x].ctypes.data if x in kept else None for x in "vcra")),
    )
    return native, spikes, {f"{x}.{population.name}": array for x, array in kept.items()}


def _projection(
    projection: Projection,
    matrix: Matrix,
    delay: int,
    exponent: int,
    position: Mapping[str, int],
    arrays: _Arrays,
) -> _NativeProjection:
    columns = None if isinstance(matrix, np.ndarray) else scipy.sparse.csc_array(matrix)
    weights = np.asarray(matrix.T if columns is None else columns.data).astype(np.int64) << exponent
    return _NativeProjection(
        source=position[projection.source],
        target=position[projection.target],
        delay=delay,
        sources=matrix.shape[1],
        first=None if columns is None else arrays.pointer(columns.indptr, np.int64),
        targets=None if columns is None else arrays.pointer(columns.indices, np.int32),
        weights=arrays.pointer(weights, np.int32),
    )


def _largest(model: QuantizedNetwork, population: Population, drives: list[Drive]) -> int:
    """A bound of every number, whatever its sign, that a step of the population comes by."""
    q, neuron = model.populations[population.name], population.neuron

    def size(values: IntArray | None) -> int:
        return 0 if values is None or not np.size(values) else int(np.abs(values).max())

    arriving = sum(max(size(d.lowest), size(d.highest)) << d.exponent for d in drives)
    membrane, current = (max(-f.min, f.max) for f in (q.membrane, q.current))
    gain, rise = (model.network.modulation(population.name, effect) for effect in ("gain", "threshold"))
    if gain is not None:
        arriving = max(arriving, (arriving * size(model.modulations[gain.name].table) >> GAIN_FRACTION_BITS) + 1)
    total = max(arriving + size(q.bias), current)
    threshold = size(q.threshold) + (membrane if q.adaptation_strength is not None else 0)
    if rise is not None:
        source, shift = model.populations[rise.source], model.modulations[rise.name].shift
        level = source.membrane.max + size(source.offset)
        threshold += level << -shift if shift < 0 else level >> shift
    refractory = neuron.refractory if isinstance(neuron, Lif) else 0
    largest = membrane + total + size(q.bias) + threshold
    return max(largest, current + total, membrane + size(q.adaptation_strength), size(q.v_reset), refractory)


def run_native(model: QuantizedNetwork, spikes: NDArray[Any], states: bool = True, threads: int | None = None) -> Trace:
    """Simulate in integers: the trace of `run_golden`, which also says what is raised.

    spikes: counts [time, sample, input neuron]. threads: over samples, by default one per processor. A stimulus whose counts could leave an
    accumulator format is left to `run_golden`, which checks every sum.
    """
    check_stimulus(model.network, spikes)
    stimulus = np.ascontiguousarray(spikes, np.uint8)
    threads = min(threads or os.cpu_count() or 1, max(stimulus.shape[1], 1))
    # looking for the largest count takes as long as a part of the simulation, which finds out by itself
    trace = _run(model, stimulus, states, threads, model.max_count)
    if trace is None:
        trace = _run(model, stimulus, states, threads, int(stimulus.max(initial=1)))
    return run_golden(model, spikes, states) if trace is None else trace


def _run(model: QuantizedNetwork, stimulus: NDArray[np.uint8], states: bool, threads: int, count: int) -> Trace | None:
    """The trace; None where the accumulators do not hold input counts up to `count`, or the stimulus has a larger one."""
    network = model.network
    order, arrays = network.update_order(), _Arrays()
    position = {p.name: i for i, p in enumerate(order)} | {network.input.name: -1}
    natives, projections = [], []
    fired, kept = {network.input.name: stimulus}, dict[str, NDArray[np.int64]]()
    for population in order:
        native, own_spikes, own_states = _population(model, population, arrays, stimulus.shape[:2], states)
        natives.append(native)
        fired[population.name] = own_spikes
        kept |= own_states
        drives = []
        for projection in network.into(population.name):
            exponent, matrices = model.projections[projection.name].exponent, model.matrices(projection)
            drives.append(drive := Drive.of(matrices, exponent, count))
            accumulator = model.populations[population.name].accumulator
            if not (accumulator.allows(drive.lowest) and accumulator.allows(drive.highest)):
                return None
            projections += [_projection(projection, m, delay, exponent, position, arrays) for delay, m in matrices]
        largest = _largest(model, population, drives)
        native.bits = next(bits for bits in (16, 32, 64) if largest < 1 << (bits - 1))
    modulations = []
    for modulation in network.modulations:
        integers, source = model.modulations[modulation.name], model.populations[modulation.source]
        assert source.offset is not None
        modulations.append(
            _NativeModulation(
                source=position[modulation.source],
                target=position[modulation.target],
                shift=integers.shift,
                domains=network.population(modulation.source).size,
                table=None if integers.table is None else arrays.pointer(integers.table, np.int32),
                offset=arrays.pointer(network.population(modulation.source).expand(source.offset), np.int64),
            )
        )
    beyond = compiled(SOURCE).neurohw_run(
        ctypes.c_int64(stimulus.shape[0]),
        ctypes.c_int64(stimulus.shape[1]),
        _Pointer(stimulus.ctypes.data),
        ctypes.c_int64(stimulus.shape[2]),
        (_NativePopulation * len(natives))(*natives),
        ctypes.c_int32(len(natives)),
        (_NativeProjection * len(projections))(*projections),
        ctypes.c_int32(len(projections)),
        (_NativeModulation * len(modulations))(*modulations),
        ctypes.c_int32(len(modulations)),
        ctypes.c_int32(count),
        ctypes.c_int32(threads),
    )
    if beyond:
        return None
    return Trace({p.name: fired[p.name] for p in network.populations}, kept)
