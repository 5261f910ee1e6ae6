"""A real Ray cluster of two machines, which are two sets of processes on this one."""

import dataclasses
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from lossbench.benchmarks import cli
from lossbench.benchmarks.config import CompareConfig
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.training.checkpoint import CHECKPOINT_FILE
from lossbench.benchmarks.training.executors import ray as ray_executor
from lossbench.benchmarks.training.executors.ray import cluster
from lossbench.benchmarks.training.executors.ray_worker import Files, read_files, write_files
from lossbench.benchmarks.training.progress import Executor, Progress
from lossbench.losses import registry

from ...comparisons import compare, resume
from ...rows import assert_same_runs
from ...samples import FAILING

HANGING = """
import sys
import time
from pathlib import Path
import torch

calls = 0

def hanging(input, target):
    global calls
    calls += len(input) == 8 and "default_worker" in sys.argv[0]
    if calls == 10:
        try:
            Path("HERE/hung").touch(exist_ok=False)
        except FileExistsError:
            pass
        else:
            time.sleep(10**6)
    return torch.nn.functional.binary_cross_entropy_with_logits(input, target)
"""
"""A module with a loss that hangs in a process of Ray, once."""


@pytest.fixture(scope="module")
def machines(tmp_path_factory, cats_and_dogs) -> Iterator:
    """Start a cluster of two machines with a CPU each.

    The working directory has a folder of 30 cats and 30 dogs of noise, and a user loss that fails.
    """
    pytest.importorskip("ray")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    place = tmp_path_factory.mktemp("machines")
    cats_and_dogs(place / "pets")
    (place / "failing_on_nodes.py").write_text(FAILING)
    (place / "hanging_on_nodes.py").write_text(HANGING.replace("HERE", str(place)))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(place / "cache"))
        patch.delenv("LOSSBENCH_DATA", raising=False)
        patch.setenv("PYTHONPATH", str(place))
        patch.syspath_prepend(place)
        patch.chdir(place)
        patch.setattr(ray_executor, "UPDATE_INTERVAL", 0.05)
        patch.setattr(registry, "_entries", dict(registry._entries))
        machines = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        machines.add_node(num_cpus=1)
        patch.setenv("RAY_ADDRESS", machines.address)
        yield machines
        machines.shutdown()
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def executor(machines) -> Iterator[Executor]:
    assert os.environ["RAY_ADDRESS"] == machines.address
    with cluster() as executor:
        yield executor


@pytest.fixture(scope="module")
def config() -> CompareConfig:
    """A comparison that saves a checkpoint after each step."""
    return CompareConfig(
        losses=("cross-entropy", "zero-one"),
        data="pets",
        width=4,
        epochs=40,
        batch_size=8,
        learning_rate=0.05,
        evaluations=1,
        seeds=1,
        log_every=2,
        device="cpu",
        checkpoint_every=0.0,
    )


@pytest.fixture(scope="module")
def complete(config) -> Path:
    """Directory of the comparison, trained in this process."""
    return compare(dataclasses.replace(config, name="complete"), "", Reporter()).directory


@pytest.mark.slow
# The first of these tests, so that both machines have processes that are ready when one is killed.
def test_a_run_that_fails_stops_no_other(executor, config) -> None:
    losses = ("failing_on_nodes:Failing", "cross-entropy")
    config = dataclasses.replace(config, losses=losses, epochs=1, name="failing")
    status = compare(config, "", Reporter(), executor)
    assert (status.finished, status.failed) == (1, ["failing seed 0: RuntimeError: not again"])
    failure = (status.directory / "failing" / "seed0" / "failure.txt").read_text()
    assert failure.startswith("RuntimeError: not again\n\nTraceback")


@pytest.mark.slow
def test_a_run_that_hangs_is_killed_and_resumes(executor, config, monkeypatch, capsys) -> None:
    monkeypatch.setattr(ray_executor, "SILENCE_TIMEOUT", 5.0)
    losses = ("hanging_on_nodes:hanging=binary,logits",)
    config = dataclasses.replace(config, losses=losses, epochs=5, name="hanging")
    status = compare(config, "", Reporter(), executor)
    assert (status.finished, status.failed) == (1, [])
    said = capsys.readouterr().err
    assert "nothing was heard of it for 5 s" in said
    assert said.count("started again from its last checkpoint") == 1


@pytest.mark.slow
def test_a_run_on_a_machine_that_dies_resumes_elsewhere(
    machines, executor, config, complete, monkeypatch, capsys
) -> None:
    received: set[Path] = set()
    resumes: list[bool] = []
    (machine,) = machines.worker_nodes

    def kill_after_both_checkpoints(path: Path, files: Files) -> None:
        write_files(path, files)
        before = len(received)
        received.update([path] if CHECKPOINT_FILE in files else [])
        if before < len(received) == 2:
            machines.remove_node(machine, allow_graceful=False)

    def count(path: Path) -> Files:
        files = read_files(path)
        resumes.append(CHECKPOINT_FILE in files)
        return files

    monkeypatch.setattr(ray_executor, "write_files", kill_after_both_checkpoints)
    monkeypatch.setattr(ray_executor, "read_files", count)
    try:
        status = compare(dataclasses.replace(config, name="killed"), "", Reporter(), executor)
    finally:
        machines.add_node(num_cpus=1)
    assert (status.finished, status.failed) == (2, [])
    assert capsys.readouterr().err.count("started again from its last checkpoint") == 1
    assert resumes == [False, False, True]
    assert_same_runs(complete, status.directory)
    assert not list(status.directory.rglob(CHECKPOINT_FILE))


@pytest.mark.slow
def test_stopped_machines_save_and_resume(executor, config, complete, monkeypatch) -> None:
    real = Progress.update

    def interrupt(*arguments) -> None:
        real(*arguments)
        monkeypatch.setattr(Progress, "update", real)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Progress, "update", interrupt)
    # No state is saved but that of the end.
    config = dataclasses.replace(config, checkpoint_every=1000.0, name="stopped")
    status = compare(config, "", Reporter(), executor)
    assert (status.interrupted, status.finished, status.failed) == (signal.SIGTERM, 0, [])
    assert list(status.directory.rglob(CHECKPOINT_FILE))
    again = resume(status.directory, "", Reporter(), executor)
    assert (again.interrupted, again.finished) == (None, 2)
    assert_same_runs(complete, status.directory)


def test_without_ray_it_is_one_line(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["compare", "--executor", "ray"]) == 2
    error = "lossbench: --executor ray: Ray is not installed; pip install 'lossbench[ray]'\n"
    assert capsys.readouterr().err == error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "address", ["ray://127.0.0.1:10001", pytest.param("127.0.0.1:1", marks=pytest.mark.slow)]
)
def test_a_cluster_that_is_not_there_is_one_line(address, tmp_path, monkeypatch, capsys) -> None:
    pytest.importorskip("ray").shutdown()
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["compare", "--executor", "ray"]) == 2
    error = capsys.readouterr().err
    assert f"RAY_ADDRESS={address}" in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_cluster_that_does_not_start_is_one_line(tmp_path, monkeypatch, capsys) -> None:
    ray = pytest.importorskip("ray")

    def init(address: str, **_) -> None:
        raise ConnectionError if address == "auto" else Exception("timed out during startup.\nX")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["compare", "--executor", "ray"]) == 2
    error = capsys.readouterr().err
    assert "Ray does not start on this machine: timed out during startup" in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())
