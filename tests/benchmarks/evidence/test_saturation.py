import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.evidence import saturation
from lossbench.benchmarks.evidence.figures import saturation as saturation_pictures
from lossbench.benchmarks.evidence.measures.gradient_formulas import GRADIENT_FORMULAS
from lossbench.benchmarks.evidence.measures.limits import bounded
from lossbench.benchmarks.evidence.measures.steps import Steps, ratio, steps_of
from lossbench.benchmarks.evidence.saturation import (
    CLAIM,
    CONFIDENCES,
    OTHER,
    RATES,
    REFERENCE,
    SIZES,
)
from lossbench.benchmarks.records.claim import verdict_of
from lossbench.benchmarks.stats.verdict import verdict_above, verdict_below

from .invented import InventedLab, check, outcome, point


@pytest.fixture
def unpainted(monkeypatch):
    """Pictures are laid out and not painted, which takes most of the time."""
    monkeypatch.setattr(saturation_pictures, "render_png", lambda *_: b"")


def pairs(trial, count=300):
    """Training examples around the start with the gradients of the formulas."""
    rng = np.random.default_rng(trial.seed)
    z = rng.normal(
        math.log(trial.initial_probability / (1 - trial.initial_probability)), 1.5, count
    )
    z, t = z.astype(np.float32), rng.integers(0, 2, count)
    g = GRADIENT_FORMULAS[trial.loss].magnitude((2 * t - 1) * z.astype(float)) * np.where(
        t == 1, -1, 1
    )
    return np.stack([np.zeros(count), z, t, g], 1).astype(np.float32)


def course(needed, last=420):
    """Evaluations every 10 steps up to the first one at or after `needed`, at most to `last`."""
    points = [point(0, 0.5, 0.5)]
    for step in range(10, last + 1, 10):
        points.append(point(step, 0.61 if step >= needed else 0.5, 0.5))
        if step >= needed:
            break
    return tuple(points)


def folklore(trial):
    """Steps that are needed: e times as many with every factor e of wrong odds, but with
    cross-entropy, and a rate that is off costs something."""
    odds = (1 - trial.initial_probability) / trial.initial_probability
    off = 1 + abs(math.log10(trial.learning_rate / 0.1))
    slow = 0.05 * odds if trial.loss == OTHER else 0
    return (40 + 10 * math.log(odds) + slow) * off * (1 + 0.02 * (trial.seed % 3))


def rate_helps(trial):
    """As above, but a high rate makes up for a gradient that dies."""
    odds = (1 - trial.initial_probability) / trial.initial_probability
    if trial.loss == OTHER and trial.learning_rate == 3.0:
        return (40 + 10 * math.log(odds)) * (1 + 0.02 * (trial.seed % 3))
    return folklore(trial)


def lab_of(budget="quick", needed=folklore, bend=lambda _, rows: rows):
    def invent(trial):
        rows = bend(trial, pairs(trial)) if trial.record_examples else None
        return outcome(trial, evaluations=course(needed(trial)), examples=rows)

    return InventedLab(budget, invent)


@pytest.mark.parametrize("budget", SIZES)
def test_holds_where_only_sigmoid_mse_stalls(budget):
    lab = lab_of(budget)
    finding = CLAIM.examine(lab)
    assert finding.verdict == "holds", finding.measures
    check(CLAIM, finding)
    assert not any(trial.test for trial in lab.asked)
    assert {trial.initial_probability for trial in lab.asked} == {1 - c for c in CONFIDENCES}
    # Both losses have the same rates and seeds.
    alike = {
        loss: [dataclasses.replace(t, loss="") for t in lab.asked if t.loss == loss]
        for loss in (REFERENCE, OTHER)
    }
    assert alike[REFERENCE] == alike[OTHER]
    assert len({t.seed for t in lab.asked}) >= 3


@pytest.mark.usefixtures("unpainted")
def test_a_rate_that_makes_up_for_it_refutes():
    finding = CLAIM.examine(lab_of(needed=rate_helps))
    verdicts = {m.name: m.verdict for m in finding.measures}
    apart = {name: v for name, v in verdicts.items() if "from 0.9999, " in name}
    assert sorted(apart.values()) == ["does not hold", "holds"]
    assert finding.verdict == "does not hold"


@pytest.mark.usefixtures("unpainted")
def test_where_the_highest_rate_is_the_fastest_a_higher_one_may_be_faster_still():
    def needed(trial):
        if trial.loss == OTHER and trial.learning_rate == RATES[-1]:
            return 330 * (1 + 0.02 * (trial.seed % 3))
        return folklore(trial)

    finding = CLAIM.examine(lab_of(needed=needed))
    (fastest,) = (m for m in finding.measures if "from 0.9999, each" in m.name)
    assert fastest.low > 2
    assert "at most that" in fastest.name
    assert fastest.verdict == "undecided"


@pytest.mark.usefixtures("unpainted")
def test_nor_is_the_highest_rate_known_to_be_the_fastest_of_cross_entropy():
    def needed(trial):
        if trial.loss == REFERENCE and trial.learning_rate == RATES[-1]:
            return 30 + trial.seed % 3
        return folklore(trial)

    finding = CLAIM.examine(lab_of(needed=needed))
    (alike,) = (m for m in finding.measures if "from 0.5, each" in m.name)
    assert "at least that" in alike.name
    assert alike.verdict == "undecided"


