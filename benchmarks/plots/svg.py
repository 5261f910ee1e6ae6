"""Parts of SVG charts: elements, scales, ticks, colours and markers.

A chart has the classes of the page's style.css: its colours are variables, so that it follows light
and dark. All lengths are units of its viewBox; a letter is `TEXT` units high.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Any

from matplotlib.markers import MarkerStyle
from matplotlib.ticker import LogLocator, MaxNLocator

from lossbench.benchmarks.format import MINUS

from .intervals import Limits
from .palette import ON_DARK, loss_style

TEXT = 14.0
LETTER = 0.56 * TEXT
"""Width of a letter: a little more than the mean of common fonts."""


@dataclass(frozen=True)
class Chart:
    """A chart of a page.

    Attributes:
        title: text above it.
        svg: an svg element. Texts from outside are escaped in it.
    """

    title: str
    svg: str


@dataclass(frozen=True)
class Scale:
    """The map from values to positions.

    Attributes:
        low, high: values at the ends.
        start, end: positions of the ends.
        log: whether it is logarithmic; low and high are above 0 then.
        floor: least value; smaller ones are drawn at it.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    floor: float | None = None

    def __call__(self, value: float) -> float:
        """Return the position of a value, at most one length outside of the ends."""
        if math.isnan(value):
            return math.nan
        low, high = self.low, self.high
        value = value if self.floor is None else max(value, self.floor)
        if self.log:
            value = max(value, low * (low / high))
            low, high, value = math.log(low), math.log(high), math.log(value)
        share = (value - low) / (high - low)
        return self.start + min(2.0, max(-1.0, share)) * (self.end - self.start)


def axis_ends(
    values: Iterable[float], limits: Limits, *, log: bool, margin: float
) -> tuple[float, float]:
    """Return the ends of an axis: its own limits, or those of the values with a margin.

    Args:
        values: what is drawn; those that the axis cannot show do not count.
        limits: ends of the axis; None: what the values need.
        log: whether the axis is logarithmic.
        margin: share of the range of the values.
    """
    shown = [v for v in values if math.isfinite(v) and (v > 0 or not log)] or [1.0]
    low, high = min(shown), max(shown)
    if log:
        ratio = max(high / low, 1.2) ** margin
        low, high = low / ratio, high * ratio
    else:
        reach = margin * ((high - low) or abs(high) or 1)
        low, high = low - reach, high + reach
    low, high = (
        (low if limits[0] is None else limits[0]),
        (high if limits[1] is None else limits[1]),
    )
    return (low, high) if low < high else (low, low + (abs(low) or 1))


def element(name: str, content: str = "", **attributes: Any) -> str:
    """Return an element; `content` is markup, attributes are texts and numbers.

    Numbers have one decimal. An underscore at the end of an attribute's name is left out, and
    others become hyphens. Attributes that are None are left out.
    """
    parts = [
        f" {key.rstrip('_').replace('_', '-')}={_attribute(value)}"
        for key, value in attributes.items()
        if value is not None
    ]
    return f"<{name}{''.join(parts)}>{content}</{name}>"


def text(content: str, x: float, y: float, class_name: str = "", anchor: str | None = None) -> str:
    """Return a text at a position; `anchor` is middle or end."""
    attributes = {"class_": class_name or None, "text_anchor": anchor}
    return element("text", escape(content), x=x, y=y, **attributes)


def centred(content: str, x: float, y: float, class_name: str, width: float) -> str:
    """Return a text in the middle of a position, or as near as it fits into a width."""
    half = (widest([content]) + LETTER) / 2
    return text(content, max(half, min(x, width - half)), y, class_name, "middle")


def line(x1: float, y1: float, x2: float, y2: float, class_name: str, **attributes: Any) -> str:
    """Return a straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_name, **attributes)


def path(points: Iterable[tuple[float, float]], class_name: str, **attributes: Any) -> str:
    """Return a line through points; one with a NaN is a gap."""
    commands, pen = [], "M"
    for x, y in points:
        if math.isnan(x) or math.isnan(y):
            pen = "M"
            continue
        commands.append(f"{pen}{x:.1f} {y:.1f}")
        pen = "L"
    return element("path", d="".join(commands), class_=class_name, **attributes)


def color_class(loss: str) -> str:
    """Return the class that gives an element the colour of a loss."""
    return _class_of(loss_style(loss)["color"])


def palette_css() -> str:
    """Return the classes of all colours: the variable --c, on a light and on a dark page."""
    light, dark = (
        "".join(f".{_class_of(key)}{{--c:{value}}}" for key, value in pairs)
        for pairs in (((key, key) for key in ON_DARK), ON_DARK.items())
    )
    return f"{light}\n@media (prefers-color-scheme: dark){{{dark}}}"


def marker(loss: str, x: float, y: float, *, size: float = 5.0, hollow: bool = False) -> str:
    """Return the marker of a loss."""
    style = MarkerStyle(loss_style(loss)["marker"])
    outline: Any = style.get_path().transformed(style.get_transform()).to_polygons()
    # Shapes of matplotlib are about one unit wide; y points down here.
    points = " ".join(f"{x + 2 * size * u:.1f},{y - 2 * size * v:.1f}" for u, v in outline[0][:-1])
    return element("polygon", points=points, class_="mark hollow" if hollow else "mark")


def ticks_of(low: float, high: float, *, log: bool, count: int) -> dict[float, str]:
    """Return about `count` round values between two ends, with their texts."""
    if log:
        subs = (1, 2, 5) if high < 100 * low else (1,)
        values = LogLocator(subs=subs, numticks=count + 2).tick_values(low, high)
    else:
        values = MaxNLocator(count, steps=[1, 2, 5, 10]).tick_values(low, high)
    # Round values may miss an end by a rounding error.
    reach = (1e-9 * low, 1e-9 * high) if log else (1e-9 * (high - low),) * 2
    return {
        float(value): tick_text(float(value))
        for value in values
        if low - reach[0] <= value <= high + reach[1]
    }


def tick_text(value: float) -> str:
    """Format the value of a tick: 1,000 or 0.01 or 1e-5."""
    sign, size = (MINUS if value < 0 else ""), abs(value)
    if size >= 1e6 or 0 < size < 1e-3:
        digits, exponent = f"{size:e}".split("e")
        return f"{sign}{float(digits):g}e{int(exponent)}"
    return f"{sign}{size:,.0f}" if size >= 1000 else f"{sign}{size:.10g}"


def short_number(value: float) -> str:
    """Format a value with four digits."""
    return tick_text(float(f"{value:.4g}"))


def widest(texts: Iterable[str]) -> float:
    """Return the width of the widest text."""
    return LETTER * max(map(len, texts), default=0)


def _class_of(color: str) -> str:
    return f"c-{color.lstrip('#').lower()}"


def _attribute(value: Any) -> str:
    """Return a value in quotes; in single ones if it has more of the others, as JSON has."""
    if isinstance(value, float):
        return f'"{value:.1f}"'.replace('.0"', '"')
    content = escape(str(value), quote=False)
    if content.count('"') > content.count("'"):
        return "'" + content.replace("'", "&#x27;") + "'"
    return '"' + content.replace('"', "&quot;") + '"'
