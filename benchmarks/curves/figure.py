"""Figure of the catalogue: value and gradient of every binary loss against the logit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from lossbench.benchmarks.plots.canvas import DPI, FAINT, RC, render_png
from lossbench.benchmarks.plots.closed_forms import evaluate_at_logits
from lossbench.benchmarks.plots.palette import BLUE, DOTTED, VERMILLION
from lossbench.losses.registry import Entry

COLUMNS = 3
Z_LIMIT = 6.0
# Range of the y axis; steeper curves leave their panel.
LIMITS = (-2.8, 6.2)
VALUE: dict[str, Any] = {"color": BLUE, "linewidth": 2.2, "zorder": 4}
GRADIENT: dict[str, Any] = {"color": VERMILLION, "linewidth": 2.2, "zorder": 5}
MIRRORED: dict[str, Any] = {"linewidth": 1.4, "linestyle": DOTTED}
GREY: dict[str, Any] = {"color": "#9A9A9A", "linewidth": 0.9, "zorder": 3}


def with_panel(entries: Sequence[Entry]) -> list[Entry]:
    """Return the losses that get a panel: those of a single logit or output."""
    return [e for e in entries if e.task == "binary" and e.takes in ("logits", "outputs")]


def draw(entries: Sequence[Entry], reference: Entry) -> bytes:
    """Draw a PNG with a panel per loss, and `reference` in grey in all of them."""
    # The reference comes first.
    panel_entries = sorted(with_panel(entries), key=lambda entry: entry.name != reference.name)
    lines = -(-len(panel_entries) // COLUMNS)
    # Even in number, so that the jump of a step function at z = 0 falls between two points.
    z = torch.linspace(-Z_LIMIT, Z_LIMIT, 602, dtype=torch.float64)
    height = 1.3 + 1.7 * lines
    with matplotlib.rc_context({**RC, "axes.titlesize": 10, "font.size": 9}):
        figure = Figure(figsize=(10, height), dpi=DPI)
        panels = figure.subplots(lines, COLUMNS, sharex=True, sharey=True, squeeze=False).flatten()
        edges = {"top": 1 - 0.95 / height, "bottom": 0.5 / height}
        figure.subplots_adjust(left=0.035, right=0.99, wspace=0.07, hspace=0.3, **edges)
        for axes, entry in zip(panels, panel_entries, strict=False):
            _panel(axes, entry, reference, z)
        for at, axes in enumerate(panels):
            if at >= len(panel_entries):
                axes.set_axis_off()
            elif at + COLUMNS >= len(panel_entries):
                axes.tick_params(labelbottom=True)
                axes.set_xlabel("← wrong      logit z      right →")
        _head(figure, height, reference.name)
        return render_png(figure, "value and gradient of the binary losses against the logit")


def _panel(axes: Axes, entry: Entry, reference: Entry, z: Tensor) -> None:
    for each, styles in ((reference, (GREY, GREY)), (entry, (VALUE, GRADIENT))):
        for curve, style in zip(evaluate_at_logits(each, z), styles, strict=True):
            axes.plot(z, curve, **style)
    # The loss of class 0, mirrored. An output that is fitted to 0 or 1 has no such symmetry.
    if entry.takes == "logits":
        value, gradient = evaluate_at_logits(entry, -z, label=0)
        if not value.allclose(evaluate_at_logits(entry, z)[0]):
            axes.plot(z, value, **{**VALUE, **MIRRORED})
            axes.plot(z, -gradient, **{**GRADIENT, **MIRRORED})
    axes.set_title(entry.name, pad=3)
    axes.set_xlim(-Z_LIMIT, Z_LIMIT)
    axes.set_ylim(*LIMITS)
    axes.set_xticks([-4, 0, 4])
    axes.set_yticks([-2, 0, 2, 4, 6])
    axes.axvline(0, color=FAINT, linewidth=0.7, zorder=1)
    axes.axhline(0, color=FAINT, linewidth=0.7, zorder=1)
    axes.grid(color="#E9E9E9", zorder=0)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(length=0)


def _head(figure: Figure, height: float, reference: str) -> None:
    title = "What a logit costs when class 1 is right, and how hard that pulls on it"
    figure.text(0.012, 1 - 0.1 / height, title, va="top", fontsize=13, fontweight="bold")
    lines = {
        "loss L": VALUE,
        "gradient dL/dz": GRADIENT,
        f"both of {reference}": GREY,
        "mirrored, for class 0, where that differs": {"color": FAINT, **MIRRORED},
    }
    figure.legend(
        [Line2D([], [], **style) for style in lines.values()],
        [*lines],
        loc="upper left",
        bbox_to_anchor=(0.002, 1 - 0.33 / height),
        ncols=len(lines),
        frameon=False,
        fontsize=10.5,
        columnspacing=1.6,
    )
