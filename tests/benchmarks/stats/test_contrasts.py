import numpy as np
import pytest
from scipy import stats

from lossbench.benchmarks.stats.contrasts import contrast
from lossbench.benchmarks.stats.significance import minimum_detectable_difference

A = [71.0, 74.0, 80.0, 77.0]
B = [70.5, 73.0, 79.0, 76.5]


@pytest.mark.parametrize("level", [0.95, 0.9])
def test_contrast_is_scipys_paired_interval(level):
    found = contrast(A, B, level=level)
    expected = stats.ttest_rel(A, B).confidence_interval(level)
    assert found.examples is None
    assert found.interval == found.seeds
    assert (found.interval.low, found.interval.high) == pytest.approx(expected)
    assert found.differences == pytest.approx([0.5, 1, 1, 0.5])
    assert found.detectable == minimum_detectable_difference(found.differences)


def test_interval_allows_for_other_examples():
    # Seeds agree exactly, 10 of 100 examples differ: only other images could change the result.
    a = np.zeros((3, 100), bool)
    b = a.copy()
    a[:, :10] = True
    found = contrast([10.0] * 3, [0.0] * 3, (a, b))
    assert (found.seeds.low, found.seeds.high) == (10, 10)
    # The 95 % interval of a binomial of 100 and 0.1.
    assert found.interval.low == pytest.approx(stats.binom.ppf(0.025, 100, 0.1), abs=1)
    assert found.interval.high == pytest.approx(stats.binom.ppf(0.975, 100, 0.1), abs=1)
    assert (found.interval.mean, found.interval.n) == (10, 3)
    narrower = contrast([10.0] * 3, [0.0] * 3, (a, b), level=0.5)
    assert narrower.examples.low > found.examples.low


@pytest.mark.parametrize("difference", [0.0, 0.5])
def test_pvalue_is_scipys(difference):
    expected = stats.ttest_1samp(np.subtract(A, B), difference).pvalue
    assert contrast(A, B).pvalue(difference) == pytest.approx(expected)


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_seeds_have_no_pvalue(n):
    assert contrast([9.0, 9.01][:n], [0.0] * n).pvalue() == 1
