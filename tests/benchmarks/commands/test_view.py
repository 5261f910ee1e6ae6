import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lossbench.benchmarks.commands import view as viewing
from lossbench.benchmarks.commands.view import (
    addresses,
    experiments,
    link_experiments,
    log_directory,
    serve,
    view,
)


def experiment(path: Path, finished: bool = True) -> Path:
    """An experiment of two losses, with a board if it is finished."""
    for loss in ("mse", "nll"):
        (path / loss / "seed0").mkdir(parents=True)
        if finished:
            (path / "tensorboard" / loss).mkdir(parents=True)
    (path / "experiment.json").write_text("{}")
    return path


class Fake:
    """In the place of TensorBoard's process: ends when it has been waited for often enough."""

    def __init__(self, waits: int = 1, code: int = 0) -> None:
        self.waits, self.code, self.command, self.ended = waits, code, [], False
        self.seen: list[dict[str, Path]] = []

    def __call__(self, command: list[str]) -> "Fake":
        self.command = command
        return self

    @property
    def directory(self) -> Path:
        return Path(self.command[self.command.index("--logdir") + 1])

    def wait(self, timeout: float | None = None) -> int:
        self.seen.append(links(self.directory))
        self.waits -= 1
        if timeout is not None and self.waits > 0:
            raise subprocess.TimeoutExpired("tensorboard", timeout)
        return self.code

    def terminate(self) -> None:
        self.ended = True


def links(tree: Path) -> dict[str, Path]:
    return {str(p.relative_to(tree)): p.readlink() for p in tree.rglob("*") if p.is_symlink()}


@pytest.fixture
def process(monkeypatch) -> Fake:
    fake = Fake()
    monkeypatch.setattr(viewing.subprocess, "Popen", fake)
    monkeypatch.setattr(viewing.signal, "signal", lambda *_: None)
    return fake


def test_of_a_finished_experiment_the_losses_are_opened(tmp_path, process, capsys) -> None:
    directory = experiment(tmp_path / "a")
    assert view(directory, 7007) == 0
    assert process.command == [
        *(sys.executable, "-m", "tensorboard.main"),
        *("--logdir", str(directory / "tensorboard")),
        *("--host", "localhost", "--port", "7007"),
    ]
    assert process.ended
    assert "http://localhost:7007/#custom_scalars" in capsys.readouterr().out


def test_of_one_that_goes_on_the_seeds_are_opened(tmp_path, process, capsys) -> None:
    directory = experiment(tmp_path / "a", finished=False)
    process.code = 3
    assert view(directory, 6006) == 3
    assert process.directory == directory
    assert "http://localhost:6006/?runFilter=seed0" in capsys.readouterr().out


def test_every_seed_is_the_directory_itself(tmp_path, process) -> None:
    experiment(tmp_path / "a")
    view(tmp_path, 6006, every_seed=True)
    assert process.directory == tmp_path


def test_of_many_experiments_each_is_linked_and_looked_for_again(tmp_path, monkeypatch, process):
    runs = tmp_path / "runs"
    first = experiment(runs / "a", finished=False)
    second = experiment(runs / "reference" / "normal")
    experiment(runs / "tuning" / "not a comparison")
    experiment(runs / ".hidden")
    process.waits = 2
    third = []

    def look(tree: Path, runs: Path) -> None:
        if process.seen:
            (first / "tensorboard").mkdir()
            third.append(experiment(runs / "later"))
        link_experiments(tree, runs)

    monkeypatch.setattr(viewing, "link_experiments", look)
    view(runs, 6006)
    before, _, *_ = process.seen
    assert before == {"a": first, "reference/normal": second / "tensorboard"}
    assert process.seen[1] == {
        "a": first / "tensorboard",
        "later": third[0] / "tensorboard",
        "reference/normal": second / "tensorboard",
    }
    assert not process.directory.exists()


def test_an_experiment_that_is_gone_is_no_longer_linked(tmp_path: Path) -> None:
    runs, tree = tmp_path / "runs", tmp_path / "tree"
    tree.mkdir()
    kept, gone = experiment(runs / "kept"), experiment(runs / "gone")
    link_experiments(tree, runs)
    (gone / "experiment.json").unlink()
    link_experiments(tree, runs)
    assert links(tree) == {"kept": log_directory(kept)}


def test_experiments_are_found_at_some_depth(tmp_path: Path) -> None:
    found = [experiment(tmp_path / name) for name in ("a", "b/c", "b/d/e")]
    experiment(tmp_path / "b" / "d" / "f" / "too deep")
    assert list(experiments(tmp_path)) == found
    assert list(experiments(found[0])) == [found[0]]


def test_with_too_many_runs_it_says_what_tensorboard_does(tmp_path: Path) -> None:
    few = [experiment(tmp_path / f"{i}") for i in range(20)]
    assert len(addresses(few, 6006)) == 2
    assert "--runs" in addresses([*few, experiment(tmp_path / "one more")], 6006)[-1]


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_that_there_is_not(tmp_path: Path, refusal, port: int) -> None:
    refusal(lambda: view(experiment(tmp_path / "a"), port), f"--port {port}")


def test_a_port_that_another_program_has(tmp_path: Path, refusal, process) -> None:
    with socket.socket() as other:
        other.bind(("localhost", 0))
        other.listen()
        port = other.getsockname()[1]
        refusal(lambda: view(experiment(tmp_path / "a"), port), f"--port {port}", "another")
    assert process.command == []
    assert view(experiment(tmp_path / "b"), port) == 0


def test_where_there_is_nothing_to_view(tmp_path: Path, refusal) -> None:
    refusal(lambda: view(tmp_path / "nowhere", 6006), "nowhere", "lossbench compare")
    refusal(lambda: view(tmp_path, 6006), "no experiment", "lossbench compare")


def test_tensorboard_ends_with_the_command(tmp_path: Path, process) -> None:
    process.waits = 5

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        serve(tmp_path, 6006, interrupt)
    assert process.ended
