"""The command `lossbench`, and nothing else."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

import tyro

from .config import Comparison
from .errors import UserError, one_line


@dataclass(frozen=True)
class View:
    """Open TensorBoard on finished and running experiments."""

    runs: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("runs")
    """Directory of the experiments, or one experiment."""
    port: int = 6006
    """Port on this machine that TensorBoard answers on."""


@dataclass(frozen=True)
class Catalogue:
    """Write the catalogue of losses: a page from the registry, its picture, measured errors."""

    output: Annotated[Path, tyro.conf.arg(metavar="DIR")] = Path("losses")
    """Directory that README.md and catalogue.png are written to."""


# Under `uv run` the command is not on the user's PATH.
PROGRAM = ["uv", "run", "lossbench"] if "UV" in os.environ else ["lossbench"]

Command = (
    Annotated[Comparison, tyro.conf.subcommand("compare")]
    | Annotated[View, tyro.conf.subcommand("view")]
    | Annotated[Catalogue, tyro.conf.subcommand("catalogue")]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 2 for a user's mistake, 130 for Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        command = parse(given)
        if isinstance(command, View):
            return view(command)
        if isinstance(command, Catalogue):
            return catalogue(command)
        return compare(command, shlex.join([*PROGRAM, *given]))
    except UserError as error:
        print(f"lossbench: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # a disk that is full, a directory that went away
        print(f"lossbench: {one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("lossbench: interrupted", file=sys.stderr)
        return 130


def parse(arguments: list[str]) -> Comparison | View | Catalogue:
    """The command line as one of the configurations. Raises UserError for one that is wrong."""
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(
                Command,
                prog="lossbench",
                description="Why are classifiers trained with cross-entropy? Measure it.",
                args=arguments or ["--help"],
            )
    except SystemExit as end:
        if end.code:
            raise UserError(unboxed(complaint.getvalue())) from None
        raise


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


def view(command: View) -> int:
    if not command.runs.is_dir():
        raise UserError(
            f"{command.runs} is no directory: run 'lossbench compare' first, or name one with "
            "--runs"
        )
    if not 0 < command.port < 65536:
        raise UserError(f"--port {command.port}: must be from 1 to 65535")
    shown = urlencode(
        {"runFilter": "seed0", "tagFilter": "accuracy|logit_(mean|when)|parameter_norm"}
    )
    print(f"One seed of each loss: http://localhost:{command.port}/?{shown}#timeseries", flush=True)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tensorboard.main"),
            *("--logdir", str(command.runs), "--port", str(command.port)),
        ]
    )
    return done.returncode


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
