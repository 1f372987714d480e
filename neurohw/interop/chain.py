"""Linear nodes in a row, folded into one projection.

Between two neurons may stand pooling, Flatten, Scale and Delay nodes and one weighted node. A node is anything whose class has the name, and whose attributes
are those, of the NIR primitive: graphs of NIR pass as they are, other formats hand over the small classes below.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.connections import Connection, Convolution, Dense, Sparse
from neurohw.errors import InvalidModel, Unsupported

FloatArray = NDArray[np.float64]
WEIGHTED = ("Linear", "Affine", "Conv1d", "Conv2d")
LINEAR = (*WEIGHTED, "SumPool2d", "AvgPool2d", "Flatten", "Scale", "Delay")


@dataclass(frozen=True)
class Affine:
    """weight [target, source] and bias [target]."""

    weight: FloatArray
    bias: FloatArray


@dataclass(frozen=True)
class Conv2d:
    """A convolution as in PyTorch; bias [channel]."""

    weight: FloatArray
    stride: tuple[int, int]
    padding: tuple[int, int] | str
    dilation: tuple[int, int]
    groups: int
    bias: FloatArray


@dataclass(frozen=True)
class AvgPool2d:
    """Mean over windows."""

    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]


@dataclass(frozen=True)
class Flatten:
    """All values in one axis."""


def kind_of_node(node: Any) -> str:
    return type(node).__name__


def node_values(node: Any, name: str, attribute: str, size: int | None = None) -> FloatArray:
    """A parameter of a node as a flat float64 array; InvalidModel for values that are not finite."""
    array = np.asarray(getattr(node, attribute), np.float64)
    if not np.all(np.isfinite(array)):
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise InvalidModel(f"node {name!r}: {attribute} holds {array[where]} at {where}: every value must be finite")
    flat = array.ravel()
    if size is not None and flat.size == 1:
        flat = np.repeat(flat, size)
    if size is not None and flat.size != size:
        raise InvalidModel(f"node {name!r}: {attribute} holds {flat.size} values, {size} are needed")
    return flat


@dataclass
class Chain:
    """What the linear nodes between a source and a target do, node by node.

    shape: of the values that pass. scale: of every source value, before the weights. pool: a depthwise window still to be joined with what
    follows. weight, bias: of the weighted node, once it has passed.
    """

    shape: tuple[int, ...]
    scale: FloatArray
    delay: FloatArray
    pool: Convolution | None = None
    factor: float = 1.0
    connection: Connection | None = None
    weight: FloatArray | None = None
    bias: FloatArray | None = None
    source_size: int = 0


def start(shape: tuple[int, ...]) -> Chain:
    size = math.prod(shape)
    return Chain(shape, np.ones(size), np.zeros(size), source_size=size)


def passed(chain: Chain, name: str, node: Any) -> Chain:
    kind = kind_of_node(node)
    weighted = chain.connection is not None
    size = math.prod(chain.shape)
    if kind not in LINEAR:
        raise Unsupported(f"node {name!r}: type {kind!r} cannot stand between neurons")
    match kind:
        case "Flatten":
            return replace(chain, shape=(size,))
        case "Scale":
            scale = node_values(node, name, "scale", size)
            if weighted:
                return scale_target(chain, name, scale)
            if chain.pool is not None:
                if np.any(scale != scale[0]):
                    raise Unsupported(f"node {name!r}: a scale per value after a pooling cannot be folded into weights")
                return replace(chain, factor=chain.factor * float(scale[0]))
            return replace(chain, scale=chain.scale * scale)
        case "Delay":
            delay = node_values(node, name, "delay", size)
            if (weighted or chain.pool is not None) and np.any(delay != delay[0]):
                raise Unsupported(
                    f"node {name!r}: different delays after a weighted node belong to targets; a delay belongs to a source"
                )
            return replace(chain, delay=chain.delay + (delay[0] if weighted or chain.pool is not None else delay))
        case "SumPool2d" | "AvgPool2d":
            return _pool(chain, name, node)
    if weighted:
        raise Unsupported(
            f"node {name!r}: a second weighted node without a neuron before it cannot be expressed exactly"
        )
    if kind in ("Linear", "Affine"):
        return _linear(chain, name, node)
    return _convolution(chain, name, node)


def scale_target(chain: Chain, name: str, scale: FloatArray) -> Chain:
    assert chain.weight is not None
    if isinstance(chain.connection, Dense):
        weight = chain.weight * scale[:, None]
    elif isinstance(chain.connection, Sparse):
        weight = chain.weight * scale
    else:
        assert isinstance(chain.connection, Convolution)
        grouped = scale.reshape(chain.connection.channels, -1)
        if np.any(grouped != grouped[:, :1]):
            raise Unsupported(
                f"node {name!r}: a scale that differs within a channel cannot be folded into shared weights"
            )
        weight = chain.weight * grouped[:, :1, None, None]
    return replace(chain, weight=weight, bias=None if chain.bias is None else chain.bias * scale)


def _image(chain: Chain, name: str) -> tuple[int, int, int]:
    if len(chain.shape) == 2:
        return (chain.shape[0], 1, chain.shape[1])
    if len(chain.shape) != 3:
        raise InvalidModel(f"node {name!r}: it needs values [channel, row, column], its source gives {chain.shape}")
    return chain.shape  # type: ignore[return-value]


def _two(value: Any) -> tuple[int, int]:
    values = np.ravel(value)
    return (int(values[0]), int(values[-1]))


def _pool(chain: Chain, name: str, node: Any) -> Chain:
    shape = _image(chain, name)
    if chain.connection is not None or chain.pool is not None:
        raise Unsupported(f"node {name!r}: a pooling after a weighted node or another pooling needs a neuron before it")
    kernel, stride = _two(node.kernel_size), _two(node.stride)
    pool = Convolution(shape, shape[0], kernel, stride, _two(node.padding), groups=shape[0])
    factor = 1.0 if kind_of_node(node) == "SumPool2d" else 1.0 / math.prod(kernel)
    return replace(chain, pool=pool, factor=chain.factor * factor, shape=pool.output_shape)


def _spread_pool(pool: Convolution, name: str) -> tuple[int, int]:
    """Window of a pooling whose windows tile its input exactly, as joining it with a convolution needs."""
    tiles = all(
        pool.kernel[i] == pool.stride[i] and pool.padding[i] == 0 and pool.input_shape[1 + i] % pool.stride[i] == 0
        for i in (0, 1)
    )
    if not tiles:
        raise Unsupported(
            f"node {name!r}: the pooling before it has windows of {pool.kernel}, stride {pool.stride} and padding {pool.padding} on {pool.input_shape}; "
            "only windows that tile the image can be joined with a weighted node"
        )
    return pool.kernel


def _linear(chain: Chain, name: str, node: Any) -> Chain:
    weight = np.asarray(node.weight, np.float64)
    node_values(node, name, "weight")
    size = math.prod(chain.shape)
    if weight.ndim != 2 or weight.shape[1] != size:
        raise InvalidModel(f"node {name!r}: weight has shape {weight.shape}, its source has {size} values")
    if chain.pool is not None:
        pool, window = chain.pool, _spread_pool(chain.pool, name)
        image = weight.reshape(len(weight), *pool.output_shape)
        weight = np.repeat(np.repeat(image, window[0], axis=2), window[1], axis=3).reshape(len(weight), -1)
    weight = weight * chain.factor * chain.scale
    bias = node_values(node, name, "bias", len(weight)) if kind_of_node(node) == "Affine" else None
    return replace(chain, connection=Dense(), weight=weight, bias=bias, pool=None, shape=(len(weight),))


def _convolution(chain: Chain, name: str, node: Any) -> Chain:
    weight = np.asarray(node.weight, np.float64)
    node_values(node, name, "weight")
    shape = _image(chain, name)
    if weight.ndim == 3:
        weight = weight[:, :, None, :]
        stride, dilation = (1, _two(node.stride)[1]), (1, _two(node.dilation)[1])
    else:
        stride, dilation = _two(node.stride), _two(node.dilation)
    kernel = (weight.shape[2], weight.shape[3])
    padding = _padding(node.padding, name, kernel, dilation, one_dimension=kind_of_node(node) == "Conv1d")
    groups = int(np.ravel(node.groups)[0])
    if weight.shape[1] * groups != shape[0]:
        raise InvalidModel(
            f"node {name!r}: weight has shape {np.shape(node.weight)}, its source has {shape[0]} channels"
        )
    factor = chain.scale.reshape(shape[0] if chain.pool is None else chain.pool.input_shape[0], -1)
    if np.any(factor != factor[:, :1]):
        raise Unsupported(f"node {name!r}: a scale that differs within a channel cannot be folded into shared weights")
    per_output = weight.shape[0] // groups
    channel = np.arange(weight.shape[0])[:, None] // per_output * weight.shape[1] + np.arange(weight.shape[1])
    weight = weight * chain.factor * factor[channel, 0][:, :, None, None]
    if chain.pool is not None:
        window = _spread_pool(chain.pool, name)
        if dilation != (1, 1):
            raise Unsupported(f"node {name!r}: dilation {dilation} after a pooling cannot be joined with it")
        weight = np.repeat(np.repeat(weight, window[0], axis=2), window[1], axis=3)
        stride = (stride[0] * window[0], stride[1] * window[1])
        padding = (padding[0] * window[0], padding[1] * window[1])
        shape = chain.pool.input_shape
    connection = Convolution(
        shape, weight.shape[0], (weight.shape[2], weight.shape[3]), stride, padding, dilation, groups
    )
    positions = math.prod(connection.output_shape[1:])
    bias = np.repeat(node_values(node, name, "bias", connection.channels), positions)
    return replace(chain, connection=connection, weight=weight, bias=bias, pool=None, shape=connection.output_shape)


def _padding(
    value: Any, name: str, kernel: tuple[int, int], dilation: tuple[int, int], one_dimension: bool
) -> tuple[int, int]:
    if isinstance(value, str | bytes):
        text = value.decode() if isinstance(value, bytes) else value
        if text == "valid":
            return (0, 0)
        total = [dilation[i] * (kernel[i] - 1) for i in (0, 1)]
        if text == "same" and total[0] % 2 == 0 and total[1] % 2 == 0:
            return (total[0] // 2, total[1] // 2)
        raise Unsupported(f"node {name!r}: padding {text!r} with a kernel of {kernel} is not the same on both sides")
    pair = _two(value)
    return (0, pair[1]) if one_dimension else pair


def finish(chain: Chain, name: str) -> Chain:
    """A chain without a weighted node: every value reaches one target, or a window of them does."""
    if chain.connection is not None:
        return chain
    if chain.pool is not None:
        ones = np.full(chain.pool.weight_shape(0, 0), chain.factor)
        factor = chain.scale.reshape(chain.pool.input_shape[0], -1)
        if np.any(factor != factor[:, :1]):
            raise Unsupported(f"node {name!r}: a scale that differs within a channel cannot be folded into a pooling")
        weight = ones * factor[:, :1, None, None]
        return replace(chain, connection=chain.pool, weight=weight, pool=None)
    size = math.prod(chain.shape)
    return replace(chain, connection=Sparse(size), weight=chain.scale * chain.factor)
