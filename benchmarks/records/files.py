"""Files that a reader sees whole or not at all."""

from __future__ import annotations

import io
import json
import os
import secrets
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lossbench.benchmarks.errors import UserError, one_line

MAX_ARRAY_BYTES = 2 * 2**30
"""An .npz of more than this, unpacked, is left unread."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write under another name, sync and rename: there is the old file, and then the whole new
    one, even if the power goes.

    Raises OSError if it cannot be written; nothing is left behind then.
    """
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with scratch.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
    finally:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)


def write_files(directory: Path, files: dict[str, bytes]) -> None:
    """Write files into the directory, in their order, each whole or not at all.

    Raises:
        UserError: one cannot be written.
    """
    for name, content in files.items():
        try:
            write_atomically(directory / name, content)
        except OSError as error:
            reason = error.strerror or error
            raise UserError(f"cannot write {directory / name}: {reason}") from None


def remove_scratch(directory: Path) -> None:
    """Remove the scratch files and directories, `.*.tmp`, that killed processes have left in a
    directory that no other process writes to."""
    for scratch in directory.glob(".*.tmp"):
        if scratch.is_dir():
            shutil.rmtree(scratch, ignore_errors=True)
        else:
            scratch.unlink(missing_ok=True)


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """`write_atomically` of arrays by name, as a compressed .npz."""
    import numpy as np  # the command's help needs none

    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_atomically(path, buffer.getvalue())


def read_arrays(path: Path, *names: str) -> dict[str, Any]:
    """Arrays by name of an .npz, all or those named. Nothing in the file is run: arrays of objects,
    which are pickles, are refused.

    Raises:
        OSError: there is no such file, or it can't be read.
        ValueError: it is no .npz, damaged, larger than MAX_ARRAY_BYTES, or lacks an array.
    """
    import numpy as np

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
    """`write_atomically` of JSON. Raises ValueError for NaN and infinity, which JSON has not."""
    write_atomically(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


@contextmanager
def lock_directory(directory: Path, wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """While this is open, no other process has the directory locked; where the system knows no
    `flock`, nothing is. The lock is of the process: it goes when that ends, however it ends.

    Args:
        wait: is told if another process has it, which is waited for then; None: that is an error.

    Raises UserError if another process has it, OSError if the directory cannot be written to.
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
