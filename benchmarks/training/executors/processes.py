"""Train the runs of an experiment on the CPU of this machine, several at a time in processes.

A run of a small network is faster on one core than on its share of all: two runs on two cores, with
one thread each, take less time than one after the other with two threads.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from multiprocessing.connection import Connection, wait
from pathlib import Path
from time import monotonic

import torch

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.records.environment import cpu_count
from lossbench.benchmarks.records.gradient_stats import GradientStats
from lossbench.benchmarks.records.results import append_tables, run_directory
from lossbench.benchmarks.training.interruption import ignore, withheld
from lossbench.benchmarks.training.plan import Plan, load_plan
from lossbench.benchmarks.training.progress import Executor, Progress
from lossbench.benchmarks.training.recorder import train_recorded

from .local import gather_finished, run_locally
from .update import BufferedMonitor, Update, run_outcome

UPDATE_INTERVAL = 0.25
"""Seconds between two updates of a run."""

POLL = 0.2
"""Seconds to wait for updates before checking whether to stop."""

IGNORED = (signal.SIGINT, signal.SIGTERM)
"""Signals that end no worker: a terminal sends Ctrl-C to all processes, and a batch system SIGTERM.
The process that leads tells when to stop."""


@contextmanager
def local_executor(limit: int | None) -> Iterator[Executor]:
    """Give an executor that trains runs on this machine.

    On a CUDA device they share this process. On the CPU each has a process with `Plan.threads`
    threads. The processes start with the first runs and end with this context.

    Args:
        limit: runs at a time; None: one per core, or as many as fit into the GPU's memory.
    """
    workers: list[_Worker] = []

    def train(plan: Plan, configs: Sequence[RunConfig], progress: Progress) -> None:
        count = min(limit or cpu_count(), len(configs))
        if plan.device.type == "cuda" or count < 2:
            run_locally(plan, configs, progress, limit=limit)
            return
        workers.extend(_Worker() for _ in range(count - len(workers)))
        _ProcessRuns(plan, progress, workers[:count]).train(configs)

    try:
        yield train
    finally:
        for worker in workers:
            worker.close()


class _Worker:
    """Process that trains one run at a time, and the connection to it."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Start the process; it has no run yet."""
        context = multiprocessing.get_context("spawn")
        self.connection, remote = context.Pipe()
        self.process = context.Process(target=_work, args=(remote,), daemon=True)
        with withheld(*IGNORED):
            self.process.start()
        # So that each side sees the end of the other.
        remote.close()

    def close(self) -> None:
        """End the process, whatever it does."""
        self.connection.close()
        self.process.kill()
        self.process.join()


class _ProcessRuns:
    """Runs of a plan that are trained by workers."""

    def __init__(self, plan: Plan, progress: Progress, workers: list[_Worker]) -> None:
        self.plan, self.progress = plan, progress
        self.idle = list(workers)
        self.active: dict[Connection, tuple[_Worker, RunConfig]] = {}

    def train(self, configs: Sequence[RunConfig]) -> None:
        """Train runs until all have ended or are to stop.

        Raises:
            UserError: another process is writing a run.
            OSError: a file cannot be written.
        """
        gather_finished(self.plan, configs)
        waiting, stopped = deque(configs), False
        try:
            while self.active or (waiting and not self.progress.should_stop()):
                while self.idle and waiting and not self.progress.should_stop():
                    self._start(waiting.popleft())
                if self.progress.should_stop() and not stopped:
                    stopped = True
                    for connection in self.active:
                        with suppress(BrokenPipeError):
                            connection.send(None)
                ready = wait(list(self.active), timeout=POLL)
                for connection in [each for each in self.active if each in ready]:
                    self._receive(connection)
        except KeyboardInterrupt:
            return
        if self.progress.error is not None:
            raise self.progress.error

    def _start(self, config: RunConfig) -> None:
        worker = self.idle.pop()
        self.active[worker.connection] = worker, config
        with suppress(BrokenPipeError):  # it is noticed when nothing is received
            worker.connection.send((self.plan.directory, config))

    def _receive(self, connection: Connection) -> None:
        worker, config = self.active[connection]
        try:
            update: Update = connection.recv()
        except (EOFError, ConnectionResetError):
            worker.close()
            code = worker.process.exitcode
            died = f"its process ended by itself (exit code {code})"
            if code == -signal.SIGKILL:
                died = "its process was killed, most likely for lack of memory: try --workers 1"
            update = Update(ended=True, failure=died)
            worker.start()
        update.show(config, self.progress)
        if update.result is not None:
            path = run_directory(self.plan.directory, config.loss, config.seed)
            append_tables(self.plan.directory, path)
        if update.ended:
            del self.active[connection]
            self.idle.append(worker)


def _work(connection: Connection) -> None:
    """Train the runs that are received, until the other side is gone."""
    ignore(*IGNORED)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            # None asks a run to stop; it may have ended by itself meanwhile.
            task: tuple[Path, RunConfig] | None = connection.recv()
            if task is not None:
                monitor = _ConnectedMonitor(connection)
                connection.send(monitor.update_with(None, _train(*task, monitor)))


def _train(directory: Path, config: RunConfig, monitor: _ConnectedMonitor) -> Update:
    """Train a run and return the update that tells how it ended."""
    outcome = run_outcome(lambda: train_recorded(_plan(directory), config, monitor))
    if outcome.failure is not None:
        _plan.cache_clear()  # its test images may have been used
    return outcome


@lru_cache(maxsize=1)
def _plan(directory: Path) -> Plan:
    """Return the plan of an experiment, for the runs of this process."""
    plan = load_plan(directory, Reporter.silent())
    torch.set_num_threads(plan.threads)
    return plan


class _ConnectedMonitor(BufferedMonitor):
    """Monitor that sends what a run reports to the process that leads."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.connection, self.sent = connection, monotonic()

    def should_stop(self) -> bool:
        # Also at the end of the process that leads, or of its experiment.
        return self.connection.poll()

    def update(self, config: RunConfig, fraction: float, stats: GradientStats) -> None:
        super().update(config, fraction, stats)
        if monotonic() - self.sent >= UPDATE_INTERVAL:
            with suppress(BrokenPipeError):
                self.connection.send(self.update_with(None))
            self.sent = monotonic()
