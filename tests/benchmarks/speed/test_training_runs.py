"""Trainings that are compared take the same steps."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lossbench.benchmarks.config import CompareConfig, RunConfig
from lossbench.benchmarks.records.events import event_files
from lossbench.benchmarks.speed import training_runs
from lossbench.benchmarks.speed.baselines import noise_images
from lossbench.benchmarks.training import plan as plan_module
from lossbench.benchmarks.training import train
from lossbench.benchmarks.training.plan import Plan

CPU = torch.device("cpu")
RUN = RunConfig("cross-entropy", 0, 0.1, epochs=1, batch_size=16, width=4)


def test_plain_steps_are_those_of_the_recorded_run(monkeypatch, tmp_path: Path) -> None:
    built: list[torch.nn.Module] = []
    build = train.build_model

    def build_and_keep(*arguments):
        built.append(build(*arguments))
        return built[-1]

    monkeypatch.setattr(train, "build_model", build_and_keep)
    monkeypatch.setattr(training_runs, "build_model", build_and_keep)
    plan = Plan(tmp_path, CompareConfig(validation=0.0), noise_images(64, 32), CPU, (RUN,))
    work = training_runs.recorded_run(plan, RUN)
    # An experiment prepares its images once, so the time of a run must not contain it.
    monkeypatch.setattr(plan_module, "prepare", None)
    work()
    training_runs.plain_steps(RUN, plan.dataset)()
    recorded, plain = built
    for a, b in zip(recorded.state_dict().values(), plain.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    (directory,) = tmp_path.iterdir()
    assert len(event_files(replace(plan, directory=directory).run_directories[0])) == 1


@pytest.mark.slow
def test_lightning_takes_all_batches(monkeypatch) -> None:
    lightning = pytest.importorskip("lightning")
    steps = []
    trainer = lightning.Trainer

    def spy(**settings):
        made = trainer(**settings)
        fit = made.fit
        made.fit = lambda *given: (fit(*given), steps.append(made.global_step))
        return made

    monkeypatch.setattr(lightning, "Trainer", spy)
    images, targets = torch.randn(300, 3, 32, 32), torch.rand(300)
    training_runs.lightning_epoch(images, targets)()
    assert steps == [2]
