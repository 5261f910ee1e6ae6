"""`lossbench compare`: train every loss with every seed and report."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from lossbench.benchmarks.config import CompareConfig, Start
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.records import experiment
from lossbench.benchmarks.records.files import write_json
from lossbench.benchmarks.records.reading import (
    EXPERIMENT_FILE,
    experiments_in,
    read_description,
)
from lossbench.benchmarks.report.combined import write_reports
from lossbench.benchmarks.report.comparison import SUMMARY_FILE, Comparison
from lossbench.benchmarks.subcommands import CompareCommand
from lossbench.benchmarks.training.executors import torchrun
from lossbench.benchmarks.training.executors.processes import local_executor
from lossbench.benchmarks.training.plan import Plan, load_plan
from lossbench.benchmarks.training.progress import Executor, ExperimentStatus, train_runs

from .plan import create_plans, experiment_settings
from .results import experiment_lock, explain_disk_errors, print_status, write_results


def run(command: CompareCommand, line: str) -> int:
    """Run the command, alone or as one of torchrun's processes, and return the exit code."""
    # As typed: a flag with its default value may differ from the experiment's.
    typed = {word.partition("=")[0] for word in shlex.split(line) if word.startswith("--")}
    if command.resume is not None and typed - {"--resume", "--executor", "--workers", "--data"}:
        raise UserError(
            f"--resume {command.resume}: the experiment resumes with the settings that it was "
            "begun with; give no other flag but --executor, --workers, and --data if the images "
            "have moved"
        )
    if command.workers is not None:
        if command.workers < 1:
            raise UserError(f"--workers {command.workers}: must be at least 1")
        if command.executor == "ray" or torchrun.has_several_processes():
            raise UserError("--workers: Ray and torchrun have their own; leave it out")
    if not torchrun.has_several_processes():
        return print_status(train_comparison(command, line))
    if command.executor == "ray":
        raise UserError("--executor ray: Ray and torchrun both spread work; use one of them")
    if command.resume is None and command.name is None:
        raise UserError(
            "several processes of torchrun: give the experiment a --name, by which it "
            "is found again when one of them has died"
        )
    with torchrun.process_group() as number:
        if number:
            return follow()
        status = print_status(train_comparison(command, line))
        torchrun.release()
        return status


def train_comparison(command: CompareCommand, line: str) -> list[ExperimentStatus]:
    """Start or resume a comparison in this process, or as the leader of several; return the status
    of each of its experiments."""
    directory = command.resume
    if directory is None and torchrun.has_several_processes() and torchrun.was_restarted():
        # It is missing if the processes died before they had made it.
        named = command.runs / str(command.name)
        directory = named if named.is_dir() else None
    with open_executor(command) as executor, Reporter() as reporter:
        if directory is None:
            plans = create_plans(*starts_of(command), line, reporter)
        else:
            data = command.data if command.resume is not None else None
            plans = [reopen(each, line, reporter, data) for each in experiments_in(directory)]
        return train_plans(plans, reporter, executor)


def starts_of(command: CompareCommand) -> tuple[CompareConfig, tuple[Start, ...]]:
    """Return the settings of an experiment, and the starts of those to be made."""
    both: tuple[Start, ...] = ("normal", "confidently-wrong")
    starts = both if command.start == "both" else (command.start,)
    return replace(experiment_settings(command), start=starts[0]), starts


def train_plans(
    plans: Sequence[Plan], reporter: Reporter, executor: Executor
) -> list[ExperimentStatus]:
    """Train and report experiments one after the other, until one is interrupted.

    Those that were made together get a report of all of them, in the directory above theirs.

    Returns:
        The status of each, of those that were not begun as well.
    """
    ended: list[ExperimentStatus] = []
    reported: dict[Path, Comparison] = {}
    for plan in plans:
        if ended and ended[-1].interrupted:
            signal = ended[-1].interrupted
            ended.append(ExperimentStatus(plan.directory, len(plan.runs), interrupted=signal))
            continue
        with experiment_lock(plan.directory):
            ended.append(train_runs(plan, reporter, executor))
            if (comparison := write_results(plan, ended[-1])) is not None:
                reported[plan.directory.resolve()] = comparison
    write_combined(plans[0].directory, reported)
    return ended


def write_combined(directory: Path, known: Mapping[Path, Comparison]) -> None:
    """Write the report of all experiments that were made together with the one in `directory`.

    They lie beside it; nothing is written if there is no other one, or none has a report.

    Args:
        directory: of one of them.
        known: comparisons whose reports were just written, by resolved directory.
    """
    home = directory.resolve().parent
    together = experiments_in(home)
    reported = [each for each in together if (each / SUMMARY_FILE).is_file()]
    if len(together) > 1 and directory.resolve() in together and reported:
        with explain_disk_errors(home):
            write_reports(reported, home, known)


def open_executor(command: CompareCommand) -> AbstractContextManager[Executor]:
    """Return a context manager that gives the executor: Ray, torchrun's processes or this
    machine."""
    if command.executor == "ray":
        from lossbench.benchmarks.training.executors.ray import cluster

        return cluster()
    if torchrun.has_several_processes():
        return nullcontext(torchrun.lead)
    return local_executor(command.workers)


def follow() -> int:
    """Take part in a comparison that another process leads, without output."""
    torchrun.follow(Reporter.silent())
    return 0


def reopen(directory: Path, command: str, reporter: Reporter, data: str | None) -> Plan:
    """Return the plan of an experiment that is resumed, and note that in experiment.json."""
    plan = load_plan(directory, reporter, data)
    with experiment_lock(directory):
        note_resumption(plan, command, reporter)
    return plan


def note_resumption(plan: Plan, command: str, reporter: Reporter) -> None:
    """Add the date to experiment.json, and every version or hardware that has changed.

    The last bits of a number can depend on them, so that changes are also printed. The place of the
    images is replaced.
    """
    description = read_description(plan.directory)
    date = datetime.now().astimezone()
    now = experiment.facts(command, date, plan.device, plan.config.kernels, plan.threads)
    changed = [key for key in ("versions", "hardware", "git") if now[key] != description.get(key)]
    if changed:
        reporter.say(
            f"{', '.join(changed)}: changed since {plan.directory} was begun, see "
            f"{EXPERIMENT_FILE}; the last bits of the results can differ"
        )
    entry = {"date": now["date"], **{key: now[key] for key in changed}}
    resumed = [*description.get("resumed", []), entry]
    config = description["config"] | {"data": plan.config.data}
    changes = {"resumed": resumed, "config": config}
    write_json(plan.directory / EXPERIMENT_FILE, description | changes)
