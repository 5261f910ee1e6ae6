"""What a comparison says while it runs: a live bar in a terminal, plain lines in a pipe."""

from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


class Reporter:
    """Tells a person what is going on, on standard error; results go to standard output.

    In a terminal there is a bar with the time left and what is being done. Elsewhere only the
    lines that stay are written.
    """

    def __init__(self) -> None:
        console = Console(stderr=True)
        self.live = console.is_terminal
        self.progress = Progress(
            BarColumn(bar_width=20),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
            disable=not self.live,
            transient=True,
        )
        self.task = self.progress.add_task("", total=None, visible=False)

    def __enter__(self) -> Reporter:
        self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.progress.stop()

    def say(self, line: str) -> None:
        """A line that stays."""
        if self.live:
            self.progress.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=sys.stderr, flush=True)

    def bar(self, done: float, total: float, doing: str) -> None:
        """Set the bar to done / total. A bar that goes back to an earlier point begins anew."""
        if self.live:
            task = self.progress.tasks[0]
            if task.total != total or done < task.completed:
                self.progress.reset(self.task, total=total, visible=True)
            self.progress.update(self.task, completed=done, description=doing)
