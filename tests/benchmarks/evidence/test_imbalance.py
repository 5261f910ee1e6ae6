import dataclasses

import numpy as np
import pytest

from lossbench.benchmarks.evidence import imbalance
from lossbench.benchmarks.training.result import Predictions

# The shares of dogs and of cats that are recognised.
TELLING = {"plain": (0.98, 0.10), "weighted": (0.70, 0.66), "focal": (0.97, 0.14)}
TELLING["logit-adjusted"] = (0.68, 0.69)


def method_of(trial):
    if trial.loss == "cross-entropy":
        return "weighted" if trial.loss_arguments else "plain"
    return "focal" if trial.loss == "softmax-focal" else "logit-adjusted"


def lab_of(fake_lab, budget="quick", **change):
    shares = TELLING | {name.replace("_", "-"): pair for name, pair in change.items()}
    return fake_lab(budget, lambda trial: shares[method_of(trial)])


@pytest.mark.parametrize("budget", imbalance.SIZES)
def test_holds_where_those_told_find_the_cats(fake_lab, check_finding, budget):
    lab = lab_of(fake_lab, budget)
    finding = imbalance.CLAIM.examine(lab)
    assert finding.verdict == "holds", finding.measures
    check_finding(imbalance.CLAIM, finding, lab)


@pytest.mark.parametrize(
    "change",
    [
        {"weighted": (0.98, 0.11)},
        {"logit_adjusted": (0.90, 0.20)},
        {"focal": (0.72, 0.70)},
        {"plain": (0.72, 0.70)},
    ],
)
def test_does_not_hold_where_they_do_not(fake_lab, change):
    assert imbalance.CLAIM.examine(lab_of(fake_lab, **change)).verdict == "does not hold"


def test_two_seeds_decide_nothing(fake_lab, monkeypatch):
    monkeypatch.setitem(imbalance.SIZES, "quick", imbalance.SIZES["quick"]._replace(seeds=2))
    assert imbalance.CLAIM.examine(lab_of(fake_lab)).verdict == "undecided"


def test_measures_are_differences_of_balanced_accuracy(fake_lab):
    lab = lab_of(fake_lab)
    finding = imbalance.CLAIM.examine(lab)
    found = {}
    for trial in lab.trained:
        said = lab.outcome(trial).test
        both = [(said.predicted == c)[said.labels == c].mean() for c in (0, 1)]
        found.setdefault((method_of(trial), trial.imbalance), []).append(50 * sum(both))
    mean = {cell: np.mean(values) for cell, values in found.items()}
    pairs = [("weighted", "plain"), ("logit-adjusted", "plain"), ("logit-adjusted", "focal")]
    expected = [mean[a, r] - mean[b, r] for r in imbalance.RATIOS for a, b in pairs]
    assert [measure.value for measure in finding.measures] == pytest.approx(expected)


def test_methods_are_told_how_many_there_were(fake_lab):
    lab = lab_of(fake_lab)
    imbalance.CLAIM.examine(lab)
    told = {(method_of(t), t.imbalance): dict(t.loss_arguments) for t in lab.trained}
    for ratio, cats in ((10, 90), (50, 18)):
        assert told["plain", ratio] == told["focal", ratio] == {}
        assert told["logit-adjusted", ratio] == {"prior": (900, cats)}
        dogs_weigh, cats_weigh = told["weighted", ratio]["weight"]
        # Each class weighs the same, and an example 1 on average.
        assert dogs_weigh * 900 == pytest.approx(cats_weigh * cats)
        assert dogs_weigh * 900 + cats_weigh * cats == pytest.approx(900 + cats)


def test_settings_are_those_of_the_losses():
    from lossbench.losses import registry

    for method in imbalance.TRAINED:
        settings = imbalance.settings_of(method, (900, 90))
        import torch

        given = {name: torch.tensor(value) for name, value in settings}
        loss = registry.entry(imbalance.LOSSES[method]).build(reduction="none", **given)
        assert loss(torch.zeros(2, 2), torch.tensor([0, 1])).shape == (2,)


def test_shifting_is_bayes_rule():
    """Where a network gives the posterior of what it saw, shifting gives that of even classes."""
    rng = np.random.default_rng(0)
    likelihood = rng.random((50, 2))
    counts = (4500, 90)
    seen = likelihood * counts
    seen /= seen.sum(1, keepdims=True)
    labels = np.zeros(50, np.int64)
    said = Predictions(
        np.log(seen).astype(np.float32), seen.astype(np.float32), seen.argmax(1), labels
    )
    even = imbalance.shifted(said, counts)
    expected = likelihood / likelihood.sum(1, keepdims=True)
    np.testing.assert_allclose(even.probabilities, expected, rtol=1e-4)
    np.testing.assert_array_equal(even.predicted, expected.argmax(1))
    assert (said.predicted == 0).mean() > (even.predicted == 0).mean()


def test_an_uneven_test_split_has_no_interval_over_images(fake_lab):
    lab = lab_of(fake_lab)
    lab.outcome = uneven(lab.outcome)
    finding = imbalance.CLAIM.examine(lab)
    assert {row[3] for row in finding.tables[1].rows} == {"–"}
    # And the rarer class of the test counts as much as the other.
    wanted = 100 * (np.mean(TELLING["weighted"]) - np.mean(TELLING["plain"]))
    assert finding.measures[0].value == pytest.approx(wanted, abs=1)


def uneven(outcome):
    """Every second cat is left out of the test."""

    def build(trial):
        found = outcome(trial)
        if found.test is None:
            return found
        said = found.test
        cats = np.cumsum(said.labels == 1)
        keep = (said.labels == 0) | (cats % 2 == 0)
        kept = Predictions(*(getattr(said, f.name)[keep] for f in dataclasses.fields(said)))
        return dataclasses.replace(found, test=kept)

    return build
