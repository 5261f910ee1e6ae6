"""Published archives from the network: over https alone, known by size and SHA-256 before anything
reads them, gone on with where an earlier attempt broke off, and never unpacked by name."""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from lossbench.benchmarks.errors import UserError, one_line
from lossbench.benchmarks.records.files import lock_directory

from .archive import opened_tar, parts_of, tar_bytes
from .sources import Say, UnavailableError, cache_home

NETWORK_TIMEOUT = 10.0
"""Seconds without a byte after which a download is given up."""
SCHEMES = ("https",)
BLOCK = 2**16


@dataclass(frozen=True)
class Archive:
    """A file that somebody has published.

    Attributes:
        url: where it is.
        size: its bytes; no more than these are ever received.
        sha256: of its content, in hex.
    """

    url: str
    size: int
    sha256: str

    @property
    def part(self) -> str:
        """What it is called while it is not all there."""
        return f".{urlsplit(self.url).path.rpartition('/')[2]}.part"


def downloaded(
    what: str,
    folder: str,
    archives: Sequence[Archive],
    members: re.Pattern[str],
    say: Say,
) -> Path:
    """The directory of downloads with `folder` in it, which appears complete or not at all.

    Args:
        what: the data set and how large it is, for the user.
        folder: the directory to make.
        archives: tar archives.
        members: fits the whole names of the members to keep; its group `path` is where each goes
            below `folder`, and may allow nothing that leads elsewhere.
        say: is told when a download begins.

    Raises:
        UserError: the directory of downloads can't be written.
        UnavailableError: there is no such archive to be had.
    """
    downloads = cache_home() / "downloads"
    try:
        downloads.mkdir(parents=True, exist_ok=True)
        with lock_directory(downloads, wait=say):  # two would write into the same file
            if not (downloads / folder).is_dir():  # another process may have been faster
                say(f"downloading {what} into {downloads}")
                for archive in archives:
                    fetch(archive, downloads / archive.part)
                _unpack([downloads / archive.part for archive in archives], folder, members)
    except OSError as error:
        raise UserError(
            f"can't write to {str(downloads)!r} ({error.strerror or error}); "
            "set XDG_CACHE_HOME to a directory that can be written"
        ) from error
    return downloads


def fetch(archive: Archive, path: Path) -> None:
    """Receives an archive into the file `path`, beginning with what is there already. Where the
    connection breaks it is made again, as long as each one brings some bytes.

    Raises:
        UnavailableError: it can't be had, or is not what it should be; nothing is left then of a
            wrong file, and what came of a right one is left to go on with.
        OSError: the file can't be written.
    """
    have = path.stat().st_size if path.exists() else 0
    if have > archive.size:
        have = 0
    while have < archive.size:
        before = have
        failure: Exception | None = None
        try:
            have = _received(archive, path, have)
        except _BrokenError as error:
            have, failure = error.have, error
        if have <= before:
            raise UnavailableError(f"the download failed: {failure or 'the connection closed'}")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != archive.sha256:
        path.unlink()
        raise UnavailableError(
            f"the download failed: what {archive.url} holds is corrupted or another file (its "
            f"SHA-256 begins with {found[:12]}, not with {archive.sha256[:12]})"
        )


class _BrokenError(Exception):
    """The network failed when `have` bytes were there."""

    def __init__(self, error: Exception, have: int) -> None:
        text = (one_line(error) or type(error).__name__).removeprefix("<urlopen error ")
        super().__init__(text.removesuffix(">"))
        self.have = have


class _Redirects(HTTPRedirectHandler):
    """Follows no redirect to a scheme that is not allowed: urllib goes from https to http."""

    def redirect_request(self, req: Request, *rest: Any) -> Request | None:
        check_scheme(rest[-1])
        return super().redirect_request(req, *rest)


def check_scheme(url: str) -> None:
    """Raises UnavailableError unless the address is one of https."""
    if urlsplit(url).scheme not in SCHEMES:
        raise UnavailableError(f"the download failed: {url} is no address of https")


def _received(archive: Archive, path: Path, have: int) -> int:
    """How many bytes are there when one connection has brought what it does, `have` being there
    before. Raises _BrokenError if the network fails, UnavailableError for a wrong address or
    size, OSError if the file can't be written."""
    check_scheme(archive.url)
    request = Request(archive.url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = build_opener(_Redirects).open(request, timeout=NETWORK_TIMEOUT)
    except (OSError, HTTPException, ValueError) as error:
        raise _BrokenError(error, have) from error
    with answer:
        if not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            have = 0  # the server knows no ranges and begins anew
        offered = answer.headers.get("Content-Length", "")
        if offered.isdigit() and have + int(offered) != archive.size:
            raise UnavailableError(
                f"the download failed: {archive.url} is corrupted or another file "
                f"({have + int(offered):,} bytes where {archive.size:,} are wanted)"
            )
        with path.open("ab" if have else "wb") as file:
            while have < archive.size:
                try:
                    block = answer.read(min(BLOCK, archive.size - have))
                except (OSError, HTTPException) as error:
                    raise _BrokenError(error, have) from error
                if not block:
                    break
                file.write(block)
                have += len(block)
    return have


def _unpack(archives: Sequence[Path], folder: str, members: re.Pattern[str]) -> None:
    """Makes `folder` beside the archives, out of those of their plain files whose names fit."""
    downloads = archives[0].parent
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder}-", dir=downloads))
    try:
        for path in archives:
            with opened_tar(path) as archive:
                for member in archive:
                    wanted = members.fullmatch("/".join(parts_of(member.name)))
                    if wanted and member.isreg():
                        target = scratch / folder / wanted["path"]
                        target.parent.mkdir(parents=True, exist_ok=True)
                        target.write_bytes(tar_bytes(archive, member))
        os.rename(scratch / folder, downloads / folder)
        for path in archives:
            path.unlink()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
