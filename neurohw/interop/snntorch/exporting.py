# SPDX-License-Identifier: Apache-2.0
"""A trained network as a script of snnTorch layers.

Where snnTorch has no neuron for a network's own convention, the script holds it as a few lines: a
spike function that fires at the threshold, and a reset in the step of the spike.
"""

import math
import runpy
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neurohw.connections import Convolution, Dense, Sparse
from neurohw.errors import InvalidData, Unsupported
from neurohw.interop.snntorch.script import AT_ONCE, AT_THRESHOLD, ONE_AT_ONCE, SCRIPT
from neurohw.network import GRAPH, Population, Projection, TrainedNetwork
from neurohw.neurons import Integrator, Lif, Source
from neurohw.spike_files import SOURCE
from neurohw.storage import ARRAYS_SHA256, write_script
from neurohw.support import Implements, attributes

if TYPE_CHECKING:
    from torch import nn

FloatArray = NDArray[np.float64]
# what the layers say; `_check_neuron`, `_reset` and `_layers` look at the values
IMPLEMENTS = Implements(
    "export to snnTorch",
    GRAPH
    | {
        Dense: attributes(),
        Sparse: attributes("synapses"),
        Convolution: attributes("input_shape channels kernel stride padding dilation groups"),
        Lif: attributes(
            "decay threshold v_reset synapse_decay refractory strict delayed_reset",
            reset=("soft", "hard", "none"),
            adaptation=(None,),
            membrane_bias=(False,),
            delayed_current=(False,),
            clears_current=(False,),
            integrates_refractory=(False,),
        ),
        Integrator: attributes("decay synapse_decay"),
        Source: attributes(),
    },
)


@dataclass(frozen=True)
class _Layer:
    """One layer: its constructor as text, its state by name, and classes that it needs."""

    text: str
    state: dict[str, FloatArray] = field(default_factory=dict)
    needs: tuple[str, ...] = ()


def _shared(values: FloatArray) -> float | FloatArray:
    return float(values[0]) if np.all(values == values[0]) else values


def _check_neuron(model: TrainedNetwork, population: Population) -> None:
    neuron, node = population.neuron, f"population {population.name!r}"
    if isinstance(neuron, Lif) and neuron.reset == "hard":
        values = model.values(population, "v_reset")
        if np.any(values != 0):
            worst = values[np.argmax(np.abs(values))]
            raise Unsupported(
                f"{node}: snnTorch cannot say v_reset {worst}, its neurons reset to 0"
            )


def _reset(population: Population, recurrent: bool) -> tuple[str, bool, bool]:
    """(reset_mechanism, reset_delay, whether the script's own reset is needed)."""
    neuron = population.neuron
    assert isinstance(neuron, Lif)
    current = neuron.synapse_decay is not None
    late, refractory = neuron.delayed_reset, neuron.refractory
    if neuron.reset == "none" and not refractory:
        return "none", True, False
    if neuron.reset == "soft" and not refractory:
        return "subtract", True, not late
    if neuron.reset == "hard" and late and not current and not recurrent:  # Leaky
        return "zero", True, False
    if neuron.reset == "hard" and not late and refractory == 1 and (current or recurrent):
        return "zero", True, False
    if neuron.reset == "hard" and not late and not refractory:
        ignored = current and recurrent  # RSynaptic does not hear reset_delay=False
        return "zero", ignored, ignored
    raise Unsupported(
        f"population {population.name!r}: snnTorch has no neuron with {neuron.reset} reset, "
        f"delayed_reset={late} and {refractory} refractory steps; see the table in "
        "neurohw.interop.snntorch"
    )


def _layers(model: TrainedNetwork) -> tuple[list[_Layer], list[str], tuple[int, ...]]:
    """The layers, the population after each ("" for a linear one), and the input's shape."""
    network = model.network
    IMPLEMENTS.check(network)
    chain = [network.input]
    for population in network.populations[1:]:
        sources = {p.source for p in network.into(population.name)}
        if sources - {population.name} != {chain[-1].name}:
            raise Unsupported(
                f"population {population.name!r} is fed by {', '.join(sorted(sources))}: "
                "snnTorch's layers are a chain"
            )
        chain.append(population)
    layers: list[_Layer] = []
    after: list[str] = []
    first = network.into(chain[1].name)[0].connection
    shape: tuple[int, ...] = (
        first.input_shape if isinstance(first, Convolution) else (network.input.size,)
    )
    input_shape = shape
    for source, population in zip(chain, chain[1:], strict=False):
        for projection in network.into(population.name):
            own = projection.source == population.name
            if projection.max_delay is not None or projection.delay != own:
                raise Unsupported(
                    f"projection {projection.name!r}: snnTorch cannot say a delay of "
                    f"{projection.delay} steps"
                )
        [projection] = [p for p in network.into(population.name) if p.source == source.name]
        recurrent = [p for p in network.into(population.name) if p.source == population.name]
        weighted, shape = _weighted_layer(model, projection, population, shape)
        layers += weighted
        after += [""] * len(weighted)
        spiking = _neuron_layer(model, population, recurrent[0] if recurrent else None, shape)
        if spiking is not None:
            layers.append(spiking)
            after.append(population.name)
        else:
            after[-1] = population.name
    return layers, after, input_shape


