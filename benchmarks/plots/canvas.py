"""Shared parts of all figures: fonts, line styles, labels beside the axes, PNG files."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .palette import DOTTED, loss_style

SYNTHETIC = "SYNTHETIC IMAGES"
"""What stands on everything that was made from images drawn by code."""
DPI = 160
MAX_NAME = 36  # characters
MAX_BYTES = 250_000
INK, FAINT = "#222222", "#666666"
RC: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 12.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "lines.scale_dashes": False,
    "text.parse_math": False,  # a $ in a user's loss name is a $
}
CHANCE_STYLE: dict[str, Any] = {"color": FAINT, "linestyle": (0, (2, 2)), "linewidth": 1.2}


class Label(NamedTuple):
    """A label beside the axes, for a line that ends at height `y`."""

    y: float
    text: str
    loss: str | None  # None for the chance level


def line_style(loss: str) -> dict[str, Any]:
    """Return the matplotlib style of a loss's line, such that coinciding lines all stay visible.

    Solid lines lie below dashed ones. The lines that others coincide with are the widest and lie
    at the bottom: cross-entropy, and zero-one, which stays at chance.
    """
    style = loss_style(loss)
    line = style["linestyle"]
    width = {"zero-one": 5.4, "cross-entropy": 4.6}.get(loss, 2.6 if line == "-" else 2.4)
    order = 4 - width / 10 if line == "-" else 6 if line == DOTTED else 5
    return {
        "color": style["color"],
        "linestyle": line,
        "linewidth": width,
        "dash_capstyle": "butt",
        "zorder": order,
    }


def figure_height(lines: int) -> float:
    """Return the height in inches of a figure of two panels with this number of labels."""
    return min(14.0, max(8.4, 0.5 * lines))


def label_margin(names: Iterable[str]) -> float:
    """Return the fraction of a 10-inch figure that names longer than 16 letters need."""
    longest = max((len(short_name(name)) for name in names), default=0)
    return 0.0083 * max(0, longest - 16)


def label_lines(axes: Axes, labels: list[Label], gap: float, *, left: bool = False) -> None:
    """Write each label beside the axes, as near to the end of its line as the others allow.

    Args:
        axes: axes with all lines drawn; this fixes their limits.
        labels: the labels, in any order.
        gap: height of a label, as a fraction of the axes.
        left: write at the left of the axes instead of the right.
    """
    if not labels:
        return
    axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())
    to_fraction = axes.transData + axes.transAxes.inverted()
    x_end = axes.get_xlim()[0 if left else 1]
    ordered = sorted((to_fraction.transform((x_end, label.y))[1], label) for label in labels)
    gap *= max(label.text.count("\n") + 1 for label in labels)
    # More labels than fit are closer together, in smaller type if necessary.
    gap = min(gap, 0.97 / max(1, len(ordered) - 1))
    height = axes.get_window_extent().height / axes.figure.dpi * 72
    size = min(10.5, 0.85 * gap * height)
    ends = np.array([height for height, _ in ordered])
    heights = spread(ends, gap, 0.02, 0.99)

    def beside(distance: float) -> float:
        return -distance if left else 1 + distance

    options: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False}
    for (end, label), height in zip(ordered, heights, strict=True):
        leader = [beside(0.006), beside(0.032)]
        axes.plot(leader, [end, height], color="#AAAAAA", linewidth=0.8, **options)
        style = dict(line_style(label.loss) if label.loss else CHANCE_STYLE, linewidth=2.6)
        # The sample is too short for a dash offset.
        if not isinstance(style["linestyle"], str):
            style["linestyle"] = (0, style["linestyle"][1])
        axes.plot([beside(0.036), beside(0.10)], [height, height], **style, **options)
        side = "right" if left else "left"
        axes.text(beside(0.11), height, label.text, va="center", ha=side, fontsize=size, **options)


def spread(ends: NDArray[np.float64], gap: float, low: float, high: float) -> NDArray[np.float64]:
    """Return the heights nearest to `ends` with at least `gap` between neighbours.

    Args:
        ends: rising heights, (N,), N > 0.
        gap: the least distance.
        low, high: limits of the heights; if they do not fit, some are above `high`.
    """
    from scipy.optimize import isotonic_regression

    # Without the gaps, that is the nearest rising sequence, an isotonic regression.
    steps = gap * np.arange(len(ends))
    heights = isotonic_regression(ends - steps).x
    within: NDArray[np.float64] = np.clip(heights, low, max(low, high - steps[-1])) + steps
    return within


def short_name(name: str) -> str:
    """Shorten a name that would not fit into the figure."""
    return name if len(name) <= MAX_NAME else name[: MAX_NAME - 1] + "…"


def stamp_synthetic(figure: Figure) -> None:
    """Write SYNTHETIC IMAGES across the figure."""
    font: dict[str, Any] = {"fontsize": 58, "fontweight": "bold", "color": "#B00020"}
    position: dict[str, Any] = {"rotation": 24, "ha": "center", "va": "center", "zorder": 100}
    figure.text(0.5, 0.5, SYNTHETIC, alpha=0.22, **font, **position)


def rasterise(figure: Figure) -> Image.Image:
    """Draw a figure as an RGB image."""
    canvas: Any = FigureCanvasAgg(figure)  # its methods have no types
    canvas.draw()
    return Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba()).convert("RGB")


def render_png(figure: Figure, description: str) -> bytes:
    """Render a PNG of at most 256 colours, a third of the size and no different to the eye.

    A PNG of more than MAX_BYTES is rendered with fewer colours.

    Args:
        figure: the figure.
        description: the Description entry of the PNG.
    """
    image, data = rasterise(figure), b""
    for colors in (256, 96, 48, 24):
        data = _encoded(image, colors, description)
        if len(data) <= MAX_BYTES:
            break
    return data


def _encoded(image: Any, colors: int, description: str) -> bytes:
    information = PngInfo()
    information.add_itxt("Description", description)
    buffer = io.BytesIO()
    image.quantize(colors, dither=Image.Dither.NONE).save(
        buffer, "PNG", optimize=True, dpi=(DPI, DPI), pnginfo=information
    )
    return buffer.getvalue()
