import math

import numpy as np
import pytest
from scipy import stats

from benchmarks.report.statistics import Interval, mean_interval, paired_difference


def test_interval_of_a_published_example():
    # NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.5.2, ZARR13.DAT: 195 values of mean
    # 9.261460 and standard deviation 0.022789 have the 95 % limits 9.258242 and 9.264679.
    half = 0.022789 * math.sqrt(194 / 195)
    values = [9.261460 + half * sign for sign in (1, -1)] * 97 + [9.261460]
    interval = mean_interval(values)
    assert interval.n == 195
    assert interval.low == pytest.approx(9.258242, abs=1e-5)
    assert interval.high == pytest.approx(9.264679, abs=1e-5)


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
    assert mean_interval([0.5, 0.5, 0.5]) == Interval(0.5, 0.5, 0.5, 3)


def test_bad_arguments():
    with pytest.raises(ValueError, match="finite"):
        mean_interval([0.5, math.nan])
    with pytest.raises(ValueError, match="level"):
        mean_interval([0.5], level=95)
    with pytest.raises(ValueError, match="equal lengths"):
        paired_difference([1.0], [1.0, 2.0])
