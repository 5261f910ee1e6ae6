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
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lossbench.benchmarks.records.files import write_json
from lossbench.benchmarks.records.schema import schema_error

from .sources import SPLITS, Composition, cache_home

FORMAT = 3  # count up when the same files become other images
SHAPE: dict[str, Any] = {
    "fingerprint": str,
    "composition": {
        "origins": dict.fromkeys(SPLITS, str),
        "left_out": [str],
        "warnings": [str],
    },
}
SETTLED_SECONDS = 2.0
"""Minimum age of the last change in seconds. The coarsest file systems count in two seconds."""


class Listing(NamedTuple):
    """Fingerprint and composition of a source, as in `ImageSource`."""

    fingerprint: str
    composition: Composition


def cached_listing(
    path: Path,
    choice: object,
    files: Callable[[], Iterable[str]],
    make: Callable[[], Listing],
) -> Listing:
    """Return the cached listing of a path, or make and cache it.

    The cache has one small file per path and choice, in `<cache>/sources/`.

    Args:
        path: path of the images.
        choice: what is searched for; its text tells listings of one path apart.
        files: yields the path of every file that the listing depends on.
        make: makes the listing. Its exceptions propagate.
    """
    key = repr((os.path.realpath(path), choice)).encode(errors="backslashreplace")
    file = cache_home() / "sources" / f"{hashlib.sha256(key).hexdigest()[:20]}.json"
    stamp = _stamp(files)
    if stamp and (listing := _read(file, stamp)):
        return listing
    listing = make()
    # Without a writable cache the listing is made again at the next start.
    if stamp:
        content = {"fingerprint": listing.fingerprint, "composition": asdict(listing.composition)}
        with contextlib.suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            write_json(file, {"format": FORMAT, "stamp": stamp, **content})
    return listing


def _read(file: Path, stamp: str) -> Listing | None:
    """Read a listing; None if it is missing, damaged or has another stamp."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if (content["format"], content["stamp"]) != (FORMAT, stamp):
            return None
        fingerprint, composition = content["fingerprint"], content["composition"]
        if schema_error(content, SHAPE):
            return None
        origins = {s: composition["origins"][s] for s in SPLITS if s in composition["origins"]}
        about = (tuple(composition[name]) for name in ("left_out", "warnings"))
        listing = Listing(fingerprint, Composition(origins, *about))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    # The fingerprint becomes a part of a path.
    return listing if re.fullmatch("[0-9a-f]{64}", fingerprint) else None


def _stamp(files: Callable[[], Iterable[str]]) -> str | None:
    """Return a digest that changes with any file; None if a change could go unnoticed."""
    start = time.time()
    try:
        names = sorted(files())
    except OSError:
        return None
    stats = np.array([_file_stats(name) for name in names], np.int64).reshape(-1, 4)
    if not len(stats) or stats[:, :2].max() >= (start - SETTLED_SECONDS) * 1e9:
        return None
    sha = hashlib.sha256(stats.tobytes())
    sha.update(os.fsencode("\0".join(names)))
    return sha.hexdigest()


def _file_stats(name: str) -> tuple[int, int, int, int]:
    """Return modification time, change time, size and inode of a file, each in 63 bits."""
    mask = 2**63 - 1
    try:
        stat = os.stat(name)
    except OSError:
        return 0, 0, -1, -1
    return stat.st_mtime_ns & mask, stat.st_ctime_ns & mask, stat.st_size & mask, stat.st_ino & mask
