"""NIR graphs as networks, and back.

NIR describes neurons in continuous time and says neither the step nor what exactly a spike does; `Conventions` says it, and every import names
one. With dt the step, b = decay of the membrane, a = decay of the synaptic current:

    exponential_euler    b = exp(-dt/tau_mem),  a = exp(-dt/tau_syn)
    forward_euler        b = 1 - dt/tau_mem,    a = 1 - dt/tau_syn     (what snnTorch computes)

    LIF      v = b v + (1 - b) (v_leak + r I)
    CubaLIF  i = a i + (1 - a) w_in I,   v = b v + (1 - b) (v_leak + r i)
    IF       v = v + dt r I                                  (with dt = 1 the sum of the inputs)

The gains before I move into weights and biases, v_leak becomes a bias. LI and CubaLI are the same without spikes; Threshold is a neuron without memory.
Recurrent edges get `recurrent_delay` steps. Linear nodes in a row are one projection: pooling, Flatten, Scale and Delay fold exactly into the weighted node
after or before them; two weighted nodes without a neuron between are refused.

Export keeps NIR's meaning under exponential_euler, and writes the exact constants and conventions as metadata, from which `from_nir` gives back
the very same network.
"""

import io
import json
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neurohw.connections import Convolution, Sparse
from neurohw.errors import BrokenFile, InvalidModel, NeurohwError, Unsupported
from neurohw.interop.chain import LINEAR, Chain, finish, kind_of_node, node_values, passed, scale_target, start
from neurohw.network import Network, Population, Projection, TrainedNetwork
from neurohw.neurons import Integrator, Lif, Neuron, Reset, Source
from neurohw.storage import write_file

FloatArray = NDArray[np.float64]
KEY = "neurohw"  # of the metadata
SPIKING = ("LIF", "CubaLIF", "IF", "Threshold")
READOUT = ("LI", "CubaLI")


@dataclass(frozen=True)
class Conventions:
    """What a NIR graph leaves open.

    dt: step in seconds. discretisation: see the module. reset, delayed_reset, strict: as in `neurohw.neurons.Lif`; NIR itself says "v > threshold,
    then v = v_reset", which is the default. recurrent_delay: steps of an edge that closes a cycle. steps: of one sample.
    """

    dt: float = 1e-3
    discretisation: Literal["exponential_euler", "forward_euler"] = "exponential_euler"
    reset: Reset = "hard"
    delayed_reset: bool = False
    strict: bool = True
    recurrent_delay: int = 1
    steps: int = 100

    def __post_init__(self) -> None:
        if self.discretisation not in ("exponential_euler", "forward_euler"):
            raise InvalidModel(f"discretisation is exponential_euler or forward_euler, not {self.discretisation!r}")
        if not self.dt > 0:
            raise InvalidModel(f"dt must be above 0 s, not {self.dt}")
        if self.recurrent_delay < 1:
            raise InvalidModel(f"recurrent_delay is at least 1 step, not {self.recurrent_delay}")

    def decay(self, tau: FloatArray, node: str) -> FloatArray:
        """Factor per step of a time constant in seconds."""
        if np.any(~np.isfinite(tau)) or np.any(tau <= 0):
            raise InvalidModel(f"node {node!r}: a time constant of {float(np.min(tau))} s; it must be above 0")
        factor = np.exp(-self.dt / tau) if self.discretisation == "exponential_euler" else 1.0 - self.dt / tau
        if np.any(factor < 0):
            raise InvalidModel(
                f"node {node!r}: time constant {float(np.min(tau))} s is shorter than dt {self.dt} s, which forward_euler "
                "cannot express: choose a smaller dt or exponential_euler"
            )
        return factor


# --- reading -----------------------------------------------------------------------------------------------------------


