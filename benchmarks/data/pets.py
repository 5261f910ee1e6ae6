"""The photographs of Oxford-IIIT Pet: found in a directory, or downloaded."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from lossbench.benchmarks.errors import UserError

from .archive import file_digest, read_file
from .download import Archive, downloaded
from .sources import (
    CATS_AND_DOGS,
    Load,
    Say,
    Source,
    SourceImage,
    SplitName,
    arranged,
    cache_home,
    check_every_class,
    data_directory,
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
FEWEST_OF_BREED = 20
"""Photographs to train on that a breed needs to be a class."""

Labelled = Mapping[SplitName, Sequence[tuple[Path, int]]]
"""The photographs of each split with their labels."""


class _Listed(NamedTuple):
    """A line of the annotations: a photograph, there or not, and its label by species."""

    path: Path
    label: int


def oxford_pets(say: Say) -> Source:
    """The photographs of Oxford-IIIT Pet, species as label: trainval to train on, and test.

    Looked for as `oxford-iiit-pet` in the directory LOSSBENCH_DATA, then among earlier
    downloads, else downloaded. Pictures that the annotations list and that are missing are
    skipped when they are decoded.

    Args:
        say: is told when a download begins.

    Raises:
        UserError: what was found is damaged, or LOSSBENCH_DATA is no directory.
        UnavailableError: it is nowhere to be found and can't be downloaded.
    """
    root = _root(say)
    about = "photographs of cats and dogs, Oxford-IIIT Pet"
    return _photographs("oxford-pets", about, CATS_AND_DOGS, _listed(root), root)


def oxford_breeds(say: Say) -> Source:
    """The photographs of Oxford-IIIT Pet, breed as label, in alphabetical order: those breeds
    that have at least 20 photographs in trainval, to train on, and one in test.

    Looked for as `oxford_pets` is; arguments and errors are the same, and a UserError if fewer
    than two breeds have so many.
    """
    root = _root(say)
    paths = {split: [each.path for each in those] for split, those in _listed(root).items()}
    there = {
        split: Counter(_breed(path) for path in those if path.is_file())
        for split, those in paths.items()
    }
    breeds = {_breed(path) for those in paths.values() for path in those}
    kept = sorted(b for b in breeds if there["train"][b] >= FEWEST_OF_BREED and there["test"][b])
    if len(kept) < 2:
        raise UserError(
            f"{str(root / FOLDER)!r} has {len(kept)} breed(s) with {FEWEST_OF_BREED} or more "
            "photographs to train on, and two are needed; replace it with a complete copy"
        )
    labelled: Labelled = {
        split: [(path, kept.index(_breed(path))) for path in those if _breed(path) in kept]
        for split, those in paths.items()
    }
    about = f"photographs of {len(kept)} breeds of cats and dogs, Oxford-IIIT Pet"
    if left_out := len(breeds) - len(kept):
        few = f"fewer than {FEWEST_OF_BREED} to train on or none to test"
        about += f"; left out: {left_out} breeds with {few}"
    return _photographs("oxford-breeds", about, tuple(kept), labelled, root)


def _breed(path: Path) -> str:
    """'American Bulldog' of american_bulldog_12.jpg."""
    return path.stem.rpartition("_")[0].replace("_", " ").title()


def _root(say: Say) -> Path:
    """The directory that Oxford-IIIT Pet is in, downloaded if need be."""
    for directory in (data_directory(), cache_home() / "downloads"):
        if directory is not None and (directory / FOLDER).is_dir():
            return directory
    return downloaded("Oxford-IIIT Pet (800 MB)", FOLDER, ARCHIVES, MEMBERS, say)


def _listed(root: Path) -> dict[SplitName, list[_Listed]]:
    """The photographs that the annotations list, by split. Raises UserError."""
    folder = root / FOLDER
    found: dict[SplitName, list[_Listed]] = {}
    try:
        for split, file in LISTS.items():
            lines = (folder / "annotations" / file).read_text(encoding="utf-8").splitlines()
            found[split] = [_line(folder / "images", line) for line in lines]
    except (OSError, ValueError) as error:
        raise UserError(
            f"{str(folder)!r} is damaged or incomplete ({error}); "
            "remove it or replace it, and start again"
        ) from error
    return found


def _line(folder: Path, line: str) -> _Listed:
    """'Abyssinian_100 1 1 1': a name, the number of a breed, that of a species, and one more."""
    name, _, species, _ = line.split()
    # A name becomes a path.
    if not re.fullmatch(r"[\w-]+", name) or species not in SPECIES:
        raise ValueError(f"{line!r} is no line of the annotations")
    return _Listed(folder / f"{name}.jpg", CATS_AND_DOGS.index(SPECIES[species]))


def _photographs(
    name: str,
    about: str,
    classes: tuple[str, ...],
    labelled: Labelled,
    root: Path,
) -> Source:
    """Photographs of Oxford-IIIT Pet with a label each."""
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

    return Source(name, about, False, 64, classes, arranged(pictures), load)
