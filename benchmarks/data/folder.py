"""Images with classes by folder or file name, in a directory or an archive."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import takewhile
from pathlib import Path

from lossbench.benchmarks.errors import UserError

from .archive import TAR_SUFFIXES, Reader, open_reader
from .directory import FileInfo
from .listing_cache import Listing, cached_listing
from .sources import (
    CATS_AND_DOGS,
    ImageInfo,
    ImageSource,
    SplitName,
    check_every_class,
    fingerprint_of,
    sort_images,
)

ALIASES: dict[str, SplitName] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
KAGGLE_NAME = re.compile(r"([a-z]+)[ ._-]?\(?\d+\)?\.[a-z0-9]+", re.IGNORECASE)
OTHER_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("csv", "db", "html", "ini", "json", "log", "mat", "md", "npy", "pdf", "py", "tsv"),
        *("txt", "xml", "yaml", "yml", "zip"),
    )
)
"""Suffixes of files that accompany images; they are left out without a message."""
TEST_FRACTION = 0.2


def path_source(
    path: Path,
    *,
    name: str | None = None,
    description: str | None = None,
    image_size: int = 64,
    classes: tuple[str, ...] = CATS_AND_DOGS,
) -> ImageSource:
    """Create a source from a directory or an archive.

    The class of an image is the innermost folder named like a class, such as cat or cats in any
    case; else the start of a file name like `cat.123.jpg`. Its split is the innermost folder named
    train, training, val, valid, validation, test or testing, optionally followed by `_set`. Without
    a test split the validation folder is the test split. Without either, a fixed 20 % of each class
    is the test split, selected by file names alone.

    Args:
        path: a directory, .zip, .tar, .tar.gz or .tgz.
        name: name of the source; None: the last part of the path, without archive suffix.
        description: one line; None: made from the path and what was left out.
        image_size: natural image size in pixels.
        classes: lower-case class names by label; images of other classes are left out.

    Raises:
        UserError: nothing exists at the path, the archive is unknown or damaged, or a class or
            split is missing.
    """
    reader = open_reader(path)
    listed = cache(lambda: _list_images(reader, classes))

    def make() -> Listing:
        images, about = listed()
        return fingerprint_of(images), about

    fingerprint, about = cached_listing(path, classes, reader.files, make)
    return ImageSource(
        name=name or _default_name(path),
        description=about if description is None else description,
        synthetic=False,
        image_size=image_size,
        classes=classes,
        fingerprint=fingerprint,
        images=lambda: listed()[0],
        load=lambda images: reader.load([image.key for image in images]),
    )


def _list_images(reader: Reader, classes: tuple[str, ...]) -> tuple[tuple[ImageInfo, ...], str]:
    """List the images that a reader finds, with their description. Raises UserError."""
    path, labels = reader.path, class_labels(classes)
    files = [
        file
        for file in reader.infolist(lambda parts: find_label(parts, labels) is not None)
        if not _is_system_file(file.parts)
    ]
    images = _label(files, labels)
    _check_found(path, files, images, classes)
    images, note = _assign_test_split(images)
    check_every_class(images, classes, str(path), "add images to the folder that is short of them")
    what = "cats and dogs" if classes == CATS_AND_DOGS else f"{len(classes)} classes"
    about = "; ".join([f"{what} of {path}", *note, *_describe_others(files, labels)])
    return sort_images(images), about


def class_labels(classes: tuple[str, ...]) -> dict[str, int]:
    """Map class names, singular and plural, to labels."""
    return {name + end: label for label, name in enumerate(classes) for end in ("", "s")}


def find_label(parts: tuple[str, ...], labels: Mapping[str, int]) -> int | None:
    """Return the label that a file's path names, or None."""
    if _is_system_file(parts) or _is_other_file(parts):
        return None
    for folder in reversed(parts[:-1]):
        if folder.lower() in labels:
            return labels[folder.lower()]
    match = KAGGLE_NAME.fullmatch(parts[-1])
    return labels.get(match[1].lower()) if match else None


def find_split(parts: tuple[str, ...]) -> SplitName | None:
    """Return the split that a file's path names, or None."""
    for folder in reversed(parts[:-1]):
        alias = re.sub(r"[ _-]set$", "", folder.lower())
        if alias in ALIASES:
            return ALIASES[alias]
    return None


def _is_system_file(parts: tuple[str, ...]) -> bool:
    # macOS writes __MACOSX/cat/._1.jpg beside every cat/1.jpg; Windows writes Thumbs.db.
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return hidden or parts[-1].lower() in ("thumbs.db", "desktop.ini")


