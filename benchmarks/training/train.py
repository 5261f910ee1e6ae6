"""Train one run: one loss, one seed, from random weights to its predictions on the test images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import islice

import torch
from torch import Tensor, nn

from lossbench.benchmarks.config import REFERENCE, RunConfig, TrainingConfig
from lossbench.benchmarks.data.batches import DeviceDataset, DeviceSplit, TrainingBatches
from lossbench.benchmarks.records.gradient_stats import GradientStats
from lossbench.benchmarks.records.results import Evaluation

from .allocator import keep_freed_memory
from .checkpoint import State
from .curvature import BATCHES, Curvature, measure_curvature
from .distributed import rank_slice, world_size
from .evaluate import evaluate
from .gradient_stats import GradientMeter
from .history import LearningCurve, Stopwatch
from .network import build_forward, build_model, is_builtin, place_model
from .objective import Objective
from .optimizer import SCHEDULES, build_optimizer, load_optimizer_state, set_learning_rate
from .result import Predictions, RunResult
from .step import CudaGraph, side_stream

FLIPPED_RATE = 0.1
"""Learning rate with which flipped labels are learned: the peak of a one-cycle schedule of SGD."""

EXAMPLES_PER_INTERVAL = 256
"""Training examples recorded per logging interval, if any are."""


class Callback:
    """Hooks that a `Trainer` calls. This class does nothing in any of them."""

    def on_step_start(self, trainer: Trainer) -> None:
        """Handle the beginning of a step. If it sets `trainer.done`, the step is not taken."""

    def on_gradient_stats(self, trainer: Trainer, stats: GradientStats) -> None:
        """Handle the statistics of a logging interval; its last step was
        `trainer.global_step - 1`, counted from 0."""

    def on_evaluation(self, trainer: Trainer, evaluation: Evaluation) -> None:
        """Handle an evaluation on the validation images."""

    def on_step_end(self, trainer: Trainer) -> None:
        """Handle the end of a step. Only within this hook is `trainer.state_dict()` a checkpoint,
        and only if `trainer.is_resumable`."""

    def on_train_end(self, trainer: Trainer) -> None:
        """Handle the end of the last step."""

    def on_result(self, trainer: Trainer, result: RunResult) -> None:
        """Handle the result of the finished run."""


def train(
    config: RunConfig,
    dataset: DeviceDataset,
    callbacks: Sequence[Callback] = (),
    log_every: int | None = None,
    state: State | None = None,
) -> RunResult:
    """Train one run to its end.

    Args:
        config: the run.
        dataset: images of this run, prepared on the device to train on.
        callbacks: their hooks are called in this order.
        log_every: steps per logging interval; None: from evaluation to evaluation.
        state: a checkpoint of the same run to resume from. On the same machine with as many
            threads the result is then bit-equal to that of an uninterrupted run, but for its
            times.

    Returns:
        The evaluations and predictions.

    Raises:
        RuntimeError: the run was evaluated on the test images before.
    """
    with side_stream(dataset.normalise.mean.device)():
        return fit(Trainer(config, dataset, callbacks, log_every, state))


def fit(trainer: Trainer) -> RunResult:
    """Take all remaining steps and return the result of `Trainer.finish`."""
    while not trainer.done:
        trainer.step()
    return trainer.finish()


def train_flipped(config: RunConfig, dataset: DeviceDataset) -> nn.Module:
    """Return the network of a seed after `flipped_epochs` epochs on flipped labels.

    Cross-entropy trains it, whatever the loss of the run, so that every loss starts from the same.

    Args:
        config: the run.
        dataset: images of this run, of two classes.
    """
    labels = 1 - dataset.train.labels
    flipped = replace(dataset, train=dataset.train._replace(labels=labels), validation=None)
    before = RunConfig(
        REFERENCE,
        config.seed,
        FLIPPED_RATE,
        initial_probability=config.initial_probability,
        **{f.name: getattr(config, f.name) for f in fields(TrainingConfig)}
        | {"epochs": config.flipped_epochs, "evaluations": 1}
        | {"optimizer": "sgd", "schedule": "one-cycle"},
    )
    trainer = Trainer(before, flipped)
    fit(trainer)
    return trainer.model


def training_batches(config: RunConfig, dataset: DeviceDataset) -> TrainingBatches:
    """Return the batches that a run trains on."""
    return TrainingBatches(
        dataset.train,
        dataset.normalise,
        size=config.batch_size,
        epochs=config.epochs,
        seed=config.seed,
        augmentation=config.augmentation,
    )


class Trainer:
    """A run in training.

    Call `step` until `done`, then `finish`. A step leaves its work on the device. Its statistics
    are read, and its hooks called, at the start of the next `step` or of `finish`: one step late,
    so that the host does not wait for the device, and several trainers can take steps in turn.

    Args:
        config: the run.
        dataset: images of this run, prepared on the device to train on.
        callbacks: their hooks are called in this order, after those of `Validation`.
        log_every: steps per logging interval; None: from evaluation to evaluation.
        state: a checkpoint of the same run to resume from.

    Attributes:
        global_step: steps taken so far.
        total_steps: steps of the whole run.
        done: whether no step is left; a callback may set it.
        hooks_due: whether the hooks of the last step have yet to be called.
        model: the network.
    """

    def __init__(
        self,
        config: RunConfig,
        dataset: DeviceDataset,
        callbacks: Sequence[Callback] = (),
        log_every: int | None = None,
        state: State | None = None,
    ) -> None:
        self.config, self.dataset, self.log_every = config, dataset, log_every
        self.validation = Validation()
        self.callbacks = (self.validation, *callbacks)
        self.stopwatch = Stopwatch()
        self.device = dataset.normalise.mean.device
        if self.device.type == "cpu":
            keep_freed_memory()
        self.objective = Objective(
            config.loss, len(dataset.classes), config.loss_arguments, kernels=config.kernels
        )
        with self.stopwatch:
            self.model = self._initial_model()
        self.loader = training_batches(config, dataset)
        self.initial_parameters = [p.detach().clone() for p in self.model.parameters()]
        self.curvature: Curvature | None = None
        if config.record_curvature:
            with self.stopwatch:
                batches = islice(self.loader, min(BATCHES, self.loader.per_epoch))
                self.curvature = measure_curvature(self.model, self.objective, batches)
        self.forward = build_forward(config, self.model)
        self.optimizer = build_optimizer(config, self.model)
        self.gradient_meter = GradientMeter(self.model, self.objective)
        single = self.device.type == "cuda" and world_size() == 1
        graphed = single and config.cuda_graphs and is_builtin(config)
        self.graph = CudaGraph() if graphed else None
        self.examples: list[Tensor] = []
        self.global_step, self.total_steps, self.hooks_due = 0, len(self.loader), False
        if state is not None:
            self.load_state_dict(state)
        self.batches = self.loader.from_step(self.global_step, rank_slice(self.loader.size))
        self.done = self.global_step == self.total_steps

    def _initial_model(self) -> nn.Module:
        """Return the network that the run starts with, the same for every loss."""
        if self.config.flipped_epochs:
            return train_flipped(self.config, self.dataset)
        side = self.dataset.train.images.shape[1]
        model = build_model(self.config, self.objective, side)
        return place_model(model, self.config, side, self.device)

    def step(self) -> None:
        """Call the hooks that are due from the last step, and take the next one."""
        with self.stopwatch:
            self._call_due_hooks()
            for callback in self.callbacks:
                callback.on_step_start(self)
            if self.done:
                return
            batch = next(self.batches)
            fraction = SCHEDULES[self.config.schedule](self.global_step, self.total_steps)
            set_learning_rate(self.optimizer, self.config.learning_rate * fraction)
            measured = (
                self.graph(self._forward_backward, *batch)
                if self.graph
                else self._forward_backward(*batch)
            )
            self.gradient_meter.append(measured)
            self.global_step += 1
            self.done, self.hooks_due = self.global_step == self.total_steps, True

    def _forward_backward(self, labels: Tensor, rows: Tensor, *drawn: Tensor) -> Tensor:
        """Update the parameters on one batch and return the step's gradient statistics."""
        images = self.loader.augmentation.batch(self.loader.images, rows, *drawn)
        outputs = self.forward(self.loader.normalise(images))
        outputs.retain_grad()
        loss = self.objective(outputs, labels).mean()
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        measured = self.gradient_meter.measure(outputs, labels, loss)
        self.optimizer.step()
        return measured

    def _call_due_hooks(self) -> None:
        """Read the statistics of the last step and call its hooks, unless that was done."""
        if not self.hooks_due:
            return
        self.hooks_due = False
        if self.log_every is not None and (self.global_step - 1) % self.log_every == 0:
            self.log_gradient_stats()
        for callback in self.callbacks:
            callback.on_step_end(self)

    @property
    def is_resumable(self) -> bool:
        """False if `state_dict` would lack what other ranks know of the steps since the last log:
        each has the statistics of its own examples."""
        return world_size() == 1 or not self.gradient_meter.steps

    def log_gradient_stats(self) -> None:
        """Pass the statistics of the steps since the last call, if there are any, to the
        callbacks."""
        if not self.gradient_meter.steps:
            return
        if self.config.record_examples:
            step = self.global_step - 1
            self.examples.append(self.gradient_meter.examples(step, EXAMPLES_PER_INTERVAL))
        stats = self.gradient_meter.compute()
        for callback in self.callbacks:
            callback.on_gradient_stats(self, stats)

    def evaluate(self, split: DeviceSplit) -> tuple[float, Predictions]:
        """Return the mean loss over a split, and the predictions."""
        views = self.config.test_time_augmentation
        return evaluate(self.model, self.objective, split, self.dataset.normalise, views)

    def finish(self) -> RunResult:
        """Return the result of the trained network, on the test images too if the run asks for
        that.

        Raises:
            RuntimeError: the run was evaluated on the test images before.
        """
        with self.stopwatch:
            self._call_due_hooks()
            for callback in self.callbacks:
                callback.on_train_end(self)
        test_loss, test = math.nan, None
        if self.config.test:
            test_loss, test = self.evaluate(self.dataset.test.once(self.config.key()))
        evaluations = tuple(self.validation.curve.evaluations)
        result = RunResult(
            config=self.config,
            evaluations=evaluations,
            parameter_distance=distance(self.initial_parameters, list(self.model.parameters())),
            parameters=sum(p.numel() for p in self.initial_parameters),
            counts=self.dataset.counts,
            validation=self.validation.predictions,
            test=test,
            examples=torch.cat(self.examples).numpy() if self.examples else None,
            seconds=evaluations[-1].seconds,
            curvature=self.curvature,
            test_loss=test_loss,
        )
        for callback in self.callbacks:
            callback.on_result(self, result)
        return result

    def state_dict(self) -> State:
        """Return a checkpoint: all that later steps depend on, and the record of earlier ones."""
        on_cuda = self.device.type == "cuda"
        return {
            "global_step": self.global_step,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state(self.device) if on_cuda else None,
            "gradient_steps": list(self.gradient_meter.steps),
            "curve": self.validation.curve.state_dict(),
            "examples": self.examples,
            "seconds": self.stopwatch.seconds,
        }

    def load_state_dict(self, state: State) -> None:
        """Resume from what `state_dict` returned for the same run."""
        self.global_step = state["global_step"]
        self.model.load_state_dict(state["model"])
        load_optimizer_state(self.optimizer, state["optimizer"])
        torch.set_rng_state(state["rng"])
        if self.device.type == "cuda" and state["cuda_rng"] is not None:
            torch.cuda.set_rng_state(state["cuda_rng"], self.device)
        self.gradient_meter.steps = [step.to(self.device) for step in state["gradient_steps"]]
        self.validation.curve.load_state_dict(state["curve"])
        self.examples = list(state["examples"])
        self.stopwatch.seconds = state["seconds"]


