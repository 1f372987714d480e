# SPDX-License-Identifier: Apache-2.0
"""Networks as NIR graphs.

Without a target the graph means the network under NIR's own definitions, sampled exactly
(exponential_euler), but for the reset, the comparison and the delay of recurrent edges, which NIR
cannot say. With a target (`targets.py`) its numbers are those that the tool's importer expects.
Both keep the network's exact constants as metadata, from which `from_nir` gives back the very same
network.

Files are written so that older readers take them: v_reset, which nir 1.0.5 and older do not know,
is left out where it is 0, and a dense layer is always an Affine, since sinabs skips a Linear
without a word.
"""

import io
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.connections import MATRICES, Convolution
from neurohw.errors import InvalidData, Unsupported
from neurohw.interop.nir import metadata
from neurohw.interop.nir.conventions import Conventions
from neurohw.interop.nir.graph import tree_of
from neurohw.interop.nir.reach import several
from neurohw.interop.nir.targets import Imported, Target, target_named
from neurohw.network import GRAPH, Network, Population, Projection, TrainedNetwork
from neurohw.neurons import Integrator, Lif, Source, as_lif
from neurohw.storage import write_file
from neurohw.support import Implements, attributes

FloatArray = NDArray[np.float64]
_PLAIN = (
    Imported("IF", "IF", Conventions(), leaks=False),
    Imported("LIF", "LIF", Conventions()),
    Imported("CubaLIF", "CubaLIF", Conventions(), synapse=True),
    Imported("LI", "LI", Conventions(), readout=True),
    Imported("CubaLI", "CubaLI", Conventions(), synapse=True, readout=True),
)


# what the graph and its metadata say; `check_expressible` looks at the values
IMPLEMENTS = Implements(
    "export to NIR",
    GRAPH
    | MATRICES
    | {
        Lif: attributes(
            "decay threshold v_reset synapse_decay strict delayed_reset membrane_bias",
            reset=("soft", "hard"),
            refractory=(0,),
            adaptation=(None,),
            delayed_current=(False,),
            clears_current=(False,),
            integrates_refractory=(False,),
        ),
        Integrator: attributes("decay synapse_decay"),
        Source: attributes(),
    },
)


def check_expressible(network: Network) -> None:
    """Raise Unsupported, naming the node, for what no NIR graph can say."""
    IMPLEMENTS.check(network)
    for projection in network.projections:
        if projection.max_delay is not None and projection.delay_per == "synapse":
            raise Unsupported(f"projection {projection.name!r}: NIR cannot say a delay per synapse")


# --- what a target would change ---


def _row(model: TrainedNetwork, population: Population, target: Target | None) -> Imported:
    """The row of a population; Unsupported where the tool has none."""
    neuron = population.neuron
    assert isinstance(neuron, Lif | Integrator)
    readout, synaptic = isinstance(neuron, Integrator), neuron.synapse_decay is not None
    leaks = bool(np.any(model.values(population, "decay") < 1))
    for row in _PLAIN if target is None else target.rows:
        kind = row.readout == readout and row.synapse == synaptic
        if row.leaks is False:  # an IF has no v_leak either
            kind = kind and not leaks and not _membrane_current(model, population)
        if kind and (leaks or row.leaks is not True):
            return row
    assert target is not None
    what = "readout without spikes" if readout else "neuron"
    if not readout:
        what += " with a synaptic current" if synaptic else " without a synaptic current"
    reason = target.refuses.get("readout" if readout else "LIF", "")
    raise Unsupported(
        f"population {population.name!r}: {target.importer} {target.version} reads no {what}"
        + (f": {reason}" if reason else "")
    )


def _membrane_current(model: TrainedNetwork, population: Population) -> bool:
    """Whether a constant current goes to the membrane, past the synaptic current."""
    neuron = population.neuron
    past = isinstance(neuron, Lif) and neuron.membrane_bias
    return past and bool(np.any(model.values(population, "bias") != 0))


