import math

import numpy as np
import pytest
from scipy import stats

from lossbench.benchmarks.stats.crossed import CrossedMean, accuracy_difference, crossed_mean
from lossbench.benchmarks.stats.intervals import Interval


def drawn(random, seeds=8, images=60, spread=(0.5, 0.7, 1.0)):
    """Values with a random effect of the seed, one of the image, and the rest."""
    a, b, e = spread
    x = a * random.standard_normal((seeds, 1)) + b * random.standard_normal(images)
    return x + e * random.standard_normal((seeds, images))


def test_a_table_by_hand():
    # Rows are seeds. Means 2, 4; 1, 3, 5; 3. Effects -1, 1; -2, 0, 2. The rest is ±[1, -1, 0].
    found = crossed_mean([[1, 1, 4], [1, 5, 6]])
    assert (found.mean, found.seeds, found.images) == (3, 2, 3)
    assert (found.by_seed, found.by_image, found.rest) == (3 * 2 / 1, 2 * 8 / 2, 4 / 2)
    assert found.error == pytest.approx(math.sqrt((6 + 8 - 2) / 6))
    assert found.image_share == pytest.approx(6 / 12)
    assert found.degrees == pytest.approx(12**2 / (6**2 / 1 + 8**2 / 2 + 2**2 / 2))
    half = stats.t.ppf(0.95, found.degrees) * math.sqrt(2)
    assert found.interval(0.9) == Interval(3, pytest.approx(3 - half), pytest.approx(3 + half), 2)


@pytest.mark.parametrize("seed", range(5))
def test_the_mean_squares_are_those_of_the_textbook(seed):
    # By sums of squares less the correction for the mean, as one does it with a calculator.
    x = drawn(np.random.default_rng(seed), 4, 9)
    found, correction = crossed_mean(x), x.sum() ** 2 / 36
    seeds = (x.sum(1) ** 2).sum() / 9 - correction
    images = (x.sum(0) ** 2).sum() / 4 - correction
    rest = (x**2).sum() - correction - seeds - images
    squares = found.by_seed, found.by_image, found.rest
    assert squares == pytest.approx((seeds / 3, images / 8, rest / 24))


def test_error_and_degrees_are_those_of_repeated_experiments():
    random = np.random.default_rng(0)
    found = [crossed_mean(drawn(random)) for _ in range(4000)]
    true = CrossedMean(0, 8, 60, 60 * 0.25 + 1, 8 * 0.49 + 1, 1)
    assert true.error == pytest.approx(np.std([each.mean for each in found]), rel=0.05)
    squares = [each.error**2 for each in found]
    assert true.error**2 == pytest.approx(np.mean(squares), rel=0.05)
    # The degrees of a chi-square are twice the square of its mean over its variance.
    assert true.degrees == pytest.approx(2 * np.mean(squares) ** 2 / np.var(squares), rel=0.1)


def test_if_images_do_not_differ_it_is_the_paired_t_test_over_seeds():
    random = np.random.default_rng(3)
    for _ in range(20):
        x = drawn(random, 5, 200, (0.1, 0.0, 1.0))
        found, test = crossed_mean(x), stats.ttest_1samp(x.mean(1), 0.1)
        if found.by_image < found.rest:
            expected = test.confidence_interval(0.9)
            ends = found.interval(0.9)
            assert (ends.low, ends.high) == pytest.approx((expected.low, expected.high))
            assert found.pvalue(0.1) == pytest.approx(test.pvalue)
            assert found.image_share == 0
        else:
            assert found.error > stats.sem(x.mean(1))


def test_p_is_below_5_percent_where_the_interval_excludes_the_mean():
    random = np.random.default_rng(1)
    for _ in range(200):
        found = crossed_mean(drawn(random, 4, 10))
        ends = found.interval()
        assert (found.pvalue(0.4) < 0.05) == (not ends.low <= 0.4 <= ends.high)


def test_networks_that_all_agree_are_not_certain():
    same = np.ones((3, 500), bool)
    none = accuracy_difference(same, same)
    assert none.mean == 0
    assert none.pvalue() == 1
    ends = none.interval()
    # About 3 / 1500, which is what binomial trials without a success exclude with 95 %.
    assert 0.002 < ends.high == -ends.low < 0.004
    few = accuracy_difference(same[:, :10], same[:, :10])
    assert few.interval(0.9).high > 0.02
    unknown = crossed_mean([[0.5, 0.5], [0.5, 0.5]])
    assert (unknown.error, unknown.pvalue(9.0), unknown.image_share) == (None, 1, None)
    assert unknown.interval() == Interval(0.5, None, None, 2)


def test_the_least_spread_is_that_of_one_different_prediction():
    same = np.zeros((3, 40), bool)
    other = same.copy()
    other[1, 7] = True
    for unit in (1, 100):
        least, one = (accuracy_difference(x, same, unit) for x in (same, other))
        for name in ("by_seed", "by_image", "rest"):
            assert getattr(one, name) == pytest.approx(unit**2 / 120)
            assert getattr(least, name) == pytest.approx(unit**2 / 120)


def test_accuracy_difference_is_antisymmetric_and_has_a_unit():
    ours, other = np.random.default_rng(0).random((2, 4, 50)) < [[[0.8]], [[0.6]]]
    found, reverse = accuracy_difference(ours, other), accuracy_difference(other, ours)
    points = accuracy_difference(ours, other, 100)
    assert found.mean == pytest.approx(ours.mean() - other.mean()) == -reverse.mean
    assert found.interval().low == pytest.approx(-reverse.interval().high)
    assert points.interval().low == pytest.approx(100 * found.interval().low)
    assert points.pvalue() == pytest.approx(found.pvalue())
    assert points.pvalue(10) == pytest.approx(found.pvalue(0.1))


@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (1, 1)])
def test_one_seed_or_one_image_has_no_interval(shape):
    found = accuracy_difference(np.ones(shape), np.zeros(shape))
    assert (found.error, found.pvalue()) == (None, 1)
    assert found.interval() == Interval(1, None, None, shape[0])


def test_another_size_keeps_the_variances():
    found = crossed_mean(drawn(np.random.default_rng(0)))
    assert found.resized(8, 60) == found
    variances = [(found.by_seed - found.rest) / 60, (found.by_image - found.rest) / 8, found.rest]
    larger = found.resized(20, 300)
    expected = variances[0] / 20 + variances[1] / 300 + variances[2] / 6000
    assert larger.error**2 == pytest.approx(expected)
    assert found.resized(10**9, 60).error ** 2 == pytest.approx(variances[1] / 60, rel=1e-6)
    # Nothing but chance between seeds and images: only the number of values counts.
    chance = CrossedMean(0, 4, 10, 0.5, 0.5, 1.0).resized(8, 1000)
    assert (chance.by_seed, chance.by_image) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: crossed_mean([1.0, 2.0]), r"not \(2,\)"),
        (lambda: crossed_mean(np.ones((0, 3))), r"not \(0, 3\)"),
        (lambda: crossed_mean([[1.0, math.inf]]), "finite"),
        (lambda: crossed_mean([[1.0, 2.0]], step=-1), "step"),
        (lambda: crossed_mean([[1.0, 2.0]]).interval(95), "level"),
        (lambda: accuracy_difference([[True]], [[True, False]]), r"\(1, 1\) and \(1, 2\)"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
