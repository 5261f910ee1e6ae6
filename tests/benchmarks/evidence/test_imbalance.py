import dataclasses

import numpy as np
import pytest
import torch
from scipy.special import expit

from lossbench.benchmarks.evidence.imbalance import (
    CELLS,
    LOSSES,
    PAIRS,
    PLAIN,
    RATIOS,
    SHIFTED,
    Imbalance,
    found,
)
from lossbench.benchmarks.training.result import Predictions
from lossbench.losses import registry

from .worlds import IMBALANCE, imbalance_world, method_of, one_logit, result


@pytest.mark.parametrize(
    "change",
    [
        {"weighted": (0.90, 0.66)},
        {"logit-adjusted": (0.85, 0.75)},
        {"focal": (0.78, 0.78)},
        {"shifted": (0.90, 0.10)},
    ],
)
def test_refuted_where_a_loss_is_ahead_or_nothing_is_gained(verdict, change):
    assert verdict("imbalance", change=change) == "does not hold"


def test_numbers_are_those_of_the_runs(examine, analyse):
    analysis, trainer = analyse("imbalance")
    mean = {"shifted": 70.0} | {
        method: 100
        * np.mean(
            [
                [(r.test.predicted == c)[r.test.labels == c].mean() for c in (0, 1)]
                for ratio in RATIOS
                for r in analysis.runs[method, ratio]
            ]
        )
        for method in LOSSES
        if method != SHIFTED
    }
    mean[SHIFTED] = mean.pop("shifted")
    finding = examine("imbalance")
    expected = [mean[method] - mean[other] for method, other, _ in PAIRS]
    assert [measure.value for measure in finding.measures] == pytest.approx(expected, abs=0.3)
    rows = {row[0]: row for row in finding.tables[1].rows}
    assert set(rows) == {f"1:{ratio} {method}" for ratio in RATIOS for method in LOSSES}
    assert rows["1:50 weighted"][1] == "900 and 18"
    assert rows[f"1:10 {SHIFTED}"][2] == rows["1:10 plain"][2]
    assert float(rows["1:10 plain"][5]) == pytest.approx(98, abs=0.5)
    assert float(rows["1:10 plain"][6]) == pytest.approx(10, abs=0.5)
    assert finding.sentence.startswith("With 10 dogs per cat, shifting the threshold")
    assert len({config.epochs for config in (*trainer.searched, *trainer.trained)}) == 1


def test_methods_know_the_frequencies():
    given = {(method_of(c), ratio): dict(c.loss_arguments) for (_, ratio), c in CELLS.items()}
    for ratio, dogs, cats in ((10, 900, 90), (50, 900, 18)):
        assert given["plain", ratio] == given["focal", ratio] == {}
        prior = given["logit-adjusted", ratio]["prior"]
        assert prior[0] / prior[1] == dogs / cats
        dog, cat = given["weighted", ratio]["weight"]
        # Each class has the same weight, and an example 1 on average.
        assert dog * dogs == pytest.approx(cat * cats)
        assert dog * dogs + cat * cats == pytest.approx(dogs + cats)


@pytest.mark.parametrize("cell", CELLS)
def test_arguments_are_those_of_the_losses(cell):
    arguments = {name: torch.tensor(v) for name, v in CELLS[cell].loss_arguments}
    loss = registry.entry(CELLS[cell].loss).build(reduction="none", **arguments)
    assert loss(torch.zeros(2, 2), torch.tensor([0, 1])).shape == (2,)


def test_shifting_is_bayes_rule():
    """The shifted threshold is right where balanced classes would make a cat more probable."""
    likelihood = np.random.default_rng(0).random((200, 2))
    seen = likelihood * (50, 1)
    z = np.log(seen[:, 1] / seen[:, 0])
    cat = likelihood[:, 1] > likelihood[:, 0]
    given = one_logit(z, np.ones(200))
    np.testing.assert_array_equal(found(given, SHIFTED, 50), cat)
    np.testing.assert_array_equal(found(given, PLAIN, 50), expit(z) > 0.5)


def test_a_network_that_diverged_finds_dogs_alone_and_is_at_chance():
    predictions = one_logit(np.array([1.0, np.nan, 2.0, 3.0]), np.array([1, 1, 0, 0]))
    for method in (PLAIN, SHIFTED):
        assert found(predictions, method, 10).tolist() == [False, False, True, True]
    assert Imbalance.score(result(CELLS[PLAIN, 10], predictions)) == 50


def test_a_rate_is_chosen_without_a_threshold():
    """A network that calls nothing a cat, but ranks all cats above all dogs."""
    z = np.array([-9.0, -8.0, -3.0, -2.0])
    predictions = one_logit(z, np.array([0, 0, 1, 1]))
    assert Imbalance.score(result(CELLS[PLAIN, 10], predictions)) == 100


def test_the_rarer_class_of_the_test_counts_as_much(examine):
    def world(config):
        """Leave every second cat out of the test."""
        whole = imbalance_world(config)
        if whole.test is None:
            return whole
        keep = (whole.test.labels == 0) | (np.cumsum(whole.test.labels == 1) % 2 == 0)
        kept = Predictions(*(each[keep] for each in vars(whole.test).values()))
        return dataclasses.replace(whole, test=kept)

    finding = examine("imbalance", world=world)
    expected = 100 * (np.mean(IMBALANCE["shifted"]) - np.mean(IMBALANCE["plain"]))
    assert finding.measures[0].value == pytest.approx(expected, abs=1)
