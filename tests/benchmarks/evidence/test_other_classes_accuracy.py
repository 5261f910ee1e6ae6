import numpy as np
import pytest

from lossbench.benchmarks.evidence.other_classes import PAIRS
from lossbench.benchmarks.evidence.other_classes_accuracy import COMPARED, Cell
from lossbench.benchmarks.evidence.probability_sum import SUM, WRONG
from lossbench.benchmarks.evidence.square_loss import CHALLENGER, REFERENCE


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ({}, "holds"),
        ({"mse": 0.68}, "does not hold"),
        ({"mse": 0.80}, "does not hold"),
        ({"mse": 0.76}, "undecided"),
        ({"trained": 0.72}, "does not hold"),
        ({"trained": 0.68}, "holds"),
    ],
)
def test_verdict_follows_the_accuracies(verdict, shares, expected):
    assert verdict("other-classes-accuracy", **shares) == expected


def test_numbers_are_means_over_pairs(examine, analyse):
    analysis, _ = analyse("other-classes-accuracy")
    mean = {
        compared: np.mean(
            [100 * r.test.accuracy for pair in PAIRS for r in analysis.runs[Cell(pair, *compared)]]
        )
        for compared in COMPARED
    }
    finding = examine("other-classes-accuracy")
    squared, summed = finding.measures
    for pair in PAIRS:
        runs = analysis.runs[Cell(pair, SUM, WRONG)]
        of_pair = 100 * np.mean([run.test.accuracy for run in runs])
        assert f"{of_pair:.1f} % for {' and '.join(pair)}" in finding.notes[1]
    assert squared.value == pytest.approx(mean[CHALLENGER, None] - mean[REFERENCE, None])
    assert summed.value == pytest.approx(mean[REFERENCE, WRONG] - mean[SUM, WRONG])


def test_each_pair_and_loss_has_a_rate_from_the_normal_start(analyse):
    analysis, trainer = analyse("other-classes-accuracy")
    assert {config.initial_probability for config in trainer.searched} == {None}
    assert {config.classes for config in trainer.searched} == set(PAIRS)
    for pair in PAIRS:
        rates = {
            start: {r.config.learning_rate for r in analysis.runs[Cell(pair, REFERENCE, start)]}
            for start in (None, WRONG)
        }
        assert rates[None] == rates[WRONG]
    assert {config.seed for config in trainer.trained}.isdisjoint(
        config.seed for config in trainer.searched
    )
    assert all(config.test for config in trainer.trained)
    assert not any(config.test for config in trainer.searched)
