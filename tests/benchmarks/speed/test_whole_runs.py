"""What whole trainings are compared with is the same training."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lossbench.benchmarks.config import CompareConfig
from lossbench.benchmarks.data.batches import prepare
from lossbench.benchmarks.records.events import event_files
from lossbench.benchmarks.speed import targets, whole_runs
from lossbench.benchmarks.speed.usual import noise_set
from lossbench.benchmarks.training import train as run
from lossbench.benchmarks.training.plan import Plan
from lossbench.benchmarks.training.result import RunConfig

CPU = torch.device("cpu")
TRIAL = RunConfig("cross-entropy", 0, 0.1, epochs=1, batch_size=16, width=4)


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[torch.nn.Module]:
    """The networks that are built meanwhile."""
    models: list[torch.nn.Module] = []
    build = run.build_model

    def remembered(*arguments):
        models.append(build(*arguments))
        return models[-1]

    monkeypatch.setattr(run, "build_model", remembered)
    monkeypatch.setattr(whole_runs, "build_model", remembered)
    return models


def test_the_steps_alone_are_those_of_the_run_that_is_recorded(built, tmp_path: Path) -> None:
    images = noise_set(64, 32)
    material = prepare(images, CPU, validation=0.0)
    plan = Plan(tmp_path, CompareConfig(validation=0.0), images, CPU, (TRIAL,))
    whole_runs.recorded_run(plan, TRIAL, material)()
    whole_runs.steps_alone(TRIAL, material)()
    recorded, alone = built
    for a, b in zip(recorded.state_dict().values(), alone.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    [directory] = tmp_path.iterdir()
    assert len(event_files(replace(plan, directory=directory).run_directories[0])) == 1


def test_lightning_trains_the_network_on_all_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    lightning = pytest.importorskip("lightning")
    steps = []
    trainer = lightning.Trainer

    def watched(**settings):
        made = trainer(**settings)
        fit = made.fit
        made.fit = lambda *given: (fit(*given), steps.append(made.global_step))
        return made

    monkeypatch.setattr(lightning, "Trainer", watched)
    for channels_last in (False, True):
        pixels = torch.randn(300, 3, 32, 32)
        whole_runs.lightning_run(pixels, torch.rand(300), channels_last=channels_last)()
    assert steps == [2, 2]


def test_without_lightning_its_row_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def names() -> list[str]:
        return [row.name for row in targets.rows() if "Lightning" in row.name]

    assert len(names()) == whole_runs.has_lightning()
    monkeypatch.setattr(whole_runs.importlib.util, "find_spec", lambda _: None)
    assert names() == []
