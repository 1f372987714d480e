"""Random shifts and rotations of images."""

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample


def shift_and_rotate(
    images: Tensor, size: tuple[int, int], shift: float, rotation: float, generator: torch.Generator
) -> Tensor:
    """Images [sample, height * width], each moved by up to `shift` pixels in both directions and turned by up to `rotation` degrees.

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
