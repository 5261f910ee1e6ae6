"""Directories, zip and tar archives as one thing: a list of files that can be read.

Archives are read in place and never unpacked, so a member's name is only ever a label: one that
begins with `/` or climbs with `..` reaches nothing. What an archive says of its sizes is not
believed: neither a member nor all together become larger than the bounds below.
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
"""ImageNet has 1.4 million pictures."""
CHUNK = 32
"""Files of a directory that a thread reads for their checksums at a time."""
MAX_RATIO = 200
"""How many times its own size, beyond one file of the largest size, an archive may unpack to:
photographs hardly shrink, and what shrinks a thousandfold was made to fill a memory or a disk."""

_DECOMPRESSED: dict[bytes, Any] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
"""What opens a compressed file, by its first bytes."""
_CORRUPT = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, OSError, ValueError, OverflowError, NotImplementedError),
)

Wanted = Callable[[tuple[str, ...]], bool]


@dataclass(frozen=True)
class Entry:
    """One file of a store: its path in parts, what the store finds it by, and a checksum of its
    content ('' where the file was not wanted)."""

    parts: tuple[str, ...]
    key: Any
    digest: str


class Store(Protocol):
    """Files that can be listed and read."""

    path: Path

    def files(self) -> Iterator[str]:
        """The paths of the files that everything here is in. Raises OSError."""

    def entries(self, wanted: Wanted) -> list[Entry]:
        """Every file, with a checksum of those whose path `wanted` accepts."""

    def load(self, keys: Sequence[Any]) -> Iterator[tuple[int, Load]]:
        """(position, Load) for each of the keys, in the order that is cheap to read."""


def open_store(path: Path) -> Store:
    """The store at `path`: a directory, .zip, .tar, .tar.gz or .tgz (by suffix, else by content).

    Raises:
        UserError: there is nothing at `path`, or it is none of these.
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
    raise UserError(f"{str(path)!r} is no directory and no .zip, .tar, .tar.gz or .tgz archive")


class DirectoryStore:
    """The files below a directory, links followed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self, wanted: Wanted) -> list[Entry]:
        try:
            files = sorted(self._parts())
        except OSError as error:
            raise UserError(
                f"can't read the directory {error.filename!r}: {error.strerror}"
            ) from error
        read = [parts for parts in files if wanted(parts)]
        # Handed out one by one, small files cost more to hand out than to read.
        chunks = [read[at : at + CHUNK] for at in range(0, len(read), CHUNK)]
        with ThreadPoolExecutor() as pool:
            digests = chain.from_iterable(pool.map(lambda c: [*map(self._digest, c)], chunks))
            found = dict(zip(read, digests, strict=True))
        return [Entry(parts, parts, found.get(parts, "")) for parts in files]

    def load(self, keys: Sequence[Any]) -> Iterator[tuple[int, Load]]:
        for position, parts in enumerate(keys):
            yield position, partial(read_file, self.path.joinpath(*parts))

    def files(self) -> Iterator[str]:
        for folder, names in self._folders():
            yield from (f"{folder}{os.sep}{name}" for name in names)

    def _parts(self) -> Iterator[tuple[str, ...]]:
        for folder, names in self._folders():
            parts = Path(folder).relative_to(self.path).parts
            yield from ((*parts, name) for name in names)

    def _folders(self) -> Iterator[tuple[str, list[str]]]:
        """Every folder with the names of the files in it."""

        def stop(error: OSError) -> NoReturn:
            raise error

        for folder, subfolders, names in os.walk(self.path, onerror=stop, followlinks=True):
            real = Path(folder).resolve()
            # A link to a folder above leads round in a circle.
            subfolders[:] = [s for s in subfolders if not real.is_relative_to((real / s).resolve())]
            yield folder, names

    def _digest(self, parts: tuple[str, ...]) -> str:
        return file_digest(self.path.joinpath(*parts))


class ZipStore:
    """The members of a zip archive."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def files(self) -> Iterator[str]:
        yield os.fspath(self.path)

    def entries(self, wanted: Wanted) -> list[Entry]:
        try:
            with zipfile.ZipFile(self.path) as archive:
                # Not m.is_dir(), which fails on an empty name.
                everything = enumerate(archive.infolist())
                members = [(i, m) for i, m in everything if not m.filename.endswith("/")]
                listed = [(i, parts_of(m.filename), m) for i, m in members]
        except _CORRUPT as error:
            raise _corrupt(self.path, error) from error
        _check_members(self.path, len(members))
        if sum(m.file_size for _, m in members) > most_bytes(self.path):
            raise _too_large(self.path)
        # The archive's own checksums do: nothing is unpacked to look for a cached copy.
        return _last_of_each(
            Entry(parts, index, f"{m.CRC:08x}:{m.file_size}" if wanted(parts) else "")
            for index, parts, m in listed
            if parts
        )

    def load(self, keys: Sequence[Any]) -> Iterator[tuple[int, Load]]:
        try:
            with zipfile.ZipFile(self.path) as archive:
                members = archive.infolist()
                # In the order of the file, not of the names: disks and networks like that.
                order = sorted(range(len(keys)), key=lambda p: members[keys[p]].header_offset)
                for position in order:
                    yield position, _read_zip_member(archive, members[keys[position]])
        except (*_CORRUPT, IndexError) as error:
            raise _corrupt(self.path, error) from error


