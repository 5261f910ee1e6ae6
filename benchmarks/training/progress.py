"""Progress of an experiment: what its runs report while they are trained."""

from __future__ import annotations

import math
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.console import LossTable, Reporter
from lossbench.benchmarks.records.gradient_stats import GradientStats
from lossbench.benchmarks.records.reading import read_finished_run

from .checkpoint import CHECKPOINT_FILE
from .interruption import Interruption
from .plan import Plan


@dataclass
class ExperimentStatus:
    """Status of an experiment.

    Attributes:
        directory: of the experiment.
        planned: number of its runs.
        finished: number of finished runs.
        failed: one line per run that failed or diverged.
        interrupted: the signal that stopped the experiment, None if none did.
    """

    directory: Path
    planned: int
    finished: int = 0
    failed: list[str] = field(default_factory=list)
    interrupted: signal.Signals | None = None

    def add_finished(self, config: RunConfig, accuracy: float) -> None:
        """Count a finished run; its accuracy is NaN if the network has diverged."""
        self.finished += 1
        if math.isnan(accuracy):
            self.add_failed(config, "its network has diverged")

    def add_failed(self, config: RunConfig, reason: str) -> None:
        """Note a run that failed."""
        self.failed.append(f"{config.loss} seed {config.seed}: {reason}")


class Progress:
    """Monitor of the runs of a plan: shows them in the terminal and counts them in `status`.

    Attributes:
        status: of the experiment.
        error: the first one that ends the whole experiment, None: there is none.
    """

    def __init__(
        self, plan: Plan, table: LossTable, interruption: Interruption, reporter: Reporter
    ) -> None:
        self.table, self.interruption, self.reporter = table, interruption, reporter
        self.status = ExperimentStatus(plan.directory, len(plan.runs))
        self.error: Exception | None = None

    def should_stop(self) -> bool:
        """Tell whether runs are to save their state and stop."""
        return self.error is not None or self.interruption.signal is not None

    def update(self, config: RunConfig, fraction: float, stats: GradientStats) -> None:
        """Show the progress of a run."""
        self.table.update(config.loss, config.seed, fraction, stats.accuracy, stats.logit_mean_abs)

    def say(self, line: str) -> None:
        """Print a message."""
        self.reporter.say(line)

    def finished(self, config: RunConfig, accuracy: float, seconds: float) -> None:
        """Show and count a finished run."""
        self.status.add_finished(config, accuracy)
        self.table.finished(config.loss, config.seed, accuracy, seconds)

    def failed(self, config: RunConfig, reason: str) -> None:
        """Show and note a run that failed."""
        self.status.add_failed(config, reason)
        self.say(f"{config.loss} seed {config.seed} failed: {reason}")


Executor = Callable[[Plan, Sequence[RunConfig], Progress], None]
"""Trains runs of a plan, each from where it was left, until all have ended or it is to stop."""


def train_runs(plan: Plan, reporter: Reporter, executor: Executor) -> ExperimentStatus:
    """Train the unfinished runs of a plan. A run that fails does not stop the others.

    The first Ctrl-C or SIGTERM ends the current steps and saves them, the second ends at once.
    """
    keys = [(config.loss, config.seed) for config in plan.runs]
    counts = Counter(plan.images.test.labels.tolist()).values()
    chance = max(counts) / sum(counts)
    with reporter.table(keys, chance) as table, Interruption() as interruption:
        progress = Progress(plan, table, interruption, reporter)
        missing = []
        for config, path in zip(plan.runs, plan.run_directories, strict=True):
            if result := read_finished_run(path, config.epochs):
                # A process may have been killed after the last row.
                (path / CHECKPOINT_FILE).unlink(missing_ok=True)
                progress.finished(config, *result)
            else:
                missing.append(config)
        executor(plan, missing, progress)
    status = progress.status
    if status.finished < status.planned:
        status.interrupted = interruption.signal
    return status
