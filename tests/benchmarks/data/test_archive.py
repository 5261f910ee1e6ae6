"""Directories and archives return the same files; damage and bombs are clear errors."""

import bz2
import gzip
import io
import os
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from lossbench.benchmarks.data import archive as archive_module
from lossbench.benchmarks.data import directory
from lossbench.benchmarks.data.archive import open_reader, path_parts
from lossbench.benchmarks.data.directory import read_file
from lossbench.benchmarks.data.sources import UnusableError
from lossbench.benchmarks.errors import UserError

FILES = {"a/one": b"1", "a/two": b"22", "three": b"333"}
KINDS = ("directory", "zip", "tar", "tar.gz", "tgz")
ARCHIVES = KINDS[1:-1]
DAMAGED = "damaged or cut short"


@pytest.fixture
def one_mebibyte(monkeypatch):
    """Lower the maximum size of a file, so that bombs can be small."""
    for module in (archive_module, directory):
        monkeypatch.setattr(module, "MAX_FILE_BYTES", 2**20)


def contents(path):
    """Return the content of every file by its path, or the reason why it is unusable."""
    reader = open_reader(path)
    listed = reader.infolist(bool)
    found = {}
    for position, content in reader.load([file.key for file in listed]):
        content = read_file(content) if isinstance(content, Path) else content
        reason = str(content) if isinstance(content, UnusableError) else content
        found["/".join(listed[position].parts)] = reason
    return found


@pytest.fixture
def tar(tmp_path):
    """Write a tar archive of members without content."""

    def make(kinds, **options):
        with tarfile.open(tmp_path / "made.tar", "w", **options) as archive:
            for name, kind in kinds.items():
                member = tarfile.TarInfo(name)
                member.type, member.linkname = kind, "/etc/passwd"
                archive.addfile(member)
        return tmp_path / "made.tar"

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_files_are_returned_unchanged(pack, kind):
    path = pack(FILES, kind)
    assert contents(path) == FILES
    files = {str(path / name) for name in FILES} if kind == "directory" else {str(path)}
    assert set(open_reader(path).files()) == files


@pytest.mark.parametrize("kind", KINDS)
def test_checksums_follow_the_content_of_wanted_files(pack, kind):
    def digests(files, name):
        listed = open_reader(pack(files, kind, name)).infolist(lambda parts: parts[0] == "a")
        return {"/".join(file.parts): file.digest for file in listed}

    before, same = digests(FILES, "before"), digests(FILES, "same")
    after = digests({**FILES, "a/one": b"I"}, "after")
    assert before == same
    assert before["three"] == ""
    assert {name for name in FILES if before[name] != after[name]} == {"a/one"}


@pytest.mark.parametrize("kind", ["directory", "tar.gz"])
def test_directory_and_tar_have_the_same_checksums(pack, kind):
    first, other = (open_reader(pack(FILES, k)).infolist(bool) for k in ("tar", kind))
    assert {e.parts: e.digest for e in first} == {e.parts: e.digest for e in other}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_names_that_lead_elsewhere_are_only_names(pack, kind, tmp_path):
    path = pack({"../../evil/cat.1.jpg": b"x", "/etc/cat.2.jpg": b"y", "./b\\c": b"z"}, kind)
    before = sorted(tmp_path.rglob("*"))
    assert contents(path) == {"evil/cat.1.jpg": b"x", "etc/cat.2.jpg": b"y", "b/c": b"z"}
    assert sorted(tmp_path.rglob("*")) == before
    assert path_parts("/a/./..\\b//c") == ("a", "b", "c")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("one_mebibyte")
def test_oversized_and_empty_files_are_unusable(pack, kind):
    files = {"big": os.urandom(2**20 + 1), "fits": os.urandom(2**20), "none": b""}
    assert contents(pack(files, kind)) == {
        "big": "larger than 1 MiB",
        "fits": files["fits"],
        "none": "empty file",
    }


def test_the_last_member_of_a_name_counts(tmp_path):
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as archive:
        archive.writestr("a", b"old")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a", b"new")
    assert contents(tmp_path / "twice.zip") == {"a": b"new"}


