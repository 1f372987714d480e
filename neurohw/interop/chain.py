# SPDX-License-Identifier: Apache-2.0
"""Linear nodes in a row, folded into one projection.

Between two neurons may stand pooling, Flatten, Scale and Delay nodes and one weighted node. A node
is anything whose class has the name, and whose attributes are those, of the NIR primitive: graphs
of NIR pass as they are, other formats hand over the small classes below.

A pooling and a convolution become one convolution with a larger kernel and stride; a pooling and a
dense layer become one dense layer.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.connections import Connection, Convolution, Dense, Matrix, Sparse, delay_matrices
from neurohw.errors import InvalidModel, Unsupported

FloatArray = NDArray[np.float64]
WEIGHTED = ("Linear", "Affine", "Conv1d", "Conv2d")
LINEAR = (*WEIGHTED, "SumPool2d", "AvgPool2d", "Planes", "Flatten", "Reshape", "Scale", "Delay")


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
class Conv1d(Conv2d):
    """A convolution over one axis, as in PyTorch: pairs count by their second number."""


@dataclass(frozen=True)
class AvgPool2d:
    """Sum over windows by `divisor`;

    None: by the number of values of a window, zeros around them too.
    """

    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    divisor: float | None = None


@dataclass(frozen=True)
class Planes:
    """Any linear map of the plane of every channel.

    matrix: sparse, [value after, value before] of one channel. shape: of the plane after.
    """

    matrix: Matrix
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Reshape:
    """The same values in the same order, in other axes."""

    shape: tuple[int, ...]


def kind_of_node(node: Any) -> str:
    return type(node).__name__


def node_values(node: Any, name: str, attribute: str, size: int | None = None) -> FloatArray:
    """A parameter of a node as a flat float64 array; InvalidModel for values that are not
    finite.
    """
    array = np.asarray(getattr(node, attribute), np.float64)
    if not np.all(np.isfinite(array)):
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise InvalidModel(
            f"node {name!r}: {attribute} holds {array[where]} at {where}: every value must "
            "be finite"
        )
    flat = array.ravel()
    if size is not None and flat.size == 1:
        flat = np.repeat(flat, size)
    if size is not None and flat.size != size:
        raise InvalidModel(
            f"node {name!r}: {attribute} holds {flat.size} values, {size} are needed"
        )
    return flat


@dataclass
class Chain:
    """What the linear nodes between a source and a target do, node by node.

    shape: of the values that pass.
    scale: of every source value, before the weights.
    pool: sums over windows of every channel, still to be joined with what follows; factor: of them.
    planes: the same as a matrix [plane after, plane before], also where no convolution does it.
    weight, bias: of the weighted node, once it has passed.
    ends: target and source of every synapse of a Sparse connection; None: synapse i joins i and i.
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
    planes: Matrix | None = None
    ends: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None

    @property
    def pooled(self) -> bool:
        """A pooling waits to be joined with what follows."""
        return self.planes is not None


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
        case "Reshape":
            if math.prod(node.shape) != size:
                raise InvalidModel(
                    f"node {name!r}: {chain.shape} has not as many values as {node.shape}"
                )
            return replace(chain, shape=tuple(node.shape))
        case "Scale":
            scale = node_values(node, name, "scale", size)
            if weighted:
                return scale_target(chain, name, scale)
            if chain.pooled:
                if np.any(scale != scale[0]):
                    raise Unsupported(
                        f"node {name!r}: a scale per value after a pooling cannot be folded "
                        "into weights"
                    )
                return replace(chain, factor=chain.factor * float(scale[0]))
            return replace(chain, scale=chain.scale * scale)
        case "Delay":
            delay = node_values(node, name, "delay", size)
            if (weighted or chain.pooled) and np.any(delay != delay[0]):
                raise Unsupported(
                    f"node {name!r}: different delays after a weighted node belong to "
                    "targets; a delay belongs to a source"
                )
            return replace(
                chain, delay=chain.delay + (delay[0] if weighted or chain.pooled else delay)
            )
        case "SumPool2d" | "AvgPool2d":
            return _pool(chain, name, node)
        case "Planes":
            if weighted or chain.pooled:
                raise Unsupported(
                    f"node {name!r}: windows that are not all alike, after a weighted node or "
                    "another pooling, need a neuron before them"
                )
            shape = (chain.shape[0], *node.shape)
            return replace(chain, planes=node.matrix, shape=shape)
    if weighted:
        raise Unsupported(
            f"node {name!r}: a second weighted node without a neuron before it cannot be "
            "expressed exactly"
        )
    if kind in ("Linear", "Affine"):
        return _linear(chain, name, node)
    return _convolution(chain, name, node)


