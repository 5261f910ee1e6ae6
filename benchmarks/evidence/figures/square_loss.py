"""Figures of square loss: difference from cross-entropy, and the search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lossbench.benchmarks.evidence.measures.contrasts import signed
from lossbench.benchmarks.evidence.measures.equivalence import Gap
from lossbench.benchmarks.plots.canvas import (
    CHANCE_STYLE,
    DPI,
    FAINT,
    INK,
    RC,
    Label,
    label_lines,
    line_style,
    render_png,
)
from lossbench.benchmarks.plots.palette import loss_style
from lossbench.benchmarks.records.claim import ClaimFigure

from .rows import HOLDS, Row, chance_line, draw_interval, draw_rows, name_rows

IN_WORDS = {
    "cross-entropy": "of a softmax",
    "mse": "squared error, no sigmoid",
    "bce-with-logits": "cross-entropy of one output",
    "sigmoid-mse": "squared error of a sigmoid",
}


def named(loss: str) -> str:
    """Return the name of a loss with its description, on two lines."""
    return f"{loss}\n{IN_WORDS[loss]}"


def draw_gaps(
    found: Mapping[str, Sequence[float]], gaps: Mapping[str, Gap], margin: float, chance: float
) -> ClaimFigure:
    """Draw accuracies beside chance, and differences from cross-entropy with their 90 % intervals.

    The margin within which two losses count as equal is shaded.
    """
    import matplotlib
    from matplotlib.figure import Figure

    title = "Each loss at its own best learning rate"
    below = f"Minus cross-entropy: equal if the bar lies within ±{margin:g} points"
    rows, under = len(found), len(gaps)
    height = 2.6 + 0.46 * (rows + under)
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(10, height), dpi=DPI)
        upper, lower = figure.subplots(2, 1, height_ratios=[rows, under])
        figure.subplots_adjust(
            left=0.30,
            right=0.78,
            top=1 - 0.48 / height,
            bottom=0.66 / height,
            hspace=1.25 * 2 / (height - 1.14 - 1.25),
        )
        upper.set_title(title, x=-0.58)
        draw_rows(
            upper, [Row(named(loss), loss, values) for loss, values in found.items()], "{:.1f} %"
        )
        highest = max(max(values) for values in found.values())
        upper.set_xlim(chance - 2, highest + 2)
        chance_line(upper, chance)
        upper.set_xlabel("test accuracy, % (ticks: seeds, bar: 95 % interval)")

        lower.set_title(below, x=-0.58)
        for place, gap in enumerate(gaps.values()):
            draw_interval(lower, place, gap.interval, gap.loss)
            lower.annotate(
                f"{signed(gap.interval.mean)}   {words_of(gap)}",
                (1, place),
                xycoords=("axes fraction", "data"),
                xytext=(8, 0),
                textcoords="offset points",
                va="center",
                annotation_clip=False,
            )
        name_rows(lower, [named(loss) for loss in gaps])
        ends = [gap.interval for gap in gaps.values()]
        drawn = [abs(x) for each in ends for x in (each.mean, each.low, each.high) if x is not None]
        reach = 1.15 * max([margin * 1.3, *drawn])
        lower.set_xlim(-reach, reach)
        lower.axvspan(-margin, margin, color=HOLDS, zorder=0)
        lower.axvline(0, color=INK, linewidth=1)
        lower.set_xlabel("difference in test accuracy, points (bar: 90 % interval)")
        said = [
            f"{gap.loss} {signed(gap.interval.mean)} ({words_of(gap)})" for gap in gaps.values()
        ]
        alt = f"{title}. Difference in test accuracy to cross-entropy, points: {'; '.join(said)}."
        return ClaimFigure("difference.png", render_png(figure, alt), alt)


def words_of(gap: Gap) -> str:
    """Return what the interval says of a loss and cross-entropy."""
    return {"holds": "equal", "does not hold": "different", "undecided": "undecided"}[gap.verdict]


def draw_rates(
    tried: Mapping[str, Mapping[float, float]], chosen: Mapping[str, float], chance: float
) -> ClaimFigure:
    """Draw validation accuracy against the learning rate; a filled marker is the chosen rate."""
    import matplotlib
    from matplotlib.figure import Figure

    title = "What the search for a learning rate saw"
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(10, 4.6), dpi=DPI)
        axes = figure.subplots()
        figure.subplots_adjust(left=0.08, right=0.72, top=0.90, bottom=0.14)
        axes.set_title(title)
        axes.set_xscale("log")
        axes.set_xlabel("peak learning rate (filled: chosen)")
        axes.set_ylabel("validation accuracy, %")
        labels, best = [], []
        for loss, means in tried.items():
            rates, heights = list(means), list(means.values())
            look, marker = line_style(loss) | {"linewidth": 2.4}, loss_style(loss)["marker"]
            hollow: dict[str, Any] = {"marker": marker, "markersize": 8, "markerfacecolor": "white"}
            axes.plot(rates, heights, **look, **hollow)
            top = chosen[loss]
            if top in means:
                axes.plot(
                    [top], [means[top]], marker=marker, markersize=11, color=look["color"], zorder=9
                )
                best.append(f"{loss} {means[top]:.1f} at {top:g}")
            # A rate at which a network diverges counts as 0, below the panel.
            said = loss if heights[-1] >= chance - 4 else f"{loss} (off scale)"
            labels.append(Label(max(heights[-1], chance - 3), said, loss))
        axes.axhline(chance, **CHANCE_STYLE)
        labels.append(Label(chance, f"chance  {chance:.0f}", None))
        rates = sorted({rate for means in tried.values() for rate in means})
        axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
        axes.minorticks_off()
        axes.set_ylim(chance - 4, None)
        axes.grid(axis="y", color="#E6E6E6")
        axes.set_axisbelow(True)
        label_lines(axes, labels, gap=0.075)
        axes.annotate(
            "one mark: mean over the search's seeds",
            (0.01, 0.02),
            xycoords="axes fraction",
            fontsize=9.5,
            color=FAINT,
        )
        alt = f"{title}. Chosen, with validation accuracy in %: {'; '.join(best)}."
        return ClaimFigure("rates.png", render_png(figure, alt), alt)
