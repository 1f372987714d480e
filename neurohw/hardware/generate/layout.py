# SPDX-License-Identifier: Apache-2.0
"""Where the hardware puts things: slots of neurons, groups of lanes, weight rows, and the tables of
address generators.

A population has GROUPS groups of LANES slots. Neurons lie in them in order, or, after a
convolution, channel by channel at each output position, so that all lanes of a group work on the
same place of the image. The streams between populations always carry neuron numbers.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from neurohw.connections import Convolution, Dense, Synapses, synapses
from neurohw.errors import Unsupported
from neurohw.fixedpoint import IntArray, IntFormat
from neurohw.integers import QuantizedProjection
from neurohw.network import Population, Projection


@dataclass(frozen=True)
class Layout:
    """The slots of one population.

    slots: the neuron in every slot, -1 for none.
    lanes: slots of a group.
    positions, channel_groups: places of the image and groups at each of them; 1 and all groups
        without an image.
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
    """The layout of a population on up to `lanes` lanes;

    Unsupported if two convolutions see it as two different images.
    """
    shapes = {p.connection.output_shape for p in incoming if isinstance(p.connection, Convolution)}
    if len(shapes) > 1:
        raise Unsupported(
            f"population {population.name!r} is the image of several convolutions: {sorted(shapes)}"
        )
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
    """The weight rows of a projection, the parameters of its address generator, and the words of
    its tables by parameter name.

    weights, delays: [row, lane]; delays in steps beyond the shortest of the projection.
    targets: of compressed rows, the slot that every entry adds to [row, lane]; None where a row is
        one of a group of slots.
    """

    weights: IntArray
    delays: IntArray
    parameters: dict[str, int]
    tables: dict[str, list[int]]
    targets: IntArray | None = None


def _bits(values: int) -> int:
    return max(1, int(values - 1).bit_length())


def dense_rows(matrix: IntArray, target: Layout, delay: IntArray | int = 0) -> Rows:
    """Row source * GROUPS + group of every source neuron and group; matrix and delay [target,
    source].
    """
    slots = target.padded()

    def lanes(values: IntArray) -> IntArray:
        return np.where(slots[:, None] >= 0, values[slots], 0).T.reshape(-1, target.lanes)

    delays = lanes(np.broadcast_to(delay, matrix.shape))
    return Rows(lanes(matrix), delays, {"INPUTS": matrix.shape[1], "GROUPS": target.groups}, {})


