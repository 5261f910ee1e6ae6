import numpy as np
import pytest
from scipy import stats

from lossbench.benchmarks.stats.intervals import Interval, mean_interval
from lossbench.benchmarks.stats.verdict import (
    MINIMUM_SEEDS,
    verdict_above,
    verdict_below,
    verdict_equivalent,
    verdict_within,
)


@pytest.mark.parametrize(
    ("low", "high", "above", "below", "within"),
    [
        (2.0, 3.0, "holds", "does not hold", "does not hold"),
        (0.5, 1.5, "undecided", "undecided", "undecided"),
        (0.2, 0.8, "does not hold", "holds", "holds"),
        (1.0, 1.0, "does not hold", "does not hold", "holds"),
        (-2, -1, "does not hold", "holds", "does not hold"),
        (-1, 2, "undecided", "undecided", "undecided"),
    ],
)
def test_verdicts_rest_on_the_ends(low, high, above, below, within):
    interval = Interval((low + high) / 2, low, high, MINIMUM_SEEDS)
    assert verdict_above(interval, 1) == above
    assert verdict_below(interval, 1) == below
    assert verdict_within(interval, 0, 1) == within


def test_equivalence_is_two_one_sided_tests():
    random = np.random.default_rng(0)
    for _ in range(60):
        values = random.normal(random.uniform(-1, 1), 0.3, 5)
        lower = stats.ttest_1samp(values, -0.5, alternative="greater").pvalue
        upper = stats.ttest_1samp(values, 0.5, alternative="less").pvalue
        verdict = verdict_equivalent(mean_interval(values.tolist(), 0.9), 0.5)
        assert (verdict == "holds") == (max(lower, upper) < 0.05)


@pytest.mark.parametrize("interval", [Interval(5, 4, 6, 2), Interval(5, None, None, 9)])
def test_too_few_seeds_decide_nothing(interval):
    verdicts = [verdict_above(interval, 1), verdict_below(interval, 1)]
    verdicts += [verdict_within(interval, 0, 9), verdict_equivalent(interval, 9)]
    assert set(verdicts) == {"undecided"}


@pytest.mark.parametrize("margin", [0, -1, float("nan"), float("inf")])
def test_a_margin_is_a_positive_number(margin):
    with pytest.raises(ValueError, match="margin"):
        verdict_equivalent(Interval(0, 0, 0, 3), margin)
