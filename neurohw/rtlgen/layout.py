"""Where the hardware puts things: slots of neurons, groups of lanes, weight rows, and the tables of address generators.

A population has GROUPS groups of LANES slots. Neurons lie in them in order, or, after a convolution, channel by channel at each output position, so
that all lanes of a group work on the same place of the image. The streams between populations always carry neuron numbers.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurohw.connections import Convolution, Dense, Sparse, delay_matrices
from neurohw.errors import Unsupported
from neurohw.fixedpoint import IntArray, IntFormat
from neurohw.network import Population, Projection
from neurohw.quantize import QuantizedProjection


@dataclass(frozen=True)
class Layout:
    """The slots of one population.

    slots: the neuron in every slot, -1 for none. lanes: slots of a group. positions, channel_groups: places of the image and groups at each of
    them; 1 and all groups without an image.
    """

    slots: tuple[int, ...]
    lanes: int
    positions: int = 1
    channel_groups: int = 0

    @property
    def groups(self) -> int:
        """Groups of lanes."""
        return -(-len(self.slots) // self.lanes)

    @property
    def in_order(self) -> bool:
        """True if slot n holds neuron n."""
        return self.positions == 1

    def padded(self) -> IntArray:
        """The neuron in every slot of every group [group * lane], -1 for none."""
        slots = np.full(self.groups * self.lanes, -1, np.int64)
        slots[: len(self.slots)] = self.slots
        return slots


def layout(population: Population, incoming: tuple[Projection, ...], lanes: int) -> Layout:
    """The layout of a population on up to `lanes` lanes; Unsupported if two convolutions see it as two different images."""
    shapes = {p.connection.output_shape for p in incoming if isinstance(p.connection, Convolution)}
    if len(shapes) > 1:
        raise Unsupported(f"population {population.name!r} is the image of several convolutions: {sorted(shapes)}")
    if not shapes:
        return Layout(tuple(range(population.size)), min(lanes, population.size))
    channels, height, width = shapes.pop()
    lanes, positions = min(lanes, channels), height * width
    channel_groups = -(-channels // lanes)
    if positions == 1:  # one place: the channels in order
        return Layout(tuple(range(channels)), lanes)
    channel = np.arange(channel_groups * lanes)
    neurons = channel[None, :] * positions + np.arange(positions)[:, None]
    slots = np.where(channel < channels, neurons, -1)
    return Layout(tuple(int(n) for n in slots.ravel()), lanes, positions, channel_groups)


@dataclass(frozen=True)
class Rows:
    """The weight rows of a projection [row, lane], the parameters of its address generator, and the words of its tables by parameter name."""

    weights: IntArray
    parameters: dict[str, int]
    tables: dict[str, list[int]]


def _bits(values: int) -> int:
    return max(1, int(values - 1).bit_length())


def dense_rows(matrix: IntArray, target: Layout) -> Rows:
    """Row source * GROUPS + group of every source neuron and group; matrix [target, source]."""
    slots = target.padded()
    weights = np.where(slots[:, None] >= 0, matrix[slots], 0).T.reshape(-1, target.lanes)
    return Rows(weights, {"INPUTS": matrix.shape[1], "GROUPS": target.groups}, {})


def sparse_rows(matrix: IntArray, target: Layout, weight: IntFormat) -> Rows:
    """Only rows that hold a synapse, source by source; matrix [target, source].

    Synapses of one pair add up; where the sum exceeds a weight, a further row of the same source and group holds the rest.
    """
    sources = matrix.shape[1]
    layers: list[IntArray] = []
    rest = matrix
    while not layers or np.any(rest):
        layers.append(np.clip(rest, weight.min, weight.max))
        rest = rest - layers[-1]
    shape = (sources, target.groups, target.lanes)
    every = np.stack([dense_rows(layer, target).weights.reshape(shape) for layer in layers], axis=2)
    kept = np.any(every != 0, axis=3)
    counts, groups = kept.sum(axis=(1, 2)), np.nonzero(kept)[1]
    firsts = np.cumsum(counts) - counts
    rows = max(1, len(groups))
    first_bits = _bits(rows)
    words = [int(c) << first_bits | (int(f) if c else 0) for c, f in zip(counts, firsts, strict=True)]
    weights = every[kept] if len(groups) else np.zeros((1, target.lanes), np.int64)
    count_bits = max(1, int(counts.max()).bit_length())
    parameters = {"INPUTS": sources, "ROWS": rows, "GROUPS": target.groups, "COUNT_BITS": count_bits}
    return Rows(weights, parameters, {"SOURCE_FILE": words, "GROUP_FILE": groups.tolist() or [0]})


def _walk(size: int, outputs: int, kernel: int, stride: int, padding: int) -> NDArray[np.int64]:
    """Per input coordinate: outputs that it reaches, the first of them, and the kernel coordinate there [coordinate, 3]."""
    entries = []
    for coordinate in range(size):
        first = max(0, -(-(coordinate + padding - kernel + 1) // stride))
        last = min(outputs - 1, (coordinate + padding) // stride)
        count = max(0, last - first + 1)
        entries.append((count, first, coordinate + padding - first * stride) if count else (0, 0, 0))
    return np.array(entries, np.int64)


def convolution_rows(connection: Convolution, weight: IntArray, target: Layout, row_bits: int | None) -> Rows:
    """Rows ((channel * kernel height + ky) * kernel width + kx) * CHANNEL_GROUPS + visit, and the walks over the output.

    row_bits: width of a row number in the population; None to find out the rows first.
    """
    channels, height, width = connection.input_shape
    outputs, out_height, out_width = connection.output_shape
    per_input, per_output = channels // connection.groups, outputs // connection.groups
    lanes = target.lanes
    channel_groups = target.channel_groups if target.positions > 1 else target.groups
    part = np.arange(channels) // per_input
    first = part * per_output // lanes
    visits = int((((part + 1) * per_output - 1) // lanes - first + 1).max())
    first = np.minimum(first, channel_groups - visits)
    kernel_height, kernel_width = connection.kernel
    weights = np.zeros((channels, kernel_height, kernel_width, visits, lanes), np.int64)
    for channel in range(channels):
        own = range(part[channel] * per_output, (part[channel] + 1) * per_output)
        for output in own:
            visit, lane = divmod(output - int(first[channel]) * lanes, lanes)
            weights[channel, :, :, visit, lane] = weight[output, channel % per_input]
    rows = weights.reshape(-1, lanes)
    group_bits = _bits(target.groups)
    row_bits = row_bits or _bits(len(rows))
    y = _walk(height, out_height, kernel_height, connection.stride[0], connection.padding[0])
    x = _walk(width, out_width, kernel_width, connection.stride[1], connection.padding[1])
    per_channel = kernel_height * kernel_width * visits

    def words(walk: NDArray[np.int64], group_step: int, row_step: int) -> list[int]:
        return [
            int(count) << (group_bits + row_bits) | int(at) * group_step << row_bits | int(k) * row_step
            for count, at, k in walk
        ]

    return Rows(
        rows,
        {
            "CHANNELS": channels,
            "HEIGHT": height,
            "WIDTH": width,
            "GROUPS": target.groups,
            "COUNT_BITS": int(max(y[:, 0].max(), x[:, 0].max(), 1)).bit_length(),
            "CHANNEL_GROUPS": visits,
            "COLUMN_GROUP_STEP": channel_groups,
            "COLUMN_ROW_STEP": connection.stride[1] * visits,
            "ROW_GROUP_STEP": out_width * channel_groups,
            "ROW_ROW_STEP": connection.stride[0] * kernel_width * visits,
        },
        {
            "ROW_FILE": words(y, out_width * channel_groups, kernel_width * visits),
            "COLUMN_FILE": words(x, channel_groups, visits),
            "CHANNEL_FILE": [int(f) << row_bits | c * per_channel for c, f in enumerate(first)],
        },
    )


def projection_rows(
    projection: Projection,
    quantized: QuantizedProjection,
    sources: int,
    population: Population,
    target: Layout,
    row_bits: int | None = None,
) -> Rows:
    """The rows of any projection."""
    if isinstance(projection.connection, Convolution):
        return convolution_rows(projection.connection, quantized.weight, target, row_bits)
    [(_, matrix)] = delay_matrices(
        projection.connection, sources, population.size, quantized.weight, quantized.arrays(), projection.delay
    )
    if isinstance(projection.connection, Dense):
        return dense_rows(matrix, target)
    assert isinstance(projection.connection, Sparse)
    return sparse_rows(matrix.toarray(), target, IntFormat(quantized.bits))
