"""The files of one run: its configuration, events, rows of results.csv, predictions, weights."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from benchmarks.files import write_arrays, write_json, write_whole
from benchmarks.tracking.events import EventFile
from benchmarks.tracking.experiment import MARK
from benchmarks.tracking.results import Evaluation, Results
from benchmarks.tracking.window import Window

from .alarms import Alarm, Alarms, append_alarms
from .run import Watch
from .trial import Outcome, Point, Trial


def run_path(directory: Path, loss: str, seed: int) -> Path:
    """The directory of a run in that of its experiment."""
    return directory / loss / f"seed{seed}"


class Recorder(Watch):
    """Writes a run of the experiment in `directory` as it goes on; a context manager that closes
    the event file. The last row is written by `finish`, and no other knows of the test images.

    Args:
        batch_size: images in a step.
        images: what the rows say they were measured on.
        moved: is told how far the run is, from 0 to 1, with its latest window.
        alarmed: is told of a gradient that has vanished or exploded.
    """

    def __init__(
        self,
        trial: Trial,
        directory: Path,
        images: str,
        batch_size: int,
        moved: Callable[[float, Window], None],
        alarmed: Callable[[Alarm], None],
    ) -> None:
        self.trial, self.directory, self.images = trial, directory, images
        self.batch_size = batch_size
        self.moved, self.alarmed = moved, alarmed
        self.path = run_path(directory, trial.loss, trial.seed)
        self.path.mkdir(parents=True)
        write_json(self.path / "config.json", trial.to_json() | {"images": images})
        self.alarms = Alarms(trial.loss, trial.seed)
        self.results = Results(directory / "results.csv")
        self.events = EventFile(self.path)
        if images == MARK:
            self.events.note(
                "images", f"# {MARK} IMAGES\nDrawn by code. No number here is a result."
            )
        self.last: Point | None = None
        self.speed = math.nan

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.events.close()

    def window(self, step: int, steps: int, window: Window) -> None:
        self.events.training(step, window)
        self.moved(step / steps, window)
        alarms = self.alarms.look(step, window)
        for alarm in alarms:
            self.events.alarm(step, alarm.text)
            self.alarmed(alarm)
        if alarms:
            append_alarms(self.directory / "warnings.csv", alarms)

    def point(self, point: Point, steps: int) -> None:
        self.events.evaluation(point.step, point.validation_loss, point.validation_accuracy)
        if self.last is not None:
            images = (point.step - self.last.step) * self.batch_size
            self.speed = images / (point.seconds - self.last.seconds)
            self.events.speed(point.step, self.speed)
        if point.step < steps:
            self._row(point, math.nan, math.nan)
        self.last = point

    def finish(self, outcome: Outcome, model: nn.Module) -> float:
        """Write what is known at the end, and return the accuracy on the test images."""
        if outcome.test is None:
            raise ValueError("a run of a comparison ends with its test images")
        point, accuracy = outcome.points[-1], outcome.test.accuracy
        self.events.test(point.step, outcome.test_loss, accuracy)
        write_arrays(self.path / "predictions.npz", vars(outcome.test))
        self._save(model)
        # Last: a run with this row is finished.
        self._row(point, outcome.test_loss, accuracy)
        return accuracy

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
        write_whole(self.path / "checkpoint.pt", buffer.getvalue())
