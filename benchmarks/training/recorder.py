"""The files of one run: its configuration, events, rows of results.csv, predictions, weights."""

from __future__ import annotations

import io
import math
import time
import traceback
from collections.abc import Callable

import torch
from torch import nn

from lossbench.benchmarks.errors import one_line
from lossbench.benchmarks.records.events import EventFile
from lossbench.benchmarks.records.experiment import SYNTHETIC_MARK
from lossbench.benchmarks.records.files import (
    remove_scratch,
    write_arrays,
    write_atomically,
    write_json,
)
from lossbench.benchmarks.records.gradient_stats import GradientStats
from lossbench.benchmarks.records.results import (
    COLUMNS,
    FAILURE,
    RESULTS,
    WARNINGS,
    CsvFile,
    Evaluation,
    run_directory,
)

from . import checkpoint as resume
from .checkpoint import CHECKPOINT_FILE, State
from .gradient_warnings import COLUMNS as ALARM_COLUMNS
from .gradient_warnings import GradientWarnings
from .plan import Plan
from .result import Point, RunConfig, RunResult
from .train import Callback


class RunInterruptedError(Exception):
    """A run that was asked to stop: its state is saved."""


class Recorder(Callback):
    """Writes a run of an experiment as it goes on; a context manager that closes the event file.
    The last row is written by `finish`, and no other knows of the test images.

    Where the run has been begun before, `state` is what to go on from, and its files are taken
    back to where they were then; None: it begins anew.

    Args:
        plan: of the experiment. trial: one of its runs.
        stop: whether the run is to end after the step; it is asked at each.
        moved: is told how far the trial is, from 0 to 1, with its latest window.
        say: is told of a gradient that has vanished or exploded, and of a damaged state.

    Raises OSError, as all of its methods do, if a file cannot be written.
    """

    def __init__(
        self,
        plan: Plan,
        trial: RunConfig,
        *,
        stop: Callable[[], object],
        moved: Callable[[RunConfig, float, GradientStats], None],
        say: Callable[[str], None],
    ) -> None:
        self.trial, self.images = trial, plan.said
        self.batch_size = min(trial.batch_size, len(plan.material.train.labels))
        self.checkpoint_every = plan.config.checkpoint_every
        self.stop, self.moved, self.say = stop, moved, say
        self.path = run_directory(plan.directory, trial.loss, trial.seed)
        self.path.mkdir(parents=True, exist_ok=True)
        remove_scratch(self.path)
        (self.path / FAILURE).unlink(missing_ok=True)
        self.alarms = GradientWarnings(trial.loss, trial.seed)
        self.last: Point | None = None
        self.speed = math.nan
        self.state = self._taken_up()
        write_json(self.path / "config.json", trial.to_json() | {"images": self.images})
        self.results = CsvFile(self.path / RESULTS, COLUMNS)
        self.warnings = CsvFile(self.path / WARNINGS, ALARM_COLUMNS)
        self.events = EventFile(self.path, since=self.state["done"] if self.state else None)
        if self.images == SYNTHETIC_MARK and self.state is None:
            self.events.note(
                "images", f"# {SYNTHETIC_MARK} IMAGES\nDrawn by code. No number here is a result."
            )
        self.saved = time.monotonic()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.events.close()

    def _taken_up(self) -> State | None:
        """The state to go on from, with the files and what is known here as they were then."""
        path = self.path / CHECKPOINT_FILE
        try:
            found = resume.load(path, self.trial.key())
            if found is None:
                resume.roll_back(self.path, {})
                return None
            training: State = found["training"]
            self.alarms.restore(found["alarms"])
            self.last = Point(**found["last"]) if found["last"] else None
            self.speed = found["speed"]
            resume.roll_back(self.path, found["files"])
        except (resume.CheckpointError, KeyError, TypeError, ValueError) as error:
            self.say(f"{path} cannot be gone on from ({error}): the run begins anew")
            self.alarms = GradientWarnings(self.trial.loss, self.trial.seed)
            self.last, self.speed = None, math.nan
            resume.roll_back(self.path, {})
            return None
        return training

    def stepped(self, state: Callable[[], State]) -> None:
        asked = self.stop()
        if asked or time.monotonic() - self.saved >= self.checkpoint_every:
            about = {
                # Before the state, which promises that so much of them is on the disk.
                "files": resume.sync_files(self.path),
                "alarms": self.alarms.state(),
                "last": vars(self.last) if self.last else None,
                "speed": self.speed,
                "training": state(),
            }
            resume.save(self.path / CHECKPOINT_FILE, self.trial.key(), about)
            self.saved = time.monotonic()
        if asked:
            raise RunInterruptedError

    def window(self, step: int, steps: int, window: GradientStats) -> None:
        self.events.training(step, window)
        self.moved(self.trial, step / steps, window)
        alarms = self.alarms.look(step, window)
        for alarm in alarms:
            self.events.alarm(step, alarm.text)
            self.warnings.add(alarm)
            self.say(f"warning: {alarm.text}")

    def point(self, point: Point, steps: int) -> None:
        self.events.evaluation(point.step, point.validation_loss, point.validation_accuracy)
        if self.last is not None:
            images = (point.step - self.last.step) * self.batch_size
            self.speed = images / (point.seconds - self.last.seconds)
            self.events.speed(point.step, self.speed)
        if point.step < steps:
            self._row(point, math.nan, math.nan)
        self.last = point

    def finish(self, outcome: RunResult, model: nn.Module) -> float:
        """Write what is known at the end, and return the accuracy on the test images."""
        if outcome.test is None:
            raise ValueError("a run of a comparison ends with its test images")
        point, accuracy = outcome.points[-1], outcome.test.accuracy
        self.events.test(point.step, outcome.test_loss, accuracy)
        write_arrays(self.path / "predictions.npz", vars(outcome.test))
        self._save(model)
        # A run with this row is finished.
        self._row(point, outcome.test_loss, accuracy)
        resume.sync_files(self.path)
        (self.path / CHECKPOINT_FILE).unlink(missing_ok=True)
        return accuracy

    def failed(self, error: Exception) -> str:
        """Write that the run has ended by an error, which is said in the first line of a file and
        shown below, and return that line."""
        line = f"{type(error).__name__}: {one_line(error)}"
        shown = "".join(traceback.format_exception(error))
        write_atomically(self.path / FAILURE, f"{line}\n\n{shown}".encode())
        self.events.note("failure", f"The run ended by an error: {line}", step=0)
        return line

    def _row(self, point: Point, test_loss: float, test_accuracy: float) -> None:
        self.results.add(
            Evaluation(
                loss=self.trial.loss,
                seed=self.trial.seed,
                epoch=point.epoch,
                step=point.step,
                train_loss=point.train_loss,
                train_accuracy=point.train_accuracy,
                validation_loss=point.validation_loss,
                validation_accuracy=point.validation_accuracy,
                test_loss=test_loss,
                test_accuracy=test_accuracy,
                logit_mean_abs=point.logit_mean_abs,
                logit_when_wrong=point.logit_when_wrong,
                vanished_fraction=point.vanished_fraction,
                parameter_norm=point.parameter_norm,
                seconds=point.seconds,
                images_per_second=self.speed,
                images=self.images,
            )
        )

    def _save(self, model: nn.Module) -> None:
        """Write the trained weights, readable with torch.load(weights_only=True)."""
        checkpoint = {
            "loss": self.trial.loss,
            "seed": self.trial.seed,
            "images": self.images,
            "model": model.state_dict(),
        }
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_atomically(self.path / "checkpoint.pt", buffer.getvalue())
