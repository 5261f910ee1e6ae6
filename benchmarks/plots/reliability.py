"""Figure of reliability diagrams: accuracy against confidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from lossbench.benchmarks.stats.metrics import reliability

from .canvas import CHANCE_STYLE, INK, RC, render_png
from .layout import figure_with_heading
from .palette import loss_style

COLUMNS = 3


def draw_reliability(
    predictions: Mapping[str, tuple[NDArray[Any], NDArray[np.int64]]],
    texts: Mapping[str, str],
    *,
    title: str,
    caption: str,
    description: str,
) -> bytes:
    """Draw a reliability diagram per loss. The area of a marker is its share of the predictions.

    Args:
        predictions: per loss, probabilities (N, K) and labels (N,).
        texts: per loss, the text in its panel.
        title: title of the figure.
        caption: text below the title.
        description: the Description entry of the PNG.

    Returns:
        A PNG of 1600 pixels width.
    """
    rows = -(-len(predictions) // COLUMNS)
    with matplotlib.rc_context(RC):
        figure = figure_with_heading(0.4 + 2.7 * rows, title, caption)
        grid = figure.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False)
        for axes in grid.flat[len(predictions) :]:
            axes.set_visible(False)
        for axes, (loss, (probabilities, labels)) in zip(
            grid.flat, predictions.items(), strict=False
        ):
            draw_diagram(axes, loss, probabilities, labels)
            style: dict[str, Any] = {"ha": "right", "fontsize": 9.5, "color": INK}
            axes.text(0.97, 0.05, texts[loss], transform=axes.transAxes, **style)
        for axes in grid[-1]:
            axes.set_xlabel("confidence, %")
        for axes in grid[:, 0]:
            axes.set_ylabel("accuracy, %")
        return render_png(figure, description)


def draw_diagram(
    axes: Axes, loss: str, probabilities: NDArray[Any], labels: NDArray[np.int64]
) -> None:
    """Draw accuracy against confidence in 15 bins, beside the line of calibrated predictions."""
    confidence, accuracy, count = reliability(probabilities, labels)
    filled = count > 0
    x, y, share = 100 * confidence[filled], 100 * accuracy[filled], count[filled] / count.sum()
    color, least = loss_style(loss)["color"], 100 / probabilities.shape[1]
    axes.plot([least, 100], [least, 100], **CHANCE_STYLE)
    axes.plot(x, y, color=color, linewidth=1.6)
    axes.scatter(x, y, s=12 + 320 * share, color=color, alpha=0.85, zorder=4, linewidth=0)
    axes.vlines(x, np.minimum(x, y), np.maximum(x, y), color=color, alpha=0.35, linewidth=3)
    axes.set_xlim(least - 3, 103)
    axes.set_ylim(min(0.6 * least, axes.get_ylim()[0]), 103)
    axes.set_title(loss, fontsize=11.5)
    axes.grid(color="#EEEEEE")
    axes.set_axisbelow(True)
