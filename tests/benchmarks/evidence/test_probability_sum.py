from dataclasses import replace

import numpy as np
import pytest

from lossbench.benchmarks.evidence.gradients import sigmoid
from lossbench.benchmarks.evidence.probability_sum import REFERENCE, SUM, Cell
from lossbench.benchmarks.records.claim import verdict_of

from .worlds import probability_sum_world


def replaced(loss, magnitude):
    """Replace the gradient of one loss by a function of the log-odds of the right class."""
    return lambda config, odds, g: magnitude(odds) if config.loss == loss else g


@pytest.mark.parametrize(
    ("change", "refuted"),
    [
        ({"trained": 0.45}, {0}),
        ({"freed": 0.5}, {1}),
        # That of cross-entropy: neither p (1 - p) nor 0 where the model is wrong.
        ({"change": replaced(SUM, lambda s: sigmoid(-s))}, {2, 6}),
        ({"change": replaced(SUM, lambda s: 1.001 * sigmoid(s) * sigmoid(-s))}, {6}),
        # Not 0 where the model is right.
        ({"change": replaced(SUM, sigmoid)}, {3, 6}),
        ({"change": replaced(REFERENCE, lambda s: sigmoid(s) * sigmoid(-s))}, {4}),
        ({"change": replaced(SUM, lambda s: np.full_like(s, np.nan))}, {6}),
    ],
)
def test_refuted(analyse, change, refuted):
    measures = analyse("probability-sum", **change)[0].measures()
    assert verdict_of(measures) == "does not hold"
    assert {i for i, m in enumerate(measures) if m.verdict == "does not hold"} == refuted


def test_one_example_refutes(analyse):
    def change(config, odds, magnitude):
        first = (config.loss, config.seed, config.initial_probability) == (SUM, 101, None)
        return np.where(np.arange(len(odds)) == 7, 1.0 + 0.01 * first, 1.0) * magnitude

    measures = analyse("probability-sum", change=change)[0].measures()
    assert measures[6].verdict == "does not hold"
    assert measures[6].value == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("loss", [-1e-3, 1.001, np.nan])
def test_a_loss_outside_0_to_1_refutes(analyse, loss):
    def world(config):
        found = probability_sum_world(config)
        if (config.loss, config.seed) == (SUM, 102):
            last = replace(found.evaluations[-1], validation_loss=loss)
            found = replace(found, evaluations=(*found.evaluations[:-1], last))
        return found

    measures = analyse("probability-sum", world=world)[0].measures()
    assert [m.verdict for m in measures] == ["holds"] * 5 + ["does not hold", "holds"]


def test_undecided_without_confidently_wrong_examples(examine):
    finding = examine("probability-sum", keep=lambda odds: odds[odds > -1])
    assert finding.measures[2].verdict == finding.measures[4].verdict == "undecided"
    assert finding.measures[2].value is None


def test_accuracies_allow_for_other_images(analyse):
    beyond, behind, *gradients = analyse("probability-sum")[0].tests()
    assert beyond.quantity.image_error > 0
    assert behind.quantity.image_error > 0
    assert {test.quantity.image_error for test in gradients} == {0}


def test_numbers_are_those_of_the_runs(examine, analyse):
    analysis, trainer = analyse("probability-sum")
    assert {config.initial_probability for config in trainer.trained} == {None, 0.0003}
    # The rate is that of the normal start.
    assert {config.initial_probability for config in trainer.searched} == {None}
    assert all(config.record_examples for config in trainer.trained)
    finding = examine("probability-sum")
    stuck, freed = (
        np.mean([run.test.accuracy for run in analysis.runs[Cell(loss, 0.0003)]])
        for loss in (SUM, REFERENCE)
    )
    assert finding.measures[1].value == pytest.approx(100 * (freed - stuck))
    assert f"ends {finding.measures[1].value:.1f} (" in finding.sentence
    _, gradients, accuracy, _ = finding.tables
    every = sum(len(runs) * 400 for cell, runs in analysis.runs.items() if cell.loss == SUM)
    assert sum(int(row[1].replace(",", "")) for row in gradients.rows) == every
    for row in gradients.rows:
        assert row[2] == row[3]
        assert row[5] == row[6]
    assert accuracy.rows[0][4:] == ("0.250", "0.100", "1.00", "8")
    cats = analysis.runs[Cell(SUM, None)][0].test
    recall = 100 * (cats.predicted[cats.labels == 1] == 1).mean()
    assert float(accuracy.rows[0][3].split()[0]) == pytest.approx(recall, abs=1.5)
