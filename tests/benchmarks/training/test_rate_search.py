import dataclasses
import math
import statistics

import numpy as np
import pytest

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.training.rate_search import (
    FIRST_SEARCH_SEED,
    accuracy_by_rate,
    best_rate,
    extend_search,
    search,
)
from lossbench.benchmarks.training.result import Predictions, RunResult


def result(rate: float, seed: int, accuracy: float) -> RunResult:
    """One with this accuracy on 100 validation images; NaN is a network that has diverged."""
    labels = np.zeros(100, np.int64)
    diverged = accuracy != accuracy
    right = 0 if diverged else round(100 * accuracy)
    predicted = (np.arange(100) >= right).astype(np.int64)
    outputs = np.full((100, 1), np.nan if diverged else 0.0, np.float32)
    predictions = Predictions(outputs, np.zeros((100, 2), np.float32), predicted, labels)
    return RunResult(
        RunConfig("mse", seed, rate), (), 0.0, 1, (50, 50), predictions, None, None, 0.0
    )


def test_the_best_rate_is_that_of_the_highest_mean() -> None:
    grid = {0.1: (0.7, 0.8), 0.3: (0.9, 0.5), 1.0: (0.2, 0.9)}
    results = [result(r, s, a) for r, each in grid.items() for s, a in enumerate(each)]
    assert accuracy_by_rate(results) == {
        rate: pytest.approx(statistics.fmean(each)) for rate, each in grid.items()
    }
    assert best_rate(accuracy_by_rate(results)) == 0.1


def test_of_equals_the_lowest_rate_is_best_whatever_the_order() -> None:
    results = [result(rate, 0, 0.75) for rate in (3.0, 0.1, 1.0)]
    assert best_rate(accuracy_by_rate(results)) == 0.1


def test_a_run_that_diverges_counts_as_chance() -> None:
    results = [result(0.1, 0, 0.5), result(1.0, 0, float("nan")), result(1.0, 1, 0.9)]
    assert accuracy_by_rate(results) == {0.1: 0.5, 1.0: pytest.approx(0.7)}


class FakePool:
    """Pool whose runs are as accurate as a function of the learning rate says."""

    def __init__(self, accuracy=lambda _: 0.5) -> None:
        self.accuracy, self.configs = accuracy, []

    def train(self, configs, _task):
        self.configs += configs
        return [result(c.learning_rate, c.seed, self.accuracy(c.learning_rate)) for c in configs]


@pytest.mark.parametrize(
    ("best_at", "tried", "added"),
    [
        (0.1, (0.03, 0.1, 0.3), []),
        (3.0, (0.03, 0.1, 0.3), [1.0, 3.0, 10.0]),
        (0.01, (0.03, 0.1, 0.3), [0.01, 0.003]),
        (1e9, (0.1, 0.3), [1.0, 3.0, 10.0, 30.0]),
    ],
)
def test_a_search_goes_on_until_the_best_rate_lies_between_others(best_at, tried, added) -> None:
    pool = FakePool(lambda rate: max(0, 0.9 - 0.04 * abs(math.log10(rate / best_at))))
    config = RunConfig("mse", 0, 1.0)
    searches = search(pool, [config], tried, 2)
    (found,) = extend_search(pool, [config], searches, 2)
    assert [c.learning_rate for c in pool.configs[2 * len(tried) :: 2]] == added
    assert len(found) == 2 * (len(tried) + len(added))
    assert len(searches[0]) == 2 * len(tried)


def test_only_the_losses_that_need_it_get_further_rates() -> None:
    pool = FakePool()
    configs = [RunConfig("zero-one", 0, 1.0), RunConfig("mse", 0, 1.0)]
    searches = search(pool, configs, (0.1, 0.3), 1)
    searches[1][1] = result(0.3, 0, 0.7)
    assert [len(each) for each in extend_search(pool, configs, searches, 1)] == [2, 3]


def test_a_search_needs_validation_images() -> None:
    with pytest.raises(ValueError, match="validation"):
        accuracy_by_rate([dataclasses.replace(result(0.1, 0, 0.5), validation=None)])


def test_every_run_gets_the_same_rates_and_seeds_and_no_test_images() -> None:
    pool = FakePool()
    configs = [
        RunConfig("mse", 3, 7.0, test=True),
        RunConfig("sigmoid-focal", 3, 7.0, loss_arguments=(("gamma", 1.0),), test=True),
    ]
    found = search(pool, configs, (0.1, 0.3, 1.0), 2)
    assert [len(each) for each in found] == [6, 6]
    assert not any(c.test for c in pool.configs)
    for config in configs:
        pairs = {(c.learning_rate, c.seed) for c in pool.configs if c.loss == config.loss}
        assert pairs == {(r, FIRST_SEARCH_SEED + k) for r in (0.1, 0.3, 1.0) for k in (0, 1)}
    assert all(
        c.loss_arguments == configs[1].loss_arguments
        for c in pool.configs
        if c.loss == "sigmoid-focal"
    )
