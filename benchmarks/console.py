"""Progress and messages: live in a terminal, plain lines in a pipe."""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Column

from .format import MISSING, magnitude, percent

REFRESHES = 2
"""Redraws per second. Updates in between cost no drawing."""

OTHER_LINES = 2
"""Lines of the terminal that are no loss: the bar and the cursor's."""


class Reporter:
    """Report progress on standard error; results go to standard output.

    A terminal shows a bar with the time left and the current task, above the rows of a comparison.
    A pipe gets neither, only lines. NO_COLOR in the environment turns colors off.

    Args:
        console: another console to write to.
    """

    def __init__(self, console: Console | None = None) -> None:
        # Told what is a terminal: rich would have FORCE_COLOR make one of a file.
        self.console = console or Console(stderr=True, force_terminal=sys.stderr.isatty())
        self.live = self.console.is_terminal and not self.console.is_dumb_terminal
        one_line = Column(no_wrap=True, overflow="ellipsis")
        # The two are never started: the screen draws them.
        self.work = Progress(
            BarColumn(bar_width=20),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}", markup=False, table_column=one_line),
            console=self.console,
        )
        self.task = self.work.add_task("", total=None, visible=False)
        self.losses = Progress(
            BarColumn(bar_width=10),
            TextColumn(
                "{task.description}  {task.fields[finished]}/{task.total}  "
                "training {task.fields[training]:>4}  test {task.fields[test]:>4} %  "
                "|dL/dz| {task.fields[gradient]}",
                markup=False,
                table_column=one_line,
            ),
            console=self.console,
        )
        self.screen = Live(
            Group(self.work, self.losses),
            console=self.console,
            refresh_per_second=REFRESHES,
            transient=True,
        )

    @classmethod
    def silent(cls) -> Reporter:
        """Return a reporter that prints nothing."""
        return cls(Console(file=io.StringIO()))

    def __enter__(self) -> Reporter:
        if self.live:
            self.screen.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.screen.stop()

    def say(self, line: str) -> None:
        """Print a line. In a terminal it stays above the bar and the rows."""
        if self.live:
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=self.console.file, flush=True)

    def bar(self, done: float, total: float, doing: str) -> None:
        """Set the bar to done / total. A smaller value than before starts a new bar."""
        task = self.work.tasks[0]
        if task.total != total or done < task.completed:
            self.work.reset(self.task, total=total)
        self.work.update(self.task, completed=done, description=doing, visible=True)

    @contextmanager
    def table(
        self, runs: Iterable[tuple[str, int]], chance: float = math.nan
    ) -> Iterator[LossTable]:
        """Show one row per loss in a terminal, or one line per finished run in a pipe.

        Args:
            runs: loss and seed of each, all different.
            chance: accuracy that a network which has diverged counts as; NaN: it is left out.
        """
        table = LossTable(self, runs, chance)
        try:
            yield table
        finally:
            for row in self.losses.task_ids:
                self.losses.remove_task(row)
            self.work.update(self.task, visible=False)


class LossTable:
    """Progress of the runs of a comparison. Made by `Reporter.table`.

    A loss gets its row in the terminal when its first run begins.
    """

    def __init__(self, reporter: Reporter, runs: Iterable[tuple[str, int]], chance: float) -> None:
        self.reporter, self.chance = reporter, chance
        self.shares: dict[str, dict[int, float]] = {}
        for loss, seed in runs:
            self.shares.setdefault(loss, {})[seed] = 0.0
        self.runs = sum(map(len, self.shares.values()))
        self.tested: dict[str, list[float]] = {loss: [] for loss in self.shares}
        fields: dict[str, Any] = {
            "finished": 0,
            "training": MISSING,
            "test": MISSING,
            "gradient": MISSING,
        }
        self.width = max(map(len, self.shares))
        self.rows = {
            loss: reporter.losses.add_task(
                f"{loss:{self.width}}", total=len(seeds), visible=False, **fields
            )
            for loss, seeds in self.shares.items()
        }
        # From the loss that was updated longest ago to the latest one.
        self.shown: dict[str, None] = {}
        self._bar()

    def update(
        self,
        loss: str,
        seed: int,
        share: float,
        accuracy: float | None = None,
        gradient: float | None = None,
    ) -> None:
        """Update a running run. A call takes microseconds: drawing happens a few times per second.

        Args:
            loss, seed: the run.
            share: progress of the run, from 0 to 1.
            accuracy: recent accuracy on the training images, from 0 to 1; None: unchanged.
            gradient: mean |dL/dz|; None: unchanged.
        """
        fields = {}
        if accuracy is not None:
            fields["training"] = percent(accuracy)
        if gradient is not None:
            fields["gradient"] = magnitude(gradient)
        self._row(loss, seed, share, **fields)

    def finished(self, loss: str, seed: int, accuracy: float, seconds: float) -> None:
        """Mark a run as finished.

        Args:
            loss, seed: the run.
            accuracy: test accuracy from 0 to 1, NaN if the network has diverged.
            seconds: training time.
        """
        tested = self.tested[loss]
        tested.append(self.chance if math.isnan(accuracy) else accuracy)
        valid = [value for value in tested if math.isfinite(value)]
        mean = sum(valid) / len(valid) if valid else None
        self._row(loss, seed, 1.0, finished=len(tested), test=percent(mean))
        if not self.reporter.live:
            said = f"{accuracy:6.2%}" if math.isfinite(accuracy) else "diverged"
            self.reporter.say(
                f"{self.finished_runs:{len(str(self.runs)) + 1}}/{self.runs}  "
                f"{loss:{self.width}}  seed {seed}  test accuracy {said}  "
                f"{seconds:5.1f} s"
            )

    @property
    def finished_runs(self) -> int:
        """Number of finished runs."""
        return sum(map(len, self.tested.values()))

    def _row(self, loss: str, seed: int, share: float, **fields: Any) -> None:
        progress = self.reporter.losses
        self.shares[loss][seed] = share
        done = sum(self.shares[loss].values())
        progress.update(self.rows[loss], completed=done, visible=True, **fields)
        self.shown.pop(loss, None)
        self.shown[loss] = None
        while len(self.shown) > max(1, self.reporter.console.height - OTHER_LINES):
            oldest = next(iter(self.shown))
            del self.shown[oldest]
            progress.update(self.rows[oldest], visible=False)
        self._bar()

    def _bar(self) -> None:
        done = sum(sum(shares.values()) for shares in self.shares.values())
        self.reporter.bar(done, self.runs, f"{self.finished_runs} of {self.runs} runs finished")
