# SPDX-License-Identifier: Apache-2.0
"""Saving and loading of `TrainedNetwork`, `QuantizedNetwork` and `Trace`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from neurohw.checks import exactly
from neurohw.integers.quantized import QuantizedNetwork
from neurohw.network import TrainedNetwork
from neurohw.storage import digest, load_value, save_value
from neurohw.trace import Trace

Model = TrainedNetwork | QuantizedNetwork | Trace


def _parts(value: Model) -> tuple[str, dict[str, Any], Mapping[str, NDArray[Any]]]:
    exactly("what is saved", value, TrainedNetwork, QuantizedNetwork, Trace)
    match value:
        case TrainedNetwork():
            return ("trained", *value.to_parts())
        case QuantizedNetwork():
            return ("quantized", *value.to_parts())
        case Trace():
            counted = {"saturations": value.saturations} if value.saturations else {}
            return "trace", {"parent": value.parent, **counted}, value.arrays()


def digest_of(value: Model) -> str:
    """SHA-256 of a value, 64 hexadecimal digits; the same for a value and its saved and loaded
    copy.
    """
    return digest(*_parts(value))


def save(value: Model, path: Path | str, force: bool = False) -> str:
    """Save a value as a folder, atomically, and return its digest.

    Raises CannotWrite if something else than a saved value of the same kind stands there, unless
    `force`.
    """
    return save_value(path, *_parts(value), force)


def load_trained(path: Path) -> TrainedNetwork:
    """A saved TrainedNetwork;

    BrokenFile or InvalidModel, naming the file or array, if it cannot be trusted.
    """
    return TrainedNetwork.from_parts(*load_value(path, "trained"))


def load_quantized(path: Path) -> QuantizedNetwork:
    """A saved QuantizedNetwork; BrokenFile or InvalidModel if it cannot be trusted."""
    return QuantizedNetwork.from_parts(*load_value(path, "quantized"))


def load_trace(path: Path) -> Trace:
    """A saved Trace; BrokenFile if it cannot be trusted."""
    fields, arrays = load_value(path, "trace")
    spikes = {n.removeprefix("spikes."): a for n, a in arrays.items() if n.startswith("spikes.")}
    states = {n: a for n, a in arrays.items() if not n.startswith("spikes.")}
    return Trace(spikes, states, fields["parent"], fields.get("saturations", {}))