def read_graph(path: Path | str) -> Any:
    """The graph of a file; BrokenFile or Unsupported naming the file, the node and the reason."""
    import h5py
    import nir

    path = Path(path)
    try:
        with h5py.File(path, "r") as file:
            if "node" not in file or "version" not in file:
                raise BrokenFile(f"{path}: no groups 'node' and 'version': this is not a NIR graph")
            version = file["version"][()]
            version = version.decode() if isinstance(version, bytes) else str(version)
            _check_version(path, version)
            _check_types(path, "", file["node"])
    except (OSError, RuntimeError) as error:
        raise BrokenFile(f"{path}: not a readable HDF5 file ({error})") from error
    try:
        return nir.read(path, type_check=False)
    except NeurohwError:
        raise
    except Exception as error:
        raise BrokenFile(f"{path}: nir cannot read the graph ({type(error).__name__}: {error})") from error


def _check_version(path: Path, version: str) -> None:
    import nir

    def numbers(text: str) -> tuple[int, ...]:
        return tuple(int("".join(c for c in part if c.isdigit()) or 0) for part in text.split(".")[:2])

    if numbers(version) > numbers(str(nir.version)):
        raise Unsupported(f"{path}: written by NIR {version}, this program knows {nir.version} and older: update nir")


def _check_types(path: Path, name: str, node: Any) -> None:
    known = (*SPIKING, *READOUT, *LINEAR, "Input", "Output", "NIRGraph")
    if "type" not in node:
        raise BrokenFile(f"{path}: node {name or 'graph'!r} has no type")
    kind = node["type"][()]
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    if kind not in known:
        raise Unsupported(f"{path}: node {name!r} is of type {kind!r}; known are {', '.join(known)}")
    if kind == "NIRGraph":
        for child in node["nodes"]:
            _check_types(path, f"{name}.{child}" if name else child, node["nodes"][child])


@dataclass
class _Flat:
    """A graph without subgraphs: nodes by full name, edges."""

    nodes: dict[str, Any] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)


def _flatten(graph: Any, prefix: str = "") -> _Flat:
    flat = _Flat()
    entry, leave = {}, {}
    for name, node in graph.nodes.items():
        full = prefix + name
        if type(node).__name__ == "NIRGraph":
            inner = _flatten(node, f"{full}.")
            inputs = [n for n, x in inner.nodes.items() if type(x).__name__ == "Input"]
            outputs = [n for n, x in inner.nodes.items() if type(x).__name__ == "Output"]
            if len(inputs) != 1 or len(outputs) != 1:
                raise Unsupported(
                    f"subgraph {full!r} has {len(inputs)} inputs and {len(outputs)} outputs, one each is needed"
                )
            flat.nodes |= {n: x for n, x in inner.nodes.items() if n not in (*inputs, *outputs)}
            entry[name] = [b for a, b in inner.edges if a == inputs[0]]
            leave[name] = [a for a, b in inner.edges if b == outputs[0]]
            flat.edges += [(a, b) for a, b in inner.edges if a not in inputs and b not in outputs]
        else:
            flat.nodes[full] = node
            entry[name], leave[name] = [full], [full]
    for a, b in graph.edges:
        for end in (a, b):
            if end not in entry:
                raise BrokenFile(f"edge {a!r} -> {b!r}: there is no node {prefix + end!r}")
        flat.edges += [(x, y) for x in leave[a] for y in entry[b]]
    flat.edges = list(dict.fromkeys(flat.edges))
    return flat


# --- neurons -----------------------------------------------------------------------------------------------------------


@dataclass
class _Cell:
    """A neuron node: its model, its constants [neuron], and the gain of its input [neuron]."""

    neuron: Neuron
    shape: tuple[int, ...]
    gain: FloatArray
    leak: FloatArray  # added to the membrane in every step
    threshold: FloatArray | None = None
    varied: dict[str, FloatArray] = field(default_factory=dict)


