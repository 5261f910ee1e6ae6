import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from lossbench.benchmarks.plots.curves import (
    Axis,
    Curve,
    CurvePanel,
    draw_curves,
    draw_panel,
    log_odds_ticks,
    thin,
)
from lossbench.benchmarks.stats.intervals import Interval

from ..samples import opened

X, Y = (1.0, 2.0, 4.0), (0.5, 0.7, 0.6)


@pytest.fixture
def axes():
    return Figure().subplots()


def draw(axes, curve, **known):
    panel = {"x": Axis("x"), "y": Axis("y")} | known
    draw_panel(axes, CurvePanel([curve], **panel))
    return [line for line in axes.lines if list(line.get_xdata()) == list(X)]


def test_a_curve_with_seeds_markers_and_a_label(axes):
    seeds = [(0.4, 0.6, 0.5), (0.6, 0.8, 0.7)]
    *thin_lines, line, markers = draw(
        axes, Curve("mse", X, Y, "label", seeds=seeds, markers="hollow", chosen=1)
    )
    assert [tuple(each.get_ydata()) for each in thin_lines] == seeds
    assert tuple(line.get_ydata()) == tuple(markers.get_ydata()) == Y
    assert markers.get_markerfacecolor() == "white"
    (chosen,) = (each for each in axes.lines if each.get_markersize() == 12)
    assert (chosen.get_xdata()[0], chosen.get_ydata()[0]) == (2.0, 0.7)
    assert [text.get_text() for text in axes.texts] == ["label"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x", "y")


@pytest.mark.parametrize(("emphasis", "width"), [(True, 3.4), (False, 1.3)])
def test_emphasis_is_the_width(axes, emphasis, width):
    (line,) = draw(axes, Curve("mse", X, Y, emphasis=emphasis, chosen=0))
    assert line.get_linewidth() == width
    assert any(each.get_marker() == "*" for each in axes.lines)


def test_intervals_points_and_arrows(axes):
    intervals = [Interval(0.5, 0.4, 0.6, 3), Interval(0.7, None, None, 1), Interval(0, -1, 1, 3)]
    curve = Curve(
        "mse", X, Y, intervals=intervals, points=((1.5,), (0.2,)), arrows=[(4.0, 3.0)],
        point_marker="o",
    )  # fmt: skip
    draw(axes, curve)
    bars = [tuple(each.get_ydata()) for each in axes.lines if len(set(each.get_xdata())) == 1]
    assert (0.4, 0.6) in bars
    assert (-1, 1) in bars
    assert (0.2,) in bars
    (arrow,) = axes.texts
    assert arrow.xy == (4.0, pytest.approx(3.0 * 1.16))
    # The arrow is in sight.
    assert axes.get_ylim()[1] > 3.0 * 1.16


def test_lines_and_texts_of_a_panel(axes):
    draw(
        axes, Curve("mse", X, (math.nan, 0.7, math.nan), "label"), chance=50.0,
        verticals={3.0: "three"}, horizontals={0.2: "low"}, text="R² = 1", title="title",
    )  # fmt: skip
    texts = {text.get_text() for text in axes.texts}
    assert texts == {"low", "three", "R² = 1", "label", "chance  50.0"}
    assert any(set(line.get_xdata()) == {3.0} for line in axes.lines)
    assert any(set(line.get_ydata()) == {0.2} for line in axes.lines)


def test_a_curve_without_finite_values_has_no_label(axes):
    draw(axes, Curve("mse", X, [math.nan] * 3, "label"))
    assert not axes.texts


def test_ticks_limits_and_scales(axes):
    x = Axis(log=True, ticks={1.0: "one", 4.0: "four"}, limits=(0.5, 8))
    draw(axes, Curve("mse", X, Y), x=x, y=Axis(log=True, limits=(0.1, 2)))
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["one", "four"]
    assert list(axes.get_xlim()) == [0.5, 8]
    assert {0.2, 0.5, 1.0} <= set(np.round(axes.get_yticks(), 6))
    assert len(axes.get_xticks(minor=True)) == 0


def test_wide_logarithmic_axes_have_a_tick_per_decade(axes):
    draw(axes, Curve("mse", X, Y), y=Axis(log=True, limits=(1e-4, 1)))
    assert 2e-3 not in set(np.round(axes.get_yticks(), 9))


def test_log_odds_ticks():
    ticks = log_odds_ticks((0.5, 0.9))
    assert list(ticks) == pytest.approx([0, math.log(9)])
    assert list(ticks.values()) == ["0.5", "0.9"]


@given(
    values=st.lists(st.floats(-2, 12), max_size=60).map(np.array),
    per_bin=st.integers(1, 4),
)
def test_thinning_keeps_some_of_every_bin(values, per_bin):
    edges = np.arange(11.0)
    kept = thin(values.astype(float), edges, per_bin)
    counts = [((values >= low) & (values < low + 1)).sum() for low in edges[:-1]]
    found = [((values[kept] >= low) & (values[kept] < low + 1)).sum() for low in edges[:-1]]
    assert len(set(kept)) == len(kept) == sum(found)
    for all_, some in zip(counts, found, strict=True):
        assert (all_ > 0) == (some > 0)
        assert some <= min(all_, per_bin)


@pytest.mark.parametrize("columns", [1, 2])
def test_figures_are_images(columns):
    panels = [CurvePanel([Curve("mse", X, Y, "label")], Axis("x"), Axis("y"))] * 3
    png = draw_curves(panels, title="T", caption="C " * 100, description="D.", columns=columns)
    image = opened(png)
    assert image.width == 1600
    assert image.text["Description"] == "D."
    # The rows, the title and two lines of the caption.
    rows = {1: 3 * 3.2, 2: 2 * 2.6}[columns]
    assert image.height == pytest.approx(160 * (rows + 0.9), abs=2)
