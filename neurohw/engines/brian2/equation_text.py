# SPDX-License-Identifier: Apache-2.0
"""The step of a population as Brian2 code: one text for the engine and for the exported script.

All numbers are float64. A quantized network's integers stay exact there: every product stays below
2^53 (`MAX_STATE_BITS`), decays round with `floor` as the arithmetic shift or toward zero as Loihi,
and states are clipped to their formats.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.connections import MATRICES
from neurohw.errors import Unsupported
from neurohw.fixedpoint import (
    MULTIPLY_UNIT,
    Decay,
    IntFormat,
    MultiplyDecay,
    MultiplyDecays,
    NoDecay,
    ShiftDecay,
)
from neurohw.integers import QuantizedNetwork
from neurohw.modulation import Modulation, spread
from neurohw.network import GRAPH, Population, TrainedNetwork
from neurohw.neurons import Adaptation, Astrocyte, Integrator, Lif, Source, as_lif
from neurohw.support import Implements, attributes

# what `equations` writes, `synapse_list` connects and the script says
IMPLEMENTS = Implements(
    "Brian2 code",
    GRAPH
    | MATRICES
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
        Modulation: attributes("source target max_gain", effect=("threshold", "gain")),
        NoDecay: attributes(),
        ShiftDecay: attributes("shift"),
        MultiplyDecay: attributes("delta"),
        MultiplyDecays: attributes("deltas"),
    },
)
MAX_STATE_BITS = 40  # |v| (4096 - delta) < 2^52
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Code:
    """One population for Brian2.

    modulate: statements at the beginning of a step, before any population advances: what astrocytes
        do.
    levels: for every one of them the variable that is linked to its membranes, and its name.
    tables: look-up tables of integer gains, by the name of the function.
    update: statements that take the summed input I into the membrane v.
    threshold: condition of a spike.
    reset: statements after one; both empty for a readout that never fires.
    variables: state variables.
    constants: values that the code names, a number or one for every neuron.
    """

    update: str
    threshold: str
    reset: str
    variables: tuple[str, ...]
    constants: dict[str, float | Values]
    modulate: str = ""
    levels: dict[str, str] = field(default_factory=dict)
    tables: dict[str, Values] = field(default_factory=dict)

    def model(self) -> str:
        """The model text of the NeuronGroup: its variables, and the constants that differ between
        neurons.
        """
        own = [name for name, value in self.constants.items() if not isinstance(value, float)]
        texts = [f"{n} : 1" for n in self.variables] + [f"{n} : 1 (constant)" for n in own]
        return "\n".join(texts + [f"{n} : 1 (linked)" for n in self.levels])

    def namespace(self) -> dict[str, float]:
        """The constants that all neurons share."""
        return {name: value for name, value in self.constants.items() if isinstance(value, float)}


def _shared(values: NDArray[Any]) -> float | Values:
    array = np.asarray(values, np.float64)
    return float(array[0]) if np.all(array == array[0]) else array


def _integer_decay(
    name: str, variable: str, decay: Decay, population: Population
) -> tuple[str, dict[str, Any]]:
    match decay:
        case NoDecay():
            return variable, {}
        case ShiftDecay(shift):
            return f"{variable} - floor({variable}/{2**shift})", {}
        case MultiplyDecay(delta):
            kept: float | Values = float(MULTIPLY_UNIT - delta)
        case MultiplyDecays(deltas):
            kept = _shared(MULTIPLY_UNIT - population.expand(np.array(deltas)))
    return f"sign({variable})*floor(abs({variable})*{name}/{MULTIPLY_UNIT})", {name: kept}


def _clip(text: str, limits: IntFormat) -> str:
    return f"clip({text}, {limits.min}, {limits.max})"


class _Numbers:
    """How the numbers of a population behave: decays by name, saturations, and the constants they
    need.
    """

    def __init__(self, model: TrainedNetwork | QuantizedNetwork, population: Population) -> None:
        self.constants: dict[str, Any] = {}
        self.population = population
        self.quantized = (
            model.populations[population.name] if isinstance(model, QuantizedNetwork) else None
        )
        self.trained = None if isinstance(model, QuantizedNetwork) else model

    def value(self, name: str) -> None:
        """Define the constant `name`: bias, threshold, v_reset or adaptation_strength."""
        values = (
            getattr(self.quantized, name)
            if self.quantized
            else self.trained.values(self.population, name)  # type: ignore[union-attr]
        )
        self.constants[name] = _shared(self.population.expand(np.asarray(values, np.float64)))

    def decayed(self, name: str, variable: str) -> str:
        """The expression of a variable after one step of the decay `name`."""
        if self.quantized is None:
            assert self.trained is not None
            factor = _shared(self.population.expand(self.trained.values(self.population, name)))
            if isinstance(factor, float) and factor == 1.0:
                return variable
            self.constants[name] = factor
            return f"{name}*{variable}"
        text, constants = _integer_decay(
            name, variable, getattr(self.quantized, name), self.population
        )
        self.constants |= constants
        return text

    def membrane(self, text: str) -> str:
        """Saturated to the membrane's format."""
        return _clip(text, self.quantized.membrane) if self.quantized else text

    def current(self, text: str) -> str:
        """Saturated to the format of the synaptic current."""
        return _clip(text, self.quantized.current) if self.quantized else text


