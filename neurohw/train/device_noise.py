# SPDX-License-Identifier: Apache-2.0
"""Noise of resistive devices in the training step.

Every mini-batch meets a new chip: the forward pass has the weights that this chip gives back at one
of the times, the gradient passes straight to the clean weights, which the optimizer moves (Joshi et
al., "Accurate deep neural network inference using computational phase-change memory", Nature
Communications 2020, with the programming noise of its Methods; here drift and read noise are in it,
too). What the noise is, is said by the device models alone: mean and deviation come from
`neurohw.memristor.moments`. Weights are drawn with a normal distribution of those, independently of
each other; an offset column is shared by its row. The noise of a read is drawn once per mini-batch,
although it is new at every step on a chip.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from neurohw.memristor import layout_of
from neurohw.memristor.chip import programmable
from neurohw.memristor.mapping import groups
from neurohw.memristor.moments import BINS, weight_moments
from neurohw.network import Projection
from neurohw.train.config import DeviceNoise
from neurohw.train.module import SpikingModule


@dataclass(frozen=True)
class _Place:
    """Where the weights of a projection are: group and tile of every weight, flat, and how many
    there are; of an offset column's device [weight] and count.
    """

    projection: Projection
    group: Tensor
    groups: int
    tile: Tensor
    tiles: int
    beside: Tensor
    references: int


class ChipNoise:
    """Draws the weights of new chips for a module.

    seed: of all draws; a draw depends on it and on its position alone.
    """

    def __init__(self, module: SpikingModule, noise: DeviceNoise, seed: int) -> None:
        self.module, self.noise, self.seed = module, noise, seed
        tables = weight_moments(noise.device, noise.mapping, noise.faults, noise.times_seconds)
        like = module.array(f"{module.network.output.name}.bias").detach()
        self.shift, self.deviation, self.size = (
            torch.from_numpy(t).to(like) for t in (tables.shift, tables.deviation, tables.size)
        )
        self.shared = tables.shared
        self.places = [
            self._place(p)
            for p in module.network.projections
            if p.name in programmable(module.network)
        ]

    def _place(self, projection: Projection) -> _Place:
        layout, mapping = layout_of(self.module.to_trained(1), projection), self.noise.mapping
        device = self.module.array(f"{projection.name}.weight").device
        group, count = groups(layout, mapping)
        tile_row, tile_column = layout.tile(mapping)
        down, across = layout.tile_grid(mapping)

        def flat(values: np.ndarray) -> Tensor:  # type: ignore[type-arg]
            return torch.from_numpy(np.ascontiguousarray(values, np.int64)).reshape(-1).to(device)

        tile, beside = tile_row * across + tile_column, tile_column * layout.rows + layout.row
        return _Place(
            projection,
            flat(group),
            count,
            flat(tile),
            down * across,
            flat(beside),
            across * layout.rows,
        )

    def draw(self, *position: int) -> None:
        """Give the module the weights of a new chip, of all its projections at one time, until
        `clear` or the next draw.
        """
        word = int(np.random.SeedSequence([self.seed, *position]).generate_state(1, np.uint64)[0])
        generator = torch.Generator().manual_seed(word >> 1)
        time = int(torch.randint(len(self.noise.times_seconds), (), generator=generator))
        with torch.no_grad():
            for place in self.places:
                self.module.perturbation[place.projection.name] = self._perturbation(
                    place, time, generator
                )

    def clear(self) -> None:
        """Give the module its clean weights back."""
        self.module.perturbation.clear()

    def _perturbation(self, place: _Place, time: int, generator: torch.Generator) -> Tensor:
        """What is added to the clean weights; noise is that of the weights with folded batch
        normalisation, which are the ones that are programmed.
        """
        clean = self.module.clean_weight(place.projection).detach()
        factor = self.module.fold_factor(place.projection) if place.projection.batch_norm else None
        weight = (clean if factor is None else clean * factor).reshape(-1)
        limits = weight.new_zeros(place.groups).scatter_reduce(0, place.group, weight.abs(), "amax")
        limit = limits.index_select(0, place.group)
        relative = (weight / limit.clamp_min(torch.finfo(weight.dtype).tiny)).clamp(-1, 1)
        place_in_table = (relative * (BINS // 2)).round().int() + BINS // 2

        def table(values: Tensor) -> Tensor:
            return values.index_select(0, place_in_table)

        def normal(count: int) -> Tensor:
            return torch.randn(count, generator=generator, dtype=weight.dtype).to(weight.device)

        delta = limit * torch.addcmul(
            table(self.shift[time]), table(self.deviation[time]), normal(len(weight))
        )
        if self.shared is not None:
            mean, deviation = self.shared[time]
            delta = delta + limit * (mean + deviation * normal(place.references)).index_select(
                0, place.beside
            )
        if self.noise.compensate:
            before, now = (
                weight.new_zeros(place.tiles).scatter_add(
                    0, place.tile, limit * table(self.size[k])
                )
                for k in (0, 1 + time)
            )
            gain = torch.where(now > 0, before / now, 1.0).index_select(0, place.tile)
            delta = (weight + delta) * gain - weight
        if factor is not None:
            folded = factor.expand_as(clean).reshape(-1)
            delta = torch.where(folded != 0, delta / folded, 0.0)
        return delta.reshape(clean.shape)
