"""Whole trainings of lossbench beside the same training without what it looks at and writes down,
and beside Lightning's Trainer."""

from __future__ import annotations

import importlib.util
import logging
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lossbench import models
from lossbench.benchmarks.config import CompareConfig
from lossbench.benchmarks.data.batches import DeviceDataset, TrainingBatches, prepare
from lossbench.benchmarks.training.objective import Objective
from lossbench.benchmarks.training.plan import Plan
from lossbench.benchmarks.training.recorder import Recorder
from lossbench.benchmarks.training.result import RunConfig
from lossbench.benchmarks.training.step import (
    MOMENTUM,
    build_optimizer,
    one_cycle,
    set_learning_rate,
)
from lossbench.benchmarks.training.train import Trainer, build_model, train

from .interleaved import Ratio, Work, ratio
from .usual import BATCH, noise_set

CPU = torch.device("cpu")
IMAGES, OF_CIFAR = 4096, 10_000
"""Pictures of an epoch: against Lightning, and of a run as a comparison has them by default."""


def recorded(seconds: float) -> Ratio:
    """Time of a run at the default settings with probes, event file and rows over that of the same
    steps alone."""
    images, config = noise_set(OF_CIFAR, 32), CompareConfig(validation=0.0)
    material = prepare(images, CPU, validation=0.0)
    trial = RunConfig(
        "cross-entropy",
        0,
        config.learning_rate,
        epochs=config.epochs,
        batch_size=config.batch_size,
        evaluations=config.evaluations,
    )
    with tempfile.TemporaryDirectory() as name:
        plan = Plan(Path(name), config, images, CPU, (trial,))
        with_all = recorded_run(plan, trial, material)
        return ratio(with_all, steps_alone(trial, material), 8 * seconds, least=5)


class Silent:
    """Monitor that shows nothing and never stops a run."""

    def should_stop(self) -> bool:
        return False

    def update(self, *_: object) -> None:
        pass

    def say(self, _: str) -> None:
        pass


def recorded_run(plan: Plan, trial: RunConfig, material: DeviceDataset) -> Work:
    """A training that is looked at and written down as `lossbench compare` does it, each time in a
    new directory within that of the plan."""

    def run() -> None:
        here = replace(plan, directory=Path(tempfile.mkdtemp(dir=plan.directory)))
        with Recorder(here, trial, Silent()) as recorder:
            trainer = Trainer(trial, material, recorder, plan.config.log_every)
            while not trainer.done:
                trainer.step()

    return run


def steps_alone(trial: RunConfig, material: DeviceDataset) -> Work:
    """The same network, batches, loss, optimiser and schedule, and nothing else."""

    def run() -> None:
        objective = Objective(trial.loss)
        model = build_model(trial, objective).to(memory_format=torch.channels_last)
        optimiser = build_optimizer(trial.weight_decay, model)
        batches = TrainingBatches(
            material.train,
            material.normalise,
            size=trial.batch_size,
            epochs=trial.epochs,
            seed=trial.seed,
            augmentation=trial.augmentation,
        )
        steps = len(batches)
        for step, (pixels, labels) in enumerate(batches):
            set_learning_rate(optimiser, trial.learning_rate * one_cycle(step, steps))
            loss = objective(objective.logits(model(pixels)), labels).mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()

    return run


def has_lightning() -> bool:
    return importlib.util.find_spec("lightning") is not None


def against_lightning(seconds: float, *, channels_last: bool = False) -> Ratio:
    """Time of a training of an epoch by Lightning's Trainer over ours, from the same images in
    memory: theirs are normalised beforehand, ours in each batch.

    Most of the difference is the memory format, which ours chooses and a plain LightningModule does
    not; the rest of a step of this network leaves little to be won (`channels_last` says how
    little)."""
    images = noise_set(IMAGES, 32)
    material = prepare(images, CPU, validation=0.0)
    trial = RunConfig("bce-with-logits", 0, 1e-3, epochs=1, batch_size=BATCH, augmentation="none")
    pixels = material.normalise(material.train.images[material.train.rows]).contiguous()
    theirs = lightning_run(pixels, material.train.labels.float(), channels_last=channels_last)
    return ratio(theirs, lambda: train(trial, material), 8 * seconds, least=5)


def lightning_run(pixels: Tensor, targets: Tensor, *, channels_last: bool) -> Work:
    """As Lightning's documentation has it, without logs, checkpoints and progress bar."""
    import lightning

    memory_format = torch.channels_last if channels_last else torch.contiguous_format

    class Lit(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = models.build("convnet", num_outputs=1).to(memory_format=memory_format)

        def training_step(self, batch: list[Tensor], _: int) -> Tensor:
            x, y = batch
            return F.binary_cross_entropy_with_logits(self.model(x).flatten(), y)

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=1e-3, momentum=MOMENTUM, nesterov=True)

    data = torch.utils.data.TensorDataset(pixels, targets)
    loader = torch.utils.data.DataLoader(data, BATCH, shuffle=True, drop_last=True)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    def run() -> None:
        with warnings.catch_warnings():
            # That a loader could have processes: from memory they would only be slower.
            warnings.simplefilter("ignore")
            trainer = lightning.Trainer(
                max_epochs=1,
                accelerator="cpu",
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            )
            trainer.fit(Lit(), loader)

    return run
