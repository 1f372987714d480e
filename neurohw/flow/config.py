# SPDX-License-Identifier: Apache-2.0
"""What a run is asked for, and which of it each stage depends on."""

import dataclasses
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from neurohw.errors import InvalidData
from neurohw.reservoir import LiquidConfig
from neurohw.train.recipes import recipe_named

if TYPE_CHECKING:
    from neurohw.train import TrainConfig

DEFAULT_BOARDS = ("ulx3s", "icebreaker")
CROSSCHECK_SAMPLES = 3  # of the stage
# option -> smallest and largest value
LIMITS = {
    "bits": (2, 8),
    "lanes": (1, 4096),
    "membrane_cap": (2, 63),
    "resolution_bits": (0, 16),
    "seed": (0, 2**32 - 1),
    "epochs": (1, 1_000_000),
}
# fields that a run.json of an older version lacks
LATER = {"resolution_bits", "liquid"}


@dataclass(frozen=True)
class RunConfig:
    """What a run is asked for.

    - recipe: a name of `neurohw.train.recipes`
    - data: file or folder with the data, None for the embedded digits
    - bits: weight width; below 8 the network is also trained quantization-aware
    - lanes: synaptic operations per clock of the first hidden population
    - membrane_cap: width in bits at which membranes may saturate, None for the proved width
    - boards: boards to build for, each once
    - seed: of everything random
    - epochs: of every training, None for the recipe's
    - resolution_bits: see `neurohw.quantize`
    - liquid: of a reservoir, whose readout takes the place of the trained network; the recipe then
      only names the data

    Raises InvalidData for a value out of range, InvalidModel for an unknown recipe.
    """

    recipe: str = "digits"
    data: str | None = None
    bits: int = 8
    lanes: int = 8
    membrane_cap: int | None = None
    boards: tuple[str, ...] = DEFAULT_BOARDS
    seed: int = 0
    epochs: int | None = None
    resolution_bits: int = 5
    liquid: LiquidConfig | None = None

    def __post_init__(self) -> None:
        recipe_named(self.recipe)
        for name, (least, most) in LIMITS.items():
            value = getattr(self, name)
            if value is None and name in ("membrane_cap", "epochs"):
                continue
            if type(value) is not int or not least <= value <= most:
                option = "--" + name.replace("_", "-")
                raise InvalidData(f"{option} is a whole number from {least} to {most}, not {value}")
        object.__setattr__(self, "boards", tuple(dict.fromkeys(self.boards)))

    def to_json(self) -> dict[str, Any]:
        """A JSON value from which `from_json` gives an equal configuration."""
        value = asdict(self)
        if self.liquid is None:
            del value["liquid"]
        else:
            value["liquid"] = self.liquid.to_json()
        return value

    @staticmethod
    def from_json(value: dict[str, Any]) -> "RunConfig":
        """The configuration that `to_json` of this or an older version wrote.

        Raises ValueError for missing and unknown fields.
        """
        known = {f.name for f in fields(RunConfig)}
        if not isinstance(value, dict) or set(value) | LATER != known:
            raise ValueError(f"fields {sorted(value)} are not {sorted(known)}")
        liquid = value.get("liquid")
        changed = {
            "boards": tuple(value["boards"]),
            "liquid": liquid and LiquidConfig.from_json(liquid),
        }
        return RunConfig(**{**value, **changed})


def trainings(config: RunConfig) -> dict[str, "TrainConfig"]:
    """The trainings of a run by what they are, in their order.

    Below 8 bits there are three: "float", then from its result "quantization-aware" and, as long,
    "float twin", whose accuracy is the one to compare with.
    """
    recipe = recipe_named(config.recipe)
    changes: dict[str, Any] = {"seed": config.seed}
    if config.epochs is not None:
        changes["epochs"] = config.epochs
    first = dataclasses.replace(recipe.config, **changes)
    if config.bits == 8:
        return {"float": first}
    slower = dataclasses.replace(recipe.config, learning_rate=recipe.config.learning_rate / 4)
    tuned = dataclasses.replace(recipe.finetune or slower, **changes)
    return {
        "float": first,
        "quantization-aware": dataclasses.replace(tuned, weight_bits=config.bits),
        "float twin": dataclasses.replace(tuned, weight_bits=None),
    }


def stage_options(stage: str, config: RunConfig) -> dict[str, Any] | None:
    """What a stage takes from the configuration, as JSON; None where it has options of its own."""
    integers = {
        "bits": config.bits,
        "membrane_cap": config.membrane_cap,
        "resolution_bits": config.resolution_bits,
    }
    liquid = config.liquid
    match stage:
        case "liquid" if liquid is not None:
            return {"liquid": liquid.to_json(), "seed": config.seed}
        case "train" if liquid is not None:
            return {"readout": liquid.readout, "integers": integers if liquid.integers else None}
        case "train":
            recipe = recipe_named(config.recipe)
            described = {"network": recipe.network.to_json(), "encoder": recipe.encoder.to_json()}
            return {
                **described,
                "trainings": {n: t.to_json() for n, t in trainings(config).items()},
            }
        case "quantize":
            return integers
        case "crosscheck":
            return {"samples": CROSSCHECK_SAMPLES}
        case "emit":
            return {"lanes": config.lanes}
        case "build":
            return {"boards": list(config.boards)}
    return None
