"""Which of the training images are held out, which are trained on, and with what label.

What is held out is fixed: the same for every seed. What else is chosen depends on the seed and,
for every image, on draws of its own, so that smaller choices are parts of larger ones: 100 of the
images that 200 would have been, the wrong labels of 20 % noise among those of 40 %.
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
    """Rows of a training split, ascending.

    held_out: the rows kept from training, (V,); none where the images have a validation split.
    rows: the rows trained on, (N,).
    labels: int64 (N,), the classes they are trained as.
    counts: how many of them are of each class in truth.
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
    """Choose among the training images of an image set.

    Args: as `benchmarks.data.batches.prepare` has them.

    Raises UserError if that cannot be, or leaves a class without an image.
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
    _check_left(images, true[rows], f"after {validation:.3g} of them are held out")
    rows = rows[few_of_each(true[rows], turn[rows], train_images)]
    _check_left(images, true[rows], f"of train_images {train_images}")
    if imbalance > 1:
        rows = rows[thinned_out(true[rows], turn[rows], imbalance, images)]
        _check_left(images, true[rows], f"at imbalance {imbalance:g}")
    labels = mislabelled(true[rows], luck[rows], step[rows], label_noise, classes)
    counts = np.bincount(true[rows], minlength=classes)
    return Selection(np.flatnonzero(kept_out), rows, labels, tuple(counts.tolist()))


def stratified(labels: Rows, names: Sequence[str], share: float) -> NDArray[np.bool_]:
    """A fixed choice of a share of each class, rounded, of every class at least one.

    Ranked by a hash of the name: as good as a seeded shuffle, and the same in any file order.
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


def places(labels: Rows, draws: NDArray[np.float64]) -> Rows:
    """The place of each image within its class, by its draw: 0 is the first."""
    place = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        place[members[np.argsort(draws[members], kind="stable")]] = np.arange(len(members))
    return place


def few_of_each(labels: Rows, draws: NDArray[np.float64], most: int | None) -> NDArray[np.bool_]:
    """At most `most` images, as many of each class as of any other; None: all of them."""
    if most is None:
        return np.ones(len(labels), bool)
    counts = np.unique(labels, return_counts=True)[1]
    chosen: NDArray[np.bool_] = places(labels, draws) < min(counts.min(), most // len(counts))
    return chosen


def thinned_out(
    labels: Rows, draws: NDArray[np.float64], imbalance: float, images: ImageSet
) -> NDArray[np.bool_]:
    """All of class 0, and of class 1 one for `imbalance` of them, rounded.

    Raises UserError if there are fewer of class 1 to begin with.
    """
    many, few = np.bincount(labels, minlength=2)
    wanted = round(many / imbalance)
    if few < wanted:
        zero, one = images.classes
        raise UserError(
            f"imbalance {imbalance:g}: there are only {few:,} images of {one} to {many:,} of "
            f"{zero} to train on and {wanted:,} are wanted; choose {many / few:.3g} or more"
        )
    chosen: NDArray[np.bool_] = (labels == 0) | (places(labels, draws) < wanted)
    return chosen


def mislabelled(
    labels: Rows, draws: NDArray[np.float64], steps: Rows, share: float, classes: int
) -> Rows:
    """The labels, of which a share of each class, rounded, is moved on by `steps` classes (1 to
    classes - 1, so to another one, each as likely)."""
    sizes = np.bincount(labels, minlength=classes)
    wrong = places(labels, draws) < np.round(share * sizes)[labels]
    return np.where(wrong, (labels + steps) % classes, labels)


def _check_range(what: str, value: float, right: bool, wanted: str) -> None:
    if not right:
        raise UserError(f"{what} {value}: it has to be {wanted}")


def _check_left(images: ImageSet, labels: Rows, when: str) -> None:
    counts = np.bincount(labels, minlength=len(images.classes))
    missing = [name for name, count in zip(images.classes, counts, strict=True) if not count]
    if missing:
        raise UserError(
            f"{images.name}: no image of {missing[0]} is left to train on {when}; choose another "
            "number, or add images"
        )
