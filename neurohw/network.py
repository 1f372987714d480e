# SPDX-License-Identifier: Apache-2.0
"""The one definition of a network, and the same network with trained parameters."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neurohw.checks import POSITIVE, at_least, check_fields, checked, shown
from neurohw.connections import (
    Connection,
    Convolution,
    Dense,
    Matrix,
    Sparse,
    connection_from_json,
    connection_to_json,
    delay_matrices,
)
from neurohw.errors import InvalidModel, Unsupported
from neurohw.modulation import Modulation
from neurohw.neurons import (
    Astrocyte,
    Integrator,
    Lif,
    Neuron,
    Source,
    neuron_from_json,
    neuron_to_json,
)
from neurohw.storage import digest
from neurohw.support import attributes

FloatArray = NDArray[np.float64]
BATCH_NORM_FIELDS = ("gamma", "beta", "mean", "variance")
BATCH_NORM_EPSILON = 1e-5
# arrays of a projection that say where its synapses are
CONNECTION_FIELDS = ("source", "target", "delay")
SMALLEST = float(np.finfo(np.float64).tiny)
# of a population: a file of hardware is named after two of them, and file systems allow 255
LONGEST_NAME = 100


@dataclass(frozen=True)
class Population:
    """`size` neurons of one model. Names are letters, digits and underscores, and become RTL names.

    channels: None where every neuron has its own bias, threshold and so on; else the neurons are
        numbered [channel, position] and those of a channel share them, as after a convolution.
    """

    name: str
    size: int
    neuron: Neuron
    channels: int | None = None

    def __post_init__(self) -> None:
        checked("population name", self.name, str)
        if not self.name.isidentifier() or not self.name.isascii() or len(self.name) > LONGEST_NAME:
            raise InvalidModel(
                f"population name {self.name!r} must be ASCII letters, digits and underscores, "
                f"at most {LONGEST_NAME}, and begin with no digit"
            )
        check_fields(
            self,
            f"population {self.name!r}: ",
            skip=("neuron",),
            size=at_least(1),
            channels=at_least(1),
        )
        if isinstance(self.neuron, type) or not isinstance(
            getattr(self.neuron, "spiking", None), bool
        ):
            raise InvalidModel(
                f"population {self.name!r}: neuron is a model such as Lif(), not "
                f"{shown(self.neuron)}"
            )
        if self.channels is not None and self.size % self.channels:
            raise InvalidModel(
                f"population {self.name!r}: {self.channels} channels do not divide "
                f"{self.size} neurons"
            )

    @property
    def parameters(self) -> int:
        """Length of the arrays of bias, threshold and so on: channels where they are shared, else
        neurons.
        """
        return self.channels or self.size

    def expand(self, array: NDArray[Any]) -> NDArray[Any]:
        """Values of every neuron [..., neuron] from values per parameter [..., parameter]."""
        return np.repeat(array, self.size // self.parameters, axis=-1)


@dataclass(frozen=True)
class Projection:
    """Synapses from `source` to `target`.

    delay: whole steps, of every synapse unless max_delay is set.
    max_delay: synapses have delays of `delay` ... `max_delay` steps, in the array
        `<projection>.delay`: one per weight, or one per source neuron with delay_per "source" (an
        axonal delay).
    batch_norm: normalise the projection's current while training, per target neuron or channel;
        folded into weights and bias afterwards.
    connection: see `neurohw.connections`.
    trainable: False keeps the weights as they are.
    """

    source: str
    target: str
    delay: int = 0
    batch_norm: bool = False
    connection: Connection = Dense()
    max_delay: int | None = None
    delay_per: Literal["synapse", "source"] = "synapse"
    trainable: bool = True

    def __post_init__(self) -> None:
        check_fields(
            self,
            f"projection {self.name!r}: ",
            skip=("connection",),
            delay=at_least(0),
            max_delay=at_least(0),
        )
        if isinstance(self.connection, type) or not all(
            callable(getattr(self.connection, name, None)) for name in ("weight_shape", "check")
        ):
            raise InvalidModel(
                f"projection {self.name!r}: connection is one such as Dense() or Sparse(20), not "
                f"{shown(self.connection)}"
            )
        if self.max_delay is not None and self.max_delay < self.delay:
            raise InvalidModel(
                f"projection {self.name!r}: max_delay {self.max_delay} is below delay {self.delay}"
            )

    @property
    def name(self) -> str:
        """`source_to_target`, the prefix of the projection's arrays."""
        return f"{self.source}_to_{self.target}"

    def to_json(self) -> dict[str, Any]:
        """A JSON value from which `from_json` gives an equal projection; fields at their default
        are left out.
        """
        value = {f.name: v for f in fields(self) if (v := getattr(self, f.name)) != f.default}
        if "connection" in value:
            value["connection"] = connection_to_json(self.connection)
        return value

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Projection":
        """The projection that `to_json` wrote."""
        parameters = dict(value)
        if "connection" in parameters:
            parameters["connection"] = connection_from_json(parameters["connection"])
        return Projection(**parameters)


