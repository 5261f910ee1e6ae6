"""The command `lossbench`, and nothing else."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from .config import Comparison, Tuning
from .errors import UserError, one_line, unknown_name
from .presets import PRESETS

Names = tyro.conf.Positional[tuple[str, ...]]


@dataclass(frozen=True)
class Evidence:
    """Examine the claims of the argument for cross-entropy, each by experiment.

    Without a name it lists them. Writes runs/evidence/<name>/ for each: a report with the verdict,
    which is computed from measured intervals, and what it rests on. Networks that were trained
    before are not trained again, so that what was interrupted goes on where it was.
    """

    names: Annotated[Names, tyro.conf.arg(metavar="[NAME ...]")] = ()
    """Claims to examine, or all."""
    budget: Literal["quick", "standard", "full"] = "quick"
    """quick: some minutes a claim on two cores; standard: more seeds and longer training, an
    hour or two for all; full: as much as it takes."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA where there is one."""
    workers: Annotated[
        int | None, tyro.conf.arg(metavar="N", help_behavior_hint="(default: one a core)")
    ] = None
    """Networks trained at a time on the CPU, each with one thread."""
    runs: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("runs")
    """Directory that evidence/ is made in."""


@dataclass(frozen=True)
class Report:
    """Write the report of finished experiments and claims again, and of several one page."""

    directories: Annotated[
        tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN [RUN ...]")
    ]
    """Directories that compare or evidence wrote."""
    output: Annotated[
        Path | None,
        tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: the working directory)"),
    ] = None
    """Directory of the page of several: report.html and report.md."""


@dataclass(frozen=True)
class View:
    """Open TensorBoard on finished and running experiments.

    Of a finished experiment it shows one line a loss with its band over seeds.
    """

    runs: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("runs")
    """Directory of the experiments, or one experiment."""
    port: int = 6006
    """Port on this machine that TensorBoard answers on."""
    every_seed: bool = False
    """Load the runs of every seed as well."""


@dataclass(frozen=True)
class Speed:
    """Measure how fast it is beside the alternatives: one table with the targets, in some minutes.

    Every figure is a ratio of times taken in turns in one process. Nothing else should run beside
    it. Writes runs/speed/<date>/.
    """

    only: Annotated[
        str | None, tyro.conf.arg(metavar="TEXT", help_behavior_hint="(default: all)")
    ] = None
    """The rows with this in their group (losses, memory, training, start) or name."""
    seconds: float = 1.0
    """Time spent on a row, at least; slow rows take longer."""
    runs: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("runs")
    """Directory that speed/ is made in."""


@dataclass(frozen=True)
class Catalogue:
    """Write the catalogue of losses: a page from the registry, its picture, measured errors."""

    output: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("losses")
    """Directory that README.md and catalogue.png are written to."""


