"""Figures of panels below a title and a caption."""

from __future__ import annotations

import textwrap
from typing import Any

from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from .canvas import DPI, RC

CAPTION_WIDTH = 118  # characters


def figure_with_heading(height: float, title: str, caption: str = "") -> Figure:
    """Return a figure with a title and a caption, whose panels are laid out below them.

    Args:
        height: height of all panels with their labels, in inches.
        title: the title.
        caption: text below the title, wrapped to the width of the figure.
    """
    lines = textwrap.wrap(caption, CAPTION_WIDTH, break_on_hyphens=False)
    top = 0.5 + 0.2 * len(lines)
    height += top
    figure = Figure(figsize=(10, height), dpi=DPI)
    layout = ConstrainedLayoutEngine(
        rect=(0.008, 0.0, 0.984, 1 - top / height), h_pad=0.07, w_pad=0.06
    )
    figure.set_layout_engine(layout)
    size: Any = RC["axes.titlesize"]
    figure.text(0.012, 1 - 0.12 / height, title, va="top", fontsize=size + 1, fontweight="bold")
    body: dict[str, Any] = {"va": "top", "fontsize": 10.5, "linespacing": 1.3}
    figure.text(0.012, 1 - 0.44 / height, "\n".join(lines), **body)
    return figure