def _is_other_file(parts: tuple[str, ...]) -> bool:
    return os.path.splitext(parts[-1])[1].lower() in OTHER_SUFFIXES


def _label(files: Sequence[FileInfo], labels: Mapping[str, int]) -> list[ImageInfo]:
    """Return the files that have a class, with their split: 'train' if the path names none."""
    found = [(f, label) for f in files if (label := find_label(f.parts, labels)) is not None]
    # Names leave out the folders that all images share, so neither the split nor the fingerprint
    # depends on the name of the folder around them.
    shared = _count_shared_folders([file.parts for file, _ in found])
    return [
        ImageInfo(
            name=_printable("/".join(file.parts[shared:])),
            split=find_split(file.parts) or "train",
            label=label,
            key=file.key,
            digest=file.digest,
        )
        for file, label in found
    ]


def _count_shared_folders(paths: Sequence[tuple[str, ...]]) -> int:
    """Count the leading folders that all paths share."""
    if not paths:
        return 0
    first, last = min(paths), max(paths)
    both = zip(first[:-1], last[:-1], strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], both))


def _printable(name: str) -> str:
    # A name is shown in terminals and pages: no escape sequences, no undecodable bytes.
    return "".join(c if c.isprintable() else "?" for c in name)


def _check_found(
    path: Path, files: Sequence[FileInfo], images: Sequence[ImageInfo], classes: tuple[str, ...]
) -> None:
    """Raise UserError unless every class has an image; the message lists what was found."""
    counts = Counter(image.label for image in images)
    if len(counts) == len(classes):
        return
    found = ", ".join(f"{counts[label]:,} {name}" for label, name in enumerate(classes))
    folders = sorted({_printable(file.parts[-2]) for file in files if len(file.parts) > 1})
    seen = f"folders: {_shorten(folders)}" if folders else "no folders"
    inner = sorted(
        f.parts[-1] for f in files if f.parts[-1].lower().endswith((".zip", *TAR_SUFFIXES))
    )
    hint = f"; unpack the archives inside it first: {_shorten(inner)}" if inner else ""
    raise UserError(
        f"{path}: images of every class are needed, but found {found} among {len(files):,} files "
        f"({seen}); put them into folders named {', '.join(classes)}, or name the files like "
        f"{classes[0]}.1.jpg{hint}"
    )


def _assign_test_split(images: list[ImageInfo]) -> tuple[list[ImageInfo], list[str]]:
    """Make a test split if there is none; return the images and a note about the split."""
    splits = Counter(image.split for image in images)
    if splits["test"] and splits["validation"]:
        count = splits["validation"]
        return images, [f"validation split: the validation folder ({count:,} images)"]
    if splits["test"]:
        return images, []
    if splits["validation"]:
        chosen = {image for image in images if image.split == "validation"}
        note = "test split: the validation folder"
    else:
        chosen = _select_test(images)
        note = f"test split: a fixed {TEST_FRACTION:.0%} of each class"
    return [replace(i, split="test") if i in chosen else i for i in images], [note]


def _select_test(images: Sequence[ImageInfo]) -> set[ImageInfo]:
    # Ranked by a hash of the name: as random as a seeded shuffle, and the same in any file order.
    chosen: set[ImageInfo] = set()
    for label in {image.label for image in images}:
        members = [image for image in images if image.label == label]
        members.sort(key=lambda image: hashlib.sha256(f"lossbench:{image.name}".encode()).digest())
        chosen.update(members[: max(1, round(TEST_FRACTION * len(members)))])
    return chosen


def _describe_others(files: Sequence[FileInfo], labels: Mapping[str, int]) -> list[str]:
    """Return the part of the description that counts files of other folders, if there are any."""
    others = Counter(
        _printable(file.parts[-2])
        for file in files
        if len(file.parts) > 1
        and find_label(file.parts, labels) is None
        and not _is_other_file(file.parts)
    )
    if not others:
        return []
    return [f"left out: {others.total():,} files of other folders ({_shorten(sorted(others))})"]


def _shorten(names: Sequence[str]) -> str:
    more = f" and {len(names) - 8:,} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + more


def _default_name(path: Path) -> str:
    name = path.resolve().name
    for suffix in (*TAR_SUFFIXES, ".zip"):
        name = name[: -len(suffix)] if name.lower().endswith(suffix) else name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-") or "images"
