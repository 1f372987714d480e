# SPDX-License-Identifier: Apache-2.0
"""Bench of the address generators `nhw_dense_rows`, `nhw_sparse_rows` and `nhw_convolution_rows`:
every operation, in order.

What an event must become is walked here from the connection itself, not from the tables that the
hardware reads.
"""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import cocotb
import numpy as np
import pytest
from cocotb.triggers import FallingEdge, ReadOnly

from neurohw import Lif, Population, Projection
from neurohw.connections import Convolution, Synapses
from neurohw.fixedpoint import IntArray, IntFormat
from neurohw.hardware.generate.layout import (
    Layout,
    Rows,
    compressed_rows,
    convolution_rows,
    dense_rows,
    layout,
    sparse_rows,
)
from tests.rtl.common import (
    STREAM_CONDITIONS,
    bench_description,
    run_bench,
    start,
    step_frame,
    stream_source,
)

Operation = list[int]  # barrier, end of sample, row, group; row and group of a barrier are 0


async def collect(
    dut: Any, wanted: int, backpressure: float, limit: int = 20_000
) -> tuple[list[Operation], list[int]]:
    """The operations taken, and the clock of each."""
    random, taken, clocks = Random(5), [], []
    held: Operation | None = None
    for clock in range(limit):
        await FallingEdge(dut.clk_i)
        dut.op_ready_i.value = int(random.random() >= backpressure)
        await ReadOnly()
        now = None
        if dut.op_valid_o.value:
            barrier = int(dut.op_barrier_o.value)
            place = [0, 0] if barrier else [int(dut.op_row_o.value), int(dut.op_group_o.value)]
            now = [barrier, int(dut.op_sample_end_o.value) if barrier else 0, *place]
        if held is not None:
            assert now == held, "an operation changed while it waited"
        held = now if now is not None and not dut.op_ready_i.value else None
        if now is not None and dut.op_ready_i.value:
            taken.append(now)
            clocks.append(clock)
        if len(taken) == wanted:
            break
    return taken, clocks


@cocotb.test()
@STREAM_CONDITIONS
async def every_operation_in_order(dut: Any, idle: float, backpressure: float) -> None:
    bench = bench_description()
    dut.op_ready_i.value = 0
    await start(dut)
    source = stream_source(dut, idle)
    expected: list[Operation] = []
    for steps in bench["samples"]:
        for t, events in enumerate(steps):
            last = t == len(steps) - 1
            await source.send(step_frame(events, last))
            for event in events:
                expected += [
                    [0, 0, *operation] for operation in bench["operations"].get(str(event), [])
                ]
            expected.append([1, int(last), 0, 0])
    operations, _ = await collect(dut, len(expected), backpressure)
    assert operations == expected
    extra, _ = await collect(dut, 1, 0.0, limit=50)
    assert not extra


@cocotb.test()
async def one_operation_a_clock(dut: Any) -> None:
    """Events that have operations follow each other without a gap."""
    bench = bench_description()
    dut.op_ready_i.value = 0
    await start(dut)
    source = stream_source(dut, 0.0)
    busy = [int(event) for event, operations in bench["operations"].items() if operations] * 4
    await source.send(step_frame(busy, True))
    wanted = sum(len(bench["operations"][str(event)]) for event in busy) + 1
    _, clocks = await collect(dut, wanted, 0.0)
    assert clocks[-1] - clocks[0] == wanted - 1


# --- what is run
# --------------------------------------------------------------------------------------------------


