import math

import numpy as np
import pytest

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.evidence.steps import (
    Steps,
    count_steps,
    in_times,
    quotient,
    ratio,
    search_in_steps,
)

from .worlds import evaluation, result, until


def reached(*values):
    return Steps(np.array(values, float), np.ones(len(values), bool))


def missed(*values):
    return reached(*values)._replace(reached=np.zeros(len(values), bool))


def test_steps_are_counted_to_the_first_evaluation_with_the_accuracy():
    config = RunConfig("mse", 0, 0.1)
    runs = [
        result(config, evaluations=evaluations)
        for evaluations in (
            until(35),
            tuple(evaluation(10 * i, a) for i, a in enumerate((0.5, 0.7, 0.5, 0.7))),
            until(10**9, last=200),
            (evaluation(0, 0.7),),
            (evaluation(0, math.nan), evaluation(10, math.nan)),
        )
    ]
    found = count_steps(runs, 0.6)
    assert found.value.tolist() == [40, 10, 200, 1, 10]
    assert found.reached.tolist() == [True, True, False, True, False]
    assert str(found) == "3 of 5 in 200"
    assert str(reached(10, 1000)) == "100 (10 to 1000)"
    assert missed(4, 4).in_words() == "4 steps without reaching it in 2 of 2 runs"
    assert reached(4, 4, 4).in_words() == "4 steps"


def test_a_ratio_is_of_pairs():
    found = ratio(reached(10, 40, 90), reached(10, 10, 10))
    assert found.values == pytest.approx((0, math.log(4), math.log(9)))
    assert in_times(found) == "3.3"
    assert not found.least
    assert not found.most


@pytest.mark.parametrize(
    ("over", "under", "bounds", "text"),
    [
        (missed(8, 8), reached(2, 2), (True, False), "≥ 4"),
        (reached(8, 8), missed(2, 2), (False, True), "≤ 4"),
        (missed(8, 8), missed(2, 2), (True, True), "?"),
    ],
)
def test_runs_that_did_not_reach_the_accuracy_make_a_bound(over, under, bounds, text):
    found = ratio(over, under)
    assert (found.least, found.most) == bounds
    assert in_times(found) == text


def test_a_quotient_of_ratios_keeps_bounds():
    """More steps above make it larger, and more steps below smaller."""
    exact = ratio(reached(6, 8), reached(2, 2))
    at_least, at_most = ratio(missed(6, 8), reached(2, 2)), ratio(reached(6, 8), missed(2, 2))
    assert quotient(exact, exact).values == (0, 0)
    for over, under, bounds in (
        (at_least, exact, (True, False)),
        (exact, at_most, (True, False)),
        (at_most, exact, (False, True)),
        (exact, at_least, (False, True)),
        (at_least, at_least, (True, True)),
    ):
        found = quotient(over, under)
        assert (found.least, found.most) == bounds


def test_a_search_shows_steps():
    found = search_in_steps(
        {"a": {0.1: -math.log(50), 1.0: -math.log(20)}, "b": {0.1: -math.log(9)}}
    )
    assert found.columns == ("networks", "0.1", "1")
    assert found.rows == (("a", "50", "20"), ("b", "9", "–"))
