"""Runs on several processes, as torchrun starts them: each takes its share of every batch.

The first process leads: it alone writes, decides and tells. The others follow it step by step.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch.distributed import PrefixStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from lossbench.benchmarks.commands.compare import RunFailedError, Runs, train_one
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.records.reading import read_description
from lossbench.benchmarks.training.checkpoint import State
from lossbench.benchmarks.training.distributed import any_rank, broadcast
from lossbench.benchmarks.training.interruption import Interruption
from lossbench.benchmarks.training.plan import plan_of
from lossbench.benchmarks.training.recorder import RunInterruptedError
from lossbench.benchmarks.training.result import RunConfig
from lossbench.benchmarks.training.train import Callback, train


def started_together() -> bool:
    """Whether this process is one of several that torchrun has started."""
    # Others set WORLD_SIZE as well, and mean something else.
    return "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


def restarted() -> bool:
    """Whether torchrun has started them again, after one of them had died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


@contextmanager
def group() -> Iterator[int]:
    """While this is open, the processes can talk to each other; gives this one's number."""
    backend = "gloo"
    if torch.cuda.is_available():
        devices = torch.cuda.device_count()
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % devices)
        # NCCL does not let processes share a GPU, which is of use to try things out.
        if int(os.environ["LOCAL_WORLD_SIZE"]) <= devices:
            backend = "cpu:gloo,cuda:nccl"
    store, number, count = next(rendezvous("env://"))
    # What processes that are dead have left in the store is not for those after them.
    store = PrefixStore(f"start {os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)
    dist.init_process_group(backend, store=store, rank=number, world_size=count)
    try:
        yield dist.get_rank()
    finally:
        dist.destroy_process_group()


def lead(runs: Runs, trials: Sequence[RunConfig]) -> None:
    """One after the other on all processes that torchrun has started; the others `follow`."""
    broadcast((read_description(runs.plan.directory), runs.plan.directory, list(trials)))
    for trial in trials:
        try:
            accuracy, seconds = train_one(
                runs.plan, trial, lambda: any_rank(runs.stop()), runs.moved, runs.say
            )
        except (RunInterruptedError, KeyboardInterrupt):
            return
        except RunFailedError as failure:
            # The others wait for this one in the middle of a step: all have to end.
            raise UserError(f"{trial.loss} seed {trial.seed} failed: {failure}") from None
        runs.finished(trial, accuracy, seconds)


def follow(reporter: Reporter) -> None:
    """Take part in what another process leads, until that is over."""
    about, directory, trials = broadcast(None)
    plan = plan_of(about, directory, reporter)
    with Interruption() as interruption:
        watch = Follower(lambda: any_rank(interruption.asked is not None))
        for trial in trials:
            try:
                train(trial, plan.material, watch, plan.config.log_every, broadcast(None))
            except (RunInterruptedError, KeyboardInterrupt):
                return


class Follower(Callback):
    """Writes nothing, and ends with the leader."""

    def __init__(self, stop: Callable[[], bool]) -> None:
        self.stop = stop

    def stepped(self, _state: Callable[[], State]) -> None:
        if self.stop():
            raise RunInterruptedError
