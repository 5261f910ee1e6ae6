import numpy as np
import pytest
from scipy import stats

from lossbench.benchmarks.stats.intervals import Interval, mean_interval
from lossbench.benchmarks.stats.verdict import is_equivalent


def test_equivalence_is_two_one_sided_tests():
    random = np.random.default_rng(0)
    for _ in range(60):
        values = random.normal(random.uniform(-1, 1), 0.3, 5)
        lower = stats.ttest_1samp(values, -0.5, alternative="greater").pvalue
        upper = stats.ttest_1samp(values, 0.5, alternative="less").pvalue
        found = is_equivalent(mean_interval(values.tolist(), 0.9), 0.5)
        assert found == (max(lower, upper) < 0.05)


@pytest.mark.parametrize("interval", [Interval(5, 4, 6, 2), Interval(5, None, None, 9)])
def test_too_few_seeds_decide_nothing(interval):
    assert not is_equivalent(interval, 9)


@pytest.mark.parametrize("margin", [0, -1, float("nan"), float("inf")])
def test_a_margin_is_a_positive_number(margin):
    with pytest.raises(ValueError, match="margin"):
        is_equivalent(Interval(0, 0, 0, 3), margin)
