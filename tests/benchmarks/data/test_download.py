"""Downloads use https, are checked, continue after a break and write only where they should."""

import io
import itertools
import os
import re
import socket
import tarfile
import threading
import time
from dataclasses import replace
from http.client import HTTPResponse
from urllib.request import Request

import pytest

from lossbench.benchmarks.data import cifar, pets
from lossbench.benchmarks.data import download as download_module
from lossbench.benchmarks.data.download import Archive, check_scheme, download, fetch
from lossbench.benchmarks.data.sources import UnavailableError
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.records.files import lock_directory

CONTENT = os.urandom(300_000)
MEMBERS = re.compile(r"data/(?P<path>\w+\.txt)")


@pytest.fixture
def path(tmp_path):
    """Return the path to download to."""
    return tmp_path / "archive.part"


def downloaded(home):
    return sorted(p.name for p in (home / "downloads").iterdir() if p.name != ".lock")


def test_every_archive_has_a_checksum_and_uses_https():
    archives = [cifar.ARCHIVE, *pets.ARCHIVES]
    for archive in archives:
        check_scheme(archive.url)
        assert re.fullmatch("[0-9a-f]{64}", archive.sha256)
        assert 0 < archive.size < 2**30
    assert len({archive.part for archive in archives}) == len(archives)


@pytest.mark.parametrize("scheme", ["http", "ftp", "file", "data", "HTTP", ""])
def test_another_scheme_is_refused(path, scheme):
    url = f"{scheme}://127.0.0.1:9/archive"
    with pytest.raises(UnavailableError, match="not an https address"):
        fetch(Archive(url, 5, "0" * 64), path)
    request = Request("https://127.0.0.1:9/archive")
    with pytest.raises(UnavailableError, match="not an https address"):
        download_module._Redirects().redirect_request(request, io.BytesIO(), 302, "Found", {}, url)


def test_a_redirect_is_followed_only_to_the_same_scheme(server, path):
    archive = server.publish("here", CONTENT)
    away = replace(archive, url=f"{server.address}/away")
    server.redirects["/away"] = archive.url
    fetch(away, path)
    assert path.read_bytes() == CONTENT
    path.unlink()
    server.redirects["/away"] = archive.url.replace("http:", "ftp:")
    with pytest.raises(UnavailableError, match="not an https address"):
        fetch(away, path)
    assert not path.exists()


def test_a_broken_download_continues_where_it_broke(server, path):
    archive = server.publish("archive", CONTENT)
    server.cuts = [100_000, 70_000]
    fetch(archive, path)
    assert path.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-", "bytes=170000-"]


def test_an_earlier_part_is_continued(server, path):
    archive = server.publish("archive", CONTENT)
    server.cuts = [1000, 0]
    with pytest.raises(UnavailableError, match="the connection closed"):
        fetch(archive, path)
    assert path.read_bytes() == CONTENT[:1000]
    server.asked.clear()
    fetch(archive, path)
    assert path.read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-"]
    fetch(archive, path)
    assert len(server.asked) == 1


@pytest.mark.parametrize("before", [CONTENT[:5000], os.urandom(400_000)])
def test_without_ranges_or_with_too_long_a_part_it_starts_again(server, path, before):
    archive = server.publish("archive", CONTENT)
    server.ranges = False
    path.write_bytes(before)
    fetch(archive, path)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("other", [CONTENT[:-1], CONTENT + b"!"])
def test_another_size_is_refused_without_receiving_it(server, path, other):
    archive = server.publish("archive", CONTENT)
    server.files["/archive"] = other
    with pytest.raises(UnavailableError, match="instead of 300,000"):
        fetch(archive, path)
    assert not path.exists()


def test_no_more_bytes_are_received_than_expected(server, path, monkeypatch):
    monkeypatch.setattr(server.RequestHandlerClass, "send_header", lambda *_: None)
    archive = server.publish("archive", CONTENT)
    server.files["/archive"] = CONTENT + bytes(10_000_000)
    fetch(archive, path)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("part", [b"", b"wrong from the start"])
def test_other_content_is_refused_and_removed(server, path, part):
    archive = server.publish("archive", CONTENT)
    server.files["/archive"] = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    path.write_bytes(part)
    with pytest.raises(UnavailableError, match="corrupted or another file"):
        fetch(archive, path)
    assert not path.exists()


