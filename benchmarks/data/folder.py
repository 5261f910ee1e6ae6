"""Classes as folders or file names, in a directory or an archive."""

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
from .listing_cache import Known, remembered
from .sources import (
    CATS_AND_DOGS,
    Load,
    OnDemand,
    Source,
    SourceImage,
    SplitName,
    arranged,
    check_every_class,
    fingerprint_of,
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
    """Images of some classes at a path.

    A picture's class is the innermost folder above it named like one, say cat or cats (in any
    case), else the beginning of a name like `cat.123.jpg`; its split is the innermost folder
    named train, training, val, valid, validation, test or testing (`_set` may follow). Without
    a test split the validation folder is the test split; with neither, a fixed 20 % of each
    class is, chosen by the pictures' names alone.

    Args:
        path: a directory, .zip, .tar, .tar.gz or .tgz.
        name: the source's name; by default the path's last part without archive suffix.
        description: one line; by default it is made from the path and what was left out.
        image_size: the natural size in pixels.
        classes: the classes' names by label, in lower case; what is of none is left out.

    Raises:
        UserError: there is nothing at the path, it is no known or a damaged archive, or one of
            the classes or splits is missing.
    """
    store = open_store(path)
    listed = cache(lambda: _listed(store, classes))

    def look() -> Known:
        pictures, about = listed()
        return Known(fingerprint_of(pictures), about)

    def load(wanted: Sequence[SourceImage]) -> Iterator[tuple[int, Load]]:
        return store.load([picture.key for picture in wanted])

    known = remembered(path, classes, store.files, look)
    return Source(
        name=name or _name_of(path),
        description=known.description if description is None else description,
        synthetic=False,
        image_size=image_size,
        classes=classes,
        pictures=OnDemand(lambda: listed()[0]),
        load=load,
        known_fingerprint=known.fingerprint,
    )


def _listed(store: Store, classes: tuple[str, ...]) -> tuple[tuple[SourceImage, ...], str]:
    """The pictures of a store, and what there is to say of them. Raises UserError."""
    path, labels = store.path, labels_of(classes)
    entries = [
        entry
        for entry in store.entries(lambda parts: label_of(parts, labels) is not None)
        if not _is_litter(entry.parts)
    ]
    labelled = _labelled(entries, labels)
    _check_found(path, entries, labelled, classes)
    pictures, notes = _split(labelled)
    remedy = "add images to the folder that is short of them"
    check_every_class(pictures, classes, str(path), remedy)
    what = "cats and dogs" if classes == CATS_AND_DOGS else f"{len(classes)} classes"
    about = "; ".join([f"{what} of {path}", *notes, *_left_out(entries, labels)])
    return arranged(pictures), about


def labels_of(classes: tuple[str, ...]) -> dict[str, int]:
    """The label of each class's name, in the singular and in the plural."""
    return {name + end: label for label, name in enumerate(classes) for end in ("", "s")}


def label_of(parts: tuple[str, ...], labels: Mapping[str, int]) -> int | None:
    """The label that the parts of a file's path speak of, None where there is none."""
    if _is_litter(parts) or _is_no_image(parts):
        return None
    for folder in reversed(parts[:-1]):
        if folder.lower() in labels:
            return labels[folder.lower()]
    match = KAGGLE_NAME.fullmatch(parts[-1])
    return labels.get(match[1].lower()) if match else None


def split_of(parts: tuple[str, ...]) -> SplitName | None:
    """'train', 'validation', 'test' or, where no folder says so, None."""
    for folder in reversed(parts[:-1]):
        alias = re.sub(r"[ _-]set$", "", folder.lower())
        if alias in ALIASES:
            return ALIASES[alias]
    return None


def _is_litter(parts: tuple[str, ...]) -> bool:
    # macOS writes __MACOSX/cat/._1.jpg beside every cat/1.jpg; Windows writes Thumbs.db.
    return any(part.startswith(".") or part == "__MACOSX" for part in parts) or parts[
        -1
    ].lower() in ("thumbs.db", "desktop.ini")


def _is_no_image(parts: tuple[str, ...]) -> bool:
    return os.path.splitext(parts[-1])[1].lower() in NOT_IMAGES


def _labelled(entries: Sequence[Entry], labels: Mapping[str, int]) -> list[_Labelled]:
    found = [(e, label) for e in entries if (label := label_of(e.parts, labels)) is not None]
    # The names leave out the folders that all pictures share, so that neither the split nor the
    # fingerprint depends on what somebody called the folder around them.
    shared = _shared_folders([entry.parts for entry, _ in found])
    return [
        _Labelled(entry, _printable("/".join(entry.parts[shared:])), label, split_of(entry.parts))
        for entry, label in found
    ]


def _shared_folders(paths: Sequence[tuple[str, ...]]) -> int:
    """How many leading folders all the paths have in common."""
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
    counts = Counter(item.label for item in labelled)
    if len(counts) == len(classes):
        return
    found = ", ".join(f"{counts[label]:,} {name}" for label, name in enumerate(classes))
    folders = sorted({_printable(e.parts[-2]) for e in entries if len(e.parts) > 1})
    seen = f"folders seen: {_some(folders)}" if folders else "no folders"
    inner = sorted(
        e.parts[-1] for e in entries if e.parts[-1].lower().endswith((".zip", *TAR_SUFFIXES))
    )
    hint = f"; unpack the archives inside it first: {_some(inner)}" if inner else ""
    raise UserError(
        f"{path}: images of every class are needed, but found {found} among {len(entries):,} files "
        f"({seen}); wanted are folders named {', '.join(classes)}, or files named like "
        f"{classes[0]}.1.jpg{hint}"
    )


def _split(labelled: Sequence[_Labelled]) -> tuple[list[SourceImage], list[str]]:
    """The pictures with a split each, and notes on how it came about."""
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


def _left_out(entries: Sequence[Entry], labels: Mapping[str, int]) -> list[str]:
    """What the description says of other classes, if there are any."""
    others = Counter(
        _printable(entry.parts[-2])
        for entry in entries
        if len(entry.parts) > 1
        and label_of(entry.parts, labels) is None
        and not _is_no_image(entry.parts)
    )
    if not others:
        return []
    return [f"left out: {others.total():,} files of other folders ({_some(sorted(others))})"]


def _some(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _name_of(path: Path) -> str:
    name = path.resolve().name
    for suffix in (*TAR_SUFFIXES, ".zip"):
        name = name[: -len(suffix)] if name.lower().endswith(suffix) else name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-") or "images"
