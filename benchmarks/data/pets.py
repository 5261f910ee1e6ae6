"""Oxford-IIIT Pet, from a directory or downloaded."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from lossbench.benchmarks.errors import UserError

from .archive import file_digest, read_file
from .download import Archive, download
from .sources import (
    CATS_AND_DOGS,
    Load,
    Say,
    Source,
    SourceImage,
    SplitName,
    cache_home,
    check_every_class,
    data_directory,
    sort_images,
)

FOLDER = "oxford-iiit-pet"
ARCHIVES = (
    Archive(
        "https://www.robots.ox.ac.uk/~vgg/data/pets/data/images.tar.gz",
        791_918_971,
        "67195c5e1c01f1ab5f9b6a5d22b8c27a580d896ece458917e61d459337fa318d",
    ),
    Archive(
        "https://www.robots.ox.ac.uk/~vgg/data/pets/data/annotations.tar.gz",
        19_173_078,
        "52425fb6de5c424942b7626b428656fcbd798db970a937df61750c0f1d358e91",
    ),
)
MEMBERS = re.compile(r"(?P<path>images/\w+\.jpg|annotations/(trainval|test)\.txt)", re.ASCII)
LISTS: dict[SplitName, str] = {"train": "trainval.txt", "test": "test.txt"}
SPECIES = {"1": "cat", "2": "dog"}
MIN_BREED_IMAGES = 20
"""Minimum number of training images of a breed."""

Labelled = Mapping[SplitName, Sequence[tuple[Path, int]]]
"""Paths and labels of each split."""


class _Annotation(NamedTuple):
    """A line of the annotations: path of an image, which may be missing, and label by species."""

    path: Path
    label: int


def oxford_pets(say: Say) -> Source:
    """Find Oxford-IIIT Pet with the species as label: its trainval and test lists.

    LOSSBENCH_DATA is searched for `oxford-iiit-pet`, then earlier downloads; else it is downloaded.
    Images that are listed but missing are skipped when decoded.

    Args:
        say: takes a message when a download begins.

    Raises:
        UserError: the files found are damaged, or LOSSBENCH_DATA is not a directory.
        UnavailableError: the images are neither found nor downloaded.
    """
    root = _root(say)
    about = "photographs of cats and dogs, Oxford-IIIT Pet"
    return _source("oxford-pets", about, CATS_AND_DOGS, _read_annotations(root), root)


def oxford_breeds(say: Say) -> Source:
    """Find Oxford-IIIT Pet with the breed as label, in alphabetical order.

    A breed needs at least 20 images in trainval and one in test. Search, arguments and errors are
    those of `oxford_pets`. Fewer than two such breeds raise UserError.
    """
    root = _root(say)
    paths = {
        split: [each.path for each in those] for split, those in _read_annotations(root).items()
    }
    there = {
        split: Counter(_breed(path) for path in those if path.is_file())
        for split, those in paths.items()
    }
    breeds = {_breed(path) for those in paths.values() for path in those}
    kept = sorted(b for b in breeds if there["train"][b] >= MIN_BREED_IMAGES and there["test"][b])
    if len(kept) < 2:
        raise UserError(
            f"{str(root / FOLDER)!r} has {len(kept)} breed(s) with {MIN_BREED_IMAGES} or more "
            "photographs to train on, and two are needed; replace it with a complete copy"
        )
    labelled: Labelled = {
        split: [(path, kept.index(_breed(path))) for path in those if _breed(path) in kept]
        for split, those in paths.items()
    }
    about = f"photographs of {len(kept)} breeds of cats and dogs, Oxford-IIIT Pet"
    if left_out := len(breeds) - len(kept):
        few = f"fewer than {MIN_BREED_IMAGES} to train on or none to test"
        about += f"; left out: {left_out} breeds with {few}"
    return _source("oxford-breeds", about, tuple(kept), labelled, root)


def _breed(path: Path) -> str:
    """Return the breed of a file, 'American Bulldog' for american_bulldog_12.jpg."""
    return path.stem.rpartition("_")[0].replace("_", " ").title()


def _root(say: Say) -> Path:
    """Return the directory that holds Oxford-IIIT Pet; download it if need be."""
    for directory in (data_directory(), cache_home() / "downloads"):
        if directory is not None and (directory / FOLDER).is_dir():
            return directory
    return download("Oxford-IIIT Pet (800 MB)", FOLDER, ARCHIVES, MEMBERS, say)


def _read_annotations(root: Path) -> dict[SplitName, list[_Annotation]]:
    """Read the annotations of each split. Raises UserError if they are damaged."""
    folder = root / FOLDER
    found: dict[SplitName, list[_Annotation]] = {}
    try:
        for split, file in LISTS.items():
            lines = (folder / "annotations" / file).read_text(encoding="utf-8").splitlines()
            found[split] = [_parse_line(folder / "images", line) for line in lines]
    except (OSError, ValueError) as error:
        raise UserError(
            f"{str(folder)!r} is damaged or incomplete ({error}); "
            "remove it or replace it, and start again"
        ) from error
    return found


def _parse_line(folder: Path, line: str) -> _Annotation:
    """Parse a line 'Abyssinian_100 1 1 1': name, breed number, species number, and one more."""
    name, _, species, _ = line.split()
    # A name becomes a path.
    if not re.fullmatch(r"[\w-]+", name) or species not in SPECIES:
        raise ValueError(f"{line!r} is no line of the annotations")
    return _Annotation(folder / f"{name}.jpg", CATS_AND_DOGS.index(SPECIES[species]))


def _source(
    name: str,
    about: str,
    classes: tuple[str, ...],
    labelled: Labelled,
    root: Path,
) -> Source:
    """Create the source of labelled photographs."""
    pictures = [
        SourceImage(path.stem, split, label, path, file_digest(path))
        for split, those in labelled.items()
        for path, label in those
    ]
    remedy = "replace it with a complete copy"
    check_every_class(pictures, classes, str(root / FOLDER), remedy)

    def load(wanted: Sequence[SourceImage]) -> Iterator[tuple[int, Load]]:
        for position, picture in enumerate(wanted):
            yield position, partial(read_file, picture.key)

    return Source(name, about, False, 64, classes, sort_images(pictures), load)
