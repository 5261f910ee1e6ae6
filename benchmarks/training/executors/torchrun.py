"""Train each run on the processes that torchrun started: each takes its part of every batch.

Rank 0 alone writes, decides and prints. The others follow it step by step.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch.distributed import PrefixStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.records.reading import read_description
from lossbench.benchmarks.training.distributed import any_rank, broadcast
from lossbench.benchmarks.training.interruption import Interruption
from lossbench.benchmarks.training.plan import Plan, parse_plan
from lossbench.benchmarks.training.progress import Progress
from lossbench.benchmarks.training.recorder import (
    RunFailedError,
    RunInterruptedError,
    train_recorded,
)
from lossbench.benchmarks.training.train import Callback, Trainer, train


def has_several_processes() -> bool:
    """Tell whether torchrun started this process and others beside it."""
    # Other launchers set WORLD_SIZE as well, with another meaning.
    return "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


def was_restarted() -> bool:
    """Tell whether torchrun restarted the processes after one of them had died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


@contextmanager
def process_group() -> Iterator[int]:
    """Open the process group of torchrun's processes; gives the rank of this one."""
    backend = "gloo"
    if torch.cuda.is_available():
        devices = torch.cuda.device_count()
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % devices)
        # NCCL does not let processes share a GPU; gloo does, for trying data parallelism on one.
        if int(os.environ["LOCAL_WORLD_SIZE"]) <= devices:
            backend = "cpu:gloo,cuda:nccl"
    store, rank, world_size = next(rendezvous("env://"))
    # Keep apart from what dead processes have left in the store.
    store = PrefixStore(f"start {os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)
    dist.init_process_group(backend, store=store, rank=rank, world_size=world_size)
    try:
        yield dist.get_rank()
    finally:
        dist.destroy_process_group()


def lead(plan: Plan, configs: Sequence[RunConfig], progress: Progress) -> None:
    """Train runs one after the other on all ranks; the other ranks call `follow`.

    Raises:
        UserError: a run failed. It leaves the other ranks in the middle of a step.
    """
    broadcast((read_description(plan.directory), plan.directory, list(configs)))
    for config in configs:
        try:
            result = train_recorded(plan, config, progress)
        except (RunInterruptedError, KeyboardInterrupt):
            return
        except RunFailedError as failure:
            raise UserError(f"{config.loss} seed {config.seed} failed: {failure}") from None
        assert result.test is not None
        progress.finished(config, result.test.accuracy, result.seconds)


def release() -> None:
    """End `follow` on the other ranks, after the last plan."""
    broadcast(None)


def follow(reporter: Reporter) -> None:
    """Take part in the runs that rank 0 leads, until it calls `release`."""
    while work := broadcast(None):
        description, directory, configs = work
        plan = parse_plan(description, directory, reporter)
        with Interruption() as interruption:
            callbacks = [_StopWithLeader(interruption)]
            for config in configs:
                try:
                    train(config, plan.dataset, callbacks, plan.config.log_every, broadcast(None))
                except (RunInterruptedError, KeyboardInterrupt):
                    break


class _StopWithLeader(Callback):
    """Write nothing, and stop when any rank is interrupted."""

    def __init__(self, interruption: Interruption) -> None:
        self.interruption = interruption

    def on_step_end(self, trainer: Trainer) -> None:
        if trainer.is_resumable and any_rank(self.interruption.signal is not None):
            raise RunInterruptedError
