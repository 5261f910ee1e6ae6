import dataclasses

import numpy as np
import pytest
import torch

from lossbench.benchmarks.evidence.imbalance import (
    LOSSES,
    RATIOS,
    SHIFTED,
    TRAINED,
    loss_arguments,
    shift_logits,
)
from lossbench.benchmarks.training.result import Predictions
from lossbench.losses import registry

from .worlds import IMBALANCE, imbalance_world, method_of


@pytest.mark.parametrize(
    "change",
    [
        {"weighted": (0.98, 0.11)},
        {"logit-adjusted": (0.90, 0.20)},
        {"focal": (0.72, 0.70)},
        {"plain": (0.72, 0.70)},
    ],
)
def test_refuted_where_a_method_does_not_help(examine, change):
    assert examine("imbalance", change=change).verdict == "does not hold"


def test_numbers_are_those_of_the_runs(examine, analyse):
    analysis, trainer = analyse("imbalance")
    mean = {}
    for cell, runs in analysis.runs.items():
        recalls = [
            [(r.test.predicted == c)[r.test.labels == c].mean() for c in (0, 1)] for r in runs
        ]
        mean[cell] = 100 * np.mean(recalls)
    pairs = [("weighted", "plain"), ("logit-adjusted", "plain"), ("logit-adjusted", "focal")]
    finding = examine("imbalance")
    expected = [mean[a, r] - mean[b, r] for r in RATIOS for a, b in pairs]
    assert [measure.value for measure in finding.measures] == pytest.approx(expected)
    rows = {row[0]: row for row in finding.tables[0].rows}
    assert set(rows) == {f"1:{ratio} {method}" for ratio in RATIOS for method in LOSSES}
    assert rows["1:50 weighted"][1] == "900 and 18"
    assert rows[f"1:10 {SHIFTED}"][2] == rows["1:10 plain"][2]
    assert float(rows["1:10 plain"][4]) == pytest.approx(98, abs=0.5)
    assert float(rows["1:10 plain"][5]) == pytest.approx(10, abs=0.5)
    assert "With 10 dogs per cat, plain cross-entropy finds 10 %" in finding.sentence
    assert len({config.epochs for config in trainer.searched}) == 1


def test_methods_know_the_counts(analyse):
    _, trainer = analyse("imbalance")
    given = {(method_of(c), c.imbalance): dict(c.loss_arguments) for c in trainer.trained}
    for ratio, cats in ((10, 90), (50, 18)):
        assert given["plain", ratio] == given["focal", ratio] == {}
        assert given["logit-adjusted", ratio] == {"prior": (900, cats)}
        dog, cat = given["weighted", ratio]["weight"]
        # Each class has the same weight, and an example 1 on average.
        assert dog * 900 == pytest.approx(cat * cats)
        assert dog * 900 + cat * cats == pytest.approx(900 + cats)


@pytest.mark.parametrize("method", TRAINED)
def test_arguments_are_those_of_the_losses(method):
    arguments = {name: torch.tensor(v) for name, v in loss_arguments(method, (900, 90))}
    loss = registry.entry(LOSSES[method]).build(reduction="none", **arguments)
    assert loss(torch.zeros(2, 2), torch.tensor([0, 1])).shape == (2,)


def test_shifting_is_bayes_rule():
    """Shifting a posterior gives that of balanced classes."""
    likelihood = np.random.default_rng(0).random((50, 2))
    counts = (4500, 90)
    seen = likelihood * counts
    seen /= seen.sum(1, keepdims=True)
    z = np.log(seen[:, 1:] / seen[:, :1]).astype(np.float32)
    given = Predictions(z, seen.astype(np.float32), seen.argmax(1), np.zeros(50, int))
    shifted = shift_logits(given, counts)
    expected = likelihood / likelihood.sum(1, keepdims=True)
    np.testing.assert_allclose(shifted.probabilities, expected, rtol=1e-4)
    np.testing.assert_array_equal(shifted.predicted, expected.argmax(1))
    assert (given.predicted == 0).mean() > (shifted.predicted == 0).mean()


def test_an_unbalanced_test_split_has_no_interval_over_images(examine):
    def world(config):
        """Leave every second cat out of the test."""
        found = imbalance_world(config)
        if found.test is None:
            return found
        keep = (found.test.labels == 0) | (np.cumsum(found.test.labels == 1) % 2 == 0)
        kept = Predictions(*(each[keep] for each in vars(found.test).values()))
        return dataclasses.replace(found, test=kept)

    finding = examine("imbalance", world=world)
    assert {row[3] for row in finding.tables[1].rows} == {"–"}
    # The rarer class of the test counts as much as the other.
    expected = 100 * (np.mean(IMBALANCE["weighted"]) - np.mean(IMBALANCE["plain"]))
    assert finding.measures[0].value == pytest.approx(expected, abs=1)
