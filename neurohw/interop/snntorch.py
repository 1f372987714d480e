"""Networks of snnTorch layers, and back.

What the neurons of snnTorch compute, found in their source, and what they are here (all fire strictly above the threshold):

    Leaky     subtract   the threshold is taken one step after the spike: soft, delayed_reset
              zero       the membrane before the next step counts as 0: hard, delayed_reset
    Synaptic  subtract   soft, delayed_reset, with a synaptic current
              zero       the membrane is 0 for the whole step after a spike, whose input is lost: hard, refractory 1
    RLeaky, RSynaptic    the same two; `zero` is refractory for RLeaky, too. The recurrent input is one step old
    Alpha     none, zero mem = tau (exc + inh) is a membrane with decay beta that takes the current of the step before, scaled by tau (alpha - beta);
                         `zero` clears everything for one step: hard, refractory 1, clears_current
    reset_delay=False with `zero` resets in the step of the spike

Refused, naming the layer: `subtract` with reset_delay=False, which takes a threshold away again when the membrane stays above it; `subtract` of Alpha, which
sets the inhibitory current to 0 and adds its old value to the membrane; inhibition, quantized states and graded spikes.
"""

import math
import runpy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neurohw.connections import Convolution, Dense, Sparse, sum_pool
from neurohw.errors import BrokenFile, InvalidData, InvalidModel, NeurohwError, Unsupported
from neurohw.interop.chain import Affine, AvgPool2d, Chain, Conv2d, Flatten, finish, passed, scale_target, start
from neurohw.network import Network, Population, Projection, TrainedNetwork
from neurohw.neurons import Integrator, Lif, Neuron, Source
from neurohw.storage import ARRAYS_SHA256, write_script

if TYPE_CHECKING:
    from torch import nn

FloatArray = NDArray[np.float64]
NEURONS = ("Leaky", "Synaptic", "RLeaky", "RSynaptic", "Alpha")


def _numbers(value: Any) -> FloatArray:
    return np.asarray(value.detach().cpu().numpy() if hasattr(value, "detach") else value, np.float64)


def _spread(value: Any, shape: tuple[int, ...], node: str) -> FloatArray:
    """A scalar, one value per neuron or one per channel, as one per neuron [neuron]."""
    array = _numbers(value)
    if array.ndim == 1 and len(shape) == 3 and array.size == shape[0] and array.size > 1:
        array = array[:, None, None]
    try:
        return np.broadcast_to(array, shape).ravel().copy()
    except ValueError as error:
        raise InvalidModel(f"{node} has shape {array.shape}, its layer {shape}") from error


@dataclass
class _Cell:
    """A spiking layer: its model, its constants [neuron], and the gain of its input [neuron]."""

    neuron: Neuron
    varied: dict[str, FloatArray]
    threshold: FloatArray | None
    gain: FloatArray


def _check_plain(layer: Any, node: str) -> None:
    for name, plain in (("inhibition", False), ("state_quant", False)):
        if getattr(layer, name, plain) not in (plain, None):
            raise Unsupported(f"{node}: {name} cannot be expressed")
    if np.any(_numbers(getattr(layer, "graded_spikes_factor", 1.0)) != 1.0):
        raise Unsupported(f"{node}: graded_spikes_factor other than 1 cannot be expressed, spikes are 0 or 1")


