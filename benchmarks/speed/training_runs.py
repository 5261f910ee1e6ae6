"""Runs of lossbench beside the same steps without records, without data, and in Lightning."""

from __future__ import annotations

import copy
import importlib.util
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from lossbench import models
from lossbench.benchmarks.config import CompareConfig, RunConfig, rates_of
from lossbench.benchmarks.data.batches import TrainingBatches, prepare
from lossbench.benchmarks.training.network import build_model
from lossbench.benchmarks.training.objective import Objective
from lossbench.benchmarks.training.optimizer import (
    MOMENTUM,
    build_optimizer,
    one_cycle,
    set_learning_rate,
)
from lossbench.benchmarks.training.plan import Plan
from lossbench.benchmarks.training.recorder import Recorder
from lossbench.benchmarks.training.train import Trainer, train, training_batches

from .baselines import BATCH_SIZE, noise_images
from .interleaved import Ratio, Work, time_ratio

Augmentation = Literal["shift", "photographs"]

CPU = torch.device("cpu")
LIGHTNING_IMAGES = 4096
"""Images per epoch beside Lightning."""
RESIDENT_IMAGES = 2048
"""Images per epoch beside random tensors in memory."""
DEFAULT_IMAGES = 10_000
"""Images per epoch of a comparison's run at the default settings."""


def recorded_run_ratio(seconds: float) -> Ratio:
    """Measure a default run relative to its training steps alone, without statistics and files."""
    images, config = noise_images(DEFAULT_IMAGES, 32), CompareConfig(validation=0.0)
    run = RunConfig(
        "cross-entropy",
        0,
        rates_of(config)[0],
        epochs=config.epochs,
        batch_size=config.batch_size,
        evaluations=config.evaluations,
    )
    with tempfile.TemporaryDirectory() as name:
        plan = Plan(Path(name), config, images, CPU, (run,))
        steps = plain_steps(run, training_batches(run, plan.dataset), images.image_size)
        return time_ratio(recorded_run(plan, run), steps, 8 * seconds, min_pairs=5)


def resident_ratio(seconds: float, size: int, augmentation: Augmentation) -> Ratio:
    """Measure the images per second of a run relative to those of the same network without data.

    Its batches are random tensors in memory, ready for the network.

    Args:
        seconds: about how long to measure.
        size: height and width of the run's images, which are decoded already.
        augmentation: of the run.
    """
    dataset = prepare(noise_images(RESIDENT_IMAGES, size), CPU, validation=0.0)
    run = RunConfig("cross-entropy", 0, 0.1, epochs=1, augmentation=augmentation)

    def ours() -> None:
        trainer = Trainer(run, dataset)
        while not trainer.done:
            trainer.step()

    resident = resident_batches(training_batches(run, dataset))
    return time_ratio(plain_steps(run, resident, size), ours, 8 * seconds, min_pairs=9)


def resident_batches(batches: TrainingBatches) -> list[tuple[Tensor, Tensor]]:
    """Return random batches in memory, as many and of the same layout as those of a training."""
    return [(torch.randn_like(images), labels) for images, labels in batches]


class SilentMonitor:
    """Monitor that shows nothing and never stops a run."""

    def should_stop(self) -> bool:
        """Return False."""
        return False

    def update(self, *_: object) -> None:
        """Do nothing."""

    def say(self, _line: str) -> None:
        """Do nothing."""


def recorded_run(plan: Plan, run: RunConfig) -> Work:
    """Return a training that is recorded as by `lossbench compare`.

    Each call writes to a new directory within the plan's.
    """
    dataset = plan.dataset  # an experiment prepares it once; copies of the plan share it

    def work() -> None:
        new = copy.copy(plan)
        new.directory = Path(tempfile.mkdtemp(dir=plan.directory))
        with Recorder(new, run, SilentMonitor()) as recorder:
            trainer = Trainer(run, dataset, [recorder], plan.config.log_every)
            while not trainer.done:
                trainer.step()

    return work


def plain_steps(
    run: RunConfig, batches: TrainingBatches | list[tuple[Tensor, Tensor]], image_size: int
) -> Work:
    """Return the network, loss, optimizer and schedule of a run on batches, and nothing else.

    The network is built for images of `image_size` pixels, of which the batches may be crops.
    """

    def work() -> None:
        objective = Objective(run.loss)
        model = build_model(run, objective, image_size).to(memory_format=torch.channels_last)
        optimizer = build_optimizer(run, model)
        steps = len(batches)
        for step, (images, labels) in enumerate(batches):
            set_learning_rate(optimizer, run.learning_rate * one_cycle(step, steps))
            loss = objective(model(images), labels).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    return work


def has_lightning() -> bool:
    """Return whether Lightning is installed."""
    return importlib.util.find_spec("lightning") is not None


def lightning_ratio(seconds: float) -> Ratio:
    """Measure an epoch of Lightning's Trainer relative to ours, from the same images in memory.

    Lightning gets images that are normalised beforehand; ours normalises each batch. Most of the
    difference is the memory format, which ours chooses and a plain LightningModule does not.
    """
    dataset = prepare(noise_images(LIGHTNING_IMAGES, 32), CPU, validation=0.0)
    run = RunConfig(
        "bce-with-logits", 0, 1e-3, epochs=1, batch_size=BATCH_SIZE, augmentation="none"
    )
    images = dataset.normalise(dataset.train.images[dataset.train.rows]).contiguous()
    theirs = lightning_epoch(images, dataset.train.labels.float())
    return time_ratio(theirs, lambda: train(run, dataset), 8 * seconds, min_pairs=5)


def lightning_epoch(images: Tensor, targets: Tensor) -> Work:
    """Return an epoch as in Lightning's documentation, without logs, checkpoints and progress."""
    import lightning

    class Classifier(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = models.build("convnet", num_outputs=1)

        def training_step(self, batch: list[Tensor], _: int) -> Tensor:
            x, y = batch
            return F.binary_cross_entropy_with_logits(self.model(x).flatten(), y)

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=1e-3, momentum=MOMENTUM, nesterov=True)

    data = torch.utils.data.TensorDataset(images, targets)
    loader = torch.utils.data.DataLoader(data, BATCH_SIZE, shuffle=True, drop_last=True)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    def work() -> None:
        with warnings.catch_warnings():
            # It advises worker processes, which only slow down images in memory.
            warnings.simplefilter("ignore")
            trainer = lightning.Trainer(
                max_epochs=1,
                accelerator="cpu",
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            )
            trainer.fit(Classifier(), loader)

    return work
