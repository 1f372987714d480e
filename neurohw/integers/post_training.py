# SPDX-License-Identifier: Apache-2.0
"""Post-training quantization: float parameters to integers.

One power-of-two scale 2^-f belongs to a population. Each neuron may stretch its weights by its own
factor, which moves into its threshold, bias and reset value: scaling every input of a neuron
together with its threshold changes no spike. The outputs of an Integrator are compared with each
other, so all of them keep the common scale. With `step_j` the weight of one unit in the last place
of neuron j, and g guard bits below it in the membrane:

    w_int = round(w / step_j)        threshold_int = round(threshold 2^g / step_j)
            I = bias_int + (sum << g)

How many guard bits g a population has is in `neurohw.integers.precision`. An Astrocyte keeps one
scale, too. A gain reads a table of 128 factors at 1/8 .. 1/4 of a level apart. Where an astrocyte
moves a threshold, the scales of both are powers of two, so that a shift turns the one into the
other.
"""

import warnings
from collections.abc import Collection
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np

from neurohw.checks import Range, at_least, choice, exactly, whole
from neurohw.connections import MATRICES, delay_matrices
from neurohw.errors import InvalidModel, PrecisionWarning
from neurohw.fixedpoint import (
    MULTIPLY_UNIT,
    Decay,
    IntArray,
    IntFormat,
    MultiplyDecay,
    MultiplyDecays,
)
from neurohw.integers.gains import Gain, Levels, gain_warning, quantize_gain
from neurohw.integers.precision import (
    BITS_BELOW_STEP,
    LARGEST_GUARD,
    LEAK_TOLERANCE,
    LEAK_WARNING,
    Guard,
    LeakError,
    Needs,
    Roundings,
    aim_bits,
    check_resolution,
    guard_bits,
    nearest_decay,
)
from neurohw.integers.quantized import (
    LARGEST_SHIFT,
    QuantizedModulation,
    QuantizedNetwork,
    QuantizedPopulation,
    QuantizedProjection,
)
from neurohw.integers.to_float import decay_factor
from neurohw.integers.weights import (
    Rounded,
    choose_step,
    largest_excitation,
    weight_warnings,
)
from neurohw.integers.widths import Constants, Drive, check_products, prove_widths
from neurohw.modulation import MODULATION
from neurohw.network import (
    CONNECTION_FIELDS,
    GRAPH,
    FloatArray,
    Network,
    Population,
    Projection,
    TrainedNetwork,
)
from neurohw.neurons import Adaptation, Astrocyte, Integrator, Lif, Source
from neurohw.support import Implements, attributes

IMPLEMENTS = Implements(
    "the quantizer",
    GRAPH
    | MATRICES
    | MODULATION
    | {
        Lif: attributes(
            "decay threshold v_reset synapse_decay refractory adaptation strict delayed_reset "
            "membrane_bias delayed_current clears_current integrates_refractory",
            reset=("soft", "hard", "none"),
        ),
        Adaptation: attributes("decay strength"),
        Integrator: attributes("decay synapse_decay"),
        Astrocyte: attributes("decay synapse_decay"),
        Source: attributes(),
    },
)
DecayKind = Literal["auto", "shift", "multiply"]
LEVEL_SCALE = 0.25  # of an astrocyte's level, what its roundings are compared with


