"""One run: one loss, one seed, from random weights to a row of results.

Reads top to bottom: the model, the optimiser, the steps with their probes, the evaluations.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

import models
from benchmarks.config import CONFIDENTLY_WRONG, Comparison
from benchmarks.data.batches import Material, TrainingBatches, evaluation_batches
from benchmarks.files import write_json
from benchmarks.tracking.events import EventFile
from benchmarks.tracking.experiment import MARK
from benchmarks.tracking.results import Evaluation, Results
from benchmarks.tracking.window import Window, merged

from .objective import Objective
from .probes import GradientProbes

MOMENTUM = 0.9


@dataclass(frozen=True)
class Run:
    """One loss and one seed of an experiment in `directory`."""

    loss: str
    seed: int
    directory: Path

    @property
    def path(self) -> Path:
        return self.directory / self.loss / f"seed{self.seed}"


def build(config: Comparison, seed: int, objective: Objective) -> nn.Module:
    """The model of a seed: for every loss the same function of the image."""
    torch.manual_seed(seed)
    model = models.build(config.model, num_outputs=1, width=config.width)
    if config.start == "confidently-wrong":
        models.begin_at(model, CONFIDENTLY_WRONG)
    if objective.num_outputs == 2:
        models.split_head(model)
    # Splitting has drawn weights; whatever a model draws while it trains is paired as well.
    torch.manual_seed(seed)
    return model


def one_cycle(step: int, steps: int) -> float:
    """The share of the peak learning rate: up over a quarter of the steps, down over the rest."""
    at = (step + 0.5) / steps
    return at / 0.25 if at < 0.25 else (1 - at) / 0.75


def train(
    run: Run,
    config: Comparison,
    material: Material,
    images: str,
    progress: Callable[[int, int, str], None],
) -> Evaluation:
    """Train one run, write its files, append its rows to results.csv, return the last of them.

    `images` is what the rows say they were measured on. `progress(step, steps, note)` is called
    whenever a logging window ends.
    """
    objective = Objective(run.loss)
    model = build(config, run.seed, objective)
    device = material.normalise.mean.device
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    batches = TrainingBatches(
        material.train,
        material.normalise,
        size=config.batch_size,
        epochs=config.epochs,
        seed=run.seed,
    )
    steps = len(batches)
    marks = {batches.per_epoch * k // config.evaluations for k in range(config.evaluations)}
    # No weight decay: it would move parameters that the loss does not move.
    optimiser = torch.optim.SGD(
        model.parameters(), lr=config.learning_rate, momentum=MOMENTUM, nesterov=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: one_cycle(step, steps))
    probes = GradientProbes(model, objective)
    run.path.mkdir(parents=True)
    about = {"loss": run.loss, "seed": run.seed, "images": images}
    write_json(run.path / "config.json", config.to_json() | about)

    with EventFile(run.path) as events:
        if images == MARK:
            events.note("images", f"# {MARK} IMAGES\nDrawn by code. No number here is a result.")
        record = Recorder(run, images, events, device)
        for step, (pixels, labels) in enumerate(batches):
            evaluating = step % batches.per_epoch in marks
            if evaluating:
                test = record.pause(lambda: evaluate(model, objective, material))

            logits = objective.logits(model(pixels))
            logits.retain_grad()
            loss = objective(logits, labels).mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            probes.measure(logits, labels, loss)

            if evaluating or step % config.log_every == 0:
                window = probes.read()
                record.window(step, window)
                note = f"accuracy {window.accuracy:.0%}  |dL/dz| {window.logit_mean_abs:.1e}"
                progress(step, steps, note)
            if evaluating:
                record.row(step / batches.per_epoch, step, step * batches.size, *test)

            optimiser.step()
            schedule.step()

        if probes.steps:
            record.window(steps - 1, probes.read())
        test = record.pause(lambda: evaluate(model, objective, material))
        last = record.row(config.epochs, steps, steps * batches.size, *test)
    save(run, model, images)
    return last


@torch.no_grad()
def evaluate(
    model: nn.Module,
    objective: Objective,
    material: Material,
) -> tuple[float, float]:
    """Mean loss and accuracy over the test images. A model that has diverged predicts nothing: its
    accuracy is NaN. The model is in training mode afterwards."""
    model.eval()
    sums = []
    for pixels, labels in evaluation_batches(material.test, material.normalise):
        logits = objective.logits(model(pixels))
        right = ~objective.wrong(logits, labels)
        sums.append(torch.stack((objective(logits, labels).sum(), right.float().sum())))
    model.train()
    loss, accuracy = (torch.stack(sums).sum(0) / len(material.test.labels)).tolist()
    return loss, accuracy if math.isfinite(loss) else math.nan


def save(run: Run, model: nn.Module, images: str) -> None:
    """Write the trained weights to checkpoint.pt, readable with torch.load(weights_only=True)."""
    checkpoint = {
        "loss": run.loss,
        "seed": run.seed,
        "images": images,
        "model": model.state_dict(),
    }
    scratch = run.path / "checkpoint.pt.part"
    torch.save(checkpoint, scratch)
    scratch.rename(run.path / "checkpoint.pt")


class Recorder:
    """Writes an evaluation to results.csv and the event file, and keeps the time of training:
    what happens within `pause` does not count."""

    def __init__(self, run: Run, images: str, events: EventFile, device: torch.device) -> None:
        self.run, self.images, self.events, self.device = run, images, events, device
        # That of the last row, then those since.
        self.windows: list[Window] = []
        self.results = Results(run.directory / "results.csv")
        self.paused = 0.0
        self.began = time.perf_counter()
        self.seen, self.seconds = 0, 0.0

    def pause(self, work: Callable[[], tuple[float, float]]) -> tuple[float, float]:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        since = time.perf_counter()
        try:
            return work()
        finally:
            self.paused += time.perf_counter() - since

    def window(self, step: int, window: Window) -> None:
        """A logging window that ends with `step`."""
        self.events.training(step, window)
        self.windows.append(window)

    def row(
        self, epoch: float, step: int, seen: int, test_loss: float, accuracy: float
    ) -> Evaluation:
        """An evaluation after `step` steps, with what the windows since the last row have seen."""
        # Where every step is evaluated the last row has none of its own: it repeats the one before.
        window = merged(self.windows[1:] or self.windows)
        self.windows = [window]
        seconds = time.perf_counter() - self.began - self.paused
        speed = (seen - self.seen) / (seconds - self.seconds)
        self.events.evaluation(step, test_loss, accuracy)
        if seen:
            self.events.speed(step, speed)
        row = Evaluation(
            loss=self.run.loss,
            seed=self.run.seed,
            epoch=epoch,
            step=step,
            train_loss=window.loss,
            train_accuracy=window.accuracy,
            test_loss=test_loss,
            test_accuracy=accuracy,
            logit_mean_abs=window.logit_mean_abs,
            logit_when_wrong=window.logit_when_wrong,
            vanished_fraction=window.vanished_fraction,
            parameter_norm=window.parameter_norm,
            seconds=seconds,
            images_per_second=speed if seen else float("nan"),
            images=self.images,
        )
        self.results.add(row)
        self.seen, self.seconds = seen, seconds
        return row
