"""Run each command: import its rooms, call them, and print what the user asked for.

Rooms are imported in the functions, because torch takes seconds and --help does without.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import shlex
import sys
from typing import TYPE_CHECKING, Any

from lossbench.benchmarks.config import CompareConfig, TuneConfig
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.subcommands import (
    Catalogue,
    Collect,
    Compare,
    Evidence,
    Plan,
    Report,
    RunOne,
    Speed,
)

if TYPE_CHECKING:
    from lossbench.benchmarks.training.progress import Executor, ExperimentStatus

# Under `uv run` the command is not on the user's PATH.
PROGRAM = ["uv", "run", "lossbench"] if "UV" in os.environ else ["lossbench"]


def compare(command: Compare, line: str) -> int:
    """Run `lossbench compare`, alone or as one of torchrun's processes, and return the exit
    code."""
    # Imported here, because torch takes seconds and --help should not.
    from lossbench.benchmarks.training.executors import torchrun as on_torchrun

    if command.resume is not None and experiment_settings(command) != CompareConfig():
        raise UserError(
            f"--resume {command.resume}: the experiment goes on with the settings that it was "
            "begun with; give no other flag but --executor"
        )
    if not on_torchrun.has_several_processes():
        return print_status(train_comparison(command, line))
    if command.executor == "ray":
        raise UserError("--executor ray: Ray and torchrun both spread work; use one of them")
    if command.resume is None and command.name is None:
        raise UserError(
            "several processes of torchrun: give the experiment a --name, by which it "
            "is found again when one of them has died"
        )
    with on_torchrun.process_group() as number:
        return print_status(train_comparison(command, line)) if number == 0 else follow()


def train_comparison(command: Compare, line: str) -> ExperimentStatus:
    """Start or resume a comparison in this process, or as the leader of several."""
    from lossbench.benchmarks.console import Reporter
    from lossbench.benchmarks.training.executors import torchrun as on_torchrun

    from . import compare as comparison

    directory = command.resume
    if directory is None and on_torchrun.has_several_processes() and on_torchrun.was_restarted():
        # Where there is none yet, the processes that are dead had not come so far.
        named = command.runs / str(command.name)
        directory = named if named.is_dir() else None
    with open_executor(command) as executor:
        if directory is None:
            return comparison.compare(experiment_settings(command), line, Reporter(), executor)
        return comparison.resume(directory, line, Reporter(), executor)


def follow() -> int:
    """Take part in a comparison that another process leads, without output."""
    from rich.console import Console

    from lossbench.benchmarks.console import Reporter
    from lossbench.benchmarks.training.executors import torchrun as on_torchrun

    with open(os.devnull, "w") as nowhere:
        on_torchrun.follow(Reporter(Console(file=nowhere)))
    return 0


def open_executor(command: Compare) -> contextlib.AbstractContextManager[Executor]:
    """Return a context manager of the executor that trains the runs."""
    from lossbench.benchmarks.training.executors import local
    from lossbench.benchmarks.training.executors import torchrun as on_torchrun

    if command.executor == "ray":
        from lossbench.benchmarks.training.executors.ray import cluster

        return cluster()
    return contextlib.nullcontext(
        on_torchrun.lead if on_torchrun.has_several_processes() else local.run_locally
    )


def plan(command: Plan, line: str) -> int:
    """Run `lossbench plan`: print one command per run."""
    from lossbench.benchmarks.console import Reporter

    from .plan import create_plan

    with Reporter() as reporter:
        planned = create_plan(experiment_settings(command), line, reporter)
    for number in range(len(planned.runs)):
        print(shlex.join([*PROGRAM, "run-one", str(planned.directory), str(number)]))
    return 0


def train_part(command: RunOne | Collect) -> int:
    """Run `lossbench run-one` or `lossbench collect`."""
    from lossbench.benchmarks.console import Reporter

    from .plan import collect, run_one

    if isinstance(command, Collect):
        return print_status(collect(command.directory, Reporter()))
    ended = run_one(command.directory, command.number, Reporter())
    for failure in ended.failed:
        print(f"lossbench: {failure}", file=sys.stderr)
    if ended.interrupted:
        print("lossbench: interrupted; the same command goes on", file=sys.stderr)
        return 128 + ended.interrupted
    return 1 if ended.failed else 0


def experiment_settings(command: CompareConfig) -> CompareConfig:
    """Return the settings of the experiment, without those of the command line alone."""
    names = [field.name for field in dataclasses.fields(CompareConfig)]
    return CompareConfig(**{name: getattr(command, name) for name in names})


def print_status(ended: ExperimentStatus) -> int:
    """Print the table of an experiment and how to resume it; return the exit code."""
    from rich.console import Console

    from lossbench.benchmarks.report.table import terminal_table

    directory = ended.directory
    if ended.finished:
        # A pipe has no width of its own, and whoever reads the file wants every column.
        console = Console(width=None if sys.stdout.isatty() else 110)
        console.print(terminal_table(directory, width=console.width))
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
            f"finished; failure.txt of one that failed says where; to go on: {again}",
            file=sys.stderr,
        )
    return 1 if ended.failed else 0


def tune(config: TuneConfig, command: str) -> int:
    """Run `lossbench tune`: print the accuracy of each learning rate."""
    from lossbench.benchmarks.console import Reporter

    from . import tune as tuning

    directory = tuning.tune(config, command, Reporter())
    about = tuning.read(directory / "tuning.json")
    print(f"Validation accuracy in % for each learning rate, mean of {about['seeds']} seeds")
    print_table(tuning.table(about))
    print("".join(f"{note}\n" for note in tuning.notes(about)), end="")
    print(f"\nSearch  {directory / 'tuning.md'}")
    return 0


def print_table(found: Any) -> None:
    """Print a table of `report.document`."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="")
    for column, number in zip(found.columns, found.numeric, strict=True):
        table.add_column(Text(column), justify="right" if number else "left", no_wrap=True)
    for row in found.rows:
        table.add_row(*map(str, row))
    Console(width=None if sys.stdout.isatty() else 110).print(table, highlight=False)


