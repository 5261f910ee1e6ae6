"""Fingerprints, the order of pictures, and where things are kept."""

from dataclasses import replace
from pathlib import Path

import pytest

from lossbench.benchmarks.data.sources import (
    Source,
    SourceImage,
    cache_home,
    check_every_class,
    count_classes,
    data_directory,
    sort_images,
)
from lossbench.benchmarks.errors import UserError

TWO, THREE = ("dog", "cat"), ("ant", "bee", "cow")
PICTURES = tuple(
    SourceImage(f"{split}{label}", split, label, None, "sum")
    for split in ("train", "test")
    for label in (0, 1)
)


def source(pictures):
    return Source("name", "about", False, 32, TWO, tuple(pictures), lambda _: iter(()))


@pytest.mark.parametrize(
    "change", [{"name": "x"}, {"split": "test"}, {"label": 1}, {"digest": "other"}]
)
def test_the_fingerprint_covers_every_fact_of_a_picture(change):
    first = source(PICTURES).fingerprint
    assert first == source(PICTURES).fingerprint
    assert source([replace(PICTURES[0], **change), *PICTURES[1:]]).fingerprint != first
    assert source(PICTURES[1:]).fingerprint != first
    assert source([replace(PICTURES[0], key=7), *PICTURES[1:]]).fingerprint == first


def test_validation_stands_between_train_and_test_and_names_are_sorted():
    held_out = [replace(p, name=f"held{p.label}", split="validation") for p in PICTURES[:2]]
    names = [p.name for p in sort_images([*PICTURES[::-1], *held_out])]
    assert names == ["train0", "train1", "held0", "held1", "test0", "test1"]


@pytest.mark.parametrize("classes", [TWO, THREE])
@pytest.mark.parametrize("splits", [("train", "test"), ("train", "validation", "test")])
def test_every_class_is_needed_in_every_split(refusal, classes, splits):
    pictures = [
        SourceImage(f"{split}{label}", split, label, None, "sum")
        for split in splits
        for label in range(len(classes))
    ]
    check_every_class(pictures, classes, "here", "do this")
    for missing in pictures:
        left = [p for p in pictures if p is not missing]
        name = classes[missing.label]
        text = refusal(
            lambda left=left: check_every_class(left, classes, "here", "do this"), f"0 {name}"
        )
        assert text.startswith("here: images of every class are needed in every split, but found ")
        assert text.endswith("; do this")
        assert ("validation" in text) == ("validation" in splits)


def test_no_pictures_to_train_on_or_to_test_are_refused(refusal):
    for split in ("train", "test"):
        left = [p for p in PICTURES if p.split == split]
        refusal(lambda left=left: check_every_class(left, TWO, "here", "do this"), "0 dog, 0 cat")


def test_pictures_are_counted_by_split_and_class():
    more = [*PICTURES, replace(PICTURES[0], name="again"), replace(PICTURES[1], split="validation")]
    assert count_classes(more, TWO) == {
        "train": {"dog": 2, "cat": 1},
        "validation": {"dog": 0, "cat": 1},
        "test": {"dog": 1, "cat": 1},
    }


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