def _cell(name: str, node: Any, conventions: Conventions) -> _Cell:
    kind = kind_of_node(node)
    shape_of = {"Threshold": "threshold", "LI": "tau", "CubaLI": "tau_mem"}.get(kind, "v_threshold")
    shape = np.shape(getattr(node, shape_of)) or (1,)
    size = math.prod(shape)
    zero = np.zeros(size)
    decay, synapse, gain, leak = zero, None, np.ones(size), zero
    if kind == "IF":
        decay, gain = np.ones(size), conventions.dt * node_values(node, name, "r", size)
    if kind in ("LIF", "LI"):
        decay = conventions.decay(node_values(node, name, "tau", size), name)
    if kind in ("CubaLIF", "CubaLI"):
        decay = conventions.decay(node_values(node, name, "tau_mem", size), name)
        synapse = conventions.decay(node_values(node, name, "tau_syn", size), name)
        gain = (1 - synapse) * node_values(node, name, "w_in", size)
    if kind in ("LIF", "LI", "CubaLIF", "CubaLI"):
        gain = gain * (1 - decay) * node_values(node, name, "r", size)
        leak = (1 - decay) * node_values(node, name, "v_leak", size)
    varied = {"decay": decay} | ({} if synapse is None else {"synapse_decay": synapse})
    first_synapse = None if synapse is None else float(synapse[0])
    if kind in READOUT:
        return _Cell(Integrator(float(decay[0]), first_synapse), shape, gain, leak, None, varied)
    threshold = node_values(node, name, "threshold" if kind == "Threshold" else "v_threshold", size)
    if np.any(threshold <= 0):
        raise Unsupported(f"node {name!r}: threshold {threshold.min()} is not above 0")
    hard = conventions.reset == "hard" and kind != "Threshold"
    v_reset = zero
    if hard and getattr(node, "v_reset", None) is not None:
        v_reset = node_values(node, name, "v_reset", size)
    if hard:
        varied["v_reset"] = v_reset
    neuron = Lif(
        decay=float(decay[0]),
        threshold=float(threshold[0]),
        reset="none" if kind == "Threshold" else conventions.reset,
        v_reset=float(v_reset[0]),
        synapse_decay=first_synapse,
        strict=conventions.strict,
        delayed_reset=conventions.delayed_reset and kind != "Threshold",
        membrane_bias=kind == "CubaLIF" and bool(np.any(leak != 0)),
    )
    return _Cell(neuron, shape, gain, leak, threshold, varied)


def _shape_of(name: str, node: Any, cells: dict[str, _Cell]) -> tuple[int, ...]:
    if name in cells:
        return cells[name].shape
    shape = next(iter(node.input_type.values()))
    return tuple(int(n) for n in np.ravel(shape))


def _identifier(name: str, taken: set[str]) -> str:
    text = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in name)
    text = text if text and not text[0].isdigit() else f"n{text}"
    while text in taken:
        text += "_"
    taken.add(text)
    return text


# --- import ------------------------------------------------------------------------------------------------------------


def from_nir(
    graph: Any, conventions: Conventions | None = None, use_metadata: bool = True, **changes: Any
) -> TrainedNetwork:
    """A NIR graph, or the file of one, as a network.

    conventions (or their fields as keywords): what NIR leaves open. use_metadata: a graph that `to_nir` made carries its conventions and exact
    constants, which are then used instead. Raises BrokenFile, InvalidModel or Unsupported naming file, node and reason.
    """
    conventions = replace(conventions or Conventions(), **changes)
    path = Path(graph) if isinstance(graph, str | Path) else None
    value = read_graph(path) if path else graph
    try:
        if use_metadata and KEY in (value.metadata or {}):
            return _from_metadata(value)
        return _convert(_flatten(value), conventions)
    except NeurohwError as error:
        if path is None or str(path) in str(error):
            raise
        raise type(error)(f"{path}: {error}") from error


def _paths(flat: _Flat, target: str, ends: set[str]) -> list[list[str]]:
    """Every way back from a node to a population: [population, linear nodes ..., target]."""
    before: dict[str, list[str]] = {}
    for a, b in flat.edges:
        before.setdefault(b, []).append(a)
    found: list[list[str]] = []

    def walk(node: str, rest: list[str]) -> None:
        for previous in before.get(node, []):
            if previous in ends:
                found.append([previous, *rest])
            elif previous in rest:
                raise Unsupported(f"nodes {' -> '.join([previous, *rest])}: a cycle without a neuron")
            else:
                walk(previous, [previous, *rest])

    walk(target, [target])
    return found


