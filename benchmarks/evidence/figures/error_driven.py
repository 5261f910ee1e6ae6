"""Figures of |dL/dz| against the error."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from lossbench.benchmarks.evidence.measures.gradient_formulas import GRADIENT_FORMULAS, error
from lossbench.benchmarks.evidence.measures.logit_gradients import LogitGradients
from lossbench.benchmarks.evidence.measures.proportion import Fit, in_words
from lossbench.benchmarks.format import MINUS
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

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray


ACROSS = 5
# Dots of a panel, evenly over the error, so that its rare values are seen.
BINS, PER_BIN = 60, 12
# Of the second picture: errors that have a tick, and bins of the log-odds of being wrong.
MARKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
EDGES = np.linspace(-9, 9, 19)
FEWEST = 20


def draw_panels(pooled: Mapping[str, LogitGradients], fits: Mapping[str, Fit]) -> ClaimFigure:
    """Draw measured |dL/dz| against |f - t| and the regression line, one panel per loss."""
    import matplotlib
    from matplotlib.figure import Figure

    title = "Is the push proportional to the error?"
    down = -(-len(pooled) // ACROSS)
    words = []
    with matplotlib.rc_context(RC):
        height = 1.5 + 2.55 * down
        figure = Figure(figsize=(10, height), dpi=DPI)
        panels = figure.subplots(down, ACROSS, sharex=True, squeeze=False)
        figure.subplots_adjust(
            left=0.075,
            right=0.985,
            top=1 - 1.12 / height,
            bottom=0.62 / height,
            hspace=0.36,
            wspace=0.38,
        )
        figure.text(0.012, 1 - 0.12 / height, title, va="top", fontsize=14, fontweight="bold")
        figure.text(
            0.012,
            1 - 0.44 / height,
            "A dot: a training example. Grey line: the best proportion, k |f - t|, and the share "
            "of the variation that it explains, R².\nHalf of the networks began confidently wrong. "
            "Each panel has a scale of its own.",
            va="top",
            fontsize=10,
        )
        for axes in panels.flat[len(pooled) :]:
            axes.set_visible(False)
        for axes, (loss, seen) in zip(panels.flat, pooled.items(), strict=False):
            _draw_panel(axes, loss, seen, fits[loss].slope)
            explained = in_words(fits[loss].explained)
            axes.set_title(loss, fontsize=11)
            axes.annotate(
                f"R² = {fits[loss].explained:.2f}".replace("-", MINUS)
                if np.isfinite(fits[loss].explained)
                else "no push at all",
                (0.04, 0.98),
                xycoords="axes fraction",
                va="top",
                fontsize=10,
                color=INK,
            )
            words.append(f"{loss} {explained}")
        for axes in panels[-1]:
            axes.set_xlabel("error |f - t|")
        for axes in panels[:, 0]:
            axes.set_ylabel("push |dL/dz|")
        alt = f"{title} R² of a proportion: {'; '.join(words)}."
        return ClaimFigure("proportion.png", render_png(figure, alt), alt)


def _draw_panel(axes: Axes, loss: str, seen: LogitGradients, slope: float) -> None:
    e, push = error(seen.odds), seen.magnitude
    shown = _spread(e)
    highest = max(float(push.max(initial=0.0)), 1e-9) if np.isfinite(push).all() else 1.0
    if loss == "zero-one":
        highest = 1.0
    if np.isfinite(slope):
        axes.plot([0, 1], [0, slope], color="#AAAAAA", linewidth=3.2, zorder=1)
    axes.plot(
        e[shown],
        push[shown],
        linestyle="none",
        marker="o",
        markersize=2.6,
        markeredgewidth=0,
        color=loss_style(loss)["color"],
        alpha=0.8,
    )
    axes.set_xlim(-0.04, 1.04)
    axes.set_ylim(-0.04 * highest, 1.28 * highest)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.locator_params(axis="y", nbins=4)
    axes.grid(color="#EEEEEE")
    axes.set_axisbelow(True)


def _spread(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the indices of at most PER_BIN values in each of BINS bins from 0 to 1."""
    parts = np.minimum((values * BINS).astype(int), BINS - 1)
    places = [np.flatnonzero(parts == part) for part in range(BINS)]
    return np.concatenate([at[:: max(1, -(-len(at) // PER_BIN))] for at in places])


def draw_pushes(pooled: Mapping[str, LogitGradients]) -> ClaimFigure:
    """Draw |dL/dz| relative to that at f = 1/2 against the error, for all losses."""
    import matplotlib
    from matplotlib.figure import Figure

    title = "How hard is a confidently wrong example pushed?"
    even = np.zeros(1)
    words, labels = [], []
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(10, 5.2), dpi=DPI)
        axes = figure.subplots()
        figure.subplots_adjust(left=0.085, right=0.74, top=0.82, bottom=0.14)
        figure.text(0.012, 0.98, title, va="top", fontsize=14, fontweight="bold")
        figure.text(
            0.012,
            0.91,
            "Line: the formula. Mark: median of the measured. 1: as hard as an example of which "
            "the model knows nothing.",
            va="top",
            fontsize=10,
        )
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        a = np.linspace(-9, 9, 361)
        for loss, seen in pooled.items():
            law = GRADIENT_FORMULAS[loss]
            unit = float(law.magnitude(even)[0])
            if unit == 0:
                continue
            look = line_style(loss) | {"linewidth": 2.2}
            heights = law.magnitude(-a) / unit
            axes.plot(a, np.where(heights > 0, heights, np.nan), **look)
            labels.append(Label(float(heights[-1]), loss, loss))
            middles, medians = _medians(seen)
            marker = loss_style(loss)["marker"]
            axes.plot(
                middles,
                medians / unit,
                linestyle="none",
                marker=marker,
                markersize=5.5,
                color=look["color"],
                zorder=8,
            )
            wrong = float(law.magnitude(np.full(1, -np.log(0.999 / 0.001)))[0]) / unit
            words.append(f"{loss} {wrong:.2g}")
        axes.axvline(0, color=FAINT, linewidth=0.8)
        axes.axhline(1, color=FAINT, linewidth=0.8)
        axes.set_xlim(-9, 9)
        axes.set_ylim(1.2e-4, 30)
        odds = [float(np.log(mark / (1 - mark))) for mark in MARKS]
        axes.set_xticks(odds, [f"{mark:g}" for mark in MARKS])
        axes.set_xlabel(
            "error |f - t|, as log-odds\n← surely right                                        "
            "confidently wrong →"
        )
        axes.set_ylabel("|dL/dz|, relative to that at |f - t| = 0.5")
        axes.grid(color="#EEEEEE")
        axes.set_axisbelow(True)
        label_lines(axes, labels, gap=0.062)
        alt = f"{title} At an error of 0.999, relative to 0.5, by formula: {'; '.join(words)}."
        return ClaimFigure("pushes.png", render_png(figure, alt), alt)


def _medians(seen: LogitGradients) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the middle log-odds and the median |dL/dz| of each bin with enough examples."""
    wrong = -seen.odds
    held = [(wrong >= low) & (wrong < high) for low, high in pairwise(EDGES)]
    full = [each for each in held if each.sum() >= FEWEST]
    middles = [float(np.median(wrong[each])) for each in full]
    return np.array(middles), np.array([float(np.median(seen.magnitude[each])) for each in full])