def _cell(layer: Any, node: str, shape: tuple[int, ...]) -> _Cell:
    _check_plain(layer, node)
    kind, reset = type(layer).__name__, layer.reset_mechanism
    beta = np.clip(_spread(layer.beta, shape, f"{node}: beta"), 0, 1)
    threshold = _spread(layer.threshold, shape, f"{node}: threshold")
    varied, gain, alpha = {"decay": beta}, np.ones(math.prod(shape)), None
    if kind in ("Synaptic", "RSynaptic", "Alpha"):
        alpha = np.clip(_spread(layer.alpha, shape, f"{node}: alpha"), 0, 1)
        varied["synapse_decay"] = alpha
    synapse = None if alpha is None else float(alpha[0])
    if reset == "none" and np.all(np.isinf(threshold)):
        return _Cell(Integrator(float(beta[0]), synapse), varied, None, gain)
    if np.any(threshold <= 0) or not np.all(np.isfinite(threshold)):
        raise Unsupported(f"{node}: threshold {threshold.min()} cannot be expressed, it must be above 0 and finite")
    late = bool(getattr(layer, "reset_delay", True))
    base = Lif(decay=float(beta[0]), threshold=float(threshold[0]), synapse_decay=synapse, strict=True)
    if kind == "Alpha":
        assert alpha is not None
        tau = np.log(alpha) / (np.log(beta) - np.log(alpha)) + 1
        gain = tau * (alpha - beta)
        base = replace(base, delayed_current=True)
    if reset == "none":
        neuron = replace(base, reset="none")
    elif reset == "zero" and (not late and kind != "Alpha"):
        neuron = replace(base, reset="hard")
    elif reset == "zero" and kind == "Leaky":
        neuron = replace(base, reset="hard", delayed_reset=True)
    elif reset == "zero":
        neuron = replace(base, reset="hard", refractory=1, clears_current=kind == "Alpha")
    elif kind == "Alpha":
        raise Unsupported(
            f"{node}: Alpha with reset_mechanism 'subtract' sets the inhibitory current to 0 and adds its old value to the membrane in the step after "
            "a spike; no neuron model here does that: use 'zero' or 'none'"
        )
    elif not late:
        raise Unsupported(
            f"{node}: 'subtract' with reset_delay=False gives back a threshold when the membrane stays above it; use reset_delay=True"
        )
    else:
        neuron = replace(base, reset="soft", delayed_reset=True)
    return _Cell(neuron, varied, threshold, gain)


def flatten_layers(module: Any) -> list[tuple[str, Any]]:
    """(name, layer) in order, of a list of layers or of Sequential modules within each other.

    Raises Unsupported for another module, whose order only its `forward` knows.
    """
    from torch import nn

    if isinstance(module, list | tuple):
        entries = [(str(i), child) for i, child in enumerate(module)]
    elif isinstance(module, nn.Sequential):
        entries = list(module.named_children())
    elif isinstance(getattr(module, "layers", None), nn.ModuleList | nn.Sequential):
        entries = list(module.layers.named_children())
    else:
        return [("0", module)]
    return [
        (f"{name}.{inner}" if len(children) > 1 or isinstance(child, nn.Sequential) else name, leaf)
        for name, child in entries
        for children in [flatten_layers(child) if isinstance(child, nn.Sequential) else [("", child)]]
        for inner, leaf in children
    ]


def _pair(value: Any) -> tuple[int, int]:
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[1]))