def _convert(flat: _Flat, conventions: Conventions) -> TrainedNetwork:
    by_kind = {kind: [n for n, x in flat.nodes.items() if kind_of_node(x) == kind] for kind in ("Input", "Output")}
    for kind, found in by_kind.items():
        if len(found) != 1:
            raise Unsupported(f"the graph has {len(found)} {kind} nodes {found}, exactly one is needed")
    source, sink = by_kind["Input"][0], by_kind["Output"][0]
    cells = {n: _cell(n, x, conventions) for n, x in flat.nodes.items() if kind_of_node(x) in (*SPIKING, *READOUT)}
    into_sink = _paths(flat, sink, {source, *cells})
    if len(into_sink) != 1:
        raise Unsupported(f"node {sink!r} has {len(into_sink)} sources, exactly one is needed")
    if len(into_sink[0]) > 2 and any(kind_of_node(flat.nodes[n]) in LINEAR for n in into_sink[0][1:-1]):
        # values leave the graph without a neuron: a readout without memory
        chain = start(_shape_of(into_sink[0][0], flat.nodes[into_sink[0][0]], cells))
        for name in into_sink[0][1:-1]:
            chain = passed(chain, name, flat.nodes[name])
        size = math.prod(chain.shape)
        cells[sink] = _Cell(
            Integrator(0.0), chain.shape, np.ones(size), np.zeros(size), None, {"decay": np.zeros(size)}
        )
        output = sink
    else:
        output = into_sink[0][0]
    if output == source:
        raise Unsupported("the graph has no neuron between its input and its output")
    ways = {n: _paths(flat, n, {source, *cells}) for n in cells}
    order = _order(source, ways)
    taken: set[str] = set()
    names = {n: _identifier("input" if n == source else n, taken) for n in [source, *order]}
    source_shape = _shape_of(source, flat.nodes[source], cells)
    populations = {source: Population(names[source], math.prod(source_shape), Source())}
    projections: list[Projection] = []
    parameters: dict[str, FloatArray] = {}
    for name in order:
        cell = cells[name]
        chains = []
        for way in ways[name]:
            chain = start(source_shape if way[0] == source else cells[way[0]].shape)
            for step in way[1:-1]:
                chain = passed(chain, step, flat.nodes[step])
            chain = finish(chain, way[-2] if len(way) > 2 else name)
            if math.prod(chain.shape) != math.prod(cell.shape):
                raise InvalidModel(
                    f"node {name!r} has {math.prod(cell.shape)} neurons, {way[-2]!r} gives {chain.shape}"
                )
            chains.append((way[0], chain))
        population = _population(names[name], cell, [c for _, c in chains])
        populations[name] = population
        _add_neurons(population, cell, [c for _, c in chains], parameters, name)
        for number, (origin, chain) in enumerate(chains):
            if any(o == origin for o, _ in chains[:number]):
                raise Unsupported(f"node {name!r}: two connections from {origin!r}; join them into one")
            late = origin != source and order.index(origin) >= order.index(name)
            projection = _projection(names[origin], population, chain, late, conventions, name)
            projections.append(projection)
            _add_projection(projection, population, chain, cell.gain, parameters, name, late, conventions)
    ordered = [populations[source], *(populations[n] for n in order if n != output), populations[output]]
    network = Network(tuple(ordered), tuple(projections), conventions.dt)
    info = {"source": "NIR", "conventions": {k: getattr(conventions, k) for k in conventions.__dataclass_fields__}}
    return TrainedNetwork(network, parameters, conventions.steps, info)


def _order(source: str, ways: dict[str, list[list[str]]]) -> list[str]:
    """Populations in the order in which the input reaches them; what points against it is recurrent."""
    order: list[str] = []
    waiting = list(ways)
    while waiting:
        placed = {source, *order}
        ready = [n for n in waiting if ways[n] and all(w[0] in placed or w[0] == n for w in ways[n])]
        reached = [n for n in waiting if any(w[0] in placed for w in ways[n])]
        if not reached:
            raise Unsupported(f"nodes {', '.join(map(repr, waiting))}: the input does not reach them")
        chosen = next((n for n in ready if any(w[0] in placed for w in ways[n])), reached[0])
        order.append(chosen)
        waiting.remove(chosen)
    return order


