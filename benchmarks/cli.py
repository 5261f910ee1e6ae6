"""The command `lossbench`: parse the command line, run the command, return the exit code."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Annotated, Any

import tyro

from .cli_errors import one_line_error
from .cli_help import WIDE, help_page
from .config import TuneConfig
from .errors import UserError, one_line, unknown_name
from .presets import PRESETS
from .subcommands import (
    PROGRAM,
    ArticleCommand,
    CatalogueCommand,
    CollectCommand,
    CompareCommand,
    EvidenceCommand,
    PlanCommand,
    PresetFlag,
    ReportCommand,
    RunOneCommand,
    SpeedCommand,
    ViewCommand,
)

DESCRIPTION = """Why are classifiers trained with cross-entropy? Measure it.

lossbench COMMAND --help describes a command; lossbench --version prints the version."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    The code is 0, 1 if a run has failed or a loss is slower now, 2 for a user's mistake, 130 after
    Ctrl-C, 143 after SIGTERM.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        # A letter that the terminal lacks must not end the command.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, raise_terminated)
        return run(parse(words), shlex.join([*PROGRAM, *words]))
    except UserError as error:
        print(f"lossbench: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader closed the pipe. Python would report it again when it flushes its buffers.
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
    """Raised on SIGTERM, so that files and processes are closed as after Ctrl-C."""


def raise_terminated(_number: int, _frame: FrameType | None) -> None:
    """Raise TerminatedError; the handler of SIGTERM."""
    raise TerminatedError


def run(command: Any, line: str) -> int:
    """Run a parsed command.

    Each command imports its own modules here: importing torch takes seconds, and --help needs none.

    Args:
        command: one of the command dataclasses.
        line: the command line as it was typed.

    Returns:
        The exit code.
    """
    # Known without torch, whose import takes seconds.
    if "TORCHELASTIC_RUN_ID" in os.environ and not isinstance(command, CompareCommand):
        refuse_torchrun()
    match command:
        case CompareCommand():
            from .commands import compare

            return compare.run(command, line)
        case PlanCommand():
            from .commands import plan

            return plan.run(command, line)
        case RunOneCommand() | CollectCommand():
            from .commands import plan

            return plan.train_part(command)
        case TuneConfig():
            from .commands import tune

            return tune.run(command, line)
        case EvidenceCommand():
            from .commands import evidence

            return evidence.run(command, line)
        case ReportCommand():
            from .commands import report

            return report.run(command)
        case SpeedCommand():
            from .commands import speed

            return speed.run(command)
        case ViewCommand():
            from .commands import view

            return view.run(command)
        case ArticleCommand():
            from .commands import article

            return article.run(command)
    from .commands import catalogue

    return catalogue.run(command)


def refuse_torchrun() -> None:
    """Raise UserError if torchrun started several processes, since each would do all the work."""
    from .training.executors import torchrun

    if torchrun.has_several_processes():
        raise UserError(
            "several processes of torchrun: `compare` alone shares its work among them; start "
            "this command once, without torchrun"
        )


def parse(arguments: list[str]) -> Any:
    """Parse the command line into a command dataclass. Raises UserError."""
    preset = preset_fields(arguments)
    commands = (
        Annotated[CompareCommand, tyro.conf.subcommand("compare", default=CompareCommand(**preset))]
        | Annotated[PlanCommand, tyro.conf.subcommand("plan", default=PlanCommand(**preset))]
        | Annotated[RunOneCommand, tyro.conf.subcommand("run-one")]
        | Annotated[CollectCommand, tyro.conf.subcommand("collect")]
        | Annotated[TuneConfig, tyro.conf.subcommand("tune")]
        | Annotated[EvidenceCommand, tyro.conf.subcommand("evidence")]
        | Annotated[ReportCommand, tyro.conf.subcommand("report")]
        | Annotated[ViewCommand, tyro.conf.subcommand("view")]
        | Annotated[SpeedCommand, tyro.conf.subcommand("speed")]
        | Annotated[CatalogueCommand, tyro.conf.subcommand("catalogue")]
        | Annotated[ArticleCommand, tyro.conf.subcommand("article")]
    )
    stderr = io.StringIO()
    # In UTF-8, because the frames that tyro draws with other letters vary.
    printed = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    width = shutil.get_terminal_size().columns
    try:
        with (
            contextlib.redirect_stderr(stderr),
            contextlib.redirect_stdout(printed),
            columns(WIDE),
        ):
            return tyro.cli(
                commands, prog="lossbench", description=DESCRIPTION, args=arguments or ["--help"]
            )
    except SystemExit as end:
        if end.code:
            raise UserError(one_line_error(stderr.getvalue(), arguments[0])) from None
        page = printed.buffer.getvalue().decode()
        print(help_page(page, width) if "╭" in page else page, end="")
        raise


@contextlib.contextmanager
def columns(number: str) -> Iterator[None]:
    """Pretend that the terminal has this width."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = number
    try:
        yield
    finally:
        del os.environ["COLUMNS"]
        if before is not None:
            os.environ["COLUMNS"] = before


def preset_fields(arguments: list[str]) -> dict[str, Any]:
    """Return the settings of the preset that the command line names, if any.

    They are the defaults of `compare` and `plan`, so that flags beside the preset override it.
    """
    try:
        flag, _ = tyro.cli(
            PresetFlag,
            args=arguments,
            add_help=False,
            console_outputs=False,
            return_unknown_args=True,
        )
    except SystemExit:  # no name follows the flag: the parser of the command reports it
        return {}
    if flag.preset is None:
        return {}
    if flag.preset not in PRESETS:
        raise unknown_name("preset", flag.preset, PRESETS)
    return {"preset": flag.preset, "start": "normal", **PRESETS[flag.preset]}


if __name__ == "__main__":
    sys.exit(main())