@dataclass
class _Acting:
    """What astrocytes do to a population: the statements, and the levels, tables and constants that
    they need.
    """

    statements: list[str] = field(default_factory=list)
    levels: dict[str, str] = field(default_factory=dict)
    tables: dict[str, Values] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)


def _acting(model: TrainedNetwork | QuantizedNetwork, population: Population) -> _Acting:
    """The factor `gain` of the sum (in 256ths where it is an integer) and the `rise` of the
    threshold.
    """
    network, result = model.network, _Acting()
    for modulation in (m for m in network.modulations if m.target == population.name):
        source, kind = network.population(modulation.source), modulation.effect
        result.levels[f"v_{kind}"] = source.name
        integers = (
            model.modulations[modulation.name] if isinstance(model, QuantizedNetwork) else None
        )
        offset = (
            model.populations[source.name].offset
            if isinstance(model, QuantizedNetwork)
            else model.values(source, "offset")
        )
        assert offset is not None
        result.constants[f"offset_{kind}"] = _shared(spread(source.expand(offset), population.size))
        level = f"(v_{kind} + offset_{kind})"
        if kind == "threshold":
            rise = f"int({level} > 0)*{level}"
            result.statements.append(
                f"rise = {rise if integers is None else f'floor({rise}*{2.0**-integers.shift!r})'}"
            )
        elif integers is None:
            result.statements.append(f"gain = {float(modulation.max_gain)!r}/(1 + exp(-{level}))")
        else:
            assert integers.table is not None
            result.tables["table"] = integers.table.astype(np.float64)
            half = len(integers.table) // 2
            # entry i of a TimedArray lasts from second i to second i + 1
            place = f"clip(floor({level}/{2**integers.shift}), -{half}, {half - 1}) + {half + 0.5}"
            result.statements.append(f"gain = table(({place})*second)")
    return result


