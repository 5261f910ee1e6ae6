import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.evidence.measures import one_sided
from lossbench.benchmarks.evidence.steps import Steps, count_steps, ratio

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
        counted, true = ratio(steps(a), steps(b)), ratio(reached(*a), reached(*b))
        for side in ("above", "below"):
            decided = counted.one_sided(side, "", bar).verdict
            truth = one_sided(side, "", true.interval, bar).verdict
            assert "undecided" in (decided, truth) or decided == truth


def test_measures_of_a_ratio_name_their_bound():
    """4 of cap 5 against 1: at least 4 times, which is above 2 and not known to be below 20."""
    missed = Steps(np.array([4.0, 4.1, 4.2]), np.zeros(3, bool))
    least, most = ratio(missed, reached(1, 1, 1)), ratio(reached(1, 1, 1), missed)
    assert least.one_sided("above", "x", 2).verdict == "holds"
    assert least.one_sided("above", "x", 2).name == "x (at least that)"
    assert least.one_sided("below", "x", 20).verdict == "undecided"
    assert least.within("x", 9).verdict == "undecided"
    assert most.one_sided("below", "x", 0.5).verdict == "holds"
    assert most.one_sided("above", "x", 0.1).verdict == "undecided"
    exact = ratio(reached(4, 4.1, 4.2), reached(1, 1, 1))
    within = exact.within("x", 9)
    assert (within.name, within.wanted, within.verdict) == ("x", "within 1/9 to 9 times", "holds")
    assert exact.within("x", 2).verdict == "does not hold"
    assert [str(least), str(most)] == ["≥ 4.1 (3.9 to 4.4)", "≤ 0.24 (0.23 to 0.26)"]
    assert missed.in_words() == "4 steps without reaching it in 3 of 3 runs"
    assert reached(4, 4, 4).in_words() == "4 steps"


def test_smallest_detectable_ratio_by_simulation():
    measured = ratio(reached(2, 3, 4, 2.5), reached(1, 1, 1, 1))
    spread = np.std(measured.logs, ddof=1)
    draws = np.random.default_rng(0).normal(math.log(measured.detectable), spread, (20_000, 4))
    assert (stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05).mean() == pytest.approx(
        0.8, abs=0.02
    )
    assert ratio(reached(2), reached(1)).detectable is None
