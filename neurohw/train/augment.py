# SPDX-License-Identifier: Apache-2.0
"""Random changes of training samples: shifts and rotations of images, shifts and losses of
spikes.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample


def shift_and_rotate(
    images: Tensor, size: tuple[int, int], shift: float, rotation: float, generator: torch.Generator
) -> Tensor:
    """Images [sample, height * width], each moved by up to `shift` pixels in both directions and
    turned by up to `rotation` degrees.

    Bilinear, zero outside the image; values stay in 0..1.
    """
    height, width = size
    count = len(images)
    drawn = torch.rand((3, count), generator=generator) * 2 - 1
    angle = drawn[0] * math.radians(rotation)
    cosine, sine = torch.cos(angle), torch.sin(angle)
    matrix = torch.zeros(count, 2, 3)
    matrix[:, 0, 0], matrix[:, 0, 1] = cosine, -sine * height / width
    matrix[:, 1, 0], matrix[:, 1, 1] = sine * width / height, cosine
    matrix[:, 0, 2], matrix[:, 1, 2] = drawn[1] * shift * 2 / width, drawn[2] * shift * 2 / height
    grid = affine_grid(matrix, [count, 1, height, width], align_corners=False)
    moved = grid_sample(images.view(count, 1, height, width), grid, align_corners=False)
    return moved.view(count, -1).clamp(0, 1)


def vary_spikes(
    counts: NDArray[np.uint8],
    time_shift: int,
    channel_shift: int,
    drop: float,
    generator: torch.Generator,
) -> NDArray[np.uint8]:
    """Counts [time, sample, neuron], each sample moved by up to `time_shift` steps and
    `channel_shift` neurons, and a random part lost.

    What moves over the border is lost.
    drop: every sample loses its spikes with a probability of its own, up to this one.
    """
    if not (time_shift or channel_shift or drop):
        return counts
    steps, samples, channels = counts.shape
    drawn = torch.rand((2, samples), generator=generator).numpy()
    late = np.floor(drawn[0] * (2 * time_shift + 1)).astype(int) - time_shift
    up = np.floor(drawn[1] * (2 * channel_shift + 1)).astype(int) - channel_shift
    result = np.zeros_like(counts)
    for b, (t, c) in enumerate(zip(late, up, strict=True)):
        kept = counts[max(-t, 0) : steps - max(t, 0), b, max(-c, 0) : channels - max(c, 0)]
        result[max(t, 0) : steps - max(-t, 0), b, max(c, 0) : channels - max(-c, 0)] = kept
    if drop:
        probability = torch.rand((1, samples, 1), generator=generator).numpy() * drop
        lost = torch.rand(counts.shape, generator=generator).numpy() < probability
        result[lost] = 0
    return result
