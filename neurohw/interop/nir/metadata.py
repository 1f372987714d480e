# SPDX-License-Identifier: Apache-2.0
"""What this program writes into the metadata of a NIR graph: the network's exact constants, and
what they belong to.

neurohw      JSON: format, network, steps, conventions (under which the graph means the network),
             digest (of the graph and of all the rest of the metadata)
parameters   the arrays that the graph does not hold as they are
"""

import hashlib
import json
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.connections import Sparse
from neurohw.errors import BrokenFile, NeurohwError, Unsupported
from neurohw.interop.nir.cells import PARAMETERS
from neurohw.interop.nir.conventions import PLAIN, Conventions
from neurohw.interop.nir.graph import Problems, Tree, flatten, kind_of
from neurohw.network import Network, TrainedNetwork

FloatArray = NDArray[np.float64]
KEY, DIGEST = "neurohw", "digest"
FORMAT = 3
_AS_PLAIN = f"import it with --from {PLAIN} (written_by={PLAIN!r} in Python)"
NUMBERS = {
    **PARAMETERS,
    "Affine": ("weight", "bias"),
    "Conv2d": ("input_shape", "weight", "stride", "padding", "dilation", "groups", "bias"),
    "Delay": ("delay",),
    "Flatten": ("start_dim", "end_dim"),
    "Input": (),
    "Output": (),
}
SHAPES = {"Flatten": "input_type", "Input": "input_type", "Output": "output_type"}


def label(population: str) -> str:
    """The node of a population in a graph that `to_nir` makes."""
    return f"population_{population}"


def _digest(tree: Tree, description: dict[str, Any], parameters: dict[str, Any]) -> str:
    """Of every node and edge, and of the metadata: the description but its digest, the arrays."""
    flat = flatten(tree, Problems())
    sha = hashlib.sha256()

    def add(name: str, value: Any) -> None:
        array = np.ascontiguousarray(value, np.float64)
        sha.update(f"{name}{array.shape}".encode() + array.tobytes())

    for name in sorted(flat.nodes):
        node, kind = flat.nodes[name], kind_of(flat.nodes[name])
        sha.update(f"{name}\0{kind}\0".encode())
        for attribute in NUMBERS.get(kind, ()):
            add(attribute, getattr(node, attribute))
        if kind in SHAPES:
            for port, shape in sorted(getattr(node, SHAPES[kind]).items()):
                add(port, shape)
    sha.update(json.dumps(sorted(flat.edges)).encode())
    rest = {k: v for k, v in description.items() if k != DIGEST}
    sha.update(json.dumps(rest, sort_keys=True).encode())
    for name in sorted(parameters):
        add(name, parameters[name])
    return sha.hexdigest()


def written(model: TrainedNetwork, tree: Tree, conventions: Conventions | None) -> dict[str, Any]:
    """The metadata of a graph.

    conventions: under which the graph means the network, None where no single ones do.
    """
    network = model.network
    exact = {}
    for name, array in model.parameters.items():
        owner, _, what = name.rpartition(".")
        held = tree.nodes.get(f"weight_{owner}") if what == "weight" else None
        if held is None or not np.array_equal(np.asarray(held.weight), array):
            exact[name] = array
    description: dict[str, Any] = {
        "format": FORMAT,
        "network": network.to_json(),
        "steps": model.steps,
    }
    if conventions is not None:
        default = Conventions()
        description["conventions"] = {
            k: v for k, v in vars(conventions).items() if v != getattr(default, k)
        }
    description[DIGEST] = _digest(tree, description, exact)
    return {KEY: json.dumps(description), "parameters": exact}


def _description(tree: Tree) -> dict[str, Any] | None:
    text = tree.metadata.get(KEY)
    if text is None:
        return None
    try:
        description = json.loads(text.decode() if isinstance(text, bytes) else text)
        found = description["format"]
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(error) from error
    if found != FORMAT:
        raise Unsupported(
            f"the graph's metadata have format {found}, this program reads {FORMAT}: {_AS_PLAIN}"
        )
    return description  # type: ignore[no-any-return]


def _damaged(error: Exception) -> BrokenFile:
    return BrokenFile(
        f"the graph's metadata are damaged ({type(error).__name__}: {error}): {_AS_PLAIN}"
    )


def restored(tree: Tree) -> TrainedNetwork | None:
    """The very network that was written, None where the graph has no metadata of this program.

    Raises BrokenFile where they are damaged, and Unsupported where the graph was changed after they
    were written.
    """
    description = _description(tree)
    if description is None:
        return None
    try:
        network = Network.from_json(description["network"])
        parameters = {
            name: np.asarray(array) for name, array in tree.metadata.get("parameters", {}).items()
        }
        unchanged = description[DIGEST] == _digest(tree, description, parameters)
        for projection in network.projections:
            name = f"{projection.name}.weight"
            if name not in parameters and not isinstance(projection.connection, Sparse):
                parameters[name] = np.asarray(tree.nodes[f"weight_{projection.name}"].weight)
        if unchanged:
            return TrainedNetwork(network, parameters, description["steps"], {"source": "NIR"})
    except (KeyError, TypeError, ValueError, AttributeError, NeurohwError) as error:
        raise _damaged(error) from error
    raise Unsupported(
        "the graph or its metadata were changed after this program wrote them, so that the exact "
        f"constants in the metadata may be another network's: {_AS_PLAIN}"
    )


def own_network(
    tree: Tree, written_by: str | None, given: dict[str, Any], use_metadata: bool | None = None
) -> TrainedNetwork | None:
    """The network of our own metadata, None where they are not to be used; see `read.from_nir`."""
    chosen = written_by is not None or bool(set(given) - {"steps"})
    if use_metadata is False or (use_metadata is None and chosen):
        return None
    model = restored(tree)
    if model is not None:
        return replace(model, steps=given.get("steps", model.steps))
    if use_metadata:
        raise Unsupported("the graph holds no metadata of this program")
    return None


def conventions_of(tree: Tree) -> Conventions | None:
    """The conventions that the metadata name, None where there are none."""
    description = _description(tree)
    if description is None or "conventions" not in description:
        return None
    try:
        return Conventions(**description["conventions"])
    except TypeError as error:
        raise _damaged(error) from error
