import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.evidence.measures import bounded
from lossbench.benchmarks.evidence.steps import Steps, count_steps, ratio
from lossbench.benchmarks.stats.verdict import verdict_above, verdict_below

from .worlds import evaluation, result, until


def reached(*values):
    return Steps(np.array(values, float), np.ones(len(values), bool))


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


def test_ratio_is_the_geometric_mean_of_pairs():
    a, b = reached(10, 40, 90), reached(10, 10, 10)
    found = ratio(a, b)
    assert found.interval.mean == pytest.approx((1 * 4 * 9) ** (1 / 3))
    assert found.logs == pytest.approx((0, math.log(4), math.log(9)))
    assert ratio(b, a).interval.low == pytest.approx(1 / found.interval.high)
    assert found.bound == ""


def test_one_run_that_did_not_reach_the_accuracy_makes_a_bound():
    all_, some = (
        reached(10, 20, 30),
        reached(10, 20, 30)._replace(reached=np.array([1, 0, 1], bool)),
    )
    assert (ratio(some, all_).least, ratio(some, all_).most) == (True, False)
    assert (ratio(all_, some).least, ratio(all_, some).most) == (False, True)
    assert [ratio(some, all_).bound, ratio(all_, some).bound] == ["at least", "at most"]
    assert ratio(some, some).bound == ""


many = st.lists(st.floats(1, 10_000), min_size=3, max_size=6)


@given(needed=many, cap=st.floats(5, 5_000), other=st.floats(1, 5_000), bar=st.floats(0.2, 20))
def test_early_ends_never_reverse_a_verdict(needed, cap, other, bar):
    """A verdict from runs that ended early is not refuted by the steps that they would need."""

    def steps(values):
        return Steps(np.minimum(values, cap), np.array(values) <= cap)

    needed, same = np.array(needed), np.full(len(needed), other)
    for a, b in ((needed, same), (same, needed)):
        seen, true = ratio(steps(a), steps(b)), ratio(reached(*a), reached(*b))
        for side, up, down in (
            (verdict_above, "holds", "does not hold"),
            (verdict_below, "does not hold", "holds"),
        ):
            verdict = side(seen.interval, bar)
            known = {"least": seen.least, "most": seen.most, "upward": up, "downward": down}
            decided, truth = bounded(verdict, **known), side(true.interval, bar)
            assert "undecided" in (decided, truth) or decided == truth
