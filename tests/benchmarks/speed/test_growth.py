"""Measurements of growth: what they train on, open and clean up."""

import mmap
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

from lossbench.benchmarks.data.batches import prepare
from lossbench.benchmarks.data.folder import path_source
from lossbench.benchmarks.speed import growth
from lossbench.benchmarks.speed.baselines import image_folder, image_set
from lossbench.benchmarks.speed.growth import (
    WARMUP_STEPS,
    black_images,
    empty_cache,
    link_files,
    take_steps,
)


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """Directory of temporary files; nothing may remain in it."""
    directory = tmp_path / "scratch"
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    yield directory
    assert list(directory.iterdir()) == []


def test_black_images_are_mapped() -> None:
    with black_images(10_000, 32) as images:
        assert (images.shape, images.dtype) == ((10_000, 32, 32, 3), np.uint8)
        assert isinstance(images, np.memmap)
        assert not images[[0, 9_999]].any()


def fail_in_empty_cache(error: type[BaseException]) -> None:
    with empty_cache():
        assert os.listdir(os.environ["XDG_CACHE_HOME"]) == []
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_cache_is_restored_after_an_error(error, monkeypatch) -> None:
    for previous in ("/somewhere", None):
        if previous is None:
            monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        else:
            monkeypatch.setenv("XDG_CACHE_HOME", previous)
        with pytest.raises(error):
            fail_in_empty_cache(error)
        assert os.environ.get("XDG_CACHE_HOME") == previous


@pytest.mark.parametrize("count", [70, 1000])
def test_steps_are_counted_over_epochs(count: int) -> None:
    calls: list[int] = []
    with black_images(count, 32) as images:
        dataset = prepare(image_set(images), torch.device("cpu"), validation=0.0)
        assert take_steps(dataset, 3, lambda: calls.append(1)) > 0
    assert len(calls) == WARMUP_STEPS + 3


def test_step_cost_is_that_of_many_images_over_few(monkeypatch) -> None:
    monkeypatch.setattr(growth, "take_steps", lambda dataset, _: len(dataset.train.labels) / 1000)
    found = growth.step_cost(3000, 0)
    assert (found.lower, found.median, found.upper) == (3, 3, 3)
    assert found.pairs == 15


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell")
def test_private_memory_is_what_was_filled_and_not_what_was_mapped() -> None:
    # Straight from the system: malloc may have kept memory for an array.
    with mmap.mmap(-1, 100_000_000, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        before = growth.private_bytes()
        for start in range(0, len(memory), mmap.PAGESIZE):
            memory[start] = 1
        after = growth.private_bytes()
        assert after - before == pytest.approx(len(memory), rel=0.1)
        with black_images(20_000, 32) as images:
            assert not images.any()
            assert growth.private_bytes() - after < images.nbytes / 10


def test_the_peak_is_kept(monkeypatch) -> None:
    values = iter([5.0, 9.0, *[1.0] * 100])
    monkeypatch.setattr(growth, "private_bytes", lambda: next(values))
    assert growth.peak_private_bytes(64 * 64 * 3 * 300, steps=1) == 9


def test_links_keep_their_classes(tmp_path) -> None:
    with image_folder(10, 32, "png") as originals:
        link_files(sorted(originals.rglob("*.png")), tmp_path / "many", 1500)
    source = path_source(tmp_path / "many")
    assert len(source.images()) == 1500
    assert sum(picture.label for picture in source.images()) == 750


def test_a_second_start_lists_nothing(monkeypatch) -> None:
    monkeypatch.setattr(growth, "MANY_FILES", 120)
    found = growth.second_start(0)
    assert found.pairs == 5
    assert found.lower > 0


@pytest.mark.slow
def test_both_sides_decode_all_files(monkeypatch) -> None:
    monkeypatch.setattr(growth, "image_folder", lambda *_: image_folder(10, 40, "jpg"))
    monkeypatch.setattr(growth, "cpu_count", lambda: 1)
    opened = []
    plain = growth.open_images
    monkeypatch.setattr(
        growth, "open_images", lambda *a, **k: opened.append(plain(*a, **k)) or opened[-1]
    )
    monkeypatch.setattr(growth, "time_ratio", lambda loop, start, *_, **__: (loop(), start()))
    growth.decoding(0)
    (images,) = opened
    assert len(images.train.labels) + len(images.test.labels) == 10
