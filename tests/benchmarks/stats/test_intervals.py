import math

import numpy as np
import pytest
from scipy import stats

from lossbench.benchmarks.stats.intervals import (
    Interval,
    mean_interval,
    paired_differences,
)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("n", [2, 3, 10])
def test_intervals_are_those_of_scipy(n, level):
    a, b = np.random.default_rng(n).normal(0.75, 0.02, (2, n))
    interval = mean_interval(a.tolist(), level)
    assert interval.mean == pytest.approx(a.mean())
    expected = stats.ttest_1samp(a, 0).confidence_interval(level)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    paired = mean_interval(paired_differences(a.tolist(), b.tolist()), level)
    expected = stats.ttest_rel(a, b).confidence_interval(level)
    assert (paired.low, paired.high) == pytest.approx((expected.low, expected.high))


def test_few_or_equal_values():
    assert mean_interval([]) == Interval(None, None, None, 0)
    assert mean_interval([0.7]) == Interval(0.7, None, None, 1)
    assert mean_interval([0.1, 0.1, 0.1]) == Interval(0.1, 0.1, 0.1, 3)
    assert mean_interval([0.5]).as_dict() == {"mean": 0.5, "low": None, "high": None, "n": 1}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mean_interval([0.5, math.nan]), "finite"),
        (lambda: mean_interval([0.5], level=95), "level"),
        (lambda: paired_differences([1.0], [1.0, 2.0]), "equal lengths"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