class TarStore:
    """The members of a tar archive, compressed or not. They are read from front to back, because
    going back in a compressed archive means to decompress it again from its start."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def files(self) -> Iterator[str]:
        yield os.fspath(self.path)

    def entries(self, wanted: Wanted) -> list[Entry]:
        found = []
        try:
            with opened_tar(self.path) as archive:
                for member in archive:
                    parts = parts_of(member.name)
                    if parts and not member.isdir():
                        digest = _tar_digest(archive, member) if wanted(parts) else ""
                        found.append(Entry(parts, member.offset, digest))
                        _check_members(self.path, len(found))
        except _CORRUPT as error:
            raise _corrupt(self.path, error) from error
        return _last_of_each(found)

    def load(self, keys: Sequence[Any]) -> Iterator[tuple[int, Load]]:
        positions = {key: position for position, key in enumerate(keys)}
        try:
            with opened_tar(self.path) as archive:
                for member in archive:
                    if member.offset in positions:
                        yield positions[member.offset], _read_tar_member(archive, member)
        except _CORRUPT as error:
            raise _corrupt(self.path, error) from error


@contextlib.contextmanager
def opened_tar(path: Path) -> Iterator[tarfile.TarFile]:
    """A tar archive, compressed or not, whose bytes are bounded.

    Raises:
        UserError: while it is read, if it is larger than `most_bytes`, or a header of it is larger
            than any file may be.
        _CORRUPT: it is damaged.
    """
    with path.open("rb") as file:
        start = file.read(6)
    unpack = next((f for magic, f in _DECOMPRESSED.items() if start.startswith(magic)), open)
    with (
        unpack(path, "rb") as file,
        tarfile.open(fileobj=_Bounded(file, path), mode="r:") as archive,  # type: ignore[call-overload]
    ):
        yield archive


class _Bounded:
    """A file as `tarfile` reads it, which would believe a header that asks for gigabytes."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self.file, self.path, self.most = file, path, most_bytes(path)

    def read(self, size: int) -> bytes:
        if size > MAX_FILE_BYTES + tarfile.BLOCKSIZE or self.tell() + size > self.most:
            raise _too_large(self.path)
        return self.file.read(size)

    def seek(self, position: int) -> int:
        # To skip a member of a compressed archive is to decompress it.
        if position > self.most:
            raise _too_large(self.path)
        return self.file.seek(position)

    def tell(self) -> int:
        return self.file.tell()


def most_bytes(path: Path) -> int:
    """How large an archive may become."""
    return MAX_RATIO * path.stat().st_size + MAX_FILE_BYTES


def read_file(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        UnusableError: it is missing, empty, too large, or no plain file (a pipe would make the
            reader wait for ever).
        OSError: it can't be read.
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
    """SHA-256 of a file's bytes, or why it has none: that belongs to the fingerprint as well."""
    try:
        return hashlib.sha256(read_file(path)).hexdigest()
    except (UnusableError, OSError) as error:
        return f"unusable: {error.strerror if isinstance(error, OSError) else error}"


def _read_zip_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Load:
    try:
        _check_size(member.file_size)
        if member.flag_bits & 1:
            raise UnusableError("encrypted")
        with archive.open(member) as file:
            # Asked for all it has, zipfile gives what a member holds, whatever size it states.
            data = file.read(member.file_size)
    except (UnusableError, *_CORRUPT) as error:
        return partial(_fail, str(error))
    return lambda: data


def _tar_digest(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    try:
        return hashlib.sha256(tar_bytes(archive, member)).hexdigest()
    except UnusableError as error:
        return f"unusable: {error}"


def _read_tar_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Load:
    try:
        data = tar_bytes(archive, member)
    except UnusableError as error:
        return partial(_fail, str(error))
    return lambda: data


def tar_bytes(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """The content of a member. Raises UnusableError if it is none of a photograph."""
    # A sparse file of a few bytes states any size.
    if not member.isreg() or member.issparse():
        raise UnusableError("not a plain file")
    _check_size(member.size)
    file = archive.extractfile(member)
    assert file is not None  # it is None for folders and links alone
    return file.read()


def _check_size(size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise UnusableError(f"larger than {MAX_FILE_BYTES // 2**20} MiB")
    if size == 0:
        raise UnusableError("empty file")


def _check_members(path: Path, count: int) -> None:
    if count > MAX_MEMBERS:
        raise UserError(
            f"{str(path)!r} has more than {MAX_MEMBERS:,} files; give fewer, or a directory"
        )


def _too_large(path: Path) -> UserError:
    return UserError(
        f"{str(path)!r} would unpack to more than {MAX_RATIO} times its size, which no photographs "
        "do; give them as a directory, or pack them anew"
    )


def _is_tar(path: Path) -> bool:
    try:
        with opened_tar(path):
            return True
    except _CORRUPT:
        return False


def _fail(reason: str) -> NoReturn:
    raise UnusableError(reason)


def parts_of(name: str) -> tuple[str, ...]:
    """The parts of a member's name that can name something: no root, no `.` and no `..`."""
    return tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", ".", ".."))


def _last_of_each(entries: Iterator[Entry] | list[Entry]) -> list[Entry]:
    # An archive may hold a name twice; unpacked, the later member would overwrite the earlier.
    return list({entry.parts: entry for entry in entries}.values())


def _corrupt(path: Path, error: Exception) -> UserError:
    return UserError(
        f"can't read {str(path)!r} as an archive ({error}); it is damaged or cut short: "
        "copy or download it again"
    )