def evidence(command: Evidence, line: str) -> int:
    """Run `lossbench evidence`: list the claims or examine some."""
    from lossbench.benchmarks.evidence.runner import CLAIMS, claim_of, claims_of, examine

    if not command.names:
        width = max(map(len, CLAIMS))
        for claim in map(claim_of, CLAIMS):
            print(f"{claim.name:{width}}  {claim.question}")
        print(f"\n{shlex.join([*PROGRAM, 'evidence', 'all'])} examines them all.")
        return 0
    from lossbench.benchmarks.console import Reporter
    from lossbench.benchmarks.training.checks import resolve_device

    if command.workers is not None and command.workers < 1:
        raise UserError(f"--workers {command.workers}: must be at least 1")
    done = examine(
        claims_of(command.names),
        command.budget,
        command.runs,
        resolve_device(command.device),
        command.workers,
        line,
        Reporter(),
    )
    width = max(len(each.claim.name) for each in done)
    for each in done:
        print(f"{each.claim.name:{width}}  {each.finding.verdict:13}  {each.finding.sentence}")
    print(f"\nReport  {command.runs / 'evidence' / 'report.html'}")
    return 0


def report(command: Report) -> int:
    """Run `lossbench report`: print the paths of the pages."""
    from lossbench.benchmarks.report.combined import write_reports as write

    if not command.directories:
        raise UserError("report: name at least one directory that compare or evidence wrote")
    for path in write(command.directories, command.output):
        print(path)
    return 0


def speed(command: Speed) -> int:
    """Run `lossbench speed`: print the table of measured ratios and targets."""
    from datetime import datetime

    from lossbench.benchmarks.records.experiment import make_runs_directory
    from lossbench.benchmarks.speed import table as speed_table

    if not 0 < command.seconds < math.inf:
        raise UserError(f"--seconds {command.seconds:g}: must be above 0 and finite")
    targets = speed_table.select(command.only)
    make_runs_directory(command.runs)
    found = list(
        speed_table.measure(targets, command.seconds, lambda line: print(line, file=sys.stderr))
    )
    print_table(speed_table.table(found))
    print("".join(f"{note}\n" for note in speed_table.notes(found)), end="")
    print(f"\nTable  {speed_table.write(found, command.runs, datetime.now()) / 'speed.md'}")
    return 0


def catalogue(command: Catalogue) -> int:
    """Run `lossbench catalogue`: print the paths of the page and its figure."""
    if not command.output.is_dir():
        raise UserError(
            f"{command.output} is no directory: run this in a clone of the repository, or name "
            "one with --output"
        )
    from lossbench.benchmarks.curves import page

    print("measuring every loss against 160 digits: a few minutes", file=sys.stderr)
    for path in page.write(command.output):
        print(path)
    return 0