def equations(model: TrainedNetwork | QuantizedNetwork, population: Population) -> Code:
    """The Brian2 code of one population of a (folded) model, in the order of
    `neurohw.step.advance`.
    """
    neuron = population.neuron
    assert not isinstance(neuron, Source)
    numbers = _Numbers(model, population)
    lif = as_lif(neuron)
    has_synapse = neuron.synapse_decay is not None
    adaptive = lif.adaptation is not None
    spiking = neuron.spiking
    numbers.value("bias")
    if spiking:
        numbers.value("threshold")
    if spiking and lif.reset == "hard":
        numbers.value("v_reset")
    acting = _acting(model, population)
    has_gain, has_rise = (f"v_{kind}" in acting.levels for kind in ("gain", "threshold"))
    theta = "theta" if adaptive or has_rise else "threshold"
    update: list[str] = []
    if lif.refractory:
        update.append("held = int(r > 0)")
    if theta == "theta":
        update.append("theta = threshold" + " + a" * adaptive + " + rise" * has_rise)
    if adaptive:
        numbers.value("adaptation_strength")
        update.append(f"a = {numbers.decayed('adaptation_decay', 'a')}")
    scaled = "I*gain" if numbers.quantized is None else "floor(I*gain/256)"
    total = scaled if has_gain else "I"
    arriving = total if lif.membrane_bias else f"{total} + bias"
    current = (
        numbers.current(f"{numbers.decayed('synapse_decay', 'c')} + {arriving}")
        if has_synapse
        else arriving
    )
    if lif.clears_current and lif.refractory:
        current = f"(1 - held)*({current})"
    if lif.clears_current and lif.delayed_reset:
        current = f"(1 - r)*({current})"
    if not lif.delayed_current:
        update.append(f"c = {current}")
    drive = "c"
    if lif.membrane_bias:
        drive += " + bias"
    before = "v"
    if lif.delayed_reset and lif.reset == "hard":
        update.append("v = r*v_reset + (1 - r)*v")
    if lif.delayed_reset and lif.reset == "soft":
        drive += f" - r*{theta}"
    u = numbers.membrane(f"{numbers.decayed('decay', before)} + {drive}")
    holds = lif.refractory and not lif.integrates_refractory
    update.append(f"v = held*v + (1 - held)*({u})" if holds else f"v = {u}")
    if lif.delayed_current:  # the membrane has taken the current of the step before
        update.append(f"c = {current}")
    if lif.refractory:
        update.append("r = clip(r - 1, 0, r)")
    if lif.delayed_reset:
        update.append("r = 0")
    update.append("I = 0")
    reset: list[str] = []
    if lif.delayed_reset:
        reset.append("r = 1")
    elif lif.reset == "soft":
        reset.append(f"v -= {theta}")
    elif lif.reset == "hard":
        reset.append("v = v_reset")
    if lif.refractory:
        reset.append(f"r = {lif.refractory}")
    if adaptive:
        reset.append(f"a = {numbers.membrane('a + adaptation_strength')}")
    condition = f"v {'>' if lif.strict else '>='} {theta}" + (
        " and held < 0.5" if lif.refractory else ""
    )
    variables = ["v", "c", "I", "r"] + ["a"] * adaptive + ["theta"] * (theta == "theta")
    variables += ["held"] * bool(lif.refractory) + ["gain"] * has_gain + ["rise"] * has_rise
    return Code(
        "\n".join(update),
        condition if spiking else "",
        "\n".join(reset) if spiking else "",
        tuple(variables),
        numbers.constants | acting.constants,
        "\n".join(acting.statements),
        acting.levels,
        acting.tables,
    )


def check(model: TrainedNetwork | QuantizedNetwork) -> None:
    """Raise Unsupported, naming the node, for what `IMPLEMENTS` does not name, and for integers
    that float64 would not hold exactly.
    """
    if not isinstance(model, QuantizedNetwork):
        IMPLEMENTS.check(model.network)
        return
    IMPLEMENTS.check(model.network, model.populations)
    for name, q in model.populations.items():
        for what, limits in (
            ("membrane", q.membrane),
            ("current", q.current),
            ("accumulator", q.accumulator),
        ):
            if limits.bits > MAX_STATE_BITS:
                raise Unsupported(
                    f"population {name!r}: the {what} has {limits.bits} bits, Brian2's float64 "
                    f"holds integers exactly up to {MAX_STATE_BITS}: set a membrane cap"
                )
    for modulation in model.network.modulations:
        integers = model.modulations[modulation.name]
        bits = model.populations[modulation.source].membrane.bits + 1 + max(0, -integers.shift)
        if integers.table is None and bits > MAX_STATE_BITS:
            raise Unsupported(
                f"modulation {modulation.name!r}: the rise of the threshold has {bits} bits, "
                f"Brian2's float64 holds integers exactly up to {MAX_STATE_BITS}"
            )
