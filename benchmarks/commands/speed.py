"""`lossbench speed`: measure losses and training relative to other implementations."""

from __future__ import annotations

import math
import sys
from datetime import datetime

from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.records.experiment import make_runs_directory
from lossbench.benchmarks.report.terminal import print_table
from lossbench.benchmarks.speed.table import group_tables, measure, medians, notes, select, write
from lossbench.benchmarks.subcommands import SpeedCommand
from lossbench.losses import kernels


def run(command: SpeedCommand) -> int:
    """Measure, print the table of ratios and targets, and return the exit code."""
    if not 0 < command.seconds < math.inf:
        raise UserError(f"--seconds {command.seconds:g}: must be above 0 and finite")
    targets = select(command.only)
    make_runs_directory(command.runs)
    kernels.ensure(lambda line: print(line, file=sys.stderr))
    measured = list(measure(targets, command.seconds, lambda line: print(line, file=sys.stderr)))
    measured += medians(measured)
    for group, rows in group_tables(measured):
        print(f"\n{group}\n")
        print_table(rows)
    print("".join(f"{note}\n" for note in notes(measured)), end="")
    print(f"\nTable  {write(measured, command.runs, datetime.now()) / 'speed.md'}")
    return 0
