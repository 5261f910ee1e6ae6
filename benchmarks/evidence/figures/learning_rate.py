"""Figures of accuracy against learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lossbench.benchmarks.plots.canvas import (
    CHANCE_STYLE,
    DPI,
    RC,
    Label,
    label_lines,
    line_style,
    render_png,
)
from lossbench.benchmarks.plots.palette import loss_style
from lossbench.benchmarks.records.claim import ClaimFigure
from lossbench.benchmarks.stats.intervals import mean_interval

from .rows import Row, chance_line, draw_rows, marker_style, name_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from lossbench.benchmarks.evidence.measures.rates import Range


def draw_curves(
    curves: Mapping[str, tuple[Sequence[float], np.ndarray]], pair: Sequence[str], chance: float
) -> ClaimFigure:
    """Draw the validation accuracy of every loss against the learning rate.

    The two losses of the verdict are thick lines with intervals over seeds.
    """
    import matplotlib
    from matplotlib.figure import Figure

    title = "Does it depend on the learning rate which loss is ahead?"
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(10, 5.6), dpi=DPI)
        axes = figure.subplots()
        figure.subplots_adjust(left=0.085, right=0.74, top=0.86, bottom=0.12)
        figure.text(0.012, 0.985, title, va="top", fontsize=14, fontweight="bold")
        figure.text(
            0.012,
            0.925,
            f"Thick: {' and '.join(pair)}, bar: 95 % interval over seeds. Star: the best rate.",
            va="top",
            fontsize=10,
        )
        axes.set_xscale("log")
        axes.set_xlabel("peak learning rate")
        axes.set_ylabel("validation accuracy, %")
        labels, best = [], []
        for loss, (rates, accuracy) in curves.items():
            mean = accuracy.mean(0)
            look = line_style(loss)
            thick = loss in pair
            look |= {"linewidth": 3.6, "zorder": 7} if thick else {"linewidth": 1.3, "alpha": 0.75}
            axes.plot(rates, mean, **look)
            if thick:
                _bars(axes, rates, accuracy, loss, shift=0.015 if loss == pair[0] else -0.015)
            top = int(mean.argmax())
            if loss != "zero-one":
                axes.plot(
                    [rates[top]],
                    [mean[top]],
                    marker="*",
                    markersize=15 if thick else 8,
                    markeredgecolor="white",
                    color=look["color"],
                    zorder=9,
                )
                best.append(f"{loss} {mean[top]:.1f} at {rates[top]:g}")
            labels.append(Label(float(mean[-1]), loss, loss))
        axes.axhline(chance, **CHANCE_STYLE)
        labels.append(Label(chance, f"chance  {chance:.0f}", None))
        ticks = sorted({rate for rates, _ in curves.values() for rate in rates})
        axes.set_xticks(ticks, [f"{rate:g}" for rate in ticks])
        axes.minorticks_off()
        axes.grid(color="#EEEEEE")
        axes.set_axisbelow(True)
        label_lines(axes, labels, gap=0.062)
        alt = f"{title} Best validation accuracy in %: {'; '.join(best)}."
        return ClaimFigure("curves.png", render_png(figure, alt), alt)


def _bars(
    axes: Axes, rates: Sequence[float], accuracy: np.ndarray, loss: str, *, shift: float
) -> None:
    color = loss_style(loss)["color"]
    for rate, column in zip(rates, accuracy.T, strict=True):
        interval = mean_interval([float(value) for value in column])
        if interval.low is not None and interval.high is not None:
            at = rate * 10**shift
            axes.plot([at, at], [interval.low, interval.high], color=color, lw=1.8, zorder=8)
        axes.plot([rate], [column.mean()], **marker_style(loss) | {"markersize": 6, "zorder": 8})


def draw_ranges(
    ranges: Mapping[str, tuple[Range, float]],
    accuracies: Mapping[str, Sequence[float]],
    chance: float,
    usable: float,
) -> ClaimFigure:
    """Draw the usable rates of each loss, and its accuracy at the best rate."""
    import matplotlib
    from matplotlib.figure import Figure

    title = "Which learning rates suit which loss, and what does it reach?"
    order = sorted(ranges, key=lambda loss: ranges[loss][1])
    words = []
    with matplotlib.rc_context(RC):
        height = 1.6 + 0.42 * len(order)
        figure = Figure(figsize=(10, height), dpi=DPI)
        left, right = figure.subplots(1, 2, width_ratios=[1.25, 1])
        figure.subplots_adjust(
            left=0.17, right=0.91, top=1 - 0.85 / height, bottom=0.68 / height, wspace=0.08
        )
        figure.text(0.012, 1 - 0.12 / height, title, va="top", fontsize=14, fontweight="bold")
        left.set_title(f"Usable: within {usable:g} points of its best", fontsize=11)
        right.set_title("What each reaches at its best", fontsize=11)
        left.set_xscale("log")
        for place, loss in enumerate(order):
            each, best = ranges[loss]
            look: dict[str, Any] = {"color": loss_style(loss)["color"]}
            left.plot(
                [each.low, each.high], [place, place], linewidth=7, solid_capstyle="butt", **look
            )
            for end, is_open, arrow in (
                (each.low, each.open_low, "<"),
                (each.high, each.open_high, ">"),
            ):
                if is_open:
                    left.plot([end], [place], marker=arrow, markersize=11, clip_on=False, **look)
            left.plot(
                [best],
                [place],
                marker="*",
                markersize=15,
                markeredgecolor="white",
                zorder=5,
                **look,
            )
            words.append(f"{loss} {each.low:.2g} to {each.high:.2g}, best {best:g}")
        name_rows(left, order)
        left.set_xlabel("peak learning rate (star: best; arrow: goes on)")
        left.xaxis.set_major_formatter("{x:g}")
        draw_rows(right, [Row("", loss, accuracies[loss]) for loss in order], "{:.1f} %")
        highest = max(max(accuracies[loss]) for loss in order)
        right.set_xlim(chance - 1, highest + 1)
        chance_line(right, chance)
        right.set_xlabel("test accuracy, % (bar: 95 % interval)")
        alt = f"{title} Usable learning rates: {'; '.join(words)}."
        return ClaimFigure("ranges.png", render_png(figure, alt), alt)
