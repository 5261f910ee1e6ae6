import platform
import subprocess
from pathlib import Path

import pytest
import torch

from lossbench import losses
from lossbench.benchmarks.records import environment

CPU = torch.device("cpu")


def test_the_backend_of_the_losses_is_told() -> None:
    assert environment.hardware(CPU)["losses"] == str(losses.backend())
    without = environment.describe_environment(CPU, kernels=False)["hardware"]["losses"]
    assert without == "closed forms: no --kernels"


def test_outside_git_there_is_no_commit(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "a" / "b" / "c.py"))
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert environment.commit() is None


def test_facts_of_a_bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without /proc, without git, and with a package that is not installed."""

    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError

    def unknown(name: str) -> str:
        raise environment.PackageNotFoundError(name)

    capability = torch.backends.cpu.get_cpu_capability()
    assert environment.processor_family().startswith(f"{platform.machine()}, {capability}, ")
    monkeypatch.setattr(Path, "read_text", missing)
    monkeypatch.setattr(subprocess, "run", missing)
    monkeypatch.setattr(environment, "version", unknown)
    assert environment.processor() in (platform.processor(), platform.machine())
    assert environment.processor_family() == f"{platform.machine()}, {capability}"
    assert environment.commit() is None
    assert environment.versions()["torchvision"] is None
