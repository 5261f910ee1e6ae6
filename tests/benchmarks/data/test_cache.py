"""The cache decodes once, verifies what it reads, and is never half-written."""

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lossbench.benchmarks.data import cache
from lossbench.benchmarks.data.cache import cache_directory, open_cached
from lossbench.benchmarks.data.decode import decode_square
from lossbench.benchmarks.data.folder import path_source
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.records.files import lock_directory

SPLIT = ("train/cat/{}.jpg", "train/dog/{}.jpg", "test/cat/{}.jpg", "test/dog/{}.jpg")


@pytest.fixture
def source(pack, pets):
    return path_source(pack(pets(*SPLIT), "zip"))


@pytest.fixture
def decoded(monkeypatch):
    """Record a 1 for each decoded image."""
    done = []
    monkeypatch.setattr(
        cache, "decode_square", lambda *args: (done.append(1), decode_square(*args))[1]
    )
    return done


def listing(home):
    return sorted(path.name for path in (home / "images").iterdir() if path.name != ".lock")


def assert_split(split, files, prefix, count):
    """Check that images, labels and names of a split belong together."""
    assert isinstance(split.images, np.memmap)
    assert split.images.shape == (count, 32, 32, 3)
    assert split.images.dtype == split.labels.dtype == np.uint8
    assert not split.images.flags.writeable
    assert split.names == tuple(sorted(split.names))
    assert split.labels.tolist() == ["/cat/" in name for name in split.names]
    for pixels, name in zip(split.images, split.names, strict=True):
        assert name.startswith(prefix)
        np.testing.assert_array_equal(pixels, decode_square(files[name], 32))


@pytest.mark.parametrize("kind", ["directory", "zip", "tar.gz"])
def test_images_labels_and_names_belong_together(pack, pets, kind):
    files = pets(*SPLIT)
    images = open_cached(path_source(pack(files, kind)), 32, say=str)
    assert_split(images.train, files, "train", 10)
    assert_split(images.test, files, "test", 10)
    assert images.validation is None
    assert images.classes == ("dog", "cat")


def test_a_validation_split_is_separate(pack, pets):
    files = pets(*SPLIT, "val/cat/{}.jpg", "val/dog/{}.jpg", count=3)
    source = path_source(pack({**files, "val/dog/0.jpg": b"text"}, "zip"))
    messages = []
    images = open_cached(source, 32, say=messages.append)
    assert messages[-1] == "skipped 1 of 18 images: val/dog/0.jpg (not an image)"
    assert_split(images.train, files, "train", 6)
    assert_split(images.validation, files, "val", 5)
    assert_split(images.test, files, "test", 6)


def test_the_classes_are_those_of_the_source(pack, pets):
    three = ("ant", "bee", "cow")
    files = pets(*(f"{s}/{c}/{{}}.jpg" for s in ("train", "test") for c in three), count=2)
    images = open_cached(path_source(pack(files), classes=three), 32, say=str)
    assert images.classes == three
    assert images.train.labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_the_second_start_decodes_nothing(source, decoded):
    messages, steps = [], []
    first = open_cached(source, 32, say=messages.append, progress=lambda *step: steps.append(step))
    assert messages == [f"decoding 20 images once into {cache_directory(source, 32)}"]
    assert steps == sorted(steps)
    assert (steps[-1], {total for _, total in steps}) == ((20, 20), {20})
    assert len(steps) > 1
    second = open_cached(source, 32, say=messages.append)
    assert (len(decoded), len(messages)) == (20, 1)
    np.testing.assert_array_equal(first.train.images, second.train.images)
    assert first.test.names == second.test.names


def test_another_size_or_content_has_another_directory(source, pack, pets, jpeg, home):
    open_cached(source, 32, say=str)
    open_cached(source, 48, say=str)
    changed = path_source(pack({**pets(*SPLIT), "train/cat/0.jpg": jpeg(99)}, "zip"))
    open_cached(changed, 32, say=str)
    first, second = (f"pets-{each.fingerprint[:16]}" for each in (source, changed))
    assert listing(home) == sorted([f"{first}-32", f"{first}-48", f"{second}-32"])


