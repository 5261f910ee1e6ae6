"""The augmentation of photographs: another cut, mirrored or not, in another light."""

from __future__ import annotations

import math

import torch
from torch import Tensor

AREA = 0.35, 1.0
"""The share of the image's area that is cut out."""
RATIO = 4 / 3
"""The cut's height over its width is from 1 / RATIO to RATIO."""
LIGHT = 0.2
"""Brightness, contrast and saturation are multiplied by up to 1 + LIGHT, and by no less than
1 - LIGHT."""
SHRINK = 0.8
"""The side that is trained at, as a share of the side of the images."""
STEP = 8
"""That side is a multiple of this, so that the maps of a network halve evenly."""
LUMA = 0.299, 0.587, 0.114
"""How bright red, green and blue are (ITU-R BT.601)."""


class Photographs:
    """A part of random place, area and shape, resized to a square; mirrored with probability 1/2;
    in another brightness, contrast and saturation.

    The random part is that of Szegedy et al. (2015), from 0.35 of the area on, because less often
    shows neither cat nor dog. Cutting out and enlarging makes things look about 1.25 times larger
    than they are in a whole image, so the training images are smaller than those evaluated on by
    that factor (Touvron et al. 2019): 80 px of 100, 128 of 160. That is also what makes
    them cheap. Light varies as in Krizhevsky et al. (2012) and after.
    """

    def draw(self, count: int, side: int, generator: torch.Generator) -> tuple[Tensor, ...]:  # noqa: ARG002
        """What is drawn for `count` images, whatever their size.

        Returns:
            The cut's top, left, height and width as shares of the side, (count, 4); whether it is
            mirrored, bool (count,); factors of brightness, contrast and saturation, (count, 3).
        """
        area, shape, top, left = torch.rand(4, count, generator=generator)
        area = AREA[0] + area * (AREA[1] - AREA[0])
        shape = ((2 * shape - 1) * math.log(RATIO)).exp()
        # A cut longer than the image ends with it and is a little smaller than was drawn.
        height, width = (area * shape).sqrt().clamp(max=1), (area / shape).sqrt().clamp(max=1)
        cut = torch.stack([top * (1 - height), left * (1 - width), height, width], 1)
        mirrored = torch.rand(count, generator=generator) < 0.5
        light = 1 + LIGHT * (2 * torch.rand(count, 3, generator=generator) - 1)
        return cut, mirrored, light

    def batch(self, images: Tensor, rows: Tensor, *drawn: Tensor) -> Tensor:
        """The cuts of the images `rows`, float32 (B, S, S, 3) in grey levels from 0 to 255, S the
        multiple of 8 that is nearest to 0.8 of the images' side."""
        cut, mirrored, light = drawn
        side = images.shape[1]
        out = crop_size(side)
        top, left, height, width = cut.T
        down = resizing(top, height, side, out)
        across = resizing(left, width, side, out, backwards=mirrored)
        # The rows of all colours at once, then the columns of a plane a colour: both resizings are
        # products of large matrices, and what is turned round between them is the smaller image.
        pixels = images.index_select(0, rows).float().flatten(2)
        planes = torch.bmm(down, pixels).view(-1, out, side, 3).permute(0, 3, 1, 2)
        planes = torch.bmm(planes.reshape(-1, 3 * out, side), across.transpose(1, 2))
        return relit(planes.view(-1, 3, out * out), light).view(-1, out, out, 3)


def crop_size(side: int) -> int:
    """The side that images of `side` pixels are trained at."""
    return max(STEP, STEP * round(SHRINK * side / STEP))


def resizing(
    start: Tensor, length: Tensor, side: int, out: int, backwards: Tensor | None = None
) -> Tensor:
    """What resizes a line of pixels as a matrix: (B, out, side), each row a mean's weights.

    Output pixel i is the mean of the pixels around start + (i + 1/2) length / out, weighted by a
    triangle that reaches one pixel to each side, or one output pixel if that is larger: linear
    interpolation, with antialiasing where it shrinks (as PIL's BILINEAR).

    Args:
        start, length: of the part that is resized, (B,), as shares of the line.
        side, out: pixels before and after.
        backwards: whether the last output pixel comes first, bool (B,).
    """
    spacing = length * (side / out)
    places = torch.arange(out, device=start.device) + 0.5
    if backwards is not None:
        places = torch.where(backwards[:, None], out - places, places)
    centres = (start * side)[:, None] + places * spacing[:, None]
    pixels = torch.arange(side, device=start.device) + 0.5
    # In one piece of memory, because these are more numbers than pixels come of them.
    weights = (pixels - centres[:, :, None]).abs_()
    weights.mul_(-1 / spacing.clamp(min=1)[:, None, None]).add_(1).clamp_(min=0)
    return weights.div_(weights.sum(2, keepdim=True))


def relit(planes: Tensor, light: Tensor) -> Tensor:
    """Images (B, 3, P), a plane of P pixels a colour, with their brightness, contrast and
    saturation multiplied by the factors (B, 3) of `light`, cut off at 0 and 255; pixel by pixel,
    (B, P, 3).

    Saturation s moves x from the grey of its pixel, sx + (1 - s) grey; contrast c from the mean
    grey of the image, cx + (1 - c) mean; brightness b from black, bx. All three together are
    one matrix of the pixel's colours, bcs + bc (1 - s) luma, and a number, b (1 - c) mean.
    """
    brightness, contrast, saturation = light.T[:, :, None, None]
    red, green, blue = planes.mean(2)[:, :, None, None].unbind(1)
    mean = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    grey = brightness * contrast * (1 - saturation)
    colourless = torch.cat([weight * grey for weight in LUMA], 1)
    colour = brightness * contrast * saturation * torch.eye(3, device=planes.device)
    relit = torch.bmm(planes.transpose(1, 2), colourless + colour)
    return relit.add_(brightness * (1 - contrast) * mean).clamp_(0, 255)