def quantize_decay(
    factors: float | FloatArray,
    kind: DecayKind = "auto",
    node: str = "decay",
    steps: int | None = None,
    tolerance: float = LEAK_TOLERANCE,
) -> Decay:
    """The integer decay for a float factor per step, or for factors [parameter].

    - auto: no decay for 1, the shift where factor = 1 - 2^-k exactly, else the nearest of the
      multiply by (4096 - delta)/4096 and a shift by 13 to 15; different factors get a multiply
      each.
    - shift: InvalidModel, naming the nearest shift, unless exact: a rounded leak would be another
      model than the trained one.

    Raises InvalidModel, too, where a constant input is worth more than `tolerance` more or less
    than in float after `steps` steps (None: any number).
    """
    different = np.unique(factors)
    factor = float(different[0])
    decay: Decay
    if kind == "shift" and len(different) > 1:
        raise InvalidModel(
            f"{node}: {len(different)} different factors in one population need the "
            "multiplying decay"
        )
    if len(different) > 1:
        deltas = np.round((1.0 - np.asarray(factors)) * MULTIPLY_UNIT).astype(int)
        decay = MultiplyDecays(tuple(deltas.tolist()))
    else:
        decay = nearest_decay(factor, multiply=kind == "multiply")
    if kind == "shift" and (isinstance(decay, MultiplyDecay) or decay_factor(decay) != factor):
        nearest = min(max(round(-np.log2(1.0 - factor)), 1), 15)
        raise InvalidModel(
            f"{node}: {factor} is not 1 - 2^-k, so no shift equals it; train with "
            f"{1 - 2.0**-nearest} or quantize with the multiplying decay"
        )
    error = LeakError.of(factors, decay, steps, node)
    if error.size > tolerance:
        raise InvalidModel(
            f"{error.text}, beyond the allowed {100 * tolerance:g} %: train with the factor of the "
            "integers, quantize for fewer steps, or accept it with leak_tolerance"
        )
    return decay


def _drive(
    network: Network, projection: Projection, quantized: QuantizedProjection, count: int
) -> Drive:
    source, target = (
        network.population(projection.source).size,
        network.population(projection.target).size,
    )
    matrices = delay_matrices(
        projection.connection,
        source,
        target,
        quantized.weight,
        quantized.arrays(),
        projection.delay,
        projection.delay_per,
    )
    return Drive.of(matrices, quantized.exponent, count)


def _power_of_two_step(step: FloatArray, node: str, learned: bool) -> FloatArray:
    """One step for a population whose threshold an astrocyte moves, or for that astrocyte: the
    largest, rounded up to a power of two.
    """
    common = 2.0 ** np.ceil(np.log2(step.max()))
    if learned and np.any(step != common):
        raise InvalidModel(
            f"population {node!r} takes part in a threshold modulation: its learned weight steps "
            "must be one power of two; train it in float and quantize afterwards"
        )
    return np.full_like(step, common)


def _precision(
    model: TrainedNetwork,
    population: Population,
    roundings: Roundings,
    step: FloatArray,
    gain: Gain | None,
    resolution_bits: int,
) -> Guard:
    """The guard bits of a population.

    An astrocyte has some for its offset, and more where its level is worth more than a weight step.
    """
    neuron, bias = population.neuron, model.parameters[f"{population.name}.bias"]
    raised, exact = (0, 0) if gain is None else (gain.raised, gain.exact)
    most = LARGEST_GUARD + raised  # sums are shifted by LARGEST_GUARD at most
    if isinstance(neuron, Lif):
        threshold = model.values(population, "threshold")
        constants = roundings.constants(
            threshold,
            model.values(population, "v_reset") if neuron.reset == "hard" else None,
            model.values(population, "adaptation_strength") if neuron.adaptation else None,
            resolution_bits,
        )
        needs = Needs(bias, threshold, constants, exact, raised, most)
    elif isinstance(neuron, Astrocyte):
        scale = np.minimum(step, _level_scale(model, population.name, resolution_bits))
        least = BITS_BELOW_STEP
        while least < LARGEST_GUARD and np.any(step * 2.0**-least > scale * 2.0**-BITS_BELOW_STEP):
            least += 1
        needs = Needs(bias, scale, None, exact, least)
    else:
        needs = Needs(bias, step * 2.0**-raised, None, exact, raised, most)
    return guard_bits(roundings, step, needs, resolution_bits)


