import dataclasses
import statistics

import numpy as np
import pytest

from lossbench.benchmarks.training.result import Predictions, RunConfig, RunResult
from lossbench.benchmarks.training.search import (
    FIRST_SEARCH_SEED,
    accuracy_by_rate,
    best_rate,
    search,
)


def outcome(rate: float, seed: int, accuracy: float) -> RunResult:
    """One with this accuracy on 100 validation images; NaN is a network that has diverged."""
    labels = np.zeros(100, np.int64)
    diverged = accuracy != accuracy
    right = 0 if diverged else round(100 * accuracy)
    predicted = (np.arange(100) >= right).astype(np.int64)
    outputs = np.full((100, 1), np.nan if diverged else 0.0, np.float32)
    said = Predictions(outputs, np.zeros((100, 2), np.float32), predicted, labels)
    return RunResult(RunConfig("mse", seed, rate), (), 0.0, 1, (50, 50), said, None, None, 0.0)


def test_the_best_rate_is_that_of_the_highest_mean() -> None:
    grid = {0.1: (0.7, 0.8), 0.3: (0.9, 0.5), 1.0: (0.2, 0.9)}
    found = [outcome(r, s, a) for r, each in grid.items() for s, a in enumerate(each)]
    assert accuracy_by_rate(found) == {
        rate: pytest.approx(statistics.fmean(each)) for rate, each in grid.items()
    }
    assert best_rate(found) == 0.1


def test_of_equals_the_lowest_rate_is_best_whatever_the_order() -> None:
    found = [outcome(rate, 0, 0.75) for rate in (3.0, 0.1, 1.0)]
    assert best_rate(found) == 0.1


def test_a_rate_that_diverges_counts_as_nothing() -> None:
    found = [outcome(0.1, 0, 0.5), outcome(1.0, 0, float("nan")), outcome(1.0, 1, 0.9)]
    assert best_rate(found) == 0.1


def test_a_search_needs_validation_images() -> None:
    with pytest.raises(ValueError, match="validation"):
        best_rate([dataclasses.replace(outcome(0.1, 0, 0.5), validation=None)])


def test_every_trial_gets_the_same_rates_and_seeds_and_no_test_images() -> None:
    class Asked:
        def train(self, trials, _doing):
            self.trials = list(trials)
            return [outcome(t.learning_rate, t.seed, 0.5) for t in trials]

    pool = Asked()
    wanted = [
        RunConfig("mse", 3, 7.0, test=True, pairs=True),
        RunConfig("sigmoid-focal", 3, 7.0, settings=(("gamma", 1.0),), test=True),
    ]
    found = search(pool, wanted, (0.1, 0.3, 1.0), 2)
    assert [len(each) for each in found] == [6, 6]
    assert not any(t.test or t.pairs for t in pool.trials)
    for trial in wanted:
        mine = {(t.learning_rate, t.seed) for t in pool.trials if t.loss == trial.loss}
        assert mine == {(r, FIRST_SEARCH_SEED + k) for r in (0.1, 0.3, 1.0) for k in (0, 1)}
    assert all(t.settings == wanted[1].settings for t in pool.trials if t.loss == "sigmoid-focal")
