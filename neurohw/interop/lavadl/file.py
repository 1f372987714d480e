# SPDX-License-Identifier: Apache-2.0
"""A `.net` file: its layers, with every field known by name."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurohw.errors import BrokenFile, InvalidModel, Unsupported
from neurohw.fixedpoint import IntArray

DEFAULT_STEPS = 128
TRAINING = {"tauRho", "scaleRho", "theta"}  # of the surrogate gradient; no simulation reads them
NEURON = {
    "type",
    "iDecay",
    "vDecay",
    "vThMant",
    "refDelay",
    "gradedSpike",
    "messageBits",
    "wgtExp",
    "weight_exp",
    *TRAINING,
}
WINDOW = {"kernelSize", "stride", "padding", "dilation"}
FIELDS = {  # of every type of layer, beside type, shape and the neuron's
    "input": {"weight", "bias"},
    "dense": {"inFeatures", "outFeatures", "weight", "bias", "delay"},
    "dense_rec": {"inFeatures", "outFeatures", "weight", "weight_rec", "bias", "delay"},
    "conv": {"inChannels", "outChannels", "groups", "weight", "bias", "delay", *WINDOW},
    "pool": {"weight", "delay", *WINDOW},
    "flatten": set(),
    "average": {"numOutputs"},
}


@dataclass(frozen=True)
class Layer:
    """One group of the file: its number, and its datasets with `neuron/` ones among them."""

    file: Path
    number: int
    fields: dict[str, Any]

    @property
    def node(self) -> str:
        """How errors name the layer."""
        return f"{self.file}, layer {self.number}"

    @property
    def kind(self) -> str:
        """Its type, a key of FIELDS."""
        return text(self.need("type"))

    @property
    def has_neurons(self) -> bool:
        """Whether it holds the constants of neurons."""
        return any(name.startswith("neuron/") for name in self.fields)

    def need(self, name: str) -> Any:
        """A field; BrokenFile if it is missing."""
        if name not in self.fields:
            raise BrokenFile(f"{self.node}: the field {name!r} is missing")
        return self.fields[name]

    def numbers(self, name: str, count: int, default: int | None = None) -> tuple[int, ...]:
        """A field of `count` whole numbers; a single one stands for all."""
        if name not in self.fields and default is not None:
            return (default,) * count
        values = self.integers(name).ravel()
        if len(values) not in (1, count):
            raise InvalidModel(
                f"{self.node}: {name} holds {len(values)} numbers, {count} are needed"
            )
        return tuple(int(v) for v in np.broadcast_to(values, (count,)))

    def number_of(self, name: str, default: int | None = None) -> int:
        """A field of one whole number."""
        return self.numbers(name, 1, default)[0]

    def integers(self, name: str) -> IntArray:
        """An array field of whole, finite numbers."""
        values = np.asarray(self.need(name))
        if values.dtype.kind not in "fiub":
            raise InvalidModel(f"{self.node}: {name} holds no numbers but {values.dtype}")
        values = values.astype(np.float64)
        if not np.all(np.isfinite(values)):
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
            raise InvalidModel(
                f"{self.node}: {name} holds {values[where]} at {where}: every value must be finite"
            )
        if np.any(values != np.floor(values)):
            where = tuple(int(i) for i in np.argwhere(values != np.floor(values))[0])
            raise InvalidModel(
                f"{self.node}: {name} holds {values[where]} at {where}, whole numbers are needed"
            )
        return values.astype(np.int64)

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Raise InvalidModel unless the file's own shape of the layer is the computed one."""
        if "shape" not in self.fields:
            return
        stored = tuple(int(n) for n in self.integers("shape").ravel())
        same = (
            stored == shape if len(shape) == len(stored) == 3 else np.prod(stored) == np.prod(shape)
        )
        if not same:
            raise InvalidModel(f"{self.node}: shape is {stored}, the layer gives {shape}")

    def check_fields(self) -> None:
        """Raise Unsupported, naming it, for a type or a field that is not known."""
        if self.kind not in FIELDS:
            known = ", ".join(FIELDS)
            raise Unsupported(
                f"{self.node}: layer type {self.kind!r} is not known; known are {known}"
            )
        allowed = {"type", "shape", *FIELDS[self.kind]}
        if self.kind not in ("flatten", "average"):
            allowed |= {f"neuron/{name}" for name in NEURON}
        unknown = sorted(set(self.fields) - allowed)
        if unknown:
            raise Unsupported(
                f"{self.node}: the field {unknown[0]!r} of a {self.kind} layer is not known, so "
                "that what it asks for would be lost"
            )


def text(value: Any) -> str:
    """A string field, stored as bytes, as text or as an array of one."""
    values = np.asarray(value).ravel()
    entry = values[0] if len(values) else ""
    return entry.decode(errors="replace") if isinstance(entry, bytes) else str(entry)


def read(path: Path) -> tuple[list[Layer], int]:
    """The layers of a file, and the steps of one of its samples.

    Raises BrokenFile for a file that cannot be read, Unsupported naming what is not known.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            if not isinstance(file.get("layer"), h5py.Group):
                raise BrokenFile(f"{path}: no group 'layer': this is not a network of lava-dl")
            contents: dict[str, Any] = {}

            def keep(name: str, item: Any) -> None:
                if isinstance(item, h5py.Dataset):
                    contents[name] = item[()]

            file.visititems(keep)
            groups = list(file["layer"])
    except (OSError, KeyError, RuntimeError) as error:
        raise BrokenFile(f"{path}: not a readable HDF5 file ({error})") from error
    if not all(name.isdecimal() for name in groups):
        raise BrokenFile(f"{path}: layers {groups} are not named by their numbers")
    numbers = sorted(int(name) for name in groups)
    if not numbers or numbers != list(range(len(numbers))):
        raise BrokenFile(f"{path}: layers {numbers} are not numbered 0, 1, ...")
    layers = []
    for number in numbers:
        prefix = f"layer/{number}/"
        fields = {k.removeprefix(prefix): v for k, v in contents.items() if k.startswith(prefix)}
        layers.append(Layer(path, number, fields))
        layers[-1].check_fields()
    return layers, _steps(path, contents)


def _steps(path: Path, contents: dict[str, Any]) -> int:
    """Steps of one sample; Unsupported for anything beside the layers that is not known."""
    rest = {k: v for k, v in contents.items() if not k.startswith("layer/")}
    unknown = sorted(set(rest) - {"simulation/Ts", "simulation/tSample"})
    if unknown:
        raise Unsupported(
            f"{path}: the field {unknown[0]!r} is not known, what it asks for would be lost"
        )
    if float(np.ravel(rest.get("simulation/Ts", 1))[0]) != 1:
        raise Unsupported(
            f"{path}: simulation/Ts is {rest['simulation/Ts']}, steps of 1 are needed"
        )
    steps = int(np.ravel(rest.get("simulation/tSample", DEFAULT_STEPS))[0])
    if steps < 1:
        raise InvalidModel(f"{path}: simulation/tSample is {steps}, 1 or more is needed")
    return steps
