"""Train the runs of a comparison on a Ray cluster, one task per run.

A task runs on any machine with a free CPU or GPU. If its machine dies, it starts again elsewhere
from the last checkpoint.
"""

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

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.errors import UserError, one_line
from lossbench.benchmarks.format import duration
from lossbench.benchmarks.records.files import lock_directory, make_directory
from lossbench.benchmarks.records.results import gather_tables, run_directory
from lossbench.benchmarks.training.checkpoint import CHECKPOINT_FILE, appended_files
from lossbench.benchmarks.training.plan import Plan
from lossbench.benchmarks.training.progress import Executor, Progress

from .ray_worker import description_for_workers, read_files, train_remotely, write_files
from .update import Files, Update

RETRIES = 3
"""Times that a run starts again after its machine or process has died."""

UPDATE_INTERVAL = 1.0
"""Seconds between two updates of a run."""

POLL = 0.2
"""Seconds to wait for updates before checking whether to stop."""

SILENCE_TIMEOUT = 1800.0
"""Seconds without an update after which a run that has begun counts as hanging. An update comes at
the end of a step, and the last one after the test images."""

STOP_TIMEOUT = 60.0
"""Seconds that runs have to save their state when they are stopped."""


@contextmanager
def cluster() -> Iterator[Executor]:
    """Connect to a Ray cluster and give an executor on it.

    The cluster is the one of RAY_ADDRESS, or that of `ray start` on this machine, or else a new
    one of this machine alone, which ends with this context.

    Raises:
        UserError: Ray is not installed, does not start, or does not answer.
    """
    # Ray reads them when it is imported. `uv run` would make every node copy the working directory
    # and install it; and no usage statistics are sent.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.util.scheduling_strategies
    except ImportError:
        raise UserError(
            "--executor ray: Ray is not installed; pip install 'lossbench[ray]'"
        ) from None
    with _keep_sigterm_handler():
        _connect(ray)
    try:
        yield lambda plan, configs, progress: _RayTasks(ray, plan, progress).train(configs)
    finally:
        ray.shutdown()


def _connect(ray: Any) -> None:
    address = os.environ.get("RAY_ADDRESS", "")
    if address.startswith("ray://"):
        raise UserError(
            f"--executor ray: RAY_ADDRESS={address} is a proxy, which cannot stream results: "
            "start lossbench on a machine of the cluster"
        )
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address not in ("", "auto", "local"):
            _check_reachable(address)
        ray.init(address="auto", **quiet)
    # RuntimeError: a cluster of another version of Ray or Python, or with another token.
    except (ConnectionError, RuntimeError, ValueError) as error:
        if address or not isinstance(error, ConnectionError):
            target = f"RAY_ADDRESS={address}" if address else "the cluster of `ray start`"
            raise UserError(f"--executor ray: cannot join {target}: {one_line(error)}") from None
        try:
            ray.init(address="local", include_dashboard=False, **quiet)
        except Exception as failure:  # Ray's own processes are slow to start: an Exception itself
            raise UserError(
                f"--executor ray: Ray does not start on this machine: {one_line(failure)}; start "
                "the command again when the machine is less busy, or leave --executor out"
            ) from None


