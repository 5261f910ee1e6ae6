"""One style per loss, the same in every figure.

Most colours are those of Okabe and Ito (2008), with a navy and an indigo so that the four
likelihood losses stay blue; the others are the colours most distant from these under normal and
colour-blind vision. Losses of one colour differ in line style and marker. The ten losses of the
article often coincide to the pixel: a solid line lies below, and shows through the gaps of a dashed
line above it.
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
GREEN, BLACK, GREY = "#009E73", "#000000", "#6B6B6B"
LEAF, VIOLET, BROWN, UMBER, LILAC = "#7FAF5A", "#9A1CF0", "#885533", "#442200", "#9988FF"

ON_DARK: dict[str, str] = {
    BLUE: "#3993B9",
    SKY: SKY,
    NAVY: "#B6CFF1",
    INDIGO: "#8F86F0",
    VERMILLION: "#EC6336",
    ORANGE: ORANGE,
    PURPLE: "#C69FBC",
    GREEN: "#14E994",
    BLACK: "#F2F2F2",
    GREY: "#828282",
    LEAF: LEAF,
    VIOLET: "#9054C3",
    BROWN: "#B57C65",
    UMBER: "#E9BB59",
    LILAC: "#6352FF",
}
"""The colour on a dark page, by that on a light one."""

# Lengths in points: offset, then on, off, ...
SOLID: LineStyle = "-"
DASHED: LineStyle = (0, (7, 3.5))
DASHDOT: LineStyle = (0, (7, 2, 1.6, 2))
DASHDOTDOT: LineStyle = (0, (7, 2, 1.6, 2, 1.6, 2))
DOTTED: LineStyle = (0, (1.7, 2.3))
LONG: LineStyle = (0, (15, 4))
# One period, shifted: where both lines coincide, one shows in the gaps of the other.
SPACED_DASHED: LineStyle = (0, (7, 7))
SPACED_DASHDOT: LineStyle = (6.5, (3.8, 1.2, 1.2, 7.8))


def _style(color: str, linestyle: LineStyle, marker: str) -> Style:
    return {"color": color, "linestyle": linestyle, "marker": marker}


STYLES: dict[str, Style] = {
    # The ten losses of the article.
    "cross-entropy": _style(BLUE, SOLID, "o"),
    "nll": _style(SKY, SPACED_DASHED, "s"),
    "bce": _style(INDIGO, SPACED_DASHDOT, "D"),
    "bce-with-logits": _style(NAVY, DOTTED, "^"),
    "bernoulli-sum": _style(GREEN, SOLID, "v"),
    "sigmoid-mse": _style(VERMILLION, SOLID, "X"),
    "softmax-mse": _style(ORANGE, DASHED, "P"),
    "mse": _style(PURPLE, DASHDOT, "d"),
    "probability-sum": _style(BLACK, DASHED, "<"),
    "zero-one": _style(GREY, SOLID, ">"),
    # Other losses of the claims: one colour each.
    "generalized-cross-entropy": _style(LEAF, SOLID, "*"),
    "symmetric-cross-entropy": _style(VIOLET, SOLID, "p"),
    "focal": _style(BROWN, SOLID, "h"),
    "logit-adjusted": _style(UMBER, SOLID, "8"),
    "balanced-softmax": _style(UMBER, DOTTED, "h"),
    "ldam": _style(UMBER, LONG, "*"),
    "distillation": _style(SKY, DASHDOT, "P"),
    "label-smoothing": _style(LILAC, SOLID, "H"),
    # Related losses: the same colour, another line style.
    "sigmoid-generalized-cross-entropy": _style(LEAF, DASHED, "<"),
    "squared-log": _style(LEAF, DASHDOT, "o"),
    "sigmoid-squared-log": _style(LEAF, DOTTED, "s"),
    "sigmoid-symmetric-cross-entropy": _style(VIOLET, DASHED, "v"),
    "multi-margin": _style(VIOLET, DASHDOT, "^"),
    "multilabel-margin": _style(VIOLET, DOTTED, "D"),
    "hinge-embedding": _style(VIOLET, LONG, "X"),
    "softmax-focal": _style(BROWN, DASHED, "o"),
    "poly-1": _style(BROWN, DASHDOT, "s"),
    "sigmoid-poly-1": _style(BROWN, DOTTED, "v"),
    "asymmetric": _style(BROWN, LONG, "^"),
    "soft-margin": _style(UMBER, DASHED, "d"),
    "multilabel-soft-margin": _style(UMBER, DASHDOT, "<"),
    "bi-tempered-logistic": _style(LILAC, DASHED, "D"),
    "sigmoid-bi-tempered-logistic": _style(LILAC, DASHDOT, "P"),
    "kl-div": _style(SKY, SOLID, "H"),
    "z-loss": _style(NAVY, DASHED, "p"),
    "soft-capped": _style(NAVY, LONG, "8"),
    "softmax-probability-sum": _style(BLACK, DASHDOT, "*"),
    "multiclass-zero-one": _style(GREY, DASHED, "d"),
    "rescaled-square": _style(PURPLE, SOLID, "H"),
    "l1": _style(PURPLE, DASHED, "X"),
    "one-vs-rest-l1": _style(PURPLE, DOTTED, "P"),
    "squentropy": _style(PURPLE, LONG, "*"),
    "expectation": _style(ORANGE, SOLID, "D"),
    "chebyshev": _style(ORANGE, DASHDOT, "^"),
    "tanimoto": _style(ORANGE, DOTTED, "h"),
    "cauchy-schwarz": _style(ORANGE, LONG, "p"),
    "hinge": _style(GREEN, DASHED, ">"),
    "squared-hinge": _style(GREEN, DASHDOT, "8"),
    "cubed-hinge": _style(GREEN, LONG, "d"),
    "one-vs-rest-hinge": _style(GREEN, DOTTED, "o"),
    "one-vs-rest-squared-hinge": _style(GREEN, SPACED_DASHED, "X"),
    "one-vs-rest-cubed-hinge": _style(GREEN, DASHDOTDOT, "P"),
}

# Styles for all other losses; no loss above has them.
_SPARE: tuple[Style, ...] = (
    _style(VERMILLION, DASHED, "p"),
    _style(VERMILLION, DOTTED, "*"),
    _style(VERMILLION, DASHDOTDOT, "h"),
    _style(BLUE, LONG, "8"),
    _style(BLUE, DASHDOTDOT, "H"),
    _style(BLACK, SOLID, "p"),
    _style(BLACK, LONG, "h"),
    _style(GREY, DASHDOT, "*"),
    _style(GREY, LONG, "8"),
    _style(UMBER, DASHDOTDOT, "s"),
    _style(LILAC, LONG, "^"),
    _style(INDIGO, DASHED, "v"),
)


def loss_style(loss_name: str) -> Style:
    """Return a copy of the style of a loss.

    Losses without a style of their own get one of the spare styles by a checksum of the name, so
    that they look the same in every figure and on every machine.
    """
    style = STYLES.get(loss_name) or _SPARE[crc32(loss_name.encode()) % len(_SPARE)]
    return style.copy()
