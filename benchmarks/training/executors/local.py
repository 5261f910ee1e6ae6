"""Train the runs of an experiment in this process."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import takewhile

import torch

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.records.results import append_tables, gather_tables
from lossbench.benchmarks.training.network import is_builtin
from lossbench.benchmarks.training.plan import Plan
from lossbench.benchmarks.training.progress import Progress
from lossbench.benchmarks.training.recorder import recorded_trainer

from .cuda_streams import run_all
from .update import run_outcome


def run_locally(
    plan: Plan,
    configs: Sequence[RunConfig],
    progress: Progress,
    tables: bool = True,
    limit: int | None = None,
) -> None:
    """Train runs in this process.

    Args:
        plan: of the experiment.
        configs: the runs.
        progress: shows and counts them.
        tables: whether to append the rows of a finished run to the tables of the experiment. Not
            while other processes train other runs of it.
        limit: runs that take their steps in turn; None: on a CUDA device as many as fit into its
            memory, elsewhere one.

    Raises:
        UserError: another process is writing a run.
        OSError: a file cannot be written.
    """
    directories = dict(zip(plan.runs, plan.run_directories, strict=True))
    if tables:
        gather_finished(plan, configs)
    # A loss or model of the user's own may draw from the process-wide random numbers.
    limit = limit if all(map(is_builtin, configs)) else 1
    runs = (
        (config, partial(recorded_trainer, plan, config, progress))
        for config in takewhile(lambda _: not progress.should_stop(), configs)
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(plan.threads)
    try:
        for config, ended in run_all(runs, plan.device, limit):
            outcome = run_outcome(ended.result)
            outcome.show(config, progress)
            if tables and outcome.result is not None:
                append_tables(plan.directory, directories[config])
    except KeyboardInterrupt:
        return
    finally:
        torch.set_num_threads(threads)
    if progress.error is not None:
        raise progress.error


def gather_finished(plan: Plan, missing: Sequence[RunConfig]) -> None:
    """Write the tables of the experiment from all runs but the missing ones."""
    directories, left_out = zip(plan.runs, plan.run_directories, strict=True), set(missing)
    gather_tables(plan.directory, [path for config, path in directories if config not in left_out])
