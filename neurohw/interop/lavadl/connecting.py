# SPDX-License-Identifier: Apache-2.0
"""The connection into one layer of lava-dl."""

from dataclasses import dataclass

import numpy as np

from neurohw.connections import Connection, Convolution, Dense, Sparse, synapses
from neurohw.errors import InvalidModel, Unsupported
from neurohw.fixedpoint import IntArray, IntFormat
from neurohw.interop.lavadl.file import Layer

MAX_WEIGHT_BITS = 8


@dataclass(frozen=True)
class Connecting:
    """A connection, its weights as stored, its target's shape, and the ends of a Sparse one."""

    connection: Connection
    weight: IntArray
    shape: tuple[int, ...]
    source: IntArray | None = None
    target: IntArray | None = None


def connecting(layer: Layer, shape: tuple[int, ...]) -> Connecting:
    """The connection of a layer whose source has `shape`; an error names the field."""
    match layer.kind:
        case "dense" | "dense_rec":
            result = _dense(layer, int(np.prod(shape)))
        case "conv":
            result = _convolution(layer, _image(layer, shape))
        case "pool":
            result = _pooling(layer, _image(layer, shape))
        case "average":
            result = _average(layer, int(np.prod(shape)))
        case _:
            raise Unsupported(f"{layer.node}: a layer of type {layer.kind!r} cannot stand here")
    layer.check_shape(result.shape)
    return result


def factored(layer: Layer, weight: IntArray) -> tuple[IntArray, int]:
    """Weights of at most 8 bits and the power of two taken out of them."""
    shift = 0
    while not IntFormat(MAX_WEIGHT_BITS).allows(weight):
        if np.any(weight & 1):
            value = weight.ravel()[np.argmax(np.abs(weight))] << shift
            raise Unsupported(
                f"{layer.node}: weight {value} needs more than {MAX_WEIGHT_BITS} bits and the "
                "weights share no factor of two"
            )
        weight, shift = weight >> 1, shift + 1
    return weight, shift


def _image(layer: Layer, shape: tuple[int, ...]) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise InvalidModel(
            f"{layer.node}: a {layer.kind} needs a source of 3 axes, the layer before has {shape}"
        )
    return shape  # type: ignore[return-value]


def _dense(layer: Layer, size: int) -> Connecting:
    inputs, outputs = layer.number_of("inFeatures"), layer.number_of("outFeatures")
    if inputs != size:
        raise InvalidModel(
            f"{layer.node}: inFeatures is {inputs}, the layer before has {size} neurons"
        )
    weight = layer.integers("weight")
    if weight.size != inputs * outputs:
        raise InvalidModel(
            f"{layer.node}: weight has shape {weight.shape}, ({outputs}, {inputs}) is needed"
        )
    return Connecting(Dense(), weight.reshape(outputs, inputs), (outputs,))


def _convolution(layer: Layer, image: tuple[int, int, int]) -> Connecting:
    connection = Convolution(
        image,
        layer.number_of("outChannels"),
        layer.numbers("kernelSize", 2),  # type: ignore[arg-type]
        layer.numbers("stride", 2),  # type: ignore[arg-type]
        layer.numbers("padding", 2),  # type: ignore[arg-type]
        layer.numbers("dilation", 2, 1),  # type: ignore[arg-type]
        layer.number_of("groups", 1),
    )
    if layer.number_of("inChannels", image[0]) != image[0]:
        raise InvalidModel(
            f"{layer.node}: inChannels is {layer.number_of('inChannels')}, the layer before has "
            f"{image}"
        )
    expected = connection.weight_shape(0, 0)
    weight = layer.integers("weight")
    if weight.size != int(np.prod(expected)):
        raise InvalidModel(f"{layer.node}: weight has shape {weight.shape}, {expected} is needed")
    return Connecting(connection, weight.reshape(expected), connection.output_shape)


