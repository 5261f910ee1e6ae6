"""Zip and tar archives, read like a directory: list, check and read their files.

Archives are read in place and never unpacked. A member's name is only a label, so a name that
begins with `/` or contains `..` reaches nothing. Sizes stated in an archive are not trusted: the
bounds below limit each member and the archive.
"""

import bz2
import contextlib
import gzip
import lzma
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from lossbench.benchmarks.errors import UserError

from .directory import (
    DirectoryReader,
    FileFilter,
    FileInfo,
    digest,
    max_unpacked_bytes,
    size_error,
    unpacked_error,
)
from .other_files import TAR_SUFFIXES, explain_other_formats
from .parquet import ParquetReader
from .sources import MAX_FILE_BYTES, UnusableError

MAX_MEMBERS = 2_000_000
"""Upper bound of files per archive. ImageNet has 1.4 million images."""
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


class _ArchiveReader:
    def __init__(self, path: Path) -> None:
        self.path = path

    def files(self) -> Iterator[str]:
        """Yield the path of the archive."""
        yield os.fspath(self.path)


class ZipReader(_ArchiveReader):
    """Reader of the members of a zip archive."""

    def infolist(self, wanted: FileFilter) -> list[FileInfo]:
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
            raise unpacked_error(self.path)
        # The archive's own checksums are enough; nothing is unpacked to look for a cached copy.
        return _deduplicate(
            FileInfo(parts, index, f"{member.CRC:08x}:{member.file_size}" if wanted(parts) else "")
            for index, parts, member in members
            if parts
        )

    def load(self, keys: Sequence[Any]) -> Iterator[tuple[int, bytes | UnusableError]]:
        """Yield (position, content) for each key, in the order of the archive."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                members = archive.infolist()
                # In the order of the file, which disks and networks read fastest.
                order = sorted(range(len(keys)), key=lambda p: members[keys[p]].header_offset)
                for position in order:
                    yield position, _read_zip_member(archive, members[keys[position]])
        except (*_CORRUPT, IndexError) as error:
            raise _corrupt(self.path, error) from error


class TarReader(_ArchiveReader):
    """Reader of the members of a tar archive, compressed or not.

    Members are read from front to back: seeking backwards in a compressed archive would decompress
    it again from its start.
    """

    def infolist(self, wanted: FileFilter) -> list[FileInfo]:
        """List every member, with the SHA-256 of those that `wanted` accepts. Raises UserError."""
        found = []
        try:
            with open_tar(self.path) as archive:
                for member in archive:
                    parts = path_parts(member.name)
                    if parts and not member.isdir():
                        sha = digest(read_tar_member(archive, member)) if wanted(parts) else ""
                        found.append(FileInfo(parts, member.offset, sha))
                        _check_members(self.path, len(found))
        except _CORRUPT as error:
            raise _corrupt(self.path, error) from error
        return _deduplicate(found)

    def load(self, keys: Sequence[Any]) -> Iterator[tuple[int, bytes | UnusableError]]:
        """Yield (position, content) for each key, in the order of the archive."""
        positions = {key: position for position, key in enumerate(keys)}
        try:
            with open_tar(self.path) as archive:
                for member in archive:
                    if member.offset in positions:
                        yield positions[member.offset], read_tar_member(archive, member)
        except _CORRUPT as error:
            raise _corrupt(self.path, error) from error


Reader = DirectoryReader | ZipReader | TarReader | ParquetReader
"""Collection of files.

`files` yields the paths of all files on disk that it consists of, `infolist` lists its own files,
with a checksum for the paths that are wanted, and `load` yields (position, content) for each key
of a file, in the order that is cheapest to read."""


def open_reader(path: Path) -> Reader:
    """Open a directory, .zip, .tar, .tar.gz, .tgz or .parquet.

    The suffix decides, else the content.

    Raises:
        UserError: nothing exists at `path`, or it is none of these.
    """
    if path.is_dir():
        return DirectoryReader(path)
    if not path.exists():
        raise UserError(f"no such file or directory: {str(path)!r}")
    name = path.name.lower()
    try:
        if path.is_file():
            path.open("rb").close()
            if name.endswith(".zip") or zipfile.is_zipfile(path):
                return ZipReader(path)
            if name.endswith(".parquet"):
                return ParquetReader(path)
            if name.endswith(TAR_SUFFIXES) or _is_tar(path):
                return TarReader(path)
    except OSError as error:
        raise UserError(f"can't read {str(path)!r}: {error.strerror or error}") from error
    advice = explain_other_formats([path.name])
    if name.endswith((".csv", ".tsv")):
        advice = "give the folder of the table and its images"
    raise UserError(
        f"{str(path)!r} is neither a directory nor an archive; give a directory, .zip, .tar, "
        f".tar.gz, .tgz or .parquet{f'; {advice}' if advice else ''}"
    )


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
            raise unpacked_error(self.path)
        return self.file.read(size)

    def seek(self, position: int) -> int:
        # Skipping a member of a compressed archive decompresses it.
        if position > self.limit:
            raise unpacked_error(self.path)
        return self.file.seek(position)

    def tell(self) -> int:
        return self.file.tell()


def _read_zip_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes | UnusableError:
    """Read a member; return the error if it cannot be a photograph."""
    if error := size_error(member.file_size):
        return error
    if member.flag_bits & 1:
        return UnusableError("encrypted")
    try:
        with archive.open(member) as file:
            # With no size given, zipfile returns all a member holds, whatever size it states.
            return file.read(member.file_size)
    except _CORRUPT as error:
        return UnusableError(str(error))


def read_tar_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | UnusableError:
    """Read a member; return the error if it cannot be a photograph."""
    # A sparse file of a few bytes can state any size.
    if not member.isreg() or member.issparse():
        return UnusableError("not a plain file")
    file = archive.extractfile(member)
    assert file is not None  # None only for folders and links
    return size_error(member.size) or file.read()


def _check_members(path: Path, count: int) -> None:
    if count > MAX_MEMBERS:
        raise UserError(
            f"{str(path)!r} has more than {MAX_MEMBERS:,} files; give fewer files, or a directory"
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


def _deduplicate(files: Iterable[FileInfo]) -> list[FileInfo]:
    # An archive may hold a name twice; unpacked, the later member would overwrite the earlier.
    return list({file.parts: file for file in files}.values())


def _corrupt(path: Path, error: Exception) -> UserError:
    return UserError(
        f"can't read {str(path)!r} as an archive ({error}); it is damaged or cut short: "
        "copy or download it again"
    )
