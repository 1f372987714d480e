# SPDX-License-Identifier: Apache-2.0
"""Plasticity in integers: the rule of `neurohw.plasticity.rule` as hardware executes it.

Four units, all powers of two: weights 2^-weight_fraction, traces 2^-trace_fraction, amplitudes
2^-amplitude_fraction, and the state S of the astrocyte, which has `guard` bits below an amplitude.
Beside a weight w of `weight.bits` bits stands what the neuron sees of it, rounded half up,

    delivered(w) = (w + 2^(hidden - 1)) >> hidden          (w itself without hidden bits)

so that small changes add up in the hidden bits. At the end of step t, with A = S[t-1] >> guard and
the traces r[t-1], every neuron has two amounts, rounded half up,

    P = (potentiation r + 2^(shift - 1)) >> shift          D = (A r + 2^(shift - 1)) >> shift

    excitatory j     w <- clip(w - D_i s_j)     then     w <- clip(w + P_j s_i)
    inhibitory j     w <- clip(w + P_i s_j)     then     w <- clip(w - D_j s_i)

    r[t] = trace_decay(r[t-1] + trace_increment s[t])
           a multiplying decay, rounded toward zero, so that a trace ends
    S[t] = S[t-1] + ((gain (N[t] - M[t]) + bias - S[t-1]) >> leak)

A trace of which P and D are 0 changes nothing. A may be negative, as in the rule. At the end of a
sample everything but the weights starts anew. Every >> is the arithmetic shift, which floors.
Nothing is random.

Widths: x <- x + ((T - x) >> leak) never leaves the interval that holds x and every T, so that S
lies in [min(S0, lowest T), max(S0, highest T)]. A trace is below trace_bound, the bound of its
decay. An amount of 2^weight.bits - 1 moves every weight from limit to limit, so that larger ones
are clipped there.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.checks import Range, check_fields, whole
from neurohw.connections import Sparse
from neurohw.errors import InvalidModel
from neurohw.fixedpoint import IntArray, IntFormat, MultiplyDecay
from neurohw.integers.post_training import quantize_decay
from neurohw.integers.quantized import QuantizedNetwork, QuantizedPopulation, QuantizedProjection
from neurohw.integers.widths import Constants, Drive, prove_widths
from neurohw.network import CONNECTION_FIELDS, GRAPH, Network, Projection, TrainedNetwork
from neurohw.neurons import Adaptation, Lif, Source
from neurohw.plasticity.rule import AstrocyteControl, Plasticity, PlasticProjection, Stdp
from neurohw.storage import digest
from neurohw.support import Implements, attributes

IMPLEMENTS = Implements(
    "learning in integers",
    GRAPH
    | {
        Lif: attributes(
            "decay threshold v_reset synapse_decay refractory adaptation strict delayed_reset "
            "membrane_bias delayed_current clears_current integrates_refractory",
            reset=("soft", "hard", "none"),
        ),
        Adaptation: attributes("decay strength"),
        Source: attributes(),
        Sparse: attributes("synapses"),
        Stdp: attributes("potentiation depression trace_increment trace_decay"),
        AstrocyteControl: attributes("gain bias time_constant"),
        PlasticProjection: attributes("name limit crosses_zero"),
    },
)


@dataclass(frozen=True)
class LearningWeights:
    """The weights of one projection, hidden bits included.

    weight: at the start [synapse].
    low, high: limits by source neuron [source].
    inhibitory: sources that obey the inhibitory rule [source].
    learns: False where the weights stay.
    """

    weight: IntArray
    low: IntArray
    high: IntArray
    inhibitory: NDArray[np.bool_]
    learns: bool


@dataclass(frozen=True)
class QuantizedPlasticity:
    """A QuantizedNetwork that learns; what the integers mean is said above.

    model: the network with the weights that the neurons see at the start, its widths proved for
        every weight within the limits.
    projections: by name.
    weight: format of a weight with its hidden bits.
    depression: S at the start of a sample.
    gain, bias: in units of S.
    info: scales and errors.
    Raises InvalidModel, naming node, value and limit, for what does not fit.
    """

    model: QuantizedNetwork
    projections: dict[str, LearningWeights]
    weight: IntFormat
    hidden: int
    trace_increment: int
    trace_decay: MultiplyDecay
    potentiation: int
    shift: int
    guard: int
    leak: int
    gain: int
    bias: int
    depression: int
    info: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fields(self)
        network = self.model.network
        check_network(network)
        if self.model.max_count != 1:
            raise InvalidModel(
                f"plasticity needs spikes, not counts up to {self.model.max_count}: encode "
                "with at most 1"
            )
        if not 2 <= self.weight.bits - self.hidden <= 8 or self.hidden < 0:
            raise InvalidModel(
                f"weights of {self.weight.bits} bits with {self.hidden} hidden ones leave "
                f"{self.weight.bits - self.hidden} to the neuron, allowed are 2..8"
            )
        for name, value in (("shift", self.shift), ("leak", self.leak), ("guard", self.guard)):
            if not 0 <= value <= 24:
                raise InvalidModel(f"QuantizedPlasticity.{name} lies in 0..24, not {value}")
        if self.trace_decay.delta == 0:
            raise InvalidModel("a trace must decay: delta is 0")
        if self.trace_increment < 0 or self.potentiation < 0:
            raise InvalidModel(
                f"trace increment {self.trace_increment} and potentiation "
                f"{self.potentiation} must be 0 or more"
            )
        if set(self.projections) != {p.name for p in network.projections}:
            raise InvalidModel(
                f"learning projections {sorted(self.projections)} do not match the network's"
            )
        for projection in network.projections:
            own, sources = (
                self.projections[projection.name],
                network.population(projection.source).size,
            )
            for array, size in (
                (own.weight, len(self.source(projection))),
                (own.low, sources),
                (own.high, sources),
                (own.inhibitory, sources),
            ):
                if array.shape != (size,):
                    raise InvalidModel(
                        f"projection {projection.name!r}: an array of shape {array.shape}, "
                        f"{(size,)} is needed"
                    )
                array.setflags(write=False)
            ends = self.source(projection)
            if np.any((own.weight < own.low[ends]) | (own.weight > own.high[ends])):
                raise InvalidModel(
                    f"projection {projection.name!r}: a weight lies outside its limits"
                )
            if (
                not self.weight.allows(own.low)
                or not self.weight.allows(own.high)
                or np.any(own.low > 0)
                or np.any(own.high < 0)
            ):
                raise InvalidModel(
                    f"projection {projection.name!r}: limits "
                    f"{own.low.min()}..{own.high.max()} must enclose 0 and fit "
                    f"{self.weight.bits} bits"
                )
            if not IntFormat(self.weight.bits - self.hidden).allows(self.delivered(own.high)):
                raise InvalidModel(
                    f"projection {projection.name!r}: its limit {own.high.max()} rounds "
                    f"beyond the neuron's {self.weight.bits - self.hidden} bits"
                )
            if not np.array_equal(
                self.delivered(own.weight), self.model.projections[projection.name].weight
            ):
                raise InvalidModel(
                    f"projection {projection.name!r}: the weights of the network are not "
                    "those that learning starts from"
                )

    def source(self, projection: Projection) -> IntArray:
        """Source neuron of every synapse [synapse]."""
        ends = self.model.projections[projection.name].source
        assert ends is not None
        return ends

    def target(self, projection: Projection) -> IntArray:
        """Target neuron of every synapse [synapse]."""
        ends = self.model.projections[projection.name].target
        assert ends is not None
        return ends

    def delivered(self, weight: IntArray) -> IntArray:
        """What neurons see of weights, any shape."""
        return weight if self.hidden == 0 else (weight + (1 << (self.hidden - 1))) >> self.hidden

    def amount(self, amplitude: int, trace: IntArray) -> IntArray:
        """By how much traces change weights under an amplitude, clipped to what no weight survives;
        any shape.
        """
        half = 1 << (self.shift - 1) if self.shift else 0
        return np.clip(
            (amplitude * trace + half) >> self.shift, -self.largest_amount, self.largest_amount
        )

    @property
    def largest_amount(self) -> int:
        """It moves every weight from limit to limit: 2^weight.bits - 1."""
        return (1 << self.weight.bits) - 1

    @property
    def trace_bound(self) -> int:
        """No trace, its increment included, is larger: y = decay(y) + increment."""
        return self.trace_decay.bound(self.trace_increment, 1 << 62)

    @property
    def state_range(self) -> tuple[int, int]:
        """Smallest and largest state of the astrocyte."""
        network = self.model.network
        ends = [self.bias + self.gain * n for n in (network.output.size, -network.input.size)]
        return min(self.depression, *ends), max(self.depression, *ends)

    @property
    def state(self) -> IntFormat:
        """The format of the astrocyte's state."""
        return IntFormat.holding(*self.state_range)

    def digest(self) -> str:
        """SHA-256 over everything that decides what is computed."""
        fields, arrays = self.model.to_parts()
        numbers = {
            name: getattr(self, name)
            for name in (
                "hidden",
                "trace_increment",
                "potentiation",
                "shift",
                "guard",
                "leak",
                "gain",
                "bias",
                "depression",
            )
        }
        fields = {
            "model": fields,
            **numbers,
            "weight_bits": self.weight.bits,
            "delta": self.trace_decay.delta,
        }
        fields["learns"] = {name: p.learns for name, p in self.projections.items()}
        for name, p in self.projections.items():
            arrays |= {f"{name}.fine": p.weight, f"{name}.low": p.low, f"{name}.high": p.high}
            arrays[f"{name}.inhibitory"] = p.inhibitory.astype(np.int64)
        return digest("plasticity", fields, arrays)


