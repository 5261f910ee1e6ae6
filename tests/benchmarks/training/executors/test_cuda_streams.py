from collections.abc import Iterator
from typing import Any

import pytest
import torch

from lossbench.benchmarks.data.batches import prepare
from lossbench.benchmarks.training.executors import cuda_streams as side_by_side
from lossbench.benchmarks.training.executors.cuda_streams import PAUSE, Task, in_turns, to_the_end
from lossbench.benchmarks.training.result import RunConfig
from lossbench.benchmarks.training.train import train, training
from lossbench.losses import registry

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
SMALL = RunConfig("cross-entropy", seed=0, learning_rate=0.02, width=4, epochs=2, batch_size=16)


class Noted:
    """Tasks that note when they begin and end."""

    def __init__(self) -> None:
        self.now: set[str] = set()
        self.most = 0
        self.ended: list[str] = []

    def task(self, name: str, turns: int, error: Exception | None = None) -> Task[str]:
        self.now.add(name)
        self.most = max(self.most, len(self.now))
        try:
            for _ in range(turns):
                yield
            if error:
                raise error
            return name.upper()
        finally:
            self.now.remove(name)
            self.ended.append(name)


def test_every_task_ends_with_its_value_or_its_error() -> None:
    noted, error = Noted(), ValueError("no")
    tasks = [("a", noted.task("a", 3)), ("b", noted.task("b", 1, error)), ("c", noted.task("c", 0))]
    found = dict(in_turns(tasks, CPU, most=None))
    assert found["a"].result() == "A"
    assert found["b"].exception() is error
    assert found["c"].result() == "C"


@pytest.mark.parametrize(("most", "together"), [(None, 1), (1, 1), (3, 3), (50, 20)])
def test_no_more_than_that_many_at_a_time(most: int | None, together: int) -> None:
    noted = Noted()

    def tasks() -> Iterator[tuple[str, Task[str]]]:
        for k in range(20):
            yield str(k), noted.task(str(k), 20 * PAUSE)

    assert len(list(in_turns(tasks(), CPU, most))) == 20
    assert noted.most == together


def test_tasks_that_are_no_longer_wanted_are_closed() -> None:
    noted = Noted()
    tasks = [(name, noted.task(name, turns)) for name, turns in (("a", 1), ("b", 99), ("c", 99))]
    for name, _ in (turns := in_turns(tasks, CPU, most=3)):
        assert name == "a"
        break
    turns.close()
    assert not noted.now


def test_what_stops_everything_closes_the_others() -> None:
    noted = Noted()

    def interrupted() -> Task[str]:
        yield from noted.task("a", 2 * PAUSE)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(in_turns([("a", interrupted()), ("b", noted.task("b", 99))], CPU, most=2))
    assert noted.ended == ["a", "b"]


def test_the_error_of_a_task_by_itself_is_raised() -> None:
    with pytest.raises(ValueError, match="no"):
        to_the_end(Noted().task("a", 1, ValueError("no")), CPU)


@pytest.mark.parametrize(
    ("going", "turn", "most", "free", "taken", "expected"),
    [
        (0, 3, None, 0, 0, 1),  # one in any case
        (4, PAUSE + 1, None, 10**9, 4, 0),  # not yet
        (4, PAUSE, None, 10**9, 4, 4),  # as many again
        (4, PAUSE, 6, 10**9, 4, 2),
        (4, PAUSE, 4, 10**9, 4, 0),
        (4, PAUSE, None, 7, 4, 3),  # each of 1, twice that for each new one
        (4, PAUSE, None, 1, 4, 0),
    ],
)
def test_on_cuda_others_begin_while_there_is_memory(
    going, turn, most, free, taken, expected, monkeypatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 10**12))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: taken)
    assert side_by_side._begin_now(going, turn, most, CUDA) == expected


def test_trainings_side_by_side_come_to_what_each_comes_to_alone(images, one_thread) -> None:  # noqa: ARG001
    trials = [
        RunConfig(**SMALL.to_json() | {"loss": loss, "seed": seed, "settings": (), "epochs": 8})
        for loss in ("cross-entropy", "sigmoid-mse", "bce")
        for seed in (0, 1)
    ]
    material = prepare(images, CPU, validation=0.25)
    tasks = [(trial, training(trial, material, log_every=2)) for trial in trials]
    going: set[RunConfig] = set()
    most = 0

    def noted() -> Iterator[tuple[RunConfig, Task[Any]]]:
        nonlocal most
        for trial, task in tasks:
            going.add(trial)
            most = max(most, len(going))
            yield trial, task

    for trial, ended in in_turns(noted(), CPU, most=4):
        going.remove(trial)
        outcome, model = ended.result()
        alone, network = train(trial, material, log_every=2)
        assert [p.train_loss for p in outcome.points] == [p.train_loss for p in alone.points]
        for name, weights in network.state_dict().items():
            assert torch.equal(model.state_dict()[name], weights), name
    assert most > 1


def test_every_loss_of_lossbench_is_known_to_be_one() -> None:
    from lossbench.benchmarks.training.train import is_builtin

    assert all(is_builtin(RunConfig(name, 0, 0.1)) for name in registry.names())
    assert not is_builtin(RunConfig("cross-entropy", 0, 0.1, model="package.module:Class"))
