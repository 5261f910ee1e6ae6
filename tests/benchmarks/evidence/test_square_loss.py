import math

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from lossbench.benchmarks.evidence.square_loss import (
    CHALLENGER,
    IN_WORDS,
    MARGIN,
    REFERENCE,
    equivalent,
)
from lossbench.benchmarks.stats.contrasts import Contrast
from lossbench.benchmarks.stats.intervals import Interval

from .worlds import RATES, square_loss_world


@pytest.mark.parametrize(
    ("shares", "verdict"),
    [
        ({"mse": 0.68}, "does not hold"),
        ({"mse": 0.80}, "does not hold"),
        ({"mse": 0.72}, "undecided"),
        ({"mse": 0.76}, "undecided"),
        # Only square loss decides.
        ({"sigmoid_mse": 0.5, "bce_with_logits": 0.9}, "holds"),
    ],
)
def test_verdict_follows_the_accuracy_of_square_loss(examine, shares, verdict):
    assert examine("square-loss", **shares).verdict == verdict


@pytest.mark.parametrize("share", [0.735, 0.725, 0.722, 0.719, 0.70])
def test_equal_means_two_one_sided_tests(analyse, share):
    found = analyse("square-loss", mse=share)[0].contrasts[CHALLENGER]
    p = max(
        ttest_1samp(found.differences, -MARGIN, alternative="greater").pvalue,
        ttest_1samp(found.differences, MARGIN, alternative="less").pvalue,
    )
    seeds_alone = Contrast(found.differences, found.seeds)
    assert (equivalent(seeds_alone) == "holds") == (p < 0.05)
    # Images can only widen the interval.
    assert found.interval.low <= found.seeds.low < found.seeds.high <= found.interval.high
    truth = ttest_1samp(found.differences, 0).confidence_interval(0.90)
    assert (found.seeds.low, found.seeds.high) == pytest.approx((truth.low, truth.high))


def test_an_interval_allows_for_seeds_and_images():
    # Either alone is within the margin of 2.
    seeds, images = Interval(0.5, -0.5, 1.7, 8), Interval(0.5, -0.5, 2.0, 2000)
    found = Contrast((0.5,) * 8, seeds, images)
    ends = 0.5 - math.sqrt(2), 0.5 + math.hypot(1.2, 1.5)
    assert (found.interval.low, found.interval.high) == pytest.approx(ends)
    assert equivalent(found) == "undecided"


def test_numbers_are_those_of_the_runs(examine, analyse):
    analysis, trainer = analyse("square-loss")
    mean = {
        loss: 100 * np.mean([run.test.accuracy for run in runs])
        for loss, runs in analysis.runs.items()
    }
    finding = examine("square-loss")
    assert finding.measures[0].value == pytest.approx(mean[CHALLENGER] - mean[REFERENCE])
    assert f"{mean[CHALLENGER]:.1f} %" in finding.sentence
    accuracy, differences, search = finding.tables
    assert len(accuracy.rows) == len(IN_WORDS) == len(differences.rows) + 1
    assert search.columns[1:] == tuple(f"{rate:g}" for rate in RATES)
    assert float(search.rows[1][1]) == pytest.approx(mean[CHALLENGER], abs=1)
    for configs in (trainer.searched, trainer.trained):
        alike = {
            loss: [(c.seed, c.epochs, c.train_images) for c in configs if c.loss == loss]
            for loss in IN_WORDS
        }
        assert all(each == alike[REFERENCE] for each in alike.values())


def test_a_best_rate_at_an_end_of_the_grid_is_noted(analyse):
    analysis, _ = analyse("square-loss")
    assert "end of the grid" in analysis.notes()[-1]
    rate = analysis.rates[REFERENCE]
    analysis.searched = {loss: {rate / 2: 0.6, rate: 0.7, 2 * rate: 0.65} for loss in IN_WORDS}
    assert "end of the grid" not in analysis.notes()[-1]


def test_a_rate_at_which_a_loss_diverges_is_drawn_at_the_edge(examine):
    def world(config):
        share = 0.0 if config.learning_rate == RATES[-1] else 0.7
        return square_loss_world(config, mse=share)

    assert "mse 70." in examine("square-loss", world=world).figures[1].alt
