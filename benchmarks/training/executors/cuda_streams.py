"""Train several runs at a time in one process, so that together they keep a CUDA device busy.

A small network leaves most of a GPU idle, since each of its kernels ends soon and the next has to
wait for it. Every run has its own stream (of torch's 32; more runs share them), and the runs take
their steps in turn. The device computes side by side what the streams hold.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack
from itertools import count, islice
from typing import TypeVar

import torch

from lossbench.benchmarks.training.recorder import RunFailedError
from lossbench.benchmarks.training.result import RunResult
from lossbench.benchmarks.training.step import side_stream
from lossbench.benchmarks.training.train import Trainer

K = TypeVar("K")

START_EVERY = 8
"""Rounds after which the memory that a run needs is visible, and others may start."""


def run_all(
    runs: Iterable[tuple[K, Callable[[], AbstractContextManager[Trainer]]]],
    device: torch.device,
    limit: int | None,
) -> Iterator[tuple[K, Future[RunResult]]]:
    """Train runs concurrently; yield the key of each run that ends, and its result or error.

    Args:
        runs: key and trainer of each; a trainer is opened when there is room for it.
        device: where the runs are trained.
        limit: runs at a time; None: on CUDA as many as fit into the memory, elsewhere one.
    """
    waiting, active = iter(runs), dict[K, ActiveRun]()
    limit = limit or (None if device.type == "cuda" else 1)
    try:
        for number in count():
            for key, open_trainer in islice(
                waiting, runs_to_start(len(active), number, limit, device)
            ):
                active[key] = ActiveRun(open_trainer, device)
            if not active:
                return
            for key, run in list(active.items()):
                ended = run.take_turn()
                if ended is not None:
                    del active[key], run
                    if ended.exception() is not None:
                        release_memory(device)
                    yield key, ended
    finally:
        for run in active.values():
            run.close()


class ActiveRun:
    """A run that takes its steps in turn with others, on its own stream."""

    def __init__(
        self, open_trainer: Callable[[], AbstractContextManager[Trainer]], device: torch.device
    ) -> None:
        self.open_trainer, self.stream = open_trainer, side_stream(device)
        self.resources = ExitStack()
        self.trainer: Trainer | None = None

    def take_turn(self) -> Future[RunResult] | None:
        """Take one step; return how the run ended, None if it continues."""
        ended: Future[RunResult] = Future()
        try:
            with self.stream(), self.resources as stack:
                if self.trainer is None:
                    self.trainer = stack.enter_context(self.open_trainer())
                if not self.trainer.done:
                    self.trainer.step()
                    self.resources = stack.pop_all()  # they stay open
                    return None
                ended.set_result(self.trainer.finish())
        except RunFailedError as error:
            # The traceback's frames keep the network in memory; failure.txt has its text.
            ended.set_exception(error.with_traceback(None))
        except Exception as error:
            ended.set_exception(error)
        self.trainer = None
        return ended

    def close(self) -> None:
        """Abandon the run and close its files."""
        with self.stream():
            self.resources.close()


def runs_to_start(active: int, number: int, limit: int | None, device: torch.device) -> int:
    """Return how many runs to start in this round.

    Every `START_EVERY` rounds the number of active runs doubles, as far as the free memory of
    the device is twice what the new runs will take; active runs tell how much that is.

    Args:
        active: runs in training.
        number: of the round, from 0.
        limit: runs at a time, None: no limit.
        device: where the runs are trained.
    """
    if active == 0:
        return 1
    if number % START_EVERY or active == limit:
        return 0
    starting = active if limit is None else min(active, limit - active)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        each = torch.cuda.memory_reserved(device) / active
        starting = min(starting, int(free / (2 * each)))
    return starting


def release_memory(device: torch.device) -> None:
    """Free what a failed run has left: its network may be part of a reference cycle."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
