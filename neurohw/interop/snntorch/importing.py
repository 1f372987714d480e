# SPDX-License-Identifier: Apache-2.0
"""Modules and scripts of snnTorch, imported."""

import runpy
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurohw.errors import BrokenFile, InvalidData, NeurohwError, Unsupported
from neurohw.network import TrainedNetwork

if TYPE_CHECKING:
    from torch import nn


def from_snntorch(
    module: "nn.Module | Sequence[nn.Module]",
    input_shape: int | Sequence[int],
    steps: int = 100,
    dt: float = 1e-3,
) -> TrainedNetwork:
    """The network of a Sequential, of a list of layers, or of any module that runs a row of them.

    Evaluation mode, from rest. In float64 the reference then gives snnTorch's own spikes.

    module: layers are Linear, Conv1d, Conv2d, BatchNorm1d, BatchNorm2d, mean pooling, maximum
        pooling (of spikes), Flatten, Unflatten, Dropout, and the neurons of this package's table.
        A linear layer at the end is a readout without memory. Any other module is run, to see its
        order, and compared with its import (`forward`).
    input_shape: of one step, without batch.

    The `info` of the result holds the version of snnTorch and, as `notes`, where snnTorch does not
    do what the arguments of a layer say. Raises Unsupported or InvalidModel naming the layer.
    """
    try:
        import snntorch
    except ModuleNotFoundError as error:
        raise Unsupported(f"snnTorch cannot be read: {error}; install snntorch") from error
    from neurohw.interop.snntorch.forward import check, layers_by_running
    from neurohw.interop.snntorch.layers import Builder
    from neurohw.interop.snntorch.probe import still

    shape = (int(input_shape),) if isinstance(input_shape, int) else tuple(map(int, input_shape))
    if not shape or min(shape) < 1:
        raise InvalidData(
            f"the shape of one step's input is whole numbers above 0, not {input_shape!r}"
        )
    whole = still(_as_module(module))
    builder = Builder.of_input(shape)
    row, run = row_of(whole), None
    populations: dict[str, str] = {}
    if row is not None:
        for name, layer in row:
            builder.add(name, layer)
    else:
        taken, run = layers_by_running(whole, shape)
        for name, values in taken:
            builder.reshape(name, values)
            builder.add(name, whole.get_submodule(name))
            populations[name] = builder.populations[-1].name
    readout = builder.end()
    if len(builder.populations) < 2:
        raise Unsupported(
            "there is no layer that this import knows: hand over the layers in order, as a list"
        )
    info: dict[str, Any] = {"source": "snnTorch", "version": snntorch.__version__}
    if builder.notes:
        info["notes"] = builder.notes
    model = builder.model(steps, dt, info)
    if run is not None:
        check(model, run, populations, readout)
    return model


def _as_module(module: Any) -> Any:
    from torch import nn

    if isinstance(module, list | tuple):
        for number, layer in enumerate(module):
            if not isinstance(layer, nn.Module):
                raise InvalidData(
                    f"entry {number} of the list is a {type(layer).__name__}, not a layer"
                )
        return nn.ModuleList(module)
    if not isinstance(module, nn.Module):
        raise InvalidData(f"a module or a list of layers is needed, not a {type(module).__name__}")
    return module


def row_of(module: Any) -> list[tuple[str, Any]] | None:
    """(name, layer) in order, of a list of layers or of Sequential modules within each other.

    None for another module, and for a row that holds one: its order only its `forward` knows.
    """
    from torch import nn

    from neurohw.interop.snntorch.layers import is_layer

    if is_layer(module):
        return [("0", module)]
    if type(module) not in (nn.Sequential, nn.ModuleList):
        return None
    row = []
    for name, child in module.named_children():
        if is_layer(child) or not any(True for _ in child.children()):
            row.append((name, child))
            continue
        inner = row_of(child)
        if inner is None and type(module) is nn.Sequential:
            return None
        row += [(name, child)] if inner is None else [(f"{name}.{k}", layer) for k, layer in inner]
    return row


def import_script(
    path: Path, name: str, input_shape: Sequence[int] | None = None, steps: int = 100
) -> TrainedNetwork:
    """The network that a Python script holds under `name`.

    name: of a module, of a list of layers in order, or of a class or function without arguments
        that makes one.
    input_shape: of one step; by default the script's INPUT_SHAPE, or the first layer's if it is
        Linear.

    Raises InvalidData or BrokenFile naming the script, else what `from_snntorch` raises.
    """
    path = Path(path)
    if not path.is_file():
        raise InvalidData(f"{path}: there is no such file")
    try:
        names = runpy.run_path(str(path))
    except (Exception, SystemExit) as error:
        raise BrokenFile(
            f"{path}: the script fails with {type(error).__name__}: {error}"
        ) from error
    if name not in names:
        raise InvalidData(f"{path}: it defines no {name!r}")
    module = names[name]
    if isinstance(module, type) or (callable(module) and not hasattr(module, "state_dict")):
        try:
            module = module()
        except (Exception, SystemExit) as error:
            raise BrokenFile(
                f"{path}: {name}() fails with {type(error).__name__}: {error}"
            ) from error
    try:
        shape = input_shape if input_shape is not None else names.get("INPUT_SHAPE")
        return from_snntorch(module, _first_shape(module) if shape is None else shape, steps)
    except NeurohwError as error:
        raise type(error)(f"{path}:{name}: {error}") from error


def _first_shape(module: Any) -> tuple[int, ...]:
    """The input of the first layer, if it is Linear."""
    from torch import nn

    from neurohw.interop.snntorch.forward import leaves

    first = next((layer for _, layer in leaves(_as_module(module))), module)
    if type(first) is not nn.Linear:
        raise InvalidData(
            "say the shape of one step's input (--input-shape), the first layer is "
            f"{type(first).__name__}"
        )
    return (first.in_features,)
