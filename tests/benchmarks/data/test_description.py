"""Names of experiments and descriptions of their data."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import torch

from lossbench.benchmarks.config import CompareConfig
from lossbench.benchmarks.data.batches import prepare
from lossbench.benchmarks.data.description import describe_data, experiment_name

CPU = torch.device("cpu")
NOW = datetime(2026, 11, 22, 10, 30, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("synthetic", "settings", "expected"),
    [
        (False, {}, "noise-convnet-normal-20261122-103005"),
        (False, {"name": "mine"}, "mine"),
        (True, {}, "SYNTHETIC-convnet-normal-20261122-103005"),
        (True, {"name": "mine"}, "SYNTHETIC-mine"),
        (False, {"model": "my.package:Net"}, "noise-Net-normal-20261122-103005"),
    ],
)
def test_the_name_of_an_experiment(images, synthetic, settings, expected) -> None:
    images = replace(images, synthetic=synthetic)
    assert experiment_name(CompareConfig(**settings), images, NOW) == expected


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
        "skipped": [],
    }


def test_without_validation_none_are_counted(images) -> None:
    data = describe_data(images, prepare(images, CPU, validation=0.0))
    assert (data["validation"], data["validation_counts"]) == (0, [0, 0])
