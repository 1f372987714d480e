# SPDX-License-Identifier: Apache-2.0
"""A liquid: the network input -> liquid, liquid -> liquid, with what its builder knows of every
neuron.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.checks import check_fields
from neurohw.connections import Sparse
from neurohw.errors import InvalidModel
from neurohw.network import Network, TrainedNetwork
from neurohw.neurons import Lif
from neurohw.storage import digest, load_value, save_value

# dt 1 ms: the membrane leaks 1/64 per step, the current of a spike falls by exp(-1) per step; for 2
# ms after a spike the membrane only integrates
NALSM_NEURON = Lif(
    decay=1 - 1 / 64,
    threshold=20.0,
    reset="hard",
    synapse_decay=math.exp(-1),
    refractory=2,
    integrates_refractory=True,
)


@dataclass(frozen=True)
class PerKind:
    """One value per kind of synapse, named source then target: ei is excitatory to inhibitory."""

    ee: float
    ei: float
    ie: float
    ii: float

    def __post_init__(self) -> None:
        check_fields(self)

    def of(
        self, source_inhibitory: NDArray[np.bool_], target_inhibitory: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """The value of every synapse, by which of its ends are inhibitory; the two arrays are
        broadcast.
        """
        table = np.array([self.ee, self.ei, self.ie, self.ii])
        return table[2 * source_inhibitory.astype(np.int8) + target_inhibitory.astype(np.int8)]


@dataclass(frozen=True)
class Liquid:
    """trained: populations `input` (a Source) and `liquid` (Lif), projections `input_to_liquid` and
        `liquid_to_liquid`, both Sparse.

    inhibitory: bool [neuron] of the liquid; False for all where synapses have signs of their own.
    positions: float64 [neuron, 3] in grid units, None for a liquid without space.
    Raises InvalidModel for another network, and for arrays of another shape.
    """

    trained: TrainedNetwork
    inhibitory: NDArray[np.bool_]
    positions: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        check_fields(self, skip=("inhibitory", "positions"))
        network = self.trained.network
        populations = [p.name for p in network.populations]
        projections = sorted(p.name for p in network.projections)
        if populations != ["input", "liquid"] or projections != [
            "input_to_liquid",
            "liquid_to_liquid",
        ]:
            raise InvalidModel(
                "a liquid has populations input and liquid with synapses input_to_liquid "
                f"and liquid_to_liquid, not {populations} with {projections}"
            )
        if type(network.output.neuron) is not Lif:
            raise InvalidModel(
                f"population 'liquid' must be a Lif, not {type(network.output.neuron).__name__}"
            )
        for projection in network.projections:
            if not isinstance(projection.connection, Sparse):
                raise InvalidModel(f"projection {projection.name!r} of a liquid must be Sparse")
        inhibitory = np.array(self.inhibitory)
        if inhibitory.dtype != np.bool_:
            raise InvalidModel(
                f"Liquid.inhibitory says True or False for every neuron, not {inhibitory.dtype}"
            )
        if inhibitory.shape != (self.neurons,):
            raise InvalidModel(
                f"Liquid.inhibitory has shape {inhibitory.shape}, there are {self.neurons} neurons"
            )
        inhibitory.setflags(write=False)
        object.__setattr__(self, "inhibitory", inhibitory)
        if self.positions is not None:
            positions = np.array(self.positions, dtype=np.float64)
            if positions.shape != (self.neurons, 3):
                raise InvalidModel(
                    f"Liquid.positions has shape {positions.shape}, [{self.neurons}, 3] grid "
                    "units are needed"
                )
            positions.setflags(write=False)
            object.__setattr__(self, "positions", positions)

    @property
    def network(self) -> Network:
        """The network of the trained network."""
        return self.trained.network

    @property
    def neurons(self) -> int:
        """Neurons of the liquid, without the input."""
        return self.network.output.size

    def to_parts(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """JSON fields and arrays, as they are saved."""
        fields, parameters = self.trained.to_parts()
        arrays: dict[str, NDArray[Any]] = {**parameters, "inhibitory": self.inhibitory}
        if self.positions is not None:
            arrays["positions"] = self.positions
        return fields, arrays

    def digest(self) -> str:
        """SHA-256 of the value, 64 hexadecimal digits."""
        return digest("liquid", *self.to_parts())

    def save(self, path: Path | str, force: bool = False) -> str:
        """Save as a folder, atomically, and return the digest; CannotWrite if something else than a
        liquid stands there, unless `force`.
        """
        return save_value(path, "liquid", *self.to_parts(), force)

    @staticmethod
    def load(path: Path) -> "Liquid":
        """A saved liquid;

        BrokenFile or InvalidModel, naming the file or array, if it cannot be trusted.
        """
        fields, arrays = load_value(path, "liquid")
        inhibitory, positions = (
            arrays.pop("inhibitory", np.zeros(0, np.bool_)),
            arrays.pop("positions", None),
        )
        return Liquid(TrainedNetwork.from_parts(fields, arrays), inhibitory, positions)
