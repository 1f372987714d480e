# SPDX-License-Identifier: Apache-2.0
"""Layers of PyTorch and snnTorch in a row, as populations and projections."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from snntorch._neurons import rleaky, rsynaptic
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from neurohw.connections import Convolution, Matrix, Sparse, delay_matrices
from neurohw.errors import InvalidModel, Unsupported
from neurohw.interop.chain import (
    Affine,
    AvgPool2d,
    Chain,
    Conv1d,
    Conv2d,
    Planes,
    Reshape,
    ends_of,
    finish,
    passed,
    scale_target,
    start,
)
from neurohw.interop.snntorch.cells import (
    RECURRENT,
    Cell,
    base_of,
    cell_of,
    is_neuron,
    numbers,
    spread,
)
from neurohw.network import Network, Population, Projection, TrainedNetwork
from neurohw.neurons import Integrator, Lif, Source

FloatArray = NDArray[np.float64]
IDENTITIES = (
    nn.Identity,
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
)
MEANS = (nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
MAXIMA = (nn.MaxPool1d, nn.MaxPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d)
AXES: dict[type, tuple[int, ...]] = {  # of one sample
    nn.Conv1d: (2,),
    nn.Conv2d: (3,),
    nn.BatchNorm1d: (1, 2),
    nn.BatchNorm2d: (3,),
    **{kind: (2,) if "1d" in kind.__name__ else (3,) for kind in (*MEANS, *MAXIMA)},
}
PLANES_AT_ONCE = 256
ONE_TO_ONE = (rleaky.RecurrentOneToOne, rsynaptic.RecurrentOneToOne)


def class_of(layer: Any) -> type:
    """The class of a layer; of one with parametrizations, the class that they were laid over."""
    return (
        type(layer).__mro__[1]
        if isinstance(layer, nn.Module) and is_parametrized(layer)
        else type(layer)
    )


def is_layer(module: Any) -> bool:
    """Whether a module is a neuron or one of the layers known here, whatever is inside."""
    return is_neuron(module) or class_of(module) in HANDLERS


def _pair(value: Any) -> tuple[int, int]:
    """Rows and columns of a number, or of the one number of a layer over one axis."""
    values = (value, value) if isinstance(value, int) else tuple(value)
    return (int(values[0]), int(values[-1]))


def _bias(layer: Any, size: int) -> FloatArray:
    return np.zeros(size) if layer.bias is None else numbers(layer.bias)


def _plane_matrix(layer: Any, plane: tuple[int, ...], node: str) -> tuple[Matrix, tuple[int, ...]]:
    """What a pooling does to a channel, by asking it: [value after, value before], shape after."""
    size = math.prod(plane)
    columns = []
    after: tuple[int, ...] = ()
    for first in range(0, size, PLANES_AT_ONCE):
        count = min(PLANES_AT_ONCE, size - first)
        ones = torch.zeros(count, size, dtype=torch.float64)
        ones[torch.arange(count), first + torch.arange(count)] = 1
        try:
            with torch.no_grad():
                out = layer(ones.reshape(count, 1, *plane))
        except RuntimeError as error:
            raise InvalidModel(f"{node}: it does not take planes of {plane}: {error}") from error
        if not torch.is_tensor(out):
            raise Unsupported(f"{node}: it gives more than the pooled values (return_indices)")
        if not torch.all(torch.isfinite(out)):
            raise Unsupported(f"{node}: a window lies outside the {plane} values of a plane")
        after = tuple(out.shape[2:])
        columns.append(scipy.sparse.csr_array(out.reshape(count, -1).numpy().T))
    return scipy.sparse.csr_array(scipy.sparse.hstack(columns)), after


def _windows(
    layer: Any, channels: int, plane: tuple[int, ...], matrix: Matrix
) -> Convolution | None:
    """The convolution of ones that sums the windows of a pooling, None where none does."""
    if not hasattr(layer, "kernel_size"):
        return None
    flat = len(plane) == 1
    rest: list[tuple[int, int]] = []
    for name, alone in (("kernel_size", 1), ("stride", 1), ("padding", 0), ("dilation", 1)):
        pair = _pair(getattr(layer, name, 1))
        rest.append((alone, pair[1]) if flat else pair)
    rows, columns = (1, plane[0]) if flat else plane
    try:
        one = Convolution((1, rows, columns), 1, *rest)  # type: ignore[arg-type]
    except InvalidModel:
        return None
    size = math.prod(plane), math.prod(one.output_shape)
    [(_, sums)] = delay_matrices(one, *size, np.ones(one.weight_shape(0, 0)), {}, 0)
    pattern = scipy.sparse.csr_array(matrix != 0)
    if sums.shape != matrix.shape or (pattern != (sums != 0)).nnz:
        return None
    if np.any(matrix.data != matrix.data[0]):
        return None
    image = (channels, rows, columns)
    return replace(one, input_shape=image, channels=channels, groups=channels)


@dataclass
class Builder:
    """The network so far, and the linear layers since the last population."""

    populations: list[Population] = field(default_factory=list)
    projections: list[Projection] = field(default_factory=list)
    parameters: dict[str, FloatArray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    chain: Chain = field(default_factory=lambda: start((1,)))

    @staticmethod
    def of_input(shape: tuple[int, ...]) -> "Builder":
        """A builder with the input population only."""
        return Builder([Population("input", math.prod(shape), Source())], chain=start(shape))

    def add(self, name: str, layer: Any) -> None:
        """One layer of the row."""
        if is_neuron(layer):
            self.neurons(name, layer)
        else:
            self.linear(f"layer {name!r} ({type(layer).__name__})", layer, name)

    def reshape(self, name: str, shape: tuple[int, ...]) -> None:
        """The same values in other axes, as the next layer `name` takes them."""
        if shape != self.chain.shape:
            self.chain = passed(self.chain, f"layer {name!r}", Reshape(shape))

    def linear(self, node: str, layer: Any, name: str) -> None:
        """One layer of PyTorch without neurons."""
        kind = class_of(layer)
        if kind not in HANDLERS:
            raise Unsupported(f"{node}: this layer cannot stand between neurons")
        axes = AXES.get(kind)
        if axes is not None and len(self.chain.shape) not in axes:
            raise InvalidModel(
                f"{node}: it takes {' or '.join(map(str, axes))} axes beside the batch, the layer "
                f"before gives {self.chain.shape}"
            )
        HANDLERS[kind](self, node, layer, name)

    def weighted(self, node: str, layer: Any, _name: str) -> None:
        """Linear."""
        shape = self.chain.shape
        if math.prod(shape[:-1]) != 1:
            raise Unsupported(
                f"{node}: it works on the last axis of {shape} only, which no layer here does; put "
                "Flatten before it"
            )
        node_of_chain = Affine(numbers(layer.weight), _bias(layer, layer.out_features))
        self.chain = passed(self.chain, node, node_of_chain)
        self.chain = passed(self.chain, node, Reshape((*shape[:-1], layer.out_features)))

    def convolution(self, node: str, layer: Any, _name: str) -> None:
        """Conv1d and Conv2d."""
        padding = layer.padding if isinstance(layer.padding, str) else _pair(layer.padding)
        if layer.padding_mode != "zeros" and padding not in ((0, 0), "valid"):
            raise Unsupported(
                f"{node}: padding_mode {layer.padding_mode!r} cannot be expressed, zeros are"
            )
        kind = Conv1d if class_of(layer) is nn.Conv1d else Conv2d
        convolution = kind(
            numbers(layer.weight),
            _pair(layer.stride),
            padding,
            _pair(layer.dilation),
            layer.groups,
            _bias(layer, layer.out_channels),
        )
        self.chain = passed(self.chain, node, convolution)

    def axes(self, node: str, layer: Any, _name: str) -> None:
        """Flatten and Unflatten."""
        with torch.no_grad():
            after = layer(torch.zeros(2, *self.chain.shape)).shape
        if after[0] != 2:
            raise Unsupported(f"{node}: it joins the samples of a batch with the values of one")
        self.chain = passed(self.chain, node, Reshape(tuple(int(n) for n in after[1:])))

    def batch_norm(self, node: str, layer: Any, _name: str) -> None:
        """BatchNorm1d and BatchNorm2d, with their running statistics."""
        chain = self.chain
        if chain.weight is None or layer.running_mean is None:
            raise Unsupported(
                f"{node}: a batch normalisation needs a weighted layer before it and running "
                "statistics"
            )
        if chain.shape[0] != layer.num_features:
            raise InvalidModel(
                f"{node}: it has {layer.num_features} features, the layer before gives "
                f"{chain.shape}"
            )
        each = math.prod(chain.shape) // layer.num_features
        gamma = np.ones(layer.num_features) if layer.weight is None else numbers(layer.weight)
        factor = gamma / np.sqrt(numbers(layer.running_var) + layer.eps)
        shift = _bias(layer, layer.num_features) - numbers(layer.running_mean) * factor
        chain = scale_target(chain, node, np.repeat(factor, each))
        bias = np.zeros(math.prod(chain.shape)) if chain.bias is None else chain.bias
        self.chain = replace(chain, bias=bias + np.repeat(shift, each))

    def mean(self, node: str, layer: Any, _name: str) -> None:
        """A pooling that is a weighted sum of every window."""
        shape = self.chain.shape
        matrix, plane = _plane_matrix(layer, shape[1:], node)
        windows = _windows(layer, shape[0], shape[1:], matrix)
        if windows is None:
            self.chain = passed(self.chain, node, Planes(matrix, plane))
            return
        divisor = 1 / float(matrix.data[0])
        if math.isclose(divisor, round(divisor)):
            divisor = round(divisor)
        pool = AvgPool2d(windows.kernel, windows.stride, windows.padding, divisor)
        self.chain = passed(self.chain, node, pool)
        self.chain = passed(self.chain, node, Reshape((shape[0], *plane)))

    def maximum(self, node: str, layer: Any, name: str) -> None:
        """On spikes, the maximum of a window is a neuron that fires when any of them does."""
        chain = self.chain
        if chain.connection is not None or chain.pooled:
            raise Unsupported(
                f"{node}: a maximum of currents cannot be expressed; pool the spikes after the "
                "neurons, or use AvgPool2d"
            )
        if isinstance(self.populations[-1].neuron, Source):
            raise Unsupported(
                f"{node}: a maximum of the input cannot be expressed, since its counts may be "
                "above 1; pool the data before the network, or the spikes after the first neurons"
            )
        shape = chain.shape
        matrix, plane = _plane_matrix(layer, shape[1:], node)
        windows = _windows(layer, shape[0], shape[1:], matrix)
        after = (shape[0], *plane)
        if windows is None:
            pooled = finish(passed(chain, node, Planes(matrix, plane)), node)
        else:
            ones = np.ones(windows.weight_shape(0, 0))
            pooled = replace(chain, connection=windows, weight=ones, shape=after)
        neuron = Lif(decay=0.0, threshold=1.0, reset="hard")
        size = math.prod(after)
        self.append(name, Cell(neuron, {}, np.ones(size), np.ones(size)), pooled, trainable=False)

    def nothing(self, _node: str, _layer: Any, _name: str) -> None:
        """Identity, and dropout, which does nothing in evaluation mode."""

    def neurons(self, name: str, layer: Any) -> None:
        """One spiking layer of snnTorch, with its recurrent connection."""
        from neurohw.interop.snntorch.probe import check_neurons

        node = f"layer {name!r} ({type(layer).__name__})"
        chain = finish(self.chain, node)
        cell = cell_of(layer, node, chain.shape)
        recurrent = None
        if base_of(layer) in RECURRENT:
            recurrent = _recurrent(node, layer, chain.shape)
        check_neurons(node, layer, cell, chain.shape, recurrent)
        self.notes += cell.notes
        self.append(name, cell, chain, recurrent=recurrent)

    def end(self) -> str | None:
        """What stands after the last neurons, as a readout; its name, None without one."""
        if self.chain.connection is None and not self.chain.pooled:
            return None
        chain = finish(self.chain, "readout")
        size = math.prod(chain.shape)
        cell = Cell(Integrator(0.0), {"decay": np.zeros(size)}, None, np.ones(size))
        self.append("readout", cell, chain)
        return self.populations[-1].name

    def _label(self, name: str) -> str:
        text = name.replace(".", "_")
        label = text if text.isidentifier() and text.isascii() else f"layer{text}"
        if not (label.isidentifier() and label.isascii()):
            label = f"layer_{len(self.populations)}"
        while label in {p.name for p in self.populations}:
            label += "_"
        return label

    def append(
        self,
        name: str,
        cell: Cell,
        chain: Chain,
        recurrent: Chain | None = None,
        trainable: bool = True,
    ) -> None:
        """A population with the projections into it."""
        size, source, label = math.prod(chain.shape), self.populations[-1], self._label(name)
        chains = [chain] if recurrent is None else [chain, recurrent]
        bias = np.zeros(size)
        for entry in chains:
            if entry.bias is not None:
                bias = bias + entry.bias * cell.gain
        arrays = [bias, cell.gain, *cell.varied.values()]
        arrays += [] if cell.threshold is None else [cell.threshold]
        channels = chain.connection.channels if isinstance(chain.connection, Convolution) else None
        if channels and any(np.any(_by(a, channels) != _by(a, channels)[:, :1]) for a in arrays):
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
            scaled = scale_target(entry, label, cell.gain) if np.any(cell.gain != 1) else entry
            assert scaled.connection is not None and scaled.weight is not None
            projection = Projection(
                origin, label, delay, connection=scaled.connection, trainable=trainable
            )
            self.projections.append(projection)
            self.parameters[f"{projection.name}.weight"] = scaled.weight
            ends = ends_of(scaled)
            self.parameters |= {f"{projection.name}.{end}": v for end, v in ends.items()}
        self.chain = start(chain.shape)

    def model(self, steps: int, dt: float, info: dict[str, Any]) -> TrainedNetwork:
        """The network."""
        network = Network(tuple(self.populations), tuple(self.projections), dt)
        return TrainedNetwork(network, self.parameters, steps, info)


def _by(values: FloatArray, channels: int) -> FloatArray:
    return values.reshape(channels, -1)


def _recurrent(node: str, layer: Any, shape: tuple[int, ...]) -> Chain:
    """The recurrent connection of RLeaky and RSynaptic."""
    inner = layer.recurrent
    if type(inner) in ONE_TO_ONE:
        weight = spread(inner.V, shape, f"{node}: V")
        return replace(start(shape), connection=Sparse(math.prod(shape)), weight=weight)
    builder = Builder(chain=start(shape))
    builder.linear(f"{node}, its recurrent {type(inner).__name__}", inner, "recurrent")
    if builder.chain.weight is None:
        raise Unsupported(f"{node}: its recurrent {type(inner).__name__} has no weights")
    if builder.chain.shape != shape:
        raise InvalidModel(f"{node}: its recurrent layer gives {builder.chain.shape}, not {shape}")
    return builder.chain


HANDLERS: dict[type, Callable[[Builder, str, Any, str], None]] = {
    nn.Linear: Builder.weighted,
    nn.Conv1d: Builder.convolution,
    nn.Conv2d: Builder.convolution,
    nn.Flatten: Builder.axes,
    nn.Unflatten: Builder.axes,
    nn.BatchNorm1d: Builder.batch_norm,
    nn.BatchNorm2d: Builder.batch_norm,
    **{kind: Builder.mean for kind in MEANS},
    **{kind: Builder.maximum for kind in MAXIMA},
    **{kind: Builder.nothing for kind in IDENTITIES},
}
