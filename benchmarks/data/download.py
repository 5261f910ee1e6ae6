"""Download published archives.

Only https is allowed. Size and SHA-256 are checked before anything reads the archive. A broken
download continues where it stopped. Member names are never used as paths.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from lossbench.benchmarks.errors import UserError, one_line
from lossbench.benchmarks.records.files import lock_directory, remove_scratch, sync_directory

from .archive import open_tar, path_parts, read_tar_member
from .sources import Say, UnavailableError, cache_home

NETWORK_TIMEOUT = 10.0
"""Seconds without a byte after which a download fails."""
SCHEMES = ("https",)
BLOCK = 2**16


@dataclass(frozen=True)
class Archive:
    """A published file.

    Attributes:
        url: its address.
        size: its size in bytes; no more are received.
        sha256: SHA-256 of its content, in hex.
    """

    url: str
    size: int
    sha256: str

    @property
    def part(self) -> str:
        """File name of the incomplete download."""
        return f".{urlsplit(self.url).path.rpartition('/')[2]}.part"


def download(
    title: str,
    folder: str,
    archives: Sequence[Archive],
    members: re.Pattern[str],
    say: Say,
) -> Path:
    """Download archives and extract `folder` from them, completely or not at all.

    Args:
        title: name and size of the data set, for the user.
        folder: name of the directory to create.
        archives: tar archives.
        members: pattern for the full names of members to keep. Its group `path` is the destination
            below `folder` and must not match a path that leads elsewhere.
        say: takes a message when a download begins.

    Returns:
        The directory that holds `folder`.

    Raises:
        UserError: the download directory cannot be written.
        UnavailableError: an archive cannot be downloaded.
    """
    downloads = cache_home() / "downloads"
    try:
        downloads.mkdir(parents=True, exist_ok=True)
        with lock_directory(downloads, wait=say):  # two processes would write into the same file
            if not (downloads / folder).is_dir():  # another process may have been faster
                say(f"downloading {title} into {downloads}")
                for archive in archives:
                    fetch(archive, downloads / archive.part)
                _unpack([downloads / archive.part for archive in archives], folder, members)
    except OSError as error:
        raise UserError(
            f"can't write to {str(downloads)!r} ({error.strerror or error}); "
            "set XDG_CACHE_HOME to a writable directory"
        ) from error
    return downloads


def fetch(archive: Archive, path: Path) -> None:
    """Download an archive to `path`, continuing an earlier download.

    After a broken connection the download continues, as long as each connection delivers bytes. If
    an earlier part was damaged, it begins again.

    Raises:
        UnavailableError: the archive cannot be downloaded or is another file. A wrong file is
            removed; an incomplete one is kept.
        OSError: the file cannot be written.
    """
    received = path.stat().st_size if path.exists() else 0
    if received > archive.size:
        received = 0
    earlier = received
    while received < archive.size:
        before = received
        failure: Exception | None = None
        try:
            received = _receive(archive, path, received)
        except _BrokenError as error:
            received, failure = error.received, error
        if received <= before:
            raise UnavailableError(f"the download failed: {failure or 'the connection closed'}")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != archive.sha256:
        path.unlink()
        if earlier:
            fetch(archive, path)
            return
        raise UnavailableError(
            f"the download failed: {archive.url} is corrupted or another file (its "
            f"SHA-256 begins with {found[:12]}, not with {archive.sha256[:12]})"
        )


class _BrokenError(Exception):
    """Raised when the network fails; `received` is the number of bytes received."""

    def __init__(self, error: Exception, received: int) -> None:
        text = (one_line(error) or type(error).__name__).removeprefix("<urlopen error ")
        super().__init__(text.removesuffix(">"))
        self.received = received


class _Redirects(HTTPRedirectHandler):
    """Redirect handler that refuses schemes other than https; urllib follows https to http."""

    def redirect_request(self, req: Request, *rest: Any) -> Request | None:
        """Follow the redirect if its scheme is allowed. Raises UnavailableError."""
        check_scheme(rest[-1])
        return super().redirect_request(req, *rest)


def check_scheme(url: str) -> None:
    """Raise UnavailableError unless the URL uses https."""
    if urlsplit(url).scheme not in SCHEMES:
        raise UnavailableError(f"the download failed: {url} is not an https address")


def _receive(archive: Archive, path: Path, received: int) -> int:
    """Receive one connection's bytes and return the total number received.

    Args:
        archive: the file to download.
        path: where to write it.
        received: bytes received before.

    Raises:
        _BrokenError: the network failed.
        UnavailableError: the address or the size is wrong.
        OSError: the file cannot be written.
    """
    check_scheme(archive.url)
    request = Request(archive.url, headers={"Range": f"bytes={received}-"} if received else {})
    try:
        response = build_opener(_Redirects).open(request, timeout=NETWORK_TIMEOUT)
    except (OSError, HTTPException, ValueError) as error:
        raise _BrokenError(error, received) from error
    with response:
        if not response.headers.get("Content-Range", "").startswith(f"bytes {received}-"):
            received = 0  # the server does not support ranges
        stated = response.headers.get("Content-Length", "")
        if stated.isdigit() and received + int(stated) != archive.size:
            raise UnavailableError(
                f"the download failed: {archive.url} is corrupted or another file "
                f"({received + int(stated):,} bytes instead of {archive.size:,})"
            )
        with path.open("ab" if received else "wb") as file:
            while received < archive.size:
                try:
                    block = response.read(min(BLOCK, archive.size - received))
                except (OSError, HTTPException) as error:
                    raise _BrokenError(error, received) from error
                if not block:
                    break
                file.write(block)
                received += len(block)
    return received


def _unpack(archives: Sequence[Path], folder: str, members: re.Pattern[str]) -> None:
    """Extract the regular files whose names match into `folder`, beside the archives."""
    downloads = archives[0].parent
    remove_scratch(downloads)
    scratch = downloads / f".{folder}.tmp"
    try:
        scratch.mkdir()
        for path in archives:
            with open_tar(path) as archive:
                for member in archive:
                    wanted = members.fullmatch("/".join(path_parts(member.name)))
                    content = read_tar_member(archive, member) if wanted else b""
                    if wanted and isinstance(content, bytes):
                        target = scratch / folder / wanted["path"]
                        target.parent.mkdir(parents=True, exist_ok=True)
                        target.write_bytes(content)
        # Thousands of files at once: the folder's name says that they are complete.
        if hasattr(os, "sync"):
            os.sync()
        os.rename(scratch / folder, downloads / folder)
        sync_directory(downloads)
        for path in archives:
            path.unlink()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
