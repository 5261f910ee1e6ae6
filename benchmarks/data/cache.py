"""Images decoded once into memory-mapped arrays, and checked before they are used again.

A directory `<cache>/images/<source>-<fingerprint[:16]>-<size>/` holds

    images.npy   uint8 (N, H, W, 3), by split
    labels.npy   uint8 (N,), indices of classes
    splits.npy   uint8 (N,), 0 = train, 1 = validation, 2 = test; rising
    names.json   the N names
    meta.json    where they came from, what was skipped and why, the SHA-256 of the other files,
                 when images.npy was modified last

It is built beside its place and renamed into it when complete, so that it is there whole or not
at all, whoever else builds the same one at the same time. Its files are read at each start to see
that they are what was written, images.npy only if it is small or has another time of modification
than it was given: to read 4 GB takes seconds.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
import warnings
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from lossbench.benchmarks.errors import UserError

from .decode import square
from .image_set import ImageSet, Split
from .sources import (
    SPLITS,
    Load,
    Progress,
    Say,
    Source,
    UnusableError,
    cache_home,
    check_every_class,
    counted,
)

FORMAT = 3  # count up when the files or the decoding change, so that older ones are built again
IMAGES = "images.npy"
FILES = (IMAGES, "labels.npy", "splits.npy", "names.json")
READ_ANYWAY = 64 * 2**20
"""Bytes that are read for their checksum at each start: they take a twentieth of a second."""
ABANDONED_SECONDS = 24 * 3600
TOGETHER = 8
"""Pictures that a thread is given at a time: to hand them out one by one took a tenth of it all."""


class _DamagedError(Exception):
    """A cached directory that can't be used; the text is the reason."""


def cached(source: Source, size: int, *, say: Say, progress: Progress | None = None) -> ImageSet:
    """The source's images at a size, from the cache; decoded into it where they are not there.

    Args:
        source: where the images come from.
        size: height and width in pixels, 1 or more.
        say: is told of decoding, of a damaged cache, and of pictures skipped.
        progress: called with (done, total) while pictures are decoded.

    Raises:
        UserError: the cache can't be written, or too few pictures can be decoded.
    """
    directory = entry_directory(source, size)
    try:
        images = _opened(directory, source, size)
    except FileNotFoundError:
        _build(directory, source, size, say, progress)
    except _DamagedError as damage:
        say(f"the image cache {directory} is damaged ({damage}); building it again")
        _build(directory, source, size, say, progress)
    else:
        _tell_skipped(images, say)
        return images
    try:
        images = _opened(directory, source, size)
    except (_DamagedError, FileNotFoundError) as error:
        raise UserError(
            f"the image cache {str(directory)!r} can't be read back ({error}); start again, "
            "or set XDG_CACHE_HOME to a directory on another disk"
        ) from error
    _tell_skipped(images, say)
    return images


def entry_directory(source: Source, size: int) -> Path:
    """Where the images of a source at a size are cached."""
    return cache_home() / "images" / f"{source.name}-{source.fingerprint[:16]}-{size}"


def _opened(directory: Path, source: Source, size: int) -> ImageSet:
    """The cached images, checked. Raises FileNotFoundError (no such directory) or _DamagedError."""
    if not directory.exists():
        raise FileNotFoundError(directory)
    try:
        meta = json.loads((directory / "meta.json").read_text(encoding="utf-8"))
        wanted = [FORMAT, source.fingerprint, size]
        if [meta[key] for key in ("format", "fingerprint", "image_size")] != wanted:
            raise _DamagedError("it was made by another version")
        for file in FILES:
            known = meta["modified"] if file == IMAGES else None
            if not _as_it_was(directory / file, known, meta["sha256"][file]):
                raise _DamagedError(f"{file} has changed")
        images = np.load(directory / IMAGES, mmap_mode="r")
        labels = np.load(directory / "labels.npy", mmap_mode="r")
        names = tuple(json.loads((directory / "names.json").read_text(encoding="utf-8")))
        skipped = tuple(f"{name} ({reason})" for name, reason in meta["skipped"])
        counts = np.bincount(np.load(directory / "splits.npy"), minlength=len(SPLITS))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _DamagedError(f"{type(error).__name__}: {error}") from error
    ends = np.cumsum(counts)
    parts = [slice(int(end - count), int(end)) for end, count in zip(ends, counts, strict=True)]
    train, validation, test = (Split(images[p], labels[p], names[p]) for p in parts)
    return ImageSet(
        name=source.name,
        description=source.description,
        synthetic=source.synthetic,
        fingerprint=source.fingerprint,
        image_size=size,
        train=train,
        validation=validation if len(validation.labels) else None,
        test=test,
        skipped=skipped,
        classes=source.classes,
    )


def _as_it_was(path: Path, modified: int | None, sha256: str) -> bool:
    """Whether a file has the content that it was written with: by its checksum, unless it is
    large and was last modified at `modified`, in ns."""
    about = path.stat()
    if about.st_size > READ_ANYWAY and about.st_mtime_ns == modified:
        return True
    if _sha256(path) != sha256:
        return False
    if modified is not None:
        # It is a copy, or the power went behind its making: the next start knows it again. Where
        # that can't be written it is read each time.
        with contextlib.suppress(OSError):
            os.utime(path, ns=(modified, modified))
    return True


def _build(directory: Path, source: Source, size: int, say: Say, progress: Progress | None) -> None:
    verb = "drawing" if source.synthetic else "decoding"
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        _sweep(directory)
        scratch = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
        try:
            say(f"{verb} {len(source.pictures):,} images once into {directory}")
            _fill(scratch, source, size, progress)
            _publish(scratch, directory, source, size)
        finally:  # also when interrupted
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise UserError(
            f"can't write the image cache {str(directory)!r} ({error.strerror or error}); "
            "set XDG_CACHE_HOME to a directory that can be written and has room"
        ) from error


