import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lossbench.benchmarks.commands import view as viewing
from lossbench.benchmarks.commands.view import (
    COLOURS,
    addresses,
    experiments,
    hints,
    last_date,
    newest,
    parts_of,
    serve,
)
from lossbench.benchmarks.subcommands import ViewCommand

LOSSES = ("cross-entropy", "mse", "nll")


def view(runs: Path, port: int = 6006, **flags: Any) -> int:
    return viewing.run(ViewCommand(runs=runs, port=port, **flags))


def experiment(
    path: Path, finished: bool = True, losses=LOSSES, date="2026-01-01T00:00:00+00:00", **about
) -> Path:
    """An experiment with a board if it is finished; nll is a multiple of cross-entropy."""
    for loss in losses:
        for seed in range(1 if loss == "nll" else 2):
            (path / loss / f"seed{seed}").mkdir(parents=True)
        if finished and loss != "nll":
            (path / "tensorboard" / loss).mkdir(parents=True)
    about = {"date": date, "config": {"losses": losses}, "identities": {"nll": {}}} | about
    (path / "experiment.json").write_text(json.dumps(about))
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
    logdir = process.command.index("--logdir") + 1
    assert process.command[:logdir] == [sys.executable, "-m", "tensorboard.main", "--logdir"]
    assert process.command[logdir + 1 :] == ["--host", "localhost", "--port", "7007"]
    # TensorBoard's page shows the directory.
    assert process.directory.parts[-2:] == directory.parts[-2:]
    board = directory / "tensorboard"
    assert process.seen[0] == {name: board / name for name in ("cross-entropy", "mse")}
    assert not process.directory.exists()
    assert process.ended
    home = "http://localhost:7007/?smoothing=0#"
    printed = capsys.readouterr().out
    assert str(directory) in printed
    assert f"{home}custom_scalars&_smoothingWeight=0" in printed
    assert f"{home}timeseries" in printed


def test_of_one_that_goes_on_the_first_seeds_are_opened(tmp_path, monkeypatch, process, capsys):
    directory = experiment(tmp_path / "a", finished=False)
    (directory / "mse" / "seed0").rmdir()
    (directory / "mse" / "seed1").rmdir()
    process.code, process.waits = 3, 3
    update, calls = viewing.update_links, []

    def go_on(tree: Path, links: dict[Path, Path]) -> None:
        update(tree, links)
        calls.append(tree)
        if len(calls) == 1:
            (directory / "mse" / "seed0").mkdir()
        else:
            for loss in ("cross-entropy", "mse"):
                (directory / "tensorboard" / loss).mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(viewing, "update_links", go_on)
    assert view(directory) == 3
    first, second, third, _ = process.seen
    # A multiple of another loss would be one more colour.
    began = {"cross-entropy/seed0": directory / "cross-entropy" / "seed0"}
    assert first == began
    assert second == began | {"mse/seed0": directory / "mse" / "seed0"}
    board = directory / "tensorboard"
    assert third == {loss: board / loss for loss in ("cross-entropy", "mse")}
    assert "#timeseries" in capsys.readouterr().out


def test_the_newest_is_opened_or_the_one_named(tmp_path, process, capsys) -> None:
    old = experiment(tmp_path / "b", date="2026-01-02T00:00:00+02:00")
    new = experiment(tmp_path / "a", date="2026-01-02T00:00:00+01:00")
    view(tmp_path)
    assert process.seen[-1]["mse"].is_relative_to(new)
    assert f"Experiment    {new}\n" in capsys.readouterr().out
    view(old)
    assert process.seen[-1]["mse"].is_relative_to(old)
    resumed = [{"date": "2026-01-01T00:00:00+00:00"}, {"date": "2026-01-03T00:00:00+00:00"}]
    experiment(tmp_path / "c", resumed=resumed)
    assert newest([old, new, tmp_path / "c"]) == tmp_path / "c"


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", '{"date": 3}', '{"resumed": [4]}', '{"resumed": {"a": 1}, "date": "x"}'),
        *('{"config": {"losses": 5}}', '{"date": "0001-01-01T00:00:00+23:00"}', "[" * 100_000),
    ],
)
def test_an_experiment_without_a_date_is_the_oldest(tmp_path: Path, text: str) -> None:
    broken, other = experiment(tmp_path / "z"), experiment(tmp_path / "a")
    (broken / "experiment.json").write_text(text)
    assert newest([broken, other]) == other
    assert last_date(broken).year == 1
    assert viewing.losses_of(broken) == ["cross-entropy", "mse"]


def test_of_two_starts_the_normal_one_is_opened_and_the_other_named(tmp_path, process, capsys):
    normal = experiment(tmp_path / "x" / "normal")
    wrong = experiment(tmp_path / "x" / "confidently-wrong", date="2026-01-01T01:00:00+00:00")
    experiment(tmp_path / "old", date="2025-01-01T01:00:00+00:00")
    view(tmp_path)
    assert process.seen[-1]["mse"].is_relative_to(normal)
    assert f"view --runs {wrong}\n" in capsys.readouterr().out
    view(wrong)
    assert process.seen[-1]["mse"].is_relative_to(wrong)
    assert "Other start" not in capsys.readouterr().out


