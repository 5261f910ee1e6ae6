"""Train one run: one loss, one seed, from random weights to its predictions on the test images."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lossbench import models
from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.data.batches import DeviceDataset, DeviceSplit, TrainingBatches
from lossbench.benchmarks.records.gradient_stats import GradientStats
from lossbench.benchmarks.records.results import Evaluation
from lossbench.losses import registry

from .checkpoint import State
from .distributed import rank_slice, world_size, wrap_ddp
from .evaluate import evaluate, evaluate_test_once
from .gradient_stats import GradientMeter
from .history import LearningCurve, Stopwatch
from .memory import keep_freed_memory
from .objective import Objective
from .result import Predictions, RunResult
from .step import CudaGraph, build_optimizer, call, one_cycle, set_learning_rate, side_stream

EXAMPLES_PER_INTERVAL = 256
"""Training examples recorded per logging interval, if any are."""


class Callback:
    """Hooks that a `Trainer` calls. This class does nothing in any of them."""

    def on_gradient_stats(self, trainer: Trainer, stats: GradientStats) -> None:
        """Handle the statistics of a logging interval; its last step was
        `trainer.global_step - 1`, counted from 0."""

    def on_evaluation(self, trainer: Trainer, evaluation: Evaluation) -> None:
        """Handle an evaluation on the validation images."""

    def on_step_end(self, trainer: Trainer) -> None:
        """Handle the end of a step. `trainer.state_dict()` is a checkpoint only within this hook,
        which is left out where a checkpoint would be incomplete."""

    def on_train_end(self, trainer: Trainer, result: RunResult) -> None:
        """Handle the result of the finished run."""


def train(
    config: RunConfig,
    dataset: DeviceDataset,
    callback: Callback | None = None,
    log_every: int | None = None,
    state: State | None = None,
) -> RunResult:
    """Train one run to its end.

    Args:
        config: the run.
        dataset: images of this run, prepared on the device to train on.
        callback: hooks to call.
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
        return fit(Trainer(config, dataset, callback, log_every, state))


def fit(trainer: Trainer) -> RunResult:
    """Take all remaining steps."""
    while not trainer.done:
        trainer.step()
    return trainer.finish()


