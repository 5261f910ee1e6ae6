import numpy as np
import pytest

from lossbench.benchmarks.evidence.multiclass import DATASETS, LOSSES, OTHERS, REFERENCE

from .worlds import BREEDS, TEN


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({TEN: {"bce-with-logits": 0.66}}, "does not hold"),
        ({BREEDS: {"bernoulli-sum": 0.95}}, "does not hold"),
        # A lead smaller than the margin.
        ({BREEDS: {"bernoulli-sum": 0.82}}, "holds"),
    ],
)
def test_verdict_follows_the_lead(examine, change, verdict):
    assert examine("multiclass", change=change).verdict == verdict


def test_numbers_are_those_of_the_runs(examine, analyse):
    analysis, trainer = analyse("multiclass")
    finding = examine("multiclass")
    points = {
        (dataset.data, loss): 100
        * np.mean([run.test.accuracy for run in analysis.runs[loss, dataset]])
        for dataset in DATASETS
        for loss in LOSSES
    }
    expected = [
        points[dataset.data, loss] - points[dataset.data, REFERENCE]
        for dataset in DATASETS
        for loss in OTHERS
    ]
    assert [measure.value for measure in finding.measures] == pytest.approx(expected)
    rows = finding.tables[0].rows
    assert [row[0] for row in rows[::4]] == [
        "softmax cross-entropy, 10 classes",
        "softmax cross-entropy, 3 classes",
    ]
    assert [row[3] for row in rows[::4]] == ["reference"] * 2
    assert rows[3][4] == "within ±1: undecided"
    assert "(chance 10)" in finding.figures[0].alt
    assert "(chance 33)" in finding.figures[0].alt
    assert {config.epochs for config in trainer.searched} == {1, 6}
