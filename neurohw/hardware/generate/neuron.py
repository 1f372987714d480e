# SPDX-License-Identifier: Apache-2.0
"""The neuron parameters of one layer of hardware, by their names in `nhw_neuron_update` (see
docs/hardware.md).
"""

from neurohw.fixedpoint import Decay, MultiplyDecay, MultiplyDecays, NoDecay, ShiftDecay
from neurohw.integers import QuantizedPopulation
from neurohw.network import Population
from neurohw.neurons import Adaptation, Astrocyte, Integrator, Lif, Source, as_lif
from neurohw.support import attributes

# what `nhw_neuron_update` computes of `neuron_parameters`
NEURONS = {
    Lif: attributes(
        "decay threshold v_reset synapse_decay refractory adaptation strict delayed_reset "
        "membrane_bias delayed_current clears_current integrates_refractory",
        reset=("soft", "hard", "none"),
    ),
    Adaptation: attributes("decay strength"),
    Integrator: attributes("decay synapse_decay"),
    Astrocyte: attributes("decay synapse_decay"),
    Source: attributes(),
    NoDecay: attributes(),
    ShiftDecay: attributes("shift"),
    MultiplyDecay: attributes("delta"),
    MultiplyDecays: attributes("deltas"),
}

# one-bit parameters
NEURON_FLAGS = (
    "HARD_RESET",
    "RESET_NONE",
    "DELAYED_RESET",
    "STRICT",
    "MEMBRANE_BIAS",
    "DELAYED_CURRENT",
    "CLEARS_CURRENT",
    "INTEGRATES_REFRACTORY",
    "SPIKING",
)

ABSENT, SHIFT, MULTIPLY, NO_DECAY, MULTIPLY_EACH = range(5)


def decay_parameters(decay: Decay | None) -> tuple[int, int]:
    """(KIND, VALUE) of a decay:

    0 no such state, 1 shift, 2 multiply, 3 state without decay, 4 multiply by a factor per neuron.

    Equal deltas of single neurons are one delta of the layer, which costs no memory.
    """
    match decay:
        case None:
            return ABSENT, 0
        case ShiftDecay(shift):
            return SHIFT, shift
        case MultiplyDecay(delta):
            return MULTIPLY, delta
        case MultiplyDecays(deltas):
            return (MULTIPLY_EACH, 0) if len(set(deltas)) > 1 else (MULTIPLY, deltas[0])
        case NoDecay():
            return NO_DECAY, 0


def neuron_parameters(population: Population, quantized: QuantizedPopulation) -> dict[str, int]:
    """The parameters that say what a neuron of the population computes, flags as 0 or 1."""
    neuron = population.neuron
    lif = as_lif(neuron)
    decays = {
        "DECAY": decay_parameters(quantized.decay),
        "SYNAPSE": decay_parameters(quantized.synapse_decay),
        "ADAPTATION": decay_parameters(quantized.adaptation_decay),
    }
    return {
        **{
            f"{name}_{field}": pair[i]
            for name, pair in decays.items()
            for i, field in enumerate(("KIND", "VALUE"))
        },
        "HARD_RESET": int(lif.reset == "hard"),
        "RESET_NONE": int(neuron.spiking and lif.reset == "none"),
        "DELAYED_RESET": int(lif.delayed_reset),
        "STRICT": int(lif.strict),
        "MEMBRANE_BIAS": int(lif.membrane_bias),
        "DELAYED_CURRENT": int(lif.delayed_current),
        "CLEARS_CURRENT": int(lif.clears_current),
        "INTEGRATES_REFRACTORY": int(lif.integrates_refractory),
        "REFRACTORY_STEPS": lif.refractory,
        "SPIKING": int(neuron.spiking),
    }
