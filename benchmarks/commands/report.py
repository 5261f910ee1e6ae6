"""`lossbench report`: rewrite the reports of finished experiments and claims."""

from __future__ import annotations

from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.records.reading import experiments_in
from lossbench.benchmarks.report.combined import write_reports
from lossbench.benchmarks.subcommands import ReportCommand


def run(command: ReportCommand) -> int:
    """Write the pages, print their paths, and return the exit code."""
    if not command.directories:
        raise UserError("report: name at least one directory that compare or evidence wrote")
    directories = [each for named in command.directories for each in experiments_in(named)]
    # Experiments that were made together have their common page beside them.
    several = len(directories) > 1 == len(command.directories)
    output = command.directories[0] if several and command.output is None else command.output
    for path in write_reports(directories, output):
        print(path)
    return 0
