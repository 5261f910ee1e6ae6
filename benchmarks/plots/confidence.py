"""The article's figure: size of the gradient over the probability of the right class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lossbench.losses import registry
from lossbench.losses.kernels import closed_forms_only

from .canvas import DPI, FAINT, INK, RC, render_png
from .closed_forms import evaluate_at_logits
from .palette import loss_style

FORMULAS = {
    "bce-with-logits": ("cross-entropy:\n|f - t|", "cross-entropy", (0.36, 0.7)),
    "sigmoid-mse": ("squared error\nof a sigmoid:\n|(f - t) f (1 - f)|", "sigmoid-mse", (0.1, 0.2)),
}
"""Loss -> label of its curve, the loss whose colour it has, and where the label begins."""


def gradient_sizes(loss: str, p: Sequence[float]) -> list[float]:
    """Return |dL/dz| of a loss where the right class has the probabilities p, each inside (0, 1).

    By symmetry it is the same for both classes of the losses of `FORMULAS`.
    """
    z = torch.logit(torch.tensor(p, dtype=torch.float64))
    with closed_forms_only():
        _, gradient = evaluate_at_logits(registry.entry(loss), z)
    sizes: list[float] = gradient.abs().tolist()
    return sizes


def draw_confidence(marks: Mapping[str, float]) -> bytes:
    """Draw a PNG with the gradients of cross-entropy and of the squared error of a sigmoid.

    It is small and its letters are large, for a narrow screen.

    Args:
        marks: name -> probability of the right class, of images marked on both curves.
    """
    with matplotlib.rc_context({**RC, "font.size": 12, "axes.titlesize": 12.5}):
        figure = Figure(figsize=(5, 3.5), dpi=DPI)
        axes = figure.subplots()
        figure.subplots_adjust(left=0.14, right=0.95, top=0.91, bottom=0.24)
        for loss in FORMULAS:
            _draw_curve(axes, loss, list(marks.values()))
        for name, p in marks.items():
            axes.axvline(p, color=FAINT, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
            side = "left" if p < 0.1 else "center"
            axes.text(p, 1.06, name, ha=side, va="bottom", fontsize=11, color=INK)
        axes.set(xlim=(0, 1), ylim=(0, 1.05), xticks=np.linspace(0, 1, 5), yticks=[0, 0.5, 1])
        axes.set_xticklabels(["0", "0.25", "0.5", "0.75", "1"])
        axes.set_yticklabels(["0", "0.5", "1"])
        axes.set_xlabel("probability of the right class\n← confidently wrong            right →")
        axes.set_ylabel("size of dL/dz")
        return render_png(figure, "gradient over confidence, from the closed forms of the losses")


def _draw_curve(axes: Axes, loss: str, marked: Sequence[float]) -> None:
    """Draw |dL/dz| of a loss, with its label and a marker at each probability of `marked`."""
    text, styled, place = FORMULAS[loss]
    style, size = loss_style(styled), partial(gradient_sizes, loss)
    p = np.linspace(1e-4, 1 - 1e-4, 401).tolist()
    axes.plot(p, size(p), color=style["color"], linewidth=3, zorder=3)
    points: dict[str, Any] = {
        "color": style["color"],
        "markersize": 8,
        "zorder": 4,
        "clip_on": False,
    }
    axes.plot(marked, size(marked), style["marker"], **points)
    axes.text(*place, text, color=style["color"], fontsize=12, fontweight="bold", va="bottom")