@pytest.mark.usefixtures("server")
def test_a_silent_server_times_out(path, monkeypatch):
    monkeypatch.setattr(download_module, "NETWORK_TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/archive"
        with pytest.raises(UnavailableError, match="timed out"):
            fetch(Archive(url, 5, "0" * 64), path)
    with pytest.raises(UnavailableError, match="refused"):
        fetch(Archive(url, 5, "0" * 64), path)


def malicious():
    """Return an archive with names that lead elsewhere and members that are not files."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name in (
            "data/good.txt",
            "./data/fine.txt",
            "../up.txt",
            "/tmp/abs.txt",
            "data/../x.txt",
        ):
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"text"))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            member = tarfile.TarInfo("data/odd.txt")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    return file.getvalue()


def test_only_expected_regular_files_are_extracted(server, home, tmp_path):
    archive = server.publish("malicious.tar.gz", malicious())
    messages = []
    assert download("it", "folder", [archive], MEMBERS, messages.append) == home / "downloads"
    files = sorted(p for p in tmp_path.rglob("*") if p.is_file() and p.name != ".lock")
    folder = home / "downloads" / "folder"
    # `..` is left out of data/../x.txt.
    assert files == [folder / name for name in ("fine.txt", "good.txt", "x.txt")]
    assert downloaded(home) == ["folder"]
    assert messages == [f"downloading it into {home / 'downloads'}"]


def test_an_interrupted_extraction_is_repeated_without_downloading(server, home, monkeypatch):
    archive = server.publish("malicious.tar.gz", malicious())

    def stop(*_):
        raise KeyboardInterrupt

    for when in ("_unpack", "read_tar_member"):
        with monkeypatch.context() as patch:
            patch.setattr(download_module, when, stop)
            with pytest.raises(KeyboardInterrupt):
                download("it", "folder", [archive], MEMBERS, str)
        assert downloaded(home) == [".malicious.tar.gz.part"]
    download("it", "folder", [archive], MEMBERS, str)
    assert downloaded(home) == ["folder"]
    assert len(server.asked) == 1


def test_two_processes_download_once(server, home):
    archive = server.publish("malicious.tar.gz", malicious())
    messages = []

    def work():
        download("it", "folder", [archive], MEMBERS, messages.append)

    (home / "downloads").mkdir(parents=True)
    with lock_directory(home / "downloads"):
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        while len(messages) < 2:
            time.sleep(0.01)
    for thread in threads:
        thread.join()
    assert all(line.endswith("downloads: waiting for it") for line in messages[:2])
    assert len(server.asked) == 1
    assert downloaded(home) == ["folder"]


def test_an_unwritable_cache_is_an_error(home):
    home.parent.mkdir(parents=True)
    home.write_text("a file where a directory should be")
    with pytest.raises(UserError, match="XDG_CACHE_HOME"):
        cifar.cifar10(str)


def test_a_damaged_part_is_downloaded_again(server, path):
    archive = server.publish("archive", CONTENT)
    for damaged in (bytes(5000), bytes(len(CONTENT))):
        server.asked.clear()
        path.write_bytes(damaged)
        fetch(archive, path)
        assert path.read_bytes() == CONTENT
        assert server.asked[-1] is None


def test_files_are_synced_before_their_folder_appears(server, home, monkeypatch):
    archive = server.publish("malicious.tar.gz", malicious())
    seen = []
    folder = home / "downloads" / "folder"
    monkeypatch.setattr(os, "sync", lambda: seen.append(folder.exists()))
    monkeypatch.setattr(download_module, "sync_directory", lambda each: seen.append(each))
    download("it", "folder", [archive], MEMBERS, str)
    assert seen == [False, home / "downloads"]
    monkeypatch.delattr(os, "sync")  # Windows has none
    download("it", "other", [archive], MEMBERS, str)


def test_a_connection_that_is_reset_is_opened_again(server, path, monkeypatch):
    archive = server.publish("archive", CONTENT)
    real, calls = HTTPResponse.read, itertools.count()

    def read(this, *size):
        if next(calls) == 1:
            raise ConnectionResetError
        return real(this, *size)

    monkeypatch.setattr(HTTPResponse, "read", read)
    fetch(archive, path)
    assert path.read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={download_module.BLOCK}-"]
