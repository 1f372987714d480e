# SPDX-License-Identifier: Apache-2.0
"""Plasticity of synapses: what changes a weight, and no engine.

Every spiking neuron has a trace r of its recent spikes; one astrocyte sets the amplitude of
depression. At the end of step t, for every synapse j -> i of a plastic projection, with the spikes
s[t] and the traces r[t-1] and amplitude A[t-1] that were there before the step:

    excitatory j     w <- clip(w - A[t-1] r_i[t-1] s_j[t])     then
                     w <- clip(w + A+ r_j[t-1] s_i[t])
    inhibitory j     w <- clip(w + A+ r_i[t-1] s_j[t])         then
                     w <- clip(w - A[t-1] r_j[t-1] s_i[t])

and afterwards, with N the number of spikes in the network and M that of its input,

    r[t] = trace_decay (r[t-1] + trace_increment s[t])
    A[t] = A[t-1] + (gain (N[t] - M[t]) + bias - A[t-1]) / time_constant
           (constant without an astrocyte)

r before step 0 is 0. Where amplitudes fade, A+, A, gain and bias are multiplied by `fading` after
every step. New weights act from step t + 1 on.

Source: pair STDP and astrocyte of Ivanov & Michmizos, "Increasing liquid state machine performance
with edge-of-chaos dynamics organized by astrocyte-modulated plasticity" (NeurIPS 2021). Clipping
after each of the two changes, and not after their sum, is ours: see docs/adr/0010.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from neurohw.checks import FRACTION, POSITIVE, Range, at_least, check_fields
from neurohw.connections import MATRICES, Sparse
from neurohw.errors import InvalidModel
from neurohw.modulation import MODULATION
from neurohw.network import GRAPH, Network, Projection, TrainedNetwork
from neurohw.neurons import Lif
from neurohw.step import STEP
from neurohw.support import Implements, attributes


@dataclass(frozen=True)
class Stdp:
    """Pair STDP by traces. Amplitudes are per unit of trace; trace_decay is a factor per step.

    potentiation: A+.
    depression: A at the start, and for good without an astrocyte.
    Raises InvalidModel for values out of range.
    """

    potentiation: float = 0.15
    depression: float = 0.15
    trace_increment: float = 0.1
    trace_decay: float = float(np.exp(-0.1))

    def __post_init__(self) -> None:
        least = at_least(0)
        below_one = Range(0, 1, open_high=True)
        check_fields(
            self, potentiation=least, depression=least, trace_increment=least, trace_decay=below_one
        )


@dataclass(frozen=True)
class AstrocyteControl:
    """The leaky integrator that sets the depression: more spikes in the network than in its input
    give a stronger one.

    gain: per spike and step. bias: amplitude at which it rests. time_constant: in steps, 1 or more.
    """

    gain: float = 0.015
    bias: float = 0.15
    time_constant: float = 100.0

    def __post_init__(self) -> None:
        check_fields(self, time_constant=at_least(1))


@dataclass(frozen=True)
class PlasticProjection:
    """A projection that learns.

    limit: largest |w|.
    crosses_zero: weights of both signs, all by the excitatory rule; else they keep the sign of
        their source.
    """

    name: str
    limit: float = 3.0
    crosses_zero: bool = False

    def __post_init__(self) -> None:
        check_fields(self, f"plastic projection {self.name!r}: ", limit=POSITIVE)


@dataclass(frozen=True)
class Plasticity:
    """What learns, and how.

    inhibitory: which neurons of the spiking population are, [neuron]; inputs are excitatory.

    fading: factor of all amplitudes per step; 1 where they stay.
    """

    stdp: Stdp
    projections: tuple[PlasticProjection, ...]
    inhibitory: NDArray[np.bool_] = field(compare=False)
    astrocyte: AstrocyteControl | None = None
    fading: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self, fading=FRACTION)

    def check(self, network: Network) -> None:
        """Raise InvalidModel, naming the node, unless the rule fits the network, Unsupported for
        what `IMPLEMENTS` does not name.

        It must be one Source and one Lif population with sparse projections of one delay each,
        delay >= 1 so that new weights act from the next step on.
        """
        IMPLEMENTS.check(network)
        for value in (self.stdp, self.astrocyte, *self.projections):
            if value is not None:
                IMPLEMENTS.refuse("plasticity", value)
        if len(network.populations) != 2 or type(network.output.neuron) is not Lif:
            raise InvalidModel(
                "plasticity needs a network of an input and one Lif population, not "
                f"{[p.name for p in network.populations]}"
            )
        known, names = {p.name for p in network.projections}, [p.name for p in self.projections]
        for name in names:
            if name not in known:
                raise InvalidModel(f"plastic projection {name!r}: the network has {sorted(known)}")
            if names.count(name) > 1:
                raise InvalidModel(
                    f"plastic projection {name!r} is given {names.count(name)} times: once "
                    "is needed"
                )
        if self.inhibitory.shape != (network.output.size,):
            raise InvalidModel(
                f"Plasticity.inhibitory has shape {self.inhibitory.shape}, population "
                f"{network.output.name!r} has {network.output.size} neurons"
            )
        for projection in network.projections:
            if not isinstance(projection.connection, Sparse) or projection.max_delay is not None:
                raise InvalidModel(
                    f"projection {projection.name!r}: plasticity needs sparse synapses of one delay"
                )
            if projection.batch_norm:
                raise InvalidModel(
                    f"projection {projection.name!r}: fold the batch normalisation first "
                    "(TrainedNetwork.folded)"
                )
            if projection.delay < 1:
                raise InvalidModel(
                    f"projection {projection.name!r}: delay is 0 steps, plasticity needs 1 "
                    "or more, so that changes act from the next step on"
                )

    def check_weights(self, trained: TrainedNetwork) -> None:
        """Raise InvalidModel, naming the synapse, for a weight that starts outside its bounds."""
        for projection in trained.network.projections:
            if self.plastic(projection) is None:
                continue
            source = trained.parameters[f"{projection.name}.source"].astype(np.int64)
            weight = trained.parameters[f"{projection.name}.weight"]
            low, high = (bound[source] for bound in self.bounds(trained.network, projection))
            wrong = (weight < low) | (weight > high)
            if np.any(wrong):
                k = int(np.argmax(wrong))
                raise InvalidModel(
                    f"projection {projection.name!r}: the weight of synapse {k} from neuron "
                    f"{source[k]} is {weight[k]:g}, allowed are {low[k]:g}..{high[k]:g}"
                )

    def plastic(self, projection: Projection) -> PlasticProjection | None:
        """The rule of a projection, None where its weights stay."""
        return next((p for p in self.projections if p.name == projection.name), None)

    def source_is_inhibitory(self, network: Network, projection: Projection) -> NDArray[np.bool_]:
        """[source neuron] of a projection: which obey the inhibitory rule."""
        plastic = self.plastic(projection)
        if projection.source == network.input.name or (
            plastic is not None and plastic.crosses_zero
        ):
            return np.zeros(network.population(projection.source).size, np.bool_)
        return self.inhibitory

    def bounds(
        self, network: Network, projection: Projection
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Smallest and largest weight by source neuron, each [source neuron]."""
        plastic = self.plastic(projection)
        assert plastic is not None
        inhibitory = self.source_is_inhibitory(network, projection)
        low = np.where(inhibitory | plastic.crosses_zero, -plastic.limit, 0.0)
        high = np.where(inhibitory & (not plastic.crosses_zero), 0.0, plastic.limit)
        return low, high


# the network that learns, as `advance` computes it, and what changes its weights
IMPLEMENTS = Implements(
    "plasticity",
    STEP
    | GRAPH
    | MATRICES
    | MODULATION
    | {
        Stdp: attributes("potentiation depression trace_increment trace_decay"),
        AstrocyteControl: attributes("gain bias time_constant"),
        PlasticProjection: attributes("name limit crosses_zero"),
    },
)


def nalsm(inhibitory: NDArray[np.bool_], gain: float | None = 0.015) -> Plasticity:
    """The rule of Ivanov & Michmizos for the liquids of `neurohw.reservoir`: input and recurrent
    synapses learn, |w| up to 3.

    gain: of the astrocyte, 0.015 for 1,000 neurons and 0.0075 for 8,000; None: depression of fixed
        amplitude, without an astrocyte.
    """
    plastic = (
        PlasticProjection("input_to_liquid", crosses_zero=True),
        PlasticProjection("liquid_to_liquid"),
    )
    return Plasticity(Stdp(), plastic, inhibitory, None if gain is None else AstrocyteControl(gain))
