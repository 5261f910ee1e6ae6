"""Figure of rows: one row per loss, its mean and interval along the axis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from lossbench.benchmarks.stats.intervals import Interval

from .canvas import CHANCE_STYLE, FAINT, INK, RC, render_png, stamp_synthetic
from .layout import figure_with_heading
from .palette import loss_style

EXPECTED_COLOR = "#E3F1EA"
"""Colour of the values that a claim expects."""


Limits = tuple[float | None, float | None]
"""Ends of an axis; None: what the rows need."""

SEEDS = "Marker: mean over seeds; bar: its 95 % interval; ticks: the seeds."
"""Caption of rows with values per seed."""


@dataclass(frozen=True)
class IntervalRow:
    """A mean with its interval.

    Attributes:
        label: name at the left.
        loss: loss whose marker and colour the row has.
        interval: drawn as a marker on a bar.
        values: one per seed, drawn as ticks above the bar.
        text: the mean as text, at the right.
        verdict: a second text at the right.
        hollow: whether the marker is hollow, for a variant of a loss.
        expected: shaded range of values; an end may be infinite.
        ends: two values with names, joined by a grey line.
        floor: value of a grey tick.
        continues: whether the bar continues beyond its low and its high end: an arrow.
        inner: ends of a thick part of the bar.
    """

    label: str
    loss: str
    interval: Interval
    values: Sequence[float] = ()
    text: str = ""
    verdict: str = ""
    hollow: bool = False
    expected: tuple[float, float] | None = None
    ends: Sequence[tuple[float, str]] = ()
    floor: float | None = None
    continues: tuple[bool, bool] = (False, False)
    inner: tuple[float, float] | None = None


@dataclass(frozen=True)
class RowPanel:
    """Rows with a common axis.

    Attributes:
        rows: from top to bottom.
        x_label: label of the axis.
        title: title of the panel.
        chance: chance level, drawn as a dotted line.
        references: further vertical lines, by value, with their text.
        log: whether the axis is logarithmic.
        limits: ends of the axis; None: what the rows need.
    """

    rows: Sequence[IntervalRow]
    x_label: str = ""
    title: str = ""
    chance: float | None = None
    references: Mapping[float, str] = field(default_factory=dict)
    log: bool = False
    limits: Limits = (None, None)


def draw_intervals(
    panels: Sequence[RowPanel],
    *,
    title: str,
    caption: str,
    description: str,
    columns: int = 1,
    synthetic: bool = False,
) -> bytes:
    """Draw panels of rows.

    Args:
        panels: the panels. Beside each other they have the same rows, named at the left panel.
        title: title of the figure.
        caption: text below the title.
        description: the Description entry of the PNG.
        columns: 1, or as many as panels: they lie beside each other instead of below.
        synthetic: stamp the figure.

    Returns:
        A PNG of 1600 pixels width.
    """
    counts, side_by_side = [len(panel.rows) for panel in panels], columns > 1
    lines = max(counts) if side_by_side else sum(counts)
    extra = 0.95 if side_by_side else 0.95 * len(panels)
    with matplotlib.rc_context(RC):
        figure = figure_with_heading(extra + 0.43 * lines, title, caption)
        if side_by_side:
            grid = figure.subplots(1, len(panels), squeeze=False)
        else:
            grid = figure.subplots(len(panels), 1, height_ratios=counts, squeeze=False)
        for axes, panel in zip(grid.flat, panels, strict=True):
            draw_panel(axes, panel)
        if side_by_side:
            for axes in grid.flat[1:]:
                axes.set_yticklabels([])
        if synthetic:
            stamp_synthetic(figure)
        return render_png(figure, description)


def draw_panel(axes: Axes, panel: RowPanel) -> None:
    """Draw the rows of a panel, its reference lines and its names."""
    axes.set_title(panel.title, fontsize=11)
    axes.set_xlabel(panel.x_label)
    if panel.log:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    for y, row in enumerate(panel.rows):
        _draw_row(axes, y, row, panel)
    if panel.chance is not None:
        axes.axvline(panel.chance, **CHANCE_STYLE)
        _name_line(axes, panel.chance, f"chance {panel.chance:.0f}")
    for value, text in panel.references.items():
        axes.axvline(value, color=INK, linewidth=1, zorder=1)
        _name_line(axes, value, text)
    _set_limits(axes, panel)
    for y, row in enumerate(panel.rows):
        if row.expected:
            low, high = axes.get_xlim()
            ends = max(low, row.expected[0]), min(high, row.expected[1])
            axes.fill_betweenx(
                [y - 0.42, y + 0.42], *ends, color=EXPECTED_COLOR, zorder=0, linewidth=0
            )
    axes.set_yticks(range(len(panel.rows)), [row.label for row in panel.rows], color=INK)
    axes.set_ylim(len(panel.rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)


def marker_style(loss: str, *, hollow: bool = False) -> dict[str, Any]:
    """Return the marker of a loss as keyword arguments of `Axes.plot`."""
    style = loss_style(loss)
    return {
        "linestyle": "none",
        "marker": style["marker"],
        "markersize": 9,
        "markeredgewidth": 1.8,
        "color": style["color"],
        "markerfacecolor": "white" if hollow else style["color"],
    }


class Visible(NamedTuple):
    """The part of a bar between the ends of an axis, and whether it continues beyond either end."""

    low: float
    high: float
    continues: tuple[bool, bool]


def visible(row: IntervalRow, limits: Limits) -> Visible | None:
    """Return the visible part of a row's bar, None without a bar.

    Of a bar that lies outside altogether a short part is left at the end of the axis.
    """
    low, high = row.interval.low, row.interval.high
    if low is None or high is None:
        return None
    least, most = limits
    before = least is not None and low < least
    after = most is not None and high > most
    inside = _within(low, high, limits)
    if inside is None and least is not None and most is not None:
        length = 0.08 * (most - least)
        inside = (least, least + length) if before else (most - length, most)
    low, high = inside or (low, high)
    return Visible(low, high, (row.continues[0] or before, row.continues[1] or after))


def _within(low: float, high: float, limits: Limits) -> tuple[float, float] | None:
    """Return the part of a range between the ends of an axis, None if there is none."""
    low = low if limits[0] is None else max(low, limits[0])
    high = high if limits[1] is None else min(high, limits[1])
    return (low, high) if low <= high else None


def _draw_row(axes: Axes, y: int, row: IntervalRow, panel: RowPanel) -> None:
    color = loss_style(row.loss)["color"]
    interval = row.interval
    ticks: dict[str, Any] = {"linestyle": "none", "marker": "|", "markersize": 6, "alpha": 0.75}
    axes.plot(row.values, [y + 0.24] * len(row.values), color=color, **ticks)
    _draw_ends(axes, y, row)
    if row.floor is not None:
        axes.plot([row.floor] * 2, [y - 0.3, y + 0.3], color=FAINT, linewidth=1.4)
    shown = visible(row, panel.limits)
    if shown is not None:
        bar: dict[str, Any] = {"color": color, "linewidth": 2.4, "solid_capstyle": "butt"}
        axes.plot([shown.low, shown.high], [y, y], **bar)
        # An open arrow: a filled one is the marker of a loss.
        arrow = {"arrowstyle": "->", "color": color, "linewidth": 2.4, "mutation_scale": 18}
        arrow |= {"shrinkA": 0, "shrinkB": 0}
        ends = (shown.low, shown.high)
        for end, start, continues in zip(ends, reversed(ends), shown.continues, strict=True):
            if continues:
                axes.annotate("", (end, y), (start, y), arrowprops=arrow, annotation_clip=False)
    if row.inner is not None and (inner := _within(*row.inner, panel.limits)):
        thick: dict[str, Any] = {"color": color, "linewidth": 7, "solid_capstyle": "butt"}
        axes.plot(inner, [y, y], **thick, alpha=0.45)
    if interval.mean is not None and _within(interval.mean, interval.mean, panel.limits):
        axes.plot([interval.mean], [y], **marker_style(row.loss, hollow=row.hollow))
    for text, offset, side in ((row.text, 46, "right"), (row.verdict, 56, "left")):
        if text:
            axes.annotate(
                text,
                (1, y),
                xycoords=("axes fraction", "data"),
                xytext=(offset, 0),
                textcoords="offset points",
                va="center",
                ha=side,
                annotation_clip=False,
            )


def _draw_ends(axes: Axes, y: int, row: IntervalRow) -> None:
    """Draw a grey line between two values, with their names to the left and right of the row."""
    if not row.ends:
        return
    ends = sorted(row.ends)
    values = [value for value, _ in ends]
    axes.plot(values, [y] * 2, color="#999999", linewidth=1.2, marker="|", markersize=7, zorder=1)
    interval = (row.interval.mean, row.interval.low, row.interval.high)
    values += [value for value in interval if value is not None]
    style: dict[str, Any] = {"fontsize": 9.5, "color": FAINT, "va": "center"}
    axes.text(min(values), y, f"{ends[0][1]}  ", ha="right", **style)
    axes.text(max(values), y, f"  {ends[1][1]}", ha="left", **style)


def _set_limits(axes: Axes, panel: RowPanel) -> None:
    """Set the ends of the axis, so that the finite ends of every expected range are in sight."""
    axes.margins(x=0.06)
    low, high = axes.get_xlim()
    ends = [end for row in panel.rows for end in row.expected or () if math.isfinite(end)]
    if panel.log:
        ratio = (high / low) ** 0.05
        # exp(-inf) = 0 is no end of a logarithmic axis.
        outer = [end * factor for end in ends if end > 0 for factor in (ratio, 1 / ratio)]
    else:
        reach = 0.05 * (high - low)
        outer = [end + shift for end in ends for shift in (-reach, reach)]
    low, high = min([low, *outer]), max([high, *outer])
    least, most = panel.limits
    axes.set_xlim(low if least is None else least, high if most is None else most)


def _name_line(axes: Axes, value: float, text: str) -> None:
    name = axes.annotate(
        text,
        (value, 0),
        xycoords=("data", "axes fraction"),
        xytext=(3, 4),
        textcoords="offset points",
        fontsize=9,
        color=FAINT,
    )
    name.set_in_layout(False)
