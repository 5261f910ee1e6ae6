"""The points of a run as it goes on, and the time that it takes."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from lossbench.benchmarks.records.gradient_stats import GradientStats, merge_stats

from .evaluate import ValidationResult
from .result import Point


class LearningCurve:
    """The points of a run as it goes on, and the time of its training: what happens within
    `evaluated` and `away` does not count."""

    def __init__(self, per_epoch: int, device: torch.device) -> None:
        self.per_epoch, self.device = per_epoch, device
        self.points: list[Point] = []
        # That of the last point, then those since.
        self.windows: list[GradientStats] = []
        self.paused = self.seconds = 0.0
        self.began = time.perf_counter()

    def state(self) -> dict[str, Any]:
        """What has been seen so far, in plain values."""
        return {
            "points": [dataclasses.asdict(point) for point in self.points],
            "windows": [vars(window) for window in self.windows],
            "seconds": time.perf_counter() - self.began - self.paused,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.points = [Point(**point) for point in state["points"]]
        self.windows = [GradientStats(**window) for window in state["windows"]]
        self.began, self.paused = time.perf_counter() - state["seconds"], 0.0

    @contextmanager
    def away(self) -> Iterator[None]:
        """While this is open, others have their turn."""
        since = time.perf_counter()
        yield
        self.paused += time.perf_counter() - since

    def evaluated(self, work: Callable[[], ValidationResult]) -> ValidationResult:
        if self.device.type == "cuda":
            # No other: on other streams other runs go on.
            torch.cuda.current_stream(self.device).synchronize()
        since = time.perf_counter()
        self.seconds = since - self.began - self.paused
        result = work()
        self.paused += time.perf_counter() - since
        return result

    def point(self, step: int, judged: ValidationResult) -> Point:
        """An evaluation after `step` steps, with what the windows since the last have seen, and
        the time that `evaluated` was asked at."""
        # Where every step is evaluated the last point has none of its own: it repeats the one
        # before.
        window = merge_stats(self.windows[1:] or self.windows) if self.windows else None
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
