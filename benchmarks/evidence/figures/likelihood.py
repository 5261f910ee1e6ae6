"""Figures of the claim `likelihood`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean as mean
from typing import TYPE_CHECKING

import numpy as np

from lossbench.benchmarks.evidence.measures.likelihood_forms import FORMS, LOWERED, Reading
from lossbench.benchmarks.plots.canvas import DPI, FAINT, INK, RC, line_style, render_png
from lossbench.benchmarks.records.claim import ClaimFigure

from .rows import Row, draw_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

RIGHT, WRONG = "cross-entropy", "sigmoid-mse"
# The slips are no losses of the library: they are drawn like one that is not among the forms.
SLIPS = ("slip: ln of the sum", "slip: 1 - ln f for ln(1 - f)")


def draw_forms(readings: Sequence[Reading]) -> ClaimFigure:
    """Draw the value of every form for the same test predictions, and of the two slips."""
    import matplotlib
    from matplotlib.figure import Figure

    title = "Five names of one number, and two slips"
    rows = [
        Row(name, loss, [reading.values[name] for reading in readings])
        for name, loss in FORMS.items()
    ]
    rows.append(Row(SLIPS[0], WRONG, [reading.log_of_sum for reading in readings], hollow=True))
    rows.append(Row(SLIPS[1], WRONG, [reading.slip for reading in readings], hollow=True))
    product = mean(reading.product for reading in readings)
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(10, 4.8), dpi=DPI)
        axes = figure.subplots()
        figure.subplots_adjust(left=0.285, right=0.885, top=0.90, bottom=0.17)
        axes.set_title(title, x=-0.46)
        axes.set_xlabel(
            "value an image, nats (bar: 95 % interval over networks; tick: a network)\n"
            "dashed: minus ln of the product of all right answers' probabilities"
        )
        draw_rows(axes, rows, "{:.4f}")
        axes.axvline(product, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        axes.axvline(0, color=FAINT, linewidth=0.8, zorder=1)
        axes.margins(x=0.06)
        said = "; ".join(f"{row.label} {mean(row.values):.4f}" for row in rows)
        alt = f"{title}. Nats an image: {said}. The product itself: {product:.4f}."
        return ClaimFigure("forms.png", render_png(figure, alt), alt)


def draw_slip(reading: Reading) -> ClaimFigure:
    """Draw the gradient of 1 - ln f for dogs, and how low it goes."""
    import matplotlib
    from matplotlib.figure import Figure

    title = "1 - ln f in the place of ln(1 - f), on one network's answers to dogs"
    names = {RIGHT: "binary cross-entropy", WRONG: "slip"}
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(10, 4.9), dpi=DPI)
        left, right = figure.subplots(1, 2)
        figure.subplots_adjust(left=0.075, right=0.975, top=0.84, bottom=0.18, wspace=0.22)
        figure.text(0.012, 0.945, title, fontsize=12.5, fontweight="bold")
        left.set_title("How hard is a dog pushed?", fontsize=11)
        left.set_xlabel("probability f of being a cat\n← right                  wrong →")
        left.set_ylabel("dL/dz")
        few = np.argsort(reading.f)[:: max(1, len(reading.f) // 40)]
        right.set_title("How low can the loss of dogs get?", fontsize=11)
        right.set_xlabel("all outputs for dogs lowered by\n(a surer and surer right answer)")
        right.set_ylabel("mean loss of dogs, nats")
        pushes = {RIGHT: reading.pushed, WRONG: reading.slipped}
        lows = {RIGHT: reading.bounded, WRONG: reading.unbounded}
        for loss, name in names.items():
            color = line_style(loss)["color"]
            marker = "o" if loss == RIGHT else "X"
            left.plot(reading.f[few], pushes[loss][few], marker, color=color, ms=5, label=name)
            right.plot(LOWERED, lows[loss], marker + "-", color=color, ms=5, label=name)
        right.axhline(0, color=FAINT, linewidth=0.8)
        left.set_xlim(-0.02, 1.02)
        left.set_ylim(-0.02, 1.12)
        for axes in (left, right):
            axes.grid(color="#E6E6E6")
            axes.set_axisbelow(True)
        left.legend(frameon=False, loc="upper center", ncols=2)
        right.legend(frameon=False, loc="lower left")
        said = "; ".join(
            f"{name} {', '.join(f'{push:.2f}' for push in mean_pushes(reading.f, pushes[loss]))}"
            for loss, name in names.items()
        )
        alt = (
            f"{title}. Left: mean dL/dz of dogs answered right, wrong: {said}. "
            "Right: with "
            f"outputs lowered by {LOWERED[-1]:g} binary cross-entropy is at "
            f"{reading.bounded[-1]:.4f}, the slip at {reading.unbounded[-1]:.1f}."
        )
        return ClaimFigure("slip.png", render_png(figure, alt), alt)


def mean_pushes(f: NDArray[np.float64], pushes: NDArray[np.float64]) -> list[float]:
    """Return the mean dL/dz of correctly classified dogs and of the others; NaN if there is
    none."""
    sides = (pushes[f <= 0.5], pushes[f > 0.5])
    return [float(side.mean()) if len(side) else math.nan for side in sides]
