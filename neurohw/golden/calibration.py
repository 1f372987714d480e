# SPDX-License-Identifier: Apache-2.0
"""What integers change: every state and spike of the golden model beside the float reference's.

The float reference has the trained parameters, the integers their roundings and the roundings of
every leak, so that the difference is all of it. Integers count in their population's unit.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.checks import exactly
from neurohw.errors import InvalidModel
from neurohw.golden.specification import run_golden
from neurohw.integers.quantized import QuantizedNetwork
from neurohw.network import FloatArray, Population, TrainedNetwork
from neurohw.neurons import Lif
from neurohw.reference import run_reference
from neurohw.stimulus import Spikes, proved_stimulus

SPIKE_SHARE = 0.05  # of spikes that integers may lose or gain without a warning
CHUNK = 8  # samples at a time


@dataclass(frozen=True)
class StateDifference:
    """Largest and RMS |float - integer| of one state over samples, steps and neurons.

    largest, rms: in the trained network's units. largest_thresholds, rms_thresholds: in thresholds
    of the neuron, None without one.
    """

    largest: float
    rms: float
    largest_thresholds: float | None
    rms_thresholds: float | None


@dataclass(frozen=True)
class PopulationDifference:
    """Spikes of both models, and how many entries [time, sample, neuron] differ.

    states: by letter, v the membrane, c the synaptic current, a the adaptation.
    """

    spikes_float: int
    spikes_integer: int
    spikes_differing: int
    updates: int
    states: dict[str, StateDifference]

    @property
    def share(self) -> float:
        """Spikes that the integers have more (or, negative, fewer), in shares of the float ones."""
        return (self.spikes_integer - self.spikes_float) / max(self.spikes_float, 1)


@dataclass(frozen=True)
class Calibration:
    """The differences by population, over `samples` samples of `steps` steps."""

    samples: int
    steps: int
    populations: dict[str, PopulationDifference]

    def warnings(self, share: float = SPIKE_SHARE) -> list[str]:
        """One line for every population that loses or gains more than `share` of its spikes."""
        return [
            f"population {name!r}: {p.spikes_integer:,} spikes in integers, {p.spikes_float:,} "
            f"in float on {self.samples} calibration "
            f"samples ({100 * p.share:+.1f} %, more than {100 * share:g} %): quantize with more "
            "bits or resolution_bits"
            for name, p in self.populations.items()
            if abs(p.share) > share
        ]

    def to_json(self) -> dict[str, Any]:
        """A JSON value of all numbers."""
        return asdict(self)


def _units(model: QuantizedNetwork, population: Population) -> FloatArray:
    unit = model.info.get("populations", {}).get(population.name, {}).get("unit")
    if unit is None:
        raise InvalidModel(
            f"population {population.name!r}: its integers came without a scale (`unit` in the "
            "quantization report), "
            "so no float network can stand beside them"
        )
    return population.expand(np.asarray(unit, np.float64))


def _states(population: Population) -> Iterator[str]:
    neuron: Any = population.neuron
    yield "v"
    if neuron.synapse_decay is not None:
        yield "c"
    if isinstance(neuron, Lif) and neuron.adaptation is not None:
        yield "a"


class _Tally:
    """Running maximum and sum of squares of one state's differences, plain and in thresholds."""

    def __init__(self, threshold: FloatArray | None) -> None:
        self.scales = [np.ones(1)] + ([] if threshold is None else [threshold])
        self.largest = [0.0] * len(self.scales)
        self.squares = [0.0] * len(self.scales)
        self.count = 0

    def add(self, difference: FloatArray) -> None:
        self.count += difference.size
        for i, scale in enumerate(self.scales):
            scaled = difference / scale
            self.largest[i] = max(self.largest[i], float(np.abs(scaled).max()))
            self.squares[i] += float(np.square(scaled).sum())

    def result(self) -> StateDifference:
        rms = [float(np.sqrt(s / self.count)) for s in self.squares]
        if len(self.scales) == 1:
            return StateDifference(self.largest[0], rms[0], None, None)
        return StateDifference(self.largest[0], rms[0], self.largest[1], rms[1])


def calibration_differences(
    trained: TrainedNetwork, model: QuantizedNetwork, spikes: Spikes | NDArray[Any]
) -> Calibration:
    """Run both networks on counts [time, sample, input neuron] and compare every state and spike.

    model: the integers of `trained`. Raises InvalidModel for integers of other populations or
    without a scale, InvalidData for a stimulus of the wrong shape.
    """
    exactly("calibration_differences: trained", trained, TrainedNetwork)
    exactly("calibration_differences: model", model, QuantizedNetwork)
    network = model.network
    if trained.network.populations != network.populations:
        raise InvalidModel(
            "the integers belong to another network: their populations differ from the trained "
            "one's"
        )
    given = proved_stimulus(model, spikes)[0]
    populations = network.populations[1:]
    units = {p.name: _units(model, p) for p in populations}
    tallies = {}
    for p in populations:
        threshold = p.expand(trained.values(p, "threshold")) if isinstance(p.neuron, Lif) else None
        tallies[p.name] = {letter: _Tally(threshold) for letter in _states(p)}
    counts = {p.name: np.zeros(4, np.int64) for p in populations}
    for begin in range(0, given.samples, CHUNK):
        part = given.part(slice(begin, begin + CHUNK))
        wanted, found = run_reference(trained, part), run_golden(model, part)
        for name, of_states in tallies.items():
            a, b = wanted.spikes[name], found.spikes[name]
            counts[name] += [int(a.sum()), int(b.sum()), int((a != b).sum()), a.size]
            for letter, tally in of_states.items():
                key = f"{letter}.{name}"
                tally.add(wanted.states[key] - found.states[key] * units[name])
    differences = {}
    for name, of_states in tallies.items():
        wanted_spikes, found_spikes, differing, updates = (int(n) for n in counts[name])
        states = {letter: tally.result() for letter, tally in of_states.items()}
        differences[name] = PopulationDifference(
            wanted_spikes, found_spikes, differing, updates, states
        )
    return Calibration(given.samples, given.steps, differences)


def calibrated(
    trained: TrainedNetwork, model: QuantizedNetwork, spikes: Spikes | NDArray[Any]
) -> QuantizedNetwork:
    """The model with `calibration_differences` on these spikes in its report.

    They are in `.info["calibration"]`, their warnings in `.info["warnings"]`.
    """
    found = calibration_differences(trained, model, spikes)
    told = [*model.info.get("warnings", []), *found.warnings()]
    return replace(model, info={**model.info, "calibration": found.to_json(), "warnings": told})