class Validation(Callback):
    """Evaluate on the validation images, `evaluations` times per epoch and at the end.

    An evaluation is complete, and `on_evaluation` is called, when the statistics of the step after
    it are known. The training ends early at the accuracy `stop_at_accuracy`.

    Attributes:
        curve: the evaluations so far.
        predictions: those of the last one; None without validation images.
    """

    def __init__(self) -> None:
        self.curve = LearningCurve()
        self.predictions: Predictions | None = None
        self.incomplete: Evaluation | None = None

    def on_step_start(self, trainer: Trainer) -> None:
        if is_due(trainer.global_step, trainer.loader.per_epoch, trainer.config.evaluations):
            self._evaluate(trainer)

    def on_gradient_stats(self, trainer: Trainer, stats: GradientStats) -> None:  # noqa: ARG002
        self.curve.stats.append(stats)

    def on_step_end(self, trainer: Trainer) -> None:
        if self.incomplete is not None:
            self._complete(trainer, self.incomplete)

    def on_train_end(self, trainer: Trainer) -> None:
        self._complete(trainer, self.incomplete or self._evaluate(trainer))

    def _evaluate(self, trainer: Trainer) -> Evaluation:
        if trainer.device.type == "cuda":
            # Only this stream: other runs train on theirs.
            torch.cuda.current_stream(trainer.device).synchronize()
        config, split = trainer.config, trainer.dataset.validation
        seconds = trainer.stopwatch.seconds
        loss, accuracy = math.nan, math.nan
        if split is not None:
            with trainer.stopwatch.paused():
                loss, self.predictions = trainer.evaluate(split)
            accuracy = self.predictions.accuracy
        enough = config.stop_at_accuracy
        trainer.done |= enough is not None and accuracy >= enough
        self.incomplete = Evaluation(
            loss=config.loss,
            seed=config.seed,
            epoch=trainer.global_step / trainer.loader.per_epoch,
            step=trainer.global_step,
            validation_loss=loss,
            validation_accuracy=accuracy,
            seconds=seconds,
        )
        return self.incomplete

    def _complete(self, trainer: Trainer, evaluation: Evaluation) -> None:
        trainer.log_gradient_stats()
        self.incomplete = None
        evaluation = self.curve.add(evaluation)
        for callback in trainer.callbacks:
            callback.on_evaluation(trainer, evaluation)


def is_due(step: int, per_epoch: int, evaluations: int) -> bool:
    """Return whether an evaluation comes before a step: `evaluations` per epoch, evenly spaced, the
    first of them before the epoch's first step."""
    step %= per_epoch
    number = -(-step * evaluations // per_epoch)
    return number < evaluations and per_epoch * number // evaluations == step


@torch.no_grad()
def distance(before: list[Tensor], after: list[nn.Parameter]) -> float:
    """Return the Euclidean distance between two sets of parameters."""
    squares = [(b.double() - a.double()).square().sum() for b, a in zip(before, after, strict=True)]
    return float(torch.stack(squares).sum().sqrt())
