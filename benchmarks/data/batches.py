"""From the cache to the model: whole batches as tensors, augmented as tensors.

A training batch is one gather: which image, which rows and which columns are index arithmetic, so
the flip and the shifted crop cost no pass of their own. What is drawn depends on the seed and on
nothing else, so the runs of a seed see the same pixels in the same order.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from . import ImageSet, Split

MEASURED = 10_000
"""Images that the mean and the spread of the pixels are measured on, evenly spaced."""


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of each channel, in grey levels from 0 to 255, shape (3,)."""

    mean: Tensor
    spread: Tensor

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 (N, H, W, 3) to float32 (N, 3, H, W) in channels_last, mean 0 and spread 1."""
        return ((images.float() - self.mean) / self.spread).permute(0, 3, 1, 2)


def measure(split: Split, device: torch.device) -> Normalisation:
    """The normalisation that a training split asks for."""
    every = max(1, len(split.images) // MEASURED)
    pixels = np.asarray(split.images[::every]).reshape(-1, 3)
    # Pixels are 256 grey levels: counted, they are summed exactly and soon.
    counts = np.stack([np.bincount(channel, minlength=256) for channel in pixels.T])
    levels = np.arange(256)
    mean = counts @ levels / len(pixels)
    spread = np.sqrt((counts * (levels - mean[:, None]) ** 2).sum(1) / len(pixels))
    # A channel that never changes has no spread to divide by.
    spread = spread.clip(min=1.0)
    return Normalisation(
        *(torch.tensor(x, dtype=torch.float32, device=device) for x in (mean, spread))
    )


class Pixels(NamedTuple):
    """A split as tensors: images (N, H, W, 3) as uint8 and labels (N,) as int64."""

    images: Tensor
    labels: Tensor


def on_device(split: Split, device: torch.device) -> Pixels:
    """The split's tensors. On the CPU the images stay where the cache has them; to CUDA they are
    copied whole."""
    with warnings.catch_warnings():
        # The cache is read-only and nothing here writes to it.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        images = torch.from_numpy(split.images)
    labels = torch.from_numpy(split.labels.astype(np.int64))
    return Pixels(images.to(device), labels.to(device))


@dataclass(frozen=True)
class Material:
    """What every run of a comparison is trained and tested on, ready on its device."""

    train: Pixels
    test: Pixels
    normalise: Normalisation


def prepare(images: ImageSet, device: torch.device) -> Material:
    """An image set on the device that it is trained on, with the training split's normalisation."""
    train, test = on_device(images.train, device), on_device(images.test, device)
    return Material(train, test, measure(images.train, device))


class TrainingBatches:
    """The augmented batches of a seed: in every epoch each image once, in a new order, mirrored
    with probability 1/2 and shifted by up to an eighth of its side, reflected at the edges.

    A last batch that is not full is left out, unless it is the only one. Iterating again gives the
    same batches again.
    """

    def __init__(
        self, split: Pixels, normalise: Normalisation, *, size: int, epochs: int, seed: int
    ) -> None:
        self.images, self.labels = split
        self.normalise = normalise
        self.size = min(size, len(self.labels))
        self.per_epoch = len(self.labels) // self.size
        self.epochs = epochs
        self.seed = seed

    def __len__(self) -> int:
        return self.per_epoch * self.epochs

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        # Drawn on the CPU, so that every device sees the same.
        generator = torch.Generator().manual_seed(self.seed)
        count, side = len(self.labels), self.images.shape[1]
        reach = side // 8
        for _ in range(self.epochs):
            order = torch.randperm(count, generator=generator)
            mirrored = torch.rand(count, generator=generator) < 0.5
            shifts = torch.randint(-reach, reach + 1, (2, count), generator=generator)
            rows = reflected(torch.arange(side) + shifts[0].unsqueeze(1), side)
            columns = reflected(torch.arange(side) + shifts[1].unsqueeze(1), side)
            columns = torch.where(mirrored.unsqueeze(1), columns.flip(1), columns)
            device = self.images.device
            order, rows, columns = order.to(device), rows.to(device), columns.to(device)
            for step in range(self.per_epoch):
                part = slice(step * self.size, (step + 1) * self.size)
                yield self._batch(order[part], rows[part], columns[part])

    def _batch(self, which: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        pixels = self.images[which[:, None, None], rows[:, :, None], columns[:, None, :]]
        return self.normalise(pixels), self.labels[which]


def reflected(positions: Tensor, side: int) -> Tensor:
    """Positions outside [0, side) mirrored back inside at the edges, without repeating them."""
    return (side - 1) - (side - 1 - positions.abs()).abs()


def evaluation_batches(
    split: Pixels, normalise: Normalisation, size: int = 250
) -> Iterator[tuple[Tensor, Tensor]]:
    """The images of a split as they are, in order, the last batch as small as it comes."""
    images, labels = split
    for at in range(0, len(labels), size):
        yield normalise(images[at : at + size]), labels[at : at + size]