def check_network(network: Network) -> None:
    """Raise Unsupported for what `IMPLEMENTS` does not name, InvalidModel, naming the node, unless
    the network is an input and one Lif population with sparse projections of one step of delay.
    """
    for population in network.populations:
        IMPLEMENTS.refuse(f"population {population.name!r}", population)
    if len(network.populations) != 2 or type(network.output.neuron) is not Lif:
        raise InvalidModel(
            "learning needs an input and one Lif population, not "
            f"{[p.name for p in network.populations]}"
        )
    if network.output.channels is not None:
        raise InvalidModel(
            f"population {network.output.name!r} has channels: learning needs neurons with "
            "values of their own"
        )
    for projection in network.projections:
        if (
            not isinstance(projection.connection, Sparse)
            or projection.max_delay is not None
            or projection.delay != 1
        ):
            raise InvalidModel(
                f"projection {projection.name!r}: learning in integers needs sparse synapses "
                "with a delay of 1 step"
            )


def _weight_fraction(largest: float, weight_bits: int, hidden: int) -> int:
    """Most fraction bits with which a limit fits its format, as the neuron sees it, too."""
    most = IntFormat(weight_bits).max - ((1 << hidden) >> 1)
    fraction = int(np.floor(np.log2(most / largest)))
    return fraction


