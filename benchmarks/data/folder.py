"""Images with classes by folder or file name, in a directory or an archive."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path

from lossbench.benchmarks.errors import UserError

from .archive import TAR_SUFFIXES, Entry, Store, open_store
from .listing_cache import Listing, cached_listing
from .sources import (
    CATS_AND_DOGS,
    LazyImages,
    Load,
    Source,
    SourceImage,
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
# What lies about beside images: nobody means these as pictures, so nobody is told about them.
NOT_IMAGES = frozenset(
    f".{suffix}"
    for suffix in (
        *("csv", "db", "html", "ini", "json", "log", "mat", "md", "npy", "pdf", "py", "tsv"),
        *("txt", "xml", "yaml", "yml", "zip"),
    )
)
TEST_FRACTION = 0.2


@dataclass(frozen=True)
class _Labelled:
    """A file with its class, its split and its printable name."""

    entry: Entry
    name: str
    label: int
    split: SplitName | None


def path_source(
    path: Path,
    *,
    name: str | None = None,
    description: str | None = None,
    image_size: int = 64,
    classes: tuple[str, ...] = CATS_AND_DOGS,
) -> Source:
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
    store = open_store(path)
    listed = cache(lambda: _list_images(store, classes))

    def look() -> Listing:
        pictures, about = listed()
        return Listing(fingerprint_of(pictures), about)

    def load(wanted: Sequence[SourceImage]) -> Iterator[tuple[int, Load]]:
        return store.load([picture.key for picture in wanted])

    known = cached_listing(path, classes, store.files, look)
    return Source(
        name=name or _default_name(path),
        description=known.description if description is None else description,
        synthetic=False,
        image_size=image_size,
        classes=classes,
        pictures=LazyImages(lambda: listed()[0]),
        load=load,
        known_fingerprint=known.fingerprint,
    )


def _list_images(store: Store, classes: tuple[str, ...]) -> tuple[tuple[SourceImage, ...], str]:
    """List the images of a store, with their description. Raises UserError."""
    path, labels = store.path, class_labels(classes)
    entries = [
        entry
        for entry in store.entries(lambda parts: find_label(parts, labels) is not None)
        if not _is_system_file(entry.parts)
    ]
    labelled = _label(entries, labels)
    _check_found(path, entries, labelled, classes)
    pictures, notes = _assign_splits(labelled)
    remedy = "add images to the folder that is short of them"
    check_every_class(pictures, classes, str(path), remedy)
    what = "cats and dogs" if classes == CATS_AND_DOGS else f"{len(classes)} classes"
    about = "; ".join([f"{what} of {path}", *notes, *_describe_others(entries, labels)])
    return sort_images(pictures), about


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
    return any(part.startswith(".") or part == "__MACOSX" for part in parts) or parts[
        -1
    ].lower() in ("thumbs.db", "desktop.ini")


def _is_other_file(parts: tuple[str, ...]) -> bool:
    return os.path.splitext(parts[-1])[1].lower() in NOT_IMAGES


def _label(entries: Sequence[Entry], labels: Mapping[str, int]) -> list[_Labelled]:
    found = [(e, label) for e in entries if (label := find_label(e.parts, labels)) is not None]
    # The names leave out the folders that all pictures share, so that neither the split nor the
    # fingerprint depends on what somebody called the folder around them.
    shared = _shared_folders([entry.parts for entry, _ in found])
    return [
        _Labelled(entry, _printable("/".join(entry.parts[shared:])), label, find_split(entry.parts))
        for entry, label in found
    ]


def _shared_folders(paths: Sequence[tuple[str, ...]]) -> int:
    """Return the number of leading folders that all paths share."""
    if not paths:
        return 0
    first, last = min(paths), max(paths)
    pairs = zip(first[:-1], last[:-1], strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _printable(name: str) -> str:
    # A name goes to terminals and pages: no escape sequences, no undecodable bytes.
    return "".join(c if c.isprintable() else "?" for c in name)


def _check_found(
    path: Path,
    entries: Sequence[Entry],
    labelled: Sequence[_Labelled],
    classes: tuple[str, ...],
) -> None:
    """Raise UserError unless every class has an image; the message lists what was found."""
    counts = Counter(item.label for item in labelled)
    if len(counts) == len(classes):
        return
    found = ", ".join(f"{counts[label]:,} {name}" for label, name in enumerate(classes))
    folders = sorted({_printable(e.parts[-2]) for e in entries if len(e.parts) > 1})
    seen = f"folders seen: {_shorten(folders)}" if folders else "no folders"
    inner = sorted(
        e.parts[-1] for e in entries if e.parts[-1].lower().endswith((".zip", *TAR_SUFFIXES))
    )
    hint = f"; unpack the archives inside it first: {_shorten(inner)}" if inner else ""
    raise UserError(
        f"{path}: images of every class are needed, but found {found} among {len(entries):,} files "
        f"({seen}); wanted are folders named {', '.join(classes)}, or files named like "
        f"{classes[0]}.1.jpg{hint}"
    )


def _assign_splits(labelled: Sequence[_Labelled]) -> tuple[list[SourceImage], list[str]]:
    """Assign each image to a split; return the images and notes on how the splits were made."""
    splits = Counter(item.split or "train" for item in labelled)
    held_out: set[_Labelled] = set()
    notes = []
    if splits["test"] and splits["validation"]:
        notes.append(f"validation split: the validation folder ({splits['validation']:,} images)")
    elif splits["validation"]:
        held_out = {item for item in labelled if item.split == "validation"}
        notes.append("test split: the validation folder")
    elif not splits["test"]:
        held_out = _held_out(labelled)
        notes.append(f"test split: a fixed {TEST_FRACTION:.0%} of each class")
    pictures = [
        SourceImage(
            name=item.name,
            split="test" if item in held_out else item.split or "train",
            label=item.label,
            key=item.entry.key,
            digest=item.entry.digest,
        )
        for item in labelled
    ]
    return pictures, notes


def _held_out(labelled: Sequence[_Labelled]) -> set[_Labelled]:
    # Ranked by a hash of the name: as good as a seeded shuffle, and the same in any file order.
    chosen: set[_Labelled] = set()
    for label in sorted({item.label for item in labelled}):
        members = [item for item in labelled if item.label == label]
        members.sort(key=lambda item: hashlib.sha256(f"lossbench:{item.name}".encode()).digest())
        chosen.update(members[: max(1, round(TEST_FRACTION * len(members)))])
    return chosen


def _describe_others(entries: Sequence[Entry], labels: Mapping[str, int]) -> list[str]:
    """Return the part of the description that counts files of other folders, if there are any."""
    others = Counter(
        _printable(entry.parts[-2])
        for entry in entries
        if len(entry.parts) > 1
        and find_label(entry.parts, labels) is None
        and not _is_other_file(entry.parts)
    )
    if not others:
        return []
    return [f"left out: {others.total():,} files of other folders ({_shorten(sorted(others))})"]


def _shorten(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _default_name(path: Path) -> str:
    name = path.resolve().name
    for suffix in (*TAR_SUFFIXES, ".zip"):
        name = name[: -len(suffix)] if name.lower().endswith(suffix) else name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-") or "images"
