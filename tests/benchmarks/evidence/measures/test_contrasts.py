import numpy as np
import pytest
from scipy import stats

from lossbench.benchmarks.evidence.measures.contrasts import (
    Hypothesis,
    contrast,
    evaluate_hypotheses,
    plus_minus,
    signed,
    span,
    table_of,
)
from lossbench.benchmarks.stats.intervals import Interval

A = [71.0, 74.0, 80.0, 77.0]
B = [70.5, 73.0, 79.0, 76.5]


def test_contrast_is_scipys_paired_interval():
    drawn = contrast("a minus b", "mse", A, B)
    expected = stats.ttest_rel(A, B).confidence_interval(0.95)
    assert drawn.examples is None
    assert (drawn.interval.low, drawn.interval.high) == pytest.approx(expected)
    assert drawn.differences == pytest.approx([0.5, 1, 1, 0.5])


def test_interval_allows_for_other_examples():
    # Seeds agree exactly, 10 of 100 examples differ: only other images could change the result.
    a = np.zeros((3, 100), bool)
    b = a.copy()
    a[:, :10] = True
    drawn = contrast("", "mse", [10.0] * 3, [0.0] * 3, (a, b))
    assert (drawn.seeds.low, drawn.seeds.high) == (10, 10)
    # The 95 % interval of a binomial of 100 and 0.1.
    assert drawn.interval.low == pytest.approx(stats.binom.ppf(0.025, 100, 0.1), abs=1)
    assert drawn.interval.high == pytest.approx(stats.binom.ppf(0.975, 100, 0.1), abs=1)
    assert drawn.interval.mean == 10
    assert drawn.interval.n == 3


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
    (found,) = evaluate_hypotheses([Hypothesis(contrast("", "mse", A, B), side, threshold)])
    assert found.measure.verdict == verdict
    if verdict != "undecided":
        p = stats.ttest_1samp(np.subtract(A, B), threshold).pvalue
        assert found.p == pytest.approx(p)


def test_one_of_many_must_be_clearer():
    """p = 0.02 alone decides, and with three others like it does not."""
    demand = Hypothesis(
        contrast("", "mse", [2.0, 1.5, 3.2, 1.1], [1.0, 1.2, 1.6, 0.2]), "above", 0.0
    )
    assert 0.0125 < demand.p < 0.05
    assert evaluate_hypotheses([demand])[0].measure.verdict == "holds"
    assert [each.measure.verdict for each in evaluate_hypotheses([demand] * 4)] == ["undecided"] * 4


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_seeds_decide_nothing(n):
    demand = Hypothesis(contrast("", "mse", [9.0, 9.01][:n], [0.0] * n), "above", 0.0)
    assert demand.p == 1
    assert evaluate_hypotheses([demand])[0].measure.verdict == "undecided"


def test_table_shows_seeds_and_the_smallest_detectable_difference():
    found = evaluate_hypotheses([Hypothesis(contrast("a minus b", "mse", A, B), "above", 0.0)])
    row = dict(zip(table_of("", found).columns, table_of("", found).rows[0], strict=True))
    assert row["seeds"] == "4"
    # The difference that 4 pairs of this spread find with power 0.8, by simulation.
    spread = np.std(np.subtract(A, B), ddof=1)
    least = float(row["smallest detectable"])
    draws = np.random.default_rng(0).normal(least, spread, (20_000, 4))
    power = (stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05).mean()
    assert power == pytest.approx(0.8, abs=0.05)  # the table rounds to a decimal


def test_table_speaks_of_test_images_where_they_were_drawn_from():
    right = np.ones((4, 50), bool), np.zeros((4, 50), bool)
    for examples in (None, right):
        found = evaluate_hypotheses(
            [Hypothesis(contrast("a minus b", "mse", A, B, examples), "above", 0.0)]
        )
        assert ("test images" in table_of("", found).notes[0]) == (examples is not None)


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(1.26, 1, "+1.3"), (-0.31, 1, "−0.3"), (-0.01, 1, "0.0"), (2, None, "+2"), (None, 1, "–")],
)
def test_signed(value, digits, text):
    assert signed(value, digits) == text


def test_words_for_intervals():
    assert span(Interval(1, -0.5, 2.5, 3)) == "−0.5 to +2.5"
    assert span(Interval(1, None, None, 1)) == "–"
    assert plus_minus(Interval(74.1, 72.8, 75.4, 3)) == "74.1 ± 1.3"
    assert plus_minus(Interval(74.1, None, None, 1)) == "74.1"
