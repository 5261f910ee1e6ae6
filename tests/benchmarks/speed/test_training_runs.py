"""Trainings that are compared take the same steps."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lossbench.benchmarks.config import CompareConfig, RunConfig
from lossbench.benchmarks.data.batches import prepare
from lossbench.benchmarks.records.events import event_files
from lossbench.benchmarks.speed import training_runs
from lossbench.benchmarks.speed.baselines import noise_images
from lossbench.benchmarks.speed.interleaved import Ratio
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
    training_runs.plain_steps(RUN, training_runs.training_batches(RUN, plan.dataset), 32)()
    recorded, plain = built
    for a, b in zip(recorded.state_dict().values(), plain.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    (directory,) = tmp_path.iterdir()
    assert len(event_files(replace(plan, directory=directory).run_directories[0])) == 1


@pytest.mark.parametrize("augmentation", ["shift", "photographs"])
def test_batches_without_data_have_the_layout_of_those_of_a_run(augmentation) -> None:
    dataset = prepare(noise_images(40, 64), CPU, validation=0.0)
    batches = training_runs.training_batches(replace(RUN, augmentation=augmentation), dataset)
    resident = training_runs.resident_batches(batches)
    assert len(resident) == len(batches) == 2
    for (noise, targets), (images, labels) in zip(resident, batches, strict=True):
        assert (noise.shape, noise.stride(), noise.dtype) == (
            images.shape,
            images.stride(),
            images.dtype,
        )
        assert noise.is_contiguous(memory_format=torch.channels_last)
        assert not torch.equal(noise, images)
        assert torch.equal(targets, labels)


def test_the_speed_beside_no_data_is_the_runs_over_the_networks(monkeypatch) -> None:
    """A run that takes twice as long has half of the images per second."""
    timed = []

    def time_both(work, reference, *_, **__):
        timed.extend([work, reference])
        return Ratio.of_pairs([(1.0, 2.0), (1.0, 2.0)])

    monkeypatch.setattr(training_runs, "RESIDENT_IMAGES", 128)
    monkeypatch.setattr(training_runs, "time_ratio", time_both)
    taken = []
    step = train.Trainer.step
    monkeypatch.setattr(train.Trainer, "step", lambda self: (taken.append(self), step(self)))
    assert training_runs.resident_ratio(0.1, 32, "shift").median == 0.5
    without_data, ours = timed
    without_data()
    assert not taken
    ours()
    assert len(taken) == 2


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
