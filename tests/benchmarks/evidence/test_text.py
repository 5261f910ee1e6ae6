import math

import pytest

from lossbench.benchmarks.evidence.text import (
    mean_text,
    optional,
    plus_minus,
    signed,
    span,
    with_span,
)
from lossbench.benchmarks.stats.intervals import Interval

WIDE, POINT = Interval(1, -0.5, 2.5, 3), Interval(1, None, None, 1)


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(1.26, 1, "+1.3"), (-0.31, 1, "−0.3"), (-0.01, 1, "0.0"), (2, None, "+2"), (None, 1, "–")],
)
def test_signed(value, digits, text):
    assert signed(value, digits) == text


def test_intervals():
    assert [span(WIDE), span(POINT), span(None)] == ["−0.5 to +2.5", "–", "–"]
    assert [with_span(WIDE), with_span(POINT)] == ["+1.0 (−0.5 to +2.5)", "+1.0"]
    assert plus_minus(Interval(74.1, 72.8, 75.4, 3)) == "74.1 ± 1.3"
    assert mean_text([1.0, 1.0, 1.0]) == "1.0 ± 0.0"
    assert mean_text([1.0, 3.0], 2) == "2.00 ± 12.71"  # t(1) = 12.706
    assert [plus_minus(POINT), plus_minus(Interval(None, None, None, 0))] == ["1.0", "–"]


def test_numbers():
    values = (math.nan, math.inf, None, 0.0, 0.25)
    assert [optional(value, ".1f") for value in values] == ["–", "–", "–", "0.0", "0.2"]
