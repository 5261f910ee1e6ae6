"""Write files that survive a power failure, read arrays without running code, lock directories."""

from __future__ import annotations

import errno
import io
import json
import os
import secrets
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from lossbench.benchmarks.errors import UserError, one_line

ONE_DAY = 86400.0

MAX_ARRAY_BYTES = 2 * 2**30
"""Maximum unpacked size of an .npz file; a larger one is not read."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under another name, sync it, rename it and sync the directory.

    Readers see the old file or the whole new one, even after a power failure. Once this has
    returned, they see the new one.

    Raises:
        OSError: the file cannot be written; nothing is left behind.
    """
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with naming(path):
            with scratch.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(scratch, path)
            sync_directory(path.parent)
    finally:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)


def make_directory(directory: Path) -> None:
    """Make a directory unless it exists, and those above it; they survive a power failure.

    Raises:
        OSError: it cannot be made; FileExistsError if it or one above is a file.
    """
    if not directory.is_dir():
        make_directory(directory.parent)
        directory.mkdir(exist_ok=True)
        sync_directory(directory.parent)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory survive a power failure, where the system allows that.

    Raises:
        OSError: the disk fails.
    """
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except PermissionError:  # Windows opens no directory
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems sync no directory
            raise
    finally:
        os.close(descriptor)


def sync_tree(directory: Path) -> None:
    """Make a directory with all that is below it survive a power failure, but for its own name.

    Raises:
        OSError: the disk fails.
    """
    for path in directory.rglob("*"):
        if path.is_dir():
            sync_directory(path)
        else:
            sync_file(path)
    sync_directory(directory)


def sync_file(path: Path) -> int:
    """Make the content of a file survive a power failure, and return its length in bytes.

    Raises:
        OSError: the file cannot be read, or the disk fails.
    """
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return os.fstat(file.fileno()).st_size


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name `path` in an OSError: that of a full disk names no file.

    Raises:
        OSError: one was raised inside.
    """
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise


def write_files(directory: Path, files: dict[str, bytes]) -> None:
    """Write files into a directory, in their order, each with `write_atomically`.

    Raises:
        UserError: a file cannot be written.
    """
    for name, content in files.items():
        try:
            write_atomically(directory / name, content)
        except OSError as error:
            reason = error.strerror or error
            raise UserError(f"cannot write {directory / name}: {reason}") from None


def remove_scratch(directory: Path, older_than: float | None = None) -> None:
    """Remove scratch files and directories, `.*.tmp`, that killed processes left behind.

    Args:
        directory: the directory.
        older_than: age in seconds below which one is left, because another process may be writing
            it; None: no other process may be writing to the directory.
    """
    for scratch in directory.glob(".*.tmp"):
        with suppress(FileNotFoundError):
            if older_than is not None and time.time() - scratch.stat().st_mtime < older_than:
                continue
        if scratch.is_dir():
            shutil.rmtree(scratch, ignore_errors=True)
        else:
            scratch.unlink(missing_ok=True)


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write named arrays as a compressed .npz with `write_atomically`."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_atomically(path, buffer.getvalue())


def read_arrays(path: Path, *names: str) -> dict[str, Any]:
    """Read all or the named arrays of an .npz. Nothing in the file is run: pickles are refused.

    Raises:
        OSError: the file does not exist or cannot be read.
        ValueError: the file is not an .npz, damaged, larger than MAX_ARRAY_BYTES, or lacks an
            array.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MAX_ARRAY_BYTES:
            raise ValueError(f"{size:,} bytes of arrays, more than {MAX_ARRAY_BYTES:,}")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in names or file.files}
    except OSError:
        raise
    # Damaged bytes make zipfile, zlib and numpy raise nearly anything.
    except Exception as error:
        raise ValueError(f"{type(error).__name__}: {one_line(error)}") from error
    if odd := [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]:
        raise ValueError(f"{odd[0]} is no array")
    return arrays


def write_json(path: Path, value: Any) -> None:
    """Write JSON with `write_atomically`. Raises ValueError for NaN and infinity."""
    write_atomically(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


@contextmanager
def lock_directory(directory: Path, wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """Lock a directory against other processes. The lock ends with the process, however it ends.

    Args:
        directory: the directory to lock.
        wait: takes a message before waiting for another process; None: do not wait.

    Raises:
        UserError: another process holds the lock, and `wait` is None.
        OSError: the directory cannot be written to.
    """
    (directory / ".lock").touch()  # FileLock would make a directory that does not exist
    # A Ray worker may lock in one thread and unlock in another.
    lock = FileLock(directory / ".lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if wait is None:
            raise UserError(
                f"{directory} is being written by another process: wait for it, or stop it first"
            ) from None
        wait(f"another process is writing to {directory}: waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
