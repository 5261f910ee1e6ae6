import json
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
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


def test_facts_of_a_bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without /proc, without git, and with a package that is not installed."""

    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError

    def unknown(name: str) -> str:
        raise experiment.PackageNotFoundError(name)

    capability = torch.backends.cpu.get_cpu_capability()
    assert experiment.processor_family().startswith(f"{platform.machine()}, {capability}, ")
    monkeypatch.setattr(Path, "read_text", missing)
    monkeypatch.setattr(subprocess, "run", missing)
    monkeypatch.setattr(experiment, "version", unknown)
    assert experiment.processor() in (platform.processor(), platform.machine())
    assert experiment.processor_family() == f"{platform.machine()}, {capability}"
    assert experiment.commit() is None
    assert experiment.versions()["torchvision"] is None
