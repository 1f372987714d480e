# SPDX-License-Identifier: Apache-2.0
"""NIR graphs as networks.

What the graph leaves open is said by `Conventions`: those of the tool that wrote it (`written_by`,
see `conventions.TOOLS`), single ones by keyword, and NIR's own definitions for the rest. What was
taken is kept in the network's `info["import"]` (`report.py`).

Recurrent edges get `recurrent_delay` steps. Linear nodes in a row are one projection: pooling,
Flatten, Scale and Delay fold exactly into the weighted node after or before them; two weighted
nodes without a neuron between are refused.
"""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.connections import Convolution
from neurohw.errors import InvalidModel, NeurohwError, Unsupported
from neurohw.interop.chain import (
    WEIGHTED,
    Chain,
    ends_of,
    finish,
    kind_of_node,
    passed,
    scale_target,
    start,
)
from neurohw.interop.nir import metadata
from neurohw.interop.nir.cells import Cell, cell_of, own_shape
from neurohw.interop.nir.conventions import (
    CHOICES,
    Conventions,
    Exported,
    changed,
    row_of,
    tool_named,
)
from neurohw.interop.nir.graph import (
    CELLS,
    LINEAR,
    READOUT,
    WHOLE,
    Blocked,
    Broken,
    Problems,
    Tree,
    flatten,
    kind_of,
    order_of,
    read_tree,
    tree_of,
    ways_into,
)
from neurohw.interop.nir.report import METADATA, Taken, describe, tell
from neurohw.interop.nir.step_of import step_of
from neurohw.network import Network, Population, Projection, TrainedNetwork
from neurohw.neurons import Integrator, Lif, Source

FloatArray = NDArray[np.float64]
RESETS = {"zero": "hard", "subtract": "soft"}  # as snnTorch calls them


def from_nir(
    graph: Any,
    conventions: Conventions | None = None,
    use_metadata: bool | None = None,
    written_by: str | None = None,
    **changes: Any,
) -> TrainedNetwork:
    """A NIR graph, or the file of one, as a network.

    written_by: the tool whose exporter wrote the graph, one of `conventions.ORIGINS`; it sets all
    conventions. conventions, or their fields as keywords: what was chosen by hand. use_metadata:
    whether a graph that `to_nir` made is rebuilt from the exact constants in its metadata; by
    default it is, unless conventions are chosen. Everything that was taken is in `info["import"]`
    of the result, and a warning names what nobody chose.

    Raises BrokenFile, InvalidModel or Unsupported naming file, node and reason.
    """
    unknown = sorted(set(changes) - set(CHOICES))
    if unknown:
        raise Unsupported(
            f"there is no convention {', '.join(unknown)}; there are {', '.join(CHOICES)}"
        )
    given = (
        changes if conventions is None else {n: getattr(conventions, n) for n in CHOICES} | changes
    )
    path = Path(graph) if isinstance(graph, str | Path) else None
    try:
        tree = tree_of(graph) if path is None else read_tree(path)
        own = metadata.own_network(tree, written_by, given, use_metadata)
        if own is not None:
            return own
        model = Import(tree, written_by, given).network()
    except NeurohwError as error:
        if path is None or str(path) in str(error):
            raise
        raise type(error)(f"{path}: {error}") from error
    tell(model)
    return model


