"""Directories, zip and tar archives behind one interface: a list of files that can be read.

Archives are read in place and never unpacked. A member's name is only a label, so a name that
begins with `/` or contains `..` reaches nothing. Sizes stated in an archive are not trusted: the
bounds below limit each member and the archive.
"""

import bz2
import contextlib
import gzip
import hashlib
import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, Any, NoReturn, Protocol

from lossbench.benchmarks.errors import UserError

from .sources import MAX_FILE_BYTES, Load, UnusableError

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
MAX_MEMBERS = 2_000_000
"""Upper bound of files per archive. ImageNet has 1.4 million images."""
CHUNK = 32
"""Files per task when a thread computes checksums."""
MAX_RATIO = 200
"""Upper bound of the ratio of unpacked size to archive size, plus one file of the maximum size.
Photographs hardly compress; an archive that expands a thousandfold was made to fill a disk."""

_OPENERS: dict[bytes, Any] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
"""Function that opens a compressed file, by the file's first bytes."""
_CORRUPT = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, OSError, ValueError, OverflowError, NotImplementedError),
)

Wanted = Callable[[tuple[str, ...]], bool]


@dataclass(frozen=True)
class Entry:
    """A file of a store.

    Attributes:
        parts: its path, split at the separators.
        key: how the store finds the file.
        digest: checksum of the content; '' if the file was not wanted.
    """

    parts: tuple[str, ...]
    key: Any
    digest: str


class Store(Protocol):
    """Interface of a collection of files that can be listed and read."""

    path: Path

    def files(self) -> Iterator[str]:
        """Yield the paths of all files on disk that the store consists of. Raises OSError."""

    def entries(self, wanted: Wanted) -> list[Entry]:
        """List every file, with a checksum for the paths that `wanted` accepts."""

    def load(self, keys: Sequence[Any]) -> Iterator[tuple[int, Load]]:
        """Yield (position, Load) for each key, in the order that is cheapest to read."""


def open_store(path: Path) -> Store:
    """Open a directory, .zip, .tar, .tar.gz or .tgz. The suffix decides, else the content.

    Raises:
        UserError: nothing exists at `path`, or it is none of these.
    """
    if path.is_dir():
        return DirectoryStore(path)
    if not path.exists():
        raise UserError(f"no such file or directory: {str(path)!r}")
    name = path.name.lower()
    try:
        if path.is_file():
            if name.endswith(".zip") or zipfile.is_zipfile(path):
                return ZipStore(path)
            if name.endswith(TAR_SUFFIXES) or _is_tar(path):
                return TarStore(path)
    except OSError as error:
        raise UserError(f"can't read {str(path)!r}: {error.strerror or error}") from error
    raise UserError(
        f"{str(path)!r} is neither a directory nor an archive; give a directory, .zip, .tar, "
        ".tar.gz or .tgz"
    )