def test_members_of_a_tar_that_are_no_regular_files_are_unusable(tar):
    names = ("SYMTYPE", "FIFOTYPE", "BLKTYPE", "CHRTYPE", "LNKTYPE", "GNUTYPE_SPARSE")
    path = tar({name: getattr(tarfile, name) for name in names})
    assert contents(path) == dict.fromkeys(names, "not a plain file")


def test_a_directory_follows_links_but_not_in_circles(pack, tmp_path):
    path = pack(FILES)
    (path / "linked").symlink_to(pack({"cat.jpg": b"c"}, name="elsewhere"))
    (path / "a" / "round").symlink_to(path)
    (path / "gone").symlink_to(tmp_path / "nowhere")
    os.mkfifo(path / "pipe")
    found = contents(path)
    assert found == {**FILES, "linked/cat.jpg": b"c", "gone": "missing", "pipe": "not a plain file"}


def test_a_damaged_member_of_a_zip_is_one_unusable_file(pack):
    path = pack(FILES, "zip")
    path.write_bytes(path.read_bytes().replace(b"333", b"3x3"))
    found = contents(path)
    assert "CRC" in found.pop("three")
    assert found == {"a/one": b"1", "a/two": b"22"}


def test_an_encrypted_member_is_unusable(pack):
    path = pack({"cat.1.jpg": b"secret"}, "zip")
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1  # the flags in the archive's directory
    content[content.index(b"PK\3\4") + 6] |= 1  # and before the member itself
    path.write_bytes(content)
    assert contents(path) == {"cat.1.jpg": "encrypted"}


def zeros(path, kind, members, size):
    """Write an archive of zeros, which shrink a thousandfold."""
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
@pytest.mark.usefixtures("one_mebibyte")
def test_a_bomb_is_refused(tmp_path, kind, refusal):
    path = zeros(tmp_path / f"bomb.{kind}", kind, 9, 2**20)
    refusal(lambda: contents(path), "more than 200 times its size")
    # One large file of one color is no bomb.
    assert len(contents(zeros(tmp_path / f"flat.{kind}", kind, 1, 2**19))) == 1


def test_no_more_is_unpacked_than_a_member_states(tmp_path):
    path = zeros(tmp_path / "lies.zip", "zip", 1, 2**26)
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
def test_a_tar_header_that_states_gigabytes_is_refused(tmp_path, kind, refusal):
    """tarfile reads extended headers into memory as a whole."""
    path = tmp_path / "header.tar.gz"
    with gzip.open(path, "w", compresslevel=1) as file:
        member = tarfile.TarInfo("header")
        member.type, member.size = kind.encode(), 2**30
        file.write(member.tobuf(tarfile.GNU_FORMAT))
        file.write(bytes(2**20))
    refusal(lambda: contents(path), "times its size")
    unnamed = path.rename(tmp_path / "without a suffix")
    refusal(lambda: contents(unnamed), "times its size")


@pytest.mark.usefixtures("one_mebibyte")
def test_a_header_in_a_large_archive_is_limited_too(pack, refusal):
    header = tarfile.TarInfo("header")
    header.type, header.size = b"x", 2**20 + 513
    path = pack({"cat.1.jpg": os.urandom(2**20)}, "tar")
    path.write_bytes(header.tobuf(tarfile.GNU_FORMAT) + path.read_bytes())
    refusal(lambda: contents(path), "times its size")


@pytest.mark.usefixtures("one_mebibyte")
def test_members_without_content_are_limited(tmp_path, refusal):
    path = tmp_path / "empty.tar.bz2"
    with bz2.open(path, "w") as file:
        file.write(8_000 * tarfile.TarInfo("cat/1.jpg").tobuf())
    refusal(lambda: contents(path), "times its size")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_the_number_of_members_is_limited(pack, kind, monkeypatch, refusal):
    path = pack({f"cat.{n}.jpg": b"x" for n in range(11)}, kind)
    monkeypatch.setattr(archive_module, "MAX_MEMBERS", 11)
    assert len(contents(path)) == 11
    monkeypatch.setattr(archive_module, "MAX_MEMBERS", 10)
    refusal(lambda: contents(path), "more than 10 files")