def test_the_metadata(source):
    open_cached(source, 32, say=str)
    meta = json.loads((cache_directory(source, 32) / "meta.json").read_text())
    assert meta["fingerprint"] == source.fingerprint
    assert meta["classes"] == ["dog", "cat"]
    assert meta["counts"] == {
        "train": {"dog": 5, "cat": 5},
        "validation": {"dog": 0, "cat": 0},
        "test": {"dog": 5, "cat": 5},
    }
    assert set(meta["sha256"]) == {
        "copies.npy",
        *(f"{n}.npy" for n in ("images", "labels", "splits")),
    } | {"names.json"}


def damage_byte(directory):
    with (directory / "images.npy").open("r+b") as file:
        file.seek(-5, os.SEEK_END)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))


def edit_meta(old, new):
    def edit(directory):
        text = (directory / "meta.json").read_text()
        assert old in text
        (directory / "meta.json").write_text(text.replace(old, new))

    return edit


@pytest.mark.parametrize(
    "damage",
    [
        damage_byte,
        lambda d: (d / "labels.npy").unlink(),
        lambda d: os.truncate(d / "images.npy", 1000),
        lambda d: (d / "meta.json").write_text("{"),
        lambda d: (d / "meta.json").write_text("[]"),
        edit_meta(f'"format": {cache.FORMAT}', f'"format": {cache.FORMAT - 1}'),
        edit_meta('"image_size": 32', '"image_size": 33'),
        lambda d: [file.unlink() for file in d.iterdir()],
    ],
    ids=["byte", "missing", "cut", "json", "list", "format", "size", "empty"],
)
def test_a_damaged_cache_is_built_again(source, decoded, home, damage):
    before = np.array(open_cached(source, 32, say=str).train.images)
    damage(cache_directory(source, 32))
    messages = []
    after = open_cached(source, 32, say=messages.append)
    assert "is damaged" in messages[0]
    np.testing.assert_array_equal(after.train.images, before)
    assert listing(home) == [cache_directory(source, 32).name]
    open_cached(source, 32, say=messages.append)
    assert len(decoded) == 40


@pytest.mark.parametrize("kind", ["directory", "zip", "tar.gz"])
def test_unusable_images_are_skipped_counted_and_named(pack, pets, jpeg, encoded, kind):
    photo = Image.fromarray(np.full((48, 64, 3), (200, 40, 40), np.uint8))
    usable = {"png called.jpg": encoded(photo), "no suffix": encoded(photo, "WEBP")}
    cut = jpeg(5, (200, 200))[:5000]
    files = {
        **pets(*SPLIT),
        **{f"train/cat/{name}": content for name, content in usable.items()},
        "train/cat/0.jpg": b"",
        "train/cat/cut.jpg": cut,
        "train/dog/3.jpg": b"I am text",
        "train/dog/Thumbs.db": b"a system file",
        "train/dog/page.svg": b"<svg onload='alert(1)'/>",
    }
    messages = []
    source = path_source(pack(files, kind))
    images = open_cached(source, 32, say=messages.append)
    assert [text.partition(" (")[0] for text in images.skipped] == [
        "train/cat/0.jpg",
        "train/cat/cut.jpg",
        "train/dog/3.jpg",
        "train/dog/page.svg",
    ]
    reasons = ("(empty file)", "truncated", "(not an image)", "(not an image)")
    assert all(r in text for r, text in zip(reasons, images.skipped, strict=True))
    assert messages[-1].startswith("skipped 4 of 24 images: train/cat/0.jpg (empty file), ")
    assert messages[-1].endswith(" and 1 more")
    assert "\n" not in messages[-1]
    assert_split(images.train, files, "train", 10)
    assert_split(images.test, files, "test", 10)
    again = []
    assert open_cached(source, 32, say=again.append).skipped == images.skipped
    assert again == messages[-1:]


@pytest.fixture
def hashed(monkeypatch):
    """Treat every array as large; record the names of the files that are hashed."""
    monkeypatch.setattr(cache, "ALWAYS_HASHED_BYTES", 0)
    names = []
    original = cache._sha256
    monkeypatch.setattr(cache, "_sha256", lambda path: (names.append(path.name), original(path))[1])
    return names