def _check_target(model: TrainedNetwork, target: Target) -> None:
    """Raise Unsupported for a population or projection that the tool would compute otherwise."""
    network, tool = model.network, f"{target.name} {target.version}"
    order = [network.input.name, *(p.name for p in network.update_order())]
    for projection in network.projections:
        if order.index(projection.source) >= order.index(projection.target):
            raise Unsupported(
                f"projection {projection.name!r}: recurrence is not written for {target.name}: "
                "export without --for"
            )
        if isinstance(projection.connection, Convolution) and not target.convolutions:
            raise Unsupported(
                f"projection {projection.name!r}: {tool} would read its convolution otherwise or "
                "not at all"
            )
        if isinstance(projection.connection, Convolution) and projection.connection.groups > 1:
            raise Unsupported(
                f"projection {projection.name!r}: {tool} cannot import "
                f"{projection.connection.groups} groups"
            )
    _check_delays(model, target)
    for population in network.populations[1:]:
        row, neuron = _row(model, population, target), population.neuron
        name = f"population {population.name!r}"
        if not row.forgets and np.any(model.values(population, "decay") == 0):
            raise Unsupported(f"{name}: {tool} reads no decay of 0 (tau / dt must be above 1)")
        if not isinstance(neuron, Lif):
            continue
        theirs = row.conventions
        for what, ours, other in (
            ("reset", neuron.reset, theirs.reset),
            ("strict", neuron.strict, theirs.strict),
            ("delayed_reset", neuron.delayed_reset, theirs.delayed_reset),
        ):
            same_sums = (
                what == "delayed_reset"
                and neuron.reset == "soft"
                and np.all(model.values(population, "decay") == 1)
            )
            if ours != other and not same_sums:
                raise Unsupported(
                    f"{name}: {tool} makes it {row.becomes}, with {what}={other!r} instead of "
                    f"{ours!r}: other spikes; export without --for"
                )
        if neuron.reset == "hard" and np.any(model.values(population, "v_reset") != 0):
            raise Unsupported(f"{name}: {tool} ignores v_reset or begins at it, here it is not 0")
        if _membrane_current(model, population):
            raise Unsupported(
                f"{name}: {tool} reads no constant current of the membrane (membrane_bias)"
            )
        for array in target.uniform:
            has = array in ("decay", "threshold") or getattr(neuron, array, None) is not None
            if has and np.ptp(model.values(population, array)) != 0:
                raise Unsupported(
                    f"{name}: {tool} takes one {array} for a population, here it differs between "
                    "neurons"
                )


def _check_delays(model: TrainedNetwork, target: Target) -> None:
    """Raise Unsupported for a delay that the tool does not have, or has where it should not.

    No tool reads a Delay. One whose neurons answer late delays every edge between neurons by
    itself: another network, unless the edges have just this delay here, or the network is a chain
    that is only shifted by it.
    """
    network, tool = model.network, f"{target.name} {target.version}"
    late = target.rows[0].conventions.latency
    inner = [p for p in network.projections if p.source != network.input.name]
    shifted = late > 0 and all(p.delay == 0 for p in inner)
    for projection in network.projections:
        allowed = late if projection in inner and not shifted else 0
        if projection.max_delay is not None or projection.delay != allowed:
            raise Unsupported(
                f"projection {projection.name!r}: {tool} reads no Delay, its delay would be "
                f"{allowed} steps there"
            )
        population = network.population(projection.target)
        several_ways = len(network.into(population.name)) > 1
        if (
            shifted
            and projection in inner
            and (several_ways or np.any(model.values(population, "bias") != 0))
        ):
            raise Unsupported(
                f"population {population.name!r}: the neurons of {tool} answer {late} step late, "
                "which with a bias or several ways to a later population is "
                f"another network: give the edges between neurons a delay of {late}"
            )


def notes_for(model: TrainedNetwork, name: str) -> list[str]:
    """What has to be done in the tool after its import, for the same spikes."""
    target, network = target_named(name), model.network
    dense_after_image = any(
        isinstance(p.connection, Convolution)
        and any(
            not isinstance(q.connection, Convolution)
            for q in network.projections
            if q.source == p.target
        )
        for p in network.projections
    )
    holds = {
        "always": True,
        "several": bool(several(model)),
        "IF": any(
            isinstance(p.neuron, Lif) and _row(model, p, target).node == "IF"
            for p in network.populations[1:]
        ),
        "convolution": dense_after_image,
    }
    return [f"{target.name}: {text}" for case, text in target.afterwards if holds[case]]


# --- nodes ---