class Trainer:
    """A run in training.

    Call `step` until `done`, then `finish`. Several trainers can take their steps in turn: each
    step leaves work on the device, and its results are read in the next one.

    Args:
        config: the run.
        dataset: images of this run, prepared on the device to train on.
        callback: hooks to call.
        log_every: steps per logging interval; None: from evaluation to evaluation.
        state: a checkpoint of the same run to resume from.

    Attributes:
        global_step: steps taken so far.
        total_steps: steps of the whole run.
        done: whether no step is left.
        model: the network.
    """

    def __init__(
        self,
        config: RunConfig,
        dataset: DeviceDataset,
        callback: Callback | None = None,
        log_every: int | None = None,
        state: State | None = None,
    ) -> None:
        self.config, self.dataset = config, dataset
        self.callback, self.log_every = callback or Callback(), log_every
        self.stopwatch = Stopwatch()
        self._build()
        if state is not None:
            self.load_state_dict(state)
        self.batches = self.loader.since(self.global_step, rank_slice(self.loader.size))
        self.done = self.global_step == self.total_steps

    def _build(self) -> None:
        config, dataset = self.config, self.dataset
        self.device = dataset.normalise.mean.device
        if self.device.type == "cpu":
            keep_freed_memory()
        self.objective = Objective(config.loss, len(dataset.classes), config.loss_arguments)
        self.model = build_model(config, self.objective).to(
            self.device,
            memory_format=torch.channels_last if config.channels_last else torch.contiguous_format,  # type: ignore[call-overload]
        )
        self.initial_parameters = [p.detach().clone() for p in self.model.parameters()]
        self.loader = TrainingBatches(
            dataset.train,
            dataset.normalise,
            size=config.batch_size,
            epochs=config.epochs,
            seed=config.seed,
            augmentation=config.augmentation,
        )
        self.forward = build_forward(config, self.model)
        self.optimizer = build_optimizer(config.weight_decay, self.model)
        self.gradient_meter = GradientMeter(self.model, self.objective)
        single = self.device.type == "cuda" and world_size() == 1
        graphed = single and config.cuda_graphs and is_builtin(config)
        self.launch = CudaGraph() if graphed else call
        self.curve = LearningCurve(config.loss, config.seed, self.loader.per_epoch)
        self.examples: list[Tensor] = []
        self.global_step, self.total_steps = 0, len(self.loader)
        self.step_open = False
        self.validation: _Validation | None = None

    def step(self) -> None:
        """Take the next training step; evaluate before it where that is due."""
        with self.stopwatch:
            self._end_step()
            if self._evaluation_due():
                self._validate()
                if self.done:  # accurate enough
                    return
            labels, *inputs = next(self.batches)
            rate = self.config.learning_rate * one_cycle(self.global_step, self.total_steps)
            set_learning_rate(self.optimizer, rate)
            values = self.launch(self._forward_backward, labels, *inputs)
            self.gradient_meter.update(labels, values)
            self.global_step += 1
            self.done, self.step_open = self.global_step == self.total_steps, True

    def _forward_backward(self, labels: Tensor, *inputs: Tensor) -> Tensor:
        """Update the parameters on one batch and return the step's gradient statistics."""
        logits = self.objective.logits(self.forward(self.loader.pixels(*inputs)))
        logits.retain_grad()
        loss = self.objective(logits, labels).mean()
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        values = self.gradient_meter.measure(logits, loss)
        self.optimizer.step()
        return values

    def _end_step(self) -> None:
        """Read the last step's results and call the hooks."""
        if not self.step_open:
            return
        self.step_open = False
        step = self.global_step - 1
        evaluated = self.validation is not None
        if evaluated or (self.log_every is not None and step % self.log_every == 0):
            self._log()
        if evaluated:
            self._add_evaluation(step)
        # Each rank knows the statistics of its own examples only: none may be pending.
        if world_size() == 1 or not self.gradient_meter.steps:
            self.callback.on_step_end(self)

    def _evaluation_due(self) -> bool:
        """Tell whether an evaluation begins here: `evaluations` per epoch, evenly spaced."""
        per_epoch, evaluations = self.loader.per_epoch, self.config.evaluations
        step = self.global_step % per_epoch
        number = -(-step * evaluations // per_epoch)
        return number < evaluations and per_epoch * number // evaluations == step

    def _validate(self) -> None:
        """Evaluate on the validation images; the run is done if it is accurate enough."""
        if self.device.type == "cuda":
            # Only this stream: other runs train on theirs.
            torch.cuda.current_stream(self.device).synchronize()
        seconds, split = self.stopwatch.seconds, self.dataset.validation
        with self.stopwatch.paused():
            loss, predictions = (math.nan, None) if split is None else self._evaluate(split)
        self.validation = _Validation(seconds, loss, predictions)
        enough = self.config.stop_at_accuracy
        self.done |= enough is not None and self.validation.accuracy >= enough

    def _evaluate(self, split: DeviceSplit) -> tuple[float, Predictions]:
        views = self.config.test_time_augmentation
        return evaluate(self.model, self.objective, split, self.dataset.normalise, views)

    def _log(self) -> None:
        if self.config.record_examples:
            step = self.global_step - 1
            self.examples.append(self.gradient_meter.examples(step, EXAMPLES_PER_INTERVAL))
        stats = self.gradient_meter.compute()
        self.gradient_meter.reset()
        self.curve.stats.append(stats)
        self.callback.on_gradient_stats(self, stats)

    def _add_evaluation(self, step: int) -> None:
        """Add the last evaluation to the curve, when the statistics of its steps are known."""
        assert self.validation is not None
        seconds, loss, _ = self.validation
        evaluation = self.curve.add(step, loss, self.validation.accuracy, seconds)
        self.validation = None
        self.callback.on_evaluation(self, evaluation)

    def finish(self) -> RunResult:
        """Evaluate the trained network, on the test images too if the run asks for that.

        Raises:
            RuntimeError: the run was evaluated on the test images before.
        """
        with self.stopwatch:
            self._end_step()
            if self.validation is None:
                self._validate()
            assert self.validation is not None
            predictions = self.validation.predictions
            if self.gradient_meter.steps:
                self._log()
            self._add_evaluation(self.global_step)
        test_loss, test = math.nan, None
        if self.config.test:
            test_loss, test = evaluate_test_once(
                self.model,
                self.objective,
                self.dataset,
                self.config.key(),
                self.config.test_time_augmentation,
            )
        result = RunResult(
            config=self.config,
            evaluations=tuple(self.curve.evaluations),
            parameter_distance=distance(self.initial_parameters, list(self.model.parameters())),
            parameters=sum(p.numel() for p in self.initial_parameters),
            counts=self.dataset.counts,
            validation=predictions,
            test=test,
            examples=torch.cat(self.examples).numpy() if self.examples else None,
            seconds=self.curve.evaluations[-1].seconds,
            test_loss=test_loss,
        )
        self.callback.on_train_end(self, result)
        return result

    def state_dict(self) -> State:
        """Return a checkpoint: all that later steps depend on, and the record of earlier ones."""
        return {
            "global_step": self.global_step,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict()["state"],
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state(self.device)
            if self.device.type == "cuda"
            else None,
            "gradient_meter": self.gradient_meter.state_dict(),
            "curve": self.curve.state_dict(),
            "examples": self.examples,
            "seconds": self.stopwatch.seconds,
        }

    def load_state_dict(self, state: State) -> None:
        """Resume from what `state_dict` returned for the same run."""
        self.global_step = state["global_step"]
        self.model.load_state_dict(state["model"])
        # The device decides the settings, and it may be another one than before.
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state["optimizer"], "param_groups": groups})
        torch.set_rng_state(state["rng"])
        if self.device.type == "cuda" and state["cuda_rng"] is not None:
            torch.cuda.set_rng_state(state["cuda_rng"], self.device)
        self.gradient_meter.load_state_dict(state["gradient_meter"])
        self.curve.load_state_dict(state["curve"])
        self.examples = list(state["examples"])
        self.stopwatch.seconds = state["seconds"]


