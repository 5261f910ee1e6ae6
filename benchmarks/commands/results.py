"""Write and print the results of an experiment: tables, report and TensorBoard data."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lossbench.benchmarks.errors import UserError, one_line
from lossbench.benchmarks.format import few_images
from lossbench.benchmarks.records.files import lock_directory, remove_scratch
from lossbench.benchmarks.records.results import gather_tables
from lossbench.benchmarks.report.board import write_board
from lossbench.benchmarks.report.comparison import Comparison, write_comparison
from lossbench.benchmarks.report.identities import identities_table
from lossbench.benchmarks.report.summary import summarise
from lossbench.benchmarks.report.table import comparison_title, results_table
from lossbench.benchmarks.report.terminal import print_table
from lossbench.benchmarks.subcommands import PROGRAM
from lossbench.benchmarks.training.plan import Plan
from lossbench.benchmarks.training.progress import ExperimentStatus


def write_results(plan: Plan, status: ExperimentStatus) -> Comparison | None:
    """Write the tables of an experiment, and its report, which is returned, if a run is
    finished."""
    gather_tables(plan.directory, plan.run_directories)
    if not status.finished:
        return None
    comparison = write_comparison(plan.directory)
    write_board(plan.directory, plan.images)
    return comparison


def print_status(ended: Sequence[ExperimentStatus]) -> int:
    """Print tables of experiments, and how to resume; return the exit code.

    Args:
        ended: status of each experiment; several lie in one directory with one report.
    """
    home = ended[0].directory if len(ended) == 1 else ended[0].directory.parent
    finished = [status.directory for status in ended if status.finished]
    for directory in finished:
        _print_tables(summarise(directory))
    if finished:
        print(f"\nReport       {home / 'report.html'}")
        # One by one: TensorBoard has seven colours, too few for the losses of both starts.
        for directory in finished:
            print(f"TensorBoard  {shlex.join([*PROGRAM, 'view', '--runs', str(directory)])}")
    failures = [failure for status in ended for failure in status.failed]
    for failure in failures:
        print(f"lossbench: {failure}", file=sys.stderr)
    again = shlex.join([*PROGRAM, "compare", "--resume", str(home)])
    runs = sum(status.finished for status in ended)
    planned = sum(status.planned for status in ended)
    if stopped := ended[-1].interrupted:
        print(
            f"lossbench: interrupted after {runs} of {planned} runs; to resume: {again}",
            file=sys.stderr,
        )
        return 128 + stopped
    if runs < planned:
        print(
            f"lossbench: {planned - runs} of {planned} runs are not finished; a run that failed "
            f"has its error in failure.txt; to resume: {again}",
            file=sys.stderr,
        )
    return 1 if failures else 0


def _print_tables(summary: dict[str, Any]) -> None:
    print_table(results_table(summary), f"\n{comparison_title(summary)}")
    for line in few_images(summary["test_images"], "test"):
        print(f"caution: {line}")
    if summary["identities"]:
        title = "\nSame gradient as another loss, trained once to check it; × 1 is the control:"
        print_table(identities_table(summary), title)


@contextmanager
def experiment_lock(directory: Path) -> Iterator[None]:
    """Keep other processes from writing the experiment while this is open.

    Raises:
        UserError: another process writes it, or the disk failed.
    """
    with explain_disk_errors(directory), lock_directory(directory):
        remove_scratch(directory)
        yield


@contextmanager
def explain_disk_errors(directory: Path) -> Iterator[None]:
    """Turn an OSError into a UserError that says how to resume.

    Raises:
        UserError: a file could not be read or written, for example because the disk is full.
    """
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{one_line(error)}: stopped; what was saved in {directory} is complete, and `compare "
            f"--resume {directory}` resumes from it once that is fixed"
        ) from None