def to_nir(model: TrainedNetwork, target: str | None = None) -> Any:
    """The NIR graph of a network, batch normalisation folded.

    target: the tool that shall read it, one of `targets.TARGETS`; None for NIR's own definitions.
    Raises Unsupported naming population and feature that NIR cannot say, or that the tool would
    change.
    """
    import nir

    check_expressible(model.network)
    model = model.folded()
    network = model.network
    tool = None if target is None else target_named(target)
    if tool is not None:
        _check_target(model, tool)
    order = [network.input.name, *(p.name for p in network.update_order())]
    edges: list[tuple[str, str]] = []
    shapes = _image_shapes(network)
    nodes: dict[str, Any] = {"input": nir.Input({"input": np.array(shapes[network.input.name])})}
    labels = {p.name: metadata.label(p.name) for p in network.populations[1:]} | {
        network.input.name: "input"
    }
    factors: dict[str, FloatArray] = {}
    for population in network.populations[1:]:
        nodes[labels[population.name]], factors[population.name] = _neuron_node(
            model, population, shapes[population.name], tool
        )
    for projection in network.projections:
        goal = network.population(projection.target)
        first = network.into(projection.target)[0] is projection
        late = order.index(projection.source) >= order.index(projection.target)
        chain = _projection_nodes(
            model, projection, goal, first, late, shapes, factors[goal.name], tool
        )
        ends = [labels[projection.source], *chain, labels[projection.target]]
        nodes |= chain
        edges += list(zip(ends, ends[1:], strict=False))
    nodes["output"] = nir.Output({"output": np.array(shapes[network.output.name])})
    edges.append((labels[network.output.name], "output"))
    if tool is not None:
        for node in nodes.values():
            _single_precision(node)
    graph = nir.NIRGraph(nodes, edges, metadata={}, type_check=False)
    graph.metadata = metadata.written(model, tree_of(graph), _common_conventions(model, tool))
    return graph


def _single_precision(node: Any) -> None:
    """Real numbers as float32, which all these tools compute with, and some demand."""
    for name, value in vars(node).items():
        if isinstance(value, np.ndarray) and value.dtype == np.float64:
            setattr(node, name, value.astype(np.float32))


def _common_conventions(model: TrainedNetwork, tool: Target | None) -> Conventions | None:
    """The conventions under which the graph means the network, None where there are no such."""
    found = set()
    for population in model.network.populations[1:]:
        if isinstance(population.neuron, Lif):
            row, neuron = _row(model, population, tool), population.neuron
            dt = row.conventions.dt if tool is not None else model.network.dt
            own = {k: getattr(neuron, k) for k in ("reset", "strict", "delayed_reset")}
            found.add(replace(row.conventions, dt=dt, steps=model.steps, latency=0, **own))
    if not found:
        return Conventions(dt=model.network.dt, steps=model.steps) if tool is None else None
    return found.pop() if len(found) == 1 else None


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
                        f"population {end!r} is seen as {shapes[end]} and as {shape}: NIR gives a "
                        "node one shape"
                    )
                shapes[end] = shape
    return shapes


def _neuron_node(
    model: TrainedNetwork, population: Population, shape: tuple[int, ...], target: Target | None
) -> tuple[Any, FloatArray]:
    """The node of a population, and the gain [parameter] that is left to its weights."""
    import nir

    row, neuron = _row(model, population, target), population.neuron
    theirs = (
        row.conventions if target is not None else replace(row.conventions, dt=model.network.dt)
    )
    assert isinstance(neuron, Lif | Integrator)
    lif = as_lif(neuron)
    spiking = isinstance(neuron, Lif)

    def spread(values: FloatArray) -> FloatArray:
        values = np.asarray(values, np.float64)
        if target is not None and target.single and len(shape) == 3 and row.node != "IF":
            if np.ptp(values) != 0:
                raise Unsupported(
                    f"population {population.name!r}: {target.name} cannot read a LIF whose "
                    "constants differ after a convolution"
                )
            return values[:1]
        return population.expand(values).reshape(shape)

    decay = model.values(population, "decay")
    tau = theirs.tau(decay)
    seen = theirs.decay(tau, population.name)  # as the reader computes it
    factor = (
        theirs.input_gain(theirs.gain, seen, np.ones_like(seen))
        if row.r == "one"
        else np.ones_like(seen)
    )
    if row.node == "IF":
        r, factor = np.full_like(seen, 1.0 if row.r == "one" else 1 / theirs.dt), np.ones_like(seen)
    else:
        choices = {"one": np.ones_like(seen), "gain": 1 / (1 - seen)}
        r = choices[row.r] if row.r in choices else tau / theirs.dt - 1
    fields = {"r": spread(r)}
    if spiking:
        v_reset = (
            model.values(population, "v_reset") if lif.reset == "hard" else np.zeros_like(seen)
        )
        fields |= {
            "v_threshold": spread(model.values(population, "threshold")),
            "v_reset": spread(v_reset),
        }
    if row.node == "IF":
        return nir.IF(**fields), factor
    leak = (
        model.values(population, "bias") / (1 - seen) if lif.membrane_bias else np.zeros_like(seen)
    )
    fields["v_leak"] = spread(leak)
    if not row.synapse:
        return (nir.LIF if spiking else nir.LI)(tau=spread(tau), **fields), factor
    tau_syn = theirs.tau(model.values(population, "synapse_decay"))
    held = theirs.decay(tau_syn, population.name)
    w_in = 1 / (1 - held) if theirs.current_gain == "nir" else np.ones_like(held)
    if theirs.current_gain == "decay":
        if np.any(held == 0):
            raise Unsupported(
                f"population {population.name!r}: {row.becomes} loses every input of a synaptic "
                "current that decays at once"
            )
        factor = factor * held
    kind = nir.CubaLIF if spiking else nir.CubaLI
    return kind(tau_syn=spread(tau_syn), tau_mem=spread(tau), w_in=spread(w_in), **fields), factor


