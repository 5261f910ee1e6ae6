"""Directories and archives list and give back the same files, and damage is a clear error."""

import bz2
import gzip
import io
import os
import tarfile
import tracemalloc
import zipfile

import pytest

from lossbench.benchmarks.data.archive import open_store
from lossbench.benchmarks.data.sources import UnusableError
from lossbench.benchmarks.errors import UserError

FILES = {"a/one": b"1", "a/two": b"22", "three": b"333"}
KINDS = ("directory", "zip", "tar", "tar.gz", "tgz")


def contents(path):
    """Every file of a store by its path: the bytes, or the reason that there are none."""
    store = open_store(path)
    entries = store.entries(bool)
    found = {}
    for position, load in store.load([entry.key for entry in entries]):
        try:
            found["/".join(entries[position].parts)] = load()
        except UnusableError as error:
            found["/".join(entries[position].parts)] = str(error)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_files_come_back(pack, kind):
    assert contents(pack(FILES, kind)) == FILES


@pytest.mark.parametrize("kind", KINDS)
def test_checksums_follow_the_content_of_wanted_files(pack, kind):
    def digests(files, name):
        entries = open_store(pack(files, kind, name)).entries(lambda parts: parts[0] == "a")
        return {"/".join(entry.parts): entry.digest for entry in entries}

    before, same = digests(FILES, "before"), digests(FILES, "same")
    after = digests({**FILES, "a/one": b"I"}, "after")
    assert before == same
    assert before["three"] == ""
    assert {name for name in FILES if before[name] != after[name]} == {"a/one"}


@pytest.mark.parametrize("kind", ["directory", "tar.gz"])
def test_directory_and_tar_agree_on_checksums(pack, kind):
    plain = open_store(pack(FILES, "tar")).entries(bool)
    other = open_store(pack(FILES, kind)).entries(bool)
    assert {e.parts: e.digest for e in plain} == {e.parts: e.digest for e in other}


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_names_that_climb_out_are_only_names(pack, kind, tmp_path):
    path = pack({"../../evil/cat.1.jpg": b"x", "/etc/cat.2.jpg": b"y", "./b\\c": b"z"}, kind)
    before = sorted(tmp_path.rglob("*"))
    assert contents(path) == {"evil/cat.1.jpg": b"x", "etc/cat.2.jpg": b"y", "b/c": b"z"}
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", KINDS)
def test_oversized_and_empty_files_are_left_unread(pack, kind, monkeypatch):
    monkeypatch.setattr("lossbench.benchmarks.data.archive.MAX_FILE_BYTES", 2**20)
    found = contents(
        pack({"big": os.urandom(2**20 + 1), "fits": os.urandom(2**20), "none": b""}, kind)
    )
    assert found["big"] == "larger than 1 MiB"
    assert found["none"] == "empty file"
    assert len(found["fits"]) == 2**20


def test_the_last_of_two_members_of_a_name_counts(tmp_path):
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as archive:
        archive.writestr("a", b"old")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a", b"new")
    assert contents(tmp_path / "twice.zip") == {"a": b"new"}


