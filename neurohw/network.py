"""The one definition of a network, and the same network with trained parameters."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.errors import InvalidModel
from neurohw.neurons import Integrator, Lif, Neuron, Source, neuron_from_json, neuron_to_json
from neurohw.storage import digest

FloatArray = NDArray[np.float64]
BATCH_NORM_FIELDS = ("gamma", "beta", "mean", "variance")
BATCH_NORM_EPSILON = 1e-5


@dataclass(frozen=True)
class Population:
    """`size` neurons of one model. Names are letters, digits and underscores, and become RTL names."""

    name: str
    size: int
    neuron: Neuron

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or not self.name.isascii():
            raise InvalidModel(f"population name {self.name!r} must be ASCII letters, digits and underscores")
        if self.size < 1:
            raise InvalidModel(f"population {self.name!r}: size must be at least 1, not {self.size}")


@dataclass(frozen=True)
class Projection:
    """Dense synapses from `source` to `target`, all with the same delay of whole steps.

    batch_norm: normalise the projection's current while training; folded into weights and bias afterwards.
    """

    source: str
    target: str
    delay: int = 0
    batch_norm: bool = False

    def __post_init__(self) -> None:
        if self.delay < 0:
            raise InvalidModel(f"projection {self.name!r}: delay counts steps, 0 or more, not {self.delay}")

    @property
    def name(self) -> str:
        """`source_to_target`, the prefix of the projection's arrays."""
        return f"{self.source}_to_{self.target}"