def scale_target(chain: Chain, name: str, scale: FloatArray) -> Chain:
    assert chain.weight is not None
    if isinstance(chain.connection, Dense):
        weight = chain.weight * scale[:, None]
    elif isinstance(chain.connection, Sparse):
        weight = chain.weight * (scale if chain.ends is None else scale[chain.ends[0]])
    else:
        assert isinstance(chain.connection, Convolution)
        grouped = scale.reshape(chain.connection.channels, -1)
        if np.any(grouped != grouped[:, :1]):
            raise Unsupported(
                f"node {name!r}: a scale that differs within a channel cannot be folded into "
                "shared weights"
            )
        weight = chain.weight * grouped[:, :1, None, None]
    return replace(chain, weight=weight, bias=None if chain.bias is None else chain.bias * scale)


def _image(chain: Chain, name: str) -> tuple[int, int, int]:
    if len(chain.shape) == 2:
        return (chain.shape[0], 1, chain.shape[1])
    if len(chain.shape) != 3:
        raise InvalidModel(
            f"node {name!r}: it needs values [channel, row, column], its source gives {chain.shape}"
        )
    return chain.shape  # type: ignore[return-value]


def _two(value: Any) -> tuple[int, int]:
    values = np.ravel(value)
    return (int(values[0]), int(values[-1]))


def _pool(chain: Chain, name: str, node: Any) -> Chain:
    shape = _image(chain, name)
    if chain.pooled or not isinstance(chain.connection, Convolution | None):
        raise Unsupported(
            f"node {name!r}: a pooling after a dense node or another pooling needs a neuron "
            "before it"
        )
    kernel, stride = _two(node.kernel_size), _two(node.stride)
    pool = Convolution(shape, shape[0], kernel, stride, _two(node.padding), groups=shape[0])
    summed = kind_of_node(node) == "SumPool2d"
    factor = 1.0 if summed else 1.0 / (getattr(node, "divisor", None) or math.prod(kernel))
    if chain.connection is not None:
        _same_image(name, chain.connection, shape)
        return _pool_of_convolution(chain, name, pool, factor)
    plane = replace(pool, input_shape=(1, *shape[1:]), channels=1, groups=1)
    [(_, planes)] = delay_matrices(
        plane,
        math.prod(shape[1:]),
        math.prod(pool.output_shape[1:]),
        np.ones((1, 1, *kernel)),
        {},
        0,
    )
    return replace(
        chain, pool=pool, planes=planes, factor=chain.factor * factor, shape=pool.output_shape
    )


def _same_image(name: str, before: Convolution, shape: tuple[int, int, int]) -> None:
    if before.output_shape != shape:
        raise Unsupported(
            f"node {name!r}: its source gives {before.output_shape}, in other axes {shape}; two "
            "windows cannot be joined across that"
        )


def _composed(
    first: FloatArray,
    dilation: tuple[int, int],
    stride: tuple[int, int],
    second: FloatArray,
    second_dilation: tuple[int, int],
) -> FloatArray:
    """Kernel [..., row, column] of a convolution `first` of that stride and then `second`."""
    reach = [dilation[i] * (first.shape[i - 2] - 1) + 1 for i in (0, 1)]
    step = [stride[i] * second_dilation[i] for i in (0, 1)]
    leading = np.broadcast_shapes(first.shape[:-2], second.shape[:-2])
    size = [reach[i] + step[i] * (second.shape[i - 2] - 1) for i in (0, 1)]
    result = np.zeros((*leading, *size))
    for row, column in np.ndindex(second.shape[-2:]):
        y, x = row * step[0], column * step[1]
        window = result[..., y : y + reach[0] : dilation[0], x : x + reach[1] : dilation[1]]
        window += first * second[..., row : row + 1, column : column + 1]
    return result


