"""The command `lossbench`: parse the command line, run the command, return the exit code."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math
import os
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from .cli_errors import one_line_error
from .config import CompareConfig, TuneConfig
from .errors import UserError, one_line, unknown_name
from .presets import PRESETS
from .subcommands import (
    Catalogue,
    Collect,
    Compare,
    Evidence,
    Plan,
    PresetFlag,
    Report,
    RunOne,
    Speed,
    View,
)

if TYPE_CHECKING:
    from .training.progress import Executor, ExperimentStatus

# Under `uv run` the command is not on the user's PATH.
PROGRAM = ["uv", "run", "lossbench"] if "UV" in os.environ else ["lossbench"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    The code is 0, 1 if a run has failed, 2 for a user's mistake, 130 after Ctrl-C, 143 after
    SIGTERM.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        # What a terminal has no letter for is no reason to end without a result.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, raise_terminated)
        return run(parse(given), shlex.join([*PROGRAM, *given]))
    except UserError as error:
        print(f"lossbench: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Who read has seen enough. Python would say so again when it empties its buffers.
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return 128 + 13  # SIGPIPE, which Windows has no name for
    except OSError as error:  # a disk that is full, a directory that went away
        print(f"lossbench: {one_line(error)}", file=sys.stderr)
        return 2
    except TerminatedError:
        print("lossbench: terminated", file=sys.stderr)
        return 128 + signal.SIGTERM
    except KeyboardInterrupt:
        print("lossbench: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT


class TerminatedError(KeyboardInterrupt):
    """Raised by SIGTERM. It unwinds what Ctrl-C unwinds."""


def raise_terminated(_number: int, _frame: FrameType | None) -> None:
    """Raise TerminatedError; the handler of SIGTERM."""
    raise TerminatedError


def run(command: Any, line: str) -> int:
    """Run a parsed command.

    Args:
        command: one of the command dataclasses.
        line: the command line as it was typed.

    Returns:
        The exit code.
    """
    # Known without torch, whose import takes seconds.
    if "TORCHELASTIC_RUN_ID" in os.environ and not isinstance(command, Compare):
        refuse_torchrun()
    computes = isinstance(command, CompareConfig | RunOne | TuneConfig | Speed | Catalogue)
    if computes or (isinstance(command, Evidence) and command.names):
        # Here, because a worker process would build them too.
        from lossbench.losses import kernels

        kernels.ensure(lambda said: print(f"lossbench: {said}", file=sys.stderr))
    match command:
        case Compare():
            return compare(command, line)
        case Plan():
            return plan(command, line)
        case RunOne() | Collect():
            return train_part(command)
        case TuneConfig():
            return tune(command, line)
        case Evidence():
            return evidence(command, line)
        case Report():
            return report(command)
        case Speed():
            return speed(command)
        case View():
            from .commands.view import view

            return view(command.runs, command.port, command.every_seed)
    return catalogue(command)


def refuse_torchrun() -> None:
    """Raise UserError if torchrun started several processes, since each would do all the work."""
    from .training.executors import torchrun as on_torchrun

    if on_torchrun.has_several_processes():
        raise UserError(
            "several processes of torchrun: `compare` alone shares its work among them; start "
            "this command once, without torchrun"
        )


def parse(arguments: list[str]) -> Any:
    """Parse the command line into a command dataclass. Raises UserError."""
    default = preset_defaults(arguments)
    commands = (
        Annotated[Compare, tyro.conf.subcommand("compare", default=default)]
        | Annotated[Plan, tyro.conf.subcommand("plan")]
        | Annotated[RunOne, tyro.conf.subcommand("run-one")]
        | Annotated[Collect, tyro.conf.subcommand("collect")]
        | Annotated[TuneConfig, tyro.conf.subcommand("tune")]
        | Annotated[Evidence, tyro.conf.subcommand("evidence")]
        | Annotated[Report, tyro.conf.subcommand("report")]
        | Annotated[View, tyro.conf.subcommand("view")]
        | Annotated[Speed, tyro.conf.subcommand("speed")]
        | Annotated[Catalogue, tyro.conf.subcommand("catalogue")]
    )
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(
                commands,
                prog="lossbench",
                description="Why are classifiers trained with cross-entropy? Measure it.",
                args=arguments or ["--help"],
            )
    except SystemExit as end:
        if end.code:
            raise UserError(one_line_error(complaint.getvalue(), arguments[0])) from None
        raise


def preset_defaults(arguments: list[str]) -> Compare:
    """Return the defaults of `compare`: those of the preset that the command line names, if any."""
    try:
        flag, _ = tyro.cli(
            PresetFlag,
            args=arguments,
            add_help=False,
            console_outputs=False,
            return_unknown_args=True,
        )
    except SystemExit:  # no name follows the flag: the parser of the command reports it
        return Compare()
    if flag.preset is None:
        return Compare()
    if flag.preset not in PRESETS:
        raise unknown_name("preset", flag.preset, PRESETS)
    return Compare(preset=flag.preset, **PRESETS[flag.preset])


def compare(command: Compare, line: str) -> int:
    """Run `lossbench compare`, alone or as one of torchrun's processes, and return the exit
    code."""
    # Imported here, because torch takes seconds and --help should not.
    from .training.executors import torchrun as on_torchrun

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
    from .commands import compare as comparison
    from .console import Reporter
    from .training.executors import torchrun as on_torchrun

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

    from .console import Reporter
    from .training.executors import torchrun as on_torchrun

    with open(os.devnull, "w") as nowhere:
        on_torchrun.follow(Reporter(Console(file=nowhere)))
    return 0


def open_executor(command: Compare) -> contextlib.AbstractContextManager[Executor]:
    """Return a context manager of the executor that trains the runs."""
    from .training.executors import local
    from .training.executors import torchrun as on_torchrun

    if command.executor == "ray":
        from .training.executors.ray import cluster

        return cluster()
    return contextlib.nullcontext(
        on_torchrun.lead if on_torchrun.has_several_processes() else local.run_locally
    )


def plan(command: Plan, line: str) -> int:
    """Run `lossbench plan`: print one command per run."""
    from .commands.plan import create_plan
    from .console import Reporter

    with Reporter() as reporter:
        planned = create_plan(experiment_settings(command), line, reporter)
    for number in range(len(planned.runs)):
        print(shlex.join([*PROGRAM, "run-one", str(planned.directory), str(number)]))
    return 0


def train_part(command: RunOne | Collect) -> int:
    """Run `lossbench run-one` or `lossbench collect`."""
    from .commands.plan import collect, run_one
    from .console import Reporter

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

    from .report.table import terminal_table

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
    from .commands import tune as tuning
    from .console import Reporter

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
    from .evidence.runner import CLAIMS, claim_of, claims_of, examine

    if not command.names:
        width = max(map(len, CLAIMS))
        for claim in map(claim_of, CLAIMS):
            print(f"{claim.name:{width}}  {claim.question}")
        print(f"\n{shlex.join([*PROGRAM, 'evidence', 'all'])} examines them all.")
        return 0
    from .console import Reporter
    from .training.checks import resolve_device

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
    from .report.combined import write_reports as write

    if not command.directories:
        raise UserError("report: name at least one directory that compare or evidence wrote")
    for path in write(command.directories, command.output):
        print(path)
    return 0


def speed(command: Speed) -> int:
    """Run `lossbench speed`: print the table of measured ratios and targets."""
    from datetime import datetime

    from .records.experiment import make_runs_directory
    from .speed import table as speed_table

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
    from .curves import page

    print("measuring every loss against 160 digits: a few minutes", file=sys.stderr)
    for path in page.write(command.output):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
