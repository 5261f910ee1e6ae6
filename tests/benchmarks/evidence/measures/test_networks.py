import dataclasses

import numpy as np
import pytest

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.evidence.measures.networks import (
    accuracies,
    chance_of,
    over_seeds,
    right,
    tuned,
)

TRIALS = [RunConfig("mse", 7, 0.1, epochs=4), RunConfig("nll", 7, 0.1, epochs=6, label_noise=0.2)]


@pytest.fixture
def lab(fake_lab):
    return fake_lab("quick", lambda trial: [0.7, 0.6] if trial.loss == "mse" else [0.9, 0.8])


def test_the_search_is_smaller_and_the_trial_is_not(lab):
    found = tuned(lab, TRIALS, epochs=2)
    assert lab.searches == [dataclasses.replace(trial, epochs=2) for trial in TRIALS]
    assert found == [dataclasses.replace(trial, learning_rate=0.03) for trial in TRIALS]


def test_seeds_are_paired_and_tested(lab):
    outcomes = over_seeds(lab, TRIALS, 3)
    assert [[run.config.seed for run in runs] for runs in outcomes] == [[0, 1, 2]] * 2
    for runs, trial in zip(outcomes, TRIALS, strict=True):
        for run in runs:
            assert run.config == dataclasses.replace(trial, seed=run.config.seed, test=True)
            assert run.test is not None


def test_accuracies_are_percent_of_the_test_images(lab):
    mse, nll = over_seeds(lab, TRIALS, 3)
    assert accuracies(mse) == pytest.approx([100 * run.test.accuracy for run in mse])
    assert np.mean(accuracies(nll)) == pytest.approx(85, abs=1)
    assert right(mse).shape == (3, 1000)
    np.testing.assert_array_equal(right(mse)[1], mse[1].test.correct)
    assert chance_of(mse) == 50


def test_chance_is_the_most_frequent_class(lab):
    (run,) = over_seeds(lab, TRIALS[:1], 1)[0]
    said = dataclasses.replace(run.test, labels=np.array([0, 2, 2, 1, 2]))
    assert chance_of([dataclasses.replace(run, test=said)]) == 60
