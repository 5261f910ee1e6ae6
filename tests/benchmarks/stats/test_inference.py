import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from lossbench.benchmarks.stats.inference import (
    MINIMUM_SEEDS,
    Interval,
    bootstrap_difference,
    combine_intervals,
    holm,
    mcnemar,
    mean_interval,
    minimum_detectable_difference,
    paired_difference,
    paired_t_pvalue,
    verdict_above,
    verdict_below,
    verdict_equivalent,
    verdict_within,
)


def test_interval_of_a_published_example():
    # NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.5.2, ZARR13.DAT: 195 values of mean
    # 9.261460 and standard deviation 0.022789 have the 95 % limits 9.258242 and 9.264679.
    half = 0.022789 * math.sqrt(194 / 195)
    values = [9.261460 + half * sign for sign in (1, -1)] * 97 + [9.261460]
    interval = mean_interval(values)
    assert interval.n == 195
    assert interval.low == pytest.approx(9.258242, abs=1e-5)
    assert interval.high == pytest.approx(9.264679, abs=1e-5)


def test_an_interval_for_both_covers_what_varies_by_both():
    # Networks and images each vary, and the two together: x[i, j] = a[i] + b[j] + e[i, j].
    draw = np.random.default_rng(0)
    networks, images, rounds = 8, 200, 1500
    covered = {"both": 0, "outer ends": 0}
    for _ in range(rounds):
        x = draw.normal(0, 1, (networks, 1)) + draw.normal(0, 5, images)
        x += draw.normal(0, 3, x.shape)
        over_networks, over_images = mean_interval(x.mean(1)), mean_interval(x.mean(0))
        both = combine_intervals(over_networks, over_images)
        covered["both"] += both.low < 0 < both.high
        low = min(over_networks.low, over_images.low)
        covered["outer ends"] += low < 0 < max(over_networks.high, over_images.high)
    assert covered["both"] / rounds > 0.94
    assert covered["outer ends"] / rounds < 0.93


def test_an_interval_for_both_by_hand():
    both = combine_intervals(Interval(1.0, -2.0, 5.0, 3), Interval(1.0, -3.0, 4.0, 200))
    assert both == Interval(1.0, -4.0, 6.0, 3)
    seeds, nothing = Interval(1.0, 0.0, 2.0, 3), Interval(1.0, None, None, 1)
    assert combine_intervals(seeds, nothing) == Interval(1.0, None, None, 3)
    assert combine_intervals(nothing, seeds) == Interval(1.0, None, None, 1)


def test_interval_by_hand():
    # s = 1, n = 3, and the table's t(0.975; 2) = 4.303.
    interval = mean_interval([1.0, 2.0, 3.0])
    assert interval.mean == 2
    assert interval.high - 2 == pytest.approx(4.303 / math.sqrt(3), abs=1e-3)
    assert 2 - interval.low == pytest.approx(4.303 / math.sqrt(3), abs=1e-3)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("n", [2, 3, 10])
def test_interval_is_scipys(n, level):
    values = np.random.default_rng(n).normal(0.75, 0.02, n)
    interval = mean_interval(values.tolist(), level)
    expected = stats.ttest_1samp(values, 0).confidence_interval(level)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))


def test_difference_is_paired():
    a, b = [0.71, 0.74, 0.80], [0.70, 0.72, 0.79]
    expected = stats.ttest_rel(a, b).confidence_interval(0.95)
    interval = paired_difference(a, b)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))


def test_too_few_values_have_no_interval():
    assert mean_interval([0.7]) == Interval(0.7, None, None, 1)
    assert mean_interval([]) == Interval(None, None, None, 0)


def test_equal_values_have_an_interval_of_no_width():
    assert mean_interval([0.1, 0.1, 0.1]) == Interval(0.1, 0.1, 0.1, 3)


@pytest.mark.parametrize("n", [2, 3, 5, 30])
def test_paired_p_is_scipys(n):
    random = np.random.default_rng(n)
    a, b = random.normal(0.75, 0.02, n), random.normal(0.74, 0.02, n)
    assert paired_t_pvalue(a.tolist(), b.tolist()) == pytest.approx(stats.ttest_rel(a, b).pvalue)


def test_p_and_interval_say_the_same():
    random = np.random.default_rng(1)
    for _ in range(50):
        a, b = random.normal(0.01, 0.01, 4).tolist(), [0.0] * 4
        interval = paired_difference(a, b)
        assert (paired_t_pvalue(a, b) < 0.05) == (interval.low > 0 or interval.high < 0)


