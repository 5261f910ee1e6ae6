import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch

from lossbench.benchmarks.config import CompareConfig
from lossbench.benchmarks.data.batches import prepare
from lossbench.benchmarks.data.description import data_facts, experiment_name
from lossbench.benchmarks.records import experiment

CPU = torch.device("cpu")
NOW = datetime(2026, 11, 22, 10, 30, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("synthetic", "name", "expected"),
    [
        (False, None, "noise-convnet-normal-20261122-103005"),
        (False, "mine", "mine"),
        (True, None, "SYNTHETIC-convnet-normal-20261122-103005"),
        (True, "mine", "SYNTHETIC-mine"),
    ],
)
def test_the_name_tells_synthetic_from_real(images, synthetic, name, expected) -> None:
    images = dataclasses.replace(images, synthetic=synthetic)
    assert experiment_name(CompareConfig(name=name), images, NOW) == expected


def test_a_model_of_ones_own_is_named_by_its_class(images) -> None:
    images = dataclasses.replace(images, synthetic=False)
    name = experiment_name(CompareConfig(model="my.package:Net"), images, NOW)
    assert name.startswith("noise-Net-")


def test_the_facts_are_json_and_complete() -> None:
    about = json.loads(json.dumps(experiment.facts("lossbench compare", NOW, CPU)))
    assert about["command"] == "lossbench compare"
    assert about["versions"]["torch"] in torch.__version__
    assert about["hardware"]["threads"] == torch.get_num_threads()
    assert about["hardware"]["processor"]
    assert about["date"] == "2026-11-22T10:30:05+00:00"
    assert "git" in about


def test_the_data_are_counted_by_split_and_class(images) -> None:
    material = prepare(images, CPU, validation=0.25, imbalance=3)
    assert json.loads(json.dumps(data_facts(images, material))) == {
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


def test_without_validation_images_none_are_counted(images) -> None:
    data = data_facts(images, prepare(images, CPU, validation=0.0))
    assert (data["validation"], data["validation_counts"]) == (0, [0, 0])


def test_outside_git_there_is_no_commit(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(experiment, "__file__", str(tmp_path / "a" / "b" / "c.py"))
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert experiment.commit() is None
