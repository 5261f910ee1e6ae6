"""One run: one loss, one seed, from random weights to what came of it.

Reads top to bottom: the model, the optimiser, the steps with their probes, the evaluations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator

import torch
from torch import Tensor, nn

from lossbench import models
from lossbench.benchmarks.data.batches import DeviceDataset, DeviceSplit, TrainingBatches
from lossbench.benchmarks.records.gradient_stats import GradientStats
from lossbench.losses import registry

from .checkpoint import State
from .distributed import rank_slice, world_size, wrap_ddp
from .evaluate import ValidationResult, evaluate
from .executors.cuda_streams import Task, to_the_end
from .gradient_probes import GradientProbes
from .history import LearningCurve
from .memory import keep_freed_memory
from .objective import Objective
from .result import Point, Predictions, RunConfig, RunResult
from .step import GraphedStep, Step, build_optimizer, one_cycle, set_learning_rate

PAIRS = 256
"""Training examples of a logging window whose margin and gradient are kept, if any are."""


class Callback:
    """What is told of a run while it goes on. This one does nothing with it."""

    def window(self, step: int, steps: int, window: GradientStats) -> None:
        """A logging window has ended with `step` of `steps`."""

    def point(self, point: Point, steps: int) -> None:
        """The validation images have been evaluated."""

    def stepped(self, state: Callable[[], State]) -> None:
        """A step is done; `state` gives what a training could go on from here with."""


def build_model(trial: RunConfig, objective: Objective) -> nn.Module:
    """The model of a seed: for every loss the same function of the image."""
    columns = 1 if objective.num_classes == 2 else objective.num_classes
    torch.manual_seed(trial.seed)
    model = models.build(trial.model, num_outputs=columns, width=trial.width)
    if trial.begin_at is not None:
        models.set_initial_probability(model, trial.begin_at)
    if objective.num_outputs != columns:
        models.split_head(model)
    # Splitting has drawn weights; whatever a model draws while it trains is paired as well.
    torch.manual_seed(trial.seed)
    return model


def is_builtin(trial: RunConfig) -> bool:
    """Whether loss and model are among those that come with lossbench, none of which draws at
    random or decides anything on the host while it trains."""
    package = registry.entry(trial.loss).module.__module__.partition(".")[0]
    return trial.model in models.names() and package == registry.__name__.partition(".")[0]


class Training:
    """A network in training, from its first step or from a state on.

    Args: those of `train`.
    """

    def __init__(
        self, trial: RunConfig, material: DeviceDataset, watch: Callback, log_every: int | None
    ) -> None:
        self.trial, self.material, self.watch = trial, material, watch
        self.log_every = log_every
        self.objective = Objective(trial.loss, len(material.classes), trial.settings)
        self.device = material.normalise.mean.device
        if self.device.type == "cpu":
            keep_freed_memory()
        self.model = build_model(trial, self.objective).to(
            self.device,
            memory_format=torch.channels_last if trial.channels_last else torch.contiguous_format,  # type: ignore[call-overload]
        )
        self.beginning = [p.detach().clone() for p in self.model.parameters()]
        self.batches = TrainingBatches(
            material.train,
            material.normalise,
            size=trial.batch_size,
            epochs=trial.epochs,
            seed=trial.seed,
            augmentation=trial.augmentation,
        )
        self.share = rank_slice(self.batches.size)
        self.steps = len(self.batches)
        self.optimiser = build_optimizer(trial.weight_decay, self.model)
        self.probes = GradientProbes(self.model, self.objective)
        alone = self.device.type == "cuda" and world_size() == 1
        self.step = (GraphedStep if alone and trial.cuda_graphs and is_builtin(trial) else Step)(
            self.batches.pixels,
            outputs_of(trial, self.model),
            self.objective,
            self.optimiser,
            self.probes,
        )
        self.course = LearningCurve(self.batches.per_epoch, self.device)
        self.pairs: list[Tensor] = []
        self.done = 0

    def state(self) -> State:
        """All that the steps from here on depend on, and what is known of those before."""
        return {
            "done": self.done,
            "model": self.model.state_dict(),
            "momentum": self.optimiser.state_dict()["state"],
            "random": torch.get_rng_state(),
            "random_on_device": torch.cuda.get_rng_state(self.device)
            if self.device.type == "cuda"
            else None,
            "probes": self.probes.state(),
            "course": self.course.state(),
            "pairs": self.pairs,
        }

    def restore(self, state: State) -> None:
        """Go on from what `state` gave, of the same trial."""
        self.done = state["done"]
        self.model.load_state_dict(state["model"])
        # How it computes is settled by the device, which may be another one than then.
        settings = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": state["momentum"], "param_groups": settings})
        torch.set_rng_state(state["random"])
        if self.device.type == "cuda" and state["random_on_device"] is not None:
            torch.cuda.set_rng_state(state["random_on_device"], self.device)
        self.probes.restore(state["probes"])
        self.course.restore(state["course"])
        self.pairs = list(state["pairs"])

    def run(self) -> Generator[None, None, RunResult]:
        """Train to the end, and ask about the test images if the trial says so. Stops where the
        device has been given work to do."""
        held_out = yield from self._steps()
        if self.probes.steps:
            self._logged(self.done - 1)
        self.watch.point(self.course.point(self.done, held_out), self.steps)
        test_loss, test_said = math.nan, None
        if self.trial.test:
            test = self.material.test.once(self.trial.key())
            test_loss, test_said = self._predictions(test)
        return RunResult(
            trial=self.trial,
            points=tuple(self.course.points),
            moved=distance(self.beginning, list(self.model.parameters())),
            parameters=sum(p.numel() for p in self.beginning),
            counts=self.material.counts,
            validation=held_out.said,
            test=test_said,
            pairs=torch.cat(self.pairs).numpy() if self.pairs else None,
            seconds=self.course.points[-1].seconds,
            test_loss=test_loss,
        )

    def _steps(self) -> Generator[None, None, ValidationResult]:
        """Take the steps that are left; what the network is worth behind the last of them."""
        per_epoch, evaluations = self.batches.per_epoch, self.trial.evaluations
        marks = {per_epoch * k // evaluations for k in range(evaluations)}
        batches = self.batches.since(self.done, self.share)
        for number, batch in enumerate(batches, self.done):
            evaluating = number % per_epoch in marks
            if evaluating:
                held_out = self.course.evaluated(self._judge)
                if self.trial.enough is not None and held_out.accuracy >= self.trial.enough:
                    return held_out
            set_learning_rate(
                self.optimiser, self.trial.learning_rate * one_cycle(number, self.steps)
            )
            self.step(*batch)
            self.done = number + 1
            with self.course.away():
                yield
            if evaluating or (self.log_every is not None and number % self.log_every == 0):
                self._logged(number)
            if evaluating:
                self.watch.point(self.course.point(number, held_out), self.steps)
            # A state knows of the measurements of one process: of several it holds none.
            if world_size() == 1 or not self.probes.steps:
                self.watch.stepped(self.state)
        return self.course.evaluated(self._judge)

    def _logged(self, step: int) -> None:
        if self.trial.pairs:
            self.pairs.append(self.probes.pairs(step, PAIRS))
        window = self.probes.read()
        self.course.windows.append(window)
        self.watch.window(step, self.steps, window)

    def _judge(self) -> ValidationResult:
        """The network as it is now, on the validation images."""
        if self.material.validation is None:
            return ValidationResult(math.nan, None)
        return ValidationResult(*self._predictions(self.material.validation))

    def _predictions(self, split: DeviceSplit) -> tuple[float, Predictions]:
        return evaluate(
            self.model,
            self.objective,
            split,
            self.material.normalise,
            self.trial.test_time_augmentation,
        )


def training(
    trial: RunConfig,
    material: DeviceDataset,
    watch: Callback | None = None,
    log_every: int | None = None,
    state: State | None = None,
) -> Task[tuple[RunResult, nn.Module]]:
    """Train one network; what came of it, and the network.

    Args:
        material: as `prepare` gives it for this trial, on the device to train on.
        watch: is told of the run as it goes on.
        log_every: steps in a logging window; None: from evaluation to evaluation.
        state: where to go on from, as `watch` was given it by a training of the same trial. The
            outcome then is, bit for bit, that of a training without a break, on the same machine
            with as many threads; but for its seconds.

    Raises RuntimeError if the trial asks for test images that it has been given before.
    """
    network = Training(trial, material, watch or Callback(), log_every)
    if state is not None:
        network.restore(state)
    outcome = yield from network.run()
    return outcome, network.model


def train(
    trial: RunConfig,
    material: DeviceDataset,
    watch: Callback | None = None,
    log_every: int | None = None,
    state: State | None = None,
) -> tuple[RunResult, nn.Module]:
    """`training`, from its beginning to its end."""
    task = training(trial, material, watch, log_every, state)
    return to_the_end(task, material.normalise.mean.device)


def outputs_of(trial: RunConfig, model: nn.Module) -> Callable[[Tensor], Tensor]:
    """What computes the outputs of `model` in training, float32, as the trial wants it computed."""
    forward = wrap_ddp(model)
    if trial.compile:
        forward = torch.compile(forward)
    if trial.precision == "float32":
        return forward
    device = next(model.parameters()).device.type

    def narrow(pixels: Tensor) -> Tensor:
        with torch.autocast(device, torch.bfloat16):
            outputs = forward(pixels)
        return outputs.float()

    return narrow


@torch.no_grad()
def distance(before: list[Tensor], after: list[nn.Parameter]) -> float:
    """How far apart two sets of parameters are, as one Euclidean distance."""
    squares = [(b.double() - a.double()).square().sum() for b, a in zip(before, after, strict=True)]
    return float(torch.stack(squares).sum().sqrt())
