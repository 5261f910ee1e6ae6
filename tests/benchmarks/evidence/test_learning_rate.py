import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossbench.benchmarks.config import ARTICLE_LOSSES, LEARNING_RATES
from lossbench.benchmarks.evidence import learning_rate
from lossbench.benchmarks.evidence.figures import learning_rate as learning_rate_pictures
from lossbench.benchmarks.evidence.learning_rate import CLAIM, OTHER, PAIR, REFERENCE, SIZES
from lossbench.benchmarks.evidence.measures.rates import USABLE, usable
from lossbench.benchmarks.records.claim import verdict_of

from .invented import InventedLab, check, outcome, point, right_in

BEST = dict.fromkeys(ARTICLE_LOSSES, 0.05) | {OTHER: 0.3, "mse": 0.01}


@pytest.fixture
def unpainted(monkeypatch):
    """Pictures are laid out and not painted, which takes most of the time."""
    monkeypatch.setattr(learning_rate_pictures, "render_png", lambda *_: b"")


def lab_of(budget="quick", *, best=BEST, peak=0.70, other=0.70, width=1.0, jitter=0.002):
    """Accuracy falls by 7 points a decade squared around the best rate of a loss; sigmoid-mse has
    a peak of its own, and cross-entropy a range that is `width` times as wide."""

    def invent(trial):
        off = math.log10(trial.learning_rate / best[trial.loss])
        top, spread = (other, 1.0) if trial.loss == OTHER else (peak, 1.0)
        spread = width if trial.loss == REFERENCE else spread
        share = max(0.5, top - 0.07 * (off / spread) ** 2)
        share += jitter * ((7 * trial.seed + len(trial.loss)) % 5 - 2)
        share = 0.5 if trial.loss == "zero-one" else share
        said = right_in(share)
        points = (point(0, 0.5, 0.5), point(100, share, 0.3))
        test = said if trial.test else None
        return outcome(trial, evaluations=points, validation=said, test=test)

    return InventedLab(budget, invent)


@pytest.mark.usefixtures("unpainted")
def test_a_range_that_goes_on_beyond_the_rates_tried_is_a_bound():
    # That of sigmoid-mse is as wide as the other's, and its upper half is not seen.
    finding = CLAIM.examine(lab_of(best=BEST | {OTHER: 2.5}))
    range_ = finding.measures[-1]
    assert range_.low > -0.5
    assert range_.verdict == "undecided"
    assert f"decades for {REFERENCE} and at least" in finding.sentence


@pytest.mark.parametrize("budget", SIZES)
def test_holds_where_the_order_turns_round(budget):
    lab = lab_of(budget)
    finding = CLAIM.examine(lab)
    assert finding.verdict == "holds", finding.measures
    check(CLAIM, finding)
    swept = [trial for trial in lab.asked if not trial.test]
    tested = [trial for trial in lab.asked if trial.test]
    # Rates are chosen and judged with different seeds, and every loss has the same ones.
    assert not {trial.seed for trial in swept} & {trial.seed for trial in tested}
    assert {(t.loss, t.learning_rate) for t in swept} == {
        (a, b) for a in ARTICLE_LOSSES for b in LEARNING_RATES
    }
    for loss in ARTICLE_LOSSES:
        seeds = {trial.seed for trial in tested if trial.loss == loss}
        assert len(seeds) >= 3
        tried = {t.seed - 1000 for t in swept if t.loss == loss}
        assert tried == seeds if loss in PAIR else tried and tried <= seeds
    alike = {
        dataclasses.replace(trial, loss="", learning_rate=0.0, seed=0, test=False)
        for trial in lab.asked
    }
    assert len(alike) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"best": BEST | {OTHER: 0.05}},  # the same loss is ahead at neither rate
        {"other": 0.80},
        {"other": 0.60},
        {"width": 0.4},
    ],
)
@pytest.mark.usefixtures("unpainted")
def test_refuted(change):
    finding = CLAIM.examine(lab_of(**change))
    assert finding.verdict == verdict_of(finding.measures) != "holds"
    if "best" not in change:
        assert finding.verdict == "does not hold"


