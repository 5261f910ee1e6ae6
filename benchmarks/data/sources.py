"""Sources of images: images with a name, a split and a label, and how to load them.

Nothing here decodes. A fingerprint is made of names and checksums, so a cached copy is found
without reading a pixel.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lossbench.benchmarks.errors import UserError

SOURCES = ("cifar10", "cifar10-ten", "oxford-breeds", "oxford-pets", "synthetic")
"""Names that `--data` accepts besides a path."""

CATS_AND_DOGS = ("dog", "cat")
"""Class names by label: t = 1 means cat."""

MAX_FILE_BYTES = 64 * 2**20
"""Maximum size of an image file; a larger file or archive member is skipped."""

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
"""Names of the splits, in the order that every source keeps."""

Folders = tuple[str, ...]
"""Path of a folder, split at the separators."""

Say = Callable[[str], None]
ProgressCallback = Callable[[int, int], None]


class UnusableError(Exception):
    """Raised, or returned by a reader, for an unusable image; the text is a short reason."""


class UnavailableError(Exception):
    """Raised for a source that is neither found nor downloaded; the text says what was tried."""


Content = bytes | Path | np.ndarray | UnusableError
"""An image: its file as bytes or as a path, pixels as uint8 (H, W, 3), or why it has neither."""


@dataclass(frozen=True)
class ImageInfo:
    """One image of a source.

    Attributes:
        name: printable path, without the folders that all images share.
        split: 'train', 'validation' or 'test'.
        label: class index.
        key: how the source finds the image.
        digest: checksum of the content, as text.
    """

    name: str
    split: SplitName
    label: int
    key: Any
    digest: str


@dataclass(frozen=True)
class Composition:
    """Origin of the images of a source, as text for the user.

    Attributes:
        origins: folders of each split that has images, or how they were chosen.
        left_out: files that are no images of the classes, and why; a line each.
        warnings: what may be wrong with the images; a line each.
    """

    origins: dict[SplitName, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImageSource:
    """A source of images.

    Attributes:
        name, description, synthetic: as in `ImageSet`.
        image_size: natural image size in pixels.
        classes: class names by label.
        fingerprint: `fingerprint_of` the images, 64 hex digits.
        images: returns the images in the order of `sort_images`. Listing a directory takes time;
            images that are in the cache need no list.
        load: takes images and yields (position, content) once for each, in the order that is
            cheapest to read.
        composition: what the images were made from.
    """

    name: str
    description: str
    synthetic: bool
    image_size: int
    classes: tuple[str, ...]
    fingerprint: str
    images: Callable[[], Sequence[ImageInfo]]
    load: Callable[[Sequence[ImageInfo]], Iterator[tuple[int, Content]]]
    composition: Composition = field(default_factory=Composition)


def listed_source(
    name: str,
    description: str,
    classes: tuple[str, ...],
    images: Sequence[ImageInfo],
    read: Callable[[Any], Content],
    *,
    image_size: int,
    synthetic: bool = False,
) -> ImageSource:
    """Create a source from a list of images.

    Args:
        name, description, classes, image_size, synthetic: as in `ImageSource`.
        images: all images, in any order.
        read: returns the content of an image from its key.
    """
    listed = sort_images(images)

    return ImageSource(
        name=name,
        description=description,
        synthetic=synthetic,
        image_size=image_size,
        classes=classes,
        fingerprint=fingerprint_of(listed),
        images=lambda: listed,
        load=lambda wanted: ((n, read(image.key)) for n, image in enumerate(wanted)),
    )


def fingerprint_of(images: Sequence[ImageInfo]) -> str:
    """Return the SHA-256 of names, splits, labels and checksums, 64 hex digits."""
    sha = hashlib.sha256()
    for image in images:
        line = f"{image.name}\0{image.split}\0{image.label}\0{image.digest}\n"
        sha.update(line.encode())
    return sha.hexdigest()


def sort_images(images: Sequence[ImageInfo]) -> tuple[ImageInfo, ...]:
    """Sort images by split, as in `SPLITS`, then by name."""
    return tuple(sorted(images, key=lambda i: (SPLITS.index(i.split), i.name, i.digest)))


def check_every_class(
    images: Sequence[ImageInfo], classes: tuple[str, ...], where: str, remedy: str
) -> None:
    """Raise UserError unless training, test and any validation split have images of every class.

    Args:
        images: images to count.
        classes: class names by label.
        where: name of the source for the message.
        remedy: what the user can do; the end of the message.
    """
    counts = count_classes(images, classes)
    if not any(counts["validation"].values()):
        del counts["validation"]
    if all(all(each.values()) for each in counts.values()):
        return
    found = "; ".join(
        f"{split}: {', '.join(f'{count:,} {name}' for name, count in each.items())}"
        for split, each in counts.items()
    )
    raise UserError(
        f"{where}: images of every class are needed in every split, but found {found}; {remedy}"
    )


def count_classes(
    images: Sequence[ImageInfo], classes: tuple[str, ...]
) -> dict[SplitName, dict[str, int]]:
    """Count images per split and class."""
    counts = Counter((image.split, image.label) for image in images)
    return {
        split: {name: counts[split, label] for label, name in enumerate(classes)}
        for split in SPLITS
    }


def cache_home() -> Path:
    """Return the cache directory: `$XDG_CACHE_HOME/lossbench`, by default `~/.cache/lossbench`.

    A relative XDG_CACHE_HOME is ignored, as the XDG specification asks.
    """
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (named if named.is_absolute() else Path.home() / ".cache") / "lossbench"


def absolute_data(data: str | None) -> str | None:
    """Return a value of --data with a path made absolute; the name of a data set stays."""
    if not data or data in SOURCES:
        return data
    return os.path.abspath(os.path.expanduser(data))


def data_directory() -> Path | None:
    """Return the directory that LOSSBENCH_DATA names; None if it is unset or empty.

    Raises:
        UserError: it is not a directory.
    """
    named = os.environ.get("LOSSBENCH_DATA", "")
    if not named:
        return None
    try:
        directory = Path(named).expanduser()
        there = directory.is_dir()
    except (OSError, RuntimeError):  # a user that does not exist, a name that is too long
        there = False
    if not there:
        raise UserError(
            f"LOSSBENCH_DATA is {named!r}, which is no directory; "
            "set it to the directory that holds the images, or unset it"
        )
    return directory


def printable(name: str) -> str:
    """Replace what must not reach a terminal or a page: escape sequences, undecodable bytes."""
    return name if name.isprintable() else "".join(c if c.isprintable() else "?" for c in name)


def shorten(names: Sequence[str]) -> str:
    """Join names by commas, and count those after the eighth."""
    more = f" and {len(names) - 8:,} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + more
