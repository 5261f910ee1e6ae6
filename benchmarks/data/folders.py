"""Cats and dogs in folders or file names, in a directory or an archive."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from benchmarks.data.archives import TAR_SUFFIXES, Entry, open_store
from benchmarks.data.sources import Load, Picture, Source, arranged, check_both_classes
from benchmarks.errors import UserError

LABELS = {"cat": 1, "cats": 1, "dog": 0, "dogs": 0}
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
KAGGLE_NAME = re.compile(r"(cats?|dogs?)[ ._-]?\(?\d+\)?\.[a-z0-9]+", re.IGNORECASE)
# What lies about beside images: nobody means these as pictures, so nobody is told about them.
NOT_IMAGES = frozenset(
    f".{suffix}"
    for suffix in (
        *("csv", "db", "html", "ini", "json", "log", "mat", "md", "npy", "pdf", "py", "tsv"),
        *("txt", "xml", "yaml", "yml", "zip"),
    )
)
TEST_FRACTION = 0.2
WANTED = "wanted are folders named cat and dog, or files named cat.1.jpg and dog.1.jpg"


@dataclass(frozen=True)
class _Labelled:
    entry: Entry
    name: str
    label: int
    split: str | None


def path_source(
    path: Path, *, name: str | None = None, description: str | None = None, image_size: int = 64
) -> Source:
    """Cats and dogs at a path.

    A picture's class is the innermost folder above it named cat, cats, dog or dogs (in any
    case), else the beginning of a name like `cat.123.jpg`; its split is the innermost folder
    named train, training, val, valid, validation, test or testing (`_set` may follow). Without
    a test split the validation folder is the test split; with neither, a fixed 20 % of each
    class is, chosen by the pictures' names alone. With both, the validation folder is left out.

    Args:
        path: a directory, .zip, .tar, .tar.gz or .tgz.
        name: the source's name; by default the path's last part without archive suffix.
        description: one line; by default it is made from the path and what was left out.
        image_size: the natural size in pixels.

    Raises:
        UserError: there is nothing at the path, it is no known or a damaged archive, or one of
            the classes or splits is missing.
    """
    store = open_store(path)
    entries = [e for e in store.entries(_is_labelled) if not _is_litter(e.parts)]
    labelled = _labelled(entries)
    _check_classes(path, entries, labelled)
    pictures, notes = _split(labelled)
    check_both_classes(pictures, str(path), "add images to the folder that is short of them")

    def load(wanted: Sequence[Picture]) -> Iterator[tuple[int, Load]]:
        return store.load([picture.key for picture in wanted])

    others = _left_out(entries)
    made = "; ".join([f"cats and dogs of {path}", *notes, *([others] if others else [])])
    return Source(
        name=name or _name_of(path),
        description=description or made,
        synthetic=False,
        image_size=image_size,
        pictures=arranged(pictures),
        load=load,
    )


def label_of(parts: tuple[str, ...]) -> int | None:
    """1 for a cat, 0 for a dog, None for neither, from the parts of a file's path."""
    if _is_litter(parts) or Path(parts[-1]).suffix.lower() in NOT_IMAGES:
        return None
    for folder in reversed(parts[:-1]):
        if folder.lower() in LABELS:
            return LABELS[folder.lower()]
    match = KAGGLE_NAME.fullmatch(parts[-1])
    return LABELS[match[1].lower()] if match else None


def split_of(parts: tuple[str, ...]) -> str | None:
    """'train', 'val', 'test' or, where no folder says so, None."""
    for folder in reversed(parts[:-1]):
        alias = re.sub(r"[ _-]set$", "", folder.lower())
        if alias in SPLITS:
            return SPLITS[alias]
    return None


def _is_labelled(parts: tuple[str, ...]) -> bool:
    return label_of(parts) is not None


def _is_litter(parts: tuple[str, ...]) -> bool:
    # macOS writes __MACOSX/cat/._1.jpg beside every cat/1.jpg; Windows writes Thumbs.db.
    return any(part.startswith(".") or part == "__MACOSX" for part in parts) or parts[
        -1
    ].lower() in ("thumbs.db", "desktop.ini")


def _labelled(entries: Sequence[Entry]) -> list[_Labelled]:
    found = [(e, label) for e in entries if (label := label_of(e.parts)) is not None]
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


def _check_classes(path: Path, entries: Sequence[Entry], labelled: Sequence[_Labelled]) -> None:
    cats = sum(item.label for item in labelled)
    dogs = len(labelled) - cats
    if cats and dogs:
        return
    folders = sorted({_printable(e.parts[-2]) for e in entries if len(e.parts) > 1})
    seen = f"folders seen: {_some(folders)}" if folders else "no folders"
    inner = sorted(
        e.parts[-1] for e in entries if e.parts[-1].lower().endswith((".zip", *TAR_SUFFIXES))
    )
    hint = f"; unpack the archives inside it first: {_some(inner)}" if inner else ""
    raise UserError(
        f"{path}: both cats and dogs are needed, but found {cats:,} cats and {dogs:,} dogs among "
        f"{len(entries):,} files ({seen}); {WANTED}{hint}"
    )


def _split(labelled: Sequence[_Labelled]) -> tuple[list[Picture], list[str]]:
    """The pictures with a split each, and notes on how it came about."""
    splits = {item.split for item in labelled}
    notes = []
    if "test" in splits:
        roles = {"test": "test", "val": None}
        if "val" in splits:
            count = sum(item.split == "val" for item in labelled)
            notes.append(f"validation folder left out ({count:,} images)")
    elif "val" in splits:
        roles = {"val": "test"}
        notes.append("test split: the validation folder")
    else:
        roles = {}
        notes.append(f"test split: a fixed {TEST_FRACTION:.0%} of each class")
    held_out = set() if roles else _held_out(labelled)
    pictures = []
    for item in labelled:
        role = roles.get(item.split or "", "train")
        if role is not None:
            is_test = role == "test" or item in held_out
            digest, key = item.entry.digest, item.entry.key
            pictures.append(
                Picture(item.name, "test" if is_test else "train", item.label, key, digest)
            )
    return pictures, notes


def _held_out(labelled: Sequence[_Labelled]) -> set[_Labelled]:
    # Ranked by a hash of the name: as good as a seeded shuffle, and the same in any file order.
    chosen: set[_Labelled] = set()
    for label in (0, 1):
        members = [item for item in labelled if item.label == label]
        members.sort(key=lambda item: hashlib.sha256(f"lossbench:{item.name}".encode()).digest())
        chosen.update(members[: max(1, round(TEST_FRACTION * len(members)))])
    return chosen


def _left_out(entries: Sequence[Entry]) -> str:
    """What the description says of other classes, '' where there are none."""
    others = Counter(
        _printable(entry.parts[-2])
        for entry in entries
        if len(entry.parts) > 1
        and label_of(entry.parts) is None
        and Path(entry.parts[-1]).suffix.lower() not in NOT_IMAGES
    )
    if not others:
        return ""
    return f"left out: {others.total():,} files of other folders ({_some(sorted(others))})"


def _some(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _name_of(path: Path) -> str:
    name = path.resolve().name
    for suffix in (*TAR_SUFFIXES, ".zip"):
        name = name[: -len(suffix)] if name.lower().endswith(suffix) else name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-") or "images"
