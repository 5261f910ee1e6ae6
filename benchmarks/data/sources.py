"""What a source of images is: pictures with a name, a split and a label, and a way to load them.

Nothing here decodes: the fingerprint of a source comes from names and checksums alone, so that
a cached copy of the images is found without touching a single pixel.
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
"""The names that `--data` takes beside a path."""

CATS_AND_DOGS = ("dog", "cat")
"""These classes by label: t = 1 means cat."""

MAX_FILE_BYTES = 64 * 2**20
"""No photograph is larger; a file or archive member that claims to be is left unread."""

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
"""The splits in the order that every source keeps."""

Say = Callable[[str], None]
Progress = Callable[[int, int], None]

Load = Callable[[], bytes | np.ndarray]
"""Gives one picture: an image file's bytes, or its pixels as uint8 (H, W, 3). Raises
`UnusableError` or OSError where it can't. It is called in a worker thread."""


class UnusableError(Exception):
    """A picture that can't be used; the text is the reason, a few words long."""


class UnavailableError(Exception):
    """A source that can be neither found nor downloaded; the text says what was tried."""


@dataclass(frozen=True)
class SourceImage:
    """One picture of a source.

    Attributes:
        name: printable, with `/` between folders, without the folders all pictures share.
        split: 'train', 'validation' or 'test'.
        label: index of its class among the source's.
        key: what the source itself finds the picture by.
        digest: a checksum of the content, as text.
    """

    name: str
    split: SplitName
    label: int
    key: Any
    digest: str


@dataclass(frozen=True)
class Source:
    """Where images come from.

    Attributes:
        name, description, synthetic: as in `ImageSet`.
        image_size: the natural size in pixels, for when none is asked for.
        classes: the classes' names by label.
        pictures: split by split as in `SPLITS`, each sorted by name.
        load: takes pictures and yields (position, Load) once for each, in whatever order is
            cheap to read. It is iterated in one thread; the Loads run in others.
        known_fingerprint: the fingerprint where it is known; '': it is made of the pictures.
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
        """SHA-256 (64 hex digits) of the pictures: names, splits, labels, checksums."""
        return self.known_fingerprint or fingerprint_of(self.pictures)


class OnDemand(Sequence[SourceImage]):
    """Pictures that `listed` lists, once, when they are asked for: from a cache nobody asks."""

    def __init__(self, listed: Callable[[], Sequence[SourceImage]]) -> None:
        self._listed = listed

    def __len__(self) -> int:
        return len(self._listed())

    def __getitem__(self, index: Any) -> Any:
        return self._listed()[index]

    def __iter__(self) -> Iterator[SourceImage]:
        return iter(self._listed())


def fingerprint_of(pictures: Sequence[SourceImage]) -> str:
    """As `Source.fingerprint`."""
    sha = hashlib.sha256()
    for picture in pictures:
        line = f"{picture.name}\0{picture.split}\0{picture.label}\0{picture.digest}\n"
        sha.update(line.encode())
    return sha.hexdigest()


def arranged(pictures: Sequence[SourceImage]) -> tuple[SourceImage, ...]:
    """The pictures in the order every source keeps: by split, then by name."""
    return tuple(sorted(pictures, key=lambda p: (SPLITS.index(p.split), p.name, p.digest)))


def check_every_class(
    pictures: Sequence[SourceImage], classes: tuple[str, ...], where: str, remedy: str
) -> None:
    """Raises UserError unless training, test and, if there is one, validation hold every class.

    Args:
        pictures: the pictures to count.
        classes: the classes' names by label.
        where: names the source in the message.
        remedy: what the user can do, the end of the message.
    """
    counts = counted(pictures, classes)
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


def counted(
    pictures: Sequence[SourceImage], classes: tuple[str, ...]
) -> dict[SplitName, dict[str, int]]:
    """How many pictures there are of each class in each split."""
    counts = Counter((picture.split, picture.label) for picture in pictures)
    return {
        split: {name: counts[split, label] for label, name in enumerate(classes)}
        for split in SPLITS
    }


def cache_home() -> Path:
    """The directory of everything that lossbench may build again: `$XDG_CACHE_HOME/lossbench`,
    by default `~/.cache/lossbench`. A relative XDG_CACHE_HOME is ignored, as XDG asks."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (named if named.is_absolute() else Path.home() / ".cache") / "lossbench"


def data_directory() -> Path | None:
    """The directory that LOSSBENCH_DATA names, or None where it is unset or empty.

    Raises:
        UserError: it names something that is no directory.
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
