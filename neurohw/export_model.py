# SPDX-License-Identifier: Apache-2.0
"""Writing a model for another tool: the CLI's `export`."""

from pathlib import Path

from neurohw.checks import exactly
from neurohw.engines import QUANTIZE, Model
from neurohw.errors import Unsupported
from neurohw.integers import QuantizedNetwork
from neurohw.interop import EXPORTS, export_nir, export_snntorch
from neurohw.network import TrainedNetwork


def export_model(
    model: Model, to: str, path: Path, *, target: str | None = None, force: bool = False
) -> list[str]:
    """Write `model` as a NIR graph, or as a script for snnTorch, Brian2 or Lava.

    target: the tool that shall read the NIR graph. Returns what remains to be done in that tool.
    Raises Unsupported naming what the tool cannot say, CannotWrite if something else than such an
    export stands there, unless `force`.
    """
    exactly("export_model: model", model, TrainedNetwork, QuantizedNetwork)
    if target is not None and to != "nir":
        raise Unsupported(
            f"--for {target} says which tool reads a NIR graph; an export to {to} is for {to}"
        )
    if to == "nir":
        return export_nir(model, path, target=target, force=force)
    if to == "snntorch":
        export_snntorch(model, path, force)
    elif to == "brian2":
        from neurohw.engines.brian2 import export as export_brian2

        export_brian2(model, path, force)
    elif to == "lava":
        from neurohw.engines.lava import export as export_lava

        if not isinstance(model, QuantizedNetwork):
            raise Unsupported(f"the Lava export is fixed point: {QUANTIZE}")
        export_lava(model, path, force)
    else:
        raise Unsupported(f"there is no export to {to!r}: known are {', '.join(EXPORTS)}")
    return []
