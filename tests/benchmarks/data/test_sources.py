"""Fingerprints, the order of images, and the directories for data and cache."""

from dataclasses import replace
from pathlib import Path

import pytest

from lossbench.benchmarks.data.sources import (
    ImageInfo,
    cache_home,
    check_every_class,
    count_classes,
    data_directory,
    fingerprint_of,
    listed_source,
    sort_images,
)

TWO, THREE = ("dog", "cat"), ("ant", "bee", "cow")


def made(splits=("train", "test"), classes=TWO):
    return [
        ImageInfo(f"{split}{label}", split, label, (split, label), "sum")
        for split in splits
        for label in range(len(classes))
    ]


@pytest.mark.parametrize(
    "change", [{"name": "x"}, {"split": "test"}, {"label": 1}, {"digest": "other"}]
)
def test_the_fingerprint_covers_name_split_label_and_digest(change):
    first, *others = images = made()
    expected = fingerprint_of(images)
    assert expected == fingerprint_of(made())
    assert fingerprint_of([replace(first, **change), *others]) != expected
    assert fingerprint_of(others) != expected
    assert fingerprint_of([replace(first, key=7), *others]) == expected


def test_images_are_sorted_by_split_then_name():
    names = [image.name for image in sort_images(made(("test", "validation", "train"))[::-1])]
    assert names == ["train0", "train1", "validation0", "validation1", "test0", "test1"]


def test_a_listed_source_reads_each_image_by_its_key():
    images = made()
    source = listed_source("name", "about", TWO, images[::-1], lambda key: [*key], image_size=48)
    assert (source.name, source.description, source.synthetic) == ("name", "about", False)
    assert (source.image_size, source.classes) == (48, TWO)
    assert source.images() == tuple(images)
    assert source.fingerprint == fingerprint_of(images)
    assert dict(source.load(images[2:])) == {0: ["test", 0], 1: ["test", 1]}


@pytest.mark.parametrize("classes", [TWO, THREE])
@pytest.mark.parametrize("splits", [("train", "test"), ("train", "validation", "test")])
def test_every_split_needs_every_class(refusal, classes, splits):
    images = made(splits, classes)
    check_every_class(images, classes, "place", "do this")
    for missing in images:
        left = [image for image in images if image is not missing]
        text = refusal(
            lambda left=left: check_every_class(left, classes, "place", "do this"),
            f"0 {classes[missing.label]}",
        )
        assert text.startswith("place: images of every class are needed in every split, but found ")
        assert text.endswith("; do this")
        assert ("validation" in text) == ("validation" in splits)


@pytest.mark.parametrize("split", ["train", "test"])
def test_training_and_test_split_are_needed(refusal, split):
    refusal(lambda: check_every_class(made((split,)), TWO, "place", "do this"), "0 dog, 0 cat")


def test_images_are_counted_by_split_and_class():
    first, second, *others = made()
    more = [first, replace(first, name="again"), second, replace(second, split="validation")]
    assert count_classes([*more, *others], TWO) == {
        "train": {"dog": 2, "cat": 1},
        "validation": {"dog": 0, "cat": 1},
        "test": {"dog": 1, "cat": 1},
    }


def test_the_cache_follows_xdg(monkeypatch, tmp_path):
    assert cache_home() == tmp_path / "xdg" / "lossbench"
    for ignored in ("", "relative/path"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert cache_home() == Path.home() / ".cache" / "lossbench"


def test_the_data_directory_must_be_a_directory(monkeypatch, tmp_path, refusal):
    assert data_directory() is None
    monkeypatch.setenv("LOSSBENCH_DATA", str(tmp_path))
    assert data_directory() == tmp_path
    for wrong in (str(tmp_path / "typo"), "~nobody-of-this-name/x", "x" * 5000):
        monkeypatch.setenv("LOSSBENCH_DATA", wrong)
        refusal(data_directory, "no directory", "unset it")
