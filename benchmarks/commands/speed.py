"""`lossbench speed`: measure losses and training relative to other implementations."""

from __future__ import annotations

import math
import sys
from datetime import datetime

from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.format import plural
from lossbench.benchmarks.records.experiment import make_runs_directory
from lossbench.benchmarks.report.terminal import print_table
from lossbench.benchmarks.speed import against
from lossbench.benchmarks.speed.table import group_tables, measure, medians, notes, select, write
from lossbench.benchmarks.subcommands import SpeedCommand
from lossbench.losses import kernels

SECONDS = 0.2
"""Time per row, unless another is asked for."""


def run(command: SpeedCommand) -> int:
    """Measure, print the table of ratios and targets, and return the exit code."""
    if command.seconds is not None and not 0 < command.seconds < math.inf:
        raise UserError(f"--seconds {command.seconds:g}: must be above 0 and finite")
    if command.against is not None:
        if command.runs != SpeedCommand.runs:
            raise UserError("--runs beside --against, which writes nothing: leave one of them out")
        return compare_revisions(command.against, command.only, command.seconds or against.SECONDS)
    targets = select(command.only)
    make_runs_directory(command.runs)
    kernels.ensure(_log)
    measured = list(measure(targets, command.seconds or SECONDS, _log))
    measured += medians(measured)
    for group, rows in group_tables(measured):
        print(f"\n{group}\n")
        print_table(rows)
    print("".join(f"{note}\n" for note in notes(measured)), end="")
    print(f"\nTable  {write(measured, command.runs, datetime.now()) / 'speed.md'}")
    return 0


def compare_revisions(revision: str, only: str | None, seconds: float) -> int:
    """Time the losses beside those of another commit; return 1 if one is slower now."""
    cases = against.select(only)
    with against.checked_out(revision) as tree:
        found = list(against.compare_rows(cases, tree, seconds, _log))
    print(f"\nForward + backward with one thread, here and in {revision}: CPU time of a call\n")
    print_table(against.table(found))
    slower = sum(verdict == "slower" for verdict, _ in against.verdicts(found))
    print(f"\n{slower} of {plural(len(found), 'row')} slower by more than 2 %")
    return 1 if slower else 0


def _log(line: str) -> None:
    print(line, file=sys.stderr)
