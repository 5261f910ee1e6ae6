from dataclasses import replace

import numpy as np
import pytest

from lossbench.benchmarks.evidence.noise import LOSSES, OTHERS, REFERENCE, ROBUST, TUNED_AT


@pytest.mark.parametrize(
    "change",
    [
        {"generalized-cross-entropy": (0.60, 0.25)},
        {"symmetric-cross-entropy": (0.66, 0.50)},
        {"softmax-probability-sum": (0.66, 0.30)},
    ],
)
def test_refuted_where_the_order_does_not_cross(examine, change):
    assert examine("noise", change=change).verdict == "does not hold"


def test_equal_losses_decide_nothing_of_a_lead(examine):
    measures = examine("noise", change=dict.fromkeys(LOSSES, (0.6, 0.3))).measures
    assert {m.verdict for m in measures if "above" in m.wanted} == {"undecided"}


def test_numbers_are_those_of_the_runs(examine, analyse):
    analysis, trainer = analyse("noise")
    points = {
        cell: 100 * np.mean([run.test.accuracy for run in runs])
        for cell, runs in analysis.runs.items()
    }
    finding = examine("noise")
    expected = [
        points[loss, wrong] - points[REFERENCE, wrong]
        for wrong, losses in ((0.0, OTHERS), (0.4, ROBUST))
        for loss in losses
    ]
    assert [measure.value for measure in finding.measures] == pytest.approx(expected)
    assert all(m.low < m.value < m.high for m in finding.measures)
    assert "The most accurate loss is cross-entropy without and generalised CE with" in (
        finding.sentence
    )
    assert finding.tables[0].rows[0][5:] == ("70", "70", "70")
    # Those of the verdict are in the table, the others in its note.
    assert finding.tables[1].notes[1].count("wrong: ") == 12 - len(expected)
    # Every loss is trained on the same wrong labels.
    assert {config.label_noise for config in trainer.searched} == {TUNED_AT}
    alike = [
        [
            replace(config, loss="", learning_rate=0.0)
            for config in trainer.trained
            if config.loss == loss
        ]
        for loss in LOSSES
    ]
    assert all(each == alike[0] for each in alike)
