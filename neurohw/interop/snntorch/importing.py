# SPDX-License-Identifier: Apache-2.0
"""Modules and scripts of snnTorch, imported."""

import runpy
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurohw.errors import BrokenFile, InvalidData, InvalidModel, NeurohwError, Unsupported
from neurohw.network import TrainedNetwork

if TYPE_CHECKING:
    from torch import nn

DEFAULT_STEPS = 100  # of one sample


def from_snntorch(
    module: "nn.Module | Sequence[nn.Module]",
    input_shape: int | Sequence[int],
    steps: int | None = None,
    dt: float = 1e-3,
) -> TrainedNetwork:
    """The network of a Sequential, of a list of layers, or of any module that runs a row of them.

    Evaluation mode, from rest. In float64 the reference then gives snnTorch's own spikes.

    module: layers are Linear, Conv1d, Conv2d, BatchNorm1d, BatchNorm2d, mean pooling, maximum
        pooling (of spikes), Flatten, Unflatten, Dropout, and the neurons of this package's table.
        A linear layer at the end is a readout without memory. Any other module is run, to see its
        order, and compared with its import (`forward`).
    input_shape: of one step, without batch.
    steps: of one sample; by default as many as forward says, if it does, else 100.

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
    given = _as_module(module)
    if row_of(given) is not None:
        check_unchanged(given)
    whole = still(given)
    builder = Builder.of_input(shape)
    row, run = row_of(whole), None
    populations: list[str] = []
    if row is not None:
        _check_neurons_once(row)
        for name, layer in row:
            builder.add(name, layer)
    else:
        taken, run = layers_by_running(whole, shape)
        for name, values in taken:
            check_unchanged(whole.get_submodule(name), name)
            builder.reshape(name, values)
            builder.add(name, whole.get_submodule(name))
            populations.append(builder.populations[-1].name)
    readout = builder.end()
    if len(builder.populations) < 2:
        raise Unsupported(
            "there is no layer that this import knows: hand over the layers in order, as a list"
        )
    info: dict[str, Any] = {"source": "snnTorch", "version": snntorch.__version__}
    if builder.notes:
        info["notes"] = builder.notes
    if steps is None and run is not None and run.fixed:
        steps, info["steps"] = len(run.steps), "as forward says; --steps changes it"
    model = builder.model(DEFAULT_STEPS if steps is None else steps, dt, info)
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


def check_unchanged(module: Any, name: str = "") -> None:
    """Raise Unsupported if a module, or one inside it, computes more than its class says.

    What is read by its class is not run, so that hooks and methods of one object would be lost.
    name: of the module in the whole.
    """
    from torch.nn.modules import module as every
    from torch.nn.utils.parametrize import is_parametrized

    from neurohw.interop.snntorch.layers import class_of

    if every._global_forward_hooks or every._global_forward_pre_hooks:
        raise Unsupported(
            "PyTorch has hooks of all modules (torch.nn.modules.module), which can compute "
            "anything; remove them first"
        )
    for inner, part in module.named_modules():
        full = ".".join(n for n in (name, inner) if n)
        kind = class_of(part).__name__
        node = f"layer {full!r} ({kind})" if full else kind
        if part._forward_hooks or part._forward_pre_hooks:
            raise Unsupported(
                f"{node}: it has hooks, which can compute anything; remove them first (those of "
                "pruning with prune.remove, of the old weight_norm with remove_weight_norm)"
            )
        for own, value in vars(part).items():
            # compile() sets the one that is left out, and computes the same
            if callable(value) and hasattr(type(part), own) and own != "_compiled_call_impl":
                raise Unsupported(
                    f"{node}: its {own} was replaced on this object, which can compute anything; "
                    "remove it, or write a class whose forward calls the layers"
                )
        for own in part.parametrizations if is_parametrized(part) else ():
            if not getattr(part, own).equal(getattr(part, own)):
                raise Unsupported(
                    f"{node}: its {own} changes with every read; give it a parametrization that "
                    "does not draw at random"
                )


def _check_neurons_once(row: list[tuple[str, Any]]) -> None:
    """Raise Unsupported for neurons at two places of a row: who calls them says how many states."""
    from neurohw.interop.snntorch.cells import is_neuron

    seen: dict[int, str] = {}
    for name, layer in row:
        if is_neuron(layer) and id(layer) in seen:
            raise Unsupported(
                f"layer {name!r} ({type(layer).__name__}): it is layer {seen[id(layer)]!r} once "
                "more, and snnTorch keeps one state for both unless forward hands over two; give "
                "each place a layer of its own, or hand over the module whose forward calls it"
            )
        seen[id(layer)] = name


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
    for name, child in module._modules.items():  # named_children leaves out a second place
        if child is None:
            raise InvalidModel(
                f"place {name!r} of the {type(module).__name__} is None; a layer is needed"
            )
        if is_layer(child) or not any(True for _ in child.children()):
            row.append((name, child))
            continue
        inner = row_of(child)
        if inner is None and type(module) is nn.Sequential:
            return None
        row += [(name, child)] if inner is None else [(f"{name}.{k}", layer) for k, layer in inner]
    return row


def import_script(
    path: Path, name: str, input_shape: Sequence[int] | None = None, steps: int | None = None
) -> TrainedNetwork:
    """The network that a Python script holds under `name`.

    name: of a module, of a list of layers in order, or of a class or function without arguments
        that makes one.
    input_shape: of one step; by default the script's INPUT_SHAPE, or the first layer's if it is
        Linear.
    steps: as of `from_snntorch`.

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
