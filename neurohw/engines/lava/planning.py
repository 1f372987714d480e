# SPDX-License-Identifier: Apache-2.0
"""Which Lava process computes which part of a quantized network exactly, and in which Lava step.

No Lava is needed here.

Lava's own processes are taken wherever their integers are the network's:

    LIF       u = trunc0(u (4095 - du) / 4096) + 64 a,  v = trunc0(v (4096 - dv) / 4096) + u + bias,
              fires where v > 64 vth, then v = 0
    Dense, DelayDense, Sparse, DelaySparse    a[t] = (sum of w s[t - 1 - delay]) 2^weight_exp,
                                              weights even in -256..254
    Conv      a[t] = sum of w s[t - 1], weights in -128..127

Everything else runs in the processes of `neurohw.engines.lava.processes`. A hop costs one step in
both, so that a population runs some steps late: its offset. A projection's delay in Lava is delay +
offset(target) - offset(source) - 1. The level of an astrocyte is no hop: it goes straight from one
process to the other and lags by offset(target) - offset(source) + 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.sparse

from neurohw.connections import MATRICES, Convolution, Dense, Matrix
from neurohw.errors import Unsupported
from neurohw.fixedpoint import DECAYS, MULTIPLY_UNIT, Decay, IntArray, MultiplyDecay, NoDecay
from neurohw.integers import QuantizedModulation, QuantizedNetwork
from neurohw.integers.widths import Constants, Drive, prove_widths
from neurohw.modulation import MODULATION
from neurohw.network import GRAPH, Population, Projection
from neurohw.neurons import Lif, Source
from neurohw.step import STEP
from neurohw.support import Implements, attributes

# what `SoftResetLIF`, which runs `advance`, and `IntegerSynapses` compute
IMPLEMENTS = Implements("engine 'lava'", STEP | GRAPH | MATRICES | MODULATION | DECAYS)
# `_lif_parameters` looks at the values
LAVA_LIF = Implements(
    "Lava's LIF",
    {
        Lif: attributes(
            (
                "decay threshold v_reset synapse_decay refractory strict membrane_bias "
                "integrates_refractory"
            ),
            reset=("hard",),
            adaptation=(None,),
            delayed_reset=(False,),
            delayed_current=(False,),
            clears_current=(False,),
        )
    },
)
STATE_BITS = 24
MESSAGE_BITS = 31  # a sum travels as int32
LARGEST_DELAY = 63
THRESHOLD_SHIFT = 6  # Lava's LIF takes its threshold and its input in units of 64
LARGEST_THRESHOLD = (1 << 17) - 1
BIAS_BITS = 13
BIAS_EXPONENTS = range(8)
WEIGHT_EXPONENTS = range(-8, 8)
CONV_EXTENT = 127  # Lava's Conv computes shapes in int8

ConnectionProcess = Literal[
    "Dense", "DelayDense", "Sparse", "DelaySparse", "Conv", "IntegerSynapses"
]


@dataclass(frozen=True)
class LifPlan:
    """Parameters of Lava's LIF.

    bias_mant, bias_exp: [neuron]; they take effect from step `offset` on.
    """

    du: int
    dv: int
    vth: int
    bias_mant: IntArray
    bias_exp: IntArray


@dataclass(frozen=True)
class PopulationPlan:
    """A population: Lava's LIF with `lif`, else SoftResetLIF for the reason `why`.

    offset: Lava steps behind the input.
    """

    population: Population
    offset: int
    lif: LifPlan | None
    why: str = ""


@dataclass(frozen=True)
class ProjectionPlan:
    """A projection: the Lava process, its matrices [target, source] by delay in Lava, and the
    exponent left for the process.

    weights of Lava's Dense and Sparse are twice `matrices`.
    conv_weight: of Conv, [channel, x, y, input channel / groups], turned for a convolution.
    """

    projection: Projection
    process: ConnectionProcess
    matrices: list[tuple[int, Matrix]]
    exponent: int
    message_bits: int
    why: str = ""
    conv_weight: IntArray | None = None


@dataclass(frozen=True)
class Levels:
    """How a SoftResetLIF takes the levels of an astrocyte.

    integers: what they do.
    rest: levels [domain] before the astrocyte's first step.
    lag: Lava steps from a message, sent after the astrocyte's step, to its use.
    """

    integers: QuantizedModulation
    rest: IntArray
    lag: int


@dataclass(frozen=True)
class Plan:
    """All processes of a network for runs of up to `steps` steps.

    levels: by the names of modulations.
    """

    populations: dict[str, PopulationPlan]
    projections: dict[str, ProjectionPlan]
    levels: dict[str, Levels]

    @property
    def latency(self) -> int:
        """Lava steps that the last population finishes after the input."""
        return max(p.offset for p in self.populations.values())


@dataclass(frozen=True)
class _Edge:
    """A projection, or a modulation, in the order of Lava's steps: its hops and its delay."""

    name: str
    source: str
    target: str
    hops: int
    delay: int