def test_p_of_differences_without_spread():
    assert paired_t_pvalue([0.5, 0.7], [0.5, 0.7]) == 1
    assert paired_t_pvalue([1.0, 2.0], [0.5, 1.5]) == 0


def test_holm_of_a_known_example():
    # Worked in many textbooks: 4 x 0.005, 3 x 0.01, 2 x 0.03, and the last no less than that.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.4, 0.9]) == [0.8, 0.9]
    assert holm([0.6, 0.9]) == [1, 1]


def test_holm_rejects_what_the_steps_reject():
    # The procedure as Holm words it: compare the smallest with 0.05 / m, and stop at the first
    # that is not below.
    random = np.random.default_rng(0)
    for _ in range(200):
        ps = (random.uniform(0, 1, 6) ** 4).tolist()
        rejected = set()
        for rank, index in enumerate(np.argsort(ps)):
            if ps[index] >= 0.05 / (6 - rank):
                break
            rejected.add(int(index))
        assert {i for i, p in enumerate(holm(ps)) if p < 0.05} == rejected


@pytest.mark.parametrize(("n", "power"), [(2, 0.8), (3, 0.8), (5, 0.5), (10, 0.8), (10, 0.95)])
def test_detectable_is_found_as_often_as_promised(n, power):
    # The truth is a simulation of many experiments with that true difference and that spread.
    random = np.random.default_rng(n)
    seen = random.normal(0, 0.02, n)
    difference = minimum_detectable_difference(seen.tolist(), power=power)
    trials = random.normal(difference, seen.std(ddof=1), (40_000, n))
    found = (stats.ttest_1samp(trials, 0, axis=1).pvalue < 0.05).mean()
    assert found == pytest.approx(power, abs=0.012)


@pytest.mark.parametrize("n", [4, 10, 50])
def test_detectable_is_scipys_where_scipy_can(n):
    seen = np.random.default_rng(n).normal(0, 0.02, n)
    shift = minimum_detectable_difference(seen.tolist()) * math.sqrt(n) / seen.std(ddof=1)
    bar = stats.t.ppf(0.975, n - 1)
    power = stats.nct.sf(bar, n - 1, shift) + stats.nct.cdf(-bar, n - 1, shift)
    assert power == pytest.approx(0.8, abs=1e-6)


def test_detectable_scales_with_spread_and_shrinks_with_seeds():
    three = [0.01, 0.02, 0.04]
    assert minimum_detectable_difference([10 * d for d in three]) == pytest.approx(
        10 * minimum_detectable_difference(three)
    )
    assert minimum_detectable_difference([d + 1 for d in three]) == pytest.approx(
        minimum_detectable_difference(three)
    )
    assert minimum_detectable_difference(three * 4) < minimum_detectable_difference(three) / 2
    assert (
        minimum_detectable_difference(three, level=0.9)
        < minimum_detectable_difference(three)
        < minimum_detectable_difference(three, power=0.9)
    )


def test_detectable_where_nothing_varies_or_nothing_is_known():
    assert minimum_detectable_difference([0.01]) is None
    assert minimum_detectable_difference([]) is None
    assert minimum_detectable_difference([0.1, 0.1, 0.1]) == 0


def rights(both, only_a, only_b, neither):
    a = [True] * (both + only_a) + [False] * (only_b + neither)
    b = [True] * both + [False] * only_a + [True] * only_b + [False] * neither
    return a, b


def test_mcnemar_of_a_published_example():
    # Agresti, Categorical Data Analysis: two ratings of a prime minister, 150 against 86 changes.
    p = mcnemar(*rights(794, 150, 86, 570))
    assert p == pytest.approx(3.716e-5, rel=1e-3)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (1, 0), (0, 5), (3, 3), (10, 2), (7, 8)])
def test_mcnemar_is_the_binomial_test_and_counting(b, c):
    p = mcnemar(*rights(4, b, c, 2))
    assert p == mcnemar(*rights(0, c, b, 0))
    ways = sum(math.comb(b + c, k) for k in range(min(b, c) + 1))
    assert p == pytest.approx(float(min(Fraction(1), Fraction(2 * ways, 2 ** (b + c)))))
    if b + c:
        assert p == pytest.approx(stats.binomtest(b, b + c).pvalue)


@pytest.mark.parametrize("shape", [(400,), (3, 400)])
def test_bootstrap_is_that_which_draws_examples_one_by_one(shape):
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
    right = np.random.default_rng(0).random((2, 300)) < 0.7
    assert bootstrap_difference(right, right) == Interval(0, 0, 0, 300)
    opposed = bootstrap_difference(right[0], ~right[0])
    assert opposed.high - opposed.low > 0.1


