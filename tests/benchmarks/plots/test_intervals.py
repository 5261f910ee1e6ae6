import math

import pytest
from matplotlib.figure import Figure

from lossbench.benchmarks.plots.intervals import IntervalRow, RowPanel, draw_intervals, draw_panel
from lossbench.benchmarks.stats.intervals import Interval, mean_interval

from ..samples import opened

VALUES = [71.0, 74.0, 72.5]


@pytest.fixture
def axes():
    return Figure().subplots()


def texts(axes):
    return [text.get_text() for text in axes.texts if text.get_text()]


def row(label="one", **known):
    return IntervalRow(label, "mse", mean_interval(VALUES), **known)


def test_a_row_shows_every_seed_the_mean_and_its_interval(axes):
    rows = [row(values=VALUES, text="72.5", verdict="holds"), row("two", floor=70.0)]
    draw_panel(axes, RowPanel(rows, "points", "title"))
    seeds, bar, mean, _, floor, *_ = axes.lines
    interval = mean_interval(VALUES)
    assert list(seeds.get_xdata()) == VALUES
    assert list(bar.get_xdata()) == [interval.low, interval.high]
    assert list(mean.get_xdata()) == [interval.mean]
    assert list(floor.get_xdata()) == [70.0, 70.0]
    assert texts(axes) == ["72.5", "holds"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["one", "two"]
    assert axes.get_xlabel() == "points"
    # The first on top.
    assert axes.get_ylim()[0] > axes.get_ylim()[1]


def test_a_variant_of_a_loss_is_hollow(axes):
    draw_panel(axes, RowPanel([row(), row(hollow=True)]))
    full, hollow = (line for line in axes.lines if line.get_markersize() == 9)
    assert full.get_color() == hollow.get_color() == full.get_markerfacecolor()
    assert hollow.get_markerfacecolor() == "white"


def test_without_a_mean_a_row_is_empty(axes):
    draw_panel(axes, RowPanel([IntervalRow("one", "mse", Interval(None, None, None, 0))]))
    assert all(len(line.get_xdata()) == 0 for line in axes.lines)


@pytest.mark.parametrize("expected", [(60.0, math.inf), (-math.inf, 90.0), (60.0, 90.0)])
def test_expected_values_are_shaded_and_their_ends_in_sight(axes, expected):
    draw_panel(axes, RowPanel([row(expected=expected)]))
    (shade,) = axes.collections
    extent, limits = shade.get_paths()[0].get_extents(), axes.get_xlim()
    for drawn, end, limit in zip((extent.x0, extent.x1), expected, limits, strict=True):
        assert drawn == pytest.approx(end if math.isfinite(end) else limit)
    assert limits[0] < min(expected[0], 71) or expected[0] == -math.inf
    assert limits[1] > max(expected[1], 74) or expected[1] == math.inf


@pytest.mark.parametrize("expected", [(2.0, math.inf), (0.0, 2.0), (0.5, 2.0)])
def test_ratios_have_plain_ticks_and_their_limits_in_sight(axes, expected):
    interval = Interval(5.0, 4.0, 6.0, 5)
    draw_panel(axes, RowPanel([IntervalRow("one", "mse", interval, expected=expected)], log=True))
    low, high = axes.get_xlim()
    assert 0 < low < 2 < high
    axes.figure.canvas.draw()
    shown = [label.get_text() for label in axes.get_xticklabels()]
    assert {"2", "5"} <= set(shown)
    assert not any(label.get_text() for label in axes.get_xticklabels(minor=True))


def test_reference_lines_and_limits(axes):
    panel = RowPanel([row()], chance=50.0, references={60.0: "limit"}, limits=(0, None))
    draw_panel(axes, panel)
    assert texts(axes) == ["chance 50", "limit"]
    assert {50.0, 60.0} <= {line.get_xdata()[0] for line in axes.lines if len(line.get_xdata())}
    assert axes.get_xlim()[0] == 0
    assert axes.get_xlim()[1] > 74


def test_named_ends_and_open_intervals(axes):
    rows = [row(ends=((90.0, "dogs"), (10.0, "cats"))), row(continues=(False, True))]
    draw_panel(axes, RowPanel(rows, log=True))
    assert [text.strip() for text in texts(axes)] == ["cats", "dogs"]
    *names, arrow = axes.texts
    assert [text.get_position()[0] for text in names] == [10, 90]
    assert arrow.xy[0] == mean_interval(VALUES).high
    assert axes.get_xscale() == "log"


@pytest.mark.parametrize("columns", [1, 2])
def test_figures_are_images(columns):
    panels = [RowPanel([row(), row("two")]), RowPanel([row(), row("two")])]
    texts = {"title": "T", "caption": "C", "description": "D."}
    png = opened(draw_intervals(panels, **texts, columns=columns))
    assert png.width == 1600
    assert png.text["Description"] == "D."
    inches = 0.7 + (0.95 + 2 * 0.43 if columns == 2 else 2 * 0.95 + 4 * 0.43)
    assert png.height == pytest.approx(160 * inches, abs=2)
