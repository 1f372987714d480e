"""Post-training quantization: float parameters to integers.

One power-of-two scale 2^-f belongs to a population. Each neuron may stretch its weights by its own factor, which
moves into its threshold, bias and reset value: scaling every input of a neuron together with its threshold changes no
spike. The outputs of an Integrator are compared with each other, so all of them keep the common scale.
With `step_j` the weight of one unit in the last place of neuron j, and g guard bits below it in the membrane:

    w_int = round(w / step_j)        threshold_int = round(threshold 2^g / step_j)        I = bias_int + (sum << g)
"""

from collections.abc import Collection
from typing import Any, Literal

import numpy as np

from neurohw.connections import Convolution, Sparse, delay_matrices
from neurohw.errors import InvalidModel
from neurohw.fixedpoint import (
    MULTIPLY_UNIT,
    Decay,
    IntArray,
    IntFormat,
    MultiplyDecay,
    MultiplyDecays,
    NoDecay,
    ShiftDecay,
)
from neurohw.network import CONNECTION_FIELDS, FloatArray, Network, Population, Projection, TrainedNetwork
from neurohw.neurons import Lif, Source
from neurohw.quantize.dequantize import decay_factor
from neurohw.quantize.quantized import QuantizedNetwork, QuantizedPopulation, QuantizedProjection
from neurohw.quantize.widths import Constants, Drive, prove_widths

DecayKind = Literal["auto", "shift", "multiply"]
CLIP_CANDIDATES = np.linspace(0.3, 1.0, 71)


def quantize_decay(factors: float | FloatArray, kind: DecayKind = "auto", node: str = "decay") -> Decay:
    """The integer decay for a float factor per step, or for factors [parameter].

    auto: no decay for 1, the shift where factor = 1 - 2^-k exactly, else the multiply by (4096 - delta)/4096; different factors get a multiply
    each. shift: InvalidModel, naming the nearest shift, unless exact: a rounded leak would be another model than the trained one.
    """
    different = np.unique(factors)
    if len(different) > 1:
        if kind == "shift":
            raise InvalidModel(
                f"{node}: {len(different)} different factors in one population need the multiplying decay"
            )
        return MultiplyDecays(tuple(np.round((1.0 - np.asarray(factors)) * MULTIPLY_UNIT).astype(int).tolist()))
    factor = float(different[0])
    if factor == 1.0:
        return NoDecay()
    shift = round(-np.log2(1.0 - factor))
    exact = 1 <= shift <= 15 and factor == 1.0 - 2.0**-shift
    if kind != "multiply" and exact:
        return ShiftDecay(shift)
    if kind == "shift":
        nearest = min(max(shift, 1), 15)
        raise InvalidModel(
            f"{node}: {factor} is not 1 - 2^-k, so no shift equals it; train with {1 - 2.0**-nearest} "
            "or quantize with the multiplying decay"
        )
    return MultiplyDecay(round((1.0 - factor) * MULTIPLY_UNIT))


def weight_steps(weight: FloatArray, bits: int, common: bool) -> FloatArray:
    """Weight of one unit in the last place, per target neuron [target].

    8 bits and more use the largest weight; below, a grid search over clipping points minimises the squared error of each
    row (of the whole matrix if `common`). A row of zeros takes the matrix's step.
    """
    limit = IntFormat(bits).max
    rows = weight.reshape(1, -1) if common else weight
    largest = np.abs(rows).max(axis=1)
    largest[largest == 0] = np.abs(weight).max() or 1.0
    best, error = largest / limit, np.full(len(rows), np.inf)
    for clip in CLIP_CANDIDATES if bits < 8 else [1.0]:
        step = clip * largest / limit
        integers = np.clip(np.round(rows / step[:, None]), -limit - 1, limit)
        candidate = ((rows - integers * step[:, None]) ** 2).sum(axis=1)
        better = candidate < error
        best, error = np.where(better, step, best), np.where(better, candidate, error)
    return np.broadcast_to(best, weight.shape[:1]).copy()


def _membrane_guard_bits(threshold: FloatArray, step: FloatArray, resolution_bits: int) -> int:
    """Fewest guard bits that give every threshold at least 2^resolution_bits units."""
    guard = 0
    while guard < 16 and float((threshold / step).min()) * 2**guard < 2**resolution_bits:
        guard += 1
    return guard


def weight_rows(model: TrainedNetwork, population: Population) -> FloatArray:
    """The incoming weights of every parameter of a population [parameter, weight], filled up with zeros.

    Where a convolution reaches neurons with parameters of their own, a row is a channel: its neurons share weights, so they share a step.
    """
    rows: list[list[FloatArray]] = []
    channels = [
        p.connection.channels
        for p in model.network.into(population.name)
        if isinstance(p.connection, Convolution) and population.channels is None
    ]
    count = min([population.parameters, *channels])
    for projection in model.network.into(population.name):
        weight = model.parameters[f"{projection.name}.weight"]
        if isinstance(projection.connection, Sparse):
            owner = model.parameters[f"{projection.name}.target"].astype(int) // (population.size // count)
            rows.append([weight[owner == i] for i in range(count)])
        else:
            rows.append(list(weight.reshape(count, -1)))
    joined = [np.concatenate(parts) for parts in zip(*rows, strict=True)]
    result = np.zeros((count, max(len(row) for row in joined)))
    for row, values in zip(result, joined, strict=True):
        row[: len(values)] = values
    return result


