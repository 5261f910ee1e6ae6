import math

import pytest

from lossbench.benchmarks.evidence.measures.limits import at_most, size


@pytest.mark.parametrize(
    ("values", "limit", "seeds", "verdict"),
    [
        ([0.0, 0.0, 0.0], 0.0, 3, "holds"),
        ([0.0, 0.0, 1e-300], 0.0, 3, "does not hold"),
        ([1.0, 2.0, 3.0], 3.0, 3, "holds"),
        ([1.0, math.nan, 3.0], 3.0, 3, "does not hold"),
        ([1.0, math.inf, 3.0], 3.0, 3, "does not hold"),
        ([1.0, 2.0, 2.0, 2.0], 3.0, 2, "undecided"),
        ([9.0, 9.0], 3.0, 2, "undecided"),
        ([], 3.0, 0, "undecided"),
    ],
)
def test_one_value_too_far_refutes(values, limit, seeds, verdict):
    measure = at_most("x", values, limit, seeds)
    assert measure.verdict == verdict
    assert (measure.low, measure.high) == (None, None)
    if any(map(math.isnan, values)):
        assert math.isnan(measure.value)
    else:
        assert measure.value == max(values, default=None)


def test_limits_are_said():
    assert at_most("x", [0.0], 0.0, 1).wanted == "0, exactly"
    assert at_most("x", [0.0], 1e-12, 1).wanted == "at most 1e-12"


def test_sizes_of_what_is_no_number():
    assert [size(value) for value in (math.nan, math.inf, None, 0.0, 0.25)] == [
        "nan",
        "inf",
        "–",
        "0",
        "0.250",
    ]
