"""The cache decodes once, checks what it reads, and is never found half-written."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lossbench.benchmarks.data import cache
from lossbench.benchmarks.data.cache import cache_directory, open_cached
from lossbench.benchmarks.data.decode import decode_square
from lossbench.benchmarks.data.folder import path_source
from lossbench.benchmarks.errors import UserError

SPLIT = ("train/cat/{}.jpg", "train/dog/{}.jpg", "test/cat/{}.jpg", "test/dog/{}.jpg")


@pytest.fixture
def source(pack, pets):
    return path_source(pack(pets(*SPLIT), "zip"))


@pytest.fixture
def decodes(monkeypatch):
    """Counts the pictures decoded."""
    done = []
    monkeypatch.setattr(
        cache, "decode_square", lambda *args: (done.append(1), decode_square(*args))[1]
    )
    return done


def listing(home):
    return sorted(path.name for path in (home / "images").iterdir())


@pytest.mark.parametrize("kind", ["directory", "zip", "tar.gz"])
def test_images_labels_and_names_belong_together(pack, pets, kind):
    files = pets(*SPLIT)
    images = open_cached(path_source(pack(files, kind)), 32, say=str)
    for split, name in ((images.train, "train"), (images.test, "test")):
        assert split.images.shape == (10, 32, 32, 3)
        assert split.images.dtype == split.labels.dtype == np.uint8
        assert isinstance(split.images, np.memmap)
        assert not split.images.flags.writeable
        assert split.labels.tolist() == ["/cat/" in n for n in split.names]
        for row, picture in zip(split.images, split.names, strict=True):
            assert picture.startswith(name)
            np.testing.assert_array_equal(row, decode_square(files[picture], 32))
    assert images.classes == ("dog", "cat")
    assert images.validation is None


def test_a_validation_split_is_kept_apart(pack, pets):
    files = pets(*SPLIT, "val/cat/{}.jpg", "val/dog/{}.jpg", count=3)
    source = path_source(pack({**files, "val/dog/0.jpg": b"text"}, "zip"))
    said = []
    open_cached(source, 32, say=said.append)
    assert said[-1] == "skipped 1 of 18 images: val/dog/0.jpg (not an image)"
    images = open_cached(source, 32, say=str)
    splits = {"train": images.train, "val": images.validation, "test": images.test}
    for name, split in splits.items():
        assert split.names == tuple(n for n in sorted(split.names) if n.startswith(name))
        assert len(split.labels) == (5 if name == "val" else 6)
        assert split.labels.tolist() == ["/cat/" in n for n in split.names]
        for row, picture in zip(split.images, split.names, strict=True):
            np.testing.assert_array_equal(row, decode_square(files[picture], 32))


def test_the_classes_are_those_of_the_source(pack, pets):
    three = ("ant", "bee", "cow")
    files = pets(*(f"{s}/{c}/{{}}.jpg" for s in ("train", "test") for c in three), count=2)
    images = open_cached(path_source(pack(files), classes=three), 32, say=str)
    assert images.classes == three
    assert images.train.labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_the_second_opening_decodes_nothing(source, decodes):
    said, steps = [], []
    first = open_cached(source, 32, say=said.append, progress=lambda *step: steps.append(step))
    assert len(decodes) == 20
    assert said == [f"decoding 20 images once into {cache_directory(source, 32)}"]
    assert steps == sorted(steps)
    assert (steps[-1], {total for _, total in steps}) == ((20, 20), {20})
    assert len(steps) > 1
    second = open_cached(source, 32, say=said.append)
    assert len(decodes) == 20
    assert len(said) == 1
    np.testing.assert_array_equal(first.train.images, second.train.images)
    assert first.test.names == second.test.names


def test_another_size_or_content_is_another_entry(source, pack, pets, jpeg, home):
    open_cached(source, 32, say=str)
    open_cached(source, 48, say=str)
    changed = path_source(pack({**pets(*SPLIT), "train/cat/0.jpg": jpeg(99)}, "zip"))
    assert changed.fingerprint != source.fingerprint
    open_cached(changed, 32, say=str)
    names = [f"pets-{s.fingerprint[:16]}" for s in (source, changed)]
    assert listing(home) == sorted([f"{names[0]}-32", f"{names[0]}-48", f"{names[1]}-32"])


def test_the_file_of_facts(source):
    open_cached(source, 32, say=str)
    meta = json.loads((cache_directory(source, 32) / "meta.json").read_text())
    assert meta["fingerprint"] == source.fingerprint
    assert meta["classes"] == ["dog", "cat"]
    assert meta["counts"] == {
        "train": {"dog": 5, "cat": 5},
        "validation": {"dog": 0, "cat": 0},
        "test": {"dog": 5, "cat": 5},
    }
    assert sorted(meta["sha256"]) == ["images.npy", "labels.npy", "names.json", "splits.npy"]


def damage_byte(directory):
    with (directory / "images.npy").open("r+b") as file:
        file.seek(-5, os.SEEK_END)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))


@pytest.mark.parametrize(
    "damage",
    [
        damage_byte,
        lambda d: (d / "labels.npy").unlink(),
        lambda d: os.truncate(d / "images.npy", 1000),
        lambda d: (d / "meta.json").write_text("{"),
        lambda d: (d / "meta.json").write_text("[]"),
        lambda d: (d / "meta.json").write_text(
            (d / "meta.json").read_text().replace('"format": 3', '"format": 2')
        ),
        lambda d: [file.unlink() for file in d.iterdir()],
    ],
    ids=["byte", "missing", "cut", "json", "list", "format", "empty"],
)
def test_a_damaged_cache_is_built_again(source, decodes, home, damage):
    before = np.array(open_cached(source, 32, say=str).train.images)
    damage(cache_directory(source, 32))
    said = []
    after = open_cached(source, 32, say=said.append)
    assert "is damaged" in said[0]
    assert len(decodes) == 40
    np.testing.assert_array_equal(after.train.images, before)
    assert listing(home) == [cache_directory(source, 32).name]
    open_cached(source, 32, say=said.append)
    assert len(decodes) == 40


def broken(files, jpeg):
    whole = jpeg(5, (200, 200))
    return {
        **files,
        "train/cat/0.jpg": b"",
        "train/cat/cut.jpg": whole[: len(whole) // 2],
        "train/dog/3.jpg": b"I am text",
        "test/dog/noise.webp": b"RIFFxxxxWEBP" * 20,
        "train/dog/Thumbs.db": b"nobody minds",
    }


@pytest.mark.parametrize("kind", ["directory", "zip", "tar.gz"])
def test_broken_pictures_are_skipped_counted_and_named(pack, pets, jpeg, kind):
    files = broken(pets(*SPLIT), jpeg)
    source, said = path_source(pack(files, kind)), []
    images = open_cached(source, 32, say=said.append)
    assert [text.split(" (")[0] for text in images.skipped] == [
        "train/cat/0.jpg",
        "train/cat/cut.jpg",
        "train/dog/3.jpg",
        "test/dog/noise.webp",
    ]
    assert images.skipped[0].endswith("(empty file)")
    assert "truncated" in images.skipped[1]
    assert images.skipped[2].endswith("(not an image)")
    assert said[-1].startswith("skipped 4 of 22 images: train/cat/0.jpg (empty file), ")
    assert said[-1].endswith(" and 1 more")
    assert "\n" not in said[-1]
    assert len(images.train.labels) == 8
    for split in (images.train, images.test):
        assert len(split.images) == len(split.labels) == len(split.names)
        for row, name in zip(split.images, split.names, strict=True):
            np.testing.assert_array_equal(row, decode_square(files[name], 32))
    again = []
    assert open_cached(source, 32, say=again.append).skipped == images.skipped
    assert again == said[-1:]


@pytest.fixture
def large(monkeypatch):
    """Every array counts as one that is too large to be read at each start; those read since."""
    monkeypatch.setattr(cache, "ALWAYS_HASHED_BYTES", 0)
    read = []
    plain = cache._sha256
    monkeypatch.setattr(cache, "_sha256", lambda path: (read.append(path.name), plain(path))[1])
    return read


def test_a_large_array_is_read_again_only_if_it_may_have_been_changed(source, large):
    open_cached(source, 32, say=str)
    large.clear()
    open_cached(source, 32, say=str)
    assert "labels.npy" in large
    assert "images.npy" not in large
    # A copy has another time: it is read once.
    array = cache_directory(source, 32) / "images.npy"
    os.utime(array)
    for times in (1, 1):
        said = []
        open_cached(source, 32, say=said.append)
        assert (large.count("images.npy"), said) == (times, [])


def cut(directory):
    """Shorter, with the time that it had."""
    array = directory / "images.npy"
    before = array.stat()
    os.truncate(array, before.st_size - 100)
    os.utime(array, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("damage", [damage_byte, cut], ids=lambda f: f.__name__)
@pytest.mark.usefixtures("large")
def test_a_large_array_that_was_changed_is_built_again(source, decodes, damage):
    open_cached(source, 32, say=str)
    damage(cache_directory(source, 32))
    said = []
    images = open_cached(source, 32, say=said.append)
    assert "is damaged" in said[0]
    assert len(decodes) == 40
    assert len(images.train.images) == 10


def test_a_write_at_once_gives_the_array_another_time(source):
    """However coarse the clock of the file system is."""
    open_cached(source, 32, say=str)
    array = cache_directory(source, 32) / "images.npy"
    made = array.stat().st_mtime
    assert made <= time.time() - 60
    damage_byte(array.parent)
    assert array.stat().st_mtime > made + 50


def test_a_class_with_nothing_but_broken_pictures_is_an_error(pack, pets, home):
    files = {n: b"text" if "test/dog" in n else c for n, c in pets(*SPLIT).items()}
    source = path_source(pack(files))
    with pytest.raises(UserError, match=r"test: 0 dog, 5 cat; skipped 5 of 20 .*not an image"):
        open_cached(source, 32, say=str)
    assert listing(home) == []


def test_a_file_that_vanishes_is_skipped(pack, pets):
    path = pack(pets(*SPLIT))
    source = path_source(path)
    (path / "train/cat/0.jpg").unlink()
    assert open_cached(source, 32, say=str).skipped == ("train/cat/0.jpg (missing)",)


def test_a_picture_that_its_source_does_not_give_back_is_skipped(source):
    partial = replace(source, load=lambda pictures: list(source.load(pictures))[1:])
    skipped = source.images()[next(source.load(source.images()))[0]].name
    assert open_cached(partial, 32, say=str).skipped == (f"{skipped} (not found when it was read)",)


def test_an_archive_that_vanishes_is_an_error_about_the_archive(source, tmp_path, home):
    (tmp_path / "pets.zip").unlink()
    with pytest.raises(UserError, match=r"can't read '.*pets\.zip'"):
        open_cached(source, 32, say=str)
    assert listing(home) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interrupted_build_leaves_nothing_behind(source, home, error):
    def stop(done, total):
        if done < total:
            raise error

    with pytest.raises(error):
        open_cached(source, 32, say=str, progress=stop)
    assert listing(home) == []
    assert len(open_cached(source, 32, say=str).train.labels) == 10


def test_what_a_killed_process_left_is_in_nobodys_way(source, home):
    entry = cache_directory(source, 32)
    old, young = (entry.parent / f".{entry.name}-{name}" for name in ("old", "young"))
    for leftover in (old, young):
        leftover.mkdir(parents=True)
        (leftover / "images.npy").write_bytes(b"half")
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    open_cached(source, 32, say=str)
    assert listing(home) == sorted([young.name, entry.name])


RACER = """
import sys, time
from pathlib import Path
from lossbench.benchmarks.data.cache import open_cached
from lossbench.benchmarks.data.folder import path_source
source = path_source(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
images = open_cached(source, 32, say=str)
print(int(images.train.images.sum()), len(images.skipped))
"""


@pytest.mark.parametrize("damaged", [False, True])
def test_racing_processes_are_harmless(pack, pets, home, damaged):
    path = pack(pets(*SPLIT, count=40))
    source = path_source(path)
    expected = int(open_cached(source, 32, say=str).train.images.sum())
    entry = cache_directory(source, 32)
    damage_byte(entry)
    if not damaged:
        entry.rename(home / "elsewhere")
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", RACER, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    racers = [subprocess.Popen(command, cwd=root, text=True, **pipes) for _ in range(3)]
    for racer in racers:
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    for racer in racers:
        out, err = racer.communicate(timeout=60)
        assert (racer.returncode, out) == (0, f"{expected} 0\n"), err
    assert listing(home) == [entry.name]


def test_a_rival_that_finishes_first_is_used(source, decodes, home):
    def rival(done, total):
        if done == total:
            open_cached(source, 32, say=str)

    assert len(open_cached(source, 32, say=str, progress=rival).train.labels) == 10
    assert len(decodes) == 40
    assert listing(home) == [cache_directory(source, 32).name]


def test_a_cache_that_cannot_be_written_is_an_error(source, home):
    home.parent.mkdir(parents=True)
    home.write_text("a file where a directory should be")
    with pytest.raises(UserError, match="XDG_CACHE_HOME"):
        open_cached(source, 32, say=str)


def test_a_full_disk_is_an_error(source, monkeypatch, home):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UserError, match="No space left"):
        open_cached(source, 32, say=str)
    assert listing(home) == []
