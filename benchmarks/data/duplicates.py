"""Duplicates in an image set: count and name them, keep them, take them out, or stop.

A training image that is a copy of a test image makes every accuracy too high, and copies with two
labels cannot both be learned. The copies are found when images are decoded (`copies`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lossbench.benchmarks.config import DuplicatePolicy
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.format import plural

from .copies import MAX_NEAR
from .image_set import ImageSet
from .sources import SPLITS, ImageInfo, ImageSource, listed_source

EXAMPLES = 3
"""Number of groups that a line names, and of duplicates of each."""

Mask = NDArray[np.bool_]
Numbers = NDArray[np.int64]


class _DuplicateKind(NamedTuple):
    """A kind of duplicate: images of a split with a copy in the same or a later one.

    Attributes:
        split, other: numbers of the two splits in `SPLITS`; None: of any split, with a copy that
            has another label.
        one, more: what one image is, and several are.
    """

    split: int | None
    other: int | None
    one: str
    more: str


def _kind(split: int, other: int, one: str, more: str, noun: str) -> _DuplicateKind:
    return _DuplicateKind(split, other, f"{one} {noun}", f"{more} {noun}s")


KINDS = (
    _kind(0, 2, "training image is a copy of a", "training images are copies of", "test image"),
    _kind(1, 2, "validation image is a copy of a", "validation images are copies of", "test image"),
    _kind(
        0, 1, "training image is a copy of a", "training images are copies of", "validation image"
    ),
    _kind(
        0,
        0,
        "training image is a copy of another",
        "training images are copies of other",
        "training image",
    ),
    _DuplicateKind(
        None, None, "image has a copy with another label", "images have copies with another label"
    ),
)


class _Images(NamedTuple):
    """The images of all splits.

    Attributes:
        names: names.
        labels, splits: label, and number of the split in `SPLITS`, int64 (N,).
        same, group: first image with the same pixels, and first of those that are identical or
            nearly identical, int64 (N,).
    """

    names: list[str]
    labels: Numbers
    splits: Numbers
    same: Numbers
    group: Numbers


def handle_duplicates(
    images: ImageSet, policy: DuplicatePolicy, reopen: Callable[[ImageSource], ImageSet]
) -> ImageSet:
    """Return an image set whose composition tells of its duplicates, or one without them.

    Args:
        images: the image set.
        policy: 'keep': warn of duplicates. 'drop': take images out of training and validation:
            those with a copy in a later split, all training images but the first of copies of each
            other, and all copies with several labels. Test images stay. 'stop': raise UserError.
        reopen: opens the source of the images that are left.

    Raises:
        UserError: there are duplicates and the policy is 'stop', or a class loses its last image.
    """
    if images.copies is None:
        return images
    composition, every = images.composition, _concatenate(images)
    told = list(_describe(every, np.ones(len(every.labels), bool)))
    if policy == "stop" and told:
        raise UserError(
            f"{images.name}: {'; '.join(told)}; take them out of training with --duplicates drop, "
            "or keep them with --duplicates keep"
        )
    removable = _find_removable(every)
    if policy == "drop" and removable.any():
        left_out = (*composition.left_out, *_describe(every, removable))
        composition = replace(composition, left_out=left_out)
        kept = reopen(_source_of(images, every, np.flatnonzero(~removable)))
        images = replace(kept, skipped=images.skipped)
        every = _concatenate(images)
        told = list(_describe(every, np.ones(len(every.labels), bool)))
    elif policy == "keep" and removable.any():
        told[-1] += "; --duplicates drop takes them out of training"
    if np.count_nonzero(every.same == np.arange(len(every.same))) > MAX_NEAR:
        told.append(
            f"only identical images were looked for, none that are nearly identical: there are "
            f"more than {MAX_NEAR:,}"
        )
    composition = replace(composition, warnings=(*composition.warnings, *told))
    return replace(images, composition=composition)


def _concatenate(images: ImageSet) -> _Images:
    splits = [images.train, images.validation, images.test]
    parts = [(n, split) for n, split in enumerate(splits) if split is not None]
    assert images.copies is not None
    same, group = images.copies.T.astype(np.int64)
    return _Images(
        names=[name for _, split in parts for name in split.names],
        labels=np.concatenate([split.labels for _, split in parts]).astype(np.int64),
        splits=np.repeat([n for n, _ in parts], [len(split.labels) for _, split in parts]),
        same=same,
        group=group,
    )


def _find(every: _Images, first: Numbers) -> dict[_DuplicateKind, Mask]:
    """Return the images that are duplicates, by kind; an image is of one kind at most.

    Args:
        every: all images.
        first: first copy of each image, (N,).
    """
    least, most, last = every.labels.copy(), every.labels.copy(), every.splits.copy()
    np.minimum.at(least, first, every.labels)
    np.maximum.at(most, first, every.labels)
    np.maximum.at(last, first, every.splits)
    contradicting = (least != most)[first]
    later = (first != np.arange(len(first))) | (every.splits < last[first])
    return {
        kind: contradicting
        if kind.split is None
        else ~contradicting & later & (every.splits == kind.split) & (last[first] == kind.other)
        for kind in KINDS
    }


def _find_removable(every: _Images) -> Mask:
    duplicates = np.any(list(_find(every, every.group).values()), axis=0)
    return np.asarray(duplicates & (every.splits != SPLITS.index("test")))


def _describe(every: _Images, among: Mask) -> Iterator[str]:
    """Count and name the duplicates among some images, a line for each kind."""
    near, identical = _find(every, every.group), _find(every, every.same)
    for kind, mask in near.items():
        count = int(np.count_nonzero(among & mask))
        if count:
            equal = np.flatnonzero(among & mask & identical[kind])
            others = np.flatnonzero(among & mask & ~identical[kind])
            examples = _examples(every, np.concatenate([equal, others]))
            shown = ", ".join(_name(every, members, kind) for members in examples)
            unnamed = count - sum(map(len, examples))
            more = f" and {unnamed:,} more" if unnamed else ""
            yield (
                f"{plural(count, kind.one, kind.more)} ({_how_alike(len(equal), len(others))}): "
                f"{shown}{more}"
            )


def _how_alike(identical: int, nearly: int) -> str:
    if identical and nearly:
        return f"{identical:,} identical, {nearly:,} nearly"
    return "identical" if identical else "nearly identical"


def _examples(every: _Images, chosen: Numbers) -> list[Numbers]:
    """Return the first of some images, those of a group together."""
    _, first = np.unique(every.group[chosen], return_index=True)
    groups = every.group[chosen[np.sort(first)[:EXAMPLES]]]
    return [chosen[every.group[chosen] == group][:EXAMPLES] for group in groups]


def _name(every: _Images, members: Numbers, kind: _DuplicateKind) -> str:
    """Name duplicates of one group, and a copy that makes them duplicates of this kind."""
    first = members[0]
    if kind.split is None:
        allowed = every.labels != every.labels[first]
    else:
        allowed = every.splits == kind.other
    copies = np.flatnonzero(allowed & (every.group == every.group[first]))
    shown = list(members)
    if kind.split is not None or not np.isin(copies, members).any():
        copies = copies[~np.isin(copies, members)]
        shown += [max(copies, key=lambda copy: every.same[copy] == every.same[first])]
    return " = ".join(every.names[image] for image in shown)


def _source_of(images: ImageSet, every: _Images, chosen: Numbers) -> ImageSource:
    """Return a source of some images of an image set, with their pixels as they are."""
    splits = (images.train, images.validation, images.test)
    starts = np.cumsum([0, *(0 if split is None else len(split.labels) for split in splits)])

    def read(image: int) -> np.ndarray:
        split = splits[every.splits[image]]
        assert split is not None
        return np.asarray(split.images[image - starts[every.splits[image]]])

    infos = [
        ImageInfo(
            name=every.names[image],
            split=SPLITS[every.splits[image]],
            label=int(every.labels[image]),
            key=int(image),
            digest=f"{images.fingerprint}:{image}",
        )
        for image in chosen
    ]
    return listed_source(
        images.name, images.description, images.classes, infos, read, image_size=images.image_size
    )
