"""Names of experiments and descriptions of their data."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import torch

from lossbench.benchmarks.data.batches import prepare
from lossbench.benchmarks.data.description import (
    _count_warnings,
    data_lines,
    describe_data,
)
from lossbench.benchmarks.data.sources import Composition

CPU = torch.device("cpu")
NOW = datetime(2026, 11, 22, 10, 30, 5, tzinfo=UTC)


def test_images_are_counted_by_split_and_class(images) -> None:
    dataset = prepare(images, CPU, validation=0.25, imbalance=3)
    assert json.loads(json.dumps(describe_data(images, dataset))) == {
        "name": "noise",
        "description": "noise, brighter for cats",
        "fingerprint": "f" * 64,
        "classes": ["dog", "cat"],
        "train": 48,
        "validation": 24,
        "test": 40,
        "train_counts": [36, 12],
        "validation_counts": [12, 12],
        "test_counts": [20, 20],
        "origins": {"validation": "held out of the training images"},
        "left_out": [],
        "warnings": [
            "imbalance: 3.0 times as many training images of dog as of cat; always answering "
            "dog is right on 50.0 % of the test images",
            "only 40 test images: an accuracy is known to ± 15 points (95 %), and smaller "
            "differences between losses say little",
        ],
        "skipped": [],
    }


def test_what_a_source_tells_of_itself_is_kept(images) -> None:
    own = Composition({"train": "from a/", "test": "from b/"}, ("2 files of no class",), ("odd",))
    images = replace(images, composition=own)
    dataset = prepare(images, CPU, validation=0.25)
    data = describe_data(images, dataset)
    assert data["origins"] == own.origins | {"validation": "held out of the training images"}
    assert data["left_out"] == ["2 files of no class"]
    assert data["warnings"][0] == "odd"
    assert data_lines(data) == [
        "data: noise, noise, brighter for cats",
        "  train: 72 (36 dog, 36 cat), from a/",
        "  validation: 24 (12 dog, 12 cat), held out of the training images",
        "  test: 40 (20 dog, 20 cat), from b/",
        "  left out: 2 files of no class",
        "warning: odd",
        f"warning: {data['warnings'][1]}",
    ]


def test_a_validation_folder_that_is_not_used_is_told(images) -> None:
    own = Composition({"validation": "from val/"})
    images = replace(images, validation=images.test, composition=own)
    used = describe_data(images, prepare(images, CPU, validation=0.1))
    assert (used["origins"], used["left_out"]) == ({"validation": "from val/"}, [])
    data = describe_data(images, prepare(images, CPU, validation=0.0))
    assert (data["origins"], data["left_out"]) == (
        {},
        ["40 validation images, not used (--validation 0)"],
    )


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({"train": [30, 20], "test": [100, 50]}, ["1.5 times", "of a as of b", "66.7 %"]),
        ({"train": [20, 31], "test": [100, 50]}, ["1.6 times", "of b as of a", "33.3 %"]),
        ({"train": [29, 20], "test": [50, 50]}, None),
        ({"train": [20, 20], "test": [1, 1]}, ["only 2 test images", "± 69 points"]),
        ({"train": [20, 20], "test": [50, 49]}, ["only 99 test images", "± 10 points"]),
    ],
)
def test_counts_that_say_little_are_warned_of(counts, words) -> None:
    warnings = _count_warnings(counts, "ab")
    assert len(warnings) == (words is not None)
    assert all(word in warnings[0] for word in words or ())


def test_a_batch_that_has_every_image_is_warned_of(images) -> None:
    dataset = prepare(images, CPU, validation=0.0)
    count = len(dataset.train.labels)
    assert not describe_data(images, dataset, count)["warnings"][1:]
    *_, warning = describe_data(images, dataset, count + 1)["warnings"]
    assert f"{count} training images and --batch-size {count + 1}: " in warning


def test_without_validation_none_are_counted(images) -> None:
    data = describe_data(images, prepare(images, CPU, validation=0.0))
    assert (data["validation"], data["validation_counts"]) == (0, [0, 0])
