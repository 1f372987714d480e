# SPDX-License-Identifier: Apache-2.0
"""What a liquid is built from, as a run folder keeps it, and liquids that are known to work."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from neurohw.checks import FRACTION, POSITIVE, at_least, check_fields
from neurohw.errors import InvalidModel
from neurohw.memristor import device_named
from neurohw.neurons import Lif
from neurohw.reservoir.build import (
    gaussian_reservoir,
    grid_liquid,
    random_liquid,
    small_world_liquid,
)
from neurohw.reservoir.liquid import Liquid, PerKind
from neurohw.reservoir.resistive import resistive_chip, resistive_liquid
from neurohw.reservoir.spectrum import with_spectral_radius

Topology = Literal["grid", "small-world", "random", "gaussian", "resistive"]
ReadoutMethod = Literal["ridge", "adadelta"]


@dataclass(frozen=True)
class LiquidConfig:
    """A liquid, what it is fed with, and how it is read out.

    shape: neurons per axis of a grid; other topologies have as many neurons without places.
    degree: synapses of each neuron in a small world, sources of each in a random liquid.
    rewiring: of a small world.
    weight, input_weight: |w| of synapses, or the standard deviation of a gaussian or resistive
        reservoir.
    input_density: share of pairs (input, neuron) with a synapse;
    density: of recurrent pairs of a gaussian reservoir.
    formed, spread: of a resistive reservoir, the share of devices that conduct and the standard
        deviation of their conductance over its mean.
    spectral_radius: of the recurrent weights, None to leave them.
    decay, threshold: of the neurons of a gaussian or resistive reservoir; those of the others are
        `NALSM_NEURON`.
    steps: of one sample of an image; recordings of spikes bring their own.
    share: an image's values are divided by their sum and then by the largest such share of all
        images, so that all send equally many spikes; else they are probabilities as they are.
    train_samples, test_samples: at most so many, None for all.
    readout: ridge in closed form, or adadelta by gradient.
    integers: the readout is fitted to counts of the quantized liquid, which are those of the
        hardware, else to counts of the float one.
    Raises InvalidModel for an unknown name or a value out of range.
    """

    topology: Topology = "grid"
    shape: tuple[int, int, int] = (10, 10, 10)
    degree: int = 20
    rewiring: float = 0.1
    weight: float = 1.0
    input_weight: float = 1.0
    input_density: float = 0.15
    density: float = 1.0
    formed: float = 0.5
    spread: float = 0.3
    spectral_radius: float | None = None
    decay: float = 0.9
    threshold: float = 5.0
    steps: int = 250
    share: bool = True
    train_samples: int | None = None
    test_samples: int | None = None
    readout: ReadoutMethod = "ridge"
    integers: bool = True

    def __post_init__(self) -> None:
        one = at_least(1)
        check_fields(
            self,
            shape=one,
            degree=one,
            rewiring=FRACTION,
            weight=POSITIVE,
            input_weight=POSITIVE,
            input_density=FRACTION,
            density=FRACTION,
            formed=FRACTION,
            spread=at_least(0),
            spectral_radius=POSITIVE,
            decay=FRACTION,
            threshold=POSITIVE,
            steps=one,
            train_samples=one,
            test_samples=one,
        )

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return self.shape[0] * self.shape[1] * self.shape[2]

    def build(self, inputs: int, steps: int, seed: int) -> Liquid:
        """The liquid for `inputs` input neurons and samples of `steps` steps; equal seeds give
        equal liquids.
        """
        weight = PerKind(*[self.weight] * 4)
        common: dict[str, Any] = {"input_density": self.input_density, "steps": steps, "seed": seed}
        dale = {**common, "weight": weight, "input_weight": self.input_weight}
        neuron = Lif(decay=self.decay, threshold=self.threshold, reset="hard")
        scales = (self.weight, self.input_weight)
        match self.topology:
            case "grid":
                liquid = grid_liquid(inputs, self.shape, **dale)
            case "small-world":
                liquid = small_world_liquid(
                    inputs, self.neurons, self.degree, self.rewiring, **dale
                )
            case "random":
                liquid = random_liquid(inputs, self.neurons, in_degree=self.degree, **dale)
            case "gaussian":
                liquid = gaussian_reservoir(
                    inputs, self.neurons, *scales, density=self.density, neuron=neuron, **common
                )
            case "resistive":
                device = device_named("forming", probability=self.formed, spread=self.spread)
                liquid = resistive_liquid(
                    resistive_chip(inputs, self.neurons, *scales, device, neuron, steps, seed)
                )
        if self.spectral_radius is None:
            return liquid
        scaled = with_spectral_radius(liquid.trained, "liquid_to_liquid", self.spectral_radius)
        return Liquid(scaled, liquid.inhibitory, liquid.positions)

    def to_json(self) -> dict[str, Any]:
        """A JSON value from which `from_json` gives an equal configuration."""
        return {**asdict(self), "shape": list(self.shape)}

    @staticmethod
    def from_json(value: dict[str, Any]) -> "LiquidConfig":
        """The configuration that `to_json` wrote; InvalidModel for an unknown field."""
        unknown = set(value) - {f.name for f in fields(LiquidConfig)}
        if unknown:
            raise InvalidModel(f"configuration of a liquid: unknown fields {sorted(unknown)}")
        return LiquidConfig(**value)


# by recipe, whose dataset they are for
LIQUIDS = {
    "digits": LiquidConfig(shape=(6, 6, 6), input_density=0.3, steps=100),
    "mnist": LiquidConfig(test_samples=1000),
    "spoken-digits": LiquidConfig(input_weight=3.0, input_density=0.3),
}
RESISTIVE = {
    "digits": LiquidConfig(
        "resistive", (6, 6, 6), weight=0.05, input_weight=0.6, decay=1 - 1 / 16, steps=100
    ),
    "mnist": LiquidConfig(
        "resistive", (20, 20, 1), weight=0.05, input_weight=0.6, decay=1 - 1 / 16, test_samples=1000
    ),
    "spoken-digits": LiquidConfig(
        "resistive", (20, 20, 1), weight=0.3, input_weight=2.4, decay=1 - 1 / 16
    ),
}


def liquid_named(recipe: str, topology: str | None = None) -> LiquidConfig:
    """The liquid that is known to work for the data of a recipe, or the resistive one;

    InvalidModel listing the known ones otherwise.
    """
    if recipe not in LIQUIDS:
        raise InvalidModel(f"there is no liquid for {recipe!r}: known are {', '.join(LIQUIDS)}")
    return (RESISTIVE if topology == "resistive" else LIQUIDS)[recipe]
