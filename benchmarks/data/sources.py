"""Sources of images: images with a name, a split and a label, and how to load them.

Nothing here decodes. A fingerprint is made of names and checksums, so a cached copy is found
without reading a pixel.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lossbench.benchmarks.errors import UserError

SOURCES = ("cifar10", "cifar10-ten", "oxford-breeds", "oxford-pets", "synthetic")
"""Names that `--data` accepts beside a path."""

CATS_AND_DOGS = ("dog", "cat")
"""Class names by label: t = 1 means cat."""

MAX_FILE_BYTES = 64 * 2**20
"""Maximum size of an image file; a larger file or archive member is skipped."""

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
"""Names of the splits, in the order that every source keeps."""

Say = Callable[[str], None]
Progress = Callable[[int, int], None]

Load = Callable[[], bytes | np.ndarray]
"""Function that returns the bytes of an image file, or pixels as uint8 (H, W, 3).

It is called in a worker thread and raises UnusableError or OSError."""


class UnusableError(Exception):
    """Raised for an image that cannot be used; the text is a short reason."""


class UnavailableError(Exception):
    """Raised for a source that is neither found nor downloaded; the text says what was tried."""


@dataclass(frozen=True)
class SourceImage:
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
class Source:
    """A source of images.

    Attributes:
        name, description, synthetic: as in `ImageSet`.
        image_size: natural image size in pixels.
        classes: class names by label.
        pictures: images ordered by split as in `SPLITS`, then by name.
        load: takes images and yields (position, Load) once for each, in the order that is cheapest
            to read. One thread iterates it; other threads call the Loads.
        known_fingerprint: fingerprint if it is known; '': computed from the images.
    """

    name: str
    description: str
    synthetic: bool
    image_size: int
    classes: tuple[str, ...]
    pictures: Sequence[SourceImage]
    load: Callable[[Sequence[SourceImage]], Iterator[tuple[int, Load]]]
    known_fingerprint: str = ""

    @property
    def fingerprint(self) -> str:
        """SHA-256 (64 hex digits) of names, splits, labels and checksums."""
        return self.known_fingerprint or fingerprint_of(self.pictures)


class LazyImages(Sequence[SourceImage]):
    """Sequence of images that is listed at its first use; an image set from the cache needs no
    list."""

    def __init__(self, listed: Callable[[], Sequence[SourceImage]]) -> None:
        self._listed = listed

    def __len__(self) -> int:
        return len(self._listed())

    def __getitem__(self, index: Any) -> Any:
        return self._listed()[index]

    def __iter__(self) -> Iterator[SourceImage]:
        return iter(self._listed())


def fingerprint_of(pictures: Sequence[SourceImage]) -> str:
    """Compute `Source.fingerprint`."""
    sha = hashlib.sha256()
    for picture in pictures:
        line = f"{picture.name}\0{picture.split}\0{picture.label}\0{picture.digest}\n"
        sha.update(line.encode())
    return sha.hexdigest()


def sort_images(pictures: Sequence[SourceImage]) -> tuple[SourceImage, ...]:
    """Sort images by split, then by name."""
    return tuple(sorted(pictures, key=lambda p: (SPLITS.index(p.split), p.name, p.digest)))


def check_every_class(
    pictures: Sequence[SourceImage], classes: tuple[str, ...], where: str, remedy: str
) -> None:
    """Raise UserError unless training, test and any validation split have images of every class.

    Args:
        pictures: images to count.
        classes: class names by label.
        where: name of the source for the message.
        remedy: what the user can do; the end of the message.
    """
    counts = count_classes(pictures, classes)
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
    pictures: Sequence[SourceImage], classes: tuple[str, ...]
) -> dict[SplitName, dict[str, int]]:
    """Count images per split and class."""
    counts = Counter((picture.split, picture.label) for picture in pictures)
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
