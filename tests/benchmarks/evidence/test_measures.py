import math

import numpy as np
import pytest
from scipy import stats

from lossbench.benchmarks.evidence.measures import (
    Hypothesis,
    above,
    at_most,
    below,
    evaluate_hypotheses,
    hypothesis_table,
    table,
)
from lossbench.benchmarks.stats.contrasts import contrast
from lossbench.benchmarks.stats.intervals import Interval

A = [71.0, 74.0, 80.0, 77.0]
B = [70.5, 73.0, 79.0, 76.5]


def hypothesis(a, b, side="above", threshold=0.0, correct=None):
    return Hypothesis("a minus b", "mse", contrast(a, b, correct), side, threshold)


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
def test_one_value_above_the_limit_refutes(values, limit, seeds, verdict):
    measure = at_most("x", values, limit, seeds)
    assert measure.verdict == verdict
    assert (measure.low, measure.high) == (None, None)
    if any(map(math.isnan, values)):
        assert math.isnan(measure.value)
    else:
        assert measure.value == max(values, default=None)


def test_limits_in_words():
    assert at_most("x", [0.0], 0.0, 1).wanted == "0, exactly"
    assert at_most("x", [0.0], 1e-12, 1).wanted == "at most 1e-12"
    measure = above("x", Interval(3.0, 2.0, 4.0, 5), 1.0, "+1 points")
    assert (measure.value, measure.low, measure.high) == (3.0, 2.0, 4.0)
    assert (measure.wanted, measure.verdict) == ("above +1 points", "holds")
    assert above("x", Interval(3.0, 2.0, 4.0, 5), 0.25).wanted == "above 0.25"
    assert below("x", Interval(3.0, 2.0, 4.0, 5), 1.0).verdict == "does not hold"


@pytest.mark.parametrize(
    ("side", "threshold", "verdict"),
    [
        ("above", 0.0, "holds"),
        ("below", 3.0, "holds"),
        ("above", 3.0, "does not hold"),
        ("below", 0.0, "does not hold"),
        ("above", 0.75, "undecided"),
        ("below", 0.75, "undecided"),
    ],
)
def test_verdict_is_the_side_of_the_threshold(side, threshold, verdict):
    (found,) = evaluate_hypotheses([hypothesis(A, B, side, threshold)])
    assert found.measure.verdict == verdict
    assert found.measure.name == "a minus b, points"
    assert found.measure.wanted.split()[0] == side
    if verdict != "undecided":
        p = stats.ttest_1samp(np.subtract(A, B), threshold).pvalue
        assert found.p == pytest.approx(p)


def test_one_of_many_must_be_clearer():
    """p = 0.02 alone decides, and with three others like it does not."""
    each = hypothesis([2.0, 1.5, 3.2, 1.1], [1.0, 1.2, 1.6, 0.2])
    assert 0.0125 < each.contrast.pvalue() < 0.05
    assert evaluate_hypotheses([each])[0].measure.verdict == "holds"
    assert [found.measure.verdict for found in evaluate_hypotheses([each] * 4)] == ["undecided"] * 4


def test_table_shows_seeds_and_the_smallest_detectable_difference():
    found = hypothesis_table("", evaluate_hypotheses([hypothesis(A, B)]), "A note.")
    row = dict(zip(found.columns, found.rows[0], strict=True))
    assert row["seeds"] == "4"
    assert row["mean"] == "+0.8"
    assert row["95 % over test images"] == "–"
    assert found.notes[1] == "A note."
    # The difference that 4 pairs of this spread find with power 0.8, by simulation.
    spread = np.std(np.subtract(A, B), ddof=1)
    draws = np.random.default_rng(0).normal(float(row["smallest detectable"]), spread, (20_000, 4))
    power = (stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05).mean()
    assert power == pytest.approx(0.8, abs=0.05)  # the table rounds to a decimal


@pytest.mark.parametrize("correct", [None, (np.ones((4, 50), bool), np.zeros((4, 50), bool))])
def test_table_mentions_test_images_where_they_are_drawn_from(correct):
    found = hypothesis_table("", evaluate_hypotheses([hypothesis(A, B, correct=correct)]))
    assert ("test images" in found.notes[0]) == (correct is not None)


def test_table_has_a_row_per_item():
    found = table("title", [1, 2], {"n": str, "square": lambda n: str(n * n)}, "note")
    assert (found.columns, found.rows) == (("n", "square"), (("1", "1"), ("2", "4")))
    assert (found.title, found.notes) == ("title", ("note",))