def test_links_and_pipes_in_a_tar_are_no_files(tmp_path):
    with tarfile.open(tmp_path / "odd.tar", "w") as archive:
        for name, kind in (("link", tarfile.SYMTYPE), ("pipe", tarfile.FIFOTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    found = contents(tmp_path / "odd.tar")
    assert found == dict.fromkeys(("link", "pipe"), "not a plain file")


def test_a_directory_follows_links_but_not_in_circles(pack, tmp_path):
    path = pack(FILES)
    elsewhere = pack({"cat.jpg": b"c"}, name="elsewhere")
    (path / "linked").symlink_to(elsewhere)
    (path / "a" / "round").symlink_to(path)
    (path / "gone").symlink_to(tmp_path / "nowhere")
    os.mkfifo(path / "pipe")
    found = contents(path)
    assert found == {**FILES, "linked/cat.jpg": b"c", "gone": "missing", "pipe": "not a plain file"}


def test_one_damaged_member_of_a_zip_is_one_unusable_file(pack):
    path = pack(FILES, "zip")
    path.write_bytes(path.read_bytes().replace(b"333", b"3x3"))
    found = contents(path)
    assert "CRC" in found.pop("three")
    assert found == {"a/one": b"1", "a/two": b"22"}


def test_an_encrypted_member_is_an_unusable_file(pack):
    path = pack({"cat.1.jpg": b"secret"}, "zip")
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1  # the flags in the archive's directory
    content[content.index(b"PK\3\4") + 6] |= 1  # and before the member itself
    path.write_bytes(content)
    assert contents(path) == {"cat.1.jpg": "encrypted"}


def test_devices_and_hard_links_and_sparse_files_in_a_tar_are_no_files(tmp_path):
    with tarfile.open(tmp_path / "odd.tar", "w") as archive:
        for name, kind in (
            *(("block", tarfile.BLKTYPE), ("char", tarfile.CHRTYPE), ("hard", tarfile.LNKTYPE)),
            ("sparse", tarfile.GNUTYPE_SPARSE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    assert set(contents(tmp_path / "odd.tar").values()) == {"not a plain file"}


def bomb(path, kind, members, size):
    """An archive of zeros, which shrink a thousandfold."""
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for n in range(members):
                archive.writestr(f"cat.{n}.jpg", bytes(size))
    else:
        with tarfile.open(path, f"w:{kind.removeprefix('tar.')}") as archive:
            for n in range(members):
                member = tarfile.TarInfo(f"cat.{n}.jpg")
                member.size = size
                archive.addfile(member, io.BytesIO(bytes(size)))
    return path


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.bz2", "tar.xz"])
def test_an_archive_that_unpacks_to_hundreds_of_times_its_size_is_refused(
    tmp_path, kind, monkeypatch, refusal
):
    monkeypatch.setattr("lossbench.benchmarks.data.archive.MAX_FILE_BYTES", 2**20)
    path = bomb(tmp_path / f"bomb.{kind}", kind, 9, 2**20)
    refusal(lambda: contents(path), "more than 200 times its size")
    # One large file of one colour is no bomb.
    assert len(contents(bomb(tmp_path / f"flat.{kind}", kind, 1, 2**19))) == 1


def test_a_member_that_unpacks_to_more_than_it_states_is_cut(tmp_path):
    """zipfile, asked for the whole member, would give what it holds and not what it states."""
    path = bomb(tmp_path / "lies.zip", "zip", 1, 2**28)
    content = bytearray(path.read_bytes())
    for start, offset in ((b"PK\1\2", 24), (b"PK\3\4", 22)):
        at = content.index(start) + offset
        content[at : at + 4] = (100).to_bytes(4, "little")
    path.write_bytes(content)
    tracemalloc.start()
    try:
        assert "CRC" in contents(path)["cat.0.jpg"]
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["x", "g", "L", "K"])
def test_a_header_that_asks_for_gigabytes_is_refused(tmp_path, kind, refusal):
    """tarfile reads extended headers whole, into memory."""
    path = tmp_path / "header.tar.gz"
    with gzip.open(path, "w", compresslevel=1) as file:
        member = tarfile.TarInfo("header")
        member.type, member.size = kind.encode(), 2**30
        file.write(member.tobuf(tarfile.GNU_FORMAT))
        file.write(bytes(2**20))
    for name in (path, path.rename(tmp_path / "without a suffix")):
        if name.exists():
            refusal(lambda name=name: contents(name), "times its size")


def test_a_header_is_bounded_in_a_large_archive_too(pack, monkeypatch, refusal):
    monkeypatch.setattr("lossbench.benchmarks.data.archive.MAX_FILE_BYTES", 2**20)
    header = tarfile.TarInfo("header")
    header.type, header.size = b"x", 2**20 + 513
    path = pack({"cat.1.jpg": os.urandom(2**20)}, "tar")
    path.write_bytes(header.tobuf(tarfile.GNU_FORMAT) + path.read_bytes())
    refusal(lambda: contents(path), "times its size")


def test_members_without_content_are_bounded(tmp_path, monkeypatch, refusal):
    monkeypatch.setattr("lossbench.benchmarks.data.archive.MAX_FILE_BYTES", 2**20)
    path = tmp_path / "empty.tar.bz2"
    with bz2.open(path, "w") as file:
        file.write(20_000 * tarfile.TarInfo("cat/1.jpg").tobuf())
    refusal(lambda: contents(path), "times its size")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_there_is_a_bound_on_members(pack, kind, monkeypatch, refusal):
    path = pack({f"cat.{n}.jpg": b"x" for n in range(11)}, kind)
    monkeypatch.setattr("lossbench.benchmarks.data.archive.MAX_MEMBERS", 11)
    assert len(contents(path)) == 11
    monkeypatch.setattr("lossbench.benchmarks.data.archive.MAX_MEMBERS", 10)
    refusal(lambda: contents(path), "more than 10 files")


def test_a_member_without_a_name_is_passed_over(pack):
    path = pack({"cat.1.jpg": b"x", "?": b"y"}, "zip")
    path.write_bytes(path.read_bytes().replace(b"?", b"\0"))
    assert contents(path) == {"cat.1.jpg": b"x"}


def test_a_length_that_no_machine_can_count_is_damage(tmp_path):
    with tarfile.open(tmp_path / "long.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("cat.1.jpg")
        member.pax_headers = {"comment": "é" + 30 * "x"}
        archive.addfile(member)
    content = (tmp_path / "long.tar").read_bytes()
    at = content.index(b" comment=")
    text = content[at - 2 : at + 30]
    assert text[:2].isdigit()
    longer = content.replace(text, b"9" * 20 + b" c=" + text[23:], 1)
    (tmp_path / "long.tar").write_bytes(longer)
    with pytest.raises(UserError, match="damaged or cut short"):
        contents(tmp_path / "long.tar")


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_a_cut_archive_is_an_error(pack, kind):
    path = pack({f"cat.{n}.jpg": os.urandom(2000) for n in range(9)}, kind)
    path.write_bytes(path.read_bytes()[:9001])
    with pytest.raises(UserError, match="damaged or cut short"):
        contents(path)


@pytest.mark.parametrize("name", ["noise.zip", "noise.tar", "noise.tgz"])
def test_noise_with_the_suffix_of_an_archive_is_an_error(tmp_path, name):
    (tmp_path / name).write_bytes(b"no archive at all" * 99)
    with pytest.raises(UserError, match="damaged or cut short"):
        contents(tmp_path / name)


def test_archives_are_known_by_content_and_other_files_refused(pack, tmp_path):
    assert contents(pack(FILES, "zip").rename(tmp_path / "download")) == FILES
    (tmp_path / "pets.rar").write_bytes(b"Rar!" * 99)
    with pytest.raises(UserError, match=r"give a directory, \.zip"):
        open_store(tmp_path / "pets.rar")
    with pytest.raises(UserError, match="no such file"):
        open_store(tmp_path / "nothing.zip")