@dataclass(frozen=True)
class Network:
    """Populations and projections. The first population is the input, the last is the output.

    dt: duration of a step in seconds; it labels axes and does not enter the step equations.

    Raises InvalidModel for duplicate names, unknown ends, an input that is no Source, a Source with incoming
    synapses, an Integrator with outgoing ones, and a cycle of projections without delay.
    """

    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    dt: float = 1e-3

    def __post_init__(self) -> None:
        object.__setattr__(self, "populations", tuple(self.populations))
        object.__setattr__(self, "projections", tuple(self.projections))
        names = [p.name for p in self.populations]
        if len(names) < 2:
            raise InvalidModel("a network needs at least an input and an output population")
        for kind, entries in (("population", names), ("projection", [p.name for p in self.projections])):
            for entry in entries:
                if entries.count(entry) > 1:
                    raise InvalidModel(f"{kind} {entry!r} is defined {entries.count(entry)} times: names are unique")
        if not self.dt > 0:
            raise InvalidModel(f"dt must be above 0 s, not {self.dt}")
        for population in self.populations:
            if (population is self.populations[0]) != isinstance(population.neuron, Source):
                raise InvalidModel(
                    f"population {population.name!r}: the first population, and no other, must be a Source"
                )
        for projection in self.projections:
            for end in (projection.source, projection.target):
                if end not in names:
                    raise InvalidModel(f"projection {projection.name!r}: there is no population {end!r}")
            if isinstance(self.population(projection.target).neuron, Source):
                raise InvalidModel(f"projection {projection.name!r}: a Source takes no synapses")
            if isinstance(self.population(projection.source).neuron, Integrator):
                raise InvalidModel(f"projection {projection.name!r}: an Integrator sends no spikes")
        for population in self.populations[1:]:
            if not self.into(population.name):
                raise InvalidModel(f"population {population.name!r} has no incoming projection")
        self.update_order()

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

    def update_order(self) -> tuple[Population, ...]:
        """The populations after the input, each after all that reach it without delay.

        Raises InvalidModel naming the cycle if projections without delay form one.
        """
        order: list[Population] = []
        open_: list[str] = []

        def visit(population: Population) -> None:
            if population.name in open_:
                cycle = " -> ".join([*open_[open_.index(population.name) :], population.name])
                raise InvalidModel(f"zero-delay cycle {cycle}: give one of its projections a delay of at least 1")
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

        `<projection>.weight` [target, source]; `<population>.bias` and `<population>.threshold` [neuron] (threshold for
        Lif only); `<projection>.{gamma,beta,mean,variance}` [target] where batch_norm is set.
        """
        shapes: dict[str, tuple[int, ...]] = {}
        for projection in self.projections:
            target = self.population(projection.target).size
            shapes[f"{projection.name}.weight"] = (target, self.population(projection.source).size)
            if projection.batch_norm:
                shapes |= {f"{projection.name}.{f}": (target,) for f in BATCH_NORM_FIELDS}
        for population in self.populations[1:]:
            shapes[f"{population.name}.bias"] = (population.size,)
            if isinstance(population.neuron, Lif):
                shapes[f"{population.name}.threshold"] = (population.size,)
        return shapes

    def to_json(self) -> dict[str, Any]:
        """A JSON value from which `from_json` gives an equal network."""
        return {
            "dt": self.dt,
            "populations": [
                {"name": p.name, "size": p.size, "neuron": neuron_to_json(p.neuron)} for p in self.populations
            ],
            "projections": [
                {"source": p.source, "target": p.target, "delay": p.delay, "batch_norm": p.batch_norm}
                for p in self.projections
            ],
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Network":
        """The network that `to_json` wrote; InvalidModel where a field is missing or unknown."""
        try:
            return Network(
                tuple(Population(p["name"], p["size"], neuron_from_json(p["neuron"])) for p in value["populations"]),
                tuple(Projection(**p) for p in value["projections"]),
                value["dt"],
            )
        except (KeyError, TypeError) as error:
            raise InvalidModel(f"network definition: missing or unknown field {error}") from error


def feed_forward(sizes: list[int], hidden: Lif | None = None, output: Neuron | None = None) -> Network:
    """A chain input -> hidden1 -> ... -> output of dense projections without delay.

    sizes: neurons per population, input first. hidden: model of the hidden populations (Lif()); output: model of the last (Integrator()).
    """
    if len(sizes) < 2:
        raise InvalidModel(f"sizes {sizes} must name at least an input and an output")
    names = ["input", *[f"hidden{i}" for i in range(1, len(sizes) - 1)], "output"]
    models: list[Neuron] = [Source(), *[hidden or Lif()] * (len(sizes) - 2), output or Integrator()]
    return Network(
        tuple(Population(n, size, model) for n, size, model in zip(names, sizes, models, strict=True)),
        tuple(Projection(a, b) for a, b in zip(names, names[1:], strict=False)),
    )


@dataclass(frozen=True)
class TrainedNetwork:
    """A network with its parameter arrays, float64, named as in `Network.shapes`.

    steps: steps of one sample, as trained. Optional `<projection>.step` [target] arrays are weight steps learned by
    quantization-aware training. info: what the training said of itself. parent: digest of what it was made from.

    Raises InvalidModel, naming the array, for missing, unknown, misshapen or non-finite arrays and thresholds not above 0.
    """

    network: Network
    parameters: dict[str, FloatArray]
    steps: int
    info: dict[str, Any] = field(default_factory=dict)
    parent: str = ""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InvalidModel(f"a sample has at least 1 step, not {self.steps}")
        shapes = self.network.shapes()
        optional = {f"{p.name}.step": shapes[f"{p.name}.weight"][:1] for p in self.network.projections}
        for name, shape in shapes.items():
            if name not in self.parameters:
                raise InvalidModel(f"array {name!r} of shape {shape} is missing")
        frozen = {}
        for name, array in self.parameters.items():
            expected = shapes.get(name) or optional.get(name)
            if expected is None:
                raise InvalidModel(f"array {name!r} belongs to no population or projection")
            values = np.array(array, dtype=np.float64)
            if values.shape != expected:
                raise InvalidModel(f"array {name!r} has shape {values.shape}, the network needs {expected}")
            if not np.all(np.isfinite(values)):
                where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
                raise InvalidModel(f"array {name!r} holds {values[where]} at {where}: every value must be finite")
            if name.endswith((".threshold", ".step")) and np.any(values <= 0):
                smallest = int(np.argmin(values))
                raise InvalidModel(f"array {name!r} holds {values[smallest]} at {smallest}: it must be above 0")
            values.setflags(write=False)
            frozen[name] = values
        object.__setattr__(self, "parameters", frozen)

    def to_parts(self) -> tuple[dict[str, Any], dict[str, FloatArray]]:
        """JSON fields and arrays, as they are saved."""
        fields = {"network": self.network.to_json(), "steps": self.steps, "info": self.info, "parent": self.parent}
        return fields, self.parameters

    def digest(self) -> str:
        """SHA-256 of the value, 64 hexadecimal digits."""
        return digest("trained", *self.to_parts())

    def folded(self) -> "TrainedNetwork":
        """The same network with batch normalisation folded into weights and bias.

        gamma (W s - mean) / sqrt(variance + epsilon) + beta  =  W' s + b'  with
        W' = W gamma / sqrt(variance + epsilon) and b' = beta - mean gamma / sqrt(variance + epsilon).
        A learned weight step scales with its row.
        """
        parameters = dict(self.parameters)
        projections = []
        for projection in self.network.projections:
            projections.append(Projection(projection.source, projection.target, projection.delay))
            if not projection.batch_norm:
                continue
            gamma, beta, mean, variance = (parameters.pop(f"{projection.name}.{f}") for f in BATCH_NORM_FIELDS)
            factor = gamma / np.sqrt(variance + BATCH_NORM_EPSILON)
            weight, bias = f"{projection.name}.weight", f"{projection.target}.bias"
            parameters[weight] = parameters[weight] * factor[:, None]
            parameters[bias] = parameters[bias] + beta - mean * factor
            if f"{projection.name}.step" in parameters:
                parameters[f"{projection.name}.step"] = parameters[f"{projection.name}.step"] * np.abs(factor)
        network = Network(self.network.populations, tuple(projections), self.network.dt)
        return TrainedNetwork(network, parameters, self.steps, self.info, self.parent)
