import json
from datetime import UTC, datetime
from pathlib import Path

import torch

from lossbench import losses
from lossbench.benchmarks.records import experiment

CPU = torch.device("cpu")
NOW = datetime(2026, 11, 22, 10, 30, 5, tzinfo=UTC)


def test_the_facts_are_json_and_complete() -> None:
    about = json.loads(json.dumps(experiment.facts("lossbench compare", NOW, CPU, kernels=True)))
    assert about["command"] == "lossbench compare"
    assert about["versions"]["torch"] in torch.__version__
    assert about["hardware"]["threads"] == torch.get_num_threads()
    assert about["hardware"]["processor"]
    assert about["date"] == "2026-11-22T10:30:05+00:00"
    assert "git" in about


def test_the_backend_of_the_losses_is_told() -> None:
    assert experiment.hardware(CPU)["losses"] == str(losses.backend())
    without = experiment.facts("", NOW, CPU, kernels=False)["hardware"]["losses"]
    assert without == "closed forms: no --kernels"


def test_outside_git_there_is_no_commit(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(experiment, "__file__", str(tmp_path / "a" / "b" / "c.py"))
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert experiment.commit() is None
