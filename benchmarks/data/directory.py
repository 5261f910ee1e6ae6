"""Files below a directory: list, check and read them."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

from lossbench.benchmarks.errors import UserError

from .sources import MAX_FILE_BYTES, UnusableError

CHUNK = 32
"""Files per task when a thread computes checksums."""

MAX_RATIO = 200
"""Upper bound of the ratio of unpacked size to archive size, plus one file of the maximum size.
Photographs hardly compress; an archive that expands a thousandfold was made to fill a disk."""

FileFilter = Callable[[tuple[str, ...]], bool]


@dataclass(frozen=True)
class FileInfo:
    """A file of a directory or archive.

    Attributes:
        parts: its path, split at the separators.
        key: how the directory or archive finds the file.
        digest: checksum of the content; '' if the file was not wanted.
    """

    parts: tuple[str, ...]
    key: Any
    digest: str


class DirectoryReader:
    """Reader of the files below a directory. Links are followed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def files(self) -> Iterator[str]:
        """Yield the path of every file. Raises OSError."""
        for folder, names in self._folders():
            yield from (f"{folder}{os.sep}{name}" for name in names)

    def infolist(self, wanted: FileFilter) -> list[FileInfo]:
        """List every file, with the SHA-256 of those that `wanted` accepts. Raises UserError."""
        files: list[tuple[str, ...]] = []
        try:
            for folder, names in self._folders():
                parts = Path(folder).relative_to(self.path).parts
                files += ((*parts, name) for name in names)
        except OSError as error:
            raise UserError(
                f"can't read the directory {error.filename!r}: {error.strerror}"
            ) from error
        files.sort()
        read = [parts for parts in files if wanted(parts)]
        paths = [self.path.joinpath(*parts) for parts in read]
        # One task per file would take longer than reading a small file.
        chunks = [paths[at : at + CHUNK] for at in range(0, len(paths), CHUNK)]

        def digest_files(paths: list[Path]) -> list[str]:
            return [digest(read_file(path)) for path in paths]

        with ThreadPoolExecutor() as pool:
            digests = chain.from_iterable(pool.map(digest_files, chunks))
            digest_of = dict(zip(read, digests, strict=True))
        return [FileInfo(parts, parts, digest_of.get(parts, "")) for parts in files]

    def load(self, keys: Sequence[Any]) -> Iterator[tuple[int, Path]]:
        """Yield (position, path) for each key, in the order given."""
        for position, parts in enumerate(keys):
            yield position, self.path.joinpath(*parts)

    def _folders(self) -> Iterator[tuple[str, list[str]]]:
        """Yield every folder with the names of its files. Raises OSError."""

        def stop(error: OSError) -> NoReturn:
            raise error

        for folder, subfolders, names in os.walk(self.path, onerror=stop, followlinks=True):
            real = Path(folder).resolve()
            # A link to a folder above would make an endless loop.
            subfolders[:] = [s for s in subfolders if not real.is_relative_to((real / s).resolve())]
            yield folder, names


def read_file(path: Path) -> bytes | UnusableError:
    """Read a file; return the error if it cannot be read or cannot be a photograph."""
    try:
        about = os.stat(path)
        if not stat.S_ISREG(about.st_mode):  # reading a pipe would block for ever
            return UnusableError("not a plain file")
        with open(path, "rb", buffering=0) as file:
            return size_error(about.st_size) or file.read()
    except (FileNotFoundError, NotADirectoryError):
        return UnusableError("missing")
    except OSError as error:
        return UnusableError(error.strerror or str(error))


def size_error(size: int) -> UnusableError | None:
    """Return the error of a file of `size` bytes, or None if it can be a photograph."""
    if size > MAX_FILE_BYTES:
        return UnusableError(f"larger than {MAX_FILE_BYTES // 2**20} MiB")
    return None if size else UnusableError("empty file")


def max_unpacked_bytes(path: Path) -> int:
    """Return the maximum size in bytes that an archive or a table may unpack to."""
    return MAX_RATIO * path.stat().st_size + MAX_FILE_BYTES


def unpacked_error(path: Path) -> UserError:
    """Return the error of an archive or a table that would unpack to more."""
    return UserError(
        f"{str(path)!r} would unpack to more than {MAX_RATIO} times its size, which no archive of "
        "photographs does; give a directory, or make the archive again"
    )


def digest(content: bytes | UnusableError) -> str:
    """Return the SHA-256 of a file's content, or the reason why it is unusable."""
    if isinstance(content, UnusableError):
        return f"unusable: {content}"
    return hashlib.sha256(content).hexdigest()
