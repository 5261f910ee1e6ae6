"""One look a loss, the same in every picture.

Colours are those of Okabe and Ito (2008), told apart with any common colour blindness, with a
navy and an indigo added so that the four likelihood losses stay within the blues. They often
coincide to the pixel, hence the line styles: a solid line lies below, and the gaps of a broken
line drawn over it let it through.
"""

from typing import TypedDict
from zlib import crc32

LineStyle = str | tuple[float, tuple[float, ...]]


class Style(TypedDict):
    """Keyword arguments for `matplotlib.axes.Axes.plot`."""

    color: str
    linestyle: LineStyle
    marker: str


BLUE, SKY, NAVY, INDIGO = "#0072B2", "#56B4E9", "#0B2E59", "#5B4FC4"
VERMILLION, ORANGE, PURPLE = "#D55E00", "#E69F00", "#CC79A7"
GREEN, BLACK, GREY = "#009E73", "#000000", "#808080"

# Lengths in points: offset, then on, off, ...
DASHED: LineStyle = (0, (7, 3.5))
DASHDOT: LineStyle = (0, (7, 2, 1.6, 2))
DOTTED: LineStyle = (0, (1.7, 2.3))
# Of one period, and out of step: where both lines coincide, one shows in the gaps of the other.
SPACED_DASHED: LineStyle = (0, (7, 7))
SPACED_DASHDOT: LineStyle = (6.5, (3.8, 1.2, 1.2, 7.8))

STYLES: dict[str, Style] = {
    "cross-entropy": {"color": BLUE, "linestyle": "-", "marker": "o"},
    "nll": {"color": SKY, "linestyle": SPACED_DASHED, "marker": "s"},
    "bce": {"color": INDIGO, "linestyle": SPACED_DASHDOT, "marker": "D"},
    "bce-with-logits": {"color": NAVY, "linestyle": DOTTED, "marker": "^"},
    "bernoulli-sum": {"color": GREEN, "linestyle": "-", "marker": "v"},
    "sigmoid-mse": {"color": VERMILLION, "linestyle": "-", "marker": "X"},
    "softmax-mse": {"color": ORANGE, "linestyle": DASHED, "marker": "P"},
    "mse": {"color": PURPLE, "linestyle": DASHDOT, "marker": "d"},
    "probability-sum": {"color": BLACK, "linestyle": DASHED, "marker": "<"},
    "zero-one": {"color": GREY, "linestyle": "-", "marker": ">"},
}

# Pairs that no loss above has, for losses that a user adds.
_SPARE: tuple[Style, ...] = (
    {"color": GREEN, "linestyle": DOTTED, "marker": "*"},
    {"color": VERMILLION, "linestyle": DOTTED, "marker": "p"},
    {"color": PURPLE, "linestyle": "-", "marker": "h"},
    {"color": ORANGE, "linestyle": "-", "marker": "8"},
    {"color": BLACK, "linestyle": DASHDOT, "marker": "*"},
    {"color": GREEN, "linestyle": DASHED, "marker": "p"},
    {"color": GREY, "linestyle": DASHED, "marker": "h"},
)


def style_of(loss_name: str) -> Style:
    """The colour, line style and marker of a loss.

    Fixed for the library's ten; any other name gets one of the spare styles, chosen by a
    checksum of the name, so that it too looks the same in every picture and on every machine.
    """
    style = STYLES.get(loss_name) or _SPARE[crc32(loss_name.encode()) % len(_SPARE)]
    return style.copy()
