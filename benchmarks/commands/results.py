"""Write and print the results of an experiment: tables, report and TensorBoard data."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from lossbench.benchmarks.errors import UserError, one_line
from lossbench.benchmarks.records.files import lock_directory, remove_scratch
from lossbench.benchmarks.records.results import gather_tables
from lossbench.benchmarks.report.board import write_board
from lossbench.benchmarks.report.comparison import write_summary
from lossbench.benchmarks.report.identities import identities_table
from lossbench.benchmarks.report.summary import summarise
from lossbench.benchmarks.report.table import print_table, terminal_table
from lossbench.benchmarks.subcommands import PROGRAM
from lossbench.benchmarks.training.plan import Plan
from lossbench.benchmarks.training.progress import ExperimentStatus


def write_results(plan: Plan, status: ExperimentStatus) -> None:
    """Write the tables of an experiment, and its report if a run is finished."""
    gather_tables(plan.directory, plan.run_directories)
    if status.finished:
        write_summary(plan.directory)
        write_board(plan.directory, plan.images)


def print_status(ended: ExperimentStatus) -> int:
    """Print the table of an experiment and how to resume it; return the exit code."""
    directory = ended.directory
    if ended.finished:
        # A pipe has no width; 110 characters show every column.
        console = Console(width=None if sys.stdout.isatty() else 110)
        summary = summarise(directory)
        console.print(terminal_table(summary, console.width))
        if summary["identities"]:
            print("\nSame gradient as another loss, trained once to check it:")
            print_table(identities_table(summary))
        print(
            f"\nReport       {directory / 'report.html'}"
            f"\nTensorBoard  {shlex.join([*PROGRAM, 'view', '--runs', str(directory)])}"
        )
    again = shlex.join([*PROGRAM, "compare", "--resume", str(directory)])
    for failure in ended.failed:
        print(f"lossbench: {failure}", file=sys.stderr)
    if ended.interrupted:
        print(
            f"lossbench: interrupted after {ended.finished} of {ended.planned} runs; to go on: "
            f"{again}",
            file=sys.stderr,
        )
        return 128 + ended.interrupted
    if ended.finished < ended.planned:
        print(
            f"lossbench: {ended.planned - ended.finished} of {ended.planned} runs are not "
            f"finished; a run that failed has its error in failure.txt; to go on: {again}",
            file=sys.stderr,
        )
    return 1 if ended.failed else 0


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
            f"--resume {directory}` goes on from it once that is fixed"
        ) from None
