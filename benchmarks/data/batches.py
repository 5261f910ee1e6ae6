"""Batches on the device, from the cached arrays.

A batch is gathered from the array of all images, so no image is copied before its batch is made.
All random numbers depend on the seed alone: the runs of a seed see the same pixels in the same
order.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lossbench.benchmarks.errors import unknown_name

from . import ImageSet, Split
from .augment import AUGMENTATIONS
from .memory import advise_random_access
from .split import select

NORMALISATION_IMAGES = 10_000
"""Maximum number of images, evenly spaced, that mean and standard deviation are computed from."""


@dataclass(frozen=True)
class Normalisation:
    """Normalisation with the mean and standard deviation of each channel, gray levels, shape
    (3,)."""

    mean: Tensor
    spread: Tensor

    def __call__(self, images: Tensor) -> Tensor:
        """Normalise uint8 or float32 (N, H, W, 3) to float32 (N, 3, H, W) in channels_last."""
        # A row an image, because what is broadcast over three numbers at a time is not vectorised.
        pixels = images.shape[1] * images.shape[2]
        rows = images.flatten(1).float() - self.mean.repeat(pixels)
        return rows.div_(self.spread.repeat(pixels)).view(images.shape).permute(0, 3, 1, 2)


class DeviceSplit(NamedTuple):
    """Images of an array as tensors. A subset shares the array.

    Attributes:
        images: uint8 (M, H, W, 3), the whole array.
        labels: int64 (N,), class indices.
        rows: int64 (N,), the row of `images` for each label.
    """

    images: Tensor
    labels: Tensor
    rows: Tensor


def to_device(split: Split, device: torch.device) -> DeviceSplit:
    """Move a split to a device. On the CPU the images stay memory-mapped; CUDA gets a copy."""
    with warnings.catch_warnings():
        # The cache is read-only and nothing here writes to it.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        # A GPU is given the array whole, from its beginning to its end.
        pixels = advise_random_access(split.images) if device.type == "cpu" else split.images
        images = torch.from_numpy(pixels)
    labels = torch.from_numpy(split.labels.astype(np.int64))
    return DeviceSplit(
        images.to(device), labels.to(device), torch.arange(len(labels), device=device)
    )


def measure_normalisation(pixels: DeviceSplit) -> Normalisation:
    """Compute the normalisation of training images, on their device."""
    rows = pixels.rows[:: max(1, len(pixels.rows) // NORMALISATION_IMAGES)]
    # Pixels are 256 grey levels: counted, they are summed exactly and soon. A few images at a
    # time, because counting makes eight bytes of each.
    counts = np.zeros((3, 256), np.int64)
    for part in torch.split(rows, 256):
        channels = pixels.images[part].reshape(-1, 3).T.cpu().numpy()
        counts += [np.bincount(channel, minlength=256) for channel in channels]
    levels, total = np.arange(256), counts[0].sum()
    mean = counts @ levels / total
    spread = np.sqrt((counts * (levels - mean[:, None]) ** 2).sum(1) / total)
    # A channel that never changes has no spread to divide by.
    spread = spread.clip(min=1.0)
    device = pixels.images.device
    return Normalisation(
        *(torch.tensor(x, dtype=torch.float32, device=device) for x in (mean, spread))
    )


class TestSplit:
    """The test images, which a run may use once.

    `once` is the only access to them, so that nothing can be chosen by test accuracy.
    """

    def __init__(self, pixels: DeviceSplit) -> None:
        self._pixels = pixels
        self._asked: set[str] = set()

    def __len__(self) -> int:
        return len(self._pixels.labels)

    @property
    def labels(self) -> Tensor:
        """Class indices of the test images, int64 (N,), in the order of the split."""
        return self._pixels.labels

    def once(self, who: str) -> DeviceSplit:
        """Return the test images for the run `who`. Raises RuntimeError at its second call."""
        if who in self._asked:
            raise RuntimeError(
                f"{who!r} has had the test images: a run is judged by them once, at its end; "
                "for anything before that there are validation images"
            )
        self._asked.add(who)
        return self._pixels


@dataclass(frozen=True)
class DeviceDataset:
    """The splits of a run, ready on its device.

    Attributes:
        train: training images with the labels to train on, which may be noisy.
        validation: held-out images with their true labels, or None.
        test: test images.
        normalise: normalisation computed from `train`.
        classes: class names by label.
        counts: training images per class, by true label.
    """

    train: DeviceSplit
    validation: DeviceSplit | None
    test: TestSplit
    normalise: Normalisation
    classes: tuple[str, ...]
    counts: tuple[int, ...]


def prepare(
    images: ImageSet,
    device: torch.device,
    *,
    validation: float = 0.1,
    train_images: int | None = None,
    label_noise: float = 0.0,
    imbalance: float = 1.0,
    seed: int = 0,
) -> DeviceDataset:
    """Select the images of a run and move them to its device.

    Args:
        images: the image set.
        device: the device to train on.
        validation: fraction of the training images of each class to hold out, in [0, 1). The
            selection is the same for every seed. An image set with its own validation split uses
            that split. 0: no validation images.
        train_images: upper bound of the number of training images, balanced over classes.
        label_noise: fraction of the training labels of each class to replace by another class,
            drawn uniformly, in [0, 1).
        imbalance: images of class 0 per image of class 1 in training. Images of class 1 are
            removed, after `train_images` are selected. 1: keep all.
        seed: seed of the selection and the label noise.

    Raises:
        UserError: a value is out of range, or a class has no image left.
    """
    chosen = select(
        images,
        validation=validation,
        train_images=train_images,
        label_noise=label_noise,
        imbalance=imbalance,
        seed=seed,
    )
    whole = to_device(images.train, device)
    rows = torch.from_numpy(chosen.rows).to(device)
    train = DeviceSplit(whole.images, torch.from_numpy(chosen.labels).to(device), rows)
    held_out = None
    if validation > 0 and images.validation is not None:
        held_out = to_device(images.validation, device)
    elif validation > 0:
        rows = torch.from_numpy(chosen.held_out).to(device)
        held_out = DeviceSplit(whole.images, whole.labels[rows], rows)
    return DeviceDataset(
        train=train,
        validation=held_out,
        test=TestSplit(to_device(images.test, device)),
        normalise=measure_normalisation(train),
        classes=images.classes,
        counts=chosen.counts,
    )


class TrainingBatches:
    """The augmented batches of a seed.

    Every epoch has each image once, in a new order and with new random numbers for the
    augmentation. An incomplete last batch is dropped, unless it is the only one. Each iteration
    gives the same batches.

    Args:
        split: training images.
        normalise: applied after augmentation.
        size: images per batch.
        epochs: passes over the images.
        seed: seed of order and augmentation.
        augmentation: a name in `AUGMENTATIONS`.

    Raises:
        UserError: the augmentation is unknown.
    """

    def __init__(
        self,
        split: DeviceSplit,
        normalise: Normalisation,
        *,
        size: int,
        epochs: int,
        seed: int,
        augmentation: str = "shift",
    ) -> None:
        if augmentation not in AUGMENTATIONS:
            raise unknown_name("augmentation", augmentation, AUGMENTATIONS)
        self.images, self.labels, self.rows = split
        self.normalise = normalise
        self.augmentation = AUGMENTATIONS[augmentation]
        self.size = min(size, len(self.labels))
        self.per_epoch = len(self.labels) // self.size
        self.epochs = epochs
        self.seed = seed

    def __len__(self) -> int:
        return self.per_epoch * self.epochs

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for labels, *drawn in self.since(0):
            yield self.pixels(*drawn), labels

    def pixels(self, rows: Tensor, *drawn: Tensor) -> Tensor:
        """Make the images (N, 3, H, W) of a batch from what `since` yields after the labels."""
        return self.normalise(self.augmentation.batch(self.images, rows, *drawn))

    def since(self, begin: int, share: slice | None = None) -> Iterator[tuple[Tensor, ...]]:
        """Yield the batches from number `begin` on: labels (N,) and the arguments of `pixels`.

        Args:
            begin: number of the first batch, counted from 0.
            share: part of each batch to yield; None: all of it.
        """
        # Drawn on the CPU, so that every device sees the same.
        generator = torch.Generator().manual_seed(self.seed)
        count, side, device = len(self.labels), self.images.shape[1], self.images.device
        for epoch in range(self.epochs):
            order = torch.randperm(count, generator=generator).to(device)
            drawn = [t.to(device) for t in self.augmentation.draw(count, side, generator)]
            parts = (self.labels[order], self.rows[order], *drawn)
            # Of an epoch that is over nothing but the draws is needed: the next follow on them.
            for step in range(max(0, begin - epoch * self.per_epoch), self.per_epoch):
                batch = range(step * self.size, (step + 1) * self.size)[share or slice(None)]
                yield tuple(part[batch.start : batch.stop] for part in parts)


def evaluation_batches(
    split: DeviceSplit, normalise: Normalisation, size: int | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield normalised images and labels of a split, in order, without augmentation.

    A batch has 250 images; on CUDA, as many as have the pixels of 2,000 images of 32 px. The last
    batch is smaller if need be.
    """
    if size is None:
        size = max(250, 2_000 * 32**2 // split.images.shape[1] ** 2 if split.images.is_cuda else 0)
    for at in range(0, len(split.labels), size):
        part = slice(at, at + size)
        yield normalise(split.images.index_select(0, split.rows[part])), split.labels[part]