def test_a_member_without_a_name_is_left_out(pack):
    path = pack({"cat.1.jpg": b"x", "?": b"y"}, "zip")
    path.write_bytes(path.read_bytes().replace(b"?", b"\0"))
    assert contents(path) == {"cat.1.jpg": b"x"}


def test_a_length_beyond_64_bits_is_damage(tmp_path, refusal):
    path = tmp_path / "long.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("cat.1.jpg")
        member.pax_headers = {"comment": "é" + 30 * "x"}
        archive.addfile(member)
    content = path.read_bytes()
    at = content.index(b" comment=")
    text = content[at - 2 : at + 30]
    assert text[:2].isdigit()
    path.write_bytes(content.replace(text, b"9" * 20 + b" c=" + text[23:], 1))
    refusal(lambda: contents(path), DAMAGED)


@pytest.mark.parametrize("kind", ARCHIVES)
def test_a_truncated_archive_is_an_error(pack, kind, refusal):
    path = pack({f"cat.{n}.jpg": os.urandom(2000) for n in range(9)}, kind)
    path.write_bytes(path.read_bytes()[:9001])
    refusal(lambda: contents(path), DAMAGED)


@pytest.mark.parametrize("name", ["noise.zip", "noise.tar", "noise.tgz"])
def test_other_content_with_the_suffix_of_an_archive_is_an_error(tmp_path, name, refusal):
    (tmp_path / name).write_bytes(b"no archive at all" * 99)
    refusal(lambda: contents(tmp_path / name), DAMAGED)


@pytest.mark.parametrize("kind", ARCHIVES)
def test_archives_are_recognized_by_content(pack, tmp_path, kind):
    assert contents(pack(FILES, kind).rename(tmp_path / "download")) == FILES


def test_other_files_and_missing_ones_are_errors(tmp_path, refusal):
    (tmp_path / "pets.rar").write_bytes(b"Rar!" * 99)
    refusal(
        lambda: open_reader(tmp_path / "pets.rar"), "neither a directory nor an archive", ".zip"
    )
    refusal(lambda: open_reader(tmp_path / "nothing.zip"), "no such file")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_that_is_damaged_after_it_was_listed(pack, kind):
    path = pack(FILES, kind)
    reader = open_reader(path)
    keys = [file.key for file in reader.infolist(bool)]
    path.write_bytes(b"no archive")
    with pytest.raises(UserError, match=DAMAGED):
        list(reader.load(keys))


def test_folders_of_a_tar_are_no_files_and_some_files_can_be_read(tmp_path):
    path = tmp_path / "folders.tar"
    with tarfile.open(path, "w") as archive:
        for name, content in {"a": None, "a/one": b"1", "": b"nameless", "a/two": b"22"}.items():
            member = tarfile.TarInfo(name)
            member.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            member.size = len(content or b"")
            archive.addfile(member, io.BytesIO(content or b""))
    reader = open_reader(path)
    listed = {"/".join(file.parts): file.key for file in reader.infolist(bool)}
    assert list(listed) == ["a/one", "a/two"]
    assert list(reader.load([listed["a/two"]])) == [(0, b"22")]


def test_what_is_no_archive_is_refused(tmp_path, refusal, monkeypatch):
    pipe, table = tmp_path / "pipe", tmp_path / "table.csv"
    os.mkfifo(pipe)
    refusal(lambda: open_reader(pipe), "neither a directory nor an archive")
    table.write_text("name,label\n")
    refusal(lambda: open_reader(table), "give the folder of the table and its images")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    refusal(lambda: open_reader(table), "can't read", "Permission denied")


def test_no_more_is_skipped_than_an_archive_may_hold(tmp_path, monkeypatch):
    path = tmp_path / "bomb.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in ("big", "small"):
            member = tarfile.TarInfo(name)
            member.size = 20_000 if name == "big" else 1
            archive.addfile(member, io.BytesIO(bytes(member.size)))
    monkeypatch.setattr(archive_module, "max_unpacked_bytes", lambda _: 10_000)
    with pytest.raises(UserError, match="would unpack to more"):
        open_reader(path).infolist(lambda _: False)
