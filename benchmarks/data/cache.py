"""Decoded images in memory-mapped arrays, verified before use.

A directory `<cache>/images/<source>-<fingerprint[:16]>-<size>/` holds

    images.npy   uint8 (N, H, W, 3), ordered by split
    labels.npy   uint8 (N,), class indices
    splits.npy   uint8 (N,), 0 = train, 1 = validation, 2 = test; non-decreasing
    copies.npy   int32 (N, 2), the first copy of each image (`find_copies`)
    names.json   the N names
    meta.json    source, skipped images with reasons, SHA-256 of the other files, and the
                 modification time of images.npy

The directory is built under another name and renamed when complete, so readers see all of it or
nothing. One process builds at a time; the others wait for it and use what it has built. Each start
verifies the checksums. A large images.npy is only hashed if its modification time has changed:
hashing 4 GB takes seconds.
"""

import contextlib
import hashlib
import json
import os
import threading
import time
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.records.files import lock_directory, remove_scratch

from .copies import find_copies
from .decode import decode_square
from .directory import read_file
from .image_set import ImageSet, Split
from .sources import (
    SPLITS,
    Content,
    ImageInfo,
    ImageSource,
    ProgressCallback,
    Say,
    UnusableError,
    cache_home,
    check_every_class,
    count_classes,
)

FORMAT = 4  # count up when the files or the decoding change, so that caches are built again
IMAGES = "images.npy"
FILES = (IMAGES, "labels.npy", "splits.npy", "copies.npy", "names.json")
ALWAYS_HASHED_BYTES = 64 * 2**20
"""Size in bytes up to which a file is hashed at every start; that takes 0.05 s."""
CHUNK = 8
"""Images that a decoding thread takes at a time. One at a time costs 10 % more."""


class _DamagedError(Exception):
    """Raised for a cache directory that cannot be used; the text is the reason."""


def open_cached(
    source: ImageSource, size: int, *, say: Say, progress: ProgressCallback | None = None
) -> ImageSet:
    """Open the images of a source at a size; decode them into the cache first if need be.

    Args:
        source: source of the images.
        size: height and width in pixels, at least 1.
        say: takes messages about decoding, a damaged cache and skipped images.
        progress: takes (done, total) while images are decoded.

    Raises:
        UserError: the cache cannot be written, or too few images can be decoded.
    """
    directory = cache_directory(source, size)
    try:
        images = _open(directory, source, size)
    except (FileNotFoundError, _DamagedError):
        images = _build(directory, source, size, say, progress)
    if images.skipped:
        splits = (images.train, images.validation, images.test)
        total = len(images.skipped) + sum(len(each.labels) for each in splits if each is not None)
        say(_describe_skipped(images.skipped, total))
    return images


def cache_directory(source: ImageSource, size: int) -> Path:
    """Return the cache directory of a source at a size."""
    return cache_home() / "images" / f"{source.name}-{source.fingerprint[:16]}-{size}"


def _open(directory: Path, source: ImageSource, size: int) -> ImageSet:
    """Open and verify a cache directory. Raises FileNotFoundError or _DamagedError."""
    if not directory.exists():
        raise FileNotFoundError(directory)
    try:
        meta = json.loads((directory / "meta.json").read_text(encoding="utf-8"))
        wanted = [FORMAT, source.fingerprint, size]
        if [meta[key] for key in ("format", "fingerprint", "image_size")] != wanted:
            raise _DamagedError("it was made by another version")
        for file in FILES:
            known = meta["modified"] if file == IMAGES else None
            if not _is_unchanged(directory / file, known, meta["sha256"][file]):
                raise _DamagedError(f"{file} has changed")
        images = np.load(directory / IMAGES, mmap_mode="r")
        labels = np.load(directory / "labels.npy", mmap_mode="r")
        names = tuple(json.loads((directory / "names.json").read_text(encoding="utf-8")))
        skipped = tuple(f"{name} ({reason})" for name, reason in meta["skipped"])
        counts = np.bincount(np.load(directory / "splits.npy"), minlength=len(SPLITS))
        copies = np.load(directory / "copies.npy")
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
        composition=source.composition,
        copies=copies,
    )


def _is_unchanged(path: Path, modified: int | None, sha256: str) -> bool:
    """Return whether a file is unchanged: by modification time if it is large, else by SHA-256."""
    stat = path.stat()
    if stat.st_size > ALWAYS_HASHED_BYTES and stat.st_mtime_ns == modified:
        return True
    if _sha256(path) != sha256:
        return False
    if modified is not None:
        # A copy, or a crash before the time reached the disk. With the time restored, the next
        # start need not hash the file.
        with contextlib.suppress(OSError):
            os.utime(path, ns=(modified, modified))
    return True


def _build(
    directory: Path, source: ImageSource, size: int, say: Say, progress: ProgressCallback | None
) -> ImageSet:
    """Open the cache directory after decoding all images into it. Raises UserError."""
    cache = directory.parent
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with lock_directory(cache, wait=say):
            try:
                return _open(directory, source, size)  # another process may have been faster
            except FileNotFoundError:
                pass
            except _DamagedError as damage:
                say(f"the image cache {directory} is damaged ({damage}); building it again")
            remove_scratch(cache)
            scratch = cache / f".{directory.name}.tmp"
            try:
                scratch.mkdir()
                images = source.images()
                verb = "drawing" if source.synthetic else "decoding"
                say(f"{verb} {len(images):,} images once into {directory}")
                _fill(scratch, source, images, size, progress)
                with contextlib.suppress(FileNotFoundError):
                    # A rename is atomic, deleting a tree is not.
                    os.rename(directory, cache / f".{directory.name}.damaged.tmp")
                os.rename(scratch, directory)
            finally:  # also when interrupted
                remove_scratch(cache)
    except OSError as error:
        raise UserError(
            f"can't write the image cache {str(directory)!r} ({error.strerror or error}); "
            "set XDG_CACHE_HOME to a directory that is writable and has free space"
        ) from error
    try:
        return _open(directory, source, size)
    except (_DamagedError, FileNotFoundError) as error:
        raise UserError(
            f"can't read back the image cache {str(directory)!r} ({error}); start again, "
            "or set XDG_CACHE_HOME to a directory on another disk"
        ) from error


