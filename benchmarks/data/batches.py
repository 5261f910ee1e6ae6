"""From the cache to the model: whole batches as tensors, augmented as tensors.

A batch is gathered from the whole array of images, whichever of them are trained on: no image is
copied before it is in a batch. What is drawn depends on the seed and on nothing else, so the runs
of a seed see the same pixels in the same order.
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
from .memory import scattered
from .split import select

NORMALISATION_IMAGES = 10_000
"""Images that the mean and the spread of the pixels are measured on, evenly spaced."""


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of each channel, in grey levels from 0 to 255, shape (3,)."""

    mean: Tensor
    spread: Tensor

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 or float32 (N, H, W, 3) to float32 (N, 3, H, W) in channels_last, mean 0 and
        spread 1."""
        # A row an image, because what is broadcast over three numbers at a time is not vectorised.
        pixels = images.shape[1] * images.shape[2]
        rows = images.flatten(1).float() - self.mean.repeat(pixels)
        return rows.div_(self.spread.repeat(pixels)).view(images.shape).permute(0, 3, 1, 2)


class DeviceSplit(NamedTuple):
    """Some images of an array, as tensors; a subset of them copies no image.

    Attributes:
        images: uint8 (M, H, W, 3), the whole array.
        labels: int64 (N,), classes.
        rows: int64 (N,), which image of the array each label belongs to.
    """

    images: Tensor
    labels: Tensor
    rows: Tensor


def to_device(split: Split, device: torch.device) -> DeviceSplit:
    """The split's tensors. On the CPU the images stay where the cache has them; to CUDA they are
    copied whole."""
    with warnings.catch_warnings():
        # The cache is read-only and nothing here writes to it.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        # A GPU is given the array whole, from its beginning to its end.
        pixels = scattered(split.images) if device.type == "cpu" else split.images
        images = torch.from_numpy(pixels)
    labels = torch.from_numpy(split.labels.astype(np.int64))
    return DeviceSplit(
        images.to(device), labels.to(device), torch.arange(len(labels), device=device)
    )


def measure_normalisation(pixels: DeviceSplit) -> Normalisation:
    """The normalisation that training images ask for, on their device."""
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
    """The test images, that a run is judged by once: `once` is the only way to them, so that
    nothing can be chosen by them on the way."""

    def __init__(self, pixels: DeviceSplit) -> None:
        self._pixels = pixels
        self._asked: set[str] = set()

    def __len__(self) -> int:
        return len(self._pixels.labels)

    @property
    def labels(self) -> Tensor:
        """Their classes, int64 (N,), in the split's order."""
        return self._pixels.labels

    def once(self, who: str) -> DeviceSplit:
        """The test images, for the run called `who`. Raises RuntimeError if it has had them."""
        if who in self._asked:
            raise RuntimeError(
                f"{who!r} has had the test images: a run is judged by them once, at its end; "
                "for anything before that there are validation images"
            )
        self._asked.add(who)
        return self._pixels


@dataclass(frozen=True)
class DeviceDataset:
    """What a run is trained, validated and tested on, ready on its device.

    Attributes:
        train: the images to train on, with the labels that they are trained as.
        validation: the images to watch and choose by, with their true labels; None: no image is.
        test: the images that results are of.
        normalise: as the images of `train` ask for.
        classes: the classes' names by label.
        counts: how many images of each class are trained on, by their true label.
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
    """An image set on the device that it is trained on.

    Args:
        validation: the share of the training images of each class that is held out, in [0, 1),
            the same ones for every seed, with their true labels. Images with a validation split
            of their own have that one instead. 0: there is no validation.
        train_images: no more training images than this, as many of each class as of any other.
        label_noise: the share of the training labels of each class replaced by another class,
            drawn evenly, in [0, 1).
        imbalance: how many images of class 0 there are for one of class 1 in training; class 1
            is thinned out, after `train_images` are chosen. 1: as they come.
        seed: of what is drawn of images and labels.

    Raises UserError if that cannot be, or leaves a class without an image.
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
    """The augmented batches of a seed: in every epoch each image once, in a new order, and with
    another draw of the augmentation (a name of `benchmarks.data.augment`).

    A last batch that is not full is left out, unless it is the only one. Iterating again gives the
    same batches again.

    Raises UserError for an unknown augmentation.
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
        """A batch (N, 3, H, W) of what `since` gives beside its labels."""
        return self.normalise(self.augmentation.batch(self.images, rows, *drawn))

    def since(self, begin: int, share: slice | None = None) -> Iterator[tuple[Tensor, ...]]:
        """What the batches from number `begin` on, counted from 0, are made of: their labels (N,)
        and the arguments of `pixels`; with `share` of each only those examples."""
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
    """The images of a split as they are, in order, the last batch as small as it comes; of 250, or
    on a GPU, which that few would leave idle, of as many as have the pixels of 2,000 of 32 px."""
    if size is None:
        size = max(250, 2_000 * 32**2 // split.images.shape[1] ** 2 if split.images.is_cuda else 0)
    for at in range(0, len(split.labels), size):
        part = slice(at, at + size)
        yield normalise(split.images.index_select(0, split.rows[part])), split.labels[part]
