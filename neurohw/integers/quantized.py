# SPDX-License-Identifier: Apache-2.0
"""A network in integers: arrays, decays and formats only. Scales stay in the quantization
report.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurohw.checks import Range, at_least, check_fields, whole
from neurohw.connections import Matrix, delay_matrices
from neurohw.errors import InvalidModel
from neurohw.fixedpoint import (
    Decay,
    IntArray,
    IntFormat,
    MultiplyDecays,
    decay_from_json,
    decay_to_json,
)
from neurohw.modulation import Modulation
from neurohw.network import CONNECTION_FIELDS, Network, Projection, array_limits, check_range
from neurohw.neurons import Astrocyte, Lif

TABLE_ENTRIES = 128
GAIN_FRACTION_BITS = 8
GAIN_BITS = 10
LARGEST_SHIFT = 62


def scaled(total: IntArray, gain: IntArray) -> IntArray:
    """A sum of synapses times a gain of GAIN_FRACTION_BITS fraction bits, rounded toward minus
    infinity.
    """
    return (total * gain) >> GAIN_FRACTION_BITS


def _frozen(values: Any, name: str, shape: tuple[int, ...], limits: IntFormat) -> IntArray:
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        raise InvalidModel(f"{name}: integers are needed, not {array.dtype}")
    array = array.astype(np.int64)
    if array.shape != shape:
        raise InvalidModel(f"{name} has shape {array.shape}, the network needs {shape}")
    if not limits.allows(array):
        where = tuple(int(i) for i in np.argwhere((array < limits.min) | (array > limits.max))[0])
        raise InvalidModel(
            f"{name} holds {array[where]} at {where}, outside the {limits.bits}-bit range "
            f"{limits.min}..{limits.max}: use more bits or a coarser scale"
        )
    array.setflags(write=False)
    return array


@dataclass(frozen=True)
class QuantizedProjection:
    """Integer weights, shaped as the connection says, of `bits` bits (2..8); the finished sum is
    shifted left by `exponent`.

    source, target: ends of a Sparse connection [synapse].
    delay: steps, where synapses or source neurons differ.
    """

    weight: IntArray
    bits: int
    exponent: int = 0
    source: IntArray | None = None
    target: IntArray | None = None
    delay: IntArray | None = None

    def arrays(self) -> dict[str, IntArray]:
        """The arrays that say where the synapses are, by field name."""
        return {k: v for k in CONNECTION_FIELDS if (v := getattr(self, k)) is not None}


@dataclass(frozen=True)
class QuantizedPopulation:
    """Integers of one population; arrays are [parameter]: per neuron, or per channel of a
    population with channels.

    membrane, current, accumulator: formats of v, of I and c, and of the unshifted sum over one
        step.
    capped: the membrane format is a user's cap, not a proved width, so that saturation can happen.
    offset: of an Astrocyte's level; a level, membrane + offset, fits the membrane format, and one
        bit more where that is capped.
    """

    bias: IntArray
    threshold: IntArray
    v_reset: IntArray
    decay: Decay
    synapse_decay: Decay | None
    membrane: IntFormat
    current: IntFormat
    accumulator: IntFormat
    capped: bool = False
    adaptation_decay: Decay | None = None
    adaptation_strength: IntArray | None = None
    offset: IntArray | None = None


@dataclass(frozen=True)
class QuantizedModulation:
    """Integers of one modulation, from a level m = membrane + offset of the astrocyte.

    gain: the factor is table[clip(m >> shift, -64, 63) + 64], in 256ths; table [128], 0..1023, and
        shift >= 0.
    threshold: the rise is max(m, 0) >> shift in units of the target's membrane; a negative shift is
        one to the left, and table is None.
    """

    shift: int
    table: IntArray | None = None

    def values(self, levels: IntArray) -> IntArray:
        """Gains, or rises of the threshold, of levels m, of any shape."""
        if self.table is None:
            rises = np.maximum(levels, 0)
            return rises >> self.shift if self.shift >= 0 else rises << -self.shift
        half = TABLE_ENTRIES // 2
        return np.asarray(self.table[np.clip(levels >> self.shift, -half, half - 1) + half])


@dataclass(frozen=True)
class QuantizedNetwork:
    """A network with integer parameters, by population, projection and modulation name.

    steps: the number of steps for which the widths are proved.
    max_count: the largest input count for which they are.
    info: the quantization report (scales, errors).
    parent: digest of the trained network.
    Raises InvalidModel, naming array, value and limit, for anything outside its format.
    """

    network: Network
    populations: dict[str, QuantizedPopulation]
    projections: dict[str, QuantizedProjection]
    steps: int
    max_count: int = 1
    info: dict[str, Any] = field(default_factory=dict)
    parent: str = ""
    modulations: dict[str, QuantizedModulation] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fields(self, steps=at_least(1), max_count=Range(1, 255))
        if any(p.batch_norm for p in self.network.projections):
            raise InvalidModel("batch normalisation must be folded before quantization")
        if set(self.populations) != {p.name for p in self.network.populations[1:]}:
            raise InvalidModel(f"populations {sorted(self.populations)} do not match the network's")
        if set(self.projections) != {p.name for p in self.network.projections}:
            raise InvalidModel(f"projections {sorted(self.projections)} do not match the network's")
        if set(self.modulations) != {m.name for m in self.network.modulations}:
            raise InvalidModel(f"modulations {sorted(self.modulations)} do not match the network's")
        shapes = self.network.shapes()
        for name, projection in self.projections.items():
            whole(f"projection {name!r}: bits of the weights", projection.bits, Range(2, 8))
            whole(f"projection {name!r}: the weight exponent", projection.exponent, Range(0, 16))
            weight = _frozen(
                projection.weight,
                f"{name}.weight",
                shapes[f"{name}.weight"],
                IntFormat(projection.bits),
            )
            object.__setattr__(projection, "weight", weight)
            for field_name in CONNECTION_FIELDS:
                array, key = getattr(projection, field_name), f"{name}.{field_name}"
                if (array is not None) != (key in shapes):
                    raise InvalidModel(
                        f"array {key!r} is "
                        f"{'missing' if key in shapes else 'not one of the network'}"
                    )
                if array is not None:
                    array = _frozen(array, key, shapes[key], IntFormat(63))
                    check_range(key, array, array_limits(self.network, key))
                    object.__setattr__(projection, field_name, array)
        for name, p in self.populations.items():
            population = self.network.population(name)
            size = (population.parameters,)
            object.__setattr__(p, "bias", _frozen(p.bias, f"{name}.bias", size, p.current))
            object.__setattr__(
                p, "v_reset", _frozen(p.v_reset, f"{name}.v_reset", size, p.membrane)
            )
            object.__setattr__(
                p, "threshold", _frozen(p.threshold, f"{name}.threshold", size, p.membrane)
            )
            if np.any(p.threshold < 1):
                raise InvalidModel(
                    f"{name}.threshold holds {p.threshold.min()}: an integer threshold is at "
                    "least 1"
                )
            neuron = population.neuron
            adaptive = isinstance(neuron, Lif) and neuron.adaptation is not None
            if adaptive != (p.adaptation_decay is not None) or adaptive != (
                p.adaptation_strength is not None
            ):
                raise InvalidModel(
                    f"population {name!r}: adaptation of the neuron model and of its "
                    "integers differ"
                )
            if p.adaptation_strength is not None:
                strength = _frozen(
                    p.adaptation_strength, f"{name}.adaptation_strength", size, p.membrane
                )
                check_range(f"{name}.adaptation_strength", strength, (0, p.membrane.max, True))
                object.__setattr__(p, "adaptation_strength", strength)
            if isinstance(neuron, Astrocyte) != (p.offset is not None):
                raise InvalidModel(
                    f"population {name!r}: an Astrocyte, and no other, has an integer offset"
                )
            if p.offset is not None:
                object.__setattr__(
                    p, "offset", _frozen(p.offset, f"{name}.offset", size, p.membrane)
                )
            for kind in ("decay", "synapse_decay", "adaptation_decay"):
                decay = getattr(p, kind)
                if isinstance(decay, MultiplyDecays) and len(decay.deltas) != population.parameters:
                    raise InvalidModel(
                        f"population {name!r}: {kind} has {len(decay.deltas)} deltas, the "
                        f"population {population.parameters} parameters"
                    )

        for modulation in self.network.modulations:
            self._check_modulation(modulation)

    def _check_modulation(self, modulation: Modulation) -> None:
        name, gain = modulation.name, modulation.effect == "gain"
        q = self.modulations[name]
        least = 0 if gain else -LARGEST_SHIFT
        whole(f"modulation {name!r}: the shift", q.shift, Range(least, LARGEST_SHIFT))
        if gain != (q.table is not None):
            raise InvalidModel(f"modulation {name!r}: a gain, and no other, has a table")
        if q.table is not None:
            table = _frozen(q.table, f"{name}.table", (TABLE_ENTRIES,), IntFormat(63))
            check_range(f"{name}.table", table, (0, (1 << GAIN_BITS) - 1, True))
            object.__setattr__(q, "table", table)

    def matrices(self, projection: Projection) -> list[tuple[int, Matrix]]:
        """(delay, integer matrix [target, source]) of a projection, see
        `neurohw.connections.delay_matrices`.
        """
        source, target = (
            self.network.population(projection.source),
            self.network.population(projection.target),
        )
        q = self.projections[projection.name]
        return delay_matrices(
            projection.connection,
            source.size,
            target.size,
            q.weight,
            q.arrays(),
            projection.delay,
            projection.delay_per,
        )

    def to_parts(self) -> tuple[dict[str, Any], dict[str, IntArray]]:
        """JSON fields and integer arrays, from which `from_parts` gives an equal value."""
        arrays: dict[str, IntArray] = {}
        populations: dict[str, Any] = {}
        for name, p in self.populations.items():
            arrays |= {
                f"{name}.bias": p.bias,
                f"{name}.threshold": p.threshold,
                f"{name}.v_reset": p.v_reset,
            }
            populations[name] = {
                "decay": decay_to_json(p.decay),
                "synapse_decay": decay_to_json(p.synapse_decay),
                "membrane_bits": p.membrane.bits,
                "current_bits": p.current.bits,
                "accumulator_bits": p.accumulator.bits,
                "capped": p.capped,
            }
            if p.adaptation_strength is not None:
                arrays[f"{name}.adaptation_strength"] = p.adaptation_strength
                populations[name]["adaptation_decay"] = decay_to_json(p.adaptation_decay)
            if p.offset is not None:
                arrays[f"{name}.offset"] = p.offset
        for name, projection in self.projections.items():
            arrays |= {
                f"{name}.{k}": v
                for k, v in {"weight": projection.weight, **projection.arrays()}.items()
            }
        arrays |= {
            f"{n}.table": m.table for n, m in self.modulations.items() if m.table is not None
        }
        modulations = {n: {"shift": m.shift} for n, m in self.modulations.items()}
        fields = {
            "network": self.network.to_json(),
            "populations": populations,
            "projections": {
                n: {"bits": p.bits, "exponent": p.exponent} for n, p in self.projections.items()
            },
            "steps": self.steps,
            "max_count": self.max_count,
            "info": self.info,
            "parent": self.parent,
        }
        return fields | ({"modulations": modulations} if modulations else {}), arrays

    @staticmethod
    def from_parts(fields: dict[str, Any], arrays: dict[str, IntArray]) -> "QuantizedNetwork":
        """The value that `to_parts` described; InvalidModel where something is missing."""
        try:
            populations = {}
            for name, p in fields["populations"].items():
                decay = decay_from_json(p["decay"])
                if decay is None:
                    raise InvalidModel(f"population {name!r} has no decay")
                populations[name] = QuantizedPopulation(
                    arrays[f"{name}.bias"],
                    arrays[f"{name}.threshold"],
                    arrays[f"{name}.v_reset"],
                    decay,
                    decay_from_json(p["synapse_decay"]),
                    IntFormat(p["membrane_bits"]),
                    IntFormat(p["current_bits"]),
                    IntFormat(p["accumulator_bits"]),
                    p["capped"],
                    decay_from_json(p.get("adaptation_decay")),
                    arrays.get(f"{name}.adaptation_strength"),
                    arrays.get(f"{name}.offset"),
                )
            projections = {
                n: QuantizedProjection(
                    arrays[f"{n}.weight"],
                    p["bits"],
                    p["exponent"],
                    *(arrays.get(f"{n}.{k}") for k in CONNECTION_FIELDS),
                )
                for n, p in fields["projections"].items()
            }
            return QuantizedNetwork(
                Network.from_json(fields["network"]),
                populations,
                projections,
                fields["steps"],
                fields["max_count"],
                fields["info"],
                fields["parent"],
                {
                    n: QuantizedModulation(m["shift"], arrays.get(f"{n}.table"))
                    for n, m in fields.get("modulations", {}).items()
                },
            )
        except KeyError as error:
            raise InvalidModel(f"quantized network: field or array {error} is missing") from error
