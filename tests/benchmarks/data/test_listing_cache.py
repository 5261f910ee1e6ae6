"""What a path holds is looked up once, and again after any change of its files."""

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from lossbench.benchmarks.data import archive as archives
from lossbench.benchmarks.data import listing_cache as remembered
from lossbench.benchmarks.data.cache import open_cached
from lossbench.benchmarks.data.folder import path_source
from lossbench.benchmarks.data.listing_cache import Listing
from lossbench.benchmarks.data.listing_cache import cached_listing as known_of

SPLIT = ("train/cat/{}.jpg", "train/dog/{}.jpg", "test/cat/{}.jpg", "test/dog/{}.jpg")
KINDS = ("directory", "zip", "tar.gz")


def files_of(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]


@pytest.fixture
def settled(monkeypatch):
    """Makes files look as if they had not been changed for a while: ctime can't be set."""
    monkeypatch.setattr(remembered, "SETTLED_SECONDS", -3600.0)


@pytest.fixture
def listings(monkeypatch):
    """Counts the times that a store is listed."""
    done = []
    for store in (archives.DirectoryStore, archives.ZipStore, archives.TarStore):

        def entries(self, wanted, plain=store.entries):
            done.append(self.path)
            return plain(self, wanted)

        monkeypatch.setattr(store, "entries", entries)
    return done


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("settled")
def test_a_second_start_lists_and_reads_nothing(pack, pets, kind, listings, monkeypatch):
    path = pack(pets(*SPLIT, "horse/{}.jpg"), kind)
    first = path_source(path)
    images = open_cached(first, 32, say=str)
    assert len(listings) == 1
    for name in ("file_digest", "read_file"):
        monkeypatch.setattr(archives, name, lambda *_: pytest.fail("read again"))
    second = path_source(path)
    again = open_cached(second, 32, say=str)
    assert len(listings) == 1
    assert "left out: 5 files" in second.description
    assert (second.fingerprint, second.description) == (first.fingerprint, first.description)
    assert again.train.names == images.train.names


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("settled")
def test_the_pictures_are_there_for_who_asks(pack, pets, kind, listings):
    path = pack(pets(*SPLIT), kind)
    first, second = path_source(path), path_source(path)
    assert len(listings) == 1
    assert second.pictures[3] == first.pictures[3]
    assert list(second.pictures) == list(first.pictures)
    assert len(second.pictures) == 20
    assert len(listings) == 2
    # Decoding at another size asks for them.
    assert len(open_cached(path_source(path), 48, say=str).train.labels) == 10
    assert len(listings) == 3


def rewrite(path: Path) -> None:
    """Other content of the same length and the same time of modification."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES = {
    "content": rewrite,
    "added": lambda path: shutil.copy(path, path.parent / "new.jpg"),
    "removed": lambda path: path.unlink(),
    "renamed": lambda path: path.rename(path.parent / "other.jpg"),
    "replaced": lambda path: os.replace(path.parent / "1.jpg", path),
    "moved": lambda path: path.rename(path.parents[1] / "dog" / "moved.jpg"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.usefixtures("settled")
def test_any_change_of_a_directory_is_seen(pack, pets, listings, change):
    path = pack(pets(*SPLIT))
    before = path_source(path)
    change(path / "train" / "cat" / "0.jpg")
    after = path_source(path)
    assert len(listings) == 2
    assert after.fingerprint != before.fingerprint


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.usefixtures("settled")
def test_another_archive_in_its_place_is_seen(pack, pets, jpeg, kind):
    files = pets(*SPLIT)
    before = path_source(pack(files, kind))
    after = path_source(pack({**files, "train/cat/0.jpg": jpeg(99)}, kind))
    assert after.fingerprint != before.fingerprint


def test_a_file_changed_just_now_is_not_believed(pack, pets, listings, home):
    """A file system's clock may not tell the next change from it."""
    path = pack(pets(*SPLIT))
    assert [path_source(path).fingerprint for _ in range(2)]
    assert len(listings) == 2
    assert not (home / "sources").exists()


