import math

import pytest

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.evidence import figures
from lossbench.benchmarks.evidence.design import Design, Expected, Quantity

from .worlds import evaluation, result


@pytest.mark.parametrize(
    ("expected", "shown"),
    [
        (Expected("a minus b", "above", 2.0), (2.0, math.inf)),
        (Expected("a minus b", "within", 2.0), (-2.0, 2.0)),
        (Expected("a over b", "above", 2.0, "times"), (2.0, math.inf)),
        (Expected("a over b", "within", 2.0, "times"), (0.5, 2.0)),
    ],
)
def test_rows_show_what_the_claim_expects(expected, shown):
    design = Design(question="?", expects=(expected,), cells={"a": RunConfig("mse", 0, 0.1)})
    found = design.test([Quantity((1.0, 1.1, 1.2, 1.3, 1.4))])
    figure = figures.tests_figure(found, ["mse"])
    (panel,) = figure.panels
    (row,) = panel.rows
    assert panel.log == expected.is_ratio
    assert row.expected == pytest.approx(shown)
    assert (row.text, row.verdict) == (
        "3.32" if expected.is_ratio else "1.20", found[0].measure.verdict
    )  # fmt: skip
    assert figure.name == "differences.png"
    assert f"expected {expected.wanted}, {row.verdict}." in figure.alt


def test_curves_of_training_are_means_over_seeds():
    config = RunConfig("mse", 0, 0.1)
    runs = [
        result(config, evaluations=(evaluation(0, 0.5, 0.2), evaluation(10, end, 0.1)))
        for end in (0.6, 0.8)
    ]
    curve = figures.training_curve(runs, "validation_accuracy", 100)
    assert list(curve.x) == [0, 10]
    assert list(curve.y) == pytest.approx([50, 70])
    assert [list(seed) for seed in curve.seeds] == [[50, 60], [50, 80]]
    assert (curve.loss, curve.label) == ("mse", "mse  70.0")
    assert figures.training_curve(runs, "logit_mean_abs").label == "mse  0.100"


def test_a_search_marks_the_best_rate():
    searched = {"mse": {0.01: 60.0, 0.1: 70.0, 1.0: 50.0}}
    figure = figures.search_figure("Title", searched, {"mse": "square"}, 50.0)
    (panel,) = figure.panels
    (curve,) = panel.curves
    assert (curve.chosen, curve.label) == (1, "square  50.0")
    assert list(curve.y) == pytest.approx([60, 70, 50])
    assert list(panel.x.ticks.values()) == ["0.01", "0.1", "1"]
    assert figure.alt == "Title. Best validation accuracy in %: square 70.0 at 0.1."
