"""One run: one loss, one seed, from random weights to what came of it.

Reads top to bottom: the model, the optimiser, the steps with their probes, the evaluations.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

import models
from benchmarks.data.batches import (
    Material,
    Normalisation,
    Pixels,
    TrainingBatches,
    evaluation_batches,
)
from benchmarks.tracking.window import Window, merged

from .objective import Objective
from .probes import GradientProbes
from .trial import Outcome, Point, Predictions, Trial

MOMENTUM = 0.9
PAIRS = 256
"""Training examples of a logging window whose margin and gradient are kept, if any are."""


class Watch:
    """What is told of a run while it goes on. This one does nothing with it."""

    def window(self, step: int, steps: int, window: Window) -> None:
        """A logging window has ended with `step` of `steps`."""

    def point(self, point: Point, steps: int) -> None:
        """The validation images have been evaluated."""


def build(trial: Trial, objective: Objective) -> nn.Module:
    """The model of a seed: for every loss the same function of the image."""
    columns = 1 if objective.num_classes == 2 else objective.num_classes
    torch.manual_seed(trial.seed)
    model = models.build(trial.model, num_outputs=columns, width=trial.width)
    if trial.begin_at is not None:
        models.begin_at(model, trial.begin_at)
    if objective.num_outputs != columns:
        models.split_head(model)
    # Splitting has drawn weights; whatever a model draws while it trains is paired as well.
    torch.manual_seed(trial.seed)
    return model


def one_cycle(step: int, steps: int) -> float:
    """The share of the peak learning rate: up over a quarter of the steps, down over the rest."""
    at = (step + 0.5) / steps
    return at / 0.25 if at < 0.25 else (1 - at) / 0.75


def optimiser_of(trial: Trial, model: nn.Module) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum; weight decay spares biases and normalisation."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": trial.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=trial.learning_rate, momentum=MOMENTUM, nesterov=True)


def train(
    trial: Trial, material: Material, watch: Watch | None = None, log_every: int | None = None
) -> tuple[Outcome, nn.Module]:
    """Train one network; what came of it, and the network.

    Args:
        material: as `prepare` gives it for this trial, on the device to train on.
        watch: is told of the run as it goes on.
        log_every: steps in a logging window; None: from evaluation to evaluation.

    Raises RuntimeError if the trial asks for test images that it has been given before.
    """
    watch = watch or Watch()
    objective = Objective(trial.loss, len(material.classes), trial.settings)
    device = material.normalise.mean.device
    model = build(trial, objective).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    beginning = [p.detach().clone() for p in model.parameters()]
    batches = TrainingBatches(
        material.train,
        material.normalise,
        size=trial.batch_size,
        epochs=trial.epochs,
        seed=trial.seed,
        augmentation=trial.augmentation,
    )
    steps = len(batches)
    marks = {batches.per_epoch * k // trial.evaluations for k in range(trial.evaluations)}
    optimiser = optimiser_of(trial, model)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: one_cycle(step, steps))
    probes = GradientProbes(model, objective)
    course = Course(batches.per_epoch, device)
    pairs: list[Tensor] = []
    done = steps

    def logged(step: int) -> None:
        if trial.pairs:
            pairs.append(probes.pairs(step, PAIRS))
        window = probes.read()
        course.windows.append(window)
        watch.window(step, steps, window)

    for step, (pixels, labels) in enumerate(batches):
        evaluating = step % batches.per_epoch in marks
        if evaluating:
            held_out = course.evaluated(lambda: judge(model, objective, material, trial.mirror))
            if trial.enough is not None and held_out.accuracy >= trial.enough:
                done = step
                break

        logits = objective.logits(model(pixels))
        logits.retain_grad()
        loss = objective(logits, labels).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        probes.measure(logits, labels, loss)

        if evaluating or (log_every is not None and step % log_every == 0):
            logged(step)
        if evaluating:
            watch.point(course.point(step, held_out), steps)

        optimiser.step()
        schedule.step()
    else:
        held_out = course.evaluated(lambda: judge(model, objective, material, trial.mirror))

    if probes.steps:
        logged(done - 1)
    watch.point(course.point(done, held_out), steps)
    test_loss, test_said = math.nan, None
    if trial.test:
        test = material.test.once(trial.key())
        test_loss, test_said = predictions(
            model, objective, test, material.normalise, mirror=trial.mirror
        )
    outcome = Outcome(
        trial=trial,
        points=tuple(course.points),
        moved=distance(beginning, list(model.parameters())),
        parameters=sum(p.numel() for p in beginning),
        counts=material.counts,
        validation=held_out.said,
        test=test_said,
        pairs=torch.cat(pairs).cpu().numpy() if pairs else None,
        seconds=course.points[-1].seconds,
        test_loss=test_loss,
    )
    return outcome, model


class Judged(NamedTuple):
    """What a network is worth on the validation images: its mean loss, NaN where there are none,
    and what it says of them."""

    loss: float
    said: Predictions | None

    @property
    def accuracy(self) -> float:
        """The share of right ones, NaN where there are no images or the network has diverged."""
        return math.nan if self.said is None else self.said.accuracy


def judge(model: nn.Module, objective: Objective, material: Material, mirror: bool) -> Judged:
    """The network as it is now, on the validation images."""
    if material.validation is None:
        return Judged(math.nan, None)
    return Judged(
        *predictions(
            model, objective, material.validation, material.normalise, mirror=mirror
        )
    )


@torch.no_grad()
def predictions(
    model: nn.Module,
    objective: Objective,
    split: Pixels,
    normalise: Normalisation,
    *,
    mirror: bool = False,
) -> tuple[float, Predictions]:
    """The mean loss over a split, and what the model says of each of its images, with `mirror` by
    the mean of its outputs for the image and its mirror image. The model is in training mode
    afterwards."""
    model.eval()
    outputs, losses = [], []
    for pixels, labels in evaluation_batches(split, normalise):
        output = (model(pixels) + model(pixels.flip(3))) / 2 if mirror else model(pixels)
        logits = objective.logits(output)
        outputs.append(logits)
        losses.append(objective(logits, labels).sum())
    model.train()
    logits = torch.cat(outputs)
    said = Predictions(
        outputs=logits.reshape(len(logits), -1).cpu().numpy(),
        probabilities=objective.probabilities(logits).cpu().numpy(),
        predicted=objective.predicted(logits).cpu().numpy(),
        labels=split.labels.cpu().numpy(),
    )
    return float(torch.stack(losses).sum()) / len(logits), said


@torch.no_grad()
def distance(before: list[Tensor], after: list[nn.Parameter]) -> float:
    """How far apart two sets of parameters are, as one Euclidean distance."""
    squares = [(b.double() - a.double()).square().sum() for b, a in zip(before, after, strict=True)]
    return float(torch.stack(squares).sum().sqrt())


class Course:
    """The points of a run as it goes on, and the time of its training: what happens within
    `evaluated` does not count."""

    def __init__(self, per_epoch: int, device: torch.device) -> None:
        self.per_epoch, self.device = per_epoch, device
        self.points: list[Point] = []
        # That of the last point, then those since.
        self.windows: list[Window] = []
        self.paused = self.seconds = 0.0
        self.began = time.perf_counter()

    def evaluated(self, work: Callable[[], Judged]) -> Judged:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        since = time.perf_counter()
        self.seconds = since - self.began - self.paused
        result = work()
        self.paused += time.perf_counter() - since
        return result

    def point(self, step: int, judged: Judged) -> Point:
        """An evaluation after `step` steps, with what the windows since the last have seen, and
        the time that `evaluated` was asked at."""
        # Where every step is evaluated the last point has none of its own: it repeats the one
        # before.
        window = merged(self.windows[1:] or self.windows) if self.windows else None
        self.windows = [window] if window else []
        point = Point(
            step=step,
            epoch=step / self.per_epoch,
            train_loss=window.loss if window else math.nan,
            train_accuracy=window.accuracy if window else math.nan,
            validation_loss=judged.loss,
            validation_accuracy=judged.accuracy,
            logit_mean_abs=window.logit_mean_abs if window else math.nan,
            logit_when_wrong=window.logit_when_wrong if window else math.nan,
            vanished_fraction=window.vanished_fraction if window else math.nan,
            parameter_norm=window.parameter_norm if window else math.nan,
            seconds=self.seconds,
        )
        self.points.append(point)
        return point
