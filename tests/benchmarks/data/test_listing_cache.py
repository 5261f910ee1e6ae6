"""Listings are made once, and again after any change of the files."""

import json
import os
import shutil
from types import SimpleNamespace

import pytest

from lossbench.benchmarks.data import archive, cache, directory, listing_cache
from lossbench.benchmarks.data.cache import open_cached
from lossbench.benchmarks.data.folder import path_source
from lossbench.benchmarks.data.listing_cache import Listing, cached_listing
from lossbench.benchmarks.data.sources import Composition

SPLIT = ("train/cat/{}.jpg", "train/dog/{}.jpg", "test/cat/{}.jpg", "test/dog/{}.jpg")
KINDS = ("directory", "zip", "tar.gz")
LISTING = Listing("f" * 64, Composition({"train": "a/"}, ("one line",), ("two", "lines")))


@pytest.fixture
def settled(monkeypatch):
    """Make files look as if they had not changed for an hour; ctime cannot be set."""
    monkeypatch.setattr(listing_cache, "SETTLED_SECONDS", -3600.0)


@pytest.fixture
def listings(monkeypatch):
    """Record the paths of the readers that are listed."""
    done = []
    for reader in (archive.DirectoryReader, archive.ZipReader, archive.TarReader):

        def infolist(self, wanted, original=reader.infolist):
            done.append(self.path)
            return original(self, wanted)

        monkeypatch.setattr(reader, "infolist", infolist)
    return done


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("settled")
def test_the_second_start_lists_and_reads_nothing(pack, pets, kind, listings, monkeypatch):
    path = pack(pets(*SPLIT, "horse/{}.jpg"), kind)
    first = path_source(path)
    images = open_cached(first, 32, say=str)
    with monkeypatch.context() as patch:
        for module in (directory, cache):
            patch.setattr(module, "read_file", lambda *_: pytest.fail("read again"))
        second = path_source(path)
        again = open_cached(second, 32, say=str)
    assert len(listings) == 1
    assert second.composition.left_out == ("5 files of no class: horse/ (5)",)
    assert (second.fingerprint, second.composition) == (first.fingerprint, first.composition)
    assert again.train.names == images.train.names
    # A list of images is made on demand, once.
    assert second.images() == second.images() == first.images()
    assert len(listings) == 2
    # Decoding at another size needs it.
    assert len(open_cached(path_source(path), 48, say=str).train.labels) == 10
    assert len(listings) == 3


def rewrite(path):
    """Write other content of the same length and modification time."""
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
def test_any_change_of_a_directory_is_noticed(pack, pets, listings, change):
    path = pack(pets(*SPLIT, count=2))
    before = path_source(path)
    change(path / "train" / "cat" / "0.jpg")
    assert path_source(path).fingerprint != before.fingerprint
    assert len(listings) == 2


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.usefixtures("settled")
def test_a_replaced_archive_is_noticed(pack, pets, jpeg, kind):
    files = pets(*SPLIT, count=2)
    before = path_source(pack(files, kind))
    after = path_source(pack({**files, "train/cat/0.jpg": jpeg(99)}, kind))
    assert after.fingerprint != before.fingerprint


def test_a_file_that_just_changed_is_not_trusted(pack, pets, listings, home):
    path = pack(pets(*SPLIT, count=1))
    assert [path_source(path).fingerprint for _ in range(2)]
    assert len(listings) == 2
    assert not (home / "sources").exists()


@pytest.mark.usefixtures("settled")
def test_each_selection_of_classes_has_its_own_listing(pack, pets):
    path = pack(pets(*SPLIT, "train/ant/{}.jpg", "test/ant/{}.jpg"))
    two, three = path_source(path), path_source(path, classes=("dog", "cat", "ant"))
    assert (len(two.images()), len(three.images())) == (20, 30)
    assert path_source(path).fingerprint == two.fingerprint != three.fingerprint
    named = path_source(path, name="mine", description="my own")
    assert (named.name, named.description) == ("mine", "my own")
    assert path_source(path).description == two.description


@pytest.mark.usefixtures("settled")
def test_errors_are_not_cached(pack, pets, home, refusal):
    path = pack(pets("cat/{}.jpg"))
    for _ in range(2):
        refusal(lambda: path_source(path), "images of every class are needed")
    assert not (home / "sources").exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-9],
        lambda _: "[]",
        lambda _: "",
        lambda text: json.dumps({**json.loads(text), "fingerprint": 5}),
        lambda text: json.dumps({**json.loads(text), "composition": None}),
        lambda text: json.dumps({**json.loads(text), "fingerprint": "/../../elsewhere"}),
        lambda text: json.dumps({**json.loads(text), "format": 0}),
        lambda text: text.replace("left_out", "remark"),
    ],
    ids=["cut", "list", "empty", "number", "null", "path", "format", "lacking"],
)
@pytest.mark.usefixtures("settled")
def test_a_damaged_listing_is_made_again(pack, pets, home, listings, damage):
    path = pack(pets(*SPLIT, count=2))
    first = path_source(path)
    (file,) = (home / "sources").iterdir()
    file.write_text(damage(file.read_text()))
    assert path_source(path).fingerprint == first.fingerprint
    path_source(path)
    assert len(listings) == 2


@pytest.mark.usefixtures("settled")
def test_without_a_writable_cache_it_is_listed_each_time(pack, pets, home, listings):
    path = pack(pets(*SPLIT, count=1))
    home.parent.mkdir(parents=True)
    home.write_text("a file where a directory should be")
    assert path_source(path).fingerprint == path_source(path).fingerprint
    assert len(listings) == 2


@pytest.fixture
def listed(tmp_path):
    """List one file with the cache; return the number of times the listing was made."""
    made = []

    def make():
        made.append(1)
        return LISTING

    def call(file):
        assert cached_listing(tmp_path, (), lambda: [str(file)], make) == LISTING
        return len(made)

    return call


@pytest.mark.usefixtures("settled")
def test_a_missing_file_is_cached_as_missing(tmp_path, listed):
    link = tmp_path / "link.jpg"
    link.symlink_to(tmp_path / "nowhere")
    assert [listed(link), listed(link)] == [1, 1]
    (tmp_path / "nowhere").write_bytes(b"there now")
    assert listed(link) == 2


@pytest.mark.usefixtures("settled")
def test_undecodable_names_and_numbers_beyond_64_bits(tmp_path, monkeypatch, listed):
    file = tmp_path / os.fsdecode(b"caf\xe9\n.jpg")
    file.write_bytes(b"1")
    assert [listed(file), listed(file)] == [1, 1]
    far = SimpleNamespace(st_mtime_ns=2**70 + 1, st_ctime_ns=5, st_size=1, st_ino=2**64)
    fake = SimpleNamespace(stat=lambda _: far, path=os.path, fsencode=os.fsencode)
    monkeypatch.setattr(listing_cache, "os", fake)
    assert [listed(file), listed(file)] == [2, 2]


def test_the_clock_is_read_before_the_files(tmp_path, monkeypatch, listed):
    """A file that changes while others are examined is too young to be trusted."""
    file = tmp_path / "1.jpg"
    file.write_bytes(b"1")
    changed = file.stat().st_ctime
    clock = iter([changed + listing_cache.SETTLED_SECONDS - 0.01, changed + 100])
    monkeypatch.setattr(listing_cache.time, "time", lambda: next(clock))
    assert [listed(file), listed(file)] == [1, 2]
