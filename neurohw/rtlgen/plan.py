"""How a network is cut into layers of hardware: lanes, update lanes, bank shapes."""

from dataclasses import dataclass
from typing import Any

from neurohw.errors import Unsupported
from neurohw.fixedpoint import Decay, MultiplyDecay, NoDecay, ShiftDecay
from neurohw.neurons import Lif
from neurohw.quantize import QuantizedNetwork

BANK_ROWS = 1024
UPDATE_LANES = 4  # more cost logic and Fmax, and save few clocks: the update hides behind the events
MAX_STATE_BITS = 32
MAX_LAYERS = 15
MAX_INPUTS = 32768


@dataclass(frozen=True)
class Layer:
    """One instance of `nhw_layer`: the population, its projection, and every module parameter by name."""

    population: str
    projection: str
    parameters: dict[str, Any]


def _divisor_at_most(number: int, limit: int) -> int:
    return max(d for d in range(1, min(number, limit) + 1) if number % d == 0)


def _decay_parameters(decay: Decay) -> tuple[int, int]:
    match decay:
        case NoDecay():
            return 0, 0
        case ShiftDecay(shift):
            return 1, shift
        case MultiplyDecay(delta):
            return 2, delta


def _synapse_parameters(decay: Decay | None) -> tuple[int, int]:
    if decay is None:
        return 0, 0
    kind, value = _decay_parameters(decay)
    return (3, 0) if kind == 0 else (kind, value)


def check_supported(model: QuantizedNetwork) -> None:
    """Raise Unsupported, naming node and value, for what the cores cannot express: anything but a chain without delays."""
    network = model.network
    names = [p.name for p in network.populations]
    if len(names) - 1 > MAX_LAYERS:
        raise Unsupported(f"{len(names) - 1} populations after the input: the register map holds {MAX_LAYERS}")
    for before, population in zip(names, network.populations[1:], strict=False):
        incoming = network.into(population.name)
        if len(incoming) != 1 or incoming[0].source != before:
            sources = ", ".join(p.source for p in incoming)
            raise Unsupported(
                f"population {population.name!r} is fed by {sources}: the RTL needs exactly one projection, from {before!r}"
            )
        if incoming[0].delay:
            raise Unsupported(
                f"projection {incoming[0].name!r} has delay {incoming[0].delay}: the RTL has no delay lines yet"
            )
        quantized = model.populations[population.name]
        for what, limits in (
            ("membrane", quantized.membrane),
            ("current", quantized.current),
            ("accumulator", quantized.accumulator),
        ):
            if limits.bits > MAX_STATE_BITS:
                raise Unsupported(
                    f"{what} of population {population.name!r} has {limits.bits} bits, at most {MAX_STATE_BITS} are supported: set a membrane cap"
                )
    for population in network.populations[:-1]:
        if population.size > MAX_INPUTS:
            raise Unsupported(
                f"population {population.name!r} has {population.size} neurons, an event address has 15 bits"
            )


def plan_layers(model: QuantizedNetwork, lanes: int, memory_style: str = "auto") -> tuple[Layer, ...]:
    """Layers in order, with the first population on `lanes` lanes and the later ones on as many as they need to keep up.

    An event of population k costs ceil(N/lanes) clocks. Later layers see at most as many events as earlier neurons, of which few fire, so that
    a layer whose events cost no more than those of the first, per neuron of its source, never holds up the pipeline.
    """
    if lanes < 1:
        raise Unsupported(f"lanes must be at least 1, not {lanes}")
    check_supported(model)
    layers = []
    network = model.network
    first_cost = network.input.size * -(-network.populations[1].size // min(lanes, network.populations[1].size))
    for number, population in enumerate(network.populations[1:]):
        projection = network.into(population.name)[0]
        quantized, synapses = model.populations[population.name], model.projections[projection.name]
        inputs, neurons = network.population(projection.source).size, population.size
        own_lanes = min(lanes, neurons)
        if number:
            own_lanes = next((n for n in range(1, own_lanes) if inputs * -(-neurons // n) <= first_cost), own_lanes)
        neuron = population.neuron
        decay_kind, decay_value = _decay_parameters(quantized.decay)
        synapse_kind, synapse_value = _synapse_parameters(quantized.synapse_decay)
        spiking = isinstance(neuron, Lif)
        layers.append(
            Layer(
                population.name,
                projection.name,
                {
                    "LAYER_ID": number,
                    "INPUTS": inputs,
                    "NEURONS": neurons,
                    "LANES": own_lanes,
                    "UPDATE_LANES": _divisor_at_most(own_lanes, UPDATE_LANES),
                    "WEIGHT_BITS": synapses.bits,
                    "WEIGHT_EXPONENT": synapses.exponent,
                    "ACCUMULATOR_BITS": max(quantized.accumulator.bits, synapses.bits),
                    "CURRENT_BITS": quantized.current.bits,
                    "MEMBRANE_BITS": quantized.membrane.bits,
                    "DECAY_KIND": decay_kind,
                    "DECAY_VALUE": decay_value,
                    "SYNAPSE_KIND": synapse_kind,
                    "SYNAPSE_VALUE": synapse_value,
                    "HARD_RESET": int(spiking and neuron.reset == "hard"),  # type: ignore[union-attr]
                    "REFRACTORY_STEPS": neuron.refractory if isinstance(neuron, Lif) else 0,
                    "SPIKING": int(spiking),
                    "WEIGHT_FILE": f"{population.name}_weights_",
                    "PARAMETER_FILE": f"{population.name}_parameters.hex",
                    "BANK_ROWS": BANK_ROWS,
                    "MEMORY_STYLE": memory_style,
                },
            )
        )
    return tuple(layers)
