"""differences.png: what each loss has more than cross-entropy, and how sure that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lossbench.benchmarks.format import signed_points

from .canvas import DPI, FAINT, INK, RC, label_margin, render_png, short_name, stamp_synthetic
from .palette import loss_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEAST_REACH = 2.0
"""Points to either side of 0 that are shown at least: smaller differences are to look small."""


def draw_differences(summary: dict[str, Any]) -> bytes | None:
    """A row a loss, best first: the mean difference in test accuracy, its 95 % interval over seeds
    as a thick line and over test images as a thin one below it.

    None if nothing was compared with cross-entropy.
    """
    import matplotlib
    from matplotlib.figure import Figure

    found = {
        name: loss["minus_cross_entropy"]
        for name, loss in summary["losses"].items()
        if loss["minus_cross_entropy"] is not None
    }
    if not found:
        return None
    rows = sorted(found.items(), key=lambda item: -item[1]["mean"])
    head, foot = 0.85, 0.75
    height = head + foot + 0.36 * len(rows)
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(10, height), dpi=DPI)
        axes = figure.subplots()
        figure.subplots_adjust(
            left=0.205 + label_margin(found),
            right=0.74,
            top=1 - head / height,
            bottom=foot / height,
        )
        seeds = sorted({each["n"] for each in found.values()})
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
            f"Mark: mean over {over} paired seed{'s'[: over != '1']}. 95 % intervals: thick line "
            "over seeds, thin line over test images.",
            va="top",
            fontsize=10.5,
        )
        reach = reach_of([each for _, each in rows])
        for place, (name, difference) in enumerate(rows):
            _draw_row(axes, len(rows) - 1 - place, name, difference, reach)
        _finish(axes, rows, reach)
        if summary["synthetic"]:
            stamp_synthetic(figure)
        return render_png(
            figure, f"{summary['note'] or ''} test accuracy minus cross-entropy's".strip()
        )


def reach_of(differences: list[dict[str, Any]]) -> float:
    """How many points to either side of 0 are shown: all that most losses need.

    A loss that fails altogether would press the others into one line; it leaves the panel.
    """
    needs: list[float] = sorted(
        100 * max(abs(end) for end in (each["mean"], each["low"], each["high"]) if end is not None)
        for each in differences
    )
    middle = needs[(len(needs) - 1) // 2]
    fitting = [need for need in needs if need <= max(3 * middle, LEAST_REACH)]
    return 1.08 * max(LEAST_REACH, *fitting)


def _draw_row(axes: Axes, y: int, name: str, difference: dict[str, Any], reach: float) -> None:
    style = loss_style(name)
    color, mean = style["color"], 100 * difference["mean"]
    decided = difference["verdict"] != "undecided"
    examples = difference["examples"]
    if difference["low"] is not None:
        ends = [100 * difference["low"], 100 * difference["high"]]
        axes.plot(ends, [y, y], color=color, linewidth=5, alpha=0.55, solid_capstyle="butt")
    if examples is not None:
        ends = [100 * examples["low"], 100 * examples["high"]]
        axes.plot(ends, [y - 0.24, y - 0.24], color=FAINT, linewidth=1.4)
    look: dict[str, Any] = {"markeredgecolor": color, "markersize": 9, "zorder": 5}
    if abs(mean) <= reach:
        fill = color if decided else "white"
        axes.plot(mean, y, marker=style["marker"], markerfacecolor=fill, **look)
    else:
        # Off the panel: an arrow at the edge, and the number beside it.
        edge, arrow = (-0.985 * reach, "<") if mean < 0 else (0.985 * reach, ">")
        axes.plot(edge, y, marker=arrow, markerfacecolor=color, clip_on=False, **look)
    half = ""
    if difference["high"] is not None:
        half = f" ± {100 * (difference['high'] - difference['mean']):.1f}"
    text = f"{signed_points(difference['mean'])}{half}"
    place: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 10.5}
    place["xycoords"] = axes.get_yaxis_transform()
    axes.annotate(text, (1, y), (18, 0), **place)
    weight = "bold" if decided else "normal"
    ink = INK if decided else FAINT
    word = difference["verdict"]
    axes.annotate(word, (1, y), (108, 0), fontweight=weight, color=ink, **place)


def _finish(axes: Axes, rows: list[tuple[str, dict[str, Any]]], reach: float) -> None:
    axes.axvline(0, color=INK, linewidth=1, zorder=1)
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-0.65, len(rows) - 0.35)
    axes.set_yticks(range(len(rows)), [short_name(name) for name, _ in reversed(rows)])
    axes.tick_params(axis="y", length=0, pad=12, labelcolor=INK)
    axes.set_xlabel(
        "test accuracy minus cross-entropy's, percentage points\n← worse            better →"
    )
    axes.grid(axis="x", color="#E6E6E6", zorder=0)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
