"""Decoded images of a source at one size, in two or three splits."""

from dataclasses import dataclass, field

import numpy as np

from .sources import Composition


@dataclass(frozen=True)
class Split:
    """One split of an image set.

    Attributes:
        images: uint8 (N, H, W, 3), RGB, memory-mapped and read-only.
        labels: uint8 (N,), class indices.
        names: N names of the images inside their source.
    """

    images: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]


@dataclass(frozen=True)
class ImageSet:
    """Decoded images of two or more classes.

    Attributes:
        name: name of the source (`cifar10`, `oxford-pets`, `synthetic`, or the last part of a
            path).
        description: one line for the user: which images, from where, what was left out.
        synthetic: True if the images were drawn by code; results must be marked then.
        fingerprint: SHA-256 (64 hex digits) of the source's content, names, splits and labels.
        image_size: height and width of every image in pixels, 32 to 224.
        train: training split; it has images of every class.
        validation: validation split if the source has one; it has images of every class.
        test: test split, never used for choices; it has images of every class.
        skipped: `name (reason)` of every image that could not be used.
        classes: class names by label; ("dog", "cat") for cats and dogs.
        composition: what the images were made from.
        copies: int32 (N, 2), the first copy of each image of all splits, as of `find_copies`; None:
            not known.
    """

    name: str
    description: str
    synthetic: bool
    fingerprint: str
    image_size: int
    train: Split
    validation: Split | None
    test: Split
    skipped: tuple[str, ...]
    classes: tuple[str, ...]
    composition: Composition = field(default_factory=Composition)
    copies: np.ndarray | None = None
