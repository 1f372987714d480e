# SPDX-License-Identifier: Apache-2.0
"""NIR graphs as nodes and edges without subgraphs, from a file or from memory.

Every node is read by itself, so that an error names the node, and so that all errors of a file can
be collected (`Problems`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurohw.errors import BrokenFile, NeurohwError, Unsupported
from neurohw.interop.chain import kind_of_node

SPIKING = ("LIF", "CubaLIF", "IF", "Threshold")
READOUT = ("LI", "CubaLI")
CELLS = (*SPIKING, *READOUT)
LINEAR = (
    "Linear",
    "Affine",
    "Conv1d",
    "Conv2d",
    "SumPool2d",
    "AvgPool2d",
    "Flatten",
    "Scale",
    "Delay",
)
KNOWN = (*CELLS, *LINEAR, "Input", "Output", "NIRGraph")
WHOLE = "graph"  # the place of a problem that belongs to no single node


class Blocked(NeurohwError):
    """Work that another node's problem, already known, makes impossible."""


@dataclass
class Problems:
    """What cannot be expressed, by node.

    collects: go on after an error and keep it here, instead of raising it.
    """

    collects: bool = False
    found: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def at(self, node: str) -> Iterator[None]:
        """The context of work on a node, whose error is raised or kept."""
        try:
            yield
        except NeurohwError as error:
            if not self.collects:
                raise
            if not isinstance(error, Blocked):
                self.found.setdefault(node, str(error))


class Broken:
    """A node that could not be read; its problem is already known."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


@dataclass
class Tree:
    """A graph with its subgraphs: nodes by name, edges, and the graph's metadata."""

    nodes: dict[str, Any]
    edges: list[tuple[str, str]]
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass
class Flat:
    """A graph without subgraphs: nodes by full name, edges."""

    nodes: dict[str, Any] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)

    def before(self, node: str) -> list[str]:
        """The sources of a node."""
        return [a for a, b in self.edges if b == node]


def kind_of(node: Any) -> str:
    """NIR's name of a node's type, also of one that could not be read."""
    return node.kind if isinstance(node, Broken) else kind_of_node(node)


def read_tree(path: Path | str, problems: Problems | None = None) -> Tree:
    """The graph of a file; BrokenFile or Unsupported naming the file, the node and the reason."""
    import h5py
    from nir.serialization import hdf2dict

    path, problems = Path(path), problems or Problems()
    try:
        with h5py.File(path, "r") as file:
            if "node" not in file or "version" not in file:
                raise BrokenFile(f"{path}: no groups 'node' and 'version': this is not a NIR graph")
            version = file["version"][()]
            _check_version(path, version.decode() if isinstance(version, bytes) else str(version))
            content = hdf2dict(file["node"])
    except (OSError, RuntimeError) as error:
        raise BrokenFile(f"{path}: not a readable HDF5 file ({error})") from error
    return _tree(path, "", content, problems)


def _check_version(path: Path, version: str) -> None:
    import nir

    def numbers(text: str) -> tuple[int, ...]:
        return tuple(
            int("".join(c for c in part if c.isdigit()) or 0) for part in text.split(".")[:2]
        )

    if numbers(version) > numbers(str(nir.version)):
        raise Unsupported(
            f"{path}: written by NIR {version}, this program knows {nir.version} and older: "
            "update nir"
        )


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _tree(path: Path, prefix: str, content: dict[str, Any], problems: Problems) -> Tree:
    if not isinstance(content.get("nodes"), dict) or "edges" not in content:
        raise BrokenFile(f"{path}: {prefix.rstrip('.') or 'the graph'} has no nodes or no edges")
    nodes: dict[str, Any] = {}
    for name, entry in content["nodes"].items():
        full = prefix + name
        nodes[name] = Broken("?")
        with problems.at(full):
            if not isinstance(entry, dict) or "type" not in entry:
                raise BrokenFile(f"{path}: node {full!r} has no type")
            kind = _text(entry["type"])
            nodes[name] = Broken(kind)
            if kind not in KNOWN:
                raise Unsupported(
                    f"{path}: node {full!r} is of type {kind!r}, which no neuron or connection "
                    f"here computes; replace it by one of {', '.join(KNOWN[:-1])}"
                )
            nodes[name] = (
                _tree(path, f"{full}.", entry, problems)
                if kind == "NIRGraph"
                else _node(path, full, dict(entry))
            )
    metadata = content.get("metadata")
    edges = [(_text(a), _text(b)) for a, b in content["edges"]]
    return Tree(nodes, edges, metadata if isinstance(metadata, dict) else {})


