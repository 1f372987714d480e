"""Clipping of weights at some standard deviations of their layer, tile or column, for devices whose range the largest weight of a group sets."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from neurohw.memristor import CrossbarMapping, layout_of
from neurohw.memristor.mapping import groups
from neurohw.train.config import TrainConfig
from neurohw.train.module import SpikingModule


def clip_at_deviations(weight: Tensor, deviations: float, group: Tensor, count: int) -> None:
    """Clip weights in place to -limit ... limit, limit = deviations times the standard deviation (about the mean) of their group; group: of the weight's shape."""
    flat, where = weight.reshape(-1).double(), group.reshape(-1)

    def sums(values: Tensor) -> Tensor:
        return values.new_zeros(count).scatter_add(0, where, values)

    number = sums(torch.ones_like(flat)).clamp_min(1)
    mean = (sums(flat) / number)[where]
    limit = (deviations * (sums((flat - mean) ** 2) / number).sqrt())[where].reshape(weight.shape).to(weight)
    weight.copy_(torch.minimum(torch.maximum(weight, -limit), limit))


def weight_clipper(module: SpikingModule, config: TrainConfig) -> Callable[[], None]:
    """What clips the trainable weights of a module as a configuration says; it does nothing without weight_clip."""
    if config.weight_clip is None:
        return lambda: None
    deviations = config.weight_clip
    mapping = CrossbarMapping() if config.device_noise is None else config.device_noise.mapping
    places: list[tuple[Tensor, Tensor, int]] = []
    for projection in module.network.projections:
        weight = module.array(f"{projection.name}.weight")
        if not projection.trainable:
            continue
        layout = layout_of(module.to_trained(1), projection)
        if config.weight_clip_per == "layer":
            group, count = np.zeros(layout.row.shape, np.int64), 1
        else:
            per = CrossbarMapping(
                scale_per=config.weight_clip_per, tile_rows=mapping.tile_rows, tile_columns=mapping.tile_columns
            )
            group, count = groups(layout, per)
        places.append((weight, torch.from_numpy(np.ascontiguousarray(group)).to(weight.device), count))

    def clip() -> None:
        with torch.no_grad():
            for weight, group, count in places:
                clip_at_deviations(weight, deviations, group, count)

    return clip