def convolution_case(
    connection: Convolution, lanes: int
) -> tuple[str, Rows, int, dict[int, list[list[int]]]]:
    """Operations (row, group) of every source neuron, walked as the definition of a convolution
    says.
    """
    targets = int(np.prod(connection.output_shape))
    sources = int(np.prod(connection.input_shape))
    place = layout(
        Population("p", targets, Lif()), (Projection("input", "p", connection=connection),), lanes
    )
    weight = np.arange(1, 1 + int(np.prod(connection.weight_shape(0, 0)))).reshape(
        connection.weight_shape(0, 0)
    )
    rows = convolution_rows(connection, weight, place, None)
    slots = place.padded().reshape(place.groups, place.lanes)
    group_of = {int(n): g for g, neurons in enumerate(slots) for n in neurons if n >= 0}
    per_group, (_, height, width) = (
        connection.channels // connection.groups,
        connection.output_shape,
    )
    operations: dict[int, list[list[int]]] = {}
    for source in range(sources):
        c, y, x = (int(v) for v in np.unravel_index(source, connection.input_shape))
        part, inner = divmod(c, connection.input_shape[0] // connection.groups)
        found: list[list[int]] = []
        for oy in range(height):
            for ox in range(width):
                ky = y + connection.padding[0] - oy * connection.stride[0]
                kx = x + connection.padding[1] - ox * connection.stride[1]
                if not (0 <= ky < connection.kernel[0] and 0 <= kx < connection.kernel[1]):
                    continue
                here = range(part * per_group, (part + 1) * per_group)
                for group in sorted(
                    {group_of[(channel * height + oy) * width + ox] for channel in here}
                ):
                    # the row is the one whose weights are those of the channels in this group
                    wanted = [
                        weight[n // (height * width), inner, ky, kx]
                        if n >= 0 and n // (height * width) in here
                        else 0
                        for n in slots[group]
                    ]
                    [row] = [
                        r for r, values in enumerate(rows.weights) if values.tolist() == wanted
                    ]
                    found.append([row, group])
        operations[source] = found
    return "nhw_convolution_rows", rows, sources, operations


def matrix_case(
    kind: str, matrix: IntArray, lanes: int
) -> tuple[str, Rows, int, dict[int, list[list[int]]]]:
    """Operations of a dense or sparse matrix [target, source], of rows of groups or compressed
    ones.
    """
    targets, sources = matrix.shape
    place = Layout(tuple(range(targets)), min(lanes, targets))
    if kind == "dense":
        walk = {s: [[s * place.groups + g, g] for g in range(place.groups)] for s in range(sources)}
        return "nhw_dense_rows", dense_rows(matrix, place), sources, walk
    target, source = np.nonzero(matrix)
    found = Synapses(target, source, np.arange(len(source)), np.zeros_like(source))
    if kind == "compressed":
        needed = -(-np.count_nonzero(matrix, axis=0) // lanes)
        first = np.cumsum(needed) - needed
        walk = {s: [[int(first[s]) + n, 0] for n in range(needed[s])] for s in range(sources)}
        return (
            "nhw_sparse_rows",
            compressed_rows(found, matrix[target, source], sources, lanes),
            sources,
            walk,
        )
    rows, row, walk = (
        sparse_rows(found, matrix[target, source], sources, place, IntFormat(4)),
        0,
        {},
    )
    for source in range(sources):
        walk[source] = []
        for group in range(place.groups):
            values = matrix[group * place.lanes : (group + 1) * place.lanes, source]
            # a sum of up to 7 or down to -8 takes one row, and so on
            needed = max((-(-int(v) // 7) if v > 0 else -(int(v) // 8) for v in values), default=0)
            for _ in range(needed):
                walk[source].append([row, group])
                row += 1
    return "nhw_sparse_rows", rows, sources, walk


def sparse_matrix() -> IntArray:
    rng = np.random.default_rng(3)
    matrix = np.where(rng.random((13, 11)) < 0.2, rng.integers(-8, 8, (13, 11)), 0)
    matrix[:, 4] = 0  # a source without synapses
    matrix[2, 7], matrix[5, 7] = 20, -17  # sums of several synapses
    return matrix


CASES = {
    "dense, groups no power of two": lambda: matrix_case("dense", np.ones((11, 9), np.int64), 4),
    "dense, one group": lambda: matrix_case("dense", np.ones((4, 5), np.int64), 8),
    "dense, one source": lambda: matrix_case("dense", np.ones((9, 1), np.int64), 2),
    "sparse": lambda: matrix_case("sparse", sparse_matrix(), 4),
    "sparse, one lane": lambda: matrix_case("sparse", sparse_matrix(), 1),
    "compressed": lambda: matrix_case("compressed", sparse_matrix(), 3),
    "sparse, no synapse": lambda: matrix_case("sparse", np.zeros((3, 4), np.int64), 2),
    "convolution": lambda: convolution_case(Convolution((2, 5, 6), 5, (3, 2), padding=(1, 1)), 3),
    "convolution, stride, lanes of one channel": lambda: convolution_case(
        Convolution((1, 7, 5), 3, (2, 3), stride=(2, 3), padding=(0, 1)), 1
    ),
    "convolution, groups": lambda: convolution_case(
        Convolution((4, 4, 4), 8, (2, 2), stride=(2, 2), groups=2), 2
    ),
    "convolution, inputs beyond the last window": lambda: convolution_case(
        Convolution((2, 5, 5), 2, 2, stride=3), 4
    ),
    "convolution, one dimension": lambda: convolution_case(
        Convolution((3, 1, 9), 4, (1, 3), padding=(0, 1)), 4
    ),
}


def stimulus(sources: int, busiest: Sequence[int]) -> list[list[list[int]]]:
    """Samples of steps of events: empty steps, every source, unknown sources, and one source again
    and again.
    """
    random = Random(8)
    every = list(range(sources))
    some = [[random.randrange(sources) for _ in range(random.randrange(6))] for _ in range(4)]
    return [[[], every, [sources, 0xFFFF, 0]], [[]], [*some, list(busiest) * 3]]


@pytest.mark.rtl
@pytest.mark.parametrize("case", CASES)
def test_nhw_rows(case: str, tmp_path: Path) -> None:
    top, rows, sources, operations = CASES[case]()
    parameters: dict[str, int | str] = {
        **rows.parameters,
        "ROW_BITS": max(1, (len(rows.weights) - 1).bit_length()),
    }
    for name, words in rows.tables.items():
        path = tmp_path / f"{name.lower()}.hex"
        path.write_text("".join(f"{word:x}\n" for word in words))
        parameters[name] = str(path)
    busiest = max(operations, key=lambda source: len(operations[source]))
    bench = {"operations": operations, "samples": stimulus(sources, [busiest])}
    run_bench("test_nhw_rows", top, parameters, tmp_path, bench)