def _fill(
    scratch: Path,
    source: ImageSource,
    images: Sequence[ImageInfo],
    size: int,
    progress: ProgressCallback | None,
) -> None:
    """Write all files of a cache directory."""
    path = scratch / IMAGES
    pixels = _allocate(path, (len(images), size, size, 3))
    reasons = _decode(source.load(images), pixels, progress)
    kept = [index for index in range(len(images)) if index not in reasons]
    remaining = [images[index] for index in kept]
    skipped = [(images[index].name, reasons[index]) for index in sorted(reasons)]
    remedy = _describe_skipped([f"{name} ({reason})" for name, reason in skipped], len(images))
    check_every_class(remaining, source.classes, source.description, remedy)
    pixels.flush()
    if skipped:
        _compact(path, pixels, kept)
    with ThreadPoolExecutor(1) as pool:  # the checksum of gigabytes, while copies are looked for
        checksum = pool.submit(_sha256, path)
        np.save(scratch / "copies.npy", _copies_of(path, source))
    np.save(scratch / "labels.npy", np.array([i.label for i in remaining], np.uint8))
    np.save(scratch / "splits.npy", np.array([SPLITS.index(i.split) for i in remaining], np.uint8))
    _write_json(scratch / "names.json", [i.name for i in remaining])
    meta = {
        "format": FORMAT,
        "source": source.name,
        "description": source.description,
        "synthetic": source.synthetic,
        "classes": source.classes,
        "fingerprint": source.fingerprint,
        "image_size": size,
        "counts": count_classes(remaining, source.classes),
        "skipped": skipped,
        "sha256": {IMAGES: checksum.result()}
        | {file: _sha256(scratch / file) for file in FILES if file != IMAGES},
        "modified": _backdate(path),
    }
    _write_json(scratch / "meta.json", meta)


def _backdate(path: Path) -> int:
    """Set a file's modification time to a minute ago and return it, in ns.

    Any later write then changes the time, even on a file system with a coarse clock.
    """
    modified = (int(time.time()) // 60 - 1) * 60 * 10**9
    os.utime(path, ns=(modified, modified))
    return modified


def _decode(
    contents: Iterable[tuple[int, Content]], pixels: np.ndarray, progress: ProgressCallback | None
) -> dict[int, str]:
    """Decode every image into its row; return the reasons of skipped images by position.

    Args:
        contents: yields (position, content) once per image.
        pixels: uint8 (N, H, H, 3), written in place.
        progress: takes (done, total).
    """
    contents, lock = iter(contents), threading.Lock()
    pending = dict.fromkeys(range(len(pixels)), "not found when it was read")
    reasons: dict[int, str] = {}
    # Each access to a memory map as such takes as long as decoding a small image.
    rows = np.asarray(pixels)

    def decode_rest() -> None:
        """Decode images until none is left, beside the other threads."""
        while True:
            with lock:
                if not (chunk := list(islice(contents, CHUNK))):
                    return
                for position, _ in chunk:
                    pending.pop(position, None)
                if progress:
                    progress(len(rows) - len(pending), len(rows))
            for position, content in chunk:
                try:
                    image = read_file(content) if isinstance(content, Path) else content
                    if isinstance(image, UnusableError):
                        raise image
                    rows[position] = decode_square(image, rows.shape[1])
                except UnusableError as error:
                    reasons[position] = str(error)

    workers = min(32, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4)
    # PIL warns about odd metadata, which the user cannot mend.
    with warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
        warnings.simplefilter("ignore")
        threads = [pool.submit(decode_rest) for _ in range(workers)]
        try:
            for thread in as_completed(threads):
                thread.result()
        finally:  # after an interruption or an error the other threads stop
            contents = iter(())
    return {**reasons, **pending}


def _allocate(path: Path, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[np.uint8]]:
    """Create a memory-mapped array and allocate its disk space."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    # On a full disk, writing to a memory map kills the process; allocating raises OSError.
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def _compact(path: Path, pixels: np.ndarray, kept: list[int]) -> None:
    """Rewrite the file without the rows of skipped images."""
    compacted = path.with_suffix(".compact")
    target = _allocate(compacted, (len(kept), *pixels.shape[1:]))
    for start in range(0, len(kept), 256):
        target[start : start + 256] = pixels[kept[start : start + 256]]
    target.flush()
    os.replace(compacted, path)


def _copies_of(path: Path, source: ImageSource) -> np.ndarray:
    """Return the first copies of the images in a file. Those drawn by code are no copies."""
    images = np.load(path, mmap_mode="r")
    if source.synthetic:
        return np.repeat(np.arange(len(images), dtype=np.int32)[:, None], 2, axis=1)
    return find_copies(images)


def _describe_skipped(skipped: Sequence[str], total: int) -> str:
    more = f" and {len(skipped) - 3:,} more" if len(skipped) > 3 else ""
    return f"skipped {len(skipped):,} of {total:,} images: {', '.join(skipped[:3])}{more}"


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