def _pool_of_convolution(chain: Chain, name: str, pool: Convolution, factor: float) -> Chain:
    """A convolution and sums over windows of its output, as one convolution."""
    c = chain.connection
    assert isinstance(c, Convolution) and chain.weight is not None
    if pool.padding != (0, 0):
        raise Unsupported(
            f"node {name!r}: a pooling with padding {pool.padding} after a weighted node cannot "
            "be folded into its weights"
        )
    bias = chain.bias
    if bias is not None:
        grouped = bias.reshape(c.channels, -1)
        if np.any(grouped != grouped[:, :1]):
            raise Unsupported(
                f"node {name!r}: the biases before this pooling differ within a channel; they "
                "cannot be folded into shared weights"
            )
        whole = grouped[:, 0] * factor * math.prod(pool.kernel)
        bias = np.repeat(whole, math.prod(pool.output_shape[1:]))
    weight = _composed(chain.weight, c.dilation, c.stride, np.ones((1, 1, *pool.kernel)), (1, 1))
    joined = replace(
        c,
        kernel=weight.shape[2:],
        stride=(c.stride[0] * pool.stride[0], c.stride[1] * pool.stride[1]),
        dilation=(1, 1),
    )
    assert joined.output_shape == pool.output_shape
    return replace(
        chain, connection=joined, weight=weight * factor, bias=bias, shape=joined.output_shape
    )


def _joinable(pool: Convolution | None, name: str, padding: tuple[int, int]) -> Convolution:
    """The pooling before a convolution, if zeros around its output are zeros around its input."""
    if pool is None:
        raise Unsupported(
            f"node {name!r}: the pooling before it has windows that are not all alike; no "
            "convolution does both"
        )
    tiles = all(
        pool.kernel[i] == pool.stride[i]
        and pool.padding[i] == 0
        and pool.input_shape[1 + i] % pool.stride[i] == 0
        for i in (0, 1)
    )
    if not tiles and padding != (0, 0):
        raise Unsupported(
            f"node {name!r}: the pooling before it has windows of {pool.kernel}, stride "
            f"{pool.stride} and padding {pool.padding} on {pool.input_shape}; only windows that "
            f"tile the image can be joined with a convolution of padding {padding}"
        )
    return pool


