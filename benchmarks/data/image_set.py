"""What training gets: the images of one source at one size, in two splits or three."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Split:
    """One split of an image set.

    Attributes:
        images: uint8 (N, H, W, 3), RGB, memory-mapped and read-only.
        labels: uint8 (N,), indices of the image set's classes.
        names: the N names of the pictures inside their source.
    """

    images: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]


@dataclass(frozen=True)
class ImageSet:
    """Images of two or more classes, decoded, with where they came from.

    Attributes:
        name: the source's name (`cifar10`, `oxford-pets`, `synthetic`, or a path's last part).
        description: one line for people: which images, from where, what was left out.
        synthetic: True if the images were drawn by code; such numbers must be marked.
        fingerprint: SHA-256 (64 hex digits) of the source's content, names, splits and labels.
        image_size: height and width of every image in pixels, 32 to 224.
        train: the split to learn from; every class is in it.
        validation: the split to watch and choose by, if the source has one; every class is in it.
        test: the split that results are of, never to choose by; every class is in it.
        skipped: `name (reason)` of every picture that could not be used.
        classes: the classes' names by label; for cats and dogs ("dog", "cat").
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
