"""A disk that fails in the operation of a given number: the operating system's calls, replaced."""

from __future__ import annotations

import builtins
import errno
import fcntl
import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

Failure = Literal["EIO", "ENOSPC", "kill before", "kill after"]
FAILURES: tuple[Failure, ...] = ("EIO", "ENOSPC", "kill before", "kill after")
"""Input/output error, full disk (half of a write is done), and SIGKILL before and after."""

ON_PATHS = ("replace", "rename", "unlink", "remove", "mkdir", "rmdir", "truncate", "utime", "open")
"""Functions of os whose first argument is a path."""

ROOMS = tuple(f"{os.sep}{name}{os.sep}" for name in ("benchmarks", "losses"))
WRITERS = os.path.join("records", "files.py")


class Operation(NamedTuple):
    """An operation on the disk.

    Attributes:
        kind: open, write, fsync (of a memory map as well), lock, or the name of the function of os.
        path: of the file, relative to the directory.
        place: the function of lossbench that asked for it.
    """

    kind: str
    path: str
    place: str


class Disk:
    """Operations below a directory, counted from 0; the one of a number fails.

    Args:
        root: the directory.
        number: of the operation that fails; None: none does.
        failure: how.

    Attributes:
        operations: those so far.
    """

    def __init__(self, root: Path, number: int | None = None, failure: Failure = "EIO") -> None:
        self.root, self.number, self.failure = os.path.realpath(root), number, failure
        self.operations: list[Operation] = []

    def install(self) -> None:
        """Replace the calls in this process, for good."""
        for name in ON_PATHS:
            setattr(os, name, self._on_path(name, getattr(os, name)))
        os.fsync = self._on_descriptor("fsync", os.fsync)
        os.posix_fallocate = self._on_descriptor("posix_fallocate", os.posix_fallocate)
        os.sync = self._on_nothing("sync", os.sync)
        np.memmap.flush = self._on_map(np.memmap.flush)  # type: ignore[method-assign]
        fcntl.flock = self._on_descriptor("lock", fcntl.flock)
        builtins.open = io.open = self._opener(io.open)

    def run(self, kind: str, path: Any, real: Callable[[], Any], half: Callable[[], Any]) -> Any:
        """Do an operation, unless it is the one that fails.

        Args:
            kind, path: of the operation.
            real: does it.
            half: does a part of it.
        """
        where = self._inside(path)
        if where is None:
            return real()
        number = len(self.operations)
        self.operations.append(Operation(kind, where, _place()))
        if number != self.number:
            return real()
        if self.failure == "kill after":
            real()
        if self.failure.startswith("kill"):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.failure == "ENOSPC":
            half()
        code = getattr(errno, self.failure)
        raise OSError(code, os.strerror(code), None if kind == "write" else str(path))

    def _inside(self, path: Any) -> str | None:
        if not isinstance(path, (str, os.PathLike)):
            return None
        full = os.path.abspath(path)
        inside = full == self.root or full.startswith(self.root + os.sep)
        return os.path.relpath(full, self.root) if inside else None

    def _on_path(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def operation(path: Any, *rest: Any, **options: Any) -> Any:
            place = options.get("dir_fd")
            full = path if place is None else os.path.join(_path_of(place), path)
            return self.run(name, full, lambda: real(path, *rest, **options), lambda: None)

        return operation

    def _on_descriptor(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def operation(file: Any, *rest: Any) -> Any:
            number = file if isinstance(file, int) else file.fileno()
            return self.run(name, _path_of(number), lambda: real(file, *rest), lambda: None)

        return operation

    def _on_nothing(self, name: str, real: Callable[[], None]) -> Callable[[], None]:
        return lambda: self.run(name, self.root, real, lambda: None)

    def _on_map(self, real: Callable[..., None]) -> Callable[..., None]:
        def operation(array: np.memmap[Any, Any]) -> None:
            self.run("fsync", array.filename, lambda: real(array), lambda: None)

        return operation

    def _opener(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def opened(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
            made = self.run("open", file, lambda: real(file, mode, *rest, **options), lambda: None)
            written = set(mode) & set("wax+") and self._inside(file) is not None
            return _File(made, file, self) if written else made

        return opened


class _File:
    """A file whose writes reach the disk at once and are counted."""

    def __init__(self, file: Any, path: Any, disk: Disk) -> None:
        self._file, self._path, self._disk = file, path, disk

    def write(self, content: Any) -> Any:
        """Write all of it, or half if the disk is full."""
        half = lambda: self._put(content[: len(content) // 2])  # noqa: E731
        return self._disk.run("write", self._path, lambda: self._put(content), half)

    def _put(self, content: Any) -> Any:
        done = self._file.write(content)
        self._file.flush()
        return done

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _path_of(descriptor: int) -> str:
    return os.readlink(f"/proc/self/fd/{descriptor}")


def _place() -> str:
    """Return the innermost function of lossbench that is running, as file:function.

    The functions that all others write files with are left out.
    """
    frame = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        name = next((file.rpartition(room)[2] for room in ROOMS if room in file), WRITERS)
        if name != WRITERS and f"{os.sep}tests{os.sep}" not in file:
            return f"{name}:{frame.f_code.co_name}"
        frame = frame.f_back  # type: ignore[assignment]
    return "elsewhere"