@pytest.mark.usefixtures("unpainted")
def test_the_order_must_turn_round_and_not_only_differ():
    finding = CLAIM.examine(lab_of(best=BEST | {OTHER: 0.01, REFERENCE: 1.0}))
    assert [m.verdict for m in finding.measures[:2]] == ["does not hold"] * 2


@pytest.mark.usefixtures("unpainted")
def test_two_seeds_decide_nothing(monkeypatch):
    monkeypatch.setitem(SIZES, "quick", SIZES["quick"]._replace(seeds=2, others=2))
    finding = CLAIM.examine(lab_of())
    assert {measure.verdict for measure in finding.measures} == {"undecided"}


@pytest.mark.usefixtures("unpainted")
def test_each_is_tested_at_the_rate_that_is_best_on_validation_images():
    lab = lab_of(jitter=0)
    CLAIM.examine(lab)
    nearest = {
        loss: min(LEARNING_RATES, key=lambda rate: abs(math.log(rate / best)))
        for loss, best in BEST.items()
        if loss != "zero-one"
    }
    tested = {trial.loss: trial.learning_rate for trial in lab.asked if trial.test}
    assert {loss: tested[loss] for loss in nearest} == nearest


@pytest.mark.usefixtures("unpainted")
def test_measures_are_differences_in_points():
    lab = lab_of(jitter=0)
    finding = CLAIM.examine(lab)

    def at(loss, rate):
        trial = learning_rate.trial_of(loss, SIZES["quick"])
        trial = dataclasses.replace(trial, learning_rate=rate)
        return 100 * lab.invent(trial).validation.accuracy

    assert [m.value for m in finding.measures[:2]] == pytest.approx(
        [at(OTHER, rate) - at(REFERENCE, rate) for rate in (0.01, 3.0)]
    )
    assert set(PAIR) == {OTHER, REFERENCE}


def test_usable_range_by_hand():
    rates = (0.01, 0.1, 1.0, 10.0)
    accuracy = np.array([60.0, 66.0, 70.0, 64.0])
    found = usable(rates, accuracy, 2)
    # 67 is a quarter of the way down to 66 from 1 to 0.1, and half of that to 64 from 1 to 10.
    assert found.low == pytest.approx(10**-0.75)
    assert found.high == pytest.approx(10**0.5)
    assert not found.open_low
    assert not found.open_high
    assert found.decades == pytest.approx(1.25)


def test_a_range_beyond_the_grid_is_open():
    found = usable((0.01, 0.1, 1.0), np.array([70.0, 69.0, 60.0]), 0)
    assert (found.low, found.open_low, found.open_high) == (0.01, True, False)
    flat = usable((0.01, 0.1, 1.0), np.full(3, 50.0), 0)
    assert (flat.low, flat.high, flat.open_low, flat.open_high) == (0.01, 1.0, True, True)


def test_a_range_ends_where_accuracy_first_falls():
    found = usable((0.01, 0.1, 1.0, 10.0), np.array([70.0, 70.0, 50.0, 70.0]), 0)
    assert 0.1 < found.high < 1


@given(
    accuracy=st.lists(st.floats(50, 80), min_size=2, max_size=7),
    factor=st.floats(0.1, 10),
    lift=st.floats(-20, 20),
)
def test_a_range_moves_with_rates_and_not_with_accuracy(accuracy, factor, lift):
    rates = [0.01 * 3**k for k in range(len(accuracy))]
    heights = np.array(accuracy)
    best = int(heights.argmax())
    found = usable(rates, heights, best)
    assert rates[0] <= found.low <= rates[best] <= found.high <= rates[-1] * (1 + 1e-12)
    moved = usable([factor * rate for rate in rates], heights, best)
    assert moved.low == pytest.approx(factor * found.low)
    assert moved.high == pytest.approx(factor * found.high)
    lifted = usable(rates, heights + lift, best)
    assert lifted.decades == pytest.approx(found.decades, abs=1e-6)
    within = [rate for rate, y in zip(rates, heights, strict=True) if y >= heights[best] - USABLE]
    assert found.decades <= math.log10(rates[-1] / rates[0]) + 1e-9
    assert rates[best] in within