def _edges(model: QuantizedNetwork) -> list[_Edge]:
    network = model.network
    least = {p.name: min(delay for delay, _ in model.matrices(p)) for p in network.projections}
    hops = [_Edge(p.name, p.source, p.target, 1, least[p.name]) for p in network.projections]
    return hops + [_Edge(m.name, m.source, m.target, 0, 1) for m in network.modulations]


def offsets(model: QuantizedNetwork) -> dict[str, int]:
    """Population -> Lava steps that it runs behind the input; the smallest for which no projection
    and no astrocyte's level would need a negative delay.

    Raises Unsupported, naming the projections, for a loop with less delay than hops.
    """
    edges = _edges(model)
    result = {p.name: 0 for p in model.network.populations}
    via: dict[str, _Edge] = {}
    changed = ""
    for _ in range(len(result) + 1):
        changed = ""
        for edge in edges:
            needed = result[edge.source] + edge.hops - edge.delay
            if needed > result[edge.target]:
                result[edge.target], via[edge.target], changed = needed, edge, edge.target
    if changed:
        for _ in result:  # back into the loop, in case the last change was behind it
            changed = via[changed].source
        loop = [via[changed]]
        while loop[0].source != changed:
            loop.insert(0, via[loop[0].source])
        hops, delay = sum(e.hops for e in loop), sum(e.delay for e in loop)
        names = ", ".join(repr(e.name) for e in loop)
        what = "projections" if all(e.hops for e in loop) else "projections and modulations"
        raise Unsupported(
            f"{what} {names} form a loop of {hops} hops with a delay of {delay}: every hop costs "
            f"a step in Lava, so the loop needs a delay of at least {hops}"
        )
    return result


def check(model: QuantizedNetwork) -> None:
    """Raise Unsupported, naming node and value, for what `IMPLEMENTS` does not name, and for what
    Lava's fixed point does not hold.
    """
    IMPLEMENTS.check(model.network, model.populations)
    offsets(model)
    for population in model.network.populations[1:]:
        q = model.populations[population.name]
        for state, bits in (("membrane", q.membrane.bits), ("current", q.current.bits)):
            if bits > STATE_BITS:
                raise Unsupported(
                    f"population {population.name!r}: its {state} has {bits} bits, Lava's states "
                    f"have {STATE_BITS}; quantize with fewer weight bits, a smaller "
                    "resolution_bits or a membrane_cap"
                )
        for projection in model.network.into(population.name):
            bits = q.accumulator.bits + model.projections[projection.name].exponent
            if bits > MESSAGE_BITS:
                raise Unsupported(
                    f"projection {projection.name!r}: its shifted sums have {bits} bits, Lava's "
                    f"messages {MESSAGE_BITS}; quantize with fewer weight bits or a smaller "
                    "resolution_bits"
                )


def _trailing_zeros(matrices: list[tuple[int, Matrix]]) -> int:
    """Largest k such that 2^k divides every weight."""
    data = [m.ravel() if isinstance(m, np.ndarray) else m.data for _, m in matrices]
    together = int(np.bitwise_or.reduce(np.concatenate(data).astype(np.int64), initial=0))
    return (together & -together).bit_length() - 1 if together else 63


def _multiply_delta(decay: Decay | None) -> int | None:
    match decay:
        case NoDecay():
            return 0
        case MultiplyDecay(delta):
            return delta
    return None