def _linear(chain: Chain, name: str, node: Any) -> Chain:
    weight = np.asarray(node.weight, np.float64)
    node_values(node, name, "weight")
    size = math.prod(chain.shape)
    if weight.ndim != 2 or weight.shape[1] != size:
        raise InvalidModel(
            f"node {name!r}: weight has shape {weight.shape}, its source has {size} values"
        )
    if chain.planes is not None:
        windows = weight.reshape(-1, chain.planes.shape[0])
        weight = np.asarray(windows @ chain.planes).reshape(len(weight), -1)
    weight = weight * chain.factor * chain.scale
    bias = node_values(node, name, "bias", len(weight)) if kind_of_node(node) == "Affine" else None
    return replace(
        chain,
        connection=Dense(),
        weight=weight,
        bias=bias,
        pool=None,
        planes=None,
        shape=(len(weight),),
    )


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
    one_dimension = kind_of_node(node) == "Conv1d"
    padding = _padding(node.padding, name, kernel, stride, dilation, one_dimension)
    groups = int(np.ravel(node.groups)[0])
    if weight.shape[1] * groups != shape[0]:
        raise InvalidModel(
            f"node {name!r}: weight has shape {np.shape(node.weight)}, its source has "
            f"{shape[0]} channels"
        )
    factor = chain.scale.reshape(shape[0], -1)
    if np.any(factor != factor[:, :1]):
        raise Unsupported(
            f"node {name!r}: a scale that differs within a channel cannot be folded into "
            "shared weights"
        )
    per_output = weight.shape[0] // groups
    channel = np.arange(weight.shape[0])[:, None] // per_output * weight.shape[1] + np.arange(
        weight.shape[1]
    )
    weight = weight * chain.factor * factor[channel, 0][:, :, None, None]
    if chain.pooled:
        pool = _joinable(chain.pool, name, padding)
        _same_image(name, pool, shape)
        weight = _composed(np.ones((1, 1, *pool.kernel)), (1, 1), pool.stride, weight, dilation)
        padding = (
            pool.padding[0] + padding[0] * pool.stride[0],
            pool.padding[1] + padding[1] * pool.stride[1],
        )
        stride, dilation = (stride[0] * pool.stride[0], stride[1] * pool.stride[1]), (1, 1)
        shape = pool.input_shape
    connection = Convolution(
        shape,
        weight.shape[0],
        (weight.shape[2], weight.shape[3]),
        stride,
        padding,
        dilation,
        groups,
    )
    positions = math.prod(connection.output_shape[1:])
    bias = np.repeat(node_values(node, name, "bias", connection.channels), positions)
    result = connection.output_shape
    return replace(
        chain,
        connection=connection,
        weight=weight,
        bias=bias,
        pool=None,
        planes=None,
        shape=(result[0], result[2]) if one_dimension else result,
    )


def _padding(
    value: Any,
    name: str,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    one_dimension: bool,
) -> tuple[int, int]:
    if isinstance(value, str | bytes):
        text = value.decode() if isinstance(value, bytes) else value
        if text == "valid":
            return (0, 0)
        if stride != (1, 1):
            raise Unsupported(
                f"node {name!r}: padding {text!r} with stride {stride} has no one meaning"
            )
        total = [dilation[i] * (kernel[i] - 1) for i in (0, 1)]
        if text == "same" and total[0] % 2 == 0 and total[1] % 2 == 0:
            return (total[0] // 2, total[1] // 2)
        raise Unsupported(
            f"node {name!r}: padding {text!r} with a kernel of {kernel} is not the same on "
            "both sides"
        )
    pair = _two(value)
    return (0, pair[1]) if one_dimension else pair


def finish(chain: Chain, name: str) -> Chain:
    """A chain without a weighted node: every value reaches one target, or a window of them does."""
    if chain.connection is not None:
        return chain
    if chain.planes is None:
        size = math.prod(chain.shape)
        return replace(chain, connection=Sparse(size), weight=chain.scale * chain.factor)
    channels = chain.source_size // chain.planes.shape[1]
    scale = chain.scale.reshape(channels, -1)
    if chain.pool is not None and np.all(scale == scale[:, :1]):
        ones = np.full(chain.pool.weight_shape(0, 0), chain.factor)
        weight = ones * scale[:, :1, None, None]
        return replace(chain, connection=chain.pool, weight=weight, pool=None, planes=None)
    entries = chain.planes.tocoo()
    after, before = chain.planes.shape
    offset = np.arange(channels)[:, None]
    target = (entries.row.astype(np.int64) + offset * after).ravel()
    source = (entries.col.astype(np.int64) + offset * before).ravel()
    weight = np.tile(entries.data, channels) * chain.factor * chain.scale[source]
    return replace(
        chain,
        connection=Sparse(len(target)),
        weight=weight,
        ends=(target, source),
        pool=None,
        planes=None,
    )


def ends_of(chain: Chain) -> dict[str, FloatArray]:
    """`source` and `target` [synapse] of a finished chain with a Sparse connection, else
    nothing.
    """
    if not isinstance(chain.connection, Sparse):
        return {}
    each = np.arange(chain.connection.synapses)
    target, source = chain.ends or (each, each)
    return {"source": source.astype(np.float64), "target": target.astype(np.float64)}