class _Validation(NamedTuple):
    """An evaluation that waits for the statistics of its steps; NaN without validation images."""

    seconds: float
    loss: float
    predictions: Predictions | None

    @property
    def accuracy(self) -> float:
        return math.nan if self.predictions is None else self.predictions.accuracy


def build_model(config: RunConfig, objective: Objective) -> nn.Module:
    """Return the initial model of a seed: the same function of the image for every loss."""
    columns = 1 if objective.num_classes == 2 else objective.num_classes
    torch.manual_seed(config.seed)
    model = models.build(config.model, num_outputs=columns, width=config.width)
    if config.initial_probability is not None:
        models.set_initial_probability(model, config.initial_probability)
    if objective.num_outputs != columns:
        models.split_head(model)
    # Splitting drew weights. Whatever a model draws in training is paired as well.
    torch.manual_seed(config.seed)
    return model


def build_forward(config: RunConfig, model: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return the forward pass for training: data-parallel, compiled, in bfloat16 as configured.

    Its outputs are float32.
    """
    forward = wrap_ddp(model)
    if config.compile:
        forward = torch.compile(forward)
    if config.precision == "float32":
        return forward
    device = next(model.parameters()).device.type

    def forward_autocast(pixels: Tensor) -> Tensor:
        with torch.autocast(device, torch.bfloat16):
            outputs = forward(pixels)
        return outputs.float()

    return forward_autocast


def is_builtin(config: RunConfig) -> bool:
    """Tell whether loss and model come with lossbench.

    Those draw no random numbers in training and decide nothing on the host.
    """
    package = registry.entry(config.loss).module.__module__.partition(".")[0]
    return config.model in models.names() and package == registry.__name__.partition(".")[0]


@torch.no_grad()
def distance(before: list[Tensor], after: list[nn.Parameter]) -> float:
    """Return the Euclidean distance between two sets of parameters."""
    squares = [(b.double() - a.double()).square().sum() for b, a in zip(before, after, strict=True)]
    return float(torch.stack(squares).sum().sqrt())