def _pooling(layer: Layer, image: tuple[int, int, int]) -> Connecting:
    """Sums over windows, as SLAYER computes them.

    It adds H mod kernel rows of zeros at the end, and as many columns, puts the channels below each
    other, and pools that one tall image: rows of two channels must not meet in a window.
    """
    kernel, stride = layer.numbers("kernelSize", 2), layer.numbers("stride", 2)
    padding, dilation = layer.numbers("padding", 2), layer.numbers("dilation", 2, 1)
    channels, height, width = image
    tall, wide = height + height % kernel[0], width + width % kernel[1]
    apart = stride[0] == kernel[0] and padding[0] == 0 and (dilation[0] == 1 or kernel[0] == 1)
    if not apart or tall % kernel[0]:
        raise Unsupported(
            f"{layer.node}: a pool of kernel {kernel}, stride {stride}, padding {padding} and "
            f"dilation {dilation} on {image} lets SLAYER join rows of different channels; along "
            "the rows the stride must be the kernel, without padding, and the kernel must divide "
            "the rows"
        )
    shape = (channels, tall, wide)
    pool = Convolution(shape, channels, kernel, stride, padding, dilation, channels)  # type: ignore[arg-type]
    weight = layer.integers("weight")
    if weight.size not in (1, int(np.prod(kernel))):
        raise InvalidModel(f"{layer.node}: weight has shape {weight.shape}, {kernel} is needed")
    window = weight.reshape(1, 1, *(kernel if weight.size > 1 else (1, 1)))
    whole = np.ascontiguousarray(np.broadcast_to(window, pool.weight_shape(0, 0)))
    if (tall, wide) == (height, width):
        return Connecting(pool, whole, pool.output_shape)
    found = synapses(pool, channels * tall * wide, int(np.prod(pool.output_shape)), {}, 0)
    channel, row, column = np.unravel_index(found.source, (channels, tall, wide))
    inside = (row < height) & (column < width)
    source = ((channel * height + row) * width + column)[inside]
    values = whole.ravel()[found.weight_index[inside]]
    return Connecting(
        Sparse(len(source)),
        values,
        pool.output_shape,
        source.astype(np.int64),
        found.target[inside],
    )


def _average(layer: Layer, size: int) -> Connecting:
    """Sums over groups of neighbouring neurons: the mean but for its divisor."""
    name = "numOutputs" if "numOutputs" in layer.fields else "shape"
    outputs = int(np.prod(layer.integers(name)))
    if outputs < 1 or size % outputs:
        raise InvalidModel(f"{layer.node}: {outputs} outputs cannot average {size} neurons evenly")
    weight = np.repeat(np.eye(outputs, dtype=np.int64), size // outputs, axis=1)
    return Connecting(Dense(), weight, (outputs,))


def source_shape(first: Layer, given: tuple[int, ...] | None) -> tuple[int, ...]:
    """Shape of a network's input: what the file says, or what the user does where it says nothing.

    Raises InvalidModel where the two differ, Unsupported where neither says it.
    """
    stored = None
    if first.kind == "input":
        stored = tuple(int(n) for n in first.integers("shape").ravel())
    elif first.kind in ("dense", "dense_rec"):
        stored = (first.number_of("inFeatures"),)
    if given is None and stored is None:
        raise Unsupported(
            f"{first.node}: a network that starts with {first.kind!r} does not say the shape of "
            "its input; say it as channels, rows, columns (--input-shape 2,34,34)"
        )
    if given is None or stored is None:
        shape = given or stored
        assert shape is not None
        if min(shape) < 1:
            raise InvalidModel(f"{first.node}: an input of shape {shape} has no values")
        return shape
    if int(np.prod(stored)) != int(np.prod(given)) or (len(stored) == 3 and stored != given):
        raise InvalidModel(f"{first.node}: the input has shape {stored}, not {given}")
    return given


def axonal_delay(layer: Layer, size: int, channels: int | None) -> IntArray | None:
    """Delay in steps of every neuron's spikes [neuron], None without any.

    The file has one number, one per neuron, or one per channel. Older files hold real numbers as
    they were trained; the network that runs rounds them down.
    """
    if "delay" not in layer.fields:
        return None
    values = np.floor(np.asarray(layer.fields["delay"], np.float64)).ravel()
    if not np.all(np.isfinite(values)) or np.any(values < 0):
        raise InvalidModel(f"{layer.node}: delay must be finite and 0 or more")
    if len(values) == channels:
        values = np.repeat(values, size // len(values))
    if len(values) not in (1, size):
        raise InvalidModel(
            f"{layer.node}: delay holds {len(values)} values, the layer has {size} neurons"
        )
    delay = np.broadcast_to(values.astype(np.int64), (size,))
    return delay if np.any(delay) else None