def test_a_large_array_is_hashed_only_if_it_may_have_changed(source, hashed):
    open_cached(source, 32, say=str)
    hashed.clear()
    open_cached(source, 32, say=str)
    assert "labels.npy" in hashed
    assert "images.npy" not in hashed
    # A copy has another modification time: it is hashed once.
    os.utime(cache_directory(source, 32) / "images.npy")
    for _ in range(2):
        open_cached(source, 32, say=pytest.fail)
        assert hashed.count("images.npy") == 1


def truncate(directory):
    """Shorten the array without changing its modification time."""
    array = directory / "images.npy"
    before = array.stat()
    os.truncate(array, before.st_size - 100)
    os.utime(array, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("damage", [damage_byte, truncate])
@pytest.mark.usefixtures("hashed")
def test_a_changed_large_array_is_built_again(source, decoded, damage):
    open_cached(source, 32, say=str)
    damage(cache_directory(source, 32))
    messages = []
    assert len(open_cached(source, 32, say=messages.append).train.images) == 10
    assert "is damaged" in messages[0]
    assert len(decoded) == 40


def test_an_immediate_write_changes_the_modification_time(source):
    open_cached(source, 32, say=str)
    array = cache_directory(source, 32) / "images.npy"
    before = array.stat().st_mtime
    assert before <= time.time() - 60
    damage_byte(array.parent)
    assert array.stat().st_mtime > before + 50


def test_a_class_with_only_unusable_images_is_an_error(pack, pets, home):
    files = {n: b"text" if "test/dog" in n else c for n, c in pets(*SPLIT).items()}
    with pytest.raises(UserError, match=r"test: 0 dog, 5 cat; skipped 5 of 20 .*not an image"):
        open_cached(path_source(pack(files)), 32, say=str)
    assert listing(home) == []


def test_images_that_vanish_are_skipped(pack, pets, source):
    path = pack(pets(*SPLIT))
    vanishing = path_source(path)
    (path / "train/cat/0.jpg").unlink()
    assert open_cached(vanishing, 32, say=str).skipped == ("train/cat/0.jpg (missing)",)
    partial = replace(source, load=lambda images: list(source.load(images))[1:])
    name = source.images()[next(source.load(source.images()))[0]].name
    assert open_cached(partial, 32, say=str).skipped == (f"{name} (not found when it was read)",)


def test_an_archive_that_vanishes_is_an_error(source, tmp_path, home):
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


def test_scratch_directories_of_killed_processes_are_removed(source, home):
    entry = cache_directory(source, 32)
    leftover = entry.parent / f".{entry.name}.tmp"
    leftover.mkdir(parents=True)
    (leftover / "images.npy").write_bytes(b"half")
    open_cached(source, 32, say=str)
    assert listing(home) == [entry.name]


RACER = """
import sys
from pathlib import Path
from lossbench.benchmarks.data.cache import open_cached
from lossbench.benchmarks.data.folder import path_source
source = path_source(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
images = open_cached(source, 32, say=str)
print(int(images.train.images.sum()), len(images.skipped))
"""


@pytest.mark.slow
@pytest.mark.parametrize("damaged", [False, True])
def test_processes_may_build_at_once(pack, pets, home, damaged):
    path = pack(pets(*SPLIT, count=40))
    source = path_source(path)
    expected = int(open_cached(source, 32, say=str).train.images.sum())
    entry = cache_directory(source, 32)
    damage_byte(entry)
    if not damaged:
        entry.rename(home / "elsewhere")
    command = [sys.executable, "-c", RACER, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    root = Path(__file__).parents[3]
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


def test_a_cache_that_another_process_builds_meanwhile_is_used(source, decoded, home):
    entry = cache_directory(source, 32)
    expected = open_cached(source, 32, say=str).train.images
    entry.rename(home / "elsewhere")
    waiting = threading.Event()
    with ThreadPoolExecutor() as pool:
        with lock_directory(entry.parent):
            opened = pool.submit(open_cached, source, 32, say=lambda _: waiting.set())
            assert waiting.wait(60)
            (home / "elsewhere").rename(entry)
        np.testing.assert_array_equal(opened.result(60).train.images, expected)
    assert len(decoded) == 20


def test_an_unwritable_cache_is_an_error(source, home):
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