def _projection_nodes(
    model: TrainedNetwork,
    projection: Projection,
    target: Population,
    first: bool,
    late: bool,
    shapes: dict[str, tuple[int, ...]],
    factor: FloatArray,
    tool: Target | None,
) -> dict[str, Any]:
    """Delay, Flatten and weighted node of a projection, in order.

    factor: the gain [parameter] by which the target multiplies its input.
    """
    import nir

    dt, connection = model.network.dt, projection.connection
    name = projection.name
    chain: dict[str, Any] = {}
    source = shapes[projection.source]
    delay = model.parameters.get(
        f"{name}.delay", np.full(math.prod(source), float(projection.delay))
    )
    delay = (delay - late) * dt
    if np.any(delay > 0) and tool is None:
        chain[f"delay_{name}"] = nir.Delay(np.asarray(delay).reshape(source))
    neuron = target.neuron
    has_bias = first and not (isinstance(neuron, Lif) and neuron.membrane_bias)
    bias = (model.values(target, "bias") if has_bias else np.zeros(target.parameters)) / factor
    if isinstance(connection, Convolution):
        weight = model.parameters[f"{name}.weight"] / model.per_weight(projection, factor)
        channel_bias = (
            bias if target.parameters == connection.channels else np.zeros(connection.channels)
        )
        if np.any(bias != 0) and channel_bias is not bias:
            grouped = target.expand(bias).reshape(connection.channels, -1)
            if np.any(grouped != grouped[:, :1]):
                raise Unsupported(
                    f"population {target.name!r}: NIR cannot say a bias that differs within a "
                    "channel of a convolution"
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
    matrix = sum(
        m if isinstance(m, np.ndarray) else m.toarray() for _, m in model.matrices(projection)
    )
    matrix = np.asarray(matrix, np.float64) / target.expand(factor)[:, None]
    chain[f"weight_{name}"] = nir.Affine(matrix, target.expand(bias))
    return chain


class _Readable:
    """A graph whose `to_dict` leaves out v_reset where it is 0, for nir 1.0.5 and older."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph

    def to_dict(self) -> dict[str, Any]:
        """What nir writes."""
        content: dict[str, Any] = self.graph.to_dict()
        for node in content["nodes"].values():
            if "v_reset" in node and not np.any(node["v_reset"]):
                del node["v_reset"]
        return content


def write_nir(
    model: TrainedNetwork, path: Path | str, *, target: str | None = None, force: bool = False
) -> None:
    """Write the NIR graph of a network as an HDF5 file, whole or not at all. target: see `to_nir`.

    Raises InvalidData for a name that is not *.nir, CannotWrite if something else than a graph that
    was exported stands there, unless `force`.
    """
    import nir

    path = Path(path)
    if path.suffix != ".nir":
        raise InvalidData(f"{path}: a NIR graph is to come here, name it {path.stem}.nir")
    buffer = io.BytesIO()
    nir.write(buffer, _Readable(to_nir(model, target)))
    write_file(path, buffer.getvalue(), "nir", force)