def slow_cross_entropy(trial):
    odds = (1 - trial.initial_probability) / trial.initial_probability
    return 20 + (0.03 * odds if trial.loss == REFERENCE else 0.06 * odds) + trial.seed % 3


def always_slow(trial):
    return folklore(trial) * (3 if trial.loss == OTHER else 1)


@pytest.mark.parametrize("needed", [slow_cross_entropy, always_slow])
@pytest.mark.usefixtures("unpainted")
def test_refuted_by_steps(needed):
    finding = CLAIM.examine(lab_of(needed=needed))
    assert finding.verdict == verdict_of(finding.measures) == "does not hold"


@pytest.mark.usefixtures("unpainted")
def test_nobody_gets_there_and_nothing_is_decided_of_who_is_slower():
    finding = CLAIM.examine(lab_of(needed=lambda _: 10**9))
    assert {m.verdict for m in finding.measures if "ratio" in m.name} == {"undecided"}


@pytest.mark.parametrize("loss", [REFERENCE, OTHER])
@pytest.mark.usefixtures("unpainted")
def test_one_gradient_that_is_off_refutes(loss):
    def bend(trial, rows):
        if trial.loss == loss:
            rows[7, 3] *= 1.0001
        return rows

    finding = CLAIM.examine(lab_of(bend=bend))
    assert finding.verdict == "does not hold"
    assert [m.verdict for m in finding.measures][-1] == "does not hold"


@pytest.mark.usefixtures("unpainted")
def test_two_seeds_decide_nothing(monkeypatch):
    monkeypatch.setitem(SIZES, "quick", SIZES["quick"]._replace(seeds=2, between=2))
    finding = CLAIM.examine(lab_of())
    assert {m.verdict for m in finding.measures} == {"undecided"}


@pytest.mark.usefixtures("unpainted")
def test_fastest_rate_is_that_with_the_fewest_steps():
    lab = lab_of(needed=rate_helps)
    found = saturation.trained(lab, SIZES["quick"])
    rates = saturation.fastest({start: steps_of(runs, 0.6) for start, runs in found.items()})
    assert {rates[REFERENCE, c] for c in CONFIDENCES} == {0.1}
    assert rates[OTHER, 0.9999] == 3.0


@pytest.mark.usefixtures("unpainted")
def test_a_rate_at_which_one_network_was_quick_is_not_the_fastest():
    def lucky(trial):
        if trial.learning_rate == 3.0:
            return 10 if trial.seed == saturation.FIRST_SEED else 10**9
        return folklore(trial)

    found = saturation.trained(lab_of(needed=lucky), SIZES["standard"])
    rates = saturation.fastest({start: steps_of(runs, 0.6) for start, runs in found.items()})
    assert {rates[REFERENCE, c] for c in CONFIDENCES} == {0.1}


def test_steps_are_counted_to_the_first_evaluation_with_enough():
    runs = [
        outcome(RunConfig("bce-with-logits", 0, 0.1), evaluations=points)
        for points in (
            course(35),
            (point(0, 0.5, 1), point(10, 0.7, 1), point(20, 0.5, 1), point(30, 0.7, 1)),
            course(10**9, last=200),
            (point(0, 0.7, 1),),
            (point(0, math.nan, 1), point(10, math.nan, 1)),
        )
    ]
    found = steps_of(runs, 0.6)
    assert found.value.tolist() == [40, 10, 200, 1, 10]
    assert found.reached.tolist() == [True, True, False, True, False]


def test_ratio_is_the_geometric_mean_of_pairs():
    a = Steps(np.array([10.0, 40.0, 90.0]), np.ones(3, bool))
    b = Steps(np.array([10.0, 10.0, 10.0]), np.ones(3, bool))
    found = ratio(a, b)
    assert found.interval.mean == pytest.approx((1 * 4 * 9) ** (1 / 3))
    back = ratio(b, a)
    assert back.interval.low == pytest.approx(1 / found.interval.high)


many = st.lists(st.floats(1, 10_000), min_size=3, max_size=6)


@given(needed=many, cap=st.floats(5, 5_000), other=st.floats(1, 5_000), bar=st.floats(0.2, 20))
def test_training_that_ends_early_never_turns_a_verdict_round(needed, cap, other, bar):
    """What is decided of runs that were stopped is not refuted by the steps they would need."""

    def steps(values):
        return Steps(np.minimum(values, cap), np.array(values) <= cap)

    needed, same = np.array(needed), np.full(len(needed), other)
    for a, b in ((needed, same), (same, needed)):
        seen, true = ratio(steps(a), steps(b)), ratio(Steps(a, a > 0), Steps(b, b > 0))
        for side, up, down in (
            (verdict_above, "holds", "does not hold"),
            (verdict_below, "does not hold", "holds"),
        ):
            decided = bounded(
                side(seen.interval, bar),
                least=seen.least,
                most=seen.most,
                upward=up,
                downward=down,
            )
            truth = side(true.interval, bar)
            assert "undecided" in (decided, truth) or decided == truth


def test_one_run_that_did_not_get_there_makes_a_bound():
    there = Steps(np.array([10.0, 20.0, 30.0]), np.ones(3, bool))
    some = there._replace(reached=np.array([True, False, True]))
    assert (ratio(some, there).least, ratio(some, there).most) == (True, False)
    assert (ratio(there, some).least, ratio(there, some).most) == (False, True)