def _drive(network: Network, projection: Projection, quantized: QuantizedProjection, max_count: int) -> Drive:
    source, target = network.population(projection.source).size, network.population(projection.target).size
    count = max_count if projection.source == network.input.name else 1
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


def quantize(
    trained: TrainedNetwork,
    bits: int = 8,
    decay: DecayKind = "auto",
    membrane_cap: int | None = None,
    resolution_bits: int = 5,
    max_count: int = 1,
    steps: int | None = None,
    common_scale: Collection[str] = (),
) -> QuantizedNetwork:
    """A trained network in integers, weights of `bits` bits (2..8), widths proved for `steps` steps.

    membrane_cap: accept saturation at this membrane width in bits. resolution_bits: a threshold is worth at least 2^resolution_bits units,
    so that rounding leaks and thresholds stays small. max_count: largest spike count per input and step. common_scale: spiking populations whose
    membranes are compared with each other (a readout), so that all their neurons keep one scale. Steps learned by quantization-aware
    training are used as they are. The report of scales and errors is in `.info`.
    Raises InvalidModel for what cannot be expressed.
    """
    if not 2 <= bits <= 8:
        raise InvalidModel(f"weights have 2 to 8 bits, not {bits}")
    for name in common_scale:
        trained.network.population(name)
    model = trained.folded()
    network, parameters = model.network, model.parameters
    steps = steps or trained.steps
    report: dict[str, Any] = {"bits": bits, "populations": {}}
    populations: dict[str, QuantizedPopulation] = {}
    projections: dict[str, QuantizedProjection] = {}
    for population in network.populations[1:]:
        name, neuron, incoming = population.name, population.neuron, network.into(population.name)
        assert not isinstance(neuron, Source)
        spiking = isinstance(neuron, Lif)
        rows = weight_rows(model, population)
        learned = [parameters[f"{p.name}.step"] for p in incoming if f"{p.name}.step" in parameters]
        step = (
            learned[0]
            if len(learned) == len(incoming) == 1
            else weight_steps(rows, bits, not spiking or name in common_scale)
        )
        step = np.repeat(step, population.parameters // len(step))
        threshold = model.values(population, "threshold") if spiking else np.ones(population.parameters)
        guard = _membrane_guard_bits(threshold, step, resolution_bits) if spiking else 0
        unit = step * 2.0**-guard
        limits = IntFormat(bits)

        def to_int(values: FloatArray, unit: FloatArray = unit) -> IntArray:
            return np.round(values / unit).astype(np.int64)

        squared_error, synapses, drives = 0.0, 0, []
        for projection in incoming:
            weight = parameters[f"{projection.name}.weight"]
            weight_step = model.per_weight(projection, step)
            integers = np.clip(np.round(weight / weight_step), limits.min, limits.max).astype(np.int64)
            squared_error += float(((weight - integers * weight_step) ** 2).sum())
            synapses += weight.size
            where = {k: parameters.get(f"{projection.name}.{k}") for k in CONNECTION_FIELDS}
            projections[projection.name] = QuantizedProjection(
                integers, bits, guard, **{k: v.astype(np.int64) for k, v in where.items() if v is not None}
            )
            drives.append(_drive(network, projection, projections[projection.name], max_count))

        def integer_decay(kind: str, population: Population = population) -> Decay:
            return quantize_decay(model.values(population, kind), decay, f"{population.name}.{kind}")

        adaptive = isinstance(neuron, Lif) and neuron.adaptation is not None
        hard = isinstance(neuron, Lif) and neuron.reset == "hard"
        bias = to_int(parameters[f"{name}.bias"])
        constants = Constants(
            bias=bias,
            threshold=np.maximum(to_int(threshold), 1) if spiking else np.ones_like(bias),
            v_reset=to_int(model.values(population, "v_reset")) if hard else np.zeros_like(bias),
            decay=integer_decay("decay"),
            synapse_decay=None if neuron.synapse_decay is None else integer_decay("synapse_decay"),
            adaptation_decay=integer_decay("adaptation_decay") if adaptive else None,
            adaptation_strength=to_int(model.values(population, "adaptation_strength")) if adaptive else None,
        )
        widths = prove_widths(neuron, drives, constants, steps, membrane_cap)
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
        )
        decay_error = model.values(population, "decay") - decay_factor(constants.decay)
        exponent = float(np.floor(np.log2(np.median(step))))
        report["populations"][name] = {
            "scale_exponent": exponent,
            "channel_factor_range": [float((step / 2**exponent).min()), float((step / 2**exponent).max())],
            "unit": [float(x) for x in unit],
            "guard_bits": guard,
            "weight_rms_error": float(np.sqrt(squared_error / synapses)),
            "accumulator_bits": widths.accumulator.bits,
            "current_bits": widths.current.bits,
            "membrane_bits": widths.membrane.bits,
            "proved_membrane_bits": widths.proved_membrane.bits,
            "capped": widths.capped,
            "decay_error": float(np.abs(decay_error).max()),
        }
    return QuantizedNetwork(network, populations, projections, steps, max_count, report, trained.digest())