def _node(path: Path, name: str, entry: dict[str, Any]) -> Any:
    import nir

    try:
        return nir.dict2NIRNode(entry)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise BrokenFile(
            f"{path}: node {name!r}: nir {nir.version} cannot read it ({reason})"
        ) from error


def tree_of(graph: Any) -> Tree:
    """The tree of a `nir.NIRGraph` in memory."""
    nodes = {n: tree_of(x) if kind_of_node(x) == "NIRGraph" else x for n, x in graph.nodes.items()}
    return Tree(
        nodes, list(graph.edges), graph.metadata if isinstance(graph.metadata, dict) else {}
    )


def flatten(tree: Tree, problems: Problems, rewires: bool = False, prefix: str = "") -> Flat:
    """The nodes of all subgraphs side by side.

    rewires: the input of a subgraph of one neuron node reaches that node directly.
    """
    flat = Flat()
    entry: dict[str, list[str]] = {}
    leave: dict[str, list[str]] = {}
    for name, node in tree.nodes.items():
        full = prefix + name
        if not isinstance(node, Tree):
            with problems.at(full):
                _add(flat, {full: node})
            entry[name], leave[name] = [full], [full]
            continue
        entry[name], leave[name] = [], []
        with problems.at(full):
            inner = flatten(node, problems, rewires, f"{full}.")
            inputs = [n for n, x in inner.nodes.items() if kind_of(x) == "Input"]
            outputs = [n for n, x in inner.nodes.items() if kind_of(x) == "Output"]
            if len(inputs) != 1 or len(outputs) != 1:
                raise Unsupported(
                    f"subgraph {full!r} has {len(inputs)} inputs and {len(outputs)} outputs, one "
                    "each is needed: split it"
                )
            cells = [n for n, x in inner.nodes.items() if kind_of(x) in CELLS]
            _add(flat, {n: x for n, x in inner.nodes.items() if n not in (*inputs, *outputs)})
            entry[name] = (
                cells
                if rewires and len(cells) == 1
                else [b for a, b in inner.edges if a == inputs[0]]
            )
            leave[name] = [a for a, b in inner.edges if b == outputs[0]]
            flat.edges += [(a, b) for a, b in inner.edges if a not in inputs and b not in outputs]
    for a, b in tree.edges:
        missing = [end for end in (a, b) if end not in entry]
        with problems.at(prefix + a):
            if missing:
                raise BrokenFile(f"edge {a!r} -> {b!r}: there is no node {prefix + missing[0]!r}")
            flat.edges += [(x, y) for x in leave[a] for y in entry[b]]
    flat.edges = list(dict.fromkeys(flat.edges))
    return flat


def _add(flat: Flat, nodes: dict[str, Any]) -> None:
    for name in nodes:
        if name in flat.nodes:
            raise Unsupported(
                f"node {name!r} is there twice (a node of a subgraph has the subgraph's name, a "
                "dot and its own): rename one of them"
            )
    flat.nodes |= nodes


def ways_into(flat: Flat, target: str, ends: set[str]) -> list[list[str]]:
    """Every way back from a node to one of the ends: [end, linear nodes ..., target]."""
    found: list[list[str]] = []

    def walk(node: str, rest: list[str]) -> None:
        for previous in flat.before(node):
            if previous in ends:
                found.append([previous, *rest])
            elif previous in rest:
                raise Unsupported(
                    f"nodes {' -> '.join([previous, *rest])}: a cycle without a neuron; put one "
                    "of LIF, CubaLIF, IF into it"
                )
            else:
                walk(previous, [previous, *rest])

    walk(target, [target])
    return found


def order_of(source: str, ways: dict[str, list[list[str]]]) -> list[str]:
    """Populations as the input reaches them; what points against this order is recurrent."""
    order: list[str] = []
    waiting = list(ways)
    while waiting:
        placed = {source, *order}
        ready = [
            n for n in waiting if ways[n] and all(w[0] in placed or w[0] == n for w in ways[n])
        ]
        reached = [n for n in waiting if any(w[0] in placed for w in ways[n])]
        if not reached:
            raise Unsupported(
                f"nodes {', '.join(map(repr, waiting))}: the input does not reach them; remove or "
                "connect them"
            )
        chosen = next((n for n in ready if any(w[0] in placed for w in ways[n])), reached[0])
        order.append(chosen)
        waiting.remove(chosen)
    return order