class DirectoryStore:
    """Store of the files below a directory. Links are followed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self, wanted: Wanted) -> list[Entry]:
        """List every file, with the SHA-256 of those that `wanted` accepts. Raises UserError."""
        try:
            files = sorted(self._parts())
        except OSError as error:
            raise UserError(
                f"can't read the directory {error.filename!r}: {error.strerror}"
            ) from error
        read = [parts for parts in files if wanted(parts)]
        # One task per file would take longer than reading a small file.
        chunks = [read[at : at + CHUNK] for at in range(0, len(read), CHUNK)]
        with ThreadPoolExecutor() as pool:
            digests = chain.from_iterable(pool.map(lambda c: [*map(self._digest, c)], chunks))
            digest_of = dict(zip(read, digests, strict=True))
        return [Entry(parts, parts, digest_of.get(parts, "")) for parts in files]

    def load(self, keys: Sequence[Any]) -> Iterator[tuple[int, Load]]:
        """Yield (position, Load) for each key, in the order given."""
        for position, parts in enumerate(keys):
            yield position, partial(read_file, self.path.joinpath(*parts))

    def files(self) -> Iterator[str]:
        """Yield the path of every file."""
        for folder, names in self._folders():
            yield from (f"{folder}{os.sep}{name}" for name in names)

    def _parts(self) -> Iterator[tuple[str, ...]]:
        for folder, names in self._folders():
            parts = Path(folder).relative_to(self.path).parts
            yield from ((*parts, name) for name in names)

    def _folders(self) -> Iterator[tuple[str, list[str]]]:
        """Yield every folder with the names of its files."""

        def stop(error: OSError) -> NoReturn:
            raise error

        for folder, subfolders, names in os.walk(self.path, onerror=stop, followlinks=True):
            real = Path(folder).resolve()
            # A link to a folder above would make an endless loop.
            subfolders[:] = [s for s in subfolders if not real.is_relative_to((real / s).resolve())]
            yield folder, names

    def _digest(self, parts: tuple[str, ...]) -> str:
        return file_digest(self.path.joinpath(*parts))


class ZipStore:
    """Store of the members of a zip archive."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def files(self) -> Iterator[str]:
        """Yield the path of the archive."""
        yield os.fspath(self.path)

    def entries(self, wanted: Wanted) -> list[Entry]:
        """List every member with the archive's own checksum. Raises UserError if it is damaged."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                # Not m.is_dir(), which fails on an empty name.
                members = [
                    (index, path_parts(member.filename), member)
                    for index, member in enumerate(archive.infolist())
                    if not member.filename.endswith("/")
                ]
        except _CORRUPT as error:
            raise _corrupt(self.path, error) from error
        _check_members(self.path, len(members))
        if sum(member.file_size for *_, member in members) > max_unpacked_bytes(self.path):
            raise _too_large(self.path)
        # The archive's own checksums are enough; nothing is unpacked to look for a cached copy.
        return _deduplicate(
            Entry(parts, index, f"{member.CRC:08x}:{member.file_size}" if wanted(parts) else "")
            for index, parts, member in members
            if parts
        )

    def load(self, keys: Sequence[Any]) -> Iterator[tuple[int, Load]]:
        """Yield (position, Load) for each key, in the order of the archive."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                members = archive.infolist()
                # In the order of the file, which disks and networks read fastest.
                order = sorted(range(len(keys)), key=lambda p: members[keys[p]].header_offset)
                for position in order:
                    yield position, _read_now(_read_zip_member, archive, members[keys[position]])
        except (*_CORRUPT, IndexError) as error:
            raise _corrupt(self.path, error) from error


class TarStore:
    """Store of the members of a tar archive, compressed or not.

    Members are read from front to back: seeking backwards in a compressed archive would decompress
    it again from its start.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def files(self) -> Iterator[str]:
        """Yield the path of the archive."""
        yield os.fspath(self.path)

    def entries(self, wanted: Wanted) -> list[Entry]:
        """List every member, with the SHA-256 of those that `wanted` accepts. Raises UserError."""
        found = []
        try:
            with open_tar(self.path) as archive:
                for member in archive:
                    parts = path_parts(member.name)
                    if parts and not member.isdir():
                        digest = _tar_digest(archive, member) if wanted(parts) else ""
                        found.append(Entry(parts, member.offset, digest))
                        _check_members(self.path, len(found))
        except _CORRUPT as error:
            raise _corrupt(self.path, error) from error
        return _deduplicate(found)

    def load(self, keys: Sequence[Any]) -> Iterator[tuple[int, Load]]:
        """Yield (position, Load) for each key, in the order of the archive."""
        positions = {key: position for position, key in enumerate(keys)}
        try:
            with open_tar(self.path) as archive:
                for member in archive:
                    if member.offset in positions:
                        load = _read_now(read_tar_member, archive, member)
                        yield positions[member.offset], load
        except _CORRUPT as error:
            raise _corrupt(self.path, error) from error


@contextlib.contextmanager
def open_tar(path: Path) -> Iterator[tarfile.TarFile]:
    """Open a tar archive, compressed or not, and limit the bytes read from it.

    Raises:
        UserError: while reading, if the archive is larger than `max_unpacked_bytes`, or a header
            states more than the maximum size of a file.
        _CORRUPT: the archive is damaged.
    """
    with path.open("rb") as file:
        start = file.read(6)
    unpack = next((f for magic, f in _OPENERS.items() if start.startswith(magic)), open)
    with (
        unpack(path, "rb") as file,
        tarfile.open(fileobj=_Bounded(file, path), mode="r:") as archive,  # type: ignore[call-overload]
    ):
        yield archive


class _Bounded:
    """File object for `tarfile` that refuses oversized reads; `tarfile` trusts headers."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self.file, self.path, self.limit = file, path, max_unpacked_bytes(path)

    def read(self, size: int) -> bytes:
        if size > MAX_FILE_BYTES + tarfile.BLOCKSIZE or self.tell() + size > self.limit:
            raise _too_large(self.path)
        return self.file.read(size)

    def seek(self, position: int) -> int:
        # Skipping a member of a compressed archive decompresses it.
        if position > self.limit:
            raise _too_large(self.path)
        return self.file.seek(position)

    def tell(self) -> int:
        return self.file.tell()


