"""Learning curve and training time of a run."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lossbench.benchmarks.records.gradient_stats import GradientStats, merge_stats
from lossbench.benchmarks.records.results import GRADIENT_COLUMNS, Evaluation


class Stopwatch:
    """Time spent within `with stopwatch:`, less that within `with stopwatch.paused():`."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._started: float | None = None

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        running = 0.0 if self._started is None else time.perf_counter() - self._started
        return self._seconds + running

    @seconds.setter
    def seconds(self, value: float) -> None:
        self._seconds = value

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._seconds, self._started = self.seconds, None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the time while this is open."""
        self.__exit__()
        yield
        self.__enter__()


class LearningCurve:
    """Evaluations of a run, each with the gradient statistics of the steps since the last."""

    def __init__(self) -> None:
        self.evaluations: list[Evaluation] = []
        self.stats: list[GradientStats] = []
        """First those of the last evaluation, then those since."""

    def state_dict(self) -> dict[str, Any]:
        """Return the curve so far in plain values."""
        return {
            "evaluations": [vars(each) for each in self.evaluations],
            "stats": [vars(stats) for stats in self.stats],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.evaluations = [Evaluation(**each) for each in state["evaluations"]]
        self.stats = [GradientStats(**stats) for stats in state["stats"]]

    def add(self, evaluation: Evaluation) -> Evaluation:
        """Add an evaluation; return it with the statistics of its steps."""
        # With an evaluation at every step the last one has no steps of its own: it repeats the
        # statistics before.
        if self.stats:
            stats = merge_stats(self.stats[1:] or self.stats)
            self.stats = [stats]
            measured: dict[str, Any] = {name: getattr(stats, name) for name in GRADIENT_COLUMNS}
            evaluation = dataclasses.replace(
                evaluation, train_loss=stats.loss, train_accuracy=stats.accuracy, **measured
            )
        self.evaluations.append(evaluation)
        return evaluation