def _level_scale(model: TrainedNetwork, astrocyte: str, resolution_bits: int) -> float:
    """What a level is worth to what the astrocyte modulates: LEVEL_SCALE for a gain, and for a
    threshold what leaves it off by what leaks of its own may leave.
    """
    scales = []
    for modulation in (m for m in model.network.modulations if m.source == astrocyte):
        if modulation.effect == "gain":
            scales.append(LEVEL_SCALE)
        else:
            target = model.network.population(modulation.target)
            share = 2.0 ** (BITS_BELOW_STEP - aim_bits(resolution_bits))
            scales.append(share * float(model.values(target, "threshold").min()))
    return min(scales)


def _saturation(decays: dict[str, Decay], capped: bool, steps: int) -> dict[str, str]:
    """Whether a state can saturate, in words, by letter: an adaptation has the membrane's
    format.
    """
    proved = f"proved: cannot saturate within {steps} steps"
    states = {"v": "decay", "c": "synapse_decay", "a": "adaptation_decay"}
    own = [s for s, kind in states.items() if kind in decays]
    return {s: "capped" if capped and s != "c" else proved for s in own}


def _imprecise(name: str, guard: Guard, spiking: bool, resolution_bits: int, steps: int) -> str:
    """A warning about a population that all guard bits do not serve."""
    of, at, cure, constants = "a weight step", "", "", ""
    if spiking:
        of, at = "a threshold", f" at resolution_bits={resolution_bits}"
        cure = "a smaller resolution_bits, "
        constants = (
            f", and of a threshold, the way from a reset value to it or a strength of adaptation "
            f"to {guard.constant:.3g} of itself (aim {2.0 ** -(resolution_bits + 1):.3g})"
        )
    return (
        f"population {name!r}: with {guard.bits} guard bits, the most there are, roundings "
        f"of leaks add up to {guard.leak:.3g} and of biases to {guard.bias:.3g} of {of} "
        f"within {steps} steps (aim {guard.aim:.3g}){constants}{at}: accept it with "
        f"{cure}fewer steps, or train with faster leaks or larger constants"
    )


