import json
from datetime import UTC, datetime
from pathlib import Path

import torch

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


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path, refusal, monkeypatch) -> None:
    runs = tmp_path / "runs"
    experiment.create(runs / "one")
    refusal(lambda: experiment.create(runs / "one"), "already exists", "--name")
    (tmp_path / "file").touch()
    refusal(lambda: experiment.make_runs_directory(tmp_path / "file"), "is no directory")
    refusal(lambda: experiment.create(runs / ("x" * 300)), "cannot make", "--name")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(experiment, "make_directory", refuse)
    refusal(lambda: experiment.make_runs_directory(runs), "cannot write to", "Permission denied")