@dataclass(frozen=True)
class Network:
    """Populations, projections, and the modulations of astrocytes.

    The first population is the input, the last is the output.

    dt: duration of a step in seconds; it labels axes and does not enter the step equations.

    Raises InvalidModel for duplicate names (also where they differ in capitals only, or of a
    population and a projection), for a population called `output` that is not the last or `input`
    that is not the first, unknown ends, an input that is no Source, a Source with incoming
    synapses, a population that never spikes with outgoing ones, a cycle of projections without
    delay, an Astrocyte that is the output or modulates nothing, and a modulation whose ends do not
    fit (`Modulation.check`), or of a gain whose target has batch normalisation: that folds into the
    bias, which no gain scales.
    """

    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    dt: float = 1e-3
    modulations: tuple[Modulation, ...] = ()

    def __post_init__(self) -> None:
        check_fields(self, dt=POSITIVE)
        names = [p.name for p in self.populations]
        if len(names) < 2:
            raise InvalidModel("a network needs at least an input and an output population")
        self._check_names()
        for population in self.populations:
            if (population is self.populations[0]) != isinstance(population.neuron, Source):
                raise InvalidModel(
                    f"population {population.name!r}: the first population, and no other, "
                    "must be a Source"
                )
        for projection in self.projections:
            for end in (projection.source, projection.target):
                if end not in names:
                    raise InvalidModel(
                        f"projection {projection.name!r}: there is no population {end!r}"
                    )
            if isinstance(self.population(projection.target).neuron, Source):
                raise InvalidModel(f"projection {projection.name!r}: a Source takes no synapses")
            if not self.population(projection.source).neuron.spiking:
                kind = type(self.population(projection.source).neuron).__name__
                raise InvalidModel(f"projection {projection.name!r}: an {kind} sends no spikes")
            target = self.population(projection.target)
            projection.connection.check(
                self.population(projection.source).size, target.size, projection.name
            )
            if isinstance(projection.connection, Convolution) and target.channels not in (
                None,
                projection.connection.channels,
            ):
                raise InvalidModel(
                    f"projection {projection.name!r} has {projection.connection.channels} "
                    f"channels, its target {target.channels}"
                )
            if (
                projection.batch_norm
                and isinstance(projection.connection, Convolution)
                and target.channels is None
            ):
                raise InvalidModel(
                    f"projection {projection.name!r}: batch normalisation of a convolution needs "
                    f"a target with channels={projection.connection.channels}"
                )
        for population in self.populations[1:]:
            if not self.into(population.name):
                raise InvalidModel(f"population {population.name!r} has no incoming projection")
        self._check_modulations()
        self.update_order()

    def _check_names(self) -> None:
        # what has a name, in lower case: files of some systems know no capitals
        taken: dict[str, str] = {}
        entries = [(p.name, f"population {p.name!r}") for p in self.populations]
        entries += [
            (p.name, f"projection {p.name!r} from {p.source!r} to {p.target!r}")
            for p in self.projections
        ]
        entries += [
            (m.name, f"modulation {m.name!r} of {m.target!r} by {m.source!r}")
            for m in self.modulations
        ]
        for name, node in entries:
            other = taken.setdefault(name.lower(), node)
            if other is not node:
                raise InvalidModel(
                    f"{node} is defined 2 times: names are unique"
                    if other == node
                    else (
                        f"{node} and {other} have one name (capitals do not count): rename a "
                        "population"
                    )
                )
        for role, place, actual in (
            ("input", "first", self.input),
            ("output", "last", self.output),
        ):
            for population in self.populations:
                if population.name.lower() == role and population is not actual:
                    raise InvalidModel(
                        f"population {population.name!r} is not the {place}, and the {place} "
                        f"one, {actual.name!r}, is the {role} of the network: make "
                        f"{population.name!r} the {place}, or give it another name"
                    )

    def _check_modulations(self) -> None:
        for modulation in self.modulations:
            source, target = (
                self._end(modulation, modulation.source),
                self._end(modulation, modulation.target),
            )
            modulation.check(source.neuron, source.size, target.neuron, target.size)
            if (
                sum(
                    (m.target, m.effect) == (modulation.target, modulation.effect)
                    for m in self.modulations
                )
                > 1
            ):
                raise InvalidModel(
                    f"modulation {modulation.name!r}: population {modulation.target!r} has "
                    f"another {modulation.effect} modulation; one is allowed"
                )
            normalised = [p.name for p in self.into(modulation.target) if p.batch_norm]
            if normalised and modulation.effect == "gain":
                raise InvalidModel(
                    f"modulation {modulation.name!r}: projection {normalised[0]!r} has batch "
                    "normalisation, whose offset folds into a bias that no gain scales; remove "
                    "one of the two"
                )
        for population in self.populations:
            if not isinstance(population.neuron, Astrocyte):
                continue
            if population is self.output:
                raise InvalidModel(
                    f"population {population.name!r} is an Astrocyte and the last: the "
                    "output is a Lif or an Integrator"
                )
            if not any(m.source == population.name for m in self.modulations):
                raise InvalidModel(
                    f"population {population.name!r} is an Astrocyte that modulates nothing"
                )

    def _end(self, modulation: Modulation, name: str) -> Population:
        try:
            return self.population(name)
        except InvalidModel as error:
            raise InvalidModel(f"modulation {modulation.name!r}: {error}") from error

    @property
    def input(self) -> Population:
        """The Source population."""
        return self.populations[0]

    @property
    def output(self) -> Population:
        """The population that is read out."""
        return self.populations[-1]

    def population(self, name: str) -> Population:
        """The population of that name; InvalidModel where there is none."""
        for population in self.populations:
            if population.name == name:
                return population
        raise InvalidModel(f"there is no population {name!r}")

    def into(self, name: str) -> tuple[Projection, ...]:
        """The projections into a population, in the order of definition."""
        return tuple(p for p in self.projections if p.target == name)

    def modulation(self, target: str, effect: str) -> Modulation | None:
        """The modulation of that effect on a population, None where there is none."""
        return next((m for m in self.modulations if (m.target, m.effect) == (target, effect)), None)

    def update_order(self) -> tuple[Population, ...]:
        """The populations after the input, each after all that reach it without delay.

        Raises InvalidModel naming the cycle if projections without delay form one.
        """
        order: list[Population] = []
        open_: list[str] = []

        def visit(population: Population) -> None:
            if population.name in open_:
                cycle = " -> ".join([*open_[open_.index(population.name) :], population.name])
                raise InvalidModel(
                    f"zero-delay cycle {cycle}: give one of its projections a delay of at least 1"
                )
            if population in order or isinstance(population.neuron, Source):
                return
            open_.append(population.name)
            for projection in self.into(population.name):
                if projection.delay == 0:
                    visit(self.population(projection.source))
            open_.pop()
            order.append(population)

        for population in self.populations:
            visit(population)
        return tuple(order)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every parameter array.

        `<projection>.weight` as its connection says; `<projection>.{source,target}` [synapse] of a
        Sparse one; `<projection>.delay`, like the weight or [source], where max_delay is set;
        `<projection>.{gamma,beta,mean,variance}` [parameter] where batch_norm is;
        `<population>.bias` and `<population>.threshold` [parameter] (threshold for Lif only),
        `<population>.offset` [parameter] of an Astrocyte. A parameter is a neuron, or a channel of
        a population with channels.
        """
        shapes: dict[str, tuple[int, ...]] = {}
        for projection in self.projections:
            source, target = self.population(projection.source), self.population(projection.target)
            weight = projection.connection.weight_shape(source.size, target.size)
            shapes[f"{projection.name}.weight"] = weight
            if isinstance(projection.connection, Sparse):
                shapes |= {f"{projection.name}.{end}": weight for end in ("source", "target")}
            if projection.max_delay is not None:
                shapes[f"{projection.name}.delay"] = (
                    (source.size,) if projection.delay_per == "source" else weight
                )
            if projection.batch_norm:
                shapes |= {
                    f"{projection.name}.{f}": (target.parameters,) for f in BATCH_NORM_FIELDS
                }
        for population in self.populations[1:]:
            shapes[f"{population.name}.bias"] = (population.parameters,)
            if isinstance(population.neuron, Lif):
                shapes[f"{population.name}.threshold"] = (population.parameters,)
            if isinstance(population.neuron, Astrocyte):
                shapes[f"{population.name}.offset"] = (population.parameters,)
        return shapes

    def optional_shapes(self) -> dict[str, tuple[int, ...]]:
        """Arrays that a trained network may have beside those of `shapes`.

        `<projection>.step` [parameter] of the target: weight steps learned by quantization-aware
        training. `<population>.{decay,synapse_decay,v_reset,adaptation_decay,adaptation_strength}`
        [parameter]: where neurons differ from the one value of the neuron model.
        """
        shapes: dict[str, tuple[int, ...]] = {
            f"{p.name}.step": (self.population(p.target).parameters,) for p in self.projections
        }
        for population in self.populations[1:]:
            shapes |= {
                f"{population.name}.{name}": (population.parameters,)
                for name in _varied(population.neuron)
            }
        return shapes

    def to_json(self) -> dict[str, Any]:
        """A JSON value from which `from_json` gives an equal network."""
        return {
            "dt": self.dt,
            "populations": [
                {"name": p.name, "size": p.size, "neuron": neuron_to_json(p.neuron)}
                | ({"channels": p.channels} if p.channels else {})
                for p in self.populations
            ],
            "projections": [p.to_json() for p in self.projections],
        } | ({"modulations": [m.to_json() for m in self.modulations]} if self.modulations else {})

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Network":
        """The network that `to_json` wrote; InvalidModel where a field is missing or unknown."""
        try:
            return Network(
                tuple(
                    Population(
                        p["name"], p["size"], neuron_from_json(p["neuron"]), p.get("channels")
                    )
                    for p in value["populations"]
                ),
                tuple(Projection.from_json(p) for p in value["projections"]),
                value["dt"],
                tuple(Modulation.from_json(m) for m in value.get("modulations", ())),
            )
        except (KeyError, TypeError) as error:
            raise InvalidModel(f"network definition: missing or unknown field {error}") from error


# what a network's own functions make of it: `matrices`, `expand`, `update_order`, `shapes`
GRAPH = {
    Network: attributes("populations projections dt modulations"),
    Population: attributes("name size neuron channels"),
    Projection: attributes(
        "source target delay batch_norm connection max_delay trainable",
        delay_per=("synapse", "source"),
    ),
}


def _varied(neuron: Neuron) -> dict[str, float]:
    """The parameters of a neuron model that single neurons may have their own values of, with the
    model's value.
    """
    if not isinstance(neuron, Lif | Integrator):
        return {}
    values = {"decay": neuron.decay}
    if neuron.synapse_decay is not None:
        values["synapse_decay"] = neuron.synapse_decay
    if isinstance(neuron, Lif):
        if neuron.reset == "hard":
            values["v_reset"] = neuron.v_reset
        if neuron.adaptation is not None:
            values |= {
                "adaptation_decay": neuron.adaptation.decay,
                "adaptation_strength": neuron.adaptation.strength,
            }
    return values


def feed_forward(
    sizes: list[int], hidden: Lif | None = None, output: Neuron | None = None
) -> Network:
    """A chain input -> hidden1 -> ... -> output of dense projections without delay.

    sizes: neurons per population, input first.
    hidden: model of the hidden populations (Lif());
    output: model of the last (Integrator()).
    """
    if not isinstance(sizes, Sequence) or len(sizes) < 2:
        raise InvalidModel(f"sizes {sizes} must name at least an input and an output")
    names = ["input", *[f"hidden{i}" for i in range(1, len(sizes) - 1)], "output"]
    models: list[Neuron] = [Source(), *[hidden or Lif()] * (len(sizes) - 2), output or Integrator()]
    return Network(
        tuple(
            Population(n, size, model) for n, size, model in zip(names, sizes, models, strict=True)
        ),
        tuple(Projection(a, b) for a, b in zip(names, names[1:], strict=False)),
    )


def array_limits(network: Network, array: str) -> tuple[float, float, bool]:
    """Smallest and largest value that a parameter array may hold, and whether it holds whole
    numbers.
    """
    owner, _, kind = array.rpartition(".")
    if kind in ("source", "target", "delay"):
        projection = next(p for p in network.projections if p.name == owner)
        if kind == "delay":
            assert projection.max_delay is not None
            return projection.delay, projection.max_delay, True
        return 0, network.population(getattr(projection, kind)).size - 1, True
    if kind in ("threshold", "step", "variance"):
        return (0.0 if kind == "variance" else SMALLEST), np.inf, False
    if kind in ("decay", "synapse_decay", "adaptation_decay"):
        return 0.0, 1.0, False
    return (0.0 if kind == "adaptation_strength" else -np.inf), np.inf, False


def check_range(name: str, values: NDArray[Any], limits: tuple[float, float, bool]) -> None:
    """Raise InvalidModel, naming array, value and place, for a value outside (smallest, largest,
    whole numbers only).
    """
    lowest, highest, whole = limits
    wrong = (
        (values < lowest) | (values > highest) | ((values != np.floor(values)) if whole else False)
    )
    if np.any(wrong):
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        if lowest == SMALLEST:
            raise InvalidModel(
                f"array {name!r} holds {values[where]} at {where}: it must be above 0"
            )
        kind = "whole numbers of " if whole else ""
        raise InvalidModel(
            f"array {name!r} holds {values[where]} at {where}, allowed are "
            f"{kind}{lowest:g}..{highest:g}"
        )


@dataclass(frozen=True)
class TrainedNetwork:
    """A network with its parameter arrays, float64, named as in `Network.shapes`.

    steps: steps of one sample, as trained. The arrays of `Network.optional_shapes` may be there,
        too.
    info: what the training said of itself.
    parent: digest of what it was made from.

    Raises InvalidModel, naming the array, for missing, unknown, misshapen or non-finite arrays and
    for values out of range.
    """

    network: Network
    parameters: dict[str, FloatArray]
    steps: int
    info: dict[str, Any] = field(default_factory=dict)
    parent: str = ""

    def __post_init__(self) -> None:
        check_fields(self, steps=at_least(1))
        shapes = self.network.shapes()
        optional = self.network.optional_shapes()
        for name, shape in shapes.items():
            if name not in self.parameters:
                raise InvalidModel(f"array {name!r} of shape {shape} is missing")
        frozen = {}
        for name, array in self.parameters.items():
            expected = shapes.get(name) or optional.get(name)
            if expected is None:
                raise InvalidModel(f"array {name!r} belongs to no population or projection")
            if np.iscomplexobj(array):  # NumPy would drop the imaginary parts
                raise InvalidModel(f"array {name!r} holds complex numbers: give real ones")
            try:
                values = np.array(array, dtype=np.float64)
            except (TypeError, ValueError) as error:
                raise InvalidModel(f"array {name!r} holds no numbers: {error}") from error
            if values.shape != expected:
                raise InvalidModel(
                    f"array {name!r} has shape {values.shape}, the network needs {expected}"
                )
            if not np.all(np.isfinite(values)):
                where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
                raise InvalidModel(
                    f"array {name!r} holds {values[where]} at {where}: every value must be finite"
                )
            check_range(name, values, array_limits(self.network, name))
            values.setflags(write=False)
            frozen[name] = values
        object.__setattr__(self, "parameters", frozen)

    def values(self, population: Population, name: str) -> FloatArray:
        """Per parameter of a population: bias, threshold, or a value of the neuron model that
        single neurons may vary.
        """
        array = self.parameters.get(f"{population.name}.{name}")
        return (
            np.full(population.parameters, _varied(population.neuron)[name])
            if array is None
            else array
        )

    def matrices(self, projection: Projection) -> list[tuple[int, Matrix]]:
        """(delay, matrix [target, source]) of a projection, see
        `neurohw.connections.delay_matrices`.
        """
        source, target = (
            self.network.population(projection.source),
            self.network.population(projection.target),
        )
        weight = self.parameters[f"{projection.name}.weight"]
        arrays = {
            k: v
            for k in CONNECTION_FIELDS
            if (v := self.parameters.get(f"{projection.name}.{k}")) is not None
        }
        return delay_matrices(
            projection.connection,
            source.size,
            target.size,
            weight,
            arrays,
            projection.delay,
            projection.delay_per,
        )

    def to_parts(self) -> tuple[dict[str, Any], dict[str, FloatArray]]:
        """JSON fields and arrays, as they are saved."""
        fields = {
            "network": self.network.to_json(),
            "steps": self.steps,
            "info": self.info,
            "parent": self.parent,
        }
        return fields, self.parameters

    @staticmethod
    def from_parts(fields: dict[str, Any], arrays: dict[str, FloatArray]) -> "TrainedNetwork":
        """The trained network of which `to_parts` gave fields and arrays."""
        network = Network.from_json(fields["network"])
        return TrainedNetwork(network, arrays, fields["steps"], fields["info"], fields["parent"])

    def digest(self) -> str:
        """SHA-256 of the value, 64 hexadecimal digits."""
        return digest("trained", *self.to_parts())

    def folded(self) -> "TrainedNetwork":
        """The same network with batch normalisation folded into weights and bias.

        gamma (W s - mean) / sqrt(variance + epsilon) + beta  =  W' s + b'  with W' = W gamma /
        sqrt(variance + epsilon) and b' = beta - mean gamma / sqrt(variance + epsilon). A learned
        weight step scales with its row. Without any batch normalisation the network itself.
        """
        if not any(p.batch_norm for p in self.network.projections):
            return self
        parameters = dict(self.parameters)
        projections = []
        for projection in self.network.projections:
            projections.append(replace(projection, batch_norm=False))
            if not projection.batch_norm:
                continue
            gamma, beta, mean, variance = (
                parameters.pop(f"{projection.name}.{f}") for f in BATCH_NORM_FIELDS
            )
            factor = gamma / np.sqrt(variance + BATCH_NORM_EPSILON)
            weight, bias = f"{projection.name}.weight", f"{projection.target}.bias"
            parameters[weight] = parameters[weight] * self.per_weight(projection, factor)
            parameters[bias] = parameters[bias] + beta - mean * factor
            if f"{projection.name}.step" in parameters:
                parameters[f"{projection.name}.step"] = parameters[
                    f"{projection.name}.step"
                ] * np.abs(factor)
        network = replace(self.network, projections=tuple(projections))
        return TrainedNetwork(network, parameters, self.steps, self.info, self.parent)

    def per_weight(self, projection: Projection, values: FloatArray) -> FloatArray:
        """Values of the target [parameter], shaped to be multiplied with the projection's
        weight.
        """
        target = self.network.population(projection.target)
        return per_weight(
            projection, target, values, self.parameters.get(f"{projection.name}.target")
        )


def per_weight(
    projection: Projection, target: Population, values: NDArray[Any], ends: NDArray[Any] | None
) -> NDArray[Any]:
    """Values of the target population [parameter], shaped to be multiplied with the weight of a
    projection.

    ends: the `target` array of a Sparse projection.
    Raises InvalidModel for a convolution into a population whose neurons have values of their own,
    unless they are equal within every channel: its weights are shared.
    """
    match projection.connection:
        case Dense():
            return target.expand(values)[:, None]
        case Sparse():
            assert ends is not None
            return target.expand(values)[ends.astype(np.int64)]
        case Convolution(channels=channels):
            grouped = target.expand(values).reshape(channels, -1)
            if np.any(grouped != grouped[:, :1]):
                raise InvalidModel(
                    f"projection {projection.name!r}: the weights of a convolution are shared, "
                    f"the values of population {target.name!r} differ within a channel"
                )
            return grouped[:, :1, None, None]
        case _:
            raise Unsupported(
                f"projection {projection.name!r}: connection {projection.connection!r} is unknown"
            )