def lif_bias(bias: IntArray) -> tuple[IntArray, IntArray] | None:
    """Mantissas and exponents with bias = mantissa << exponent, or None where some bias has no such
    pair.
    """
    mantissa, exponent = np.zeros_like(bias), np.zeros_like(bias)
    limit = 1 << (BIAS_BITS - 1)
    found = np.zeros(bias.shape, bool)
    for e in BIAS_EXPONENTS:
        fits = ~found & (bias >> e << e == bias) & (bias >> e >= -limit) & (bias >> e < limit)
        mantissa[fits], exponent[fits] = bias[fits] >> e, e
        found |= fits
    return (mantissa, exponent) if found.all() else None


def _lif_parameters(
    model: QuantizedNetwork,
    population: Population,
    matrices: Mapping[str, list[tuple[int, Matrix]]],
    steps: int,
    count: int,
) -> LifPlan | str:
    """Parameters of Lava's LIF where it is this population, else what it lacks."""
    neuron, q = population.neuron, model.populations[population.name]
    if not isinstance(neuron, Lif):
        return "an Integrator never fires"
    lacking = {
        "soft reset": neuron.reset == "soft",
        "way not to reset": neuron.reset == "none",
        "reset value other than 0": bool(np.any(q.v_reset)),
        "refractory steps": neuron.refractory > 0,
        "adaptive threshold": neuron.adaptation is not None,
        "delayed reset": neuron.delayed_reset,
        "delayed current": neuron.delayed_current,
        "cleared current": neuron.clears_current,
        "modulated gain": model.network.modulation(population.name, "gain") is not None,
        "modulated threshold": model.network.modulation(population.name, "threshold") is not None,
        "threshold for single neurons": len(np.unique(q.threshold)) > 1,
    }
    for feature, needed in lacking.items():
        if needed:
            return f"Lava's LIF has no {feature}"
    for problem in LAVA_LIF.unknown(neuron):
        return problem
    # with integers, v >= threshold is v > threshold - 1
    threshold = int(q.threshold[0]) - (0 if neuron.strict else 1)
    unit = 1 << THRESHOLD_SHIFT
    if threshold % unit or threshold // unit > LARGEST_THRESHOLD:
        return f"v > {threshold} is not v > {unit} vth with vth up to {LARGEST_THRESHOLD}"
    decay_v = _multiply_delta(q.decay)
    decay_c = MULTIPLY_UNIT if neuron.synapse_decay is None else _multiply_delta(q.synapse_decay)
    if decay_v is None or decay_v == MULTIPLY_UNIT:
        return f"membrane decay {q.decay} is no dv of 0..{MULTIPLY_UNIT - 1}"
    if decay_c is None or decay_c == 0:
        return f"current decay {q.synapse_decay} is no du + 1 of 1..{MULTIPLY_UNIT}"
    if decay_c != MULTIPLY_UNIT and not neuron.membrane_bias and np.any(q.bias):
        return "Lava's LIF adds its bias to the membrane, not to the current"
    bias = lif_bias(population.expand(q.bias))
    if bias is None:
        return f"a bias is no {BIAS_BITS}-bit mantissa shifted by up to {BIAS_EXPONENTS[-1]}"
    incoming = model.network.into(population.name)
    for projection in incoming:
        exponent = model.projections[projection.name].exponent
        if exponent + _trailing_zeros(matrices[projection.name]) < THRESHOLD_SHIFT:
            return f"sums of {projection.name!r}, shifted by {exponent}, are no multiples of {unit}"
    # Lava's states have 24 bits and saturate or wrap there: in a narrower format nothing may
    # saturate at all
    drives = [
        Drive.of(
            matrices[p.name],
            model.projections[p.name].exponent,
            count if p.source == model.network.input.name else 1,
        )
        for p in incoming
    ]
    constants = Constants(q.bias, q.threshold, q.v_reset, q.decay, q.synapse_decay)
    proved = prove_widths(neuron, drives, constants, steps)
    for state, wanted, given in (
        ("membrane", proved.membrane.bits, q.membrane.bits),
        ("current", proved.current.bits, q.current.bits),
    ):
        if wanted > given:
            return (
                f"the {given}-bit {state} can saturate: {wanted} bits are needed for {steps} steps"
            )
    return LifPlan(decay_c - 1, decay_v, threshold // unit, *bias)


def _conv_weight(connection: Convolution, weight: IntArray) -> IntArray:
    """[channel, x, y, input channel / groups] of Lava's Conv, which turns the kernel (a true
    convolution).
    """
    return weight[:, :, ::-1, ::-1].transpose(0, 3, 2, 1).copy()


def _conv_fits(connection: Convolution, matrices: list[tuple[int, Matrix]]) -> bool:
    extents = [
        size + 2 * pad
        for size, pad in zip(connection.input_shape[1:], connection.padding, strict=True)
    ]
    reach = [d * k for d, k in zip(connection.dilation, connection.kernel, strict=True)]
    return [d for d, _ in matrices] == [0] and max(*extents, *reach) <= CONV_EXTENT


def _projection_plan(
    model: QuantizedNetwork,
    projection: Projection,
    matrices: list[tuple[int, Matrix]],
    shift: int,
    samples: int,
    message_bits: int,
) -> ProjectionPlan:
    """The process that computes (sum << exponent) / 2^shift of a projection.

    matrices: by delay in Lava.
    """
    connection = projection.connection
    exponent = model.projections[projection.name].exponent - shift
    weights = model.projections[projection.name].weight
    if samples == 1 and isinstance(connection, Convolution) and _conv_fits(connection, matrices):
        scaled = weights << exponent if exponent >= 0 else weights >> -exponent
        if np.abs(scaled).max() <= 127:
            conv = _conv_weight(connection, scaled)
            return ProjectionPlan(projection, "Conv", matrices, 0, message_bits, conv_weight=conv)

    def custom(why: str) -> ProjectionPlan:
        return ProjectionPlan(projection, "IntegerSynapses", matrices, exponent, message_bits, why)

    delayed = matrices[-1][0] > 0
    total = sum(scipy.sparse.csr_array(m != 0).astype(np.int64) for _, m in matrices)
    largest = max((int(np.abs(m).max()) for _, m in matrices if m.size), default=0)
    if total.nnz == 0:
        return custom("no weight is other than 0")
    if total.max() > 1 or largest > 128:
        return custom("several synapses join the same two neurons")
    if any(m.max() > 127 for _, m in matrices if m.size):
        return custom("a sum of weights is no 8-bit weight")
    # mixed signs lose the last bit in Lava, so weights go in doubled
    if exponent - 1 not in WEIGHT_EXPONENTS:
        return custom(
            f"a weight exponent of {exponent - 1} lies outside "
            f"{WEIGHT_EXPONENTS[0]}..{WEIGHT_EXPONENTS[-1]}"
        )
    if matrices[-1][0] > LARGEST_DELAY:
        return custom(f"a delay of {matrices[-1][0]} is above {LARGEST_DELAY}")
    if samples > 1 and delayed:
        return custom("delays of several samples side by side")
    if samples > 1 or not isinstance(connection, Dense):
        return ProjectionPlan(
            projection, "DelaySparse" if delayed else "Sparse", matrices, exponent - 1, message_bits
        )
    return ProjectionPlan(
        projection, "DelayDense" if delayed else "Dense", matrices, exponent - 1, message_bits
    )


def plan(model: QuantizedNetwork, steps: int, count: int = 1, samples: int = 1) -> Plan:
    """The processes for runs of `steps` steps with counts up to `count`, `samples` samples side by
    side.

    Raises Unsupported as `check`.
    """
    check(model)
    network = model.network
    late = offsets(model)
    matrices = {p.name: model.matrices(p) for p in network.projections}
    populations, projections = {}, {}
    for population in network.populations[1:]:
        assert not isinstance(population.neuron, Source)
        found = _lif_parameters(model, population, matrices, max(steps, model.steps), count)
        lif, why = (None, found) if isinstance(found, str) else (found, "")
        populations[population.name] = PopulationPlan(population, late[population.name], lif, why)
        for projection in network.into(population.name):
            extra = late[projection.target] - late[projection.source] - 1
            shifted = [(delay + extra, matrix) for delay, matrix in matrices[projection.name]]
            bits = 8 if projection.source == network.input.name and count > 1 else 0
            projections[projection.name] = _projection_plan(
                model, projection, shifted, THRESHOLD_SHIFT if lif else 0, samples, bits
            )
    levels = {}
    for modulation in network.modulations:
        source, offset = (
            network.population(modulation.source),
            model.populations[modulation.source].offset,
        )
        assert offset is not None
        lag = late[modulation.target] - late[modulation.source] + 1
        levels[modulation.name] = Levels(
            model.modulations[modulation.name], source.expand(offset), lag
        )
    return Plan(populations, projections, levels)
