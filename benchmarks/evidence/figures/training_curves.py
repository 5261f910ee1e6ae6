"""Curves over training steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lossbench.benchmarks.plots.canvas import CHANCE_STYLE, Label, label_lines, line_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from lossbench.benchmarks.training.result import RunResult


def draw_curve(
    axes: Axes, results: Sequence[RunResult], loss: str, measure: str, scale: float = 1
) -> float:
    """Draw a column of `Evaluation`, times `scale`, over steps; return the last mean.

    Each seed is a thin line and their mean a thick one.
    """
    look = line_style(loss)
    steps = [point.step for point in results[0].evaluations]
    values = scale * np.array([[getattr(p, measure) for p in o.evaluations] for o in results])
    for row in values:
        axes.plot(steps, row, color=look["color"], linewidth=0.8, alpha=0.6)
    middle = values.mean(0)
    axes.plot(steps, middle, **look)
    return float(middle[-1])


def finish(axes: Axes, labels: list[Label], *, gap: float, chance: float | None = None) -> None:
    """Draw the chance level, in percent, and the names beside a panel."""
    if chance is not None:
        axes.axhline(chance, **CHANCE_STYLE, zorder=7)
        labels.append(Label(chance, f"chance  {chance:.1f}", None))
    axes.tick_params(labelbottom=True)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.margins(x=0)
    axes.grid(axis="y", color="#E6E6E6")
    axes.set_axisbelow(True)
    label_lines(axes, labels, gap=gap)