@dataclass
class _Builder:
    """The network so far, and the linear layers since the last population."""

    populations: list[Population] = field(default_factory=list)
    projections: list[Projection] = field(default_factory=list)
    parameters: dict[str, FloatArray] = field(default_factory=dict)
    chain: Chain | None = None

    def linear(self, name: str, layer: Any) -> None:
        """One linear layer of PyTorch."""
        assert self.chain is not None
        kind = type(layer).__name__
        node = f"layer {name!r} ({kind})"
        if kind == "Linear":
            bias = np.zeros(layer.out_features) if layer.bias is None else _numbers(layer.bias)
            self.chain = passed(self.chain, node, Affine(_numbers(layer.weight), bias))
        elif kind == "Conv2d":
            if layer.padding_mode != "zeros":
                raise Unsupported(f"{node}: padding_mode {layer.padding_mode!r} cannot be expressed, zeros are")
            bias = np.zeros(layer.out_channels) if layer.bias is None else _numbers(layer.bias)
            padding = layer.padding if isinstance(layer.padding, str) else _pair(layer.padding)
            convolution = Conv2d(
                _numbers(layer.weight), _pair(layer.stride), padding, _pair(layer.dilation), layer.groups, bias
            )
            self.chain = passed(self.chain, node, convolution)
        elif kind == "Flatten":
            self.chain = passed(self.chain, node, Flatten())
        elif kind in ("BatchNorm1d", "BatchNorm2d"):
            self._batch_norm(node, layer)
        elif kind == "AvgPool2d":
            if layer.ceil_mode or (not layer.count_include_pad and _pair(layer.padding) != (0, 0)):
                raise Unsupported(f"{node}: ceil_mode and count_include_pad=False cannot be expressed")
            pool = AvgPool2d(_pair(layer.kernel_size), _pair(layer.stride), _pair(layer.padding))
            self.chain = self._average(node, pool) if self.chain.connection else passed(self.chain, node, pool)
        elif kind == "MaxPool2d":
            self._max_pool(name, node, layer)
        elif kind not in ("Dropout", "Dropout2d", "Identity"):
            raise Unsupported(f"{node}: this layer cannot stand between neurons")

    def _batch_norm(self, node: str, layer: Any) -> None:
        chain = self.chain
        assert chain is not None
        if chain.weight is None or layer.running_mean is None:
            raise Unsupported(f"{node}: a batch normalisation needs a weighted layer before it and running statistics")
        each = math.prod(chain.shape) // layer.num_features
        gamma = np.ones(layer.num_features) if layer.weight is None else _numbers(layer.weight)
        beta = np.zeros(layer.num_features) if layer.bias is None else _numbers(layer.bias)
        factor = gamma / np.sqrt(_numbers(layer.running_var) + layer.eps)
        shift = beta - _numbers(layer.running_mean) * factor
        chain = scale_target(chain, node, np.repeat(factor, each))
        bias = np.zeros(math.prod(chain.shape)) if chain.bias is None else chain.bias
        self.chain = replace(chain, bias=bias + np.repeat(shift, each))

    def _average(self, node: str, pool: AvgPool2d) -> Chain:
        """A convolution and the mean over windows of its output: one convolution with a larger kernel and stride."""
        chain = self.chain
        assert chain is not None
        if not isinstance(chain.connection, Convolution) or pool.padding != (0, 0):
            raise Unsupported(f"{node}: a pooling after this layer cannot be folded into its weights")
        assert chain.weight is not None
        c = chain.connection
        if c.dilation != (1, 1):
            raise Unsupported(f"{node}: a pooling after a dilated convolution cannot be folded into its weights")
        size = (
            c.kernel[0] + (pool.kernel_size[0] - 1) * c.stride[0],
            c.kernel[1] + (pool.kernel_size[1] - 1) * c.stride[1],
        )
        weight = np.zeros((*chain.weight.shape[:2], *size))
        for row in range(pool.kernel_size[0]):
            for column in range(pool.kernel_size[1]):
                y, x = row * c.stride[0], column * c.stride[1]
                weight[:, :, y : y + c.kernel[0], x : x + c.kernel[1]] += chain.weight
        stride = (c.stride[0] * pool.stride[0], c.stride[1] * pool.stride[1])
        joined = replace(c, kernel=size, stride=stride)
        bias = chain.bias
        if bias is not None:
            grouped = bias.reshape(c.channels, -1)
            bias = np.repeat(grouped[:, 0], math.prod(joined.output_shape[1:]))
        return replace(
            chain,
            connection=joined,
            weight=weight / math.prod(pool.kernel_size),
            bias=bias,
            shape=joined.output_shape,
        )

    def _max_pool(self, name: str, node: str, layer: Any) -> None:
        """On spikes, the maximum of a window is a neuron that fires when any of them does."""
        chain = self.chain
        assert chain is not None
        if chain.connection is not None:
            raise Unsupported(
                f"{node}: a maximum of currents cannot be expressed; pool the spikes after the neurons, or use AvgPool2d"
            )
        plain = _pair(layer.padding) == (0, 0) and _pair(layer.dilation) == (1, 1) and not layer.ceil_mode
        if not plain or len(chain.shape) != 3 or chain.pool is not None:
            raise Unsupported(f"{node}: only a plain pooling of [channel, row, column] spikes can be expressed")
        pool, ones = sum_pool(
            (chain.shape[0], chain.shape[1], chain.shape[2]), _pair(layer.kernel_size), _pair(layer.stride)
        )
        neuron = Lif(decay=0.0, threshold=1.0, reset="hard")
        pooled = replace(chain, connection=pool, weight=ones, shape=pool.output_shape)
        size = math.prod(pool.output_shape)
        self._append(name, _Cell(neuron, {}, np.ones(size), np.ones(size)), pooled, trainable=False)

    def neurons(self, name: str, layer: Any) -> None:
        """One spiking layer of snnTorch, with its recurrent connection."""
        assert self.chain is not None
        node = f"layer {name!r} ({type(layer).__name__})"
        chain = finish(self.chain, node)
        cell = _cell(layer, node, chain.shape)
        recurrent = None
        if type(layer).__name__ in ("RLeaky", "RSynaptic"):
            recurrent = self._recurrent(node, layer, chain.shape)
        self._append(name, cell, chain, recurrent=recurrent)

    def _recurrent(self, node: str, layer: Any, shape: tuple[int, ...]) -> Chain:
        inner = layer.recurrent
        if type(inner).__name__ == "RecurrentOneToOne":
            size = math.prod(shape)
            return replace(start(shape), connection=Sparse(size), weight=_spread(inner.V, shape, f"{node}: V"))
        builder = _Builder(chain=start(shape))
        builder.linear(f"{node}.recurrent", inner)
        assert builder.chain is not None
        if math.prod(builder.chain.shape) != math.prod(shape):
            raise InvalidModel(f"{node}: its recurrent layer gives {builder.chain.shape}, the layer is {shape}")
        return builder.chain

    def _append(
        self, name: str, cell: _Cell, chain: Chain, recurrent: Chain | None = None, trainable: bool = True
    ) -> None:
        size, source = math.prod(chain.shape), self.populations[-1]
        text = name.replace(".", "_")
        label = text if text.isidentifier() else f"layer{text}"
        chains = [chain] if recurrent is None else [chain, recurrent]
        bias = np.zeros(size)
        for entry in chains:
            if entry.bias is not None:
                bias = bias + entry.bias * cell.gain
        arrays = [bias, cell.gain, *cell.varied.values(), *([] if cell.threshold is None else [cell.threshold])]
        channels = chain.connection.channels if isinstance(chain.connection, Convolution) else None
        if channels and any(np.any(a.reshape(channels, -1) != a.reshape(channels, -1)[:, :1]) for a in arrays):
            channels = None
        population = Population(label, size, cell.neuron, channels)
        each = size // population.parameters
        self.populations.append(population)
        self.parameters[f"{label}.bias"] = bias[::each]
        if cell.threshold is not None:
            self.parameters[f"{label}.threshold"] = cell.threshold[::each]
        for kind, values in cell.varied.items():
            if np.any(values != values[0]):
                self.parameters[f"{label}.{kind}"] = values[::each]
        for entry, origin, delay in zip(chains, (source.name, label), (0, 1), strict=False):
            entry = scale_target(entry, label, cell.gain) if np.any(cell.gain != 1) else entry
            assert entry.connection is not None and entry.weight is not None
            projection = Projection(origin, label, delay, connection=entry.connection, trainable=trainable)
            self.projections.append(projection)
            self.parameters[f"{projection.name}.weight"] = entry.weight
            if isinstance(entry.connection, Sparse):
                ends = np.arange(entry.connection.synapses, dtype=np.float64)
                self.parameters |= {f"{projection.name}.{end}": ends for end in ("source", "target")}
        self.chain = start(chain.shape)


