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

from .augment import AUGMENTATIONS
from .image_set import ImageSet, Split
from .memory import advise_random_access
from .split import select

NORMALISATION_IMAGES = 10_000
"""Maximum number of images, evenly spaced, that mean and standard deviation are computed from."""


@dataclass(frozen=True)
class Normalisation:
    """Normalisation of each channel to mean 0 and standard deviation 1.

    Attributes:
        mean, std: float32 (3,), in gray levels from 0 to 255.
    """

    mean: Tensor
    std: Tensor

    def __call__(self, images: Tensor) -> Tensor:
        """Normalise uint8 or float32 (N, H, W, 3) to float32 (N, 3, H, W) in channels_last."""
        # One row per image, because broadcasting over three numbers is not vectorised.
        pixels = images.shape[1] * images.shape[2]
        rows = images.flatten(1).float() - self.mean.repeat(pixels)
        return rows.div_(self.std.repeat(pixels)).view(images.shape).permute(0, 3, 1, 2)


class DeviceSplit(NamedTuple):
    """Images of an array as tensors. A subset shares the array.

    Attributes:
        images: uint8 (M, H, W, 3), all images of the array.
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
        # A copy to the GPU reads the array from its beginning to its end.
        pixels = advise_random_access(split.images) if device.type == "cpu" else split.images
        images = torch.from_numpy(pixels)
    labels = torch.from_numpy(split.labels.astype(np.int64))
    return DeviceSplit(
        images.to(device), labels.to(device), torch.arange(len(labels), device=device)
    )


def measure_normalisation(split: DeviceSplit) -> Normalisation:
    """Compute the normalisation of training images, on their device."""
    rows = split.rows[:: max(1, len(split.rows) // NORMALISATION_IMAGES)]
    # Counting the 256 gray levels gives exact sums quickly. A few images at a time, because
    # bincount makes int64 of each pixel.
    counts = np.zeros((3, 256), np.int64)
    for part in torch.split(rows, 256):
        channels = split.images[part].reshape(-1, 3).T.cpu().numpy()
        counts += [np.bincount(channel, minlength=256) for channel in channels]
    levels, total = np.arange(256), counts[0].sum()
    mean = counts @ levels / total
    std = np.sqrt((counts * (levels - mean[:, None]) ** 2).sum(1) / total)
    # A constant channel has a standard deviation of 0.
    std = std.clip(min=1.0)
    device = split.images.device
    return Normalisation(
        *(torch.tensor(x, dtype=torch.float32, device=device) for x in (mean, std))
    )


class GuardedSplit:
    """The test images, which a run may use once.

    `once` is the only access to them, so that nothing can be chosen by test accuracy.
    """

    def __init__(self, split: DeviceSplit) -> None:
        self._split = split
        self._used: set[str] = set()

    def __len__(self) -> int:
        return len(self._split.labels)

    @property
    def labels(self) -> Tensor:
        """Class indices of the test images, int64 (N,), in the order of the split."""
        return self._split.labels

    def once(self, run: str) -> DeviceSplit:
        """Return the test images for a run. Raises RuntimeError at its second call."""
        if run in self._used:
            raise RuntimeError(
                f"{run!r} has used the test images: a run is tested once, at its end; "
                "use validation images before that"
            )
        self._used.add(run)
        return self._split


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
    test: GuardedSplit
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
    rows, labels, held_out = (
        torch.from_numpy(each).to(device)
        for each in select(
            images,
            validation=validation,
            train_images=train_images,
            label_noise=label_noise,
            imbalance=imbalance,
            seed=seed,
        )
    )
    every = to_device(images.train, device)
    train = DeviceSplit(every.images, labels, rows)
    if validation == 0:
        validation_split = None
    elif images.validation is not None:
        validation_split = to_device(images.validation, device)
    else:
        validation_split = DeviceSplit(every.images, every.labels[held_out], held_out)
    counts = torch.bincount(every.labels[rows], minlength=len(images.classes))
    return DeviceDataset(
        train=train,
        validation=validation_split,
        test=GuardedSplit(to_device(images.test, device)),
        normalise=measure_normalisation(train),
        classes=images.classes,
        counts=tuple(counts.tolist()),
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
        for labels, rows, *drawn in self.from_step(0):
            yield self.normalise(self.augmentation.batch(self.images, rows, *drawn)), labels

    def from_step(self, begin: int, share: slice | None = None) -> Iterator[tuple[Tensor, ...]]:
        """Yield the batches from number `begin` on: labels (N,), rows (N,) of the images, and the
        numbers drawn for their augmentation.

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
            # Earlier epochs are drawn too: the generator's state follows from them.
            for step in range(max(0, begin - epoch * self.per_epoch), self.per_epoch):
                batch = range(step * self.size, (step + 1) * self.size)[share or slice(None)]
                yield tuple(part[batch.start : batch.stop] for part in parts)


def evaluation_batches(
    split: DeviceSplit, normalise: Normalisation, size: int | None = None
) -> Iterator[Tensor]:
    """Yield the normalised images of a split in batches, in order, without augmentation.

    A batch has 250 images; on CUDA, as many as have the pixels of 2,000 images of 32 px. The last
    batch is smaller if need be.
    """
    if size is None:
        size = max(250, 2_000 * 32**2 // split.images.shape[1] ** 2 if split.images.is_cuda else 0)
    for rows in torch.split(split.rows, size):
        yield normalise(split.images.index_select(0, rows))
