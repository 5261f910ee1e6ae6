"""Runs of a comparison on a Ray cluster: each is a task, on whichever machine has a CPU or a GPU
for it, and is begun again elsewhere from its last state if that machine dies."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from lossbench.benchmarks.commands.compare import Executor, Runs
from lossbench.benchmarks.errors import UserError, one_line
from lossbench.benchmarks.records.files import lock_directory
from lossbench.benchmarks.records.results import gather_tables, run_directory
from lossbench.benchmarks.training.checkpoint import CHECKPOINT_FILE, appended_files
from lossbench.benchmarks.training.result import RunConfig

from .ray_worker import Files, News, about_for_nodes, files_of, put, trained

MORE = 3
"""How often a run is begun again whose machine or process has died."""

EVERY = 1.0
"""Seconds between two news of a run."""

LISTEN = 0.2
"""Seconds that news are waited for before something else is looked at."""

PATIENCE = 60.0
"""Seconds in which runs that have been asked to end have to."""


@contextmanager
def cluster() -> Iterator[Executor]:
    """An executor on the Ray cluster that RAY_ADDRESS names, on the one that `ray start` has begun
    on this machine, or else on one of this machine alone, which ends with this.

    Raises UserError if Ray is not installed, or the cluster does not answer.
    """
    # Read when Ray is imported. `uv run` would have every node copy the working directory and
    # install it anew; and nothing is reported to Ray's makers.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.util.scheduling_strategies
    except ImportError:
        raise UserError(
            "--executor ray: Ray is not installed; pip install 'lossbench[ray]'"
        ) from None
    with _signals_kept():
        _connect(ray)
    try:
        yield lambda runs, trials: _Tasks(ray, runs).train(trials)
    finally:
        ray.shutdown()


def _connect(ray: Any) -> None:
    address = os.environ.get("RAY_ADDRESS", "")
    if address.startswith("ray://"):
        raise UserError(
            f"--executor ray: RAY_ADDRESS={address} is a proxy, which results cannot be streamed "
            "through: start lossbench on a machine of the cluster"
        )
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address not in ("", "auto", "local"):
            _reach(address)
        ray.init(address="auto", **quiet)
    # RuntimeError: a cluster of another version of Ray or Python, or another token.
    except (ConnectionError, RuntimeError, ValueError) as error:
        if address or not isinstance(error, ConnectionError):
            at = f"RAY_ADDRESS={address}" if address else "the cluster of `ray start`"
            raise UserError(f"--executor ray: cannot join {at}: {one_line(error)}") from None
        ray.init(address="local", include_dashboard=False, **quiet)


def _reach(address: str) -> None:
    """Raise ConnectionError or ValueError if nothing answers at HOST:PORT: Ray asks for minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except OSError as error:
        raise ConnectionError(one_line(error)) from None


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray sets a handler of SIGTERM of its own."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    yield
    if main:
        signal.signal(signal.SIGTERM, before)


@dataclass
class _Task:
    """A run that is a task of the cluster, waiting or at work: `left` says how often it may be
    begun again, `heard` whether there has been news of it."""

    trial: RunConfig
    path: Path
    left: int
    heard: bool = False
    lock: ExitStack = field(default_factory=ExitStack)


def _stop(ray: Any) -> Any:
    """An actor that knows whether the runs are to end, for every machine to ask: a task that is
    cancelled can't tell any more what it has saved."""

    # In here, because Ray then sends the class instead of having a process import this module.
    class Stop:
        def __init__(self) -> None:
            self.said = False

        def say(self) -> None:
            self.said = True

        def asked(self) -> bool:
            return self.said

    # Where this process is: it must not die with another machine.
    place = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=False
    )
    stop = ray.remote(num_cpus=0, scheduling_strategy=place)(Stop).remote()
    ray.get(stop.asked.remote())  # it is there before a run is
    return stop


def _task(
    about: bytes, trial: RunConfig, files: Files, every: float, stop: Any
) -> Generator[News, None, None]:
    """What Ray runs."""
    import ray

    answer = stop.asked.remote()

    def asked() -> bool:
        # Without waiting: the network may be down for a while.
        nonlocal answer
        if not ray.wait([answer], timeout=0)[0]:
            return False
        try:
            return bool(ray.get(answer))
        except ray.exceptions.RayError:
            return False
        finally:
            answer = stop.asked.remote()

    yield from trained(about, trial, files, every, asked)


