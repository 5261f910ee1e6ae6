import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch

from benchmarks.config import Comparison
from benchmarks.tracking import experiment

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
    assert experiment.name_of(Comparison(name=name), images, NOW) == expected


def test_a_model_of_ones_own_is_named_by_its_class(images) -> None:
    images = dataclasses.replace(images, synthetic=False)
    name = experiment.name_of(Comparison(model="my.package:Net"), images, NOW)
    assert name.startswith("noise-Net-")


def test_the_description_is_json_and_complete(images, tmp_path: Path) -> None:
    experiment.describe(
        tmp_path,
        Comparison(losses=("mse", "bce"), image_size=32, runs=tmp_path),
        images,
        parameters=7,
        device=torch.device("cpu"),
        command="lossbench compare",
        now=NOW,
    )
    about = json.loads((tmp_path / "experiment.json").read_text())
    assert about["synthetic"] is True
    assert about["config"]["losses"] == ["mse", "bce"]
    assert about["config"]["image_size"] == 32
    assert about["data"] == {
        "name": "noise",
        "description": "noise, brighter for cats",
        "fingerprint": "f" * 64,
        "train": 96,
        "test": 40,
        "train_cats": 48,
        "test_cats": 20,
        "skipped": [],
    }
    assert about["model"] == {"name": "convnet", "parameters": 7}
    assert about["versions"]["torch"] in torch.__version__
    assert about["hardware"]["threads"] == torch.get_num_threads()
    assert about["hardware"]["processor"]
    assert about["date"] == "2026-11-22T10:30:05+00:00"


def test_outside_git_there_is_no_commit(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(experiment, "__file__", str(tmp_path / "a" / "b" / "c.py"))
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert experiment.commit() is None
