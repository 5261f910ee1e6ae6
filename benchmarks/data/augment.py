"""Augmentations of training images: random numbers drawn per epoch, images made per batch.

An augmentation has two methods. `draw(count, side, generator)` returns CPU tensors with one row per
image; they are drawn once per epoch, so they hold few numbers per image. `batch(images, rows,
*drawn)` makes images (B, H', W', 3) from rows of a uint8 array (M, H, W, 3).
"""

from __future__ import annotations

from functools import cache
from typing import Protocol

import torch
from torch import Tensor

from .augment_photos import PhotographAugmentation


class Augmentation(Protocol):
    """Interface of an augmentation."""

    def draw(self, count: int, side: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Draw the random numbers for `count` images of `side` pixels."""
        ...

    def batch(self, images: Tensor, rows: Tensor, *drawn: Tensor) -> Tensor:
        """Return the augmented images, uint8 or float32, with gray levels from 0 to 255."""
        ...


class NoAugmentation:
    """No augmentation."""

    def draw(self, count: int, side: int, generator: torch.Generator) -> tuple[Tensor, ...]:  # noqa: ARG002
        """Draw nothing."""
        return ()

    def batch(self, images: Tensor, rows: Tensor, *drawn: Tensor) -> Tensor:  # noqa: ARG002
        """Return the images at `rows`."""
        return images.index_select(0, rows)


class Shift:
    """Random horizontal flip with probability 1/2, and shift by up to an eighth of the side.

    Pixels outside the image are reflected at the edges. A batch is one gather with an index for
    each row and column.
    """

    def draw(self, count: int, side: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Draw a line of `shift_table` for the rows and one for the columns, two int64 (count,).

        Drawing the lines themselves, one number per pixel, would take half a gigabyte per epoch of
        a million images.
        """
        reach = side // 8
        mirrored = torch.rand(count, generator=generator) < 0.5
        shifts = torch.randint(-reach, reach + 1, (2, count), generator=generator) + reach
        return shifts[0], shifts[1] + mirrored * (2 * reach + 1)

    def batch(self, images: Tensor, rows: Tensor, *drawn: Tensor) -> Tensor:
        """Return the images at `rows`, flipped and shifted."""
        lines = shift_table(images.shape[1], images.device)
        down, across = (lines[each] for each in drawn)
        side = images.shape[1]
        down = rows[:, None] * side + down
        pixels = down[:, :, None] * side + across[:, None, :]
        return images.flatten(0, 2).index_select(0, pixels.flatten()).view(*pixels.shape, 3)


@cache
def shift_table(side: int, device: torch.device) -> Tensor:
    """Return the source index of each pixel of a line for every shift and flip.

    Args:
        side: pixels per line.
        device: device of the result.

    Returns:
        int64 (2 (2 reach + 1), side), where reach is an eighth of the side: one line per shift from
        -reach to reach, then the same lines flipped. The tensor is cached, because a CUDA graph
        keeps reading it.
    """
    reach = side // 8
    shifts = torch.arange(-reach, reach + 1).unsqueeze(1)
    shifted = reflect(torch.arange(side) + shifts, side)
    return torch.cat([shifted, shifted.flip(1)]).to(device)


def reflect(positions: Tensor, side: int) -> Tensor:
    """Reflect positions outside [0, side) at the edges, without repeating the edge."""
    return (side - 1) - (side - 1 - positions.abs()).abs()


AUGMENTATIONS: dict[str, Augmentation] = {
    "none": NoAugmentation(),
    "shift": Shift(),
    "photographs": PhotographAugmentation(),
}
"""Augmentations by name."""
