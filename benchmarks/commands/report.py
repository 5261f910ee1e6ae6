"""`lossbench report`: rewrite the reports of finished experiments and claims."""

from __future__ import annotations

from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.report.combined import write_reports
from lossbench.benchmarks.subcommands import ReportCommand


def run(command: ReportCommand) -> int:
    """Write the pages, print their paths, and return the exit code."""
    if not command.directories:
        raise UserError("report: name at least one directory that compare or evidence wrote")
    for path in write_reports(command.directories, command.output):
        print(path)
    return 0