@pytest.mark.usefixtures("settled")
def test_other_classes_are_looked_up_for_themselves(pack, pets):
    path = pack(pets(*SPLIT, "train/ant/{}.jpg", "test/ant/{}.jpg"))
    two, three = path_source(path), path_source(path, classes=("dog", "cat", "ant"))
    assert (len(two.pictures), len(three.pictures)) == (20, 30)
    assert path_source(path).fingerprint == two.fingerprint != three.fingerprint


@pytest.mark.usefixtures("settled")
def test_a_name_and_a_description_of_ones_own_count(pack, pets):
    path = pack(pets(*SPLIT))
    first = path_source(path)
    named = path_source(path, name="mine", description="my own")
    assert (named.name, named.description) == ("mine", "my own")
    assert path_source(path).description == first.description


@pytest.mark.usefixtures("settled")
def test_what_is_no_source_is_no_source_again(pack, pets, home):
    path = pack(pets("cat/{}.jpg"))
    for _ in range(2):
        with pytest.raises(Exception, match="images of every class are needed"):
            path_source(path)
    assert not (home / "sources").exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-9],
        lambda _: "[]",
        lambda _: "",
        lambda text: json.dumps({**json.loads(text), "fingerprint": 5}),
        lambda text: json.dumps({**json.loads(text), "fingerprint": "/../../elsewhere"}),
        lambda text: json.dumps({**json.loads(text), "format": 0}),
        lambda text: text.replace("description", "remark"),
    ],
    ids=["cut", "list", "empty", "number", "path", "format", "lacking"],
)
@pytest.mark.usefixtures("settled")
def test_a_damaged_memory_is_none(pack, pets, home, listings, damage):
    path = pack(pets(*SPLIT))
    first = path_source(path)
    (memory,) = (home / "sources").iterdir()
    memory.write_text(damage(memory.read_text()))
    assert path_source(path).fingerprint == first.fingerprint
    assert len(listings) == 2
    path_source(path)
    assert len(listings) == 2


@pytest.mark.usefixtures("settled")
def test_without_a_place_to_remember_it_is_looked_up_each_time(pack, pets, home, listings):
    path = pack(pets(*SPLIT))
    home.parent.mkdir(parents=True)
    home.write_text("a file where a directory should be")
    assert path_source(path).fingerprint == path_source(path).fingerprint
    assert len(listings) == 2


@pytest.mark.usefixtures("settled")
def test_a_missing_file_is_remembered_as_missing(tmp_path):
    asked = []

    def look():
        asked.append(1)
        return Listing("f" * 64, "about")

    link = tmp_path / "link.jpg"
    link.symlink_to(tmp_path / "nowhere")
    for _ in range(2):
        assert known_of(tmp_path, ("dog", "cat"), lambda: [str(link)], look).description == "about"
    (tmp_path / "nowhere").write_bytes(b"there now")
    known_of(tmp_path, ("dog", "cat"), lambda: [str(link)], look)
    assert len(asked) == 2


@pytest.mark.usefixtures("settled")
def test_odd_names_and_numbers_beyond_64_bits_are_remembered_too(tmp_path, monkeypatch):
    odd = tmp_path / os.fsdecode(b"caf\xe9\n.jpg")
    odd.write_bytes(b"1")
    far = SimpleNamespace(st_mtime_ns=2**70 + 1, st_ctime_ns=5, st_size=1, st_ino=2**64)
    asked = []
    for stat in (os.stat, lambda _: far):
        patched = SimpleNamespace(stat=stat, path=os.path, fsencode=os.fsencode)
        monkeypatch.setattr(remembered, "os", patched)
        for _ in range(2):
            known_of(
                tmp_path, (), lambda: [str(odd)], lambda: asked.append(1) or Listing("f" * 64, "d")
            )
    assert len(asked) == 2


def test_time_is_taken_before_the_files_are_looked_at(tmp_path, monkeypatch):
    """A file changed while the others are looked at is too young to be believed."""
    file = tmp_path / "1.jpg"
    file.write_bytes(b"1")
    changed = file.stat().st_ctime
    clock = iter([changed + remembered.SETTLED_SECONDS - 0.01, changed + 100])
    monkeypatch.setattr(remembered.time, "time", lambda: next(clock))
    asked = []
    for _ in range(2):
        known_of(
            tmp_path, (), lambda: [str(file)], lambda: asked.append(1) or Listing("f" * 64, "d")
        )
    assert len(asked) == 2
