"""Training in PyTorch. `import neurohw` does not load it."""

from neurohw.train.config import DeviceNoise, TrainConfig
from neurohw.train.fit import evaluate, fit
from neurohw.train.module import SpikingModule
from neurohw.train.recipes import Recipe, digits_recipe, mnist_recipe

__all__ = ["DeviceNoise", "Recipe", "SpikingModule", "TrainConfig", "digits_recipe", "evaluate", "fit", "mnist_recipe"]
