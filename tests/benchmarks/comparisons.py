"""Comparisons trained in the process of a test."""

from __future__ import annotations

from pathlib import Path

from lossbench.benchmarks.commands.compare import reopen, train_plans
from lossbench.benchmarks.commands.plan import create_plan
from lossbench.benchmarks.config import CompareConfig
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.training.executors.local import run_locally
from lossbench.benchmarks.training.progress import Executor, ExperimentStatus


def compare(
    config: CompareConfig, command: str, reporter: Reporter, executor: Executor = run_locally
) -> ExperimentStatus:
    """Run a comparison from one start and write its report, if a run is finished.

    Args:
        config: its settings.
        command: the command line, for the record.
        reporter: for messages and the live table.
        executor: trains the runs.

    Raises:
        UserError: a setting is wrong, the images are missing, or the directory cannot be written.
    """
    with reporter:
        return train_plans([create_plan(config, command, reporter)], reporter, executor)[0]


def resume(
    directory: Path,
    command: str,
    reporter: Reporter,
    executor: Executor = run_locally,
    data: str | None = None,
) -> ExperimentStatus:
    """Resume the unfinished runs of an experiment, failed ones included.

    Args:
        directory: of the experiment.
        command: the command line, for the record.
        reporter: for messages and the live table.
        executor: trains the runs.
        data: where the images are now, if they have moved.

    Raises:
        UserError: the experiment cannot be resumed, or another process is writing it.
    """
    with reporter:
        return train_plans([reopen(directory, command, reporter, data)], reporter, executor)[0]
