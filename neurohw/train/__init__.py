# SPDX-License-Identifier: Apache-2.0
"""Training in PyTorch.

`import neurohw` does not load it, and of this package only what needs it does.
"""

import importlib
from typing import TYPE_CHECKING, Any

from neurohw.extras import missing_package
from neurohw.train.config import DeviceNoise, TrainConfig
from neurohw.train.recipes import Recipe, digits_recipe, mnist_recipe

if TYPE_CHECKING:
    from neurohw.train.fitting import evaluate, fit
    from neurohw.train.module import SpikingModule

__all__ = [
    "DeviceNoise",
    "Recipe",
    "SpikingModule",
    "TrainConfig",
    "digits_recipe",
    "evaluate",
    "fit",
    "mnist_recipe",
]
# defined with PyTorch
DEFINED_IN = {"SpikingModule": "module", "evaluate": "fitting", "fit": "fitting"}


def __getattr__(name: str) -> Any:
    """What is defined with PyTorch, loaded at its first use;

    MissingTool naming the extra without PyTorch.
    """
    if name not in DEFINED_IN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(f"{__name__}.{DEFINED_IN[name]}"), name)
    except ModuleNotFoundError as error:
        raise missing_package(error) or error from error
