import dataclasses
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

import pytest
import torch

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.data.batches import prepare
from lossbench.benchmarks.training.executors.cuda_streams import (
    START_EVERY,
    run_all,
    runs_to_start,
)
from lossbench.benchmarks.training.recorder import RunFailedError
from lossbench.benchmarks.training.train import Trainer

from ...trained_runs import SMALL
from ..fitted_runs import History, assert_same, cuda, fitted

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


class FakeRuns:
    """Trainers that count their steps, and note which of them are open."""

    def __init__(self) -> None:
        self.open: set[str] = set()
        self.peak = 0
        self.closed: list[str] = []

    @contextmanager
    def trainer(self, name: str, steps: int, error: BaseException | None = None) -> Iterator:
        self.open.add(name)
        self.peak = max(self.peak, len(self.open))
        try:
            yield FakeTrainer(name, steps, error)
        finally:
            self.open.remove(name)
            self.closed.append(name)

    def __call__(self, name: str, steps: int, error: BaseException | None = None):
        return name, partial(self.trainer, name, steps, error)


class FakeTrainer:
    def __init__(self, name: str, steps: int, error: BaseException | None) -> None:
        self.name, self.left, self.error = name, steps, error

    @property
    def done(self) -> bool:
        return self.left == 0

    def step(self) -> None:
        self.left -= 1
        if self.error and self.done:
            raise self.error

    def finish(self) -> str:
        return self.name.upper()


def test_every_run_ends_with_its_result_or_its_error() -> None:
    fake, error = FakeRuns(), ValueError("no")
    ended = dict(run_all([fake("a", 3), fake("b", 1, error), fake("c", 0)], CPU, limit=None))
    assert ended["a"].result() == "A"
    assert ended["b"].exception() is error
    assert ended["c"].result() == "C"
    assert fake.closed == ["a", "b", "c"]


@pytest.mark.parametrize(("limit", "peak"), [(None, 1), (1, 1), (3, 3), (50, 20)])
def test_no_more_runs_than_the_limit_are_open(limit: int | None, peak: int) -> None:
    fake = FakeRuns()
    runs = (fake(str(k), 20 * START_EVERY) for k in range(20))
    assert len(list(run_all(runs, CPU, limit))) == 20
    assert fake.peak == peak


def test_runs_that_are_given_up_are_closed() -> None:
    fake = FakeRuns()
    ended = run_all([fake("a", 9), fake("b", 99), fake("c", 99)], CPU, limit=3)
    assert next(ended)[0] == "a"
    assert fake.open
    ended.close()
    assert not fake.open


def test_an_interruption_closes_all_runs() -> None:
    fake = FakeRuns()
    runs = [fake("a", 2 * START_EVERY, KeyboardInterrupt()), fake("b", 99)]
    with pytest.raises(KeyboardInterrupt):
        list(run_all(runs, CPU, limit=2))
    assert fake.closed == ["a", "b"]


def test_a_failed_run_leaves_no_network_behind() -> None:
    networks = []

    class Failing(FakeTrainer):
        def step(self) -> None:
            self.model = torch.nn.Linear(1, 1)
            self.cycle = self
            networks.append(weakref.ref(self.model))
            raise ValueError("no")

    @contextmanager
    def failing() -> Iterator[Failing]:
        try:
            yield Failing("a", 1, None)
        except ValueError as error:
            error.__traceback__ = None
            raise RunFailedError("no") from None

    for _, ended in run_all([("a", failing)], CPU, limit=1):
        assert isinstance(ended.exception(), RunFailedError)
        assert networks[0]() is None


@pytest.mark.parametrize(
    ("active", "number", "limit", "free", "reserved", "expected"),
    [
        (0, 3, None, 0, 0, 1),  # one in any case
        (4, START_EVERY + 1, None, 10**9, 4, 0),  # not yet
        (4, START_EVERY, None, 10**9, 4, 4),  # as many again
        (4, START_EVERY, 6, 10**9, 4, 2),
        (4, START_EVERY, 4, 10**9, 4, 0),
        (4, START_EVERY, None, 7, 4, 3),  # each has taken 1; twice that for each new one
        (4, START_EVERY, None, 1, 4, 0),
    ],
)
def test_on_cuda_runs_start_while_there_is_memory(
    active, number, limit, free, reserved, expected, monkeypatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 10**12))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: reserved)
    assert runs_to_start(active, number, limit, CUDA) == expected


def check_side_by_side(configs: list[RunConfig], images, device, limit: int | None) -> None:
    dataset = prepare(images, device, validation=0.25)
    trainers, histories, opened, peak = {}, {}, set(), 0

    def open_trainer(config: RunConfig):
        nonlocal peak
        histories[config] = History()
        trainers[config] = Trainer(config, dataset, [histories[config]], log_every=2)
        opened.add(config)
        peak = max(peak, len(opened))
        return nullcontext(trainers[config])

    runs = ((config, partial(open_trainer, config)) for config in configs)
    for config, ended in run_all(runs, device, limit):
        opened.remove(config)
        run = (ended.result(), trainers[config].model, histories[config])
        assert_same(run, fitted(config, images, device))
    assert peak > 1


@pytest.mark.usefixtures("one_thread")
def test_runs_side_by_side_have_the_results_of_each_alone(images) -> None:
    losses, seeds = ("cross-entropy", "sigmoid-mse", "bce"), (0, 1)
    configs = [
        dataclasses.replace(SMALL, loss=loss, seed=seed, epochs=6)
        for loss in losses
        for seed in seeds
    ]
    check_side_by_side(configs, images, CPU, limit=4)


@cuda
def test_on_cuda_runs_side_by_side_have_the_results_of_each_alone(images, cuda_device) -> None:
    configs = [
        dataclasses.replace(
            SMALL, loss=loss, seed=seed, epochs=8, optimizer="adam" if seed % 2 else "sgd"
        )
        for loss in ("cross-entropy", "sigmoid-mse", "mse", "bernoulli-sum")
        for seed in range(5)
    ]
    check_side_by_side(configs, images, cuda_device, limit=None)
