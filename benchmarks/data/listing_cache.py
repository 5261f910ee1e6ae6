"""What a directory or an archive turned out to hold, remembered from one start to the next.

To list 100,000 pictures and to read them for their checksums takes from seconds to minutes; to see
that none has been changed takes half a second. A file has not if its name, size, inode and times of
change are what they were. As git does, this believes no file that was changed a moment before it
was looked at: a file system's clock may be too coarse to tell the next change from that one.
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
SETTLED = 2.0
"""Seconds that the last change lies back at least: the coarsest file systems count in two."""


class Known(NamedTuple):
    """A source's fingerprint and its description, as `Source` has them."""

    fingerprint: str
    description: str


def remembered(
    path: Path,
    classes: tuple[str, ...],
    files: Callable[[], Iterable[str]],
    look: Callable[[], Known],
) -> Known:
    """What `look` says of the pictures at a path, or said when the files were as they are now.

    It is kept in `<cache>/sources/`, a small file for each path and classes.

    Args:
        path: where the pictures are. classes: their names, in which they are looked for.
        files: the path of every file that what `look` says depends on.
        look: asked where nothing is remembered. What it raises is raised.
    """
    key = repr((os.path.realpath(path), classes)).encode(errors="backslashreplace")
    memory = cache_home() / "sources" / f"{hashlib.sha256(key).hexdigest()[:20]}.json"
    stamp = _stamp(files)
    if stamp and (known := _recall(memory, stamp)):
        return known
    known = look()
    # Where it can't be written they are looked at again the next time.
    if stamp:
        with contextlib.suppress(OSError):
            memory.parent.mkdir(parents=True, exist_ok=True)
            write_json(memory, {"format": FORMAT, "stamp": stamp, **known._asdict()})
    return known


def _recall(memory: Path, stamp: str) -> Known | None:
    try:
        about = json.loads(memory.read_text(encoding="utf-8"))
        if (about["format"], about["stamp"]) != (FORMAT, stamp):
            return None
        known = Known(about["fingerprint"], about["description"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    texts = all(isinstance(each, str) for each in known)
    # A fingerprint becomes a part of a path.
    return known if texts and re.fullmatch("[0-9a-f]{64}", known.fingerprint) else None


def _stamp(files: Callable[[], Iterable[str]]) -> str | None:
    """What is another after any change; None of files of which that can't be told."""
    began = time.time()
    try:
        names = sorted(files())
    except OSError:
        return None
    numbers = np.array([_numbers(name) for name in names], np.int64).reshape(-1, 4)
    if not len(numbers) or numbers[:, :2].max() >= (began - SETTLED) * 1e9:
        return None
    sha = hashlib.sha256(numbers.tobytes())
    sha.update(os.fsencode("\0".join(names)))
    return sha.hexdigest()


def _numbers(name: str) -> tuple[int, int, int, int]:
    """When a file's content and when anything about it was changed, its size, its inode; in 63
    bits each, because nobody promises less."""
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
