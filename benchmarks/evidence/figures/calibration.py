"""Figures of calibration: reliability diagrams and calibration errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lossbench.benchmarks.plots.canvas import CHANCE_STYLE, DPI, FAINT, INK, RC, render_png
from lossbench.benchmarks.plots.palette import loss_style
from lossbench.benchmarks.records.claim import ClaimFigure
from lossbench.benchmarks.stats.metrics import expected_calibration_error, reliability
from lossbench.benchmarks.training.result import Predictions

from .rows import SEEDS, Row, draw_rows, heading, label_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ACROSS = 3


def draw_reliability(
    said: Mapping[str, Sequence[Predictions]], proper: Sequence[str]
) -> ClaimFigure:
    """Draw the reliability diagram of each loss, all seeds together."""
    import matplotlib
    from matplotlib.figure import Figure

    title = "Is a network right as often as it says?"
    down = -(-len(said) // ACROSS)
    words = []
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(10, 1.7 + 2.7 * down), dpi=DPI)
        top = heading(
            figure,
            title,
            "On the dotted line a network is right as often as it says. Below it, it is too sure; "
            "above it, not sure enough.\nThe larger a marker, the more of the answers it stands "
            "for; all seeds together.",
        )
        panels = figure.subplots(down, ACROSS, sharex=True, sharey=True, squeeze=False)
        bottom = 0.62 / figure.get_figheight()
        figure.subplots_adjust(left=0.08, right=0.985, top=top - 0.03, bottom=bottom, hspace=0.28)
        for axes in panels.flat[len(said) :]:
            axes.set_visible(False)
        for axes, (loss, predictions) in zip(panels.flat, said.items(), strict=False):
            kind = "proper" if loss in proper else "not proper"
            words.append(f"{loss} {_draw_one(axes, loss, kind, predictions)}")
        for axes in panels[-1]:
            axes.set_xlabel("confidence, %")
        for axes in panels[:, 0]:
            axes.set_ylabel("right answers, %")
        alt = f"{title} Gap in points, all seeds together: " + "; ".join(words) + "."
        return ClaimFigure("reliability.png", render_png(figure, alt), alt)


def _draw_one(axes: Axes, loss: str, kind: str, predictions: Sequence[Predictions]) -> str:
    probabilities = np.concatenate([one.probabilities for one in predictions])
    labels = np.concatenate([one.labels for one in predictions])
    confidence, accuracy, count = reliability(probabilities, labels)
    held = count > 0
    share = count[held] / count.sum()
    x, y = 100 * confidence[held], 100 * accuracy[held]
    least = 100 / probabilities.shape[1]
    style = loss_style(loss)
    axes.plot([least, 100], [least, 100], **CHANCE_STYLE)
    axes.plot(x, y, color=style["color"], linewidth=1.6)
    axes.scatter(x, y, s=12 + 320 * share, color=style["color"], alpha=0.85, zorder=4, linewidth=0)
    # How far from the line.
    axes.vlines(
        x, np.minimum(x, y), np.maximum(x, y), color=style["color"], alpha=0.35, linewidth=3
    )
    axes.set_xlim(least - 3, 103)
    axes.set_ylim(min(0.6 * least, axes.get_ylim()[0]), 103)
    axes.set_title(loss, fontsize=11.5)
    error = 100 * expected_calibration_error(probabilities, labels)
    right = 100 * float((probabilities.argmax(1) == labels).mean())
    text = f"{kind}\ncalibration error {error:.1f}\naccuracy {right:.1f}"
    axes.text(0.97, 0.05, text, transform=axes.transAxes, ha="right", fontsize=9.5, color=INK)
    axes.grid(color="#EEEEEE")
    axes.set_axisbelow(True)
    return f"{error:.1f}"


def draw_errors(
    errors: Mapping[str, Sequence[float]],
    floors: Mapping[str, float],
    proper: Sequence[str],
    believable: float,
) -> ClaimFigure:
    """Draw the calibration error of each loss, the smallest measurable one, and the threshold."""
    import matplotlib
    from matplotlib.figure import Figure

    title = "How far are probabilities from the truth?"
    order = sorted(errors, key=lambda loss: (loss not in proper, float(np.mean(errors[loss]))))
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(10, 2.2 + 0.44 * len(order)), dpi=DPI)
        top = heading(
            figure,
            title,
            f"{SEEDS[0].upper()}{SEEDS[1:]}. Grey: what would be\n"
            "measured on as many images if every probability were right.",
        )
        axes = figure.subplots()
        names = [f"{loss}  ({'' if loss in proper else 'not '}proper)" for loss in order]
        bottom = 0.7 / figure.get_figheight()
        figure.subplots_adjust(left=label_width(names), right=0.92, top=top - 0.05, bottom=bottom)
        axes.set_xlabel("expected calibration error on test images, points")
        rows = [Row(name, loss, errors[loss]) for name, loss in zip(names, order, strict=True)]
        draw_rows(axes, rows)
        for place, loss in enumerate(order):
            axes.plot([floors[loss]] * 2, [place - 0.3, place + 0.3], color=FAINT, linewidth=1.4)
        axes.axvline(believable, color=INK, linewidth=1)
        axes.set_xlim(0, max(1.08 * max(max(values) for values in errors.values()), believable + 1))
        axes.annotate(
            f"believable below {believable:g}",
            (believable, 1),
            xycoords=("data", "axes fraction"),
            xytext=(4, 3),
            textcoords="offset points",
            fontsize=9.5,
        )
        words = "; ".join(f"{loss} {np.mean(errors[loss]):.1f}" for loss in order)
        alt = f"{title} Expected calibration error in points: {words}."
        return ClaimFigure("errors.png", render_png(figure, alt), alt)