class Import:
    """The conversion of one graph.

    written_by: see `from_nir`; without it the conventions of our own metadata are the base, or else
    NIR's. given: those chosen by hand. Raises Unsupported for the name of no tool.
    """

    def __init__(
        self,
        tree: Tree,
        written_by: str | None,
        given: dict[str, Any],
        problems: Problems | None = None,
    ) -> None:
        self.problems = problems or Problems()
        self.given = given | (
            {"reset": RESETS[given["reset"]]} if given.get("reset") in RESETS else {}
        )
        self.tool = None if written_by is None else tool_named(written_by)
        base = metadata.conventions_of(tree) if written_by is None else None
        self.base = base or Conventions()
        # a choice that means nothing is no node's problem
        changed(self.tool.rows[0].conventions if self.tool else self.base, self.given)
        otherwise = "NIR's definitions" if written_by else METADATA if base else ""
        self.taken = Taken(self.tool, otherwise, self.given)
        self.rows: dict[str, Exported] = {}
        self.found: dict[str, Any] = {}
        rewires = self.tool is not None and self.tool.rewires
        self.flat = flatten(tree, self.problems, rewires)
        if self.tool is not None:
            with self.problems.at(WHOLE):
                self.found, self.taken.step = step_of(self.tool, self.flat, self.given)

    def conventions(self, node: str, looped: bool = False) -> Conventions:
        """Those of a node."""
        kind = kind_of(self.flat.nodes[node])
        if self.tool is None:
            return changed(self.base, self.given)
        if kind not in CELLS:
            return changed(replace(self.tool.rows[0].conventions, **self.found), self.given)
        row = row_of(self.tool, node, kind, looped, self.given)
        self.rows[node] = row
        return changed(replace(row.conventions, **self.found), self.given)

    def network(self) -> TrainedNetwork:
        """The network; where problems are collected, only if there are none."""
        flat, problems = self.flat, self.problems
        by_kind = {
            k: [n for n, x in flat.nodes.items() if kind_of(x) == k] for k in ("Input", "Output")
        }
        for kind, found in by_kind.items():
            if len(found) != 1:
                raise Unsupported(
                    f"the graph has {len(found)} {kind} nodes {found}, exactly one is needed: "
                    "split the graph"
                )
        source, sink = by_kind["Input"][0], by_kind["Output"][0]
        cells = [n for n, x in flat.nodes.items() if kind_of(x) in CELLS]
        ends = {source, *cells}
        ways = {n: ways_into(flat, n, ends) for n in cells}
        into_sink = ways_into(flat, sink, ends)
        if len(into_sink) != 1:
            raise Unsupported(
                f"node {sink!r} has {len(into_sink)} sources, exactly one is needed: take the "
                "others away"
            )
        bare = len(into_sink[0]) > 2 and any(
            kind_of(flat.nodes[n]) in LINEAR for n in into_sink[0][1:-1]
        )
        output = sink if bare else into_sink[0][0]
        if bare:  # values leave the graph without a neuron: a readout without memory
            ways[sink] = into_sink
        if output == source:
            raise Unsupported(
                "the graph has no neuron between its input and its output: put one there"
            )
        order = order_of(source, ways)
        shapes, chains = self._chains(source, order, ways)
        built = {}
        for name in order:
            with problems.at(name):
                if name not in shapes:
                    raise Blocked
                built[name] = self._cell(name, shapes[name], ways[name], sink)
        if problems.found:
            raise Blocked
        return self._assemble(source, output, order, built, chains)

    def _cell(self, node: str, shape: tuple[int, ...], ways: list[list[str]], sink: str) -> Cell:
        size = math.prod(shape)
        if node == sink:
            zero = np.zeros(size)
            return Cell(Integrator(0.0), shape, np.ones(size), zero, None, {"decay": zero})
        return cell_of(
            node, self.flat.nodes[node], shape, self.conventions(node, _looped(node, ways))
        )

    def _chains(
        self, source: str, order: list[str], ways: dict[str, list[list[str]]]
    ) -> tuple[dict[str, tuple[int, ...]], dict[str, list[tuple[str, Chain]]]]:
        """The shape of every population, and what the linear nodes before it do, way by way."""
        shapes = {source: _input_shape(self.flat.nodes[source])}
        for name in order:
            node = self.flat.nodes[name]
            shape = own_shape(node) if kind_of(node) in CELLS else None
            with self.problems.at(name):
                if shape is None:  # one number for all: as many neurons as values arrive
                    first = next((w for w in ways[name] if w[0] in shapes), None)
                    if first is None:
                        raise Blocked
                    shape = self._chain(shapes[first[0]], first).shape
                shapes[name] = shape
        chains: dict[str, list[tuple[str, Chain]]] = {}
        for name in order:
            chains[name] = []
            added: set[str] = set()  # nodes whose bias is in one of the chains
            for way in ways[name]:
                with self.problems.at(name):
                    if way[0] not in shapes or name not in shapes:
                        raise Blocked
                    if kind_of(self.flat.nodes[way[0]]) in READOUT:
                        raise Unsupported(
                            f"node {way[0]!r} hands its membrane to {name!r}, and only spikes "
                            "can be handed on: put a LIF, CubaLIF or IF in its place"
                        )
                    chain = self._chain(shapes[way[0]], way)
                    if math.prod(chain.shape) != math.prod(shapes[name]):
                        raise InvalidModel(
                            f"node {name!r} has {math.prod(shapes[name])} neurons, {way[-2]!r} "
                            f"gives {chain.shape}"
                        )
                    if any(origin == way[0] for origin, _ in chains[name]):
                        raise Unsupported(
                            f"node {name!r}: two connections from {way[0]!r}; join them into one"
                        )
                    # what arrives at a node is summed before its bias, which comes once then
                    weighted = {n for n in way[1:-1] if kind_of(self.flat.nodes[n]) in WEIGHTED}
                    chain = replace(chain, bias=None) if weighted & added else chain
                    added |= weighted
                    chains[name].append((way[0], chain))
        return shapes, chains

    def _chain(self, shape: tuple[int, ...], way: list[str]) -> Chain:
        chain = start(shape)
        # the shape before a Flatten that lays it out with the channels last
        image: tuple[int, ...] | None = None
        for name in way[1:-1]:
            node = self.flat.nodes[name]
            following = None
            with self.problems.at(name):
                if isinstance(node, Broken):
                    raise Blocked
                self._check_padding(name, node)
                _check_held_back(chain, name, node)
                if (
                    kind_of_node(node) == "Flatten"
                    and self.conventions(name).flatten == "channels_last"
                ):
                    image = chain.shape if len(chain.shape) == 3 else None
                if image is not None and kind_of_node(node) in ("Linear", "Affine"):
                    node, image = _channels_first(node, image), None
                following = passed(chain, name, node)
            if following is None:
                raise Blocked
            chain = following
        return finish(chain, way[-2] if len(way) > 2 else way[-1])

    def _check_padding(self, name: str, node: Any) -> None:
        tool, pooling = self.tool, kind_of_node(node) in ("SumPool2d", "AvgPool2d")
        if tool is not None and tool.sums_padding and pooling and np.any(node.padding):
            raise Unsupported(
                f"node {name!r}: padding {np.ravel(node.padding).tolist()} is the sum of both "
                f"sides as {tool.name} {tool.version} writes it, and which side has how much is "
                "not in the file: export the pooling with VALID"
            )

    def _assemble(
        self,
        source: str,
        output: str,
        order: list[str],
        cells: dict[str, Cell],
        chains: dict[str, list[tuple[str, Chain]]],
    ) -> TrainedNetwork:
        common = self.conventions(source)
        taken: set[str] = set()
        names = {n: _identifier("input" if n == source else n, taken) for n in [source, *order]}
        size = math.prod(_input_shape(self.flat.nodes[source]))
        populations = {source: Population(names[source], size, Source())}
        projections: list[Projection] = []
        parameters: dict[str, FloatArray] = {}
        edge, latency = _latencies(common.latency, source, order, cells, chains)
        for name in order:
            cell, incoming = cells[name], chains[name]
            population = _population(names[name], cell, [c for _, c in incoming])
            populations[name] = population
            _add_neurons(population, cell, [c for _, c in incoming], parameters, name)
            for origin, chain in incoming:
                late = origin != source and order.index(origin) >= order.index(name)
                extra = common.recurrent_delay if late else 0 if origin == source else edge
                delays = _delays(chain, extra, common, name)
                projection = _projection(names[origin], population, chain, delays)
                projections.append(projection)
                _add_projection(projection, population, chain, cell.gain, parameters, name, delays)
        ordered = [
            populations[source],
            *(populations[n] for n in order if n != output),
            populations[output],
        ]
        network = Network(tuple(ordered), tuple(projections), common.seconds or common.dt)
        model = TrainedNetwork(network, parameters, common.steps)
        kinds = {names[n]: (n, self.rows.get(n), cells[n].gain, latency[n]) for n in order}
        return replace(
            model, info={"source": "NIR", "import": describe(model, common, self.taken, kinds)}
        )


