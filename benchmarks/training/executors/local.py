"""Train the runs of an experiment in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import takewhile

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.records.results import TableAppender
from lossbench.benchmarks.training.network import is_builtin
from lossbench.benchmarks.training.plan import Plan
from lossbench.benchmarks.training.progress import Progress
from lossbench.benchmarks.training.recorder import (
    RunFailedError,
    RunInterruptedError,
    recorded_trainer,
)

from .cuda_streams import run_all


def run_locally(plan: Plan, configs: Sequence[RunConfig], progress: Progress) -> None:
    """Train runs: on a CUDA device as many at a time as fit into its memory, else one by one."""
    for _ in run_and_append(plan, configs, progress):
        pass


def run_and_append(
    plan: Plan, configs: Sequence[RunConfig], progress: Progress
) -> Iterator[RunConfig]:
    """Yield each finished run after appending it to the tables of the experiment."""
    directories = dict(zip(plan.runs, plan.run_directories, strict=True))
    missing = set(configs)
    before = [path for config, path in directories.items() if config not in missing]
    tables: TableAppender | None = None
    for config in run(plan, configs, progress):
        tables = tables or TableAppender(plan.directory, before)
        tables.add(directories[config])
        yield config


def run_without_tables(plan: Plan, configs: Sequence[RunConfig], progress: Progress) -> None:
    """Train runs while other processes may train others of the same experiment."""
    for _ in run(plan, configs, progress):
        pass


def run(plan: Plan, configs: Sequence[RunConfig], progress: Progress) -> Iterator[RunConfig]:
    """Train runs and yield each that is finished.

    Raises:
        UserError: another process is writing a run.
        OSError: a file cannot be written.
    """
    # A loss or model of the user's own may draw from the process-wide random numbers.
    limit = plan.config.at_once if all(map(is_builtin, configs)) else 1
    runs = (
        (config, partial(recorded_trainer, plan, config, progress))
        for config in takewhile(lambda _: not progress.should_stop(), configs)
    )
    errors: list[Exception] = []
    try:
        for config, ended in run_all(runs, plan.device, limit):
            try:
                result = ended.result()
            except RunInterruptedError:
                continue
            except RunFailedError as failure:
                progress.failed(config, str(failure))
            except (OSError, UserError) as error:
                # It concerns the whole experiment: the other runs save their state.
                errors.append(error)
                progress.aborted = True
            else:
                assert result.test is not None
                progress.finished(config, result.test.accuracy, result.seconds)
                yield config
    except KeyboardInterrupt:
        return
    if errors:
        raise errors[0]
