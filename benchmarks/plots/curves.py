"""Figure of curves over a variable: steps, a learning rate, log-odds; one or several panels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import ArrayLike, NDArray

from lossbench.benchmarks.stats.intervals import Interval

from .canvas import (
    CHANCE_STYLE,
    FAINT,
    RC,
    Label,
    label_lines,
    line_style,
    render_png,
    stamp_synthetic,
)
from .intervals import marker_style
from .layout import figure_with_heading

LABEL_HEIGHT = 0.235  # inches
MUTED = "#9A9A9A"


@dataclass(frozen=True)
class Curve:
    """A curve in the style of its loss.

    Attributes:
        loss: loss whose style it has.
        x, y: the line; NaN leaves a gap.
        label: text beside the last point.
        seeds: y of every seed, drawn as thin lines.
        intervals: one per x, drawn as vertical bars.
        markers: markers at every x.
        chosen: index of a point that is marked: filled among hollow markers, else a star.
        shares: one per x, the share of all that a point stands for: the area of its marker.
        points: x and y of single measurements.
        point_marker: marker of these: '' is that of the loss.
        arrows: x and y of points of which only a lower bound is known.
        emphasis: whether the line is thick (True) or thin (False); None is the width of the loss.
        band: lowest and highest y at every x, drawn as an area.
        muted: whether it is grey, for other curves to be compared with.
        name: name beside a value; empty: the loss.
    """

    loss: str
    x: ArrayLike
    y: ArrayLike
    label: str = ""
    seeds: Sequence[ArrayLike] = ()
    intervals: Sequence[Interval] = ()
    markers: Literal["", "filled", "hollow"] = ""
    chosen: int | None = None
    shares: Sequence[float] = ()
    points: tuple[ArrayLike, ArrayLike] = ((), ())
    point_marker: str = ""
    arrows: Sequence[tuple[float, float]] = ()
    emphasis: bool | None = None
    band: tuple[ArrayLike, ArrayLike] | None = None
    muted: bool = False
    name: str = ""


@dataclass(frozen=True)
class Axis:
    """An axis.

    Attributes:
        label: its label.
        log: whether it is logarithmic.
        ticks: text by position; empty: matplotlib's.
        limits: its ends; None: what is drawn.
        floor: where smaller values are drawn; a logarithmic axis has no zero.
    """

    label: str = ""
    log: bool = False
    ticks: Mapping[float, str] = field(default_factory=dict)
    limits: tuple[float | None, float | None] = (None, None)
    floor: float | None = None


@dataclass(frozen=True)
class CurvePanel:
    """Curves with common axes.

    Attributes:
        curves: the curves.
        x, y: the axes.
        title: title of the panel.
        chance: chance level on the y axis, drawn as a dotted line with a label.
        verticals: x of grey lines, with their text.
        horizontals: y of grey lines, with their text.
        text: text at the top left corner, inside.
        label_side: side of the labels; at the left they stand beside the first points.
    """

    curves: Sequence[Curve]
    x: Axis
    y: Axis
    title: str = ""
    chance: float | None = None
    verticals: Mapping[float, str] = field(default_factory=dict)
    horizontals: Mapping[float, str] = field(default_factory=dict)
    text: str = ""
    label_side: Literal["left", "right"] = "right"


def draw_curves(
    panels: Sequence[CurvePanel],
    *,
    title: str,
    caption: str,
    description: str,
    columns: int = 1,
    synthetic: bool = False,
) -> bytes:
    """Draw panels of curves.

    Args:
        panels: the panels, row by row.
        title: title of the figure.
        caption: text below the title.
        description: the Description entry of the PNG.
        columns: panels beside each other.
        synthetic: stamp the figure.

    Returns:
        A PNG of 1600 pixels width.
    """
    rows = -(-len(panels) // columns)
    height = 2.6 if columns > 1 else 3.2 if rows > 1 else 4.4  # of a row, in inches
    with matplotlib.rc_context(RC):
        figure = figure_with_heading(height * rows, title, caption)
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        for axes, panel in zip(grid.flat, panels, strict=False):
            draw_panel(axes, panel, gap=LABEL_HEIGHT / (height - 0.9))
        if synthetic:
            stamp_synthetic(figure)
        return render_png(figure, description)


def draw_panel(axes: Axes, panel: CurvePanel, gap: float = 0.06) -> None:
    """Draw the curves of a panel, its reference lines and its labels.

    Args:
        axes: where to draw.
        panel: the panel.
        gap: height of a label beside the curves, as a fraction of the axes.
    """
    if panel.title:
        axes.set_title(panel.title, fontsize=11)
    _scale(axes.xaxis, axes.set_xscale, panel.x)
    _scale(axes.yaxis, axes.set_yscale, panel.y)
    labels = [label for curve in panel.curves for label in _draw_curve(axes, curve, panel)]
    for x, text in panel.verticals.items():
        axes.axvline(x, color=FAINT, linewidth=0.8)
        top: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "ha": "center"}
        axes.annotate(text, (x, 1.01), fontsize=9.5, color=FAINT, **top)
    for y, text in panel.horizontals.items():
        axes.axhline(y, color=FAINT, linewidth=0.8)
        style: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "xytext": (2, 4)}
        axes.annotate(text, (0, y), textcoords="offset points", fontsize=9.5, color=FAINT, **style)
    if panel.chance is not None:
        axes.axhline(panel.chance, **CHANCE_STYLE, zorder=7)
        labels.append(Label(panel.chance, f"chance  {panel.chance:.1f}", None))
    axes.set_xlim(*panel.x.limits)
    axes.set_ylim(*panel.y.limits)
    if panel.y.log and not panel.y.ticks:
        low, high = axes.get_ylim()
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
    if panel.text:
        corner: dict[str, Any] = {"xycoords": "axes fraction", "va": "top", "fontsize": 10}
        axes.annotate(panel.text, (0.04, 0.98), **corner)
    axes.grid(color="#EEEEEE")
    axes.set_axisbelow(True)
    left = panel.label_side == "left"
    if left:
        axes.yaxis.tick_right()
        axes.yaxis.set_label_position("right")
        axes.spines[["left", "right"]].set_visible(False)
    label_lines(axes, labels, gap=gap, left=left)


def area_of(share: float) -> float:
    """Return the area in square points of the marker of a share."""
    return 12 + 320 * share


def log_odds_ticks(probabilities: Sequence[float]) -> dict[float, str]:
    """Return ticks at the log-odds of probabilities."""
    return {float(np.log(p / (1 - p))): f"{p:g}" for p in probabilities}


def thin(
    values: NDArray[np.float64], edges: NDArray[np.float64], per_bin: int
) -> NDArray[np.int64]:
    """Return the indices of at most `per_bin` values per bin, evenly chosen in their order.

    Args:
        values: (N,); those outside of the edges are left out.
        edges: edges of the bins, ascending.
        per_bin: values of a bin, at least 1.
    """
    bins = np.digitize(values, edges)
    chosen = [np.flatnonzero(bins == index) for index in range(1, len(edges))]
    return np.concatenate([each[:: max(1, -(-len(each) // per_bin))] for each in chosen])


def _scale(axis: Any, set_scale: Any, spec: Axis) -> None:
    axis.set_label_text(spec.label)
    if spec.log:
        set_scale("log")
    if spec.ticks:
        axis.set_ticks(list(spec.ticks), list(spec.ticks.values()))
        axis.set_ticks([], minor=True)


def label_of(curve: Curve, panel: CurvePanel) -> Label | None:
    """Return the label of a curve, at the height of its last point (its first, at the left)."""
    y = np.asarray(curve.y, float)
    finite = y[np.isfinite(y)]
    if not curve.label or not len(finite):
        return None
    end = float(finite[0 if panel.label_side == "left" else -1])
    low, high = panel.y.limits
    end = end if low is None else max(low, end)
    end = end if high is None else min(high, end)
    return Label(end, curve.label, curve.loss)


def _draw_curve(axes: Axes, curve: Curve, panel: CurvePanel) -> list[Label]:
    style = line_style(curve.loss) | ({"color": MUTED} if curve.muted else {})
    color, floor = style["color"], -math.inf if panel.y.floor is None else panel.y.floor
    x, y = np.asarray(curve.x, float), np.asarray(curve.y, float).clip(floor)
    if curve.emphasis is not None:
        style |= (
            {"linewidth": 3.4, "zorder": 7} if curve.emphasis else {"linewidth": 1.3, "alpha": 0.8}
        )
    if curve.band is not None:
        low, high = (np.asarray(edge, float).clip(floor) for edge in curve.band)
        axes.fill_between(x, low, high, color=color, alpha=0.1, linewidth=0)
    for seed in curve.seeds:
        axes.plot(x, seed, color=color, linewidth=0.8, alpha=0.6)
    axes.plot(x, y, **style)
    if curve.markers:
        axes.plot(x, y, **marker_style(curve.loss, hollow=curve.markers == "hollow"), zorder=8)
    if curve.shares:
        areas = [area_of(share) for share in curve.shares]
        axes.scatter(x, y, s=areas, color=color, alpha=0.85, linewidth=0, zorder=8)
    if curve.chosen is not None:
        chosen: dict[str, Any] = {"marker": "*", "markersize": 16, "markeredgecolor": "white"}
        if curve.markers == "hollow":
            chosen = marker_style(curve.loss) | {"markersize": 12}
        axes.plot(x[curve.chosen], y[curve.chosen], **chosen | {"color": color, "zorder": 9})
    for at, interval in zip(x, curve.intervals, strict=bool(curve.intervals)):
        if interval.low is not None and interval.high is not None:
            axes.plot([at, at], [interval.low, interval.high], color=color, lw=1.7, zorder=8)
    if curve.point_marker:
        points: dict[str, Any] = {"linestyle": "none", "marker": curve.point_marker, "zorder": 3}
        points |= {"markersize": 4.5, "markerfacecolor": "none", "alpha": 0.5, "color": color}
        points |= {"markersize": 9, "alpha": 1} if curve.point_marker == "_" else {}
    else:
        points = marker_style(curve.loss, hollow=True) | {"markersize": 6, "zorder": 8}
    axes.plot(*curve.points, **points)
    arrow = {"arrowstyle": "->", "color": color, "linewidth": 1.8}
    for at, value in curve.arrows:
        axes.annotate("", (at, value * 1.16), (at, value), arrowprops=arrow)
        axes.update_datalim([(at, value * 1.2)])
        axes.autoscale_view()
    label = label_of(replace(curve, y=y), panel)
    return [] if label is None else [label]