def _population(name: str, cell: _Cell, chains: list[Chain]) -> Population:
    """With channels where a convolution comes in and no constant differs within a channel."""
    size = math.prod(cell.shape)
    channels = [c.connection.channels for c in chains if isinstance(c.connection, Convolution)]
    if channels and all(n == channels[0] for n in channels):
        arrays = [cell.gain, cell.leak, *cell.varied.values(), *([] if cell.threshold is None else [cell.threshold])]
        biases = [c.bias for c in chains if c.bias is not None]
        grouped = [a.reshape(channels[0], -1) for a in [*arrays, *biases]]
        if all(np.all(g == g[:, :1]) for g in grouped):
            return Population(name, size, cell.neuron, channels[0])
    return Population(name, size, cell.neuron)


def _add_neurons(
    population: Population, cell: _Cell, chains: list[Chain], parameters: dict[str, FloatArray], node: str
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
            f"node {node!r}: v_leak beside a bias of its synaptic current cannot be expressed by one bias"
        )
    parameters[f"{population.name}.bias"] = (bias + cell.leak)[::each]
    if cell.threshold is not None:
        parameters[f"{population.name}.threshold"] = cell.threshold[::each]
    for kind, values in cell.varied.items():
        if np.any(values != values[0]):
            parameters[f"{population.name}.{kind}"] = values[::each]


def _delays(chain: Chain, late: bool, conventions: Conventions, node: str) -> NDArray[np.int64]:
    steps = chain.delay / conventions.dt
    whole = np.round(steps)
    if np.any(np.abs(steps - whole) > 1e-6):
        worst = float(chain.delay[np.argmax(np.abs(steps - whole))])
        raise Unsupported(
            f"node {node!r}: a delay of {worst} s before it is no whole number of steps of {conventions.dt} s"
        )
    return whole.astype(np.int64) + (conventions.recurrent_delay if late else 0)


def _projection(
    source: str, population: Population, chain: Chain, late: bool, conventions: Conventions, node: str
) -> Projection:
    delay = _delays(chain, late, conventions, node)
    least, most = int(delay.min()), int(delay.max())
    assert chain.connection is not None
    if least == most:
        return Projection(source, population.name, least, connection=chain.connection)
    return Projection(source, population.name, least, connection=chain.connection, max_delay=most, delay_per="source")


def _add_projection(
    projection: Projection,
    population: Population,
    chain: Chain,
    gain: FloatArray,
    parameters: dict[str, FloatArray],
    node: str,
    late: bool,
    conventions: Conventions,
) -> None:
    chain = scale_target(chain, node, gain) if np.any(gain != 1) else chain
    assert chain.weight is not None
    parameters[f"{projection.name}.weight"] = chain.weight
    if isinstance(chain.connection, Sparse):
        ends = np.arange(chain.connection.synapses, dtype=np.float64)
        parameters |= {f"{projection.name}.{end}": ends for end in ("source", "target")}
    if projection.max_delay is not None:
        parameters[f"{projection.name}.delay"] = _delays(chain, late, conventions, node).astype(np.float64)


# --- export ------------------------------------------------------------------------------------------------------------


def _check_expressible(network: Network) -> None:
    for modulation in network.modulations:
        raise Unsupported(f"modulation {modulation.name!r}: NIR cannot say an astrocyte")
    for population in network.populations[1:]:
        neuron = population.neuron
        if not isinstance(neuron, Lif):
            continue
        for name, used in (
            ("refractory", neuron.refractory > 0),
            ("adaptation", neuron.adaptation is not None),
            ("reset 'none'", neuron.reset == "none"),
            ("delayed_current", neuron.delayed_current),
            ("clears_current", neuron.clears_current),
            ("integrates_refractory", neuron.integrates_refractory),
        ):
            if used:
                raise Unsupported(f"population {population.name!r}: NIR cannot say {name}")
    for projection in network.projections:
        if projection.max_delay is not None and projection.delay_per == "synapse":
            raise Unsupported(f"projection {projection.name!r}: NIR cannot say a delay per synapse")


