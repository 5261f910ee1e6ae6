"""Runs in processes of their own on the CPU: the same bits, whatever happens to the processes."""

import dataclasses
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lossbench.benchmarks import cli
from lossbench.benchmarks.commands import compare as comparison
from lossbench.benchmarks.config import CompareConfig, RunConfig
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.records.files import lock_directory
from lossbench.benchmarks.records.results import gather_tables, run_directory
from lossbench.benchmarks.training.executors import processes
from lossbench.benchmarks.training.executors.processes import local_executor
from lossbench.benchmarks.training.plan import threads_per_run
from lossbench.benchmarks.training.progress import Executor, Progress
from lossbench.losses import registry

from ...comparisons import compare, resume
from ...rows import assert_same_runs
from ...samples import FAILING
from ...trained_runs import small_comparison
from .. import own_networks

pytestmark = pytest.mark.slow

LOSSES = ("cross-entropy", "zero-one")
"""The second has warnings."""


@pytest.fixture(scope="module")
def place(tmp_path_factory, cats_and_dogs):
    """Working directory with a folder of 30 cats and 30 dogs of noise."""
    place = tmp_path_factory.mktemp("processes")
    cats_and_dogs(place / "pets")
    (place / "failing_in_workers.py").write_text(FAILING)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(place / "cache"))
        patch.delenv("LOSSBENCH_DATA", raising=False)
        patch.setenv("PYTHONPATH", str(place))
        patch.syspath_prepend(Path(__file__).parents[4])  # of the tests' own networks
        patch.syspath_prepend(place)
        patch.chdir(place)
        patch.setattr(registry, "_entries", dict(registry._entries))
        patch.setattr(processes, "cpu_count", lambda: 2)
        patch.setattr(processes, "UPDATE_INTERVAL", 0.0)
        patch.setattr(
            comparison, "write_results", lambda p, _: gather_tables(p.directory, p.run_directories)
        )
        yield place


@pytest.fixture(scope="module")
def executor(place) -> Iterator[Executor]:
    assert place.is_dir()
    with local_executor(None) as executor:
        yield executor


@pytest.fixture
def config(place: Path, tmp_path: Path) -> CompareConfig:
    """A comparison of two losses and two seeds."""
    small = small_comparison(tmp_path)
    return dataclasses.replace(
        small, data=str(place / "pets"), batch_size=8, log_every=1, losses=LOSSES
    )


def act_at(monkeypatch, number: int, act: Callable[[], None]) -> None:
    """Call `act` with the update of that number that the leading process receives."""
    real, count = Progress.update, [0]

    def update(*arguments) -> None:
        count[0] += 1
        if count[0] == number:
            act()
        real(*arguments)

    monkeypatch.setattr(Progress, "update", update)