def from_snntorch(
    module: "nn.Module | Sequence[nn.Module]", input_shape: int | Sequence[int], steps: int = 100, dt: float = 1e-3
) -> TrainedNetwork:
    """The network of a Sequential, of a module with a `layers` list, or of a list of layers, in evaluation mode.

    Layers: Linear, Conv2d, BatchNorm, AvgPool2d, MaxPool2d (of spikes), Flatten, Dropout, and the neurons of this module's table. input_shape: of one step, without
    batch. A linear layer at the end is a readout without memory. In float64 the reference then gives snnTorch's own spikes. Raises Unsupported or InvalidModel naming the layer.
    """
    shape = (int(input_shape),) if isinstance(input_shape, int) else tuple(int(n) for n in input_shape)
    builder = _Builder([Population("input", math.prod(shape), Source())], chain=start(shape))
    for name, layer in flatten_layers(module):
        if type(layer).__name__ in NEURONS:
            builder.neurons(name, layer)
        else:
            builder.linear(name, layer)
    chain = builder.chain
    assert chain is not None
    if chain.connection is not None:
        size = math.prod(chain.shape)
        zero = np.zeros(size)
        builder._append("readout", _Cell(Integrator(0.0), {"decay": zero}, None, np.ones(size)), chain)
    if len(builder.populations) < 2:
        raise Unsupported("the module has no layer that this import knows: hand over its layers in order, as a list")
    network = Network(tuple(builder.populations), tuple(builder.projections), dt)
    return TrainedNetwork(network, builder.parameters, steps, {"source": "snnTorch"})