def _weighted_layer(
    model: TrainedNetwork, projection: Projection, population: Population, shape: tuple[int, ...]
) -> tuple[list[_Layer], tuple[int, ...]]:
    weight = model.parameters[f"{projection.name}.weight"]
    bias = population.expand(model.values(population, "bias"))
    connection = projection.connection
    if isinstance(connection, Convolution):
        grouped = bias.reshape(connection.channels, -1)
        if np.any(grouped != grouped[:, :1]):
            raise Unsupported(
                f"population {population.name!r}: snnTorch cannot say a bias per neuron after a "
                "convolution"
            )
        arguments = (connection.input_shape[0], connection.channels, connection.kernel)
        more = (connection.stride, connection.padding, connection.dilation, connection.groups)
        text = f"nn.Conv2d({', '.join(map(str, (*arguments, *more)))})"
        return [_Layer(text, {"weight": weight, "bias": grouped[:, 0]})], connection.output_shape
    if not isinstance(connection, Dense):
        raise Unsupported(f"projection {projection.name!r}: snnTorch has no sparse layer")
    layer = _Layer(
        f"nn.Linear({weight.shape[1]}, {weight.shape[0]})", {"weight": weight, "bias": bias}
    )
    flat = [_Layer("nn.Flatten()")] if len(shape) > 1 else []
    return [*flat, layer], (population.size,)


def _constant(values: float | FloatArray, shape: tuple[int, ...]) -> str:
    """A constructor argument; an array is filled in from the file of arrays."""
    if not isinstance(values, float):
        return f"torch.zeros({shape})"
    return 'float("inf")' if values == math.inf else repr(values)


def _neuron_layer(
    model: TrainedNetwork,
    population: Population,
    recurrent: Projection | None,
    shape: tuple[int, ...],
) -> _Layer | None:
    """The spiking layer of a population; None for a readout without memory."""
    _check_neuron(model, population)
    neuron = population.neuron

    def value(name: str) -> float | FloatArray:
        return _shared(population.expand(model.values(population, name)))

    beta = value("decay")
    constants: dict[str, float | FloatArray]
    needs, more = [], {}
    if isinstance(neuron, Lif):
        mechanism, delay, once = _reset(population, recurrent is not None)
        constants = {"beta": beta, "threshold": value("threshold")}
        if not neuron.strict:
            needs.append("AtThreshold")
            more["spike_grad"] = "AtThreshold.apply"
        if not delay and not once:
            more["reset_delay"] = "False"
    else:
        assert isinstance(neuron, Integrator)
        if neuron.synapse_decay is None and isinstance(beta, float) and beta == 0.0:
            return None
        mechanism, once = "none", False
        constants = {"beta": beta, "threshold": math.inf}
    if neuron.synapse_decay is not None:
        constants = {"alpha": value("synapse_decay"), **constants}
    state = {  # single numbers, too: a constructor would round them to float32
        name: np.asarray(values) if isinstance(values, float) else values.reshape(shape)
        for name, values in constants.items()
    }
    name = "Leaky" if neuron.synapse_decay is None else "Synaptic"
    if recurrent is not None:
        name = f"R{name}"
        if not isinstance(recurrent.connection, Dense) or len(shape) > 1:
            raise Unsupported(
                f"projection {recurrent.name!r}: only a dense recurrence of a plain layer can be "
                "exported to snnTorch"
            )
        more["linear_features"] = str(population.size)
        state["recurrent.weight"] = model.parameters[f"{recurrent.name}.weight"]
        state["recurrent.bias"] = np.zeros(population.size)
    if once:
        needs.append(name)
    arguments = {k: _constant(v, shape) for k, v in constants.items()}
    arguments |= {"reset_mechanism": repr(mechanism), **more}
    text = ", ".join(f"{k}={v}" for k, v in arguments.items())
    return _Layer(f"{name}AtOnce({text})" if once else f"snn.{name}({text})", state, tuple(needs))


def _classes(layers: list[_Layer]) -> str:
    """The text of the classes that the layers need."""
    needs = sorted({need for layer in layers for need in layer.needs})
    once = [name for name in needs if name != "AtThreshold"]
    parts = [AT_THRESHOLD] if "AtThreshold" in needs else []
    parts += [AT_ONCE, *(ONE_AT_ONCE.format(name=name) for name in once)] if once else []
    return "".join(parts)


def _script(model: TrainedNetwork, script: str, arrays: str) -> tuple[str, dict[str, FloatArray]]:
    layers, after, input_shape = _layers(model.folded())
    text = SCRIPT.format(
        summary="-".join(str(p.size) for p in model.network.populations),
        script=script,
        arrays=arrays,
        sha256=ARRAYS_SHA256,
        input_shape=tuple(input_shape),
        steps=model.steps,
        files=SOURCE,
        populations=after,
        classes=_classes(layers),
        layers="\n".join(f"                {layer.text}," for layer in layers),
    )
    state = {f"{i}/{key}": v for i, layer in enumerate(layers) for key, v in layer.state.items()}
    return text, state


def export(model: TrainedNetwork, path: Path, force: bool = False) -> list[Path]:
    """Write a script that builds the network of snnTorch layers, and its weights as .npz beside it.

    Returns both paths. The script needs snntorch, torch and numpy only.
    Raises Unsupported naming the population and what snnTorch cannot say, CannotWrite if something
    else than an export stands there, unless `force`.
    """
    path = Path(path)
    if path.suffix != ".py":
        raise InvalidData(f"{path}: a snnTorch export is a Python script, name it *.py")
    return write_script(path, *_script(model, path.name, path.with_suffix(".npz").name), force)


def to_snntorch(model: TrainedNetwork) -> "nn.Module":
    """A trainable module of snnTorch layers in float64.

    It takes spikes [time, batch, *input shape] and returns a dictionary of every population's
    spikes; it is the one of `export`'s script. Raises Unsupported naming the population and what
    snnTorch cannot say.
    """
    with tempfile.TemporaryDirectory() as folder:
        script, _ = export(model, Path(folder) / "network.py")
        return runpy.run_path(str(script))["build"]()  # type: ignore[no-any-return]