def _fill(scratch: Path, source: Source, size: int, progress: Progress | None) -> None:
    """Writes all files of a cache directory."""
    pictures = source.pictures
    path = scratch / IMAGES
    slots = _reserved(path, (len(pictures), size, size, 3))
    skipped = _decode(source, slots, progress)
    kept = [i for i in range(len(pictures)) if i not in skipped]
    remaining = [pictures[i] for i in kept]
    reasons = [(pictures[i].name, skipped[i]) for i in sorted(skipped)]
    remedy = _skipped_line(reasons, len(pictures))
    check_every_class(remaining, source.classes, source.description, remedy)
    slots.flush()
    if skipped:
        _compact(path, slots, kept)
    np.save(scratch / "labels.npy", np.array([p.label for p in remaining], np.uint8))
    np.save(scratch / "splits.npy", np.array([SPLITS.index(p.split) for p in remaining], np.uint8))
    _write_json(scratch / "names.json", [p.name for p in remaining])
    meta = {
        "format": FORMAT,
        "source": source.name,
        "description": source.description,
        "synthetic": source.synthetic,
        "classes": source.classes,
        "fingerprint": source.fingerprint,
        "image_size": size,
        "counts": counted(remaining, source.classes),
        "skipped": reasons,
        "sha256": {file: _sha256(scratch / file) for file in FILES},
        "modified": _backdated(path),
    }
    _write_json(scratch / "meta.json", meta)


def _backdated(path: Path) -> int:
    """Has a file modified a minute ago, and returns when, in ns. Whoever writes to it from here on
    gives it another time, however soon and however coarse the clock of the file system."""
    modified = (int(time.time()) // 60 - 1) * 60 * 10**9
    os.utime(path, ns=(modified, modified))
    return modified


def _decode(source: Source, slots: np.ndarray, progress: Progress | None) -> dict[int, str]:
    """Decodes every picture into its slot; the reasons of those that can't be, by position."""
    total = len(source.pictures)
    unsettled = dict.fromkeys(range(total), "not found when it was read")
    skipped: dict[int, str] = {}
    waiting: deque[Future[list[tuple[int, str | None]]]] = deque()
    # Written to as a plain array: each access to a map as such takes as long as a small picture.
    pixels = np.asarray(slots)

    def settle() -> None:
        for position, reason in waiting.popleft().result():
            unsettled.pop(position, None)
            if reason is not None:
                skipped[position] = reason
        if progress:
            progress(total - len(unsettled), total)

    workers = min(32, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4)
    loads = iter(source.load(source.pictures))
    # PIL warns of odd metadata, which is not for the user to mend.
    with warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
        warnings.simplefilter("ignore")
        while some := list(islice(loads, TOGETHER)):
            waiting.append(pool.submit(_decode_some, some, pixels))
            # Few at a time: what waits here is held in memory.
            if len(waiting) > workers + 1:
                settle()
        while waiting:
            settle()
    return {**skipped, **unsettled}


def _decode_some(
    some: Sequence[tuple[int, Load]], slots: np.ndarray
) -> list[tuple[int, str | None]]:
    """Decodes pictures into their slots; gives each one's position, and why where it can't be."""
    settled = []
    for position, load in some:
        reason = None
        try:
            slots[position] = square(load(), slots.shape[1])
        except UnusableError as error:
            reason = str(error)
        except OSError as error:
            reason = error.strerror or str(error)
        settled.append((position, reason))
    return settled


def _reserved(path: Path, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[np.uint8]]:
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    # On a full disk a memory map kills the process; asking for the room raises an error instead.
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def _compact(path: Path, slots: np.ndarray, kept: list[int]) -> None:
    """Replaces the file by one without the slots of skipped pictures."""
    compacted = path.with_suffix(".compact")
    target = _reserved(compacted, (len(kept), *slots.shape[1:]))
    for start in range(0, len(kept), 256):
        target[start : start + 256] = slots[kept[start : start + 256]]
    target.flush()
    os.replace(compacted, path)


def _publish(scratch: Path, directory: Path, source: Source, size: int) -> None:
    """Moves a complete directory to its place, unless a sound one has appeared there."""
    for _ in range(3):
        with contextlib.suppress(OSError):
            os.rename(scratch, directory)
            return
        try:
            _opened(directory, source, size)
            return
        except FileNotFoundError:
            continue
        except _DamagedError:
            # Moved away first: a rename is at once, where deleting a tree takes its time.
            grave = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
            with contextlib.suppress(OSError):
                os.rename(directory, grave / "damaged")
            shutil.rmtree(grave, ignore_errors=True)
    os.rename(scratch, directory)


def _sweep(directory: Path) -> None:
    """Removes what killed processes left of this entry, once nobody can be at work on it."""
    for leftover in directory.parent.glob(f".{directory.name}-*"):
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(leftover, ignore_errors=True)


def _tell_skipped(images: ImageSet, say: Say) -> None:
    if images.skipped:
        splits = [s for s in (images.train, images.validation, images.test) if s is not None]
        total = sum(len(split.labels) for split in splits) + len(images.skipped)
        pairs = [(text, "") for text in images.skipped]
        say(_skipped_line(pairs, total))


def _skipped_line(skipped: list[tuple[str, str]], total: int) -> str:
    first = ", ".join(f"{name} ({reason})" if reason else name for name, reason in skipped[:3])
    more = f" and {len(skipped) - 3:,} more" if len(skipped) > 3 else ""
    return f"skipped {len(skipped):,} of {total:,} pictures: {first}{more}"


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
