"""Select training and validation images, and the labels to train on.

The validation images are the same for every seed. Every other selection depends on the seed and on
random numbers of each image, so that a smaller selection is part of a larger one: 100 images are a
subset of 200, and the wrong labels of 20 % noise are among those of 40 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from lossbench.benchmarks.errors import UserError

from .image_set import ImageSet

IntArray = NDArray[np.int64]


def select(
    images: ImageSet,
    *,
    validation: float,
    train_images: int | None,
    label_noise: float,
    imbalance: float,
    seed: int,
) -> tuple[IntArray, IntArray, IntArray]:
    """Select rows of the training split to train on and to validate with.

    Args:
        images: the image set.
        validation: fraction of each class to hold out, in [0, 1).
        train_images: upper bound of the number of training images, balanced over classes.
        label_noise: fraction of the labels of each class to replace by another class, in [0, 1).
        imbalance: images of class 0 per image of class 1, at least 1.
        seed: seed of all selections except the validation images.

    Returns:
        Training rows, int64 (N,), ascending; the labels to train on, int64 (N,); validation rows,
        int64 (V,), ascending, empty if the image set has a validation split.

    Raises:
        UserError: a value is out of range, or a class has no image left.
    """
    _check_range("validation", validation, 0 <= validation < 1, "a fraction from 0 to below 1")
    _check_range("label noise", label_noise, 0 <= label_noise < 1, "a fraction from 0 to below 1")
    _check_range("imbalance", imbalance, imbalance >= 1, "1 or more")
    labels = images.train.labels.astype(np.int64)
    classes = len(images.classes)
    if imbalance > 1 and classes != 2:
        raise UserError(
            f"imbalance {imbalance:g}: {images.name} has {classes} classes, not two; "
            "choose images of two classes, or imbalance 1"
        )

    generator = np.random.default_rng(seed)
    order_draws, noise_draws = generator.random((2, len(labels)))
    steps = generator.integers(1, classes, len(labels))

    held_out = np.zeros(len(labels), bool)
    if images.validation is None:
        held_out = stratified(labels, images.train.names, validation)
    rows = np.flatnonzero(~held_out)
    _check_classes(images, labels[rows], f"with --validation {validation:.3g}; give less, or 0")
    rows = rows[balanced_subset(labels[rows], order_draws[rows], train_images)]
    _check_classes(images, labels[rows], f"with train_images {train_images}; give more")
    if imbalance > 1:
        rows = rows[thin_class_one(labels[rows], order_draws[rows], imbalance, images)]
        _check_classes(images, labels[rows], f"with imbalance {imbalance:g}; give less")
    noisy = corrupt_labels(labels[rows], noise_draws[rows], steps[rows], label_noise, classes)
    return rows, noisy, np.flatnonzero(held_out)


def stratified(labels: IntArray, names: Sequence[str], fraction: float) -> NDArray[np.bool_]:
    """Select a fixed fraction of each class, rounded, and at least one image per class.

    Images are ranked by a hash of their names: as random as a seeded shuffle, and independent of
    the order of files.

    Args:
        labels: class indices, (N,).
        names: names of the images.
        fraction: in [0, 1); 0 selects nothing.

    Returns:
        Mask of the selected images, (N,).
    """
    chosen = np.zeros(len(labels), bool)
    if fraction == 0:
        return chosen
    ranked = sorted(
        range(len(labels)), key=lambda i: sha256(f"lossbench held out:{names[i]}".encode()).digest()
    )
    order = np.array(ranked, np.int64)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        chosen[members[: max(1, round(fraction * len(members)))]] = True
    return chosen


def rank_in_class(labels: IntArray, draws: NDArray[np.float64]) -> IntArray:
    """Rank each image within its class by its random number; 0 is the first."""
    ranks = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        ranks[members[np.argsort(draws[members], kind="stable")]] = np.arange(len(members))
    return ranks


def balanced_subset(
    labels: IntArray, draws: NDArray[np.float64], limit: int | None
) -> NDArray[np.bool_]:
    """Select at most `limit` images, the same number of each class; None: all."""
    if limit is None:
        return np.ones(len(labels), bool)
    counts = np.unique(labels, return_counts=True)[1]
    chosen: NDArray[np.bool_] = rank_in_class(labels, draws) < min(
        counts.min(), limit // len(counts)
    )
    return chosen


def thin_class_one(
    labels: IntArray, draws: NDArray[np.float64], imbalance: float, images: ImageSet
) -> NDArray[np.bool_]:
    """Select all of class 0, and one image of class 1 per `imbalance` of them, rounded.

    Raises:
        UserError: class 1 has fewer images than that.
    """
    zeros, ones = np.bincount(labels, minlength=2)
    wanted = round(zeros / imbalance)
    if ones < wanted:
        zero, one = images.classes
        raise UserError(
            f"imbalance {imbalance:g}: there are only {ones:,} images of {one} to {zeros:,} of "
            f"{zero} to train on and {wanted:,} are needed; choose {zeros / ones:.3g} or more"
        )
    chosen: NDArray[np.bool_] = (labels == 0) | (rank_in_class(labels, draws) < wanted)
    return chosen


def corrupt_labels(
    labels: IntArray, draws: NDArray[np.float64], steps: IntArray, fraction: float, classes: int
) -> IntArray:
    """Replace a fraction of the labels of each class, rounded, by another class.

    Args:
        labels: class indices, (N,).
        draws: random numbers that rank the images of a class; the first ones are corrupted.
        steps: integers from 1 to classes - 1, (N,). A wrong label is (label + step) % classes.
        fraction: in [0, 1).
        classes: number of classes.
    """
    counts = np.bincount(labels, minlength=classes)
    wrong = rank_in_class(labels, draws) < np.round(fraction * counts)[labels]
    return np.where(wrong, (labels + steps) % classes, labels)


def _check_range(name: str, value: float, valid: bool, wanted: str) -> None:
    if not valid:
        raise UserError(f"{name} {value}: choose {wanted}")


def _check_classes(images: ImageSet, labels: IntArray, when: str) -> None:
    """Raise UserError unless every class has an image; `when` says when, and what to give."""
    counts = np.bincount(labels, minlength=len(images.classes))
    missing = [name for name, count in zip(images.classes, counts, strict=True) if not count]
    if missing:
        raise UserError(
            f"{images.name}: no image of {missing[0]} is left to train on {when}, or add images"
        )
