"""What the pictures share: their type, their labels, and how they become PNG files."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, NamedTuple

from .palette import DOTTED, loss_style

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 160
LONGEST_NAME = 36
MOST_BYTES = 250_000
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
    """A name to stand beside a panel, where the line that it names ends at height `y`."""

    y: float
    text: str
    loss: str | None  # None: the chance level


def line_style(loss: str) -> dict[str, Any]:
    """How a loss's line is drawn, so that of coinciding lines all stay visible.

    Solid lines lie below broken ones, and below all lie, wide, those that others coincide with:
    cross-entropy, and zero-one, which never leaves chance.
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
    """The height in inches of a picture of two panels that has room for so many labels."""
    return min(14.0, max(8.4, 0.5 * lines))


def label_margin(names: Iterable[str]) -> float:
    """How much of a picture 10 inches wide the names beside a panel take more than 16 letters."""
    longest = max((len(short_name(name)) for name in names), default=0)
    return 0.0083 * max(0, longest - 16)


def label_lines(axes: Axes, labels: list[Label], gap: float, *, left: bool = False) -> None:
    """Writes each label beside `axes` as near to its line's end as the others allow.

    Args:
        axes: a panel with all its lines. Its limits are final from here on.
        labels: in any order.
        gap: the height a label needs, as a fraction of the panel's.
        left: labels stand at the left of the panel, not at the right.
    """
    import numpy as np
    from scipy.optimize import isotonic_regression

    if not labels:
        return
    axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())
    to_fraction = axes.transData + axes.transAxes.inverted()
    x_end = axes.get_xlim()[0 if left else 1]
    placed = sorted((to_fraction.transform((x_end, label.y))[1], label) for label in labels)
    # More labels than the panel is high stand closer, and in smaller type where they must.
    gap = min(gap, 0.97 / max(1, len(placed) - 1))
    height = axes.get_window_extent().height / axes.figure.dpi * 72
    size = min(10.5, 0.85 * gap * height)
    wanted = np.array([height for height, _ in placed])
    # The heights nearest to the wanted ones with at least `gap` between neighbours: with the
    # gaps taken out, that is the nearest rising sequence.
    steps = gap * np.arange(len(placed))
    heights = isotonic_regression(wanted - steps).x
    heights = np.clip(heights, 0.02, max(0.02, 0.99 - steps[-1])) + steps

    def beside(distance: float) -> float:
        return -distance if left else 1 + distance

    place: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False}
    for (end, label), height in zip(placed, heights, strict=True):
        leader = [beside(0.006), beside(0.032)]
        axes.plot(leader, [end, height], color="#AAAAAA", linewidth=0.8, **place)
        look = dict(line_style(label.loss) if label.loss else CHANCE_STYLE, linewidth=2.6)
        # A sample is too short for an offset.
        if not isinstance(look["linestyle"], str):
            look["linestyle"] = (0, look["linestyle"][1])
        axes.plot([beside(0.036), beside(0.10)], [height, height], **look, **place)
        side = "right" if left else "left"
        axes.text(beside(0.11), height, label.text, va="center", ha=side, fontsize=size, **place)


def short_name(name: str) -> str:
    """A loss's name, cut where it would run out of the picture."""
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def stamp_synthetic(figure: Figure) -> None:
    """Writes SYNTHETIC IMAGES across the picture."""
    look: dict[str, Any] = {"fontsize": 58, "fontweight": "bold", "color": "#B00020"}
    place: dict[str, Any] = {"rotation": 24, "ha": "center", "va": "center", "zorder": 100}
    figure.text(0.5, 0.5, "SYNTHETIC IMAGES", alpha=0.22, **look, **place)


def render_png(figure: Figure, description: str) -> bytes:
    """The figure as a PNG of 256 colours, a third of the size and no different to the eye.

    Many bands of ragged lines can exceed 250 kB even so; then it is made of fewer colours.

    Args:
        figure: what to draw.
        description: put into the file, for whoever finds it without its page.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas: Any = FigureCanvasAgg(figure)  # its methods have no types
    canvas.draw()
    image = Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba()).convert("RGB")
    data = b""
    for colors in (256, 96, 48, 24):
        data = _encoded(image, colors, description)
        if len(data) <= MOST_BYTES:
            break
    return data


def compress_png(data: bytes, most: int) -> bytes:
    """A PNG in at most `most` bytes: with fewer colours, and then at a smaller size.

    Never narrower than 400 pixels, whatever `most` says: below that no word can be read. What does
    not fit even so is returned as small as it gets.
    """
    if len(data) <= most:
        return data
    from PIL import Image

    opened = Image.open(io.BytesIO(data))
    description = str(opened.info.get("Description", ""))
    image, best = opened.convert("RGB"), data
    for share, palettes in (
        (1, (48, 24)),
        (0.75, (48,)),
        (0.55, (48,)),
        (0.4, (24,)),
        (0.3, (24,)),
    ):
        size = (round(image.width * share), round(image.height * share))
        if size[0] < min(400, image.width):
            break
        scaled = image.resize(size, Image.Resampling.LANCZOS) if share < 1 else image
        for colors in palettes:
            best = min(best, _encoded(scaled, colors, description), key=len)
            if len(best) <= most:
                return best
    return best


def _encoded(image: Any, colors: int, description: str) -> bytes:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    information = PngInfo()
    information.add_itxt("Description", description)
    buffer = io.BytesIO()
    image.quantize(colors, dither=Image.Dither.NONE).save(
        buffer, "PNG", optimize=True, dpi=(DPI, DPI), pnginfo=information
    )
    return buffer.getvalue()