def test_bootstrap_covers_the_truth_as_often_as_it_says():
    random = np.random.default_rng(3)
    covered = 0
    for _ in range(400):
        a, b = random.random(500) < 0.8, random.random(500) < 0.7
        interval = bootstrap_difference(a, b, draws=500)
        covered += interval.low <= 0.1 <= interval.high
    assert 0.91 <= covered / 400 <= 0.98


def test_bootstrap_is_reproducible_and_antisymmetric():
    random = np.random.default_rng(1)
    a, b = random.random(100) < 0.8, random.random(100) < 0.75
    assert bootstrap_difference(a, b) == bootstrap_difference(a, b)
    ours, theirs = bootstrap_difference(a, b), bootstrap_difference(b, a)
    assert ours.mean == -theirs.mean
    assert ours.low == pytest.approx(-theirs.high, abs=0.01)
    assert bootstrap_difference(a, b, 0.5).high < ours.high


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.5, 0.9, "holds"),
        (-1.5, 0.5, "undecided"),
        (0.5, 1.5, "undecided"),
        (-2, 2, "undecided"),
        (1.2, 2, "does not hold"),
        (-2, -1.2, "does not hold"),
    ],
)
def test_equivalence(low, high, verdict):
    assert verdict_equivalent(Interval((low + high) / 2, low, high, 5), 1.0) == verdict


def test_equivalence_is_two_one_sided_tests():
    random = np.random.default_rng(0)
    for _ in range(100):
        values = random.normal(random.uniform(-1, 1), 0.3, 5)
        lower = stats.ttest_1samp(values, -0.5, alternative="greater").pvalue
        upper = stats.ttest_1samp(values, 0.5, alternative="less").pvalue
        verdict = verdict_equivalent(mean_interval(values.tolist(), 0.9), 0.5)
        assert (verdict == "holds") == (max(lower, upper) < 0.05)


@pytest.mark.parametrize(
    ("low", "high", "over", "under", "inside"),
    [
        (2.0, 3.0, "holds", "does not hold", "does not hold"),
        (0.5, 1.5, "undecided", "undecided", "undecided"),
        (0.2, 0.8, "does not hold", "holds", "holds"),
        (1.0, 1.0, "does not hold", "does not hold", "holds"),
        (-2, -1, "does not hold", "holds", "does not hold"),
        (-1, 2, "undecided", "undecided", "undecided"),
    ],
)
def test_verdicts_rest_on_the_ends(low, high, over, under, inside):
    interval = Interval((low + high) / 2, low, high, MINIMUM_SEEDS)
    assert verdict_above(interval, 1) == over
    assert verdict_below(interval, 1) == under
    assert verdict_within(interval, 0, 1) == inside


@pytest.mark.parametrize("interval", [Interval(5, 4, 6, 2), Interval(5, None, None, 9)])
def test_too_few_seeds_decide_nothing(interval):
    verdicts = {
        verdict_above(interval, 1),
        verdict_below(interval, 1),
        verdict_within(interval, 0, 9),
    }
    assert verdicts | {verdict_equivalent(interval, 9)} == {"undecided"}


def test_bad_arguments():
    with pytest.raises(ValueError, match="finite"):
        mean_interval([0.5, math.nan])
    with pytest.raises(ValueError, match="level"):
        mean_interval([0.5], level=95)
    with pytest.raises(ValueError, match="equal lengths"):
        paired_difference([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="equal lengths"):
        paired_t_pvalue([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="at least 2 pairs"):
        paired_t_pvalue([1.0], [1.0])
    with pytest.raises(ValueError, match="from 0 to 1"):
        holm([0.5, math.nan])
    with pytest.raises(ValueError, match="power"):
        minimum_detectable_difference([1.0, 2.0], power=80)
    with pytest.raises(ValueError, match="chance"):
        minimum_detectable_difference([1.0, 2.0], power=0.04)
    with pytest.raises(ValueError, match="finite"):
        minimum_detectable_difference([math.inf])
    with pytest.raises(ValueError, match=r"\(2,\) and \(3,\)"):
        mcnemar([True, False], [True, True, False])
    with pytest.raises(ValueError, match=r"\(1, 2\) and \(1, 3\)"):
        bootstrap_difference([True, False], [True, True, False])
    with pytest.raises(ValueError, match="shape"):
        bootstrap_difference([], [])
    with pytest.raises(ValueError, match="draws"):
        bootstrap_difference([True], [True], draws=0)
    with pytest.raises(ValueError, match="margin"):
        verdict_equivalent(Interval(0, 0, 0, 3), -1)
