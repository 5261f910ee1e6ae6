import dataclasses

import numpy as np
import pytest

from lossbench.benchmarks.evidence import calibration
from lossbench.benchmarks.stats.metrics import expected_calibration_error

# How sure each network is; all are right of 75 %.
SURE = dict.fromkeys(calibration.PROPER, 0.77)
SURE |= {"softmax-focal": 0.65, "label-smoothing": 0.68}
SURE |= {"generalized-cross-entropy": 0.90, "probability-sum": 0.99}


def lab_of(fake_lab, change=(), right=(), budget="quick"):
    sure, shares = SURE | dict(change), dict.fromkeys(calibration.LOSSES, 0.75) | dict(right)
    return fake_lab(
        budget,
        lambda trial: [shares[trial.loss]] * 2,
        sure=lambda trial, who: np.full(len(who), sure[trial.loss] + 0.002 * (trial.seed % 3)),
    )


@pytest.mark.parametrize("budget", calibration.SIZES)
def test_holds_where_proper_losses_are_calibrated(fake_lab, check_finding, budget):
    lab = lab_of(fake_lab, budget=budget)
    finding = calibration.CLAIM.examine(lab)
    assert finding.verdict == "holds", finding.measures
    check_finding(calibration.CLAIM, finding, lab)


@pytest.mark.parametrize(
    "change", [{"sigmoid-mse": 0.85}, {"cross-entropy": 0.9}, {"label-smoothing": 0.76}]
)
def test_does_not_hold_where_they_are_not(fake_lab, change):
    assert calibration.CLAIM.examine(lab_of(fake_lab, change)).verdict == "does not hold"


def test_two_seeds_decide_nothing(fake_lab, monkeypatch):
    size = calibration.SIZES["quick"]._replace(seeds=2)
    monkeypatch.setitem(calibration.SIZES, "quick", size)
    assert calibration.CLAIM.examine(lab_of(fake_lab)).verdict == "undecided"


@pytest.mark.parametrize("loss", ["probability-sum", "mse"])
def test_a_loss_of_another_accuracy_decides_nothing(fake_lab, loss):
    finding = calibration.CLAIM.examine(lab_of(fake_lab, right={loss: 0.60}))
    assert finding.verdict == "undecided"
    (measure,) = [m for m in finding.measures if m.name.startswith(loss)]
    assert measure.verdict == "undecided"
    assert "equal accuracy" in measure.wanted
    assert any(loss in note for note in finding.notes)


def test_a_loss_that_diverged_decides_nothing(fake_lab):
    lab = lab_of(fake_lab)
    inner = lab.outcome

    def outcome(trial):
        found = inner(trial)
        if trial.loss != "softmax-focal" or found.test is None or trial.seed:
            return found
        broken = np.full_like(found.test.probabilities, np.nan)
        return dataclasses.replace(
            found, test=dataclasses.replace(found.test, probabilities=broken)
        )

    lab.outcome = outcome
    finding = calibration.CLAIM.examine(lab)
    assert finding.verdict == "undecided"
    assert any("Diverged" in note and "softmax-focal" in note for note in finding.notes)


def test_measures_are_gaps_between_confidence_and_accuracy(fake_lab):
    """All answers are equally sure, so that the error is one gap."""
    lab = lab_of(fake_lab)
    finding = calibration.CLAIM.examine(lab)
    gap = {}
    for trial in lab.trained:
        said = lab.outcome(trial).test
        gap.setdefault(trial.loss, []).append(
            100 * abs(float(said.probabilities.max(1).mean()) - said.accuracy)
        )
    means = {loss: np.mean(values) for loss, values in gap.items()}
    expected = [means[loss] for loss in calibration.PROPER]
    expected += [means[loss] - means["cross-entropy"] for loss in calibration.IMPROPER]
    assert [m.value for m in finding.measures] == pytest.approx(expected, abs=1e-3)


def test_right_probabilities_measure_no_more_than_the_floor(fake_lab):
    """Labels drawn from the probabilities themselves: their error is what the floor says."""
    rng = np.random.default_rng(1)
    p = rng.uniform(0.5, 1, 2000)
    probabilities = np.stack([1 - p, p], 1)
    labels = (rng.random((40, 2000)) < p).astype(np.int64)
    seen = np.mean([100 * expected_calibration_error(probabilities, each) for each in labels])
    lab = lab_of(fake_lab)
    run = lab.outcome(dataclasses.replace(calibration.trial_of("mse", SIZE), test=True))
    said = dataclasses.replace(run.test, probabilities=probabilities, labels=labels[0])
    floor = calibration.mean_floor([dataclasses.replace(run, test=said)])
    assert floor == pytest.approx(seen, rel=0.1)


def test_temperature_scaling_mends_what_is_only_too_sure(fake_lab):
    lab = lab_of(fake_lab)
    rng = np.random.default_rng(2)
    z = rng.normal(0, 1.5, 4000)
    labels = (rng.random(4000) < 1 / (1 + np.exp(-z))).astype(np.int64)
    # The truth, three times as sure.
    p = 1 / (1 + np.exp(-3 * z))
    probabilities = np.stack([1 - p, p], 1).astype(np.float32)
    run = lab.outcome(dataclasses.replace(calibration.trial_of("mse", SIZE), test=True))
    said = dataclasses.replace(
        run.test, probabilities=probabilities, labels=labels, predicted=(p > 0.5).astype(np.int64)
    )
    run = dataclasses.replace(run, test=said, validation=said)
    before = 100 * expected_calibration_error(probabilities, labels)
    assert before > 10
    assert calibration.cooled(run) < 3


def test_temperature_is_that_of_a_softmax():
    logits = np.random.default_rng(0).normal(size=(5, 3))
    softmax = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    cooler = np.exp(logits / 2) / np.exp(logits / 2).sum(1, keepdims=True)
    np.testing.assert_allclose(calibration.at_temperature(softmax, 2.0), cooler, rtol=1e-6)


SIZE = calibration.SIZES["quick"]