def to_nir(model: TrainedNetwork) -> Any:
    """The NIR graph of a network, batch normalisation folded.

    Read by its own definitions under exponential_euler the graph means the network, but for the reset, the comparison and the delay of recurrent edges,
    which NIR cannot say; these, and the exact constants, are in its metadata. Raises Unsupported naming population and feature.
    """
    import nir

    model = model.folded()
    network = model.network
    _check_expressible(network)
    order = [network.input.name, *(p.name for p in network.update_order())]
    nodes: dict[str, Any] = {"input": nir.Input({"input": np.array([network.input.size])})}
    edges: list[tuple[str, str]] = []
    shapes = _image_shapes(network)
    nodes["input"] = nir.Input({"input": np.array(shapes[network.input.name])})
    labels = {p.name: f"population_{p.name}" for p in network.populations[1:]} | {network.input.name: "input"}
    for population in network.populations[1:]:
        nodes[labels[population.name]] = _neuron_node(model, population, shapes[population.name])
    for projection in network.projections:
        target = network.population(projection.target)
        first = network.into(projection.target)[0] is projection
        late = order.index(projection.source) >= order.index(projection.target)
        chain = _projection_nodes(model, projection, target, first, late, shapes)
        ends = [labels[projection.source], *chain, labels[projection.target]]
        nodes |= chain
        edges += list(zip(ends, ends[1:], strict=False))
    output = network.output
    nodes["output"] = nir.Output({"output": np.array(shapes[output.name])})
    edges.append((labels[output.name], "output"))
    exact = {}
    for name, array in model.parameters.items():
        if not name.endswith(".weight") or isinstance(_projection_of(network, name).connection, Sparse):
            exact[name] = array
    description = {"format": 1, "network": network.to_json(), "steps": model.steps}
    return nir.NIRGraph(nodes, edges, metadata={KEY: json.dumps(description), "parameters": exact}, type_check=False)


def _projection_of(network: Network, array: str) -> Projection:
    return next(p for p in network.projections if p.name == array.rpartition(".")[0])


def _image_shapes(network: Network) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {p.name: (p.size,) for p in network.populations}
    for projection in network.projections:
        if isinstance(projection.connection, Convolution):
            for end, shape in (
                (projection.source, projection.connection.input_shape),
                (projection.target, projection.connection.output_shape),
            ):
                if len(shapes[end]) == 3 and shapes[end] != shape:
                    raise Unsupported(
                        f"population {end!r} is seen as {shapes[end]} and as {shape}: NIR gives a node one shape"
                    )
                shapes[end] = shape
    return shapes


def _neuron_node(model: TrainedNetwork, population: Population, shape: tuple[int, ...]) -> Any:
    import nir

    dt, neuron = model.network.dt, population.neuron

    def values(name: str) -> FloatArray:
        return population.expand(model.values(population, name)).reshape(shape)

    def tau(decay: FloatArray) -> FloatArray:
        # a decay of 0 is a time constant far below the step, one of 1 far above any run
        longest = dt * 1e12
        with np.errstate(divide="ignore"):
            return np.where(decay >= 1, longest, np.clip(-dt / np.log(decay), dt / 800, longest))

    def unit_gain(decay: FloatArray) -> FloatArray:
        """The resistance with which the importer's gain (1 - b) r is 1."""
        return 1 / (1 - np.exp(-dt / tau(decay)))

    decay = values("decay")
    assert isinstance(neuron, Lif | Integrator)
    gain = unit_gain(decay)
    spiking = isinstance(neuron, Lif)
    lif = neuron if isinstance(neuron, Lif) else Lif()
    leak = values("bias") * gain if lif.membrane_bias else np.zeros(shape)
    reset = {}
    if spiking:
        reset = {
            "v_threshold": values("threshold"),
            "v_reset": values("v_reset") if lif.reset == "hard" else np.zeros(shape),
        }
    if neuron.synapse_decay is not None:
        synapse = values("synapse_decay")
        w_in = unit_gain(synapse)
        kind = nir.CubaLIF if spiking else nir.CubaLI
        return kind(tau_syn=tau(synapse), tau_mem=tau(decay), r=gain, v_leak=leak, w_in=w_in, **reset)
    if spiking and np.all(decay == 1) and not lif.membrane_bias:
        return nir.IF(r=np.full(shape, 1 / dt), **reset)
    kind = nir.LIF if spiking else nir.LI
    return kind(tau=tau(decay), r=gain, v_leak=leak, **reset)


