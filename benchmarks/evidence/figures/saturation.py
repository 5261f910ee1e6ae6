"""Figures of confidently wrong starts: steps to recover, and the gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lossbench.benchmarks.evidence.measures.gradient_formulas import GRADIENT_FORMULAS
from lossbench.benchmarks.evidence.measures.logit_gradients import LogitGradients
from lossbench.benchmarks.plots.canvas import (
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

from .rows import marker_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from lossbench.benchmarks.evidence.measures.steps import Steps

FORMULAS = {"bce-with-logits": "f - t", "sigmoid-mse": "(f - t) f (1 - f)"}
# Log-odds of being wrong that have a tick, by the error that they are.
MARKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)
# Dots of the second picture, evenly over the log-odds.
BINS, PER_BIN = 120, 4


def draw_steps(
    best: Mapping[tuple[str, float], Steps],
    plain: Mapping[tuple[str, float], Steps],
    confidences: Sequence[float],
    enough: float,
    common: float,
) -> ClaimFigure:
    """Draw the steps to an accuracy against the confidence of the start, for both losses.

    Filled markers: each loss at its fastest rate. Hollow: both at the common rate.
    """
    import matplotlib
    from matplotlib.figure import Figure

    title = "How long does it take to recover from a confidently wrong start?"
    longest = max(float(s.value.max()) for s in (*best.values(), *plain.values()))
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(10, 5.6), dpi=DPI)
        axes = figure.subplots()
        figure.subplots_adjust(left=0.085, right=0.70, top=0.82, bottom=0.125)
        figure.text(0.012, 0.985, title, va="top", fontsize=14, fontweight="bold")
        figure.text(
            0.012,
            0.93,
            f"Training steps to {100 * enough:g} % validation accuracy (chance: 50 %). Tick: a "
            "seed; arrow: not there when training ended.\nThick: each loss at the rate that is "
            "fastest for it from that very start. Thin, hollow: both at a rate of "
            f"{common:g}. bce-with-logits is cross-entropy.",
            va="top",
            fontsize=10,
        )
        axes.set_yscale("log")
        labels, words = [], []
        for loss in FORMULAS:
            for found, hollow in ((plain, True), (best, False)):
                end = _draw_line(axes, loss, [found[loss, c] for c in confidences], hollow=hollow)
                last = found[loss, confidences[-1]]
                rate = f"rate {common:g}" if hollow else "fastest"
                labels.append(Label(end, f"{loss}, {rate}", loss))
                there = "reached" if last.reached.all() else "not reached by all"
                words.append(f"{loss} at {rate} {end:.0f}, {there}")
        axes.axhline(longest, color=FAINT, linewidth=1, linestyle=(0, (2, 2)))
        axes.annotate(
            f"end of training: {longest:.0f} steps",
            (0, longest),
            xytext=(2, 4),
            textcoords="offset points",
            fontsize=9.5,
            color=FAINT,
        )
        axes.set_xticks(range(len(confidences)), [f"{c:g}" for c in confidences])
        axes.set_xlabel("how sure the start is that every image is a dog (probability)")
        axes.set_ylabel("training steps needed")
        axes.set_xlim(-0.25, len(confidences) - 0.75)
        low, high = axes.get_ylim()
        axes.set_ylim(low * 0.9, high * 1.15)
        ticks = [
            t for t in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000) if low < t < high * 1.1
        ]
        axes.set_yticks(ticks, [f"{t:,}" for t in ticks])
        axes.minorticks_off()
        axes.grid(color="#EEEEEE")
        axes.set_axisbelow(True)
        label_lines(axes, labels, gap=0.062)
        alt = f"{title} Steps from the surest start: {'; '.join(words)}."
        return ClaimFigure("steps.png", render_png(figure, alt), alt)


def _draw_line(axes: Axes, loss: str, steps: Sequence[Steps], *, hollow: bool) -> float:
    """Draw one line with its seeds; return where it ends."""
    look = line_style(loss)
    color = look["color"]
    middle = [float(np.exp(np.log(each.value).mean())) for each in steps]
    shift = -0.05 if loss == next(iter(FORMULAS)) else 0.05
    x = np.arange(len(steps)) + shift
    look |= {"linewidth": 1.2, "alpha": 0.7, "zorder": 4} if hollow else {"linewidth": 3.4}
    axes.plot(x, middle, **look)
    axes.plot(x, middle, **marker_style(loss, hollow=hollow) | {"zorder": 6})
    for at, each in zip(x, steps, strict=True):
        for value, reached in zip(each.value, each.reached, strict=True):
            if not reached:
                axes.annotate(
                    "",
                    (at, value * 1.16),
                    (at, value),
                    arrowprops={"arrowstyle": "->", "color": color, "linewidth": 1.8},
                )
            elif not hollow:
                axes.plot([at], [value], marker="_", markersize=9, color=color, zorder=7)
    return middle[-1]


def draw_gradients(seen: Mapping[str, LogitGradients]) -> ClaimFigure:
    """Draw measured |dL/dz| of training examples against the error, with the formulas."""
    import matplotlib
    from matplotlib.figure import Figure

    title = "What is left of the gradient where the model is confidently wrong?"
    grid = np.linspace(-9.6, 9.6, 385)
    words, labels = [], []
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(10, 5.2), dpi=DPI)
        axes = figure.subplots()
        figure.subplots_adjust(left=0.085, right=0.70, top=0.85, bottom=0.15)
        figure.text(0.012, 0.98, title, va="top", fontsize=14, fontweight="bold")
        figure.text(
            0.012,
            0.915,
            "Dot: a training example of some network. Line: the formula, from no data at all.",
            va="top",
            fontsize=10,
        )
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        for loss, each in seen.items():
            shown = _spread(-each.odds)
            # Rings, so that the line is seen through them.
            axes.plot(
                -each.odds[shown],
                each.magnitude[shown],
                linestyle="none",
                marker="o",
                markersize=6,
                markerfacecolor="none",
                markeredgewidth=0.9,
                color=loss_style(loss)["color"],
                alpha=0.5,
                zorder=3,
            )
            heights = GRADIENT_FORMULAS[loss].magnitude(-grid)
            axes.plot(grid, heights, color=INK, linewidth=1.3, zorder=5)
            labels.append(Label(float(heights[-1]), f"{loss}: {FORMULAS[loss]}", loss))
            sure = float(GRADIENT_FORMULAS[loss].magnitude(np.full(1, -np.log(9999.0)))[0])
            words.append(f"{loss} {sure:.2g}")
        axes.set_xlim(-9.6, 9.6)
        axes.set_ylim(2e-5, 3)
        axes.axvline(0, color=FAINT, linewidth=0.8)
        odds = [float(np.log(mark / (1 - mark))) for mark in MARKS]
        axes.set_xticks(odds, [f"{mark:g}" for mark in MARKS])
        axes.set_xlabel(
            "error |f - t|, as log-odds\n← surely right                                        "
            "confidently wrong →"
        )
        axes.set_ylabel("|dL/dz| of an example")
        axes.grid(color="#EEEEEE")
        axes.set_axisbelow(True)
        label_lines(axes, labels, gap=0.07)
        alt = f"{title} |dL/dz| at an error of 0.9999, by formula: {'; '.join(words)}."
        return ClaimFigure("gradients.png", render_png(figure, alt), alt)


def _spread(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the indices of at most PER_BIN values in each of BINS bins from -9.6 to 9.6."""
    parts = np.floor((values + 9.6) / 19.2 * BINS).astype(int)
    places = [np.flatnonzero(parts == part) for part in range(BINS)]
    return np.concatenate([at[:: max(1, -(-len(at) // PER_BIN))] for at in places])
