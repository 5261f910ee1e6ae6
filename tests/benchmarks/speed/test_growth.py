"""The rows of growth measure what they say: on what images, over which steps, and leave nothing."""

import mmap
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

from lossbench.benchmarks.data import archive as archives
from lossbench.benchmarks.data import listing_cache as remembered
from lossbench.benchmarks.data.batches import prepare
from lossbench.benchmarks.data.folder import path_source
from lossbench.benchmarks.speed import growth
from lossbench.benchmarks.speed.growth import STEPS, WARM, Steps, black, empty_cache, write_links
from lossbench.benchmarks.speed.targets import rows
from lossbench.benchmarks.speed.usual import folder, image_set


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """The directory of temporary files, in which nothing of ours may be left in the end."""
    place = tmp_path / "scratch"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield place
    assert list(place.glob("lossbench*")) == []


def test_all_rows_are_in_the_table() -> None:
    names = [row.name for row in rows() if row.group == "growth"]
    assert names == [row.name for row in growth.rows()]
    assert len(names) == 10


def test_black_images_take_no_room(scratch) -> None:
    with black(10_000, 32) as images:
        assert images.shape == (10_000, 32, 32, 3)
        assert images.dtype == np.uint8
        assert isinstance(images, np.memmap)
        assert not images[[0, 9_999]].any()
        (file,) = scratch.rglob("*.npy")
        about = file.stat()
        assert about.st_size > images.nbytes > 100 * 512 * about.st_blocks


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_interruption_leaves_nothing(error) -> None:
    before = os.environ.get("XDG_CACHE_HOME")
    seen = []

    def interrupted() -> None:
        with black(10, 32), empty_cache() as cache:
            seen.append((os.environ["XDG_CACHE_HOME"], str(cache)))
            raise error

    with pytest.raises(error):
        interrupted()
    assert seen[0][0] == seen[0][1] != before
    assert os.environ.get("XDG_CACHE_HOME") == before


@pytest.mark.parametrize("count", [70, 1000])
def test_a_training_ends_after_the_steps_that_were_wanted(count: int) -> None:
    """However many epochs that takes."""
    seen: list[int] = []
    with black(count, 32) as images:
        watch = Steps(3, lambda: seen.append(1))
        seconds = watch.train(prepare(image_set(images), torch.device("cpu"), validation=0.0))
    assert watch.taken == len(seen) == WARM + 3
    assert seconds > 0


def test_steps_are_compared_at_the_same_number_of_them(monkeypatch) -> None:
    trained = []

    def train(self, material):
        trained.append((len(material.train.labels), self.steps))
        return len(material.train.labels) / 1000

    monkeypatch.setattr(Steps, "train", train)
    found = growth.step_cost(3000, 0)
    assert (found.lower, found.median, found.upper) == (3, 3, 3)
    assert trained.count((1000, STEPS)) == trained.count((3000, STEPS)) == found.pairs >= 9
    # Neither is always first.
    assert {trained[0][0], trained[2][0]} == {1000, 3000}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not say")
def test_private_memory_is_what_was_filled_and_not_what_was_mapped() -> None:
    # Straight from the system: an array would be in what malloc has kept of those before it.
    with mmap.mmap(-1, 100_000_000, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        before = growth._private()
        for at in range(0, len(memory), mmap.PAGESIZE):
            memory[at] = 1
        after = growth._private()
        assert after - before == pytest.approx(len(memory), rel=0.1)
        with black(20_000, 32) as images:
            assert not images.any()
            assert growth._private() - after < images.nbytes / 10


def test_the_most_is_kept(monkeypatch) -> None:
    said = iter([5.0, 9.0, *[1.0] * 100])
    monkeypatch.setattr(growth, "_private", lambda: next(said))
    assert growth.most_private(64 * 64 * 3 * 300, steps=1) == 9


def test_links_are_files_of_two_classes(tmp_path) -> None:
    place = tmp_path / "many"
    place.mkdir()
    write_links(place, 1500)
    source = path_source(place)
    assert len(source.images()) == 1500
    assert sum(picture.label for picture in source.images()) == 750


def test_a_second_start_is_one(monkeypatch) -> None:
    """Only the first lists the files, and none of them is an image."""
    listed = []
    plain = archives.DirectoryStore.entries
    monkeypatch.setattr(
        archives.DirectoryStore, "entries", lambda *a: (listed.append(1), plain(*a))[1]
    )
    monkeypatch.setattr(growth, "MANY", 300)
    monkeypatch.setattr(growth, "SETTLED_SECONDS", 0.0)
    monkeypatch.setattr(remembered, "SETTLED_SECONDS", -3600.0)
    assert growth.second_start(0).pairs == 5
    assert len(listed) == 1


def test_decoding_goes_through_all_files_on_both_sides(monkeypatch) -> None:
    counted = []
    monkeypatch.setattr(growth, "folder", lambda *_: folder(10, 40, "jpg"))
    monkeypatch.setattr(
        growth, "ratio", lambda theirs, ours, *_, **__: (theirs(), ours(), counted.append(1))
    )
    plain = growth.open_images
    images = []
    monkeypatch.setattr(
        growth, "open_images", lambda *a, **k: images.append(plain(*a, **k)) or images[-1]
    )
    growth.decoding(0)
    assert counted == [1]
    assert len(images[0].train.labels) + len(images[0].test.labels) == 10
