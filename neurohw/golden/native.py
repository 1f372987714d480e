# SPDX-License-Identifier: Apache-2.0
"""The golden model in C++: the same integers as `run_golden`, event driven and over several samples
at once.

The source is `native.cpp`, see `neurohw.native_library`.
"""

import ctypes
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.checks import at_least, exactly, whole
from neurohw.golden.native_structures import (
    IMPLEMENTS,
    Arrays,
    NativeModulation,
    NativePopulation,
    NativeProjection,
    Pointer,
    bits_of,
    common_exponent,
    native_modulation,
    native_population,
    native_projection,
)
from neurohw.golden.specification import run_golden
from neurohw.integers.quantized import QuantizedNetwork
from neurohw.integers.widths import Drive
from neurohw.native_library import compiled
from neurohw.step import letters
from neurohw.stimulus import Spikes, is_beyond, stimulus_of
from neurohw.trace import Trace

SOURCE = Path(__file__).with_name("native.cpp")

Recorded = Mapping[str, NDArray[Any]]


@dataclass
class NativeModel:
    """A network in the arrays of native.cpp, for input counts up to `count`.

    saturations: of the last run, by population, as in a `Trace`.
    """

    model: QuantizedNetwork
    count: int
    populations: dict[str, NativePopulation]
    projections: list[NativeProjection]
    modulations: list[NativeModulation]
    arrays: Arrays
    saturations: dict[str, int] = field(default_factory=dict)

    @staticmethod
    def of(model: QuantizedNetwork, count: int) -> "NativeModel | None":
        """None where an accumulator does not hold the sums of such counts;

        Unsupported for a node that `IMPLEMENTS` does not name.
        """
        IMPLEMENTS.check(model.network, model.populations)
        network, arrays = model.network, Arrays()
        order = network.update_order()
        position = {p.name: i for i, p in enumerate(order)} | {network.input.name: -1}
        populations, projections = {}, []
        for population in order:
            drives, accumulator = [], model.populations[population.name].accumulator
            for projection in network.into(population.name):
                exponent, matrices = (
                    model.projections[projection.name].exponent,
                    model.matrices(projection),
                )
                drives.append(drive := Drive.of(matrices, exponent, count))
                if not (accumulator.allows(drive.lowest) and accumulator.allows(drive.highest)):
                    return None
                own = exponent - common_exponent(model, population)
                projections += [
                    native_projection(projection, m, delay, own, position, arrays)
                    for delay, m in matrices
                ]
            bits = bits_of(model, population, drives)
            populations[population.name] = native_population(model, population, arrays, bits)
        modulations = [native_modulation(model, m, position, arrays) for m in network.modulations]
        return NativeModel(model, count, populations, projections, modulations, arrays)

    def run(
        self, stimulus: NDArray[Any], recorded: Recorded, threads: int | None, last: bool = False
    ) -> bool:
        """Simulate counts uint8 [time, sample, input neuron], of which a neuron's neighbour is the
        next byte, into arrays of zeros.

        recorded: `spikes.<population>` uint8 and states int64, [time, sample, neuron];
        last: states of the last step only, [sample, neuron]. False where a count is above `count`,
            and the arrays are worth nothing.
        """
        for name, native in self.populations.items():
            spikes = recorded.get(f"spikes.{name}")
            states = [recorded.get(f"{x}.{name}") for x in "vcra"]
            native.spikes = None if spikes is None else spikes.ctypes.data
            native.states = (Pointer * 4)(*(None if s is None else s.ctypes.data for s in states))
            native.last = last
        steps, samples, inputs = stimulus.shape
        saturations = np.zeros(len(self.populations), np.int64)
        beyond = compiled(SOURCE).neurohw_run(
            ctypes.c_int64(steps),
            ctypes.c_int64(samples),
            Pointer(stimulus.ctypes.data),
            ctypes.c_int64(inputs),
            ctypes.c_int64(stimulus.strides[0]),
            ctypes.c_int64(stimulus.strides[1]),
            (NativePopulation * len(self.populations))(*self.populations.values()),
            ctypes.c_int32(len(self.populations)),
            (NativeProjection * len(self.projections))(*self.projections),
            ctypes.c_int32(len(self.projections)),
            (NativeModulation * len(self.modulations))(*self.modulations),
            ctypes.c_int32(len(self.modulations)),
            ctypes.c_int32(self.count),
            Pointer(saturations.ctypes.data),
            ctypes.c_int32(min(threads or os.cpu_count() or 1, samples)),
        )
        self.saturations = dict(zip(self.populations, saturations.tolist(), strict=True))
        return not beyond


def run_native(
    model: QuantizedNetwork,
    spikes: Spikes | NDArray[Any],
    states: bool = True,
    threads: int | None = None,
    beyond_proof: bool = False,
) -> Trace:
    """Simulate in integers: the trace of `run_golden`, which also says what is raised.

    spikes: counts [time, sample, input neuron]. threads: over samples, by default one per
    processor. beyond_proof: as of `run_golden`. A stimulus whose counts could leave an accumulator
    format is left to `run_golden`, which checks every sum.
    """
    exactly("run_native: model", model, QuantizedNetwork)
    if threads is not None:
        threads = whole("run_native: threads", threads, at_least(1))
    network = model.network
    IMPLEMENTS.check(network, model.populations)
    given = stimulus_of(model, spikes)
    beyond = is_beyond(model, given.steps, 0, beyond_proof)
    stimulus = np.ascontiguousarray(given.counts)
    recorded: dict[str, NDArray[Any]] = {}
    for p in network.update_order():
        recorded[f"spikes.{p.name}"] = np.zeros((*stimulus.shape[:2], p.size), np.uint8)
        for x in letters(p.neuron) if states else "":  # type: ignore[arg-type]
            recorded[f"{x}.{p.name}"] = np.zeros((*stimulus.shape[:2], p.size), np.int64)
    # looking for the largest count takes as long as a part of the simulation, which finds out by
    # itself
    native = NativeModel.of(model, model.max_count)
    if native is None or not native.run(stimulus, recorded, threads):
        largest = int(stimulus.max(initial=1))
        beyond = is_beyond(model, given.steps, largest, beyond_proof)
        native = NativeModel.of(model, largest)
        if native is None or not native.run(stimulus, recorded, threads):
            return run_golden(model, given, states, beyond_proof)
    fired = {network.input.name: stimulus} | {
        n[7:]: a for n, a in recorded.items() if n.startswith("spikes.")
    }
    kept = {n: a for n, a in recorded.items() if not n.startswith("spikes.")}
    ran = {p.name: fired[p.name] for p in network.populations}
    return Trace(ran, kept, saturations=native.saturations, beyond_proof=beyond)
