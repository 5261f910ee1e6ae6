"""Directories and archives list and give back the same files, and damage is a clear error."""

import os
import tarfile
import zipfile

import pytest

from benchmarks.data.archives import open_store
from benchmarks.data.sources import UnusableError
from benchmarks.errors import UserError

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
    monkeypatch.setattr("benchmarks.data.archives.MAX_FILE_BYTES", 2**20)
    found = contents(pack({"big": bytes(2**20 + 1), "fits": bytes(2**20), "none": b""}, kind))
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
    with pytest.raises(UserError, match=r"no \.zip, \.tar"):
        open_store(tmp_path / "pets.rar")
    with pytest.raises(UserError, match="no such file"):
        open_store(tmp_path / "nothing.zip")
