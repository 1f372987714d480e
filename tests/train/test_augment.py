# SPDX-License-Identifier: Apache-2.0
"""Shifts and rotations of images."""

import numpy as np
import torch

from neurohw.train.augment import shift_and_rotate, vary_spikes


def test_nothing_asked_changes_nothing() -> None:
    images = torch.rand(5, 6 * 9, generator=torch.Generator().manual_seed(0))
    moved = shift_and_rotate(images, (6, 9), 0.0, 0.0, torch.Generator().manual_seed(1))
    torch.testing.assert_close(moved, images, atol=1e-5, rtol=0)


def test_shifts_stay_within_their_limit_and_rotations_around_the_centre() -> None:
    image = torch.zeros(200, 15, 15)
    image[:, 7, 7] = 1.0
    rows, columns = torch.meshgrid(torch.arange(15.0), torch.arange(15.0), indexing="ij")

    def centres(shift: float, rotation: float) -> torch.Tensor:
        moved = shift_and_rotate(
            image.flatten(1), (15, 15), shift, rotation, torch.Generator().manual_seed(2)
        )
        moved = moved.view(-1, 15, 15)
        total = moved.sum((1, 2))
        return torch.stack(
            [(moved * rows).sum((1, 2)) / total, (moved * columns).sum((1, 2)) / total]
        )

    shifted = centres(2.0, 0.0) - 7
    assert shifted.abs().max() <= 2.01 and shifted.max() > 1.5 and shifted.min() < -1.5
    assert (centres(0.0, 30.0) - 7).abs().max() < 1e-3


def test_a_rotation_keeps_distances_in_images_that_are_not_square() -> None:
    image = torch.zeros(100, 11, 21)
    image[:, 5, 14] = 1.0  # 4 pixels right of the centre
    moved = shift_and_rotate(
        image.flatten(1), (11, 21), 0.0, 45.0, torch.Generator().manual_seed(3)
    ).view(-1, 11, 21)
    rows, columns = torch.meshgrid(torch.arange(11.0) - 5, torch.arange(21.0) - 10, indexing="ij")
    total = moved.sum((1, 2))
    row, column = (moved * rows).sum((1, 2)) / total, (moved * columns).sum((1, 2)) / total
    distance = torch.hypot(row, column)
    assert (distance - 4).abs().max() < 0.35
    assert row.abs().max() > 1.5


def test_spikes_move_as_a_whole_and_are_lost_at_the_border() -> None:
    counts = np.zeros((9, 200, 7), np.uint8)
    counts[4, :, 3] = 2
    moved = vary_spikes(counts, 2, 1, 0.0, torch.Generator().manual_seed(0))
    assert np.array_equal(moved.sum((0, 2)), np.full(200, 2))
    times, _, channels = np.nonzero(moved)
    assert set(times) == {2, 3, 4, 5, 6} and set(channels) == {2, 3, 4}
    lost = vary_spikes(np.ones((9, 200, 7), np.uint8), 0, 0, 0.5, torch.Generator().manual_seed(0))
    share = 1 - lost.mean((0, 2))
    assert share.max() < 0.75 and 0.15 < share.mean() < 0.35 and share.min() < 0.1
    edge = np.zeros((3, 50, 3), np.uint8)
    edge[0, :, 0] = 1
    shifted = vary_spikes(edge, 1, 1, 0.0, torch.Generator().manual_seed(1))
    assert 0 < shifted.sum() < 50
    assert vary_spikes(edge, 0, 0, 0.0, torch.Generator()) is edge
