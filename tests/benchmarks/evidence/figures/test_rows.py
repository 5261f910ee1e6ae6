import numpy as np
import pytest
from matplotlib.figure import Figure

from lossbench.benchmarks.evidence.figures.rows import Row, draw_rows, draw_tests, label_width
from lossbench.benchmarks.evidence.measures.contrasts import (
    Hypothesis,
    contrast,
    evaluate_hypotheses,
)
from lossbench.benchmarks.stats.intervals import mean_interval


def texts(axes):
    return [text.get_text() for text in axes.texts if text.get_text()]


def test_a_row_shows_every_seed_the_mean_and_its_interval():
    axes = Figure().subplots()
    values = [71.0, 74.0, 72.5]
    draw_rows(axes, [Row("one", "mse", values), Row("two", "nll", [60.0])])
    seeds, bar, mean, *_ = axes.lines
    interval = mean_interval(values)
    assert list(seeds.get_xdata()) == values
    assert list(bar.get_xdata()) == [interval.low, interval.high]
    assert list(mean.get_xdata()) == [interval.mean]
    assert texts(axes) == ["72.5", "60.0"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["one", "two"]
    # The first on top.
    assert axes.get_ylim()[0] > axes.get_ylim()[1]


def test_a_variant_of_a_loss_is_hollow():
    axes = Figure().subplots()
    draw_rows(axes, [Row("", "mse", [1.0, 2.0]), Row("", "mse", [1.0, 2.0], hollow=True)])
    full, hollow = (line for line in axes.lines if line.get_markersize() == 9)
    assert full.get_color() == hollow.get_color() == full.get_markerfacecolor()
    assert hollow.get_markerfacecolor() == "white"


@pytest.mark.parametrize(("side", "sign"), [("above", 1), ("below", -1)])
def test_green_is_the_side_on_which_the_claim_holds(monkeypatch, side, sign):
    kept = []
    monkeypatch.setattr(
        "lossbench.benchmarks.evidence.figures.rows.render_png",
        lambda figure, _: kept.append(figure) or b"",
    )
    values = [sign * 5.0, sign * 5.5, sign * 5.2]
    found = evaluate_hypotheses(
        [Hypothesis(contrast("a minus b", "mse", values, [0.0] * 3), side, sign * 2.0)]
    )
    picture = draw_tests("x.png", "points", found)
    (axes,) = kept[0].axes
    (green,) = axes.collections
    ends = green.get_paths()[0].get_extents()
    inner = ends.x0 if side == "above" else ends.x1
    assert inner == sign * 2.0
    assert ends.x0 < np.mean(values) < ends.x1
    assert texts(axes)[-1] == "holds"
    assert "a minus b" in picture.alt
    assert "holds" in picture.alt


def test_thresholds_are_in_sight(monkeypatch):
    kept = []
    monkeypatch.setattr(
        "lossbench.benchmarks.evidence.figures.rows.render_png",
        lambda figure, _: kept.append(figure) or b"",
    )
    drawn = contrast("a minus b", "mse", [0.1, 0.2, 0.15], [0.0] * 3)
    draw_tests("x.png", "points", evaluate_hypotheses([Hypothesis(drawn, "below", 5.0)]))
    low, high = kept[0].axes[0].get_xlim()
    assert low < 0.1
    assert high > 5.0


def test_longer_names_get_more_room():
    assert label_width(["plain"]) < label_width(["plain", "plain, shifted afterwards"]) < 0.5
