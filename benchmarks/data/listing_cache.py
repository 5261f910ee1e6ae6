"""Listings of directories and archives, kept from one start to the next.

Listing and hashing 100,000 images takes seconds to minutes; checking that no file has changed takes
half a second. A file counts as unchanged if its name, size, inode and times are the same. Like git,
this trusts no file that changed just before it was listed: the clock of a file system may be too
coarse to tell the next change apart.
"""

import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lossbench.benchmarks.records.files import write_json

from .sources import cache_home

FORMAT = 1  # count up when the same files become other pictures
SETTLED_SECONDS = 2.0
"""Minimum age of the last change in seconds. The coarsest file systems count in two."""


class Listing(NamedTuple):
    """Fingerprint and description of a source, as in `Source`."""

    fingerprint: str
    description: str


def cached_listing(
    path: Path,
    classes: tuple[str, ...],
    files: Callable[[], Iterable[str]],
    look: Callable[[], Listing],
) -> Listing:
    """Return the cached listing of a path, or make and cache it.

    The cache has one small file per path and classes, in `<cache>/sources/`.

    Args:
        path: path of the images.
        classes: class names that are searched for.
        files: yields the path of every file that the listing depends on.
        look: makes the listing. Its exceptions propagate.
    """
    key = repr((os.path.realpath(path), classes)).encode(errors="backslashreplace")
    memory = cache_home() / "sources" / f"{hashlib.sha256(key).hexdigest()[:20]}.json"
    stamp = _stamp(files)
    if stamp and (known := _read(memory, stamp)):
        return known
    known = look()
    # Where it can't be written they are looked at again the next time.
    if stamp:
        with contextlib.suppress(OSError):
            memory.parent.mkdir(parents=True, exist_ok=True)
            write_json(memory, {"format": FORMAT, "stamp": stamp, **known._asdict()})
    return known


def _read(memory: Path, stamp: str) -> Listing | None:
    try:
        about = json.loads(memory.read_text(encoding="utf-8"))
        if (about["format"], about["stamp"]) != (FORMAT, stamp):
            return None
        known = Listing(about["fingerprint"], about["description"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    texts = all(isinstance(each, str) for each in known)
    # A fingerprint becomes a part of a path.
    return known if texts and re.fullmatch("[0-9a-f]{64}", known.fingerprint) else None


def _stamp(files: Callable[[], Iterable[str]]) -> str | None:
    """Return a digest that changes with any file; None if a change could go unnoticed."""
    began = time.time()
    try:
        names = sorted(files())
    except OSError:
        return None
    numbers = np.array([_file_stats(name) for name in names], np.int64).reshape(-1, 4)
    if not len(numbers) or numbers[:, :2].max() >= (began - SETTLED_SECONDS) * 1e9:
        return None
    sha = hashlib.sha256(numbers.tobytes())
    sha.update(os.fsencode("\0".join(names)))
    return sha.hexdigest()


def _file_stats(name: str) -> tuple[int, int, int, int]:
    """Return modification time, change time, size and inode of a file, each in 63 bits."""
    most = 2**63 - 1
    try:
        found = os.stat(name)
    except OSError:
        return 0, 0, -1, -1
    return (
        found.st_mtime_ns & most,
        found.st_ctime_ns & most,
        found.st_size & most,
        found.st_ino & most,
    )