def _check_reachable(address: str) -> None:
    """Raise ConnectionError or ValueError if nothing answers at HOST:PORT; Ray retries for long."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except OSError as error:
        raise ConnectionError(one_line(error)) from None


@contextmanager
def _keep_sigterm_handler() -> Iterator[None]:
    """Restore the handler of SIGTERM, which Ray replaces."""
    handler = signal.getsignal(signal.SIGTERM)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


@dataclass
class _RayTask:
    """Task of the cluster that trains a run.

    Attributes:
        retries: restarts left.
        heard: when its last update came, None before the first: it may be decoding images.
    """

    config: RunConfig
    path: Path
    retries: int = RETRIES
    heard: float | None = None
    lock: ExitStack = field(default_factory=ExitStack)


def _stop_flag(ray: Any) -> Any:
    """Return an actor that tasks ask whether to stop.

    Cancelling a task instead would lose the checkpoint that it has not sent yet.
    """

    # Defined here, so that Ray sends the class and no process has to import this module.
    class StopFlag:
        def __init__(self) -> None:
            self.value = False

        def set(self) -> None:
            self.value = True

        def is_set(self) -> bool:
            return self.value

    # On this machine: it must not die with another one.
    this_node = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=False
    )
    flag = ray.remote(num_cpus=0, scheduling_strategy=this_node)(StopFlag).remote()
    ray.get(flag.is_set.remote())  # it exists before a run starts
    return flag


def _train(
    description: bytes, config: RunConfig, files: Files, interval: float, flag: Any
) -> Generator[Update, None, None]:
    """Train a run; Ray runs this function on another machine."""
    import ray

    answer = flag.is_set.remote()

    def should_stop() -> bool:
        # Without waiting: the network may be down for a while.
        nonlocal answer
        if not ray.wait([answer], timeout=0)[0]:
            return False
        try:
            return bool(ray.get(answer))
        except ray.exceptions.RayError:
            return False
        finally:
            answer = flag.is_set.remote()

    yield from train_remotely(description, config, files, interval, should_stop)


def _reason(error: Exception) -> str:
    """Return why a task has died, in one line."""
    cause = getattr(error, "cause", None)
    name = type(cause or error).__name__
    return f"{name}: {one_line(cause)}" if isinstance(cause, Exception) else name


class _RayTasks:
    """Tasks that train the runs of a plan."""

    def __init__(self, ray: Any, plan: Plan, progress: Progress) -> None:
        self.ray, self.plan, self.progress = ray, plan, progress
        self.description = description_for_workers(plan)
        self.resource = "GPU" if plan.device.type == "cuda" else "CPU"
        needs = {"num_cpus": 1, "num_gpus": 1 if self.resource == "GPU" else 0}
        # Ray's own retries would start a run again from its first files.
        self.remote = ray.remote(num_returns="streaming", max_retries=0, **needs)(_train)
        self.stop_flag = _stop_flag(ray)
        self.active: dict[Any, _RayTask] = {}
        self.gathered = monotonic()

    def train(self, configs: Sequence[RunConfig]) -> None:
        """Train runs from their last checkpoints, until all have ended or a stop is requested.

        Raises:
            UserError: another process is writing a run.
            OSError: a file cannot be written.
        """
        waiting = deque(configs)
        if waiting and not self._slots():
            self.progress.say(f"the Ray cluster has no {self.resource} yet: the runs wait for one")
        try:
            while (waiting or self.active) and not self.progress.should_stop():
                # More than can run, so that a free machine has something to do.
                while waiting and len(self.active) < 2 * self._slots() + 8:
                    self._add(waiting.popleft())
                self._receive()
                self._restart_silent()
            self._stop()
        except KeyboardInterrupt:
            return
        finally:
            for generator, task in self.active.items():
                task.lock.close()
                self.ray.cancel(generator)

    def _stop(self) -> None:
        """Stop the active runs and receive what they have saved."""
        if not self.active:
            return
        self.stop_flag.set.remote()
        for generator, task in list(self.active.items()):
            if task.heard is None:
                self.ray.cancel(generator)
                self._remove(generator)
        until = monotonic() + STOP_TIMEOUT
        while self.active and monotonic() < until:
            self._receive()

    def _slots(self) -> int:
        return int(self.ray.cluster_resources().get(self.resource, 0))

    def _add(self, config: RunConfig) -> None:
        task = _RayTask(config, run_directory(self.plan.directory, config.loss, config.seed))
        make_directory(task.path)
        task.lock.enter_context(lock_directory(task.path))
        self._start(task)

    def _start(self, task: _RayTask) -> None:
        needed = {CHECKPOINT_FILE, *(path.name for path in appended_files(task.path))}
        files = {name: file for name, file in read_files(task.path).items() if name in needed}
        generator = self.remote.remote(
            self.description, task.config, files, UPDATE_INTERVAL, self.stop_flag
        )
        self.active[generator] = task

    def _remove(self, generator: Any) -> None:
        self.active.pop(generator).lock.close()

    def _receive(self) -> None:
        """Receive the updates that are ready."""
        if not self.active:
            return
        ready, _ = self.ray.wait(list(self.active), num_returns=len(self.active), timeout=POLL)
        for generator in ready:
            try:
                update = self.ray.get(next(generator))
            except self.ray.exceptions.RayError as error:
                self._restart(generator, _reason(error))
            else:
                self._handle(generator, update)

    def _handle(self, generator: Any, update: Update) -> None:
        task = self.active[generator]
        task.heard = monotonic()
        if update.files is not None:
            write_files(task.path, update.files)
        update.show(task.config, self.progress)
        if update.result is not None:
            self._gather()
        if update.ended:
            self._remove(generator)

    def _gather(self) -> None:
        """Write the tables of the experiment, at most once per interval."""
        if monotonic() - self.gathered > UPDATE_INTERVAL:
            gather_tables(self.plan.directory, self.plan.run_directories)
            self.gathered = monotonic()

    def _restart_silent(self) -> None:
        """Kill the tasks that hang and start their runs again."""
        now = monotonic()
        for generator, task in list(self.active.items()):
            if task.heard is not None and now - task.heard > SILENCE_TIMEOUT:
                self.ray.cancel(generator, force=True)
                self._restart(
                    generator, f"nothing was heard of it for {duration(now - task.heard)}"
                )

    def _restart(self, generator: Any, reason: str) -> None:
        """Start a run again whose task has died, from its last checkpoint."""
        task = self.active.pop(generator)
        task.heard = None
        if self.progress.should_stop():
            task.lock.close()
            return
        if not task.retries:
            reason = f"its task has died {RETRIES + 1} times, the last time by {reason}"
            self.progress.failed(task.config, reason)
            task.lock.close()
            return
        task.retries -= 1
        resumes = (task.path / CHECKPOINT_FILE).exists()
        self.progress.say(
            f"{task.config.loss} seed {task.config.seed}: its task has died ({reason}); started "
            f"again from {'its last checkpoint' if resumes else 'the beginning'}"
        )
        self._start(task)
