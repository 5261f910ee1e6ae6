"""Directories, zip and tar archives as one thing: a list of files that can be read.

Archives are read in place and never unpacked, so a member's name is only ever a label: one that
begins with `/` or climbs with `..` reaches nothing.
"""

import hashlib
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, Protocol

from benchmarks.data.sources import MAX_FILE_BYTES, Load, UnusableError
from benchmarks.errors import UserError

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_CORRUPT = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, OSError)

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
            if name.endswith(TAR_SUFFIXES) or tarfile.is_tarfile(path):
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
            files = sorted(self._files())
        except OSError as error:
            raise UserError(
                f"can't read the directory {error.filename!r}: {error.strerror}"
            ) from error
        with ThreadPoolExecutor() as pool:
            digests = pool.map(lambda file: self._digest(file) if wanted(file) else "", files)
            return [Entry(f, f, digest) for f, digest in zip(files, digests, strict=True)]

    def load(self, keys: Sequence[Any]) -> Iterator[tuple[int, Load]]:
        for position, parts in enumerate(keys):
            yield position, partial(read_file, self.path.joinpath(*parts))

    def _files(self) -> Iterator[tuple[str, ...]]:
        def stop(error: OSError) -> NoReturn:
            raise error

        for folder, subfolders, names in os.walk(self.path, onerror=stop, followlinks=True):
            real = Path(folder).resolve()
            # A link to a folder above leads round in a circle.
            subfolders[:] = [s for s in subfolders if not real.is_relative_to((real / s).resolve())]
            parts = Path(folder).relative_to(self.path).parts
            yield from ((*parts, name) for name in names)

    def _digest(self, parts: tuple[str, ...]) -> str:
        return file_digest(self.path.joinpath(*parts))


class ZipStore:
    """The members of a zip archive."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self, wanted: Wanted) -> list[Entry]:
        try:
            with zipfile.ZipFile(self.path) as archive:
                members = [(i, m) for i, m in enumerate(archive.infolist()) if not m.is_dir()]
                listed = [(i, _parts(m.filename), m) for i, m in members]
        except (*_CORRUPT, NotImplementedError) as error:
            raise _corrupt(self.path, error) from error
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

    def entries(self, wanted: Wanted) -> list[Entry]:
        found = []
        try:
            with tarfile.open(self.path) as archive:
                for member in archive:
                    parts = _parts(member.name)
                    if parts and not member.isdir():
                        digest = _tar_digest(archive, member) if wanted(parts) else ""
                        found.append(Entry(parts, member.offset, digest))
        except _CORRUPT as error:
            raise _corrupt(self.path, error) from error
        return _last_of_each(found)

    def load(self, keys: Sequence[Any]) -> Iterator[tuple[int, Load]]:
        positions = {key: position for position, key in enumerate(keys)}
        try:
            with tarfile.open(self.path) as archive:
                for member in archive:
                    if member.offset in positions:
                        yield positions[member.offset], _read_tar_member(archive, member)
        except _CORRUPT as error:
            raise _corrupt(self.path, error) from error


def read_file(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        UnusableError: it is missing, empty, too large, or no plain file (a pipe would make the
            reader wait for ever).
        OSError: it can't be read.
    """
    if not path.is_file():
        raise UnusableError("not a plain file" if path.exists() else "missing")
    _check_size(path.stat().st_size)
    return path.read_bytes()


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
        data = archive.read(member)
    except (UnusableError, *_CORRUPT, NotImplementedError) as error:
        return partial(_fail, str(error))
    return lambda: data


def _tar_digest(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    try:
        return hashlib.sha256(_tar_bytes(archive, member)).hexdigest()
    except UnusableError as error:
        return f"unusable: {error}"


def _read_tar_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Load:
    try:
        data = _tar_bytes(archive, member)
    except UnusableError as error:
        return partial(_fail, str(error))
    return lambda: data


def _tar_bytes(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if not member.isreg():
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


def _fail(reason: str) -> NoReturn:
    raise UnusableError(reason)


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", ".", ".."))


def _last_of_each(entries: Iterator[Entry] | list[Entry]) -> list[Entry]:
    # An archive may hold a name twice; unpacked, the later member would overwrite the earlier.
    return list({entry.parts: entry for entry in entries}.values())


def _corrupt(path: Path, error: Exception) -> UserError:
    return UserError(
        f"can't read {str(path)!r} as an archive ({error}); it is damaged or cut short: "
        "copy or download it again"
    )
