"""Fingerprints, the order of pictures, and where things are kept."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.data.sources import (
    Picture,
    Source,
    arranged,
    cache_home,
    check_both_classes,
    data_directory,
)
from benchmarks.errors import UserError

PICTURES = tuple(
    Picture(f"{split}{label}", split, label, None, "sum")
    for split in ("train", "test")
    for label in (0, 1)
)


def source(pictures):
    return Source("name", "about", False, 32, tuple(pictures), lambda _: iter(()))


@pytest.mark.parametrize(
    "change", [{"name": "x"}, {"split": "test"}, {"label": 1}, {"digest": "other"}]
)
def test_the_fingerprint_covers_every_fact_of_a_picture(change):
    first = source(PICTURES).fingerprint
    assert first == source(PICTURES).fingerprint
    assert source([replace(PICTURES[0], **change), *PICTURES[1:]]).fingerprint != first
    assert source(PICTURES[1:]).fingerprint != first
    assert source([replace(PICTURES[0], key=7), *PICTURES[1:]]).fingerprint == first


def test_train_comes_before_test_and_names_are_sorted():
    assert [p.name for p in arranged(PICTURES[::-1])] == ["train0", "train1", "test0", "test1"]


@pytest.mark.parametrize("missing", range(4))
def test_each_class_is_needed_in_each_split(missing):
    check_both_classes(PICTURES, "here", "do this")
    left = [p for i, p in enumerate(PICTURES) if i != missing]
    with pytest.raises(UserError, match=r"^here: .*0 (cats|dogs).*do this$"):
        check_both_classes(left, "here", "do this")


def test_the_cache_follows_xdg(monkeypatch, tmp_path):
    assert cache_home() == tmp_path / "xdg" / "lossbench"
    for ignored in ("", "relative/path"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert cache_home() == Path.home() / ".cache" / "lossbench"


def test_the_data_directory_must_be_one(monkeypatch, tmp_path):
    assert data_directory() is None
    monkeypatch.setenv("LOSSBENCH_DATA", str(tmp_path))
    assert data_directory() == tmp_path
    monkeypatch.setenv("LOSSBENCH_DATA", str(tmp_path / "typo"))
    with pytest.raises(UserError, match="no directory"):
        data_directory()