def sparse_rows(
    found: Synapses, values: IntArray, sources: int, target: Layout, weight: IntFormat
) -> Rows:
    """Only rows that hold a synapse, source by source. values: the weight of every synapse.

    A lane of a row holds one synapse. Synapses of one pair with one delay add up; where the sum
    exceeds a weight, and where a pair has several delays, further rows of the same source and group
    hold the others.
    """
    slots = target.padded()
    slot_of = np.zeros(int(slots.max()) + 1, np.int64)
    slot_of[slots[slots >= 0]] = np.flatnonzero(slots >= 0)
    keys = np.stack([found.source, slot_of[found.target], found.delay])
    (source, slot, delay), place = np.unique(keys, axis=1, return_inverse=True)
    total = np.zeros(len(source), np.int64)
    np.add.at(total, place.ravel(), values)
    pieces = np.where(
        total > 0, -(-total // weight.max), total // weight.min + (total % weight.min != 0)
    )
    owner = np.repeat(np.arange(len(total)), pieces)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    full = np.where(total > 0, weight.max, weight.min)
    piece = np.where(
        number < pieces[owner] - 1, full[owner], total[owner] - (pieces[owner] - 1) * full[owner]
    )
    source, slot, delay = source[owner], slot[owner], delay[owner]
    # entries are sorted by source, slot and delay: the rank within a source and slot is the layer
    starts = np.flatnonzero(
        np.append(True, (np.diff(source) != 0) | (np.diff(slot) != 0))[: len(source)]
    )
    layer = np.arange(len(source)) - np.repeat(starts, np.diff(np.append(starts, len(source))))
    group, lane = np.divmod(slot, target.lanes)
    (row_source, groups, _), row = np.unique(
        np.stack([source, group, layer]), axis=1, return_inverse=True
    )
    counts = np.bincount(row_source, minlength=sources)
    rows = max(1, len(groups))
    weights, delays = np.zeros((2, rows, target.lanes), np.int64)
    weights[row.ravel(), lane], delays[row.ravel(), lane] = piece, delay
    parameters, tables = _rows_of_sources(counts, target.groups)
    return Rows(
        weights,
        delays,
        parameters,
        tables | ({"GROUP_FILE": groups.tolist()} if target.groups > 1 else {}),
    )


def _rows_of_sources(counts: IntArray, groups: int) -> tuple[dict[str, int], dict[str, list[int]]]:
    """Parameters and SOURCE_FILE of `nhw_sparse_rows`;

    counts: rows of every source, which lie one after the other.
    """
    rows = max(1, int(counts.sum()))
    first_bits, firsts = _bits(rows), np.cumsum(counts) - counts
    words = [
        int(c) << first_bits | (int(f) if c else 0) for c, f in zip(counts, firsts, strict=True)
    ]
    count_bits = max(1, int(counts.max()).bit_length())
    return {"INPUTS": len(counts), "ROWS": rows, "GROUPS": groups, "COUNT_BITS": count_bits}, {
        "SOURCE_FILE": words
    }


def compressed_rows(found: Synapses, values: IntArray, sources: int, lanes: int) -> Rows:
    """ceil(F / lanes) rows of every source neuron with F synapses of weight other than 0, any of
    them in any lane.

    values: the weight of every synapse. Unused entries, in the last row of a source, add 0 to slot
        0. The lane of the first synapse moves on from source to source, so that the sums of a
        target spread over the lanes.
    """
    there = np.flatnonzero(values)
    order = there[np.lexsort((found.delay[there], found.target[there], found.source[there]))]
    source = found.source[order]
    fan_out = np.bincount(source, minlength=sources)
    counts = -(-fan_out // lanes)
    rank = np.arange(len(order)) - (np.cumsum(fan_out) - fan_out)[source]
    row, lane = (np.cumsum(counts) - counts)[source] + rank // lanes, (rank + source) % lanes
    parameters, tables = _rows_of_sources(counts, 1)
    weights, delays, targets = np.zeros((3, parameters["ROWS"], lanes), np.int64)
    weights[row, lane], delays[row, lane], targets[row, lane] = (
        values[order],
        found.delay[order],
        found.target[order],
    )
    return Rows(weights, delays, parameters, tables, targets)


def _walk(size: int, outputs: int, kernel: int, stride: int, padding: int) -> NDArray[np.int64]:
    """Per input coordinate: outputs that it reaches, the first of them, and the kernel coordinate
    there [coordinate, 3].
    """
    entries = []
    for coordinate in range(size):
        first = max(0, -(-(coordinate + padding - kernel + 1) // stride))
        last = min(outputs - 1, (coordinate + padding) // stride)
        count = max(0, last - first + 1)
        entries.append(
            (count, first, coordinate + padding - first * stride) if count else (0, 0, 0)
        )
    return np.array(entries, np.int64)


def convolution_rows(
    connection: Convolution,
    weight: IntArray,
    target: Layout,
    row_bits: int | None,
    delay: IntArray | int = 0,
) -> Rows:
    """Rows ((channel * kernel height + ky) * kernel width + kx) * CHANNEL_GROUPS + visit, and the
    walks over the output.

    delay: like the weight.
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
    weights, delays = np.zeros((2, channels, kernel_height, kernel_width, visits, lanes), np.int64)
    delay = np.broadcast_to(delay, weight.shape)
    for channel in range(channels):
        own = range(part[channel] * per_output, (part[channel] + 1) * per_output)
        for output in own:
            visit, lane = divmod(output - int(first[channel]) * lanes, lanes)
            weights[channel, :, :, visit, lane] = weight[output, channel % per_input]
            delays[channel, :, :, visit, lane] = delay[output, channel % per_input]
    rows = weights.reshape(-1, lanes)
    group_bits = _bits(target.groups)
    row_bits = row_bits or _bits(len(rows))
    y = _walk(height, out_height, kernel_height, connection.stride[0], connection.padding[0])
    x = _walk(width, out_width, kernel_width, connection.stride[1], connection.padding[1])
    per_channel = kernel_height * kernel_width * visits

    def words(walk: NDArray[np.int64], group_step: int, row_step: int) -> list[int]:
        return [
            int(count) << (group_bits + row_bits)
            | int(at) * group_step << row_bits
            | int(k) * row_step
            for count, at, k in walk
        ]

    return Rows(
        rows,
        delays.reshape(-1, lanes),
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
    compressed: bool = False,
) -> Rows:
    """The rows of any projection;

    Unsupported for axonal delays of a convolution, whose rows are shared by all positions.

    compressed: of a dense or sparse projection, rows whose entries name their targets instead of
        rows of groups.
    """
    connection, weight = projection.connection, quantized.weight
    per_source = projection.delay_per == "source"
    delay: IntArray | int = 0 if quantized.delay is None else quantized.delay - projection.delay
    if isinstance(connection, Convolution):
        if per_source and np.any(delay != np.ravel(delay)[0]):
            raise Unsupported(
                f"projection {projection.name!r}: the axons of a convolution have delays of "
                f"{np.min(delay) + projection.delay} to {np.max(delay) + projection.delay} "
                "steps, and its weight rows are shared by all positions; give them one delay"
            )
        return convolution_rows(
            connection, weight, target, row_bits, np.ravel(delay)[0] if per_source else delay
        )
    if isinstance(connection, Dense) and not compressed:
        return dense_rows(weight, target, delay)
    found = synapses(
        connection, sources, population.size, quantized.arrays(), 0, projection.delay_per
    )
    if quantized.delay is not None:
        found = replace(found, delay=found.delay - projection.delay)
    values = weight.ravel()[found.weight_index]
    if compressed:
        return compressed_rows(found, values, sources, target.lanes)
    return sparse_rows(found, values, sources, target, IntFormat(quantized.bits))
