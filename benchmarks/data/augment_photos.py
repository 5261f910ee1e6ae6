"""Augmentation of photographs: random resized crop, horizontal flip and color jitter."""

from __future__ import annotations

import math

import torch
from torch import Tensor

AREA = 0.35, 1.0
"""Range of the crop's area, as a fraction of the image's area."""
RATIO = 4 / 3
"""Maximum aspect ratio of the crop; the minimum is its inverse."""
JITTER = 0.2
"""Maximum change of brightness, contrast and saturation: factors from 1 - JITTER to 1 + JITTER."""
SHRINK = 0.8
"""Side of the training images as a fraction of the side of the images."""
SIDE_MULTIPLE = 8
"""Divisor of the side of the training images, so that feature maps halve evenly."""
LUMA = 0.299, 0.587, 0.114
"""Weights of red, green and blue in luminance (ITU-R BT.601)."""


class PhotographAugmentation:
    """Random resized crop, horizontal flip with probability 1/2, and color jitter.

    The crop is that of Szegedy et al. (2015), with at least 0.35 of the area, because a smaller
    crop often shows neither cat nor dog. Cropping and resizing make objects look about 1.25 times
    larger than in a whole image. Training images are therefore smaller than evaluation images by
    that factor (Touvron et al. 2019): 80 px for 100, 128 for 160. This also makes them cheap. Color
    jitter follows Krizhevsky et al. (2012).
    """

    def draw(self, count: int, side: int, generator: torch.Generator) -> tuple[Tensor, ...]:  # noqa: ARG002
        """Draw the random numbers for `count` images of any size.

        Returns:
            Top, left, height and width of the crop as fractions of the side, (count, 4); whether to
            flip, bool (count,); factors of brightness, contrast and saturation, (count, 3).
        """
        area, shape, top, left = torch.rand(4, count, generator=generator)
        area = AREA[0] + area * (AREA[1] - AREA[0])
        shape = ((2 * shape - 1) * math.log(RATIO)).exp()
        # A crop longer than the image is clipped and becomes a little smaller than drawn.
        height, width = (area * shape).sqrt().clamp(max=1), (area / shape).sqrt().clamp(max=1)
        crop = torch.stack([top * (1 - height), left * (1 - width), height, width], 1)
        flipped = torch.rand(count, generator=generator) < 0.5
        factors = 1 + JITTER * (2 * torch.rand(count, 3, generator=generator) - 1)
        return crop, flipped, factors

    def batch(self, images: Tensor, rows: Tensor, *drawn: Tensor) -> Tensor:
        """Return the augmented images at `rows`, float32 (B, S, S, 3), gray levels from 0 to 255.

        S is the multiple of 8 nearest to 0.8 of the images' side.
        """
        crop, flipped, factors = drawn
        side = images.shape[1]
        out = crop_size(side)
        top, left, height, width = crop.T
        down = resize_matrices(top, height, side, out)
        across = resize_matrices(left, width, side, out, flip=flipped)
        # Rows of all colors at once, then columns with one plane per color: both are products of
        # large matrices, and the permutation between them is of the smaller image.
        pixels = images.index_select(0, rows).float().flatten(2)
        planes = torch.bmm(down, pixels).view(-1, out, side, 3).permute(0, 3, 1, 2)
        planes = torch.bmm(planes.reshape(-1, 3 * out, side), across.transpose(1, 2))
        return jitter_color(planes.view(-1, 3, out * out), factors).view(-1, out, out, 3)


def crop_size(side: int) -> int:
    """Return the side of the training images for images of `side` pixels."""
    return max(SIDE_MULTIPLE, SIDE_MULTIPLE * round(SHRINK * side / SIDE_MULTIPLE))


def resize_matrices(
    start: Tensor, length: Tensor, side: int, out: int, flip: Tensor | None = None
) -> Tensor:
    """Return the matrices that crop and resize lines of pixels: (B, out, side), rows sum to 1.

    Output pixel i is a weighted mean of the pixels around start + (i + 1/2) length / out. The
    weights are a triangle that reaches one pixel to each side, or one output pixel if that is
    larger: linear interpolation with antialiasing, like PIL's BILINEAR.

    Args:
        start, length: start and length of the crop as fractions of the line, (B,).
        side, out: pixels before and after.
        flip: flip the output, bool (B,).
    """
    spacing = length * (side / out)
    positions = torch.arange(out, device=start.device) + 0.5
    if flip is not None:
        positions = torch.where(flip[:, None], out - positions, positions)
    centers = (start * side)[:, None] + positions * spacing[:, None]
    pixels = torch.arange(side, device=start.device) + 0.5
    # In place, because the matrices have more numbers than the images.
    weights = (pixels - centers[:, :, None]).abs_()
    weights.mul_(-1 / spacing.clamp(min=1)[:, None, None]).add_(1).clamp_(min=0)
    return weights.div_(weights.sum(2, keepdim=True))


def jitter_color(planes: Tensor, factors: Tensor) -> Tensor:
    """Multiply brightness, contrast and saturation of images by factors.

    Saturation s blends with the gray of each pixel, s x + (1 - s) gray. Contrast c blends with the
    mean gray of the image, c x + (1 - c) mean. Brightness b scales, b x. All three together are one
    matrix of the pixel's colors, b c s + b c (1 - s) luma, plus a constant, b (1 - c) mean.

    Args:
        planes: images (B, 3, P), one plane of P pixels per color.
        factors: factors of brightness, contrast and saturation, (B, 3).

    Returns:
        (B, P, 3), clamped to 0 and 255.
    """
    brightness, contrast, saturation = factors.T[:, :, None, None]
    red, green, blue = planes.mean(2)[:, :, None, None].unbind(1)
    mean = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    gray = brightness * contrast * (1 - saturation)
    to_gray = torch.cat([weight * gray for weight in LUMA], 1)
    to_color = brightness * contrast * saturation * torch.eye(3, device=planes.device)
    jittered = torch.bmm(planes.transpose(1, 2), to_gray + to_color)
    return jittered.add_(brightness * (1 - contrast) * mean).clamp_(0, 255)
