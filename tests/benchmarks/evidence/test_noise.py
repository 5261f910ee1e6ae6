import dataclasses

import numpy as np
import pytest

from lossbench.benchmarks.evidence import noise

CLEAN = dict.fromkeys(noise.LOSSES, 0.60)


def share(clean, wrong):
    """Shares that are right without wrong labels and with the most of them, a straight line."""
    return lambda trial: clean + (wrong - clean) * trial.label_noise / noise.SHARES[-1]


def lab_of(fake_lab, budget="quick", **shares):
    """Ten classes; losses that are not named fall from 60 % to 30 %."""
    by_loss = {loss: share(0.60, 0.30) for loss in noise.LOSSES}
    by_loss |= {name.replace("_", "-"): share(*ends) for name, ends in shares.items()}
    return fake_lab(budget, lambda trial: [by_loss[trial.loss](trial)] * 10, classes=10, count=200)


CROSSING = {
    "cross_entropy": (0.62, 0.30),
    "generalized_cross_entropy": (0.60, 0.45),
    "symmetric_cross_entropy": (0.61, 0.44),
    "softmax_probability_sum": (0.35, 0.30),
}


@pytest.mark.parametrize("budget", noise.SIZES)
def test_holds_where_the_order_crosses_over(fake_lab, check_finding, budget):
    lab = lab_of(fake_lab, budget, **CROSSING)
    finding = noise.CLAIM.examine(lab)
    assert finding.verdict == "holds", finding.measures
    check_finding(noise.CLAIM, finding, lab)


@pytest.mark.parametrize(
    "change",
    [
        {"generalized_cross_entropy": (0.60, 0.25)},
        {"symmetric_cross_entropy": (0.66, 0.50)},
        {"softmax_probability_sum": (0.66, 0.30)},
    ],
)
def test_does_not_hold_where_it_does_not_cross(fake_lab, change):
    finding = noise.CLAIM.examine(lab_of(fake_lab, **CROSSING | change))
    assert finding.verdict == "does not hold"


def test_losses_that_are_one_decide_nothing(fake_lab):
    same = dict.fromkeys((name.replace("-", "_") for name in noise.LOSSES), (0.6, 0.3))
    finding = noise.CLAIM.examine(lab_of(fake_lab, **same))
    by_side = {"below": set(), "above": set()}
    for measure in finding.measures:
        by_side[measure.wanted.split()[0]].add(measure.verdict)
    assert by_side["above"] == {"undecided"}


def test_two_seeds_decide_nothing(fake_lab, monkeypatch):
    monkeypatch.setitem(noise.SIZES, "quick", noise.SIZES["quick"]._replace(seeds=2))
    finding = noise.CLAIM.examine(lab_of(fake_lab, **CROSSING))
    assert finding.verdict == "undecided"


def test_measures_are_differences_of_test_accuracy(fake_lab):
    lab = lab_of(fake_lab, **CROSSING)
    finding = noise.CLAIM.examine(lab)
    mean = {}
    for trial in lab.trained:
        said = lab.outcome(trial).test
        mean.setdefault((trial.loss, trial.label_noise), []).append(said.accuracy)
    points = {cell: 100 * np.mean(values) for cell, values in mean.items()}
    expected = [
        points[loss, wrong] - points["cross-entropy", wrong]
        for wrong, losses in ((0.0, list(noise.LOSSES)[1:]), (0.4, noise.ROBUST))
        for loss in losses
    ]
    assert [measure.value for measure in finding.measures] == pytest.approx(expected)
    assert all(m.low < m.value < m.high for m in finding.measures)


def test_every_loss_is_trained_on_the_same_wrong_labels(fake_lab):
    lab = lab_of(fake_lab, **CROSSING)
    noise.CLAIM.examine(lab)
    assert {trial.label_noise for trial in lab.searches} == {noise.TUNED_AT}
    alike = {
        loss: {
            dataclasses.replace(trial, loss="", learning_rate=0.0)
            for trial in lab.trained
            if trial.loss == loss
        }
        for loss in noise.LOSSES
    }
    assert all(each == alike["cross-entropy"] for each in alike.values())