def import_script(path: Path, name: str, input_shape: Sequence[int] | None = None, steps: int = 100) -> TrainedNetwork:
    """The network that a Python script holds under `name`: a module, or a function without arguments that makes one.

    input_shape: of one step; by default the script's INPUT_SHAPE, or the first Linear layer's. Raises InvalidData or BrokenFile naming the script.
    """
    path = Path(path)
    if not path.is_file():
        raise InvalidData(f"{path}: there is no such file")
    try:
        names = runpy.run_path(str(path))
    except Exception as error:
        raise BrokenFile(f"{path}: the script fails with {type(error).__name__}: {error}") from error
    if name not in names:
        raise InvalidData(f"{path}: it defines no {name!r}")
    module = names[name]
    if callable(module) and not hasattr(module, "state_dict"):
        module = module()
    shape = input_shape if input_shape is not None else names.get("INPUT_SHAPE")
    if shape is None:
        first = flatten_layers(module)[0][1]
        if type(first).__name__ != "Linear":
            raise InvalidData(
                f"{path}: say the shape of one step's input (--input-shape), the first layer is {type(first).__name__}"
            )
        shape = (first.in_features,)
    try:
        return from_snntorch(module, shape, steps)
    except NeurohwError as error:
        raise type(error)(f"{path}:{name}: {error}") from error


# --- export ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layer:
    """One snnTorch layer: its constructor as text (the script) and its state by name."""

    text: str
    state: dict[str, FloatArray] = field(default_factory=dict)


def _shared(values: FloatArray) -> float | FloatArray:
    return float(values[0]) if np.all(values == values[0]) else values


def _mechanism(population: Population, recurrent: bool) -> str:
    """reset_mechanism of the layer that computes a population; Unsupported naming what snnTorch cannot say."""
    neuron = population.neuron
    assert isinstance(neuron, Lif)
    node = f"population {population.name!r}"
    for feature, used in (
        ("a comparison at the threshold (strict=False)", not neuron.strict),
        ("adaptation", neuron.adaptation is not None),
        ("membrane_bias", neuron.membrane_bias),
        ("delayed_current (its Alpha scales the input instead)", neuron.delayed_current),
        ("clears_current", neuron.clears_current),
        ("integrates_refractory", neuron.integrates_refractory),
        (f"v_reset {neuron.v_reset}", neuron.reset == "hard" and neuron.v_reset != 0),
    ):
        if used:
            raise Unsupported(f"{node}: snnTorch cannot say {feature}")
    plain = neuron.synapse_decay is None and not recurrent  # Leaky
    if neuron.reset == "none" and not neuron.refractory:
        return "none"
    if neuron.reset == "soft" and neuron.delayed_reset:
        return "subtract"
    if neuron.reset == "hard" and (
        neuron.delayed_reset if plain else neuron.refractory == 1 and not neuron.delayed_reset
    ):
        return "zero"
    raise Unsupported(
        f"{node}: snnTorch has no neuron with {neuron.reset} reset, delayed_reset={neuron.delayed_reset} and {neuron.refractory} refractory "
        "steps; see the table in neurohw.interop.snntorch"
    )


