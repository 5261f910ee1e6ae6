"""How training images are varied: what is drawn for an epoch, and how a batch is made with it.

An augmentation has `draw(count, side, generator)`, CPU tensors with a row for each of `count`
images, drawn at once for an epoch and therefore a few numbers an image; and `batch(images, rows,
*drawn)`, the images `rows` of the whole uint8 array (M, H, W, 3) with their rows of what was drawn,
as (B, H', W', 3).
"""

from __future__ import annotations

from functools import cache
from typing import Protocol

import torch
from torch import Tensor

from .photographs import Photographs


class Augmentation(Protocol):
    """What `TrainingBatches` asks of an augmentation."""

    def draw(self, count: int, side: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """What is drawn for `count` images of `side` pixels."""
        ...

    def batch(self, images: Tensor, rows: Tensor, *drawn: Tensor) -> Tensor:
        """The images as they are trained on, uint8 or float32 in grey levels from 0 to 255."""
        ...


class Unchanged:
    """The images as they are."""

    def draw(self, count: int, side: int, generator: torch.Generator) -> tuple[Tensor, ...]:  # noqa: ARG002
        return ()

    def batch(self, images: Tensor, rows: Tensor, *drawn: Tensor) -> Tensor:  # noqa: ARG002
        return images.index_select(0, rows)


class Shift:
    """Mirrored with probability 1/2 and shifted by up to an eighth of the side, reflected at the
    edges. A batch is one gather of pixels: which rows and which columns are looked up."""

    def draw(self, count: int, side: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Which lines of `places` are the rows and the columns of each image, int64 (count,)
        twice. A line itself has a number for each pixel of the side, which over an epoch of a
        million images would be half a gigabyte."""
        reach = side // 8
        mirrored = torch.rand(count, generator=generator) < 0.5
        shifts = torch.randint(-reach, reach + 1, (2, count), generator=generator) + reach
        return shifts[0], shifts[1] + mirrored * (2 * reach + 1)

    def batch(self, images: Tensor, rows: Tensor, *drawn: Tensor) -> Tensor:
        lines = places(images.shape[1], images.device)
        down, across = (lines[each] for each in drawn)
        side = images.shape[1]
        down = rows[:, None] * side + down
        pixels = down[:, :, None] * side + across[:, None, :]
        return images.flatten(0, 2).index_select(0, pixels.flatten()).view(*pixels.shape, 3)


@cache
def places(side: int, device: torch.device) -> Tensor:
    """Where each pixel of a line is taken from, int64 (2 (2 reach + 1), side) with a reach of an
    eighth of the side: a line a shift from -reach to reach, then the same mirrored. It is kept: a
    CUDA graph goes on reading it."""
    reach = side // 8
    shifts = torch.arange(-reach, reach + 1).unsqueeze(1)
    shifted = reflected(torch.arange(side) + shifts, side)
    return torch.cat([shifted, shifted.flip(1)]).to(device)


def reflected(positions: Tensor, side: int) -> Tensor:
    """Positions outside [0, side) mirrored back inside at the edges, without repeating them."""
    return (side - 1) - (side - 1 - positions.abs()).abs()


AUGMENTATIONS: dict[str, Augmentation] = {
    "none": Unchanged(),
    "shift": Shift(),
    "photographs": Photographs(),
}
"""The augmentations by their names."""