def max_unpacked_bytes(path: Path) -> int:
    """Return the maximum size in bytes that an archive may unpack to."""
    return MAX_RATIO * path.stat().st_size + MAX_FILE_BYTES


def read_file(path: Path) -> bytes:
    """Read a file.

    Raises:
        UnusableError: the file is missing, empty, too large or not a regular file (reading a pipe
            would block for ever).
        OSError: the file cannot be read.
    """
    try:
        about = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        raise UnusableError("missing") from None
    if not stat.S_ISREG(about.st_mode):
        raise UnusableError("not a plain file")
    _check_size(about.st_size)
    with open(path, "rb", buffering=0) as file:
        return file.read()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, or the reason why it cannot be read."""
    try:
        return hashlib.sha256(read_file(path)).hexdigest()
    except (UnusableError, OSError) as error:
        return f"unusable: {error.strerror if isinstance(error, OSError) else error}"


def _read_now(read: Callable[[Any, Any], bytes], archive: Any, member: Any) -> Load:
    """Read a member and return its Load; one that raises UnusableError if it is unusable."""
    try:
        data = read(archive, member)
    except UnusableError as error:
        return partial(_fail, str(error))
    return lambda: data


def _fail(reason: str) -> NoReturn:
    raise UnusableError(reason)


def _read_zip_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Return the content of a member. Raises UnusableError."""
    _check_size(member.file_size)
    if member.flag_bits & 1:
        raise UnusableError("encrypted")
    try:
        with archive.open(member) as file:
            # With no size given, zipfile returns all a member holds, whatever size it states.
            return file.read(member.file_size)
    except _CORRUPT as error:
        raise UnusableError(str(error)) from error


def _tar_digest(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    try:
        return hashlib.sha256(read_tar_member(archive, member)).hexdigest()
    except UnusableError as error:
        return f"unusable: {error}"


def read_tar_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """Return the content of a member. Raises UnusableError if it cannot be a photograph."""
    # A sparse file of a few bytes can state any size.
    if not member.isreg() or member.issparse():
        raise UnusableError("not a plain file")
    _check_size(member.size)
    file = archive.extractfile(member)
    assert file is not None  # None only for folders and links
    return file.read()


def _check_size(size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise UnusableError(f"larger than {MAX_FILE_BYTES // 2**20} MiB")
    if size == 0:
        raise UnusableError("empty file")


def _check_members(path: Path, count: int) -> None:
    if count > MAX_MEMBERS:
        raise UserError(
            f"{str(path)!r} has more than {MAX_MEMBERS:,} files; give fewer files, or a directory"
        )


def _too_large(path: Path) -> UserError:
    return UserError(
        f"{str(path)!r} would unpack to more than {MAX_RATIO} times its size, which no archive of "
        "photographs does; give a directory, or make the archive again"
    )


def _is_tar(path: Path) -> bool:
    try:
        with open_tar(path):
            return True
    except _CORRUPT:
        return False


def path_parts(name: str) -> tuple[str, ...]:
    """Split a member's name into path parts, without root, `.` and `..`."""
    return tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", ".", ".."))


def _deduplicate(entries: Iterator[Entry] | list[Entry]) -> list[Entry]:
    # An archive may hold a name twice; unpacked, the later member would overwrite the earlier.
    return list({entry.parts: entry for entry in entries}.values())


def _corrupt(path: Path, error: Exception) -> UserError:
    return UserError(
        f"can't read {str(path)!r} as an archive ({error}); it is damaged or cut short: "
        "copy or download it again"
    )