class _Tasks:
    """The runs of an experiment as tasks."""

    def __init__(self, ray: Any, runs: Runs) -> None:
        self.ray, self.runs = ray, runs
        self.about = about_for_nodes(runs.plan)
        self.kind = "GPU" if runs.plan.device.type == "cuda" else "CPU"
        needs = {"num_cpus": 1, "num_gpus": 1 if self.kind == "GPU" else 0}
        # Ray would begin a run again with the files that it had at first.
        self.remote = ray.remote(num_returns="streaming", max_retries=0, **needs)(_task)
        self.stop = _stop(ray)
        self.open: dict[Any, _Task] = {}
        self.gathered = monotonic()

    def train(self, trials: Sequence[RunConfig]) -> None:
        """Train runs, each from where it was left, until all are over or it is to stop.

        Raises:
            UserError: another process is at a run.
            OSError: what has come cannot be written.
        """
        waiting = deque(trials)
        if waiting and not self._slots():
            self.runs.say(f"the Ray cluster has no {self.kind} yet: the runs wait for one")
        try:
            while (waiting or self.open) and not self.runs.stop():
                # More than can be at work, so that one that becomes free has something to do.
                while waiting and len(self.open) < 2 * self._slots() + 8:
                    self._open(waiting.popleft())
                self._listen()
            self._call_off()
        except KeyboardInterrupt:
            return
        finally:
            for generator, task in self.open.items():
                task.lock.close()
                self.ray.cancel(generator)

    def _call_off(self) -> None:
        """Have the runs that are at work end, and hear what they have saved."""
        if not self.open:
            return
        self.stop.say.remote()
        for generator, task in list(self.open.items()):
            if not task.heard:
                self.ray.cancel(generator)
                self._close(generator)
        until = monotonic() + PATIENCE
        while self.open and monotonic() < until:
            self._listen()

    def _slots(self) -> int:
        return int(self.ray.cluster_resources().get(self.kind, 0))

    def _open(self, trial: RunConfig) -> None:
        task = _Task(trial, run_directory(self.runs.plan.directory, trial.loss, trial.seed), MORE)
        task.path.mkdir(parents=True, exist_ok=True)
        task.lock.enter_context(lock_directory(task.path))
        self._begin(task)

    def _begin(self, task: _Task) -> None:
        needed = {CHECKPOINT_FILE, *(path.name for path in appended_files(task.path))}
        files = {name: file for name, file in files_of(task.path).items() if name in needed}
        self.open[self.remote.remote(self.about, task.trial, files, EVERY, self.stop)] = task

    def _close(self, generator: Any) -> None:
        self.open.pop(generator).lock.close()

    def _listen(self) -> None:
        """Hear every task that has something to say."""
        if not self.open:
            return
        ready, _ = self.ray.wait(list(self.open), num_returns=len(self.open), timeout=LISTEN)
        for generator in ready:
            try:
                news = self.ray.get(next(generator))
            except self.ray.exceptions.RayError as error:
                self._lost(generator, error)
            else:
                self._heard(generator, news)

    def _heard(self, generator: Any, news: News) -> None:
        task = self.open[generator]
        task.heard = True
        for line in news.said:
            self.runs.say(line)
        if news.files is not None:
            put(task.path, news.files)
        if news.window is not None:
            self.runs.moved(task.trial, news.share, news.window)
        if news.failure is not None:
            self.runs.failed(task.trial, news.failure)
        if news.result is not None:
            self.runs.finished(task.trial, *news.result)
            self._gather()
        if news.over:
            self._close(generator)

    def _gather(self) -> None:
        """Write the tables of the experiment, not too often: they are read and written whole."""
        if monotonic() - self.gathered > EVERY:
            gather_tables(self.runs.plan.directory, self.runs.plan.paths)
            self.gathered = monotonic()

    def _lost(self, generator: Any, error: Exception) -> None:
        """Begin a run again whose task has died, from the last state that came of it."""
        task = self.open.pop(generator)
        cause = getattr(error, "cause", None)
        why = f"{type(cause or error).__name__}"
        if isinstance(cause, Exception):
            why += f": {one_line(cause)}"
        if self.runs.stop():
            task.lock.close()
            return
        if not task.left:
            self.runs.failed(task.trial, f"its task has ended {MORE + 1} times, now by {why}")
            task.lock.close()
            return
        task.left -= 1
        since = "its last state" if (task.path / CHECKPOINT_FILE).exists() else "its beginning"
        self.runs.say(
            f"{task.trial.loss} seed {task.trial.seed}: its task has ended ({why}); begun again "
            f"from {since}"
        )
        self._begin(task)