def _layers(model: TrainedNetwork) -> tuple[list[_Layer], list[str], tuple[int, ...]]:
    """The snnTorch layers of a network, the population after each ("" for a linear one), and the input's shape."""
    network = model.network
    for modulation in network.modulations:
        raise Unsupported(f"modulation {modulation.name!r}: snnTorch cannot say an astrocyte")
    chain = [network.input]
    for population in network.populations[1:]:
        sources = {p.source for p in network.into(population.name)}
        if sources - {population.name} != {chain[-1].name}:
            raise Unsupported(
                f"population {population.name!r} is fed by {', '.join(sorted(sources))}: snnTorch's layers are a chain"
            )
        chain.append(population)
    layers: list[_Layer] = []
    after: list[str] = []
    first = network.into(chain[1].name)[0].connection
    shape: tuple[int, ...] = first.input_shape if isinstance(first, Convolution) else (network.input.size,)
    input_shape = shape
    for source, population in zip(chain, chain[1:], strict=False):
        for projection in network.into(population.name):
            own = projection.source == population.name
            if projection.max_delay is not None or projection.delay != own:
                raise Unsupported(
                    f"projection {projection.name!r}: snnTorch cannot say a delay of {projection.delay} steps"
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
    weight, bias = model.parameters[f"{projection.name}.weight"], model.values(population, "bias")
    connection = projection.connection
    if isinstance(connection, Convolution):
        if population.channels != connection.channels:
            raise Unsupported(
                f"population {population.name!r}: snnTorch cannot say a bias per neuron after a convolution"
            )
        text = (
            f"nn.Conv2d({connection.input_shape[0]}, {connection.channels}, {connection.kernel}, {connection.stride}, {connection.padding}, "
            f"{connection.dilation}, {connection.groups})"
        )
        return [_Layer(text, {"weight": weight, "bias": bias})], connection.output_shape
    if not isinstance(connection, Dense):
        raise Unsupported(f"projection {projection.name!r}: snnTorch has no sparse layer")
    text = f"nn.Linear({weight.shape[1]}, {weight.shape[0]})"
    layer = _Layer(text, {"weight": weight, "bias": population.expand(bias)})
    return [*([_Layer("nn.Flatten()")] if len(shape) > 1 else []), layer], (population.size,)


def _neuron_layer(
    model: TrainedNetwork, population: Population, recurrent: Projection | None, shape: tuple[int, ...]
) -> _Layer | None:
    neuron = population.neuron

    def value(name: str) -> Any:
        return _shared(population.expand(model.values(population, name)))

    def text(values: Any) -> str:
        return repr(values) if isinstance(values, float) else f"torch.zeros({shape})"

    state: dict[str, FloatArray] = {}
    beta = value("decay")
    if isinstance(neuron, Integrator):
        if neuron.synapse_decay is None and isinstance(beta, float) and beta == 0.0:
            return None
        mechanism, threshold = "none", math.inf
    else:
        mechanism, threshold = _mechanism(population, recurrent is not None), value("threshold")
    constants = {"beta": beta, "threshold": threshold}
    if neuron.synapse_decay is not None:  # type: ignore[union-attr]
        constants = {"alpha": value("synapse_decay"), **constants}
    for name, values in constants.items():  # single numbers, too: a constructor would round them to float32
        state[name] = np.asarray(values) if isinstance(values, float) else values.reshape(shape)
    name = "Leaky" if neuron.synapse_decay is None else "Synaptic"  # type: ignore[union-attr]
    arguments = [
        f"{k}={'float(' + repr(str(v)) + ')' if v == math.inf else text(v)}"
        if isinstance(v, float)
        else f"{k}={text(v)}"
        for k, v in constants.items()
    ]
    arguments.append(f"reset_mechanism={mechanism!r}")
    if recurrent is not None:
        name = f"R{name}"
        if not isinstance(recurrent.connection, Dense) or len(shape) > 1:
            raise Unsupported(
                f"projection {recurrent.name!r}: only a dense recurrence of a plain layer can be exported to snnTorch"
            )
        arguments.append(f"linear_features={population.size}")
        state["recurrent.weight"] = model.parameters[f"{recurrent.name}.weight"]
        state["recurrent.bias"] = np.zeros(population.size)
    return _Layer(f"snn.{name}({', '.join(arguments)})", state)


SCRIPT = '''"""A spiking network of snnTorch layers: {summary}.

    python {script} --input spikes.npz --out trace.npz [--force]

Input: array `spikes` [time, neuron] or [sample, time, neuron]. Output: `spikes.<population>` with the axes of the input. `build()` returns the module,
which can be trained like any other; its weights come from {arrays}.
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np
import snntorch as snn
import torch
from torch import nn

INPUT_SHAPE = {input_shape}
# the population whose spikes leave each layer, or its values for a readout without neurons
POPULATIONS = {populations}


class SpikingNetwork(nn.Module):
    """Layers in a row, run step by step."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(
            [
{layers}
            ]
        )

    def forward(self, spikes):
        """Spikes [time, batch, *INPUT_SHAPE] to the spikes of every population [time, batch, ...]."""
        state = [None] * len(self.layers)
        for layer in self.layers:
            for name in ("spk", "syn", "mem"):
                if isinstance(layer, snn.SpikingNeuron) and hasattr(layer, name):
                    setattr(layer, name, torch.zeros(0))  # what the last call left
        record = {{name: [] for name in POPULATIONS if name}}
        for x in spikes:
            for i, layer in enumerate(self.layers):
                if isinstance(layer, snn.SpikingNeuron):
                    # snnTorch returns the spikes and then the state, and takes the state back
                    recurrent = isinstance(layer, (snn.RLeaky, snn.RSynaptic))
                    output = layer(x, *(state[i] or ()))
                    x = output[0].to(x.dtype)
                    state[i] = (x, *output[1:]) if recurrent else output[1:]
                else:
                    x = layer(x)
                if POPULATIONS[i]:
                    record[POPULATIONS[i]].append(x)
        return {{name: torch.stack(values) for name, values in record.items()}}


def build(dtype=torch.float64):
    """The network with its weights."""
    network = SpikingNetwork().to(dtype)
    source = Path(__file__).with_name("{arrays}")
    if hashlib.sha256(source.read_bytes()).hexdigest() != "{sha256}":
        raise SystemExit(f"{{source}} does not belong to this script: export both again")
    with np.load(source) as arrays:
        for name in arrays.files:
            index, _, key = name.partition("/")
            owner = network.layers[int(index)]
            *path, last = key.split(".")
            for part in path:
                owner = getattr(owner, part)
            getattr(owner, last).data = torch.tensor(arrays[name], dtype=dtype)
    return network


def main():
    """Run the network on a file of spikes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--force", action="store_true", help="replace the file at --out")
    options = parser.parse_args()
    if Path(options.out).exists() and not options.force:
        parser.error(f"{{options.out}} is there: name another file, or replace it with --force")
    spikes = np.load(options.input)["spikes"]
    samples = spikes if spikes.ndim == 3 else spikes[None]
    x = torch.tensor(samples).double().transpose(0, 1).reshape(samples.shape[1], samples.shape[0], *INPUT_SHAPE)
    with torch.no_grad():
        record = build()(x)
    result = {{"spikes.input": samples}}
    for name, values in record.items():
        result["spikes." + name] = values.flatten(2).transpose(0, 1).numpy()
    with open(options.out, "wb" if options.force else "xb") as file:
        np.savez_compressed(file, **(result if spikes.ndim == 3 else {{n: a[0] for n, a in result.items()}}))


if __name__ == "__main__":
    main()
'''


def _script(model: TrainedNetwork, script: str, arrays: str) -> tuple[str, dict[str, FloatArray]]:
    layers, after, input_shape = _layers(model.folded())
    text = SCRIPT.format(
        summary="-".join(str(p.size) for p in model.network.populations),
        script=script,
        arrays=arrays,
        sha256=ARRAYS_SHA256,
        input_shape=tuple(input_shape),
        populations=after,
        layers="\n".join(f"                {layer.text}," for layer in layers),
    )
    return text, {f"{i}/{key}": value for i, layer in enumerate(layers) for key, value in layer.state.items()}


def export(model: TrainedNetwork, path: Path, force: bool = False) -> list[Path]:
    """Write a script that builds the network of snnTorch layers, and its weights as .npz beside it; returns both paths.

    The script needs snntorch, torch and numpy only. Raises Unsupported naming the population and
    what snnTorch cannot say, CannotWrite if something else than an export stands there, unless
    `force`.
    """
    path = Path(path)
    if path.suffix != ".py":
        raise InvalidData(f"{path}: a snnTorch export is a Python script, name it *.py")
    return write_script(path, *_script(model, path.name, path.with_suffix(".npz").name), force)


def to_snntorch(model: TrainedNetwork) -> "nn.Module":
    """A trainable module of snnTorch layers in float64: spikes [time, batch, *input shape] to a dictionary of every population's spikes.

    The module is the one of `export`'s script. Raises Unsupported naming the population and what snnTorch cannot say.
    """
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        script, _ = export(model, Path(folder) / "network.py")
        return runpy.run_path(str(script))["build"]()  # type: ignore[no-any-return]
