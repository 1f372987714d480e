# SPDX-License-Identifier: Apache-2.0
"""What an astrocyte does to a population: a gain of its input or a rise of its threshold, from the
step before.

With the level m_k[t] = v_k[t] + offset_k of domain k of the astrocyte (v before step 0 is 0), and
neuron i of the target in domain k = i // (size of the target // size of the astrocyte):

    gain         I_i[t] = bias_i + g_k (sum over projections)
                 g_k = max_gain / (1 + exp(-m_k[t-1]))
    threshold    theta_i[t] = threshold_i + max(m_k[t-1], 0) + a_i[t-1]

This is our reconstruction of the astrocyte-modulated spiking unit, whose authors' equations are not
public: that unit is a gain with an astrocyte as large as its target, whose weights hold the factor
1 - decay.
"""

from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from neurohw.checks import Range, check_fields
from neurohw.errors import InvalidModel
from neurohw.neurons import Astrocyte, Integrator, Lif, Neuron
from neurohw.support import attributes

Effect = Literal["threshold", "gain"]
GAIN_LIMIT = 4.0  # an integer gain has 10 bits, 8 of them a fraction


@dataclass(frozen=True)
class Modulation:
    """The effect of astrocyte `source` on population `target`.

    max_gain: of the effect "gain" alone, above 0 and below 4.

    Raises InvalidModel for an unknown effect and for a gain out of range.
    """

    source: str
    target: str
    effect: Effect
    max_gain: float = 1.0

    def __post_init__(self) -> None:
        gains = Range(0, GAIN_LIMIT, open_low=True, open_high=True)
        check_fields(self, f"modulation {self.name!r}: ", max_gain=gains)
        if self.effect == "threshold" and self.max_gain != 1.0:
            raise InvalidModel(
                f"modulation {self.name!r}: max_gain {self.max_gain} belongs to the effect 'gain'"
            )

    @property
    def name(self) -> str:
        """`source_effect_target`, the prefix of the modulation's arrays."""
        return f"{self.source}_{self.effect}_{self.target}"

    def check(self, source: Neuron, domains: int, target: Neuron, neurons: int) -> None:
        """Raise InvalidModel, naming the modulation, where these populations of `domains` and
        `neurons` neurons cannot be its ends.
        """
        if not isinstance(source, Astrocyte):
            raise InvalidModel(
                f"modulation {self.name!r}: its source {self.source!r} is a "
                f"{type(source).__name__}; only an Astrocyte modulates"
            )
        if self.effect == "threshold" and not isinstance(target, Lif):
            raise InvalidModel(
                f"modulation {self.name!r}: its target {self.target!r} is a "
                f"{type(target).__name__}; only a Lif has a threshold"
            )
        if isinstance(target, Astrocyte) or not isinstance(target, Lif | Integrator):
            raise InvalidModel(
                f"modulation {self.name!r}: its target {self.target!r} is a "
                f"{type(target).__name__}; a gain acts on a Lif or an Integrator"
            )
        if neurons % domains:
            raise InvalidModel(
                f"modulation {self.name!r}: {domains} domains of {self.source!r} do not "
                f"divide the {neurons} neurons of {self.target!r}"
            )

    def values(self, levels: NDArray[Any]) -> NDArray[np.float64]:
        """Gains, or rises of the threshold, of levels m, of any shape."""
        match self.effect:
            case "gain":
                return self.max_gain * expit(levels)  # type: ignore[no-any-return]
            case "threshold":
                return np.maximum(levels, 0.0)

    def to_json(self) -> dict[str, Any]:
        """A JSON value from which `from_json` gives an equal modulation; fields at their default
        are left out.
        """
        return {f.name: v for f in fields(self) if (v := getattr(self, f.name)) != f.default}

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Modulation":
        """The modulation that `to_json` wrote."""
        return Modulation(**value)


# what `Modulation.values` computes
MODULATION = {Modulation: attributes("source target max_gain", effect=("threshold", "gain"))}


def spread(values: NDArray[Any], neurons: int) -> NDArray[Any]:
    """Values of every neuron [..., neuron] from values per domain [..., domain]."""
    return np.repeat(values, neurons // values.shape[-1], axis=-1)