def _looped(node: str, ways: list[list[str]]) -> bool:
    return any(way[0] == node for way in ways)


def _input_shape(node: Any) -> tuple[int, ...]:
    shape = tuple(int(n) for n in np.ravel(next(iter(node.input_type.values()))))
    batch_of_one = len(shape) == 4 and shape[0] == 1
    return shape[1:] if batch_of_one else shape


def _channels_first(node: Any, image: tuple[int, ...]) -> Any:
    """A dense node whose columns count [row, column, channel], with [channel, row, column]."""
    weight = np.asarray(node.weight)
    if weight.ndim != 2 or weight.shape[1] != math.prod(image):
        return node  # of a wrong size, which the chain will say
    channels, rows, columns = image
    turned = weight.reshape(-1, rows, columns, channels).transpose(0, 3, 1, 2).reshape(weight.shape)
    return replace(node, weight=turned)


def _check_held_back(chain: Chain, name: str, node: Any) -> None:
    """A bias here arrives in every step: refuse one that a Delay would keep away at first."""
    if kind_of_node(node) != "Delay" or chain.bias is None:
        return
    if np.any(chain.bias != 0) and np.any(np.asarray(node.delay) != 0):
        raise Unsupported(
            f"node {name!r}: a delay of {float(np.max(node.delay))} s behind a bias keeps it away "
            "in the first steps, which cannot be expressed: put the Delay before the weighted node"
        )


