"""Progress of a run, from the process that trains it to the one that leads the experiment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.records.gradient_stats import GradientStats
from lossbench.benchmarks.training.progress import Progress
from lossbench.benchmarks.training.recorder import RunFailedError, RunInterruptedError
from lossbench.benchmarks.training.result import RunResult

Files = dict[str, bytes]
"""Contents of the files of a run, by name."""


@dataclass(frozen=True)
class Update:
    """Progress of a run since the previous update.

    Attributes:
        messages: lines for the user.
        fraction: of the steps taken, from 0 to 1.
        stats: the latest; None: no new ones.
        files: of the run, if it can be resumed from them; None: no newer ones.
        ended: whether this is the last update. Without result and failure the run was interrupted.
        result: of a finished run, the accuracy on the test images and the seconds of training.
        failure: of a failed run, the error in one line.
        error: one that ends the whole experiment.
    """

    messages: tuple[str, ...] = ()
    fraction: float = 0.0
    stats: GradientStats | None = None
    files: Files | None = None
    ended: bool = False
    result: tuple[float, float] | None = None
    failure: str | None = None
    error: Exception | None = None

    def show(self, config: RunConfig, progress: Progress) -> None:
        """Show and count what is new about a run."""
        for line in self.messages:
            progress.say(line)
        if self.stats is not None:
            progress.update(config, self.fraction, self.stats)
        if self.failure is not None:
            progress.failed(config, self.failure)
        if self.result is not None:
            progress.finished(config, *self.result)
        if self.error is not None:
            # The other runs save their state and stop.
            progress.error = progress.error or self.error


def run_outcome(train: Callable[[], RunResult]) -> Update:
    """Return the update that tells how a run ended.

    Args:
        train: trains the run, or waits for it. What it raises is part of the update, but for
            errors that neither the run nor the user can have caused.
    """
    try:
        result = train()
    except RunInterruptedError:
        return Update(ended=True)
    except RunFailedError as failure:
        return Update(ended=True, failure=str(failure))
    except (OSError, UserError) as error:
        return Update(ended=True, error=error)
    assert result.test is not None
    return Update(ended=True, result=(result.test.accuracy, result.seconds))


class BufferedMonitor:
    """Monitor that keeps what a run reports for the next update."""

    def __init__(self) -> None:
        self.stopping = False
        self.messages: list[str] = []
        self.fraction = 0.0
        self.stats: GradientStats | None = None

    def should_stop(self) -> bool:
        return self.stopping

    def update(self, config: RunConfig, fraction: float, stats: GradientStats) -> None:  # noqa: ARG002
        # The means are enough to show progress.
        means = replace(stats, layers={}, logit_log10=stats.logit_log10.new_zeros(0))
        self.fraction, self.stats = fraction, means

    def say(self, line: str) -> None:
        self.messages.append(line)

    def update_with(self, files: Files | None, update: Update = Update()) -> Update:
        """Add what was reported since the last update, and files, to an update."""
        messages, self.messages = tuple(self.messages), []
        stats, self.stats = self.stats, None
        return replace(update, messages=messages, fraction=self.fraction, stats=stats, files=files)
