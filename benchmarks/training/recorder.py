"""Record a run: its configuration, event file, rows of results.csv, predictions and weights."""

from __future__ import annotations

import io
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

import torch

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.errors import UserError, one_line
from lossbench.benchmarks.records.events import EventFile
from lossbench.benchmarks.records.experiment import SYNTHETIC_MARK
from lossbench.benchmarks.records.files import (
    lock_directory,
    make_directory,
    remove_scratch,
    write_arrays,
    write_atomically,
    write_json,
)
from lossbench.benchmarks.records.gradient_stats import GradientStats
from lossbench.benchmarks.records.results import (
    FAILURE,
    RESULTS,
    WARNINGS,
    Evaluation,
    append_row,
    run_directory,
)

from . import checkpoint
from .checkpoint import CHECKPOINT_FILE, CheckpointError, State
from .distributed import any_rank, broadcast
from .gradient_warnings import GradientWarnings
from .plan import Plan
from .result import RunResult
from .step import side_stream
from .train import Callback, Trainer, fit


class RunInterruptedError(Exception):
    """Raised when a run was asked to stop and has saved its checkpoint."""


class RunFailedError(Exception):
    """Raised when a single run fails, with one line; the experiment continues."""


class Monitor(Protocol):
    """Observer of the runs of an experiment, which also decides when they stop."""

    def should_stop(self) -> bool:
        """Tell whether runs are to save their state and stop."""

    def update(self, config: RunConfig, fraction: float, stats: GradientStats) -> None:
        """Handle progress: the fraction of the steps taken, and the latest statistics."""

    def say(self, line: str) -> None:
        """Handle a message for the user."""


@contextmanager
def recorded_trainer(plan: Plan, config: RunConfig, monitor: Monitor) -> Iterator[Trainer]:
    """Open the trainer of a run of the plan; it resumes where the run was left and is recorded.

    Args:
        plan: of the experiment.
        config: one of its runs.
        monitor: observer of the run.

    Raises:
        RunInterruptedError: the monitor asked to stop; the state is saved.
        RunFailedError: the loss or the model raised an error, or memory was short.
        UserError: another process is writing the run.
        OSError: a file cannot be written.
    """
    path = run_directory(plan.directory, config.loss, config.seed)
    make_directory(path)
    with lock_directory(path), Recorder(plan, config, monitor) as recorder:
        try:
            state = broadcast(recorder.state)
            yield Trainer(config, plan.dataset, [recorder], plan.config.log_every, state)
        except (RunInterruptedError, OSError, UserError):
            raise
        except Exception as error:  # a loss or model of the user's own may raise anything
            line = recorder.record_failure(error)
            error.__traceback__ = None  # its frames hold the network
            raise RunFailedError(line) from None


def train_recorded(plan: Plan, config: RunConfig, monitor: Monitor) -> RunResult:
    """Train a run of the plan to its end; see `recorded_trainer`."""
    with side_stream(plan.device)(), recorded_trainer(plan, config, monitor) as trainer:
        return fit(trainer)


