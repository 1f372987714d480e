"""Training in PyTorch. `import neurohw` does not load it, and of this package only what needs it does."""

from typing import TYPE_CHECKING, Any

from neurohw.train.config import DeviceNoise, TrainConfig
from neurohw.train.recipes import Recipe, digits_recipe, mnist_recipe

if TYPE_CHECKING:
    from neurohw.train.fitting import evaluate, fit
    from neurohw.train.module import SpikingModule

__all__ = ["DeviceNoise", "Recipe", "SpikingModule", "TrainConfig", "digits_recipe", "evaluate", "fit", "mnist_recipe"]


def __getattr__(name: str) -> Any:
    """What is defined with PyTorch, loaded at its first use."""
    if name == "SpikingModule":
        from neurohw.train.module import SpikingModule

        return SpikingModule
    if name in ("evaluate", "fit"):
        from neurohw.train import fitting

        return getattr(fitting, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