def quantize(
    trained: TrainedNetwork,
    bits: int = 8,
    decay: DecayKind = "auto",
    membrane_cap: int | None = None,
    resolution_bits: int = 5,
    max_count: int = 1,
    steps: int | None = None,
    common_scale: Collection[str] = (),
    leak_tolerance: float = LEAK_TOLERANCE,
) -> QuantizedNetwork:
    """A trained network in integers, weights of `bits` bits (2..8), widths proved for `steps`
    steps.

    - membrane_cap: accept saturation at this membrane width in bits.
    - resolution_bits: 0 to 16. A threshold is worth at least 2^resolution_bits units, and what
      rounding leaks and biases adds up to within `steps` steps is at most 2^-(resolution_bits + 3)
      of it, or 2^-8 if that is more (`neurohw.integers.precision`).
    - max_count: largest spike count per input and step.
    - common_scale: spiking populations whose membranes are compared with each other (a readout), so
      that all their neurons keep one scale.
    - leak_tolerance: how much more or less a constant input may be worth after `steps` steps,
      because a factor per step has 12 bits.

    Steps learned by quantization-aware training are used as they are for the width that they were
    learned for, and where all weights fit; else they are chosen anew. What gains, large weights and
    constants cost beyond a bound is warned of. The report of scales and
    errors is in `.info`, and what it warns of is a PrecisionWarning, too. Raises
    InvalidModel for what cannot be expressed.
    """
    exactly("quantize: trained", trained, TrainedNetwork)
    IMPLEMENTS.check(trained.network)
    bits = whole("bits of the weights", bits, Range(2, 8))
    choice("decay", decay, get_args(DecayKind))
    if membrane_cap is not None:
        membrane_cap = whole("membrane_cap", membrane_cap, Range(1, 63))
    check_resolution(resolution_bits)
    max_count = whole("max_count", max_count, Range(1, 255))
    steps = trained.steps if steps is None else whole("steps", steps, at_least(1))
    if isinstance(common_scale, str):
        raise InvalidModel(
            f"common_scale is a collection of populations, not the text {common_scale!r}"
        )
    for name in common_scale:
        trained.network.population(name)
    model = trained.folded()
    network, parameters = model.network, model.parameters
    report: dict[str, Any] = {
        "bits": bits,
        "resolution_bits": int(resolution_bits),
        "populations": {},
        "warnings": [],
    }
    populations: dict[str, QuantizedPopulation] = {}
    projections: dict[str, QuantizedProjection] = {}
    modulations: dict[str, QuantizedModulation] = {}
    levels: dict[str, Levels] = {}  # of astrocytes
    shifting = {
        end for m in network.modulations if m.effect == "threshold" for end in (m.source, m.target)
    }
    # astrocytes first: what they modulate has room for the largest level
    for population in sorted(
        network.populations[1:], key=lambda p: not isinstance(p.neuron, Astrocyte)
    ):
        name, neuron, incoming = population.name, population.neuron, network.into(population.name)
        assert not isinstance(neuron, Source)
        spiking, astrocyte = isinstance(neuron, Lif), isinstance(neuron, Astrocyte)
        compared = not spiking or name in common_scale
        step, learned, told = choose_step(
            model, population, bits, compared, compared or name in shifting
        )
        report["warnings"] += [told] if told else []
        if name in shifting:
            step = _power_of_two_step(step, name, learned)
        threshold = (
            model.values(population, "threshold") if spiking else np.ones(population.parameters)
        )
        adaptive = isinstance(neuron, Lif) and neuron.adaptation is not None
        decays: dict[str, Decay] = {}
        leak_errors: dict[str, float] = {}
        present = {
            "decay": True,
            "synapse_decay": neuron.synapse_decay is not None,
            "adaptation_decay": adaptive,
        }
        for kind in (k for k, there in present.items() if there):
            factors, node = model.values(population, kind), f"{name}.{kind}"
            decays[kind] = quantize_decay(factors, decay, node, steps, leak_tolerance)
            error = LeakError.of(factors, decays[kind], steps, node)
            leak_errors[kind] = error.size
            if error.size > LEAK_WARNING:
                report["warnings"].append(f"{error.text}: train with the factor of the integers")
        acting = network.modulation(name, "gain")
        gain = None if acting is None else quantize_gain(acting, levels[acting.source])
        roundings = Roundings.of(
            decays["decay"],
            decays.get("synapse_decay"),
            decays.get("adaptation_decay"),
            isinstance(neuron, Lif) and neuron.membrane_bias,
            steps,
            population.parameters,
        )
        precision = _precision(model, population, roundings, step, gain, resolution_bits)
        if not precision.met:
            report["warnings"].append(_imprecise(name, precision, spiking, resolution_bits, steps))
        guard = precision.bits
        unit = step * 2.0**-guard
        limits = IntFormat(bits)

        def to_int(values: FloatArray, unit: FloatArray = unit) -> IntArray:
            return np.round(values / unit).astype(np.int64)

        squared_error, synapses, drives = 0.0, 0, []
        rounded: dict[str, Rounded] = {}
        for projection in incoming:
            weight = parameters[f"{projection.name}.weight"]
            weight_step = model.per_weight(projection, step)
            integers = np.clip(np.round(weight / weight_step), limits.min, limits.max).astype(
                np.int64
            )
            count = max_count if projection.source == network.input.name else 1
            rounded[projection.name] = Rounded(integers * weight_step, count)
            squared_error += float(((weight - rounded[projection.name].weight) ** 2).sum())
            synapses += weight.size
            where = {k: parameters.get(f"{projection.name}.{k}") for k in CONNECTION_FIELDS}
            projections[projection.name] = QuantizedProjection(
                integers,
                bits,
                guard - (gain.raised if gain else 0),
                **{k: v.astype(np.int64) for k, v in where.items() if v is not None},
            )
            drives.append(_drive(network, projection, projections[projection.name], count))

        reach = roundings.sum / threshold if spiking else None
        report["warnings"] += weight_warnings(
            model,
            population,
            rounded,
            step,
            bits,
            reach if reach is None or gain is None else reach * gain.largest,
        )
        hard = isinstance(neuron, Lif) and neuron.reset == "hard"
        bias = to_int(parameters[f"{name}.bias"])
        constants = Constants(
            bias=bias,
            threshold=np.maximum(to_int(threshold), 1) if spiking else np.ones_like(bias),
            v_reset=to_int(model.values(population, "v_reset")) if hard else np.zeros_like(bias),
            decay=decays["decay"],
            synapse_decay=decays.get("synapse_decay"),
            adaptation_decay=decays.get("adaptation_decay"),
            adaptation_strength=to_int(model.values(population, "adaptation_strength"))
            if adaptive
            else None,
            offset=to_int(parameters[f"{name}.offset"]) if astrocyte else None,
        )
        for modulation in (m for m in network.modulations if m.target == name):
            if modulation is acting:
                assert gain is not None and gain.modulation.table is not None
                made = gain.modulation
                constants = replace(constants, largest_gain=int(gain.modulation.table.max()))
                most = largest_excitation(model, population, max_count)
                force = np.inf if reach is None else float(reach.max()) * most
                text = gain_warning(modulation, gain, levels[modulation.source], force)
                report["warnings"] += [text] if text else []
            else:
                source = levels[modulation.source]
                made = QuantizedModulation(round(np.log2(unit[0] / source.unit)))
                if abs(made.shift) > LARGEST_SHIFT:
                    raise InvalidModel(
                        f"modulation {modulation.name!r}: its ends count in units that "
                        f"differ by 2^{made.shift}, at most 2^{LARGEST_SHIFT} is allowed"
                    )
                level = max(source.highest, 0)
                rise = level >> made.shift if made.shift >= 0 else level << -made.shift
                constants = replace(constants, largest_rise=rise)
            modulations[modulation.name] = made
        widths = prove_widths(neuron, drives, constants, steps, membrane_cap)
        check_products(name, widths, constants)
        populations[name] = QuantizedPopulation(
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
            constants.offset,
        )
        if constants.offset is not None:
            levels[name] = Levels(
                float(unit[0]),
                int(constants.offset.min()) - widths.largest,
                int(constants.offset.max()) + widths.largest,
                constants.offset,
                parameters[f"{name}.offset"],
            )
        decay_error = model.values(population, "decay") - decay_factor(constants.decay)
        exponent = float(np.floor(np.log2(np.median(step))))
        report["populations"][name] = {
            "scale_exponent": exponent,
            "channel_factor_range": [
                float((step / 2**exponent).min()),
                float((step / 2**exponent).max()),
            ],
            "unit": [float(x) for x in unit],
            "guard_bits": guard,
            "rounding": {
                "leak": precision.leak,
                "bias": precision.bias,
                "of": "threshold" if spiking else "weight step",
            },
            "leak_error": leak_errors,
            "weight_rms_error": float(np.sqrt(squared_error / synapses)),
            "accumulator_bits": widths.accumulator.bits,
            "current_bits": widths.current.bits,
            "membrane_bits": widths.membrane.bits,
            "proved_membrane_bits": widths.proved_membrane.bits,
            "capped": widths.capped,
            "saturation": _saturation(decays, widths.capped, steps),
            "decay_error": float(np.abs(decay_error).max()),
        }
    populations = {p.name: populations[p.name] for p in network.populations[1:]}
    report["populations"] = {name: report["populations"][name] for name in populations}
    projections = {p.name: projections[p.name] for p in network.projections}
    modulations = {m.name: modulations[m.name] for m in network.modulations}
    for warning in report["warnings"]:
        warnings.warn(warning, PrecisionWarning, stacklevel=2)
    return QuantizedNetwork(
        network, populations, projections, steps, max_count, report, trained.digest(), modulations
    )
