"""differences.png: a forest plot of the differences in test accuracy from cross-entropy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lossbench.benchmarks.format import interval_points

from .canvas import DPI, FAINT, INK, RC, label_margin, render_png, short_name, stamp_synthetic
from .palette import loss_style

MIN_LIMIT = 2.0
"""Smallest limit of the x axis in points, so that small differences look small."""


def draw_differences(
    differences: Mapping[str, Mapping[str, Any]], margin: float, *, synthetic: bool
) -> bytes | None:
    """Draw one row per loss, best first: the mean difference in test accuracy with its intervals.

    The thin line is the 95 % interval, the thick one that of 90 %. A loss is equivalent if the
    thick line lies within the band.

    Args:
        differences: `minus_cross_entropy` of summary.json, by loss.
        margin: largest difference that counts as none, a fraction: half the width of the band.
        synthetic: stamp the figure.

    Returns:
        A PNG, None without differences.
    """
    if not differences:
        return None
    rows = sorted(differences.items(), key=lambda item: -item[1]["mean"])
    head, foot = 0.85, 0.75
    height = head + foot + 0.36 * len(rows)
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(10, height), dpi=DPI)
        axes = figure.subplots()
        figure.subplots_adjust(
            left=0.205 + label_margin(differences),
            right=0.74,
            top=1 - head / height,
            bottom=foot / height,
        )
        seeds = sorted({each["n"] for each in differences.values()})
        over = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
        figure.text(
            0.012,
            1 - 0.12 / height,
            "Which losses end better or worse than cross-entropy?",
            va="top",
            fontsize=RC["axes.titlesize"],
            fontweight="bold",
        )
        figure.text(
            0.012,
            1 - 0.42 / height,
            f"Marker: mean over {over} paired seed{'s'[: over != '1']}. Lines: 95 % interval "
            f"(thin) and 90 % (thick). Equivalent: thick within ±{100 * margin:g} points.",
            va="top",
            fontsize=10.5,
        )
        limit = axis_limit([each for _, each in rows])
        for index, (name, difference) in enumerate(rows):
            _draw_row(axes, len(rows) - 1 - index, name, difference, limit)
        axes.axvspan(-100 * margin, 100 * margin, color="#EEF1F4", zorder=0)
        _finish(axes, rows, limit)
        description = "test accuracy minus that of cross-entropy"
        if synthetic:
            stamp_synthetic(figure)
            description = f"SYNTHETIC IMAGES: {description}"
        return render_png(figure, description)


def axis_limit(differences: Sequence[Mapping[str, Any]]) -> float:
    """Return how many points to either side of 0 the x axis shows.

    It fits most losses. One that fails altogether would flatten the others, so it is left outside.
    """
    extents: list[float] = sorted(
        100 * max(abs(end) for end in (each["mean"], each["low"], each["high"]) if end is not None)
        for each in differences
    )
    median = extents[(len(extents) - 1) // 2]
    fitting = [each for each in extents if each <= max(3 * median, MIN_LIMIT)]
    return 1.08 * max(MIN_LIMIT, *fitting)


def _draw_row(axes: Axes, y: int, name: str, difference: Mapping[str, Any], limit: float) -> None:
    style = loss_style(name)
    color, mean = style["color"], 100 * difference["mean"]
    decided = difference["verdict"] != "undecided"
    lines: dict[str, dict[str, Any]] = {
        "": {"linewidth": 1.4},
        "_90": {"linewidth": 5, "alpha": 0.55},
    }
    for suffix, line in lines.items():
        if difference[f"low{suffix}"] is not None:
            ends = [100 * difference[f"{end}{suffix}"] for end in ("low", "high")]
            axes.plot(ends, [y, y], color=color, solid_capstyle="butt", **line)
    marker: dict[str, Any] = {"markeredgecolor": color, "markersize": 9, "zorder": 5}
    if abs(mean) <= limit:
        fill = color if decided else "white"
        axes.plot(mean, y, marker=style["marker"], markerfacecolor=fill, **marker)
    else:
        # Outside the axis limits: an arrow at the edge, with the number beside it.
        edge, arrow = (-0.985 * limit, "<") if mean < 0 else (0.985 * limit, ">")
        axes.plot(edge, y, marker=arrow, markerfacecolor=color, clip_on=False, **marker)
    text = interval_points(difference, signed=True)
    options: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 10.5}
    options["xycoords"] = axes.get_yaxis_transform()
    axes.annotate(text, (1, y), (18, 0), **options)
    weight = "bold" if decided else "normal"
    ink = INK if decided else FAINT
    word = difference["verdict"]
    axes.annotate(word, (1, y), (108, 0), fontweight=weight, color=ink, **options)


def _finish(axes: Axes, rows: Sequence[tuple[str, Mapping[str, Any]]], limit: float) -> None:
    axes.axvline(0, color=INK, linewidth=1, zorder=1)
    axes.set_xlim(-limit, limit)
    axes.set_ylim(-0.65, len(rows) - 0.35)
    axes.set_yticks(range(len(rows)), [short_name(name) for name, _ in reversed(rows)])
    axes.tick_params(axis="y", length=0, pad=12, labelcolor=INK)
    axes.set_xlabel(
        "test accuracy minus that of cross-entropy, percentage points\n← worse            better →"
    )
    axes.grid(axis="x", color="#E6E6E6", zorder=0)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
