# SPDX-License-Identifier: Apache-2.0
"""The devices of one projection: programmed once, then read as weights at any time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurohw.memristor.devices import Device, Kept
from neurohw.memristor.faults import NONE, Faults, apply_faults
from neurohw.memristor.mapping import CrossbarMapping, Layout, Mapped, map_weights
from neurohw.memristor.wires import Wires

Array = NDArray[Any]
READS = 4  # without noise, that a crossbar remembers


@dataclass(frozen=True)
class Cells:
    """Devices of one shape with their targets (microsiemens), what they keep, and their faults
    (None where there can be none).
    """

    target: Array
    kept: Kept
    faults: NDArray[np.uint8] | None = None


def program_cells(device: Device, target: Array, faults: Faults, rng: np.random.Generator) -> Cells:
    """Program devices to their targets; all that is random about them is drawn here."""
    kept = device.program(target, rng)
    return Cells(target, kept, faults.draw(target.shape, rng) if faults.any else None)


@dataclass(frozen=True)
class Crossbar:
    """One projection on devices.

    cells: [1 or 2, *weight].
    reference: the devices of offset columns [tile column, row], else None. What is not drawn anew
        (weights without read noise, moments of reads) is remembered for the last few times: samples
        come in chunks, and exact wires take seconds.
    """

    device: Device
    mapping: CrossbarMapping
    layout: Layout
    mapped: Mapped
    cells: Cells
    reference: Cells | None = None
    wires: Wires | None = None
    _reads: dict[tuple[str, float], Any] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def _remembered(self, what: str, time_seconds: float, read: Callable[[], Any]) -> Any:
        key = (what, float(time_seconds))
        found = self._reads.get(key)
        if found is None:
            found = read()
            while len(self._reads) >= READS:
                self._reads.pop(next(iter(self._reads)))
            self._reads[key] = found
        return found

    def conductances(
        self, time_seconds: float, rng: np.random.Generator | None = None
    ) -> tuple[Array, Array | None]:
        """Conductances of cells and reference at a time, microsiemens; one read of each with a
        generator, else without read noise. Wires are not in them.
        """
        if rng is None:
            return self._of_all(lambda kept: self.device.conductance(kept, time_seconds))
        return self._of_all(lambda kept: self.device.read(kept, time_seconds, rng))

    def weights(self, time_seconds: float, rng: np.random.Generator | None = None) -> Array:
        """The weights as read back at a time, of the shape of the projection's weight; see
        `conductances`. Without any noise exactly those that were mapped.
        """
        if rng is not None:
            return self._to_weights(*self._wired(*self.conductances(time_seconds, rng)))
        still: Array = self._remembered(
            "weights",
            time_seconds,
            lambda: self._to_weights(*self._wired(*self.conductances(time_seconds))),
        )
        return still.copy()

    def read_moments(self, time_seconds: float) -> tuple[Array, Array | None, Array | None]:
        """Mean of the weights over reads, the variance of each by its own devices, and the variance
        by the device of the offset column in its row.

        None where reads have no noise. The arrays are shared: do not write to them.
        """
        moments: tuple[Array, Array | None, Array | None] = self._remembered(
            "moments", time_seconds, lambda: self._read_moments(time_seconds)
        )
        return moments

    def _read_moments(self, time_seconds: float) -> tuple[Array, Array | None, Array | None]:
        variances: list[Array | None] = []

        def mean_of(cells: Cells) -> Array:
            mean, variance = self.device.read_moments(cells.kept, time_seconds)
            if variance is not None and cells.faults is not None:
                variance = np.where(cells.faults == NONE, variance, 0)
            variances.append(variance)
            return self._faulty(mean, cells)

        cells = mean_of(self.cells)
        reference = None if self.reference is None else mean_of(self.reference)
        weights = self._to_weights(*self._wired(cells, reference))
        own = None if variances[0] is None else variances[0].sum(axis=0) * self.mapped.step**2
        shared = None
        if reference is not None and variances[1] is not None:
            shared = variances[1][self._beside()] * self.mapped.step**2
        return weights, own, shared

    def _of_all(self, conductance: Callable[[Kept], Array]) -> tuple[Array, Array | None]:
        cells = self._faulty(conductance(self.cells.kept), self.cells)
        reference = self.reference
        return cells, None if reference is None else self._faulty(
            conductance(reference.kept), reference
        )

    def _faulty(self, conductance: Array, cells: Cells) -> Array:
        if cells.faults is None:
            return conductance
        return apply_faults(
            conductance,
            cells.faults,
            self.device.g_min_microsiemens,
            self.device.g_max_microsiemens,
        )

    def _beside(self) -> tuple[Array, Array]:
        """Index into [tile column, row] of the offset column's device beside every weight."""
        return self.layout.tile(self.mapping)[1], self.layout.row

    def _to_weights(self, cells: Array, reference: Array | None) -> Array:
        mapped = self.mapped
        at_target = np.all(cells == self.cells.target, axis=0)
        if reference is not None:
            assert self.reference is not None
            difference = cells[0] - reference[self._beside()]
            at_target &= (reference == self.reference.target)[self._beside()]
        elif len(cells) == 2:
            difference = cells[0] - cells[1]
        else:
            difference = mapped.sign * (cells[0] - self.device.g_min_microsiemens)
        # devices without any error give back the very weight, not its rounded image
        return np.where(at_target, mapped.weight, difference * mapped.step)

    def _wired(self, cells: Array, reference: Array | None) -> tuple[Array, Array | None]:
        """Effective conductances: the devices of a pair are two tiles, an offset column is the last
        of its tile.
        """
        if self.wires is None or self.wires.segment_ohm == 0:
            return cells, reference
        effective, reference_effective = (
            np.array(cells),
            None if reference is None else np.array(reference),
        )
        tile_row, tile_column = self.layout.tile(self.mapping)
        beside = self.layout.tile_grid(self.mapping)[1]
        tiles = tile_row * beside + tile_column
        for tile in np.unique(tiles):
            here = tiles == tile
            row, column = (
                self.layout.row[here] % self.mapping.tile_rows,
                self.layout.column[here] % self.mapping.tile_columns,
            )
            first = int(tile // beside) * self.mapping.tile_rows
            rows = min(self.mapping.tile_rows, self.layout.rows - first)
            columns = int(column.max()) + 1
            for before, after in zip(cells, effective, strict=True):
                dense = np.zeros((rows, columns + (reference is not None)))
                dense[row, column] = before[here]
                if reference is not None and reference_effective is not None:
                    dense[:, -1] = reference[tile % beside, first : first + rows]
                result = self.wires.effective(dense)
                after[here] = result[row, column]
                if reference_effective is not None:
                    reference_effective[tile % beside, first : first + rows] = result[:, -1]
        return effective, reference_effective


def program_crossbar(
    weight: Array,
    layout: Layout,
    device: Device,
    rng: np.random.Generator,
    mapping: CrossbarMapping | None = None,
    faults: Faults | None = None,
    wires: Wires | None = None,
) -> Crossbar:
    """Map weights (float32 or float64, kept) and program their devices.

    Raises InvalidModel as `map_weights`.
    """
    mapping, faults = mapping or CrossbarMapping(), faults or Faults()
    mapped = map_weights(
        weight, layout, mapping, device.g_min_microsiemens, device.g_max_microsiemens
    )
    cells = program_cells(device, mapped.target, faults, rng)
    reference = None
    if mapped.reference is not None:
        target = np.full(
            (layout.tile_grid(mapping)[1], layout.rows), mapped.reference, weight.dtype
        )
        reference = program_cells(device, target, faults, rng)
    return Crossbar(device, mapping, layout, mapped, cells, reference, wires)


def sample_weights(
    weight: Array,
    layout: Layout,
    device: Device,
    rng: np.random.Generator,
    mapping: CrossbarMapping | None = None,
    faults: Faults | None = None,
    time_seconds: float = 0.0,
) -> Array:
    """The weights as a new chip gives them back at a time, with one read: what a training step
    perturbs its weights with. float32 weights stay float32.
    """
    return program_crossbar(weight, layout, device, rng, mapping, faults).weights(time_seconds, rng)
