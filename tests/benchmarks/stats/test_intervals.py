import math

import numpy as np
import pytest
from scipy import stats

from lossbench.benchmarks.stats.intervals import (
    Interval,
    bootstrap_difference,
    combine_intervals,
    mean_interval,
    paired_difference,
)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("n", [2, 3, 10])
def test_intervals_are_those_of_scipy(n, level):
    a, b = np.random.default_rng(n).normal(0.75, 0.02, (2, n))
    interval = mean_interval(a.tolist(), level)
    assert interval.mean == pytest.approx(a.mean())
    expected = stats.ttest_1samp(a, 0).confidence_interval(level)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    paired = paired_difference(a.tolist(), b.tolist(), level)
    expected = stats.ttest_rel(a, b).confidence_interval(level)
    assert (paired.low, paired.high) == pytest.approx((expected.low, expected.high))


def test_few_or_equal_values():
    assert mean_interval([]) == Interval(None, None, None, 0)
    assert mean_interval([0.7]) == Interval(0.7, None, None, 1)
    assert mean_interval([0.1, 0.1, 0.1]) == Interval(0.1, 0.1, 0.1, 3)
    assert mean_interval([0.5]).as_dict() == {"mean": 0.5, "low": None, "high": None, "n": 1}


def test_a_combined_interval_covers_both_sources_of_variance():
    # Networks and images each vary, and the two together: x[i, j] = a[i] + b[j] + e[i, j].
    draw = np.random.default_rng(0)
    networks, images, rounds = 8, 200, 1500
    covered = {"combined": 0, "outer ends": 0}
    for _ in range(rounds):
        x = draw.normal(0, 1, (networks, 1)) + draw.normal(0, 5, images)
        x += draw.normal(0, 3, x.shape)
        over_networks, over_images = mean_interval(x.mean(1)), mean_interval(x.mean(0))
        combined = combine_intervals(over_networks, over_images)
        covered["combined"] += combined.low < 0 < combined.high
        low = min(over_networks.low, over_images.low)
        covered["outer ends"] += low < 0 < max(over_networks.high, over_images.high)
    assert covered["combined"] / rounds > 0.94
    assert covered["outer ends"] / rounds < 0.93


def test_a_combined_interval_by_hand():
    both = combine_intervals(Interval(1.0, -2.0, 5.0, 3), Interval(1.0, -3.0, 4.0, 200))
    assert both == Interval(1.0, -4.0, 6.0, 3)
    seeds, without = Interval(1.0, 0.0, 2.0, 3), Interval(1.0, None, None, 1)
    assert combine_intervals(seeds, without) == Interval(1.0, None, None, 3)
    assert combine_intervals(without, seeds) == Interval(1.0, None, None, 1)


@pytest.mark.parametrize("shape", [(400,), (3, 400)])
def test_bootstrap_equals_drawing_examples_one_by_one(shape):
    random = np.random.default_rng(0)
    a, b = random.random(shape) < 0.8, random.random(shape) < 0.75
    interval = bootstrap_difference(a, b)
    each = np.atleast_2d(a.astype(float) - b).mean(axis=0)
    assert interval.mean == pytest.approx(each.mean())
    assert interval.n == 400
    drawn = each[random.integers(0, 400, (10_000, 400))].mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.003)


def test_bootstrap_keeps_pairs_together():
    correct = np.random.default_rng(0).random((2, 300)) < 0.7
    assert bootstrap_difference(correct, correct) == Interval(0, 0, 0, 300)
    opposed = bootstrap_difference(correct[0], ~correct[0])
    assert opposed.high - opposed.low > 0.1


def test_bootstrap_is_reproducible_and_antisymmetric():
    a, b = np.random.default_rng(1).random((2, 100)) < [[0.8], [0.75]]
    assert bootstrap_difference(a, b) == bootstrap_difference(a, b)
    ours, theirs = bootstrap_difference(a, b), bootstrap_difference(b, a)
    assert ours.mean == -theirs.mean
    assert ours.low == pytest.approx(-theirs.high, abs=0.01)
    assert bootstrap_difference(a, b, 0.5).high < ours.high


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mean_interval([0.5, math.nan]), "finite"),
        (lambda: mean_interval([0.5], level=95), "level"),
        (lambda: paired_difference([1.0], [1.0, 2.0]), "equal lengths"),
        (lambda: bootstrap_difference([True], [True, False]), r"\(1, 1\) and \(1, 2\)"),
        (lambda: bootstrap_difference([], []), "shape"),
        (lambda: bootstrap_difference(np.ones((1, 1, 1)), [True]), r"not \(1, 1, 1\)"),
        (lambda: bootstrap_difference([True], [True], draws=0), "draws"),
        (lambda: bootstrap_difference([True], [True], level=0), "level"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
