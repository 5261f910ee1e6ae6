"""Command `compare`: train every loss with every seed and report."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from lossbench.benchmarks.config import CompareConfig
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.records import experiment
from lossbench.benchmarks.records.files import write_json
from lossbench.benchmarks.records.reading import EXPERIMENT_FILE, read_description
from lossbench.benchmarks.training.executors.local import run_locally
from lossbench.benchmarks.training.plan import Plan, load_plan
from lossbench.benchmarks.training.progress import Executor, ExperimentStatus, train_runs

from .plan import create_plan
from .results import experiment_lock, write_results


def compare(
    config: CompareConfig, command: str, reporter: Reporter, executor: Executor = run_locally
) -> ExperimentStatus:
    """Run a comparison and write its report, if a run is finished.

    Args:
        config: its settings.
        command: the command line, for the record.
        reporter: for messages and the live table.
        executor: trains the runs.

    Raises:
        UserError: a setting is wrong, the images are missing, or the directory cannot be written.
    """
    with reporter:
        plan = create_plan(config, command, reporter)
        with experiment_lock(plan.directory):
            return _train_and_report(plan, reporter, executor)


def resume(
    directory: Path, command: str, reporter: Reporter, executor: Executor = run_locally
) -> ExperimentStatus:
    """Resume the unfinished runs of an experiment, failed ones included.

    Args:
        directory: of the experiment.
        command: the command line, for the record.
        reporter: for messages and the live table.
        executor: trains the runs.

    Raises:
        UserError: the experiment cannot be resumed, or another process is writing it.
    """
    with reporter:
        plan = load_plan(directory, reporter)
        with experiment_lock(directory):
            note_resumption(plan, command, reporter)
            return _train_and_report(plan, reporter, executor)


def _train_and_report(plan: Plan, reporter: Reporter, executor: Executor) -> ExperimentStatus:
    status = train_runs(plan, reporter, executor)
    write_results(plan, status)
    return status


def note_resumption(plan: Plan, command: str, reporter: Reporter) -> None:
    """Add the date to experiment.json, and every version or hardware that has changed.

    The last bits of a number can depend on them, so that changes are also printed.
    """
    description = read_description(plan.directory)
    now = experiment.facts(command, datetime.now().astimezone(), plan.device)
    changed = [key for key in ("versions", "hardware", "git") if now[key] != description.get(key)]
    if changed:
        reporter.say(
            f"{', '.join(changed)}: changed since {plan.directory} was begun, see "
            f"{EXPERIMENT_FILE}; the last bits of the results can differ"
        )
    entry = {"date": now["date"], **{key: now[key] for key in changed}}
    resumed = [*description.get("resumed", []), entry]
    write_json(plan.directory / EXPERIMENT_FILE, description | {"resumed": resumed})
