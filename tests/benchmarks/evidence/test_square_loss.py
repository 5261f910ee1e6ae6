import dataclasses
import math

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.evidence import square_loss
from lossbench.benchmarks.evidence.figures import square_loss as square_loss_pictures
from lossbench.benchmarks.evidence.square_loss import CHALLENGER, CLAIM, MARGIN, REFERENCE
from lossbench.benchmarks.records.claim import verdict_of
from lossbench.benchmarks.stats.intervals import Interval

EQUAL = {"mse": 0.735, "cross-entropy": 0.74, "bce-with-logits": 0.738, "sigmoid-mse": 0.69}


def lab_of(fake_lab, budget="quick", **shares):
    right = EQUAL | {name.replace("_", "-"): share for name, share in shares.items()}
    return fake_lab(budget, lambda trial: [right[trial.loss]] * 2, count=1000)


@pytest.fixture
def unpainted(monkeypatch):
    """Pictures are laid out and not painted, which takes most of the time."""
    monkeypatch.setattr(square_loss_pictures, "render_png", lambda *_: b"")


@pytest.mark.parametrize("budget", square_loss.SIZES)
def test_equal_accuracies_are_equal(fake_lab, check_finding, budget):
    lab = lab_of(fake_lab, budget)
    finding = CLAIM.examine(lab)
    assert finding.verdict == "holds"
    check_finding(CLAIM, finding, lab)


@pytest.mark.parametrize(
    ("share", "verdict"),
    [
        (0.68, "does not hold"),
        (0.80, "does not hold"),
        (0.72, "undecided"),
        (0.76, "undecided"),
    ],
)
@pytest.mark.usefixtures("unpainted")
def test_verdict_follows_the_accuracy_of_square_loss(fake_lab, share, verdict):
    finding = CLAIM.examine(lab_of(fake_lab, mse=share))
    assert finding.verdict == verdict
    assert finding.verdict == verdict_of(finding.measures)


@pytest.mark.usefixtures("unpainted")
def test_only_square_loss_decides(fake_lab):
    finding = CLAIM.examine(lab_of(fake_lab, sigmoid_mse=0.5, bce_with_logits=0.9))
    assert finding.verdict == "holds"


@pytest.mark.usefixtures("unpainted")
def test_two_seeds_decide_nothing(fake_lab, monkeypatch):
    monkeypatch.setitem(square_loss.SIZES, "quick", square_loss.SIZES["quick"]._replace(seeds=2))
    assert CLAIM.examine(lab_of(fake_lab)).verdict == "undecided"


@pytest.mark.usefixtures("unpainted")
def test_every_loss_is_searched_and_trained_alike(fake_lab):
    lab = lab_of(fake_lab)
    CLAIM.examine(lab)
    for trials in (lab.searches, lab.trained):
        alike = {
            loss: {
                (t.seed, t.epochs, t.train_images, t.batch_size) for t in trials if t.loss == loss
            }
            for loss in square_loss.LOSSES
        }
        assert all(each == alike[REFERENCE] for each in alike.values())


def runs(lab, loss, seeds=8):
    trial = RunConfig(loss=loss, seed=0, learning_rate=0.03, test=True)
    return [lab.outcome(dataclasses.replace(trial, seed=seed)) for seed in range(seeds)]


@pytest.mark.parametrize("share", [0.735, 0.725, 0.722, 0.719, 0.70])
def test_equal_means_two_one_sided_tests(fake_lab, share):
    lab = lab_of(fake_lab, mse=share)
    found = {loss: runs(lab, loss) for loss in (REFERENCE, CHALLENGER)}
    gap = square_loss.gap_of(CHALLENGER, found)
    p = max(
        ttest_1samp(gap.differences, -MARGIN, alternative="greater").pvalue,
        ttest_1samp(gap.differences, MARGIN, alternative="less").pvalue,
    )
    seeds_alone = gap._replace(examples=Interval(*[gap.seeds.mean] * 3, 2000))
    assert (seeds_alone.verdict == "holds") == (p < 0.05)
    # Images can only make it less sure.
    assert gap.interval.low <= seeds_alone.interval.low
    assert gap.interval.high >= seeds_alone.interval.high


@pytest.mark.usefixtures("unpainted")
def test_a_difference_is_in_points_of_test_accuracy(fake_lab):
    lab = lab_of(fake_lab)
    finding = CLAIM.examine(lab)
    mean = {
        loss: 100 * np.mean([lab.outcome(t).test.accuracy for t in lab.trained if t.loss == loss])
        for loss in (REFERENCE, CHALLENGER)
    }
    assert finding.measures[0].value == pytest.approx(mean[CHALLENGER] - mean[REFERENCE])


def test_a_best_rate_at_an_end_of_the_grid_is_told(fake_lab):
    lab = lab_of(fake_lab)
    tried = {loss: {0.01: 60.0, 0.03: 70.0} for loss in square_loss.LOSSES}
    size = square_loss.SIZES["quick"]
    found = {loss: runs(lab, loss) for loss in square_loss.LOSSES}
    gaps = {loss: square_loss.gap_of(loss, found) for loss in square_loss.LOSSES[1:]}
    chosen = dict.fromkeys(tried, 0.03)
    assert "end of the grid" in square_loss.notes_of(size, tried, chosen, gaps)[-1]
    tried = {loss: means | {0.1: 65.0} for loss, means in tried.items()}
    assert "end of the grid" not in square_loss.notes_of(size, tried, chosen, gaps)[-1]


def test_an_interval_allows_for_seeds_and_images():
    # Either alone is within the margin of 2.
    seeds, images = Interval(0.5, -0.5, 1.7, 8), Interval(0.5, -0.5, 2.0, 2000)
    gap = square_loss.Gap(CHALLENGER, (0.5,) * 8, seeds, images)
    ends = 0.5 - math.sqrt(2), 0.5 + math.hypot(1.2, 1.5)
    assert (gap.interval.low, gap.interval.high) == pytest.approx(ends)
    assert gap.interval.n == 8
    assert gap.verdict == "undecided"


def test_the_interval_over_seeds_is_the_90_percent_one(fake_lab):
    lab = lab_of(fake_lab)
    gap = square_loss.gap_of(CHALLENGER, {loss: runs(lab, loss) for loss in square_loss.LOSSES})
    truth = ttest_1samp(gap.differences, 0).confidence_interval(0.90)
    assert (gap.seeds.low, gap.seeds.high) == pytest.approx((truth.low, truth.high))
