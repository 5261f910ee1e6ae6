"""The executor for Ray, on a fake Ray that runs its tasks in this process."""

import dataclasses
import itertools
import signal
import sys
from types import SimpleNamespace

import pytest

from lossbench.benchmarks.commands import compare as comparison
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.training.executors import ray as executor
from lossbench.benchmarks.training.executors.ray import RETRIES, _RayTasks
from lossbench.benchmarks.training.executors.ray_worker import Update

from ...comparisons import compare, resume
from ...rows import assert_same_weights, equal_but_for_time


class RayError(Exception):
    cause = ConnectionError("the\nnode is gone")


class FakeRay:
    """Just enough of Ray: tasks are generators, references are values.

    Args:
        deaths: updates that raise an error instead, counted from 1 over all tasks.
        silent_from: number of the wait from which on the first task is silent.
    """

    exceptions = SimpleNamespace(RayError=RayError)

    def __init__(self, deaths: tuple[int, ...] = (), silent_from: int | None = None) -> None:
        self.deaths, self.updates, self.killed = deaths, itertools.count(1), []
        self.silent_from, self.silent, self.waits = silent_from, None, itertools.count(1)
        self.started: set[object] = set()
        strategies = SimpleNamespace(NodeAffinitySchedulingStrategy=lambda *_, **__: None)
        self.util = SimpleNamespace(scheduling_strategies=strategies)

    def remote(self, **_options):
        def wrap(function):
            def start(*arguments):
                made = function(*arguments)
                return made if hasattr(made, "__next__") else FakeActor(made)

            return SimpleNamespace(remote=start)

        return wrap

    def get(self, value):
        if isinstance(value, Update) and next(self.updates) in self.deaths:
            raise RayError
        return value

    def wait(self, references, **_):
        if next(self.waits) == self.silent_from:
            self.silent = references[0]
        ready = [each for each in references if each is not self.silent]
        if self.killed:  # what starts again takes a while to send its first update
            ready = [each for each in ready if each in self.started]
        self.started.update(references)
        return ready, []

    def cancel(self, task, force: bool = False) -> None:
        if force:
            self.killed.append(task)

    def cluster_resources(self):
        return {"CPU": 2}

    def get_runtime_context(self):
        return SimpleNamespace(get_node_id=lambda: "this")


class FakeActor:
    def __init__(self, actor) -> None:
        self.actor = actor

    def __getattr__(self, name: str):
        return SimpleNamespace(remote=getattr(self.actor, name))


@pytest.fixture
def config(config, monkeypatch):
    monkeypatch.setattr(comparison, "write_results", lambda *_: None)
    monkeypatch.setattr(executor, "UPDATE_INTERVAL", 0.0)
    return dataclasses.replace(config, epochs=2, log_every=1, checkpoint_every=0.0)


@pytest.fixture
def on(monkeypatch):
    """Return the executor on a fake Ray."""

    def make(ray: FakeRay):
        monkeypatch.setitem(sys.modules, "ray", ray)
        return lambda plan, configs, progress: _RayTasks(ray, plan, progress).train(configs)

    return make


def test_runs_that_die_start_again_and_come_to_the_same(config, on, capsys) -> None:
    local = compare(dataclasses.replace(config, name="local"), "", Reporter()).directory
    status = compare(config, "", Reporter(), on(FakeRay(deaths=(8, 15))))
    assert (status.finished, status.failed, status.interrupted) == (4, [], None)
    said = capsys.readouterr().err
    assert said.count("its task has died (ConnectionError: the node is gone); started again") == 2
    executor.gather_tables(status.directory, sorted(status.directory.glob("*/seed*")))
    executor.gather_tables(local, sorted(local.glob("*/seed*")))
    equal_but_for_time(local, status.directory)
    assert_same_weights(local, status.directory)


def test_a_run_that_always_dies_has_failed(config, on) -> None:
    one = dataclasses.replace(config, losses=("mse",), seeds=1)
    status = compare(one, "", Reporter(), on(FakeRay(deaths=tuple(range(2, 10**4)))))
    assert status.finished == 0
    (failed,) = status.failed
    assert f"its task has died {RETRIES + 1} times" in failed


def test_a_run_that_hangs_is_killed_and_starts_again(config, on, monkeypatch, capsys) -> None:
    local = compare(dataclasses.replace(config, name="local"), "", Reporter()).directory
    # Each wait is a minute.
    clock = itertools.count(0, 60)
    monkeypatch.setattr(executor, "monotonic", lambda: float(next(clock)))
    ray = FakeRay(silent_from=6)
    status = compare(config, "", Reporter(), on(ray))
    assert (status.finished, status.failed) == (4, [])
    assert len(ray.killed) == 1
    assert "its task has died (nothing was heard of it for 3" in capsys.readouterr().err
    assert_same_weights(local, status.directory)


def test_stopped_its_runs_save_and_resume(config, on, monkeypatch) -> None:
    real, calls = executor.Progress.update, itertools.count(1)

    def update(self, *arguments) -> None:
        if next(calls) == 3:
            signal.raise_signal(signal.SIGINT)
        real(self, *arguments)

    monkeypatch.setattr(executor.Progress, "update", update)
    status = compare(config, "", Reporter(), on(FakeRay()))
    assert (status.finished, status.interrupted) == (0, signal.SIGINT)
    assert list(status.directory.rglob("resume.pt"))
    assert resume(status.directory, "", Reporter(), on(FakeRay())).finished == 4