def _projection_nodes(
    model: TrainedNetwork,
    projection: Projection,
    target: Population,
    first: bool,
    late: bool,
    shapes: dict[str, tuple[int, ...]],
) -> dict[str, Any]:
    """Delay, Flatten and weighted node of a projection, in order."""
    import nir

    dt, connection = model.network.dt, projection.connection
    name = projection.name
    chain: dict[str, Any] = {}
    source = shapes[projection.source]
    delay = model.parameters.get(f"{name}.delay", np.full(math.prod(source), float(projection.delay)))
    delay = (delay - late) * dt
    if np.any(delay > 0):
        chain[f"delay_{name}"] = nir.Delay(np.asarray(delay).reshape(source))
    neuron = target.neuron
    has_bias = first and not (isinstance(neuron, Lif) and neuron.membrane_bias)
    bias = model.values(target, "bias") if has_bias else np.zeros(target.parameters)
    weight = model.parameters[f"{name}.weight"]
    if isinstance(connection, Convolution):
        channel_bias = bias if target.parameters == connection.channels else np.zeros(connection.channels)
        if np.any(bias != 0) and channel_bias is not bias:
            grouped = target.expand(bias).reshape(connection.channels, -1)
            if np.any(grouped != grouped[:, :1]):
                raise Unsupported(
                    f"population {target.name!r}: NIR cannot say a bias that differs within a channel of a convolution"
                )
            channel_bias = grouped[:, 0]
        chain[f"weight_{name}"] = nir.Conv2d(
            connection.input_shape[1:],
            weight,
            connection.stride,
            connection.padding,
            connection.dilation,
            connection.groups,
            channel_bias,
        )
        return chain
    if len(source) > 1:
        chain[f"flatten_{name}"] = nir.Flatten({"input": np.array(source)}, start_dim=0, end_dim=-1)
    matrix = sum(m if isinstance(m, np.ndarray) else m.toarray() for _, m in model.matrices(projection))
    matrix = np.asarray(matrix, np.float64)
    bias = target.expand(bias)
    node = nir.Affine(matrix, bias) if np.any(bias != 0) else nir.Linear(matrix)
    chain[f"weight_{name}"] = node
    return chain


def _from_metadata(graph: Any) -> TrainedNetwork:
    try:
        text = graph.metadata[KEY]
        description = json.loads(text.decode() if isinstance(text, bytes) else text)
        if description["format"] != 1:
            raise Unsupported(f"the graph's metadata have format {description['format']}, this program reads 1")
        network = Network.from_json(description["network"])
        parameters = {name: np.asarray(array) for name, array in graph.metadata["parameters"].items()}
        for projection in network.projections:
            if not isinstance(projection.connection, Sparse):
                parameters[f"{projection.name}.weight"] = np.asarray(graph.nodes[f"weight_{projection.name}"].weight)
        return TrainedNetwork(network, parameters, description["steps"], {"source": "NIR"})
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenFile(f"the graph's metadata are damaged ({error}); import it with use_metadata=False") from error


def write_nir(model: TrainedNetwork, path: Path | str, force: bool = False) -> None:
    """Write the NIR graph of a network as an HDF5 file, whole or not at all.

    Raises CannotWrite if something else than a graph that was exported stands there, unless
    `force`.
    """
    import nir

    buffer = io.BytesIO()
    nir.write(buffer, to_nir(model))
    write_file(path, buffer.getvalue(), "nir", force)
