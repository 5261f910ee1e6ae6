import dataclasses

import numpy as np
import pytest

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.evidence.runs import (
    accuracies,
    chance_level,
    correct,
    search_rates,
    tested,
    train_cells,
    train_seeds,
    tune,
    validation_accuracy,
)

from .worlds import RATES, FakeTrainer, correct_in, with_recalls

CONFIGS = {
    "a": RunConfig("mse", 7, 0.5, epochs=4),
    "b": RunConfig("nll", 7, 0.5, epochs=6, label_noise=0.2),
}


@pytest.fixture
def trainer():
    """Accuracies 0.65 and 0.85; nll is better at the higher rate."""

    def world(config):
        if config.loss == "mse":
            return with_recalls(config, [0.7, 0.6])
        return with_recalls(config, [0.9, 0.8 if config.learning_rate > 0.05 else 0.6])

    return FakeTrainer(world)


def test_a_search_is_smaller_and_the_run_is_not(trainer):
    found = tune(trainer, CONFIGS, epochs=2)
    assert trainer.searched == [dataclasses.replace(c, epochs=2) for c in CONFIGS.values()]
    assert found == {
        # Of equal rates the lowest.
        "a": dataclasses.replace(CONFIGS["a"], learning_rate=RATES[0]),
        "b": dataclasses.replace(CONFIGS["b"], learning_rate=RATES[1]),
    }
    searched = search_rates(trainer, CONFIGS)
    assert list(searched["a"]) == list(RATES)
    assert searched["b"][RATES[1]] == pytest.approx(0.85, abs=0.01)


def test_seeds_are_paired_and_tested(trainer):
    found = train_seeds(trainer, CONFIGS, 3)
    assert list(found) == ["a", "b"]
    for cell, runs in found.items():
        assert [run.config for run in runs] == [
            dataclasses.replace(CONFIGS[cell], seed=seed, test=True) for seed in range(3)
        ]
        assert len(tested(runs)) == 3


def test_cells_may_have_different_numbers_of_runs(trainer):
    cells = {"a": [CONFIGS["a"]], "b": [CONFIGS["b"], CONFIGS["a"]], "c": []}
    found = train_cells(trainer, cells)
    assert {cell: [run.config for run in runs] for cell, runs in found.items()} == cells


def test_accuracies_are_percent_of_the_images(trainer):
    runs = train_seeds(trainer, CONFIGS, 3)["a"]
    assert accuracies(runs) == pytest.approx([100 * run.test.accuracy for run in runs])
    assert correct(runs).shape == (3, 1000)
    np.testing.assert_array_equal(correct(runs)[1], runs[1].test.correct)
    assert validation_accuracy(runs[0]) == pytest.approx(100 * runs[0].validation.accuracy)


def test_chance_is_the_most_frequent_class():
    predictions = correct_in(0.5)
    assert chance_level(predictions) == 50
    labels = np.array([0, 2, 2, 1, 2])
    assert chance_level(dataclasses.replace(predictions, labels=labels)) == 60