def test_a_chart_never_has_more_lines_than_colours(tmp_path, process, capsys) -> None:
    losses = ["cross-entropy", *(f"own{number:02d}" for number in range(13))]
    directory = experiment(tmp_path / "a", losses=losses)
    view(directory)
    assert sorted(process.seen[-1]) == losses[:COLOURS]
    printed = capsys.readouterr().out.splitlines()
    others = [line.partition(" --losses ")[2].split() for line in printed if " --losses " in line]
    assert others == [["cross-entropy", *losses[7:13]], ["cross-entropy", losses[13]]]
    for part in others:
        view(directory, losses=tuple(part))
        assert sorted(process.seen[-1]) == part
        assert "--losses" not in capsys.readouterr().out


def test_losses_that_cannot_be_shown(tmp_path, refusal, process) -> None:
    losses = ["cross-entropy", *(f"own{number}" for number in range(9))]
    directory = experiment(tmp_path / "a", losses=losses)
    refusal(lambda: view(directory, losses=tuple(losses)), "--losses", "7 colours")
    refusal(lambda: view(directory, losses=("mse",)), "--losses mse", "own3")
    assert process.command == []


@pytest.mark.parametrize("count", [0, 1, 6, 7, 8, 13, 14, 30])
@pytest.mark.parametrize("first", [["cross-entropy"], []])
def test_parts_are_all_losses_each_with_cross_entropy(count: int, first: list[str]) -> None:
    losses = [*first, *(f"own{number}" for number in range(count))]
    parts = parts_of(losses)
    assert all(len(part) <= COLOURS and part[:1] == losses[:1] for part in parts) or not first
    assert all(len(part) <= COLOURS for part in parts)
    assert first + [loss for part in parts for loss in part if loss not in first] == losses


def test_every_seed_has_the_colour_of_its_loss(tmp_path, process, capsys) -> None:
    directory = experiment(tmp_path / "a")
    view(directory, every_seed=True)
    assert process.seen[-1] == {
        f"{loss}/{name}": directory / place
        for loss in ("cross-entropy", "mse")
        for name, place in {
            "mean": f"tensorboard/{loss}",
            "seed0": f"{loss}/seed0",
            "seed1": f"{loss}/seed1",
        }.items()
    }
    assert "runColorGroup=regex%3A%5E%28%5B%5E%2F%5D%2B%29%2F" in capsys.readouterr().out


def test_all_experiments_are_linked_and_looked_for_again(tmp_path, monkeypatch, process) -> None:
    runs = tmp_path / "runs"
    first = experiment(runs / "a", finished=False)
    second = experiment(runs / "reference" / "normal")
    experiment(runs / "tuning" / "not a comparison")
    experiment(runs / ".hidden")
    process.waits = 2
    update, third = viewing.update_links, []

    def look(tree: Path, links: dict[Path, Path]) -> None:
        update(tree, links)
        if not third:
            third.append(experiment(runs / "later"))
            (first / "tensorboard" / "mse").mkdir(parents=True)

    monkeypatch.setattr(viewing, "update_links", look)
    view(runs, all=True)
    before, after, _ = process.seen
    normal = {f"reference/normal/{k}": second / "tensorboard" / k for k in ("cross-entropy", "mse")}
    seeds = {f"a/{loss}/seed0": first / loss / "seed0" for loss in ("cross-entropy", "mse")}
    assert before == normal | seeds
    later = {f"later/{k}": third[0] / "tensorboard" / k for k in ("cross-entropy", "mse")}
    assert after == normal | later | {"a/mse": first / "tensorboard" / "mse"}


def test_the_name_of_a_loss_that_leads_elsewhere(tmp_path, refusal, process) -> None:
    directory = experiment(tmp_path / "a", finished=False)
    about = {"config": {"losses": ["../../elsewhere"]}}
    (directory / "experiment.json").write_text(json.dumps(about))
    refusal(lambda: view(directory), "elsewhere", "no name of a loss")
    assert process.command == []


def test_experiments_are_found_at_some_depth(tmp_path: Path) -> None:
    found = [experiment(tmp_path / name) for name in ("a", "b/c", "b/d/e")]
    experiment(tmp_path / "b" / "d" / "f" / "too deep")
    assert list(experiments(tmp_path)) == found
    assert list(experiments(found[0])) == [found[0]]


def test_with_too_many_runs_it_says_what_tensorboard_does() -> None:
    assert hints(COLOURS, False) == []
    assert "7 colours" in hints(COLOURS + 1, False)[0]
    assert hints(40, True) == []
    assert "selects none" in hints(41, True)[0]


def test_the_address_of_what_is_there(tmp_path: Path) -> None:
    there, not_yet = experiment(tmp_path / "a"), experiment(tmp_path / "b", finished=False)
    assert "#custom_scalars" in addresses([there, not_yet], 1, False)[0]
    assert "#timeseries" in addresses([not_yet], 1, False)[0]


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
