"""Oxford-IIIT Pet, from a directory or downloaded."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lossbench.benchmarks.errors import UserError

from .directory import digest, read_file
from .download import Archive, download
from .folder import default_name
from .sources import (
    CATS_AND_DOGS,
    Composition,
    ImageInfo,
    ImageSource,
    Say,
    SplitName,
    cache_home,
    check_every_class,
    data_directory,
    listed_source,
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

LabelledPath = tuple[SplitName, Path, int]
"""Split, path (the file may be missing) and label of a photograph."""


def oxford_pets(say: Say) -> ImageSource:
    """Find Oxford-IIIT Pet with the species as label: its trainval and test lists.

    LOSSBENCH_DATA is searched for `oxford-iiit-pet`, then earlier downloads; else it is downloaded.
    Images that are listed but missing are skipped when decoded.

    Args:
        say: takes a message when a download begins.

    Raises:
        UserError: the files found are damaged, or LOSSBENCH_DATA is not a directory.
        UnavailableError: the images are neither found nor downloaded.
    """
    root = _find(say)
    about = "photographs of cats and dogs, Oxford-IIIT Pet"
    return _source("oxford-pets", about, CATS_AND_DOGS, _read_annotations(root), root)


def oxford_breeds(say: Say) -> ImageSource:
    """Find Oxford-IIIT Pet with the breed as label, in alphabetical order.

    A breed needs at least 20 images in trainval and one in test. The images are searched for as by
    `oxford_pets`.

    Args:
        say: takes a message when a download begins.

    Raises:
        UserError: the files found are damaged, fewer than two breeds have enough images, or
            LOSSBENCH_DATA is not a directory.
        UnavailableError: the images are neither found nor downloaded.
    """
    root = _find(say)
    annotations = _read_annotations(root)
    counts = Counter((split, _breed(path)) for split, path, _ in annotations if path.is_file())
    breeds = {_breed(path) for _, path, _ in annotations}
    kept = sorted(b for b in breeds if counts["train", b] >= MIN_BREED_IMAGES and counts["test", b])
    if len(kept) < 2:
        raise UserError(
            f"{str(root)!r} has {len(kept)} breed(s) with {MIN_BREED_IMAGES} or more photographs "
            "to train on, and two are needed; replace it with a complete copy"
        )
    about = f"photographs of {len(kept)} breeds of cats and dogs, Oxford-IIIT Pet"
    if left_out := len(breeds) - len(kept):
        few = f"fewer than {MIN_BREED_IMAGES} to train on or none to test"
        about += f"; left out: {left_out} breeds with {few}"
    labelled = [
        (split, path, kept.index(_breed(path)))
        for split, path, _ in annotations
        if _breed(path) in kept
    ]
    return _source("oxford-breeds", about, tuple(kept), labelled, root)


def oxford_folder(path: Path) -> ImageSource | None:
    """Return the source of a folder of the user's in the layout of Oxford-IIIT Pet, or None.

    Its lists say the splits, so that no image of the official test split is trained on.

    Raises:
        UserError: the lists are damaged, or a class has no image in a split.
    """
    lists = [path / "annotations" / file for file in LISTS.values()]
    if not (path / "images").is_dir() or not all(file.is_file() for file in lists):
        return None
    about, labelled = f"cats and dogs of {path}", _read_annotations(path)
    source = _source(default_name(path), about, CATS_AND_DOGS, labelled, path)
    origins = {split: f"from annotations/{file}" for split, file in LISTS.items()}
    return replace(source, composition=Composition(origins))


def _breed(path: Path) -> str:
    """Return the breed of a file, 'American Bulldog' for american_bulldog_12.jpg."""
    return path.stem.rpartition("_")[0].replace("_", " ").title()


def _find(say: Say) -> Path:
    """Return the folder of Oxford-IIIT Pet; download it if need be."""
    for directory in (data_directory(), cache_home() / "downloads"):
        if directory is not None and (directory / FOLDER).is_dir():
            return directory / FOLDER
    return download("Oxford-IIIT Pet (800 MB)", FOLDER, ARCHIVES, MEMBERS, say) / FOLDER


def _read_annotations(root: Path) -> list[LabelledPath]:
    """Read the annotations, with the species as label. Raises UserError if they are damaged."""
    try:
        return [
            (split, *_parse_line(root / "images", line))
            for split, file in LISTS.items()
            for line in (root / "annotations" / file).read_text(encoding="utf-8").splitlines()
        ]
    except (OSError, ValueError) as error:
        raise UserError(
            f"{str(root)!r} is damaged or incomplete ({error}); "
            "remove it or replace it, and start again"
        ) from error


def _parse_line(folder: Path, line: str) -> tuple[Path, int]:
    """Parse a line 'Abyssinian_100 1 1 1': name, breed number, species number, and one more."""
    name, _, species, _ = line.split()
    # A name becomes a path.
    if not re.fullmatch(r"[\w-]+", name) or species not in SPECIES:
        raise ValueError(f"{line!r} is not a line of the annotations")
    return folder / f"{name}.jpg", CATS_AND_DOGS.index(SPECIES[species])


def _source(
    name: str,
    about: str,
    classes: tuple[str, ...],
    labelled: Sequence[LabelledPath],
    root: Path,
) -> ImageSource:
    """Create the source of labelled photographs."""
    images = [
        ImageInfo(path.stem, split, label, path, digest(read_file(path)))
        for split, path, label in labelled
    ]
    check_every_class(images, classes, str(root), "replace it with a complete copy")
    return listed_source(name, about, classes, images, Path, image_size=64)
