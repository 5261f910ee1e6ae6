import math

import numpy as np
import pytest
from scipy import stats

from lossbench.benchmarks.stats.intervals import paired_difference
from lossbench.benchmarks.stats.significance import (
    holm,
    minimum_detectable_difference,
    paired_t_pvalue,
)


@pytest.mark.parametrize("n", [2, 3, 5, 30])
def test_p_is_scipys_and_agrees_with_the_interval(n):
    random = np.random.default_rng(n)
    for shift in (0.0, 0.01, 0.02):
        a, b = random.normal(0.75 + shift, 0.02, n).tolist(), random.normal(0.75, 0.02, n).tolist()
        p, interval = paired_t_pvalue(a, b), paired_difference(a, b)
        assert p == pytest.approx(stats.ttest_rel(a, b).pvalue)
        assert (p < 0.05) == (interval.low > 0 or interval.high < 0)


def test_p_of_equal_differences():
    assert paired_t_pvalue([0.5, 0.7], [0.5, 0.7]) == 1
    assert paired_t_pvalue([1.0, 2.0], [0.5, 1.5]) == 0


def test_holm_of_a_known_example():
    # Worked in many textbooks: 4 x 0.005, 3 x 0.01, 2 x 0.03, and the last no less than that.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.6, 0.9]) == [1, 1]


def test_holm_rejects_what_the_stepwise_procedure_rejects():
    # As Holm words it: compare the smallest with 0.05 / m, and stop at the first not below.
    random = np.random.default_rng(0)
    for _ in range(200):
        ps = (random.uniform(0, 1, 6) ** 4).tolist()
        rejected = set()
        for rank, index in enumerate(np.argsort(ps)):
            if ps[index] >= 0.05 / (6 - rank):
                break
            rejected.add(int(index))
        assert {i for i, p in enumerate(holm(ps)) if p < 0.05} == rejected


@pytest.mark.parametrize(
    ("n", "level", "power"), [(2, 0.95, 0.8), (10, 0.9, 0.5), (50, 0.95, 0.95)]
)
def test_power_is_that_of_scipys_noncentral_t(n, level, power):
    seen = np.random.default_rng(n).normal(0, 0.02, n)
    difference = minimum_detectable_difference(seen.tolist(), level=level, power=power)
    shift = difference * math.sqrt(n) / seen.std(ddof=1)
    critical = stats.t.ppf(0.5 + level / 2, n - 1)
    found = stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift)
    assert found == pytest.approx(power, abs=1e-6)


def test_a_detectable_difference_without_spread():
    assert minimum_detectable_difference([0.01]) is None
    assert minimum_detectable_difference([0.1, 0.1, 0.1]) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: paired_t_pvalue([1.0], [1.0, 2.0]), "equal lengths"),
        (lambda: paired_t_pvalue([1.0], [1.0]), "at least 2 pairs"),
        (lambda: holm([0.5, math.nan]), "from 0 to 1"),
        (lambda: minimum_detectable_difference([1.0, 2.0], power=80), "power"),
        (lambda: minimum_detectable_difference([1.0, 2.0], level=2), "level"),
        (lambda: minimum_detectable_difference([1.0, 2.0], power=0.04), "chance"),
        (lambda: minimum_detectable_difference([math.inf]), "finite"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