def children() -> list[int]:
    """Return the worker processes of this one."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        fields = entry.read_text().rpartition(")")[2].split()
        command = (entry.parent / "cmdline").read_bytes()
        if int(fields[1]) == os.getpid() and b"spawn_main" in command:
            found.append(int(entry.parent.name))
    return found


def test_processes_train_what_one_process_trains(config, executor) -> None:
    one = compare(dataclasses.replace(config, name="one"), "", Reporter())
    several = compare(config, "", Reporter(), executor)
    assert (several.finished, several.failed) == (4, [])
    assert_same_runs(one.directory, several.directory)
    assert len(children()) == 2


def test_processes_build_models_of_the_users_own(config, executor) -> None:
    own = own_networks.__name__ + ":Odd"
    config = dataclasses.replace(config, model=own, width=None, losses=("mse",))
    one = compare(dataclasses.replace(config, name="one"), "", Reporter())
    several = compare(config, "", Reporter(), executor)
    assert (several.finished, several.failed) == (2, [])
    assert_same_runs(one.directory, several.directory)


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_interrupted_they_save_and_resume(config, executor, monkeypatch, number: str) -> None:
    config = dataclasses.replace(config, epochs=20)
    act_at(monkeypatch, 6, lambda: signal.raise_signal(signal.Signals[number]))
    status = compare(config, "", Reporter(), executor)
    assert (status.interrupted, status.failed) == (signal.Signals[number], [])
    assert status.finished < 4
    assert list(status.directory.rglob("resume.pt"))
    assert resume(status.directory, "", Reporter(), executor).finished == 4
    one = compare(dataclasses.replace(config, name="one"), "", Reporter())
    assert_same_runs(one.directory, status.directory)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_process_that_still_starts_is_not_interrupted(tmp_path, number) -> None:
    task = tmp_path, RunConfig("mse", 0, 0.1)  # there is no experiment
    worker = processes._Worker()
    try:
        assert worker.process.pid
        os.kill(worker.process.pid, number)
        worker.connection.send(task)
        assert isinstance(worker.connection.recv().error, UserError)
        os.kill(worker.process.pid, number)
        worker.connection.send(task)
        assert isinstance(worker.connection.recv().error, UserError)
    finally:
        worker.close()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()


def test_a_killed_process_fails_its_run_alone(config, executor, monkeypatch) -> None:
    config = dataclasses.replace(config, epochs=20)
    killed: list[int] = []

    def kill() -> None:
        killed.extend(children()[:1])
        os.kill(killed[0], signal.SIGKILL)

    act_at(monkeypatch, 3, kill)
    status = compare(config, "", Reporter(), executor)
    assert killed
    assert status.finished == 3
    assert len(status.failed) == 1
    assert "its process was killed, most likely for lack of memory" in status.failed[0]
    assert resume(status.directory, "", Reporter(), executor).finished == 4
    assert len(children()) == 2


def test_an_error_of_a_loss_fails_its_runs_alone(config, executor) -> None:
    config = dataclasses.replace(config, losses=("mse", "failing_in_workers:Failing"))
    status = compare(config, "", Reporter(), executor)
    assert (status.finished, len(status.failed)) == (2, 2)
    failure = run_directory(status.directory, "failing", 1) / "failure.txt"
    assert failure.read_text().startswith("RuntimeError: not again")


def test_an_error_of_the_experiment_ends_it(config, executor, refusal) -> None:
    def locked(plan, configs, progress) -> None:
        path = run_directory(plan.directory, "zero-one", 0)
        path.mkdir(parents=True)
        with lock_directory(path):
            executor(plan, configs, progress)

    refusal(lambda: compare(config, "", Reporter(), locked), "another process")


def test_the_processes_end_with_the_one_that_leads(config) -> None:
    before = set(children())
    with local_executor(2) as executor:
        compare(config, "", Reporter(), executor)
        assert len(set(children()) - before) == 2
    assert set(children()) == before


@pytest.mark.usefixtures("place")
def test_the_command_takes_processes(config, capsys) -> None:
    arguments = "compare --losses zero-one cross-entropy --seeds 1 --epochs 1 --width 4 --data pets"
    arguments += f" --batch-size 8 --learning-rate 0.02 --start normal --runs {config.runs}"
    assert cli.main([*arguments.split(), "--workers", "0"]) == 2
    assert "--workers 0: must be at least 1" in capsys.readouterr().err
    assert cli.main([*arguments.split(), "--workers", "2", "--executor", "ray"]) == 2
    assert cli.main([*arguments.split(), "--workers", "2", "--name", "two"]) == 0
    assert cli.main([*arguments.split(), "--workers", "1", "--name", "one"]) == 0
    assert_same_runs(config.runs / "one", config.runs / "two")
    assert cli.main(["compare", "--resume", str(config.runs / "one"), "--workers", "1"]) == 0


def test_a_run_has_one_thread_unless_cores_are_left(monkeypatch) -> None:
    monkeypatch.setattr("lossbench.benchmarks.training.plan.cpu_count", lambda: 8)
    assert [threads_per_run(runs) for runs in (1, 2, 3, 8, 60)] == [8, 4, 2, 1, 1]