def quantize_plasticity(
    trained: TrainedNetwork,
    plasticity: Plasticity,
    weight_bits: int = 12,
    delivered_bits: int = 8,
    trace_fraction: int = 12,
    amplitude_fraction: int = 12,
    resolution_bits: int = 12,
    membrane_cap: int | None = None,
) -> QuantizedPlasticity:
    """The network with its rule in integers.

    weight_bits: of a learning weight, of which delivered_bits (2..8) reach the neuron.
    trace_fraction, amplitude_fraction: fraction bits.
    resolution_bits: a threshold is worth at least 2^resolution_bits units of the membrane.
    membrane_cap: see `quantize`. The time constant of the astrocyte becomes the nearest power of
        two.
    Raises InvalidModel for what cannot be expressed: amplitudes that fade, delays other than 1.
    """
    network, population = trained.network, trained.network.output
    delivered_bits = whole("delivered_bits", delivered_bits, Range(2, 8))
    weight_bits = whole("weight_bits", weight_bits, Range(delivered_bits, 32))
    trace_fraction = whole("trace_fraction", trace_fraction, Range(0, 24))
    amplitude_fraction = whole("amplitude_fraction", amplitude_fraction, Range(0, 24))
    resolution_bits = whole("resolution_bits", resolution_bits, Range(0, 32))
    if membrane_cap is not None:
        membrane_cap = whole("membrane_cap", membrane_cap, Range(1, 63))
    plasticity.check(network)
    check_network(network)
    for value in (plasticity.stdp, plasticity.astrocyte, *plasticity.projections):
        if value is not None:
            IMPLEMENTS.refuse("plasticity", value)
    if plasticity.fading != 1.0:
        raise InvalidModel(
            f"Plasticity.fading is {plasticity.fading}: amplitudes in integers do not fade, use 1"
        )
    neuron: Any = population.neuron
    hidden = weight_bits - delivered_bits
    largest = max(
        plastic.limit
        if (plastic := plasticity.plastic(p))
        else float(np.abs(trained.parameters[f"{p.name}.weight"]).max())
        for p in network.projections
    )
    weight_fraction = _weight_fraction(largest, weight_bits, hidden)
    projections: dict[str, LearningWeights] = {}
    for projection in network.projections:
        weight = np.round(
            trained.parameters[f"{projection.name}.weight"] * 2.0**weight_fraction
        ).astype(np.int64)
        sources = network.population(projection.source).size
        learns = plasticity.plastic(projection) is not None
        if learns:
            low, high = (
                np.round(b * 2.0**weight_fraction).astype(np.int64)
                for b in plasticity.bounds(network, projection)
            )
            ends = trained.parameters[f"{projection.name}.source"].astype(np.int64)
            outside = (weight < low[ends]) | (weight > high[ends])
            if outside.any():
                worst = int(np.argmax(outside))
                raise InvalidModel(
                    f"projection {projection.name!r}: synapse {worst} starts at "
                    f"{trained.parameters[f'{projection.name}.weight'][worst]:g}, outside its "
                    "limits "
                    f"{low[ends[worst]] / 2.0**weight_fraction:g}.."
                    f"{high[ends[worst]] / 2.0**weight_fraction:g}"
                )
        else:
            limit = int(np.abs(weight).max())
            low, high = np.full(sources, -limit), np.full(sources, limit)
        inhibitory = plasticity.source_is_inhibitory(network, projection)
        projections[projection.name] = LearningWeights(weight, low, high, inhibitory.copy(), learns)
    threshold_exponent = weight_fraction - hidden
    threshold = trained.values(population, "threshold")
    exponent = int(
        np.clip(np.ceil(resolution_bits - np.log2(threshold.min()) - threshold_exponent), 0, 16)
    )
    unit = 2.0 ** -(threshold_exponent + exponent)

    def to_int(values: Any) -> IntArray:
        return np.round(np.asarray(values) / unit).astype(np.int64)

    def seen(fine: IntArray) -> IntArray:
        return fine if hidden == 0 else (fine + (1 << (hidden - 1))) >> hidden

    drives, quantized = [], {}
    for projection in network.projections:
        own = projections[projection.name]
        where = {
            k: trained.parameters[f"{projection.name}.{k}"].astype(np.int64)
            for k in CONNECTION_FIELDS[:2]
        }
        extremes = (
            [own.low[where["source"]], own.high[where["source"]]]
            if own.learns
            else [np.minimum(own.weight, 0), np.maximum(own.weight, 0)]
        )
        lowest, highest = (
            np.bincount(where["target"], seen(e), population.size).astype(np.int64)
            for e in extremes
        )
        drives.append(Drive(lowest, highest, exponent))
        quantized[projection.name] = QuantizedProjection(
            seen(own.weight), delivered_bits, exponent, **where
        )

    def decay(kind: str) -> Any:
        return quantize_decay(
            trained.values(population, kind), "auto", f"{population.name}.{kind}", trained.steps
        )

    adaptive = neuron.adaptation is not None
    constants = Constants(
        bias=to_int(trained.parameters[f"{population.name}.bias"]),
        threshold=np.maximum(to_int(threshold), 1),
        v_reset=to_int(trained.values(population, "v_reset"))
        if neuron.reset == "hard"
        else np.zeros(population.size, np.int64),
        decay=decay("decay"),
        synapse_decay=None if neuron.synapse_decay is None else decay("synapse_decay"),
        adaptation_decay=decay("adaptation_decay") if adaptive else None,
        adaptation_strength=to_int(trained.values(population, "adaptation_strength"))
        if adaptive
        else None,
    )
    widths = prove_widths(neuron, drives, constants, trained.steps, membrane_cap)
    model = QuantizedNetwork(
        network,
        {
            population.name: QuantizedPopulation(
                constants.bias,
                constants.threshold,
                constants.v_reset,
                constants.decay,
                constants.synapse_decay,
                widths.membrane,
                widths.current,
                widths.accumulator,
                widths.capped,
                constants.adaptation_decay,
                constants.adaptation_strength,
            )
        },
        quantized,
        trained.steps,
        1,
        {
            "populations": {
                population.name: {"unit": [unit] * population.size, "guard_bits": exponent}
            }
        },
        trained.digest(),
    )
    rule, astrocyte = plasticity.stdp, plasticity.astrocyte
    leak = guard = 0
    if astrocyte is not None:
        leak = guard = round(np.log2(astrocyte.time_constant))
    state_unit = 2.0 ** -(amplitude_fraction + guard)
    start = round(rule.depression / state_unit)
    shift = amplitude_fraction + trace_fraction - weight_fraction
    if shift < 0:
        raise InvalidModel(
            f"traces and amplitudes have {amplitude_fraction + trace_fraction} fraction "
            f"bits, fewer than the {weight_fraction} of a weight"
        )
    trace_decay = MultiplyDecay(round((1.0 - rule.trace_decay) * 4096))
    return QuantizedPlasticity(
        model,
        projections,
        IntFormat(weight_bits),
        hidden,
        round(rule.trace_increment * 2.0**trace_fraction),
        trace_decay,
        round(rule.potentiation * 2.0**amplitude_fraction),
        shift,
        guard,
        leak,
        round(astrocyte.gain / state_unit) if astrocyte else 0,
        round(astrocyte.bias / state_unit) if astrocyte else start,
        start,
        {
            "weight_fraction": weight_fraction,
            "trace_fraction": trace_fraction,
            "amplitude_fraction": amplitude_fraction,
            "trace_decay_error": rule.trace_decay - (1 - trace_decay.delta / 4096),
            "time_constant": 2**leak if astrocyte else None,
        },
    )