class Recorder(Callback):
    """Write the files of one run of an experiment. A context manager that closes the event file.

    If the run was begun before, its files are rolled back to its checkpoint. The last row of
    results.csv is written when the run is finished, and only that row has test results.

    Args:
        plan: of the experiment.
        config: one of its runs.
        monitor: observer of the run.

    Attributes:
        state: the checkpoint to resume training from, None for a new run.

    Raises:
        OSError: a file cannot be written; all methods raise it.
    """

    def __init__(self, plan: Plan, config: RunConfig, monitor: Monitor) -> None:
        self.config, self.images, self.monitor = config, plan.images_name, monitor
        self.batch_size = min(config.batch_size, len(plan.dataset.train.labels))
        self.checkpoint_every = plan.config.checkpoint_every
        self.path = run_directory(plan.directory, config.loss, config.seed)
        make_directory(self.path)
        remove_scratch(self.path)
        (self.path / FAILURE).unlink(missing_ok=True)
        classes = len(plan.images.classes)
        self.warnings = GradientWarnings(config.loss, config.seed, classes)
        self.last: Evaluation | None = None
        self.state = self._resume()
        write_json(self.path / "config.json", config.to_json() | {"images": self.images})
        since = self.state["global_step"] if self.state else None
        self.events = EventFile(self.path, since=since)
        if self.images == SYNTHETIC_MARK and self.state is None:
            self.events.note(
                "images", f"# {SYNTHETIC_MARK} IMAGES\nDrawn by code. No number here is a result."
            )
        self.saved = time.monotonic()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.events.close()

    def _resume(self) -> State | None:
        """Return the trainer's state from the checkpoint, after rolling the other files back."""
        path = self.path / CHECKPOINT_FILE
        try:
            found = checkpoint.load(path, self.config.key())
            if found is None:
                checkpoint.roll_back(self.path, {})
                return None
            state: State = found["trainer"]
            self.warnings.load_state_dict(found["warnings"])
            self.last = Evaluation(**found["last"]) if found["last"] else None
            checkpoint.roll_back(self.path, found["files"])
        except (CheckpointError, KeyError, TypeError, ValueError) as error:
            self.monitor.say(f"cannot resume from {path} ({error}): the run starts again")
            self.warnings.load_state_dict({"warned": [], "in_use": []})
            self.last = None
            checkpoint.roll_back(self.path, {})
            return None
        return state

    def on_step_end(self, trainer: Trainer) -> None:
        if not trainer.is_resumable:
            return
        stop = any_rank(self.monitor.should_stop())
        if stop or time.monotonic() - self.saved >= self.checkpoint_every:
            state = {
                # Flushed first: the checkpoint states lengths that must already be on the disk.
                "files": checkpoint.sync_files(self.path),
                "warnings": self.warnings.state_dict(),
                "last": vars(self.last) if self.last else None,
                "trainer": trainer.state_dict(),
            }
            checkpoint.save(self.path / CHECKPOINT_FILE, self.config.key(), state)
            self.saved = time.monotonic()
        if stop:
            raise RunInterruptedError

    def on_gradient_stats(self, trainer: Trainer, stats: GradientStats) -> None:
        step = trainer.global_step - 1
        self.events.training(step, stats)
        self.monitor.update(self.config, step / trainer.total_steps, stats)
        for warning in self.warnings.check(step, stats):
            self.events.warning(step, warning.text)
            append_row(self.path / WARNINGS, warning)
            self.monitor.say(f"warning: {warning.text}")

    def on_evaluation(self, trainer: Trainer, evaluation: Evaluation) -> None:
        step = evaluation.step
        self.events.evaluation(step, evaluation.validation_loss, evaluation.validation_accuracy)
        evaluation = replace(evaluation, images=self.images)
        if self.last is not None:
            images = (step - self.last.step) * self.batch_size
            speed = images / (evaluation.seconds - self.last.seconds)
            evaluation = replace(evaluation, images_per_second=speed)
            self.events.speed(step, speed)
        if step < trainer.total_steps:
            append_row(self.path / RESULTS, evaluation)
        self.last = evaluation

    def on_result(self, trainer: Trainer, result: RunResult) -> None:
        if result.test is None:
            raise ValueError("a run of an experiment ends with its test images")
        assert self.last is not None
        loss, accuracy = result.test_loss, result.test.accuracy
        self.events.test(self.last.step, loss, accuracy)
        write_arrays(self.path / "predictions.npz", vars(result.test))
        self._save_weights(trainer)
        # A run with this row is finished.
        append_row(self.path / RESULTS, replace(self.last, test_loss=loss, test_accuracy=accuracy))
        checkpoint.sync_files(self.path)
        (self.path / CHECKPOINT_FILE).unlink(missing_ok=True)

    def record_failure(self, error: Exception) -> str:
        """Write an error that ended the run, with its traceback; return it in one line."""
        line = f"{type(error).__name__}: {one_line(error)}"
        text = "".join(traceback.format_exception(error))
        write_atomically(self.path / FAILURE, f"{line}\n\n{text}".encode())
        self.events.note("failure", f"The run ended by an error: {line}", step=0)
        return line

    def _save_weights(self, trainer: Trainer) -> None:
        """Write the trained weights, readable with torch.load(weights_only=True)."""
        weights = {
            "loss": self.config.loss,
            "seed": self.config.seed,
            "images": self.images,
            "model": trainer.model.state_dict(),
        }
        buffer = io.BytesIO()
        torch.save(weights, buffer)
        write_atomically(self.path / "checkpoint.pt", buffer.getvalue())
