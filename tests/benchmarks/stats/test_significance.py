import math

import numpy as np
import pytest
from scipy import stats

from lossbench.benchmarks.stats.significance import (
    detectable_mean,
    holm,
)


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
    shift = detectable_mean(0.02, n - 1, level=level, power=power) / 0.02
    critical = stats.t.ppf(0.5 + level / 2, n - 1)
    found = stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift)
    assert found == pytest.approx(power, abs=1e-6)


def test_a_detectable_mean_of_many_degrees_is_that_of_the_normal_distribution():
    expected = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    for degrees in (1e6, math.inf):
        assert detectable_mean(2.0, degrees) == pytest.approx(2 * expected, rel=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: holm([0.5, math.nan]), "from 0 to 1"),
        (lambda: detectable_mean(1.0, 1, power=80), "power"),
        (lambda: detectable_mean(1.0, 1, level=2), "level"),
        (lambda: detectable_mean(1.0, 1, power=0.04), "chance"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
