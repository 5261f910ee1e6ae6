"""Progress and messages: live in a terminal, plain lines in a pipe."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from .format import magnitude, percent

REFRESHES = 2
"""Redraws per second. Updates in between cost no drawing."""

EXTRA_LINES = 7
"""Lines of the display that are no loss: heading, rule, losses not shown, bar and cursor."""

BAR, BESIDE, LEAST = 10, 46, 12
"""Columns of the terminal: of a loss's bar, of a row without its name, and the minimum for a name
beside which a bar is drawn."""


class Reporter:
    """Report progress on standard error; results go to standard output.

    A terminal shows a bar with the time left and the current task, below the table of a comparison.
    A pipe gets only the lines that stay. NO_COLOR in the environment turns colors off.

    Args:
        console: another console to write to.
    """

    def __init__(self, console: Console | None = None) -> None:
        # Told what is a terminal: rich would have FORCE_COLOR make one of a file.
        self.console = console or Console(stderr=True, force_terminal=sys.stderr.isatty())
        self.live = self.console.is_terminal and not self.console.is_dumb_terminal
        # Never started: the screen draws it.
        one_line = Column(no_wrap=True, overflow="ellipsis")
        self.progress = Progress(
            BarColumn(bar_width=20),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}", markup=False, table_column=one_line),
            console=self.console,
            auto_refresh=False,
        )
        self.task = self.progress.add_task("", total=None, visible=False)
        self.shown: LossTable | None = None
        self.screen = Live(
            console=self.console,
            get_renderable=self._draw,
            refresh_per_second=REFRESHES,
            transient=True,
        )

    def __enter__(self) -> Reporter:
        if self.live:
            self.screen.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.screen.stop()

    def say(self, line: str) -> None:
        """Print a line that stays."""
        if self.live:
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=self.console.file, flush=True)

    def bar(self, done: float, total: float, doing: str) -> None:
        """Set the bar to done / total. A smaller value than before starts a new bar."""
        if self.live:
            task = self.progress.tasks[0]
            if task.total != total or done < task.completed:
                self.progress.reset(self.task, total=total)
            self.progress.update(self.task, completed=done, description=doing, visible=True)

    @contextmanager
    def table(self, losses: Sequence[str], seeds: Sequence[int] | int) -> Iterator[LossTable]:
        """Show one row per loss in a terminal, or one line per finished run in a pipe.

        Args:
            losses: distinct names, in the order of their rows.
            seeds: seeds of every loss; a number n means 0 to n - 1.
        """
        table = LossTable(self, losses, range(seeds) if isinstance(seeds, int) else seeds)
        self.shown = table
        try:
            yield table
        finally:
            self.shown = None
            self.progress.update(self.task, visible=False)

    def _draw(self) -> RenderableType:
        bar = self.progress.make_tasks_table(self.progress.tasks)
        if self.shown is None:
            return bar
        rows = self.console.height - EXTRA_LINES
        return Group(self.shown.draw(rows, self.console.width), Text(), bar) if rows > 0 else bar


@dataclass
class _Row:
    """Progress and last measurements of a loss.

    `shares` has the progress of each seed, from 0 to 1. `touched` counts updates, to tell recent
    rows.
    """

    shares: dict[int, float]
    accuracy: float | None = None
    gradient: float | None = None
    tested: list[float] = field(default_factory=list)
    finished: set[int] = field(default_factory=set)
    touched: int = 0

    @property
    def at_work(self) -> bool:
        return any(share > 0 and seed not in self.finished for seed, share in self.shares.items())


class LossTable:
    """Progress of the runs of a comparison. Made by `Reporter.table`."""

    def __init__(self, reporter: Reporter, losses: Sequence[str], seeds: Sequence[int]) -> None:
        self.reporter = reporter
        self.rows = {loss: _Row(dict.fromkeys(seeds, 0.0)) for loss in losses}
        self.runs = len(losses) * len(seeds)
        self.touched = 0
        self._bar()

    def update(
        self,
        loss: str,
        seed: int,
        share: float,
        accuracy: float | None = None,
        gradient: float | None = None,
    ) -> None:
        """Update a running run, in microseconds: the terminal is drawn a few times per second.

        Args:
            loss, seed: the run.
            share: progress of the run, from 0 to 1.
            accuracy: recent accuracy on the training images, from 0 to 1; None: unchanged.
            gradient: mean |dL/dz|; None: unchanged.
        """
        row = self._touch(loss)
        row.shares[seed] = share
        row.accuracy = row.accuracy if accuracy is None else accuracy
        row.gradient = row.gradient if gradient is None else gradient
        self._bar()

    def finished(self, loss: str, seed: int, accuracy: float, seconds: float) -> None:
        """Mark a run as finished.

        Args:
            loss, seed: the run.
            accuracy: test accuracy from 0 to 1, NaN if the network has diverged.
            seconds: training time.
        """
        row = self._touch(loss)
        row.shares[seed] = 1.0
        row.finished.add(seed)
        if math.isfinite(accuracy):
            row.tested.append(accuracy)
        self._bar()
        if not self.reporter.live:
            width = max(map(len, self.rows))
            said = f"{accuracy:6.2%}" if math.isfinite(accuracy) else "diverged"
            self.reporter.say(
                f"{self.finished_runs:{len(str(self.runs)) + 1}}/{self.runs}  {loss:{width}}  "
                f"seed {seed}  test accuracy {said}  {seconds:5.1f} s"
            )

    @property
    def finished_runs(self) -> int:
        """Number of finished runs."""
        return sum(len(row.finished) for row in self.rows.values())

    def draw(self, room: int, width: int) -> RenderableType:
        """Draw the table with at most `room` rows and `width` columns, the most recent losses first
        chosen."""
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
        # As wide whatever the rows of the moment: nothing moves sideways.
        names, with_bar = max(map(len, ["loss", *self.rows])), width >= BESIDE + LEAST
        space = width - BESIDE + (0 if with_bar else BAR)
        table.add_column("loss", no_wrap=True, overflow="ellipsis", width=max(1, min(names, space)))
        for heading in ("training\nacc., %", "test\nacc., %", "mean\n|dL/dz|", "\nseeds"):
            table.add_column(Text(heading), justify="right", no_wrap=True)
        if with_bar:
            table.add_column("", width=BAR)
        chosen = self.recent(room)
        for loss in chosen:
            row = self.rows[loss]
            cells = (
                loss,
                _number(row.accuracy, percent),
                _number(sum(row.tested) / len(row.tested) if row.tested else None, percent),
                _number(row.gradient, magnitude),
                f"{len(row.finished)}/{len(row.shares)}",
            )
            style = "bold" if row.at_work else ""
            shown: list[RenderableType] = [Text(cell, style) for cell in cells]
            if with_bar:
                shown.append(ProgressBar(len(row.shares), sum(row.shares.values()), width=BAR))
            table.add_row(*shown)
        if len(chosen) == len(self.rows):
            return table
        left = [row for loss, row in self.rows.items() if loss not in chosen]
        over = sum(len(row.finished) == len(row.shares) for row in left)
        begun = sum(row.touched > 0 for row in left) - over
        counts = f"{over} finished, {begun} begun, {len(left) - over - begun} waiting"
        words = f"and {len(left)} more: {counts}"
        return Group(table, Text(words, "dim", no_wrap=True, overflow="ellipsis"))

    def recent(self, room: int) -> list[str]:
        """Return at most `room` losses in their order: running ones, then those updated last."""
        order = list(self.rows)
        if len(order) <= room:
            return order

        def news(loss: str) -> tuple[bool, int, int]:
            row = self.rows[loss]
            return not row.at_work, -row.touched, order.index(loss)

        chosen = set(sorted(order, key=news)[:room])
        return [loss for loss in order if loss in chosen]

    def _touch(self, loss: str) -> _Row:
        row = self.rows[loss]
        self.touched += 1
        row.touched = self.touched
        return row

    def _bar(self) -> None:
        done = sum(sum(row.shares.values()) for row in self.rows.values())
        self.reporter.bar(done, self.runs, f"{self.finished_runs} of {self.runs} runs finished")


def _number(value: float | None, text: Callable[[float | None], str]) -> str:
    return str(value) if value is not None and not math.isfinite(value) else text(value)
