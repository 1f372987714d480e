"""A network in integers: arrays, decays and formats only. Scales stay in the quantization report."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurohw.errors import InvalidModel
from neurohw.fixedpoint import Decay, IntArray, IntFormat, decay_from_json, decay_to_json
from neurohw.network import Network


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
    """Integer weights [target, source] of `bits` bits (2..8); the finished sum is shifted left by `exponent`."""

    weight: IntArray
    bits: int
    exponent: int = 0


@dataclass(frozen=True)
class QuantizedPopulation:
    """Integers of one population; arrays are [neuron].

    membrane, current, accumulator: formats of v, of I and c, and of the unshifted sum over one step.
    capped: the membrane format is a user's cap, not a proved width, so that saturation can happen.
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


@dataclass(frozen=True)
class QuantizedNetwork:
    """A network with integer parameters, by population and projection name.

    steps: the number of steps for which the widths are proved. max_count: the largest input count for which they are.
    info: the quantization report (scales, errors). parent: digest of the trained network.
    Raises InvalidModel, naming array, value and limit, for anything outside its format.
    """

    network: Network
    populations: dict[str, QuantizedPopulation]
    projections: dict[str, QuantizedProjection]
    steps: int
    max_count: int = 1
    info: dict[str, Any] = field(default_factory=dict)
    parent: str = ""

    def __post_init__(self) -> None:
        if any(p.batch_norm for p in self.network.projections):
            raise InvalidModel("batch normalisation must be folded before quantization")
        if set(self.populations) != {p.name for p in self.network.populations[1:]}:
            raise InvalidModel(f"populations {sorted(self.populations)} do not match the network's")
        if set(self.projections) != {p.name for p in self.network.projections}:
            raise InvalidModel(f"projections {sorted(self.projections)} do not match the network's")
        shapes = self.network.shapes()
        for name, projection in self.projections.items():
            if not 2 <= projection.bits <= 8:
                raise InvalidModel(f"projection {name!r}: weights have 2 to 8 bits, not {projection.bits}")
            if not 0 <= projection.exponent <= 16:
                raise InvalidModel(f"projection {name!r}: the weight exponent lies in 0..16, not {projection.exponent}")
            weight = _frozen(projection.weight, f"{name}.weight", shapes[f"{name}.weight"], IntFormat(projection.bits))
            object.__setattr__(projection, "weight", weight)
        for name, p in self.populations.items():
            size = (self.network.population(name).size,)
            object.__setattr__(p, "bias", _frozen(p.bias, f"{name}.bias", size, p.current))
            object.__setattr__(p, "v_reset", _frozen(p.v_reset, f"{name}.v_reset", size, p.membrane))
            object.__setattr__(p, "threshold", _frozen(p.threshold, f"{name}.threshold", size, p.membrane))
            if np.any(p.threshold < 1):
                raise InvalidModel(f"{name}.threshold holds {p.threshold.min()}: an integer threshold is at least 1")

    def to_parts(self) -> tuple[dict[str, Any], dict[str, IntArray]]:
        """JSON fields and integer arrays, from which `from_parts` gives an equal value."""
        arrays: dict[str, IntArray] = {}
        populations: dict[str, Any] = {}
        for name, p in self.populations.items():
            arrays |= {f"{name}.bias": p.bias, f"{name}.threshold": p.threshold, f"{name}.v_reset": p.v_reset}
            populations[name] = {
                "decay": decay_to_json(p.decay),
                "synapse_decay": decay_to_json(p.synapse_decay),
                "membrane_bits": p.membrane.bits,
                "current_bits": p.current.bits,
                "accumulator_bits": p.accumulator.bits,
                "capped": p.capped,
            }
        arrays |= {f"{name}.weight": p.weight for name, p in self.projections.items()}
        return {
            "network": self.network.to_json(),
            "populations": populations,
            "projections": {n: {"bits": p.bits, "exponent": p.exponent} for n, p in self.projections.items()},
            "steps": self.steps,
            "max_count": self.max_count,
            "info": self.info,
            "parent": self.parent,
        }, arrays

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
                )
            projections = {
                n: QuantizedProjection(arrays[f"{n}.weight"], p["bits"], p["exponent"])
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
            )
        except KeyError as error:
            raise InvalidModel(f"quantized network: field or array {error} is missing") from error