# Under `uv run` the command is not on the user's PATH.
PROGRAM = ["uv", "run", "lossbench"] if "UV" in os.environ else ["lossbench"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 2 for a user's mistake, 130 for Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return run(parse(given), shlex.join([*PROGRAM, *given]))
    except UserError as error:
        print(f"lossbench: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # a disk that is full, a directory that went away
        print(f"lossbench: {one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("lossbench: interrupted", file=sys.stderr)
        return 130


def run(command: Any, line: str) -> int:
    """Do what the command says; `line` is how it was given."""
    computes = isinstance(command, Comparison | Tuning | Speed | Catalogue)
    if computes or (isinstance(command, Evidence) and command.names):
        # Here, because a worker process would build them too.
        from losses import kernels

        kernels.ensure(lambda said: print(f"lossbench: {said}", file=sys.stderr))
    match command:
        case Comparison():
            return compare(command, line)
        case Tuning():
            return tune(command, line)
        case Evidence():
            return evidence(command, line)
        case Report():
            return report(command)
        case Speed():
            return speed(command)
        case View():
            from .view import view

            return view(command.runs, command.port, command.every_seed)
    return catalogue(command)


def parse(arguments: list[str]) -> Any:
    """The command line as one of the configurations. Raises UserError for one that is wrong."""
    default = preset_of(arguments)
    commands = (
        Annotated[Comparison, tyro.conf.subcommand("compare", default=default)]
        | Annotated[Tuning, tyro.conf.subcommand("tune")]
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
            raise UserError(unboxed(complaint.getvalue())) from None
        raise


def preset_of(arguments: list[str]) -> Comparison:
    """What a comparison begins with, before its flags: the preset that they name, if any."""
    for at, argument in enumerate(arguments):
        flag, _, value = argument.partition("=")
        if flag == "--preset":
            name = value or (arguments[at + 1] if at + 1 < len(arguments) else "")
            if name not in PRESETS:
                raise unknown_name("preset", name, PRESETS)
            return Comparison(preset=name, **PRESETS[name])
    return Comparison()


def unboxed(box: str) -> str:
    """What a boxed error of tyro's says, without the box, its title and the text of --help."""
    bare = re.sub(r"\x1b\[[0-9;]*m", "", box)
    lines = [re.sub(r"[─-╿]+", " ", line).strip() for line in bare.splitlines()]
    text = " ".join(line for line in lines[1:] if line)
    text = re.sub(r"Argument helptext:.*?(?=For full helptext|$)", "", text)
    return re.sub(r"\.? *For full helptext, (?:see|run) ", "; see ", text)


def compare(config: Comparison, command: str) -> int:
    # Imported here, because torch takes seconds and --help should not.
    from rich.console import Console

    from .report import terminal_table
    from .tracking.console import Reporter
    from .training import compare as comparison

    try:
        directory, code = comparison.compare(config, command, Reporter()), 0
    except comparison.ComparisonInterruptedError as interrupted:
        print(f"lossbench: {interrupted}", file=sys.stderr)
        if not interrupted.finished:
            return 130
        directory, code = interrupted.directory, 130
    # A pipe has no width of its own, and whoever reads the file wants every column.
    console = Console(width=None if sys.stdout.isatty() else 110)
    console.print(terminal_table(directory, width=console.width))
    print(
        f"\nReport       {directory / 'report.html'}"
        f"\nTensorBoard  {shlex.join([*PROGRAM, 'view', '--runs', str(directory)])}"
    )
    return code


def tune(config: Tuning, command: str) -> int:
    from .tracking.console import Reporter
    from .training import tuning

    directory = tuning.tune(config, command, Reporter())
    about = tuning.read(directory / "tuning.json")
    print(f"Validation accuracy in % for each learning rate, mean of {about['seeds']} seeds")
    show(tuning.table(about))
    print("".join(f"{note}\n" for note in tuning.notes(about)), end="")
    print(f"\nSearch  {directory / 'tuning.md'}")
    return 0


def show(found: Any) -> None:
    """Print a table of `benchmarks.report.document`."""
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
    from .evidence.examine import CLAIMS, claim_of, claims_of, examine

    if not command.names:
        width = max(map(len, CLAIMS))
        for claim in map(claim_of, CLAIMS):
            print(f"{claim.name:{width}}  {claim.question}")
        print(f"\n{shlex.join([*PROGRAM, 'evidence', 'all'])} examines them all.")
        return 0
    from .tracking.console import Reporter
    from .training.choices import device_of

    if command.workers is not None and command.workers < 1:
        raise UserError(f"--workers {command.workers}: must be at least 1")
    done = examine(
        claims_of(command.names),
        command.budget,
        command.runs,
        device_of(command.device),
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
    from .report.combined import report as write

    if not command.directories:
        raise UserError("report: name at least one directory that compare or evidence wrote")
    for path in write(command.directories, command.output):
        print(path)
    return 0


def speed(command: Speed) -> int:
    from datetime import datetime

    from .speed import table as of_speed

    if command.seconds <= 0:
        raise UserError(f"--seconds {command.seconds:g}: must be above 0")
    found = list(
        of_speed.measured(command.only, command.seconds, lambda line: print(line, file=sys.stderr))
    )
    show(of_speed.table(found))
    print(f"\nTable  {of_speed.write(found, command.runs, datetime.now()) / 'speed.md'}")
    return 0


def catalogue(command: Catalogue) -> int:
    if not command.output.is_dir():
        raise UserError(
            f"{command.output} is no directory: run this in a clone of the repository, or name "
            "one with --output"
        )
    from .catalogue import page

    print("measuring every loss against 160 digits: a few minutes", file=sys.stderr)
    for path in page.write(command.output):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
