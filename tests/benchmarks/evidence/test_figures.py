import math

import pytest

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.evidence import figures
from lossbench.benchmarks.evidence.measures import Hypothesis, evaluate_hypotheses
from lossbench.benchmarks.stats.contrasts import contrast

from .worlds import evaluation, result


@pytest.mark.parametrize(
    ("side", "expected"), [("above", (2.0, math.inf)), ("below", (-math.inf, 2.0))]
)
def test_rows_show_what_the_claim_expects(monkeypatch, side, expected):
    drawn = []
    monkeypatch.setattr(
        figures, "draw_intervals", lambda panels, **_: drawn.extend(panels) or b"png"
    )
    found = evaluate_hypotheses(
        [Hypothesis("a minus b", "mse", contrast([5.0, 5.5, 5.2], [0.0] * 3), side, 2.0)]
    )
    figure = figures.hypothesis_figure("points", found)
    (panel,) = drawn
    (row,) = panel.rows
    assert panel.x_label == "points"
    assert (row.expected, row.text, row.verdict) == (expected, "+5.2", found[0].measure.verdict)
    assert (figure.name, figure.png) == ("differences.png", b"png")
    assert f"+5.2, wanted {side} +2 points, {row.verdict}." in figure.alt


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


def test_a_search_marks_the_best_rate(monkeypatch):
    drawn = []
    monkeypatch.setattr(figures, "draw_curves", lambda panels, **_: drawn.extend(panels) or b"")
    searched = {"mse": {0.01: 0.6, 0.1: 0.7, 1.0: 0.0}}
    figure = figures.search_figure("Title", searched, {"mse": "square"}, 50.0)
    (curve,) = drawn[0].curves
    assert (curve.chosen, curve.label) == (1, "square  0.0")
    assert list(curve.y) == pytest.approx([60, 70, 47])
    assert list(drawn[0].x.ticks.values()) == ["0.01", "0.1", "1"]
    assert drawn[0].y.limits[0] < 47
    assert figure.alt == "Title. Best validation accuracy in %: square 70.0 at 0.1."
