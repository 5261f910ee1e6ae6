"""Select training and validation images, and the labels to train on.

The validation images are the same for every seed. Every other selection depends on the seed and on
random numbers of each image, so that a smaller selection is part of a larger one: 100 images are a
subset of 200, and the wrong labels of 20 % noise are among those of 40 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lossbench.benchmarks.errors import UserError

from .image_set import ImageSet

Rows = NDArray[np.int64]


class Selection(NamedTuple):
    """Rows of a training split, in ascending order.

    Attributes:
        held_out: validation rows, (V,); empty if the image set has a validation split.
        rows: training rows, (N,).
        labels: int64 (N,), labels to train on.
        counts: training images per class, by true label.
    """

    held_out: Rows
    rows: Rows
    labels: Rows
    counts: tuple[int, ...]


def select(
    images: ImageSet,
    *,
    validation: float,
    train_images: int | None,
    label_noise: float,
    imbalance: float,
    seed: int,
) -> Selection:
    """Select among the training images of an image set.

    Args:
        images: the image set.
        validation: fraction of each class to hold out, in [0, 1).
        train_images: upper bound of the number of training images, balanced over classes.
        label_noise: fraction of the labels of each class to replace by another class, in [0, 1).
        imbalance: images of class 0 per image of class 1, at least 1.
        seed: seed of all selections except the validation images.

    Raises:
        UserError: a value is out of range, or a class has no image left.
    """
    _check_range("validation", validation, 0 <= validation < 1, "a share from 0 to below 1")
    _check_range("label noise", label_noise, 0 <= label_noise < 1, "a share from 0 to below 1")
    _check_range("imbalance", imbalance, imbalance >= 1, "1 or more images of class 0 for one of 1")
    true = images.train.labels.astype(np.int64)
    classes = len(images.classes)
    if imbalance > 1 and classes != 2:
        raise UserError(
            f"imbalance {imbalance:g}: {images.name} has {classes} classes and two are wanted; "
            "choose images of two classes, or imbalance 1"
        )

    generator = np.random.default_rng(seed)
    turn, luck = generator.random((2, len(true)))
    step = generator.integers(1, classes, len(true))

    kept_out = np.zeros(len(true), bool)
    if images.validation is None:
        kept_out = stratified(true, images.train.names, validation)
    rows = np.flatnonzero(~kept_out)
    _check_classes(images, true[rows], f"after {validation:.3g} of them are held out")
    rows = rows[balanced_subset(true[rows], turn[rows], train_images)]
    _check_classes(images, true[rows], f"of train_images {train_images}")
    if imbalance > 1:
        rows = rows[thin_class_one(true[rows], turn[rows], imbalance, images)]
        _check_classes(images, true[rows], f"at imbalance {imbalance:g}")
    labels = corrupt_labels(true[rows], luck[rows], step[rows], label_noise, classes)
    counts = np.bincount(true[rows], minlength=classes)
    return Selection(np.flatnonzero(kept_out), rows, labels, tuple(counts.tolist()))


def stratified(labels: Rows, names: Sequence[str], share: float) -> NDArray[np.bool_]:
    """Select a fixed fraction of each class, rounded, and at least one image per class.

    Images are ranked by a hash of their names: as random as a seeded shuffle, and independent of
        the
    order of files.
    """
    chosen = np.zeros(len(labels), bool)
    if share == 0:
        return chosen
    ranked = sorted(
        range(len(labels)), key=lambda i: sha256(f"lossbench held out:{names[i]}".encode()).digest()
    )
    order = np.array(ranked, np.int64)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        chosen[members[: max(1, round(share * len(members)))]] = True
    return chosen


def rank_in_class(labels: Rows, draws: NDArray[np.float64]) -> Rows:
    """Rank each image within its class by its random number; 0 is the first."""
    place = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        place[members[np.argsort(draws[members], kind="stable")]] = np.arange(len(members))
    return place


def balanced_subset(
    labels: Rows, draws: NDArray[np.float64], most: int | None
) -> NDArray[np.bool_]:
    """Select at most `most` images, the same number of each class; None: all."""
    if most is None:
        return np.ones(len(labels), bool)
    counts = np.unique(labels, return_counts=True)[1]
    chosen: NDArray[np.bool_] = rank_in_class(labels, draws) < min(
        counts.min(), most // len(counts)
    )
    return chosen


def thin_class_one(
    labels: Rows, draws: NDArray[np.float64], imbalance: float, images: ImageSet
) -> NDArray[np.bool_]:
    """Select all of class 0, and one image of class 1 per `imbalance` of them, rounded.

    Raises:
        UserError: class 1 has fewer images than that.
    """
    many, few = np.bincount(labels, minlength=2)
    wanted = round(many / imbalance)
    if few < wanted:
        zero, one = images.classes
        raise UserError(
            f"imbalance {imbalance:g}: there are only {few:,} images of {one} to {many:,} of "
            f"{zero} to train on and {wanted:,} are wanted; choose {many / few:.3g} or more"
        )
    chosen: NDArray[np.bool_] = (labels == 0) | (rank_in_class(labels, draws) < wanted)
    return chosen


def corrupt_labels(
    labels: Rows, draws: NDArray[np.float64], steps: Rows, share: float, classes: int
) -> Rows:
    """Replace a fraction of the labels of each class, rounded, by another class.

    A wrong label is the true one plus `steps` modulo `classes`; `steps` is uniform in 1 to classes
    - 1.
    """
    sizes = np.bincount(labels, minlength=classes)
    wrong = rank_in_class(labels, draws) < np.round(share * sizes)[labels]
    return np.where(wrong, (labels + steps) % classes, labels)


def _check_range(what: str, value: float, right: bool, wanted: str) -> None:
    if not right:
        raise UserError(f"{what} {value}: it has to be {wanted}")


def _check_classes(images: ImageSet, labels: Rows, when: str) -> None:
    counts = np.bincount(labels, minlength=len(images.classes))
    missing = [name for name, count in zip(images.classes, counts, strict=True) if not count]
    if missing:
        raise UserError(
            f"{images.name}: no image of {missing[0]} is left to train on {when}; choose another "
            "number, or add images"
        )
