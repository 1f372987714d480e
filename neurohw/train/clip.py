# SPDX-License-Identifier: Apache-2.0
"""Clipping of weights at some standard deviations of their layer, tile or column, for devices whose
range the largest weight of a group sets.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from neurohw.memristor import CrossbarMapping, layout_of
from neurohw.memristor.mapping import groups
from neurohw.train.config import TrainConfig
from neurohw.train.module import SpikingModule


def clip_at_deviations(
    weight: Tensor, deviations: float, group: Tensor | None = None, count: int = 1
) -> None:
    """Clip weights in place to -limit ... limit, limit = deviations times the standard deviation
    (about the mean) of their group.

    group: of every weight, flat, of `count` groups; None where all are one.
    """
    if group is None:
        limit = float(deviations * weight.std(correction=0))
        weight.clamp_(-limit, limit)
        return
    flat, where = weight.reshape(-1), group

    def mean(values: Tensor) -> Tensor:
        return values.new_zeros(count).scatter_add(0, where, values) / number

    number = torch.bincount(where, minlength=count).clamp_min(1).to(flat)
    centred = flat - mean(flat).index_select(0, where)
    limits = (deviations * mean(centred**2).sqrt()).index_select(0, where).reshape(weight.shape)
    weight.copy_(torch.minimum(torch.maximum(weight, -limits), limits))


def weight_clipper(module: SpikingModule, config: TrainConfig) -> Callable[[], None]:
    """What clips the trainable weights of a module as a configuration says; it does nothing without
    weight_clip.
    """
    if config.weight_clip is None:
        return lambda: None
    deviations = config.weight_clip
    mapping = CrossbarMapping() if config.device_noise is None else config.device_noise.mapping
    places: list[tuple[Tensor, Tensor | None, int]] = []
    for projection in module.network.projections:
        weight = module.array(f"{projection.name}.weight")
        if not projection.trainable:
            continue
        if config.weight_clip_per == "layer":
            places.append((weight, None, 1))
            continue
        layout = layout_of(module.to_trained(1), projection)
        group, count = groups(layout, replace(mapping, scale_per=config.weight_clip_per))
        places.append(
            (
                weight,
                torch.from_numpy(np.ascontiguousarray(group)).reshape(-1).to(weight.device),
                count,
            )
        )

    def clip() -> None:
        with torch.no_grad():
            for weight, group, count in places:
                clip_at_deviations(weight, deviations, group, count)

    return clip