def _latencies(
    latency: int,
    source: str,
    order: list[str],
    cells: dict[str, Cell],
    chains: dict[str, list[tuple[str, Chain]]],
) -> tuple[int, dict[str, int]]:
    """Delay of the edges between neurons, and by how many steps each population is ahead.

    Ahead of the tool's own recording. In a chain without biases after its first population a
    latency only shifts what follows: the network here leaves it out, and population k is k times
    ahead. Everywhere else the edges have it as a delay, and every population is ahead by it once.
    """
    depth: dict[str, int] = {}
    shifts = True
    for place, name in enumerate(order):
        forward = [o for o, _ in chains[name] if o == source or order.index(o) < place]
        backward = [o for o, _ in chains[name] if o not in forward and o != name]
        later = forward != [source]
        constant = np.any(cells[name].leak != 0) or any(
            c.bias is not None and np.any(c.bias != 0) for _, c in chains[name]
        )
        shifts = shifts and len(forward) == 1 and not backward and not (later and constant)
        depth[name] = 1 + (depth[forward[0]] if forward and forward[0] != source else 0)
    spiking = {n for n in order if isinstance(cells[n].neuron, Lif)}
    if latency and shifts:
        return 0, {n: latency * (depth[n] - (n not in spiking)) for n in order}
    return latency, {n: latency if n in spiking else 0 for n in order}


def _identifier(name: str, taken: set[str]) -> str:
    text = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in name)
    text = text if text and not text[0].isdigit() else f"n{text}"
    while text in taken:
        text += "_"
    taken.add(text)
    return text


def _population(name: str, cell: Cell, chains: list[Chain]) -> Population:
    """With channels where a convolution comes in and no constant differs within a channel."""
    size = math.prod(cell.shape)
    channels = [c.connection.channels for c in chains if isinstance(c.connection, Convolution)]
    if channels and all(n == channels[0] for n in channels):
        arrays = [
            cell.gain,
            cell.leak,
            *cell.varied.values(),
            *([] if cell.threshold is None else [cell.threshold]),
        ]
        biases = [c.bias for c in chains if c.bias is not None]
        grouped = [a.reshape(channels[0], -1) for a in [*arrays, *biases]]
        if all(np.all(g == g[:, :1]) for g in grouped):
            return Population(name, size, cell.neuron, channels[0])
    return Population(name, size, cell.neuron)


def _add_neurons(
    population: Population,
    cell: Cell,
    chains: list[Chain],
    parameters: dict[str, FloatArray],
    node: str,
) -> None:
    each = population.size // population.parameters
    bias = np.zeros(population.size)
    for chain in chains:
        if chain.bias is not None:
            bias = bias + chain.bias * cell.gain
    leaky = np.any(cell.leak != 0)
    synapse = getattr(cell.neuron, "synapse_decay", None) is not None
    if leaky and synapse and (isinstance(cell.neuron, Integrator) or np.any(bias != 0)):
        raise Unsupported(
            f"node {node!r}: v_leak beside a bias of its synaptic current cannot be expressed by "
            "one bias: set one of them to 0"
        )
    parameters[f"{population.name}.bias"] = (bias + cell.leak)[::each]
    if cell.threshold is not None:
        parameters[f"{population.name}.threshold"] = cell.threshold[::each]
    for kind, values in cell.varied.items():
        if np.any(values != values[0]):
            parameters[f"{population.name}.{kind}"] = values[::each]


def _delays(chain: Chain, extra: int, conventions: Conventions, node: str) -> NDArray[np.int64]:
    steps = chain.delay / conventions.dt
    whole = np.round(steps)
    if np.any(np.abs(steps - whole) > 1e-6):
        worst = float(chain.delay[np.argmax(np.abs(steps - whole))])
        raise Unsupported(
            f"node {node!r}: a delay of {worst} s before it is no whole number of steps of "
            f"{conventions.dt} s: choose a dt that divides it"
        )
    return whole.astype(np.int64) + extra


def _projection(
    source: str, population: Population, chain: Chain, delay: NDArray[np.int64]
) -> Projection:
    least, most = int(delay.min()), int(delay.max())
    assert chain.connection is not None
    if least == most:
        return Projection(source, population.name, least, connection=chain.connection)
    return Projection(
        source,
        population.name,
        least,
        connection=chain.connection,
        max_delay=most,
        delay_per="source",
    )


def _add_projection(
    projection: Projection,
    population: Population,
    chain: Chain,
    gain: FloatArray,
    parameters: dict[str, FloatArray],
    node: str,
    delays: NDArray[np.int64],
) -> None:
    chain = scale_target(chain, node, gain) if np.any(gain != 1) else chain
    assert chain.weight is not None
    parameters[f"{projection.name}.weight"] = chain.weight
    parameters |= {f"{projection.name}.{end}": values for end, values in ends_of(chain).items()}
    if projection.max_delay is not None:
        parameters[f"{projection.name}.delay"] = delays.astype(np.float64)
