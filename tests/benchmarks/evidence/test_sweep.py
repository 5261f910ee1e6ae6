import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.evidence.sweep import USABLE, sweep, usable

from .worlds import correct_in, result


def test_usable_range_by_hand():
    found = usable((0.01, 0.1, 1.0, 10.0), np.array([60.0, 66.0, 70.0, 64.0]), 2)
    # 67 is a quarter of the way down to 66 from 1 to 0.1, and half of that to 64 from 1 to 10.
    assert found == pytest.approx((10**-0.75, 10**0.5, False, False))
    assert found.decades == pytest.approx(1.25)
    assert str(found) == "0.18 to 3.2 (1.2 decades)"


def test_a_range_beyond_the_grid_is_open():
    found = usable((0.01, 0.1, 1.0), np.array([70.0, 69.0, 60.0]), 0)
    assert (found.low, found.open_low, found.open_high) == (0.01, True, False)
    flat = usable((0.01, 0.1, 1.0), np.full(3, 50.0), 0)
    assert flat == (0.01, 1.0, True, True)
    assert str(flat) == "≤ 0.01 to ≥ 1 (2.0 decades)"


def test_a_range_ends_where_accuracy_first_falls():
    found = usable((0.01, 0.1, 1.0, 10.0), np.array([70.0, 70.0, 50.0, 70.0]), 0)
    assert 0.1 < found.high < 1


@given(
    accuracy=st.lists(st.floats(50, 80), min_size=2, max_size=7),
    factor=st.floats(0.1, 10),
    lift=st.floats(-20, 20),
)
def test_a_range_scales_with_rates_and_not_with_accuracy(accuracy, factor, lift):
    rates = [0.01 * 3**k for k in range(len(accuracy))]
    heights = np.array(accuracy)
    best = int(heights.argmax())
    found = usable(rates, heights, best)
    assert rates[0] <= found.low <= rates[best] <= found.high <= rates[-1] * (1 + 1e-12)
    scaled = usable([factor * rate for rate in rates], heights, best)
    assert (scaled.low, scaled.high) == pytest.approx((factor * found.low, factor * found.high))
    assert usable(rates, heights + lift, best).decades == pytest.approx(found.decades, abs=1e-6)
    assert found.decades <= math.log10(rates[-1] / rates[0]) + 1e-9
    assert heights[best] - USABLE <= heights[best]


RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


def sweep_of(accuracy):
    return sweep(
        {
            rate: [
                result(RunConfig("mse", seed, rate), correct_in(row[i]))
                for seed, row in enumerate(accuracy)
            ]
            for i, rate in enumerate(RATES)
        }
    )


def test_a_sweep_has_seeds_and_rates():
    accuracy = np.array([[0.5, 0.6, 0.7, 0.6, 0.6, 0.5, 0.5], [0.5, 0.7, 0.7, 0.7, 0.6, 0.5, 0.5]])
    found = sweep_of(accuracy)
    np.testing.assert_allclose(found.accuracy, 100 * accuracy)
    np.testing.assert_allclose(found.mean, 100 * accuracy.mean(0))
    assert found.best_rate == RATES[found.best] == 0.03
    assert found.at(0.01) == pytest.approx([60, 70])
    assert found.decades == [each.decades for each in found.ranges]
    assert found.range == usable(RATES, found.mean, 2)
    assert not found.is_bound
    flat = sweep_of(np.full((1, 7), 0.5))
    assert (flat.best, flat.is_bound) == (0, True)
