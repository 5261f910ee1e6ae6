"""SVG charts of rows, from the same panels as the PNG figures.

The texts of a row stand above its bar, which has all of the width: it is read on a narrow screen.
"""

from __future__ import annotations

from html import escape
from typing import Any

from .intervals import IntervalRow, RowPanel, Visible, visible
from .svg import (
    LETTER,
    TEXT,
    Chart,
    Scale,
    axis_ends,
    centred,
    color_class,
    element,
    line,
    marker,
    short_number,
    text,
    ticks_of,
    widest,
)

WIDTH, SIDE = 480.0, 12.0
LINE, BAR = 1.3 * TEXT, 26.0
"""Heights of a line of text and of a bar."""


def row_chart(panel: RowPanel, *, stamp: str = "") -> Chart:
    """Draw a panel of rows.

    Args:
        panel: the panel; its title is that of the chart.
        stamp: a warning across the chart.
    """
    x = Scale(*_limits(panel), SIDE, WIDTH - SIDE, panel.log)
    head = LINE if panel.chance is not None or any(panel.references.values()) else 0.4 * LINE
    parts, top = [], head
    for row in panel.rows:
        markup, height = _row(row, x, top)
        parts.append(markup)
        top += height
    ticks = ticks_of(x.low, x.high, log=panel.log, count=6)
    names = panel.x_label.splitlines()
    behind = [line(x(value), head, x(value), top, "grid") for value in ticks]
    for value, name in panel.references.items():
        behind.append(line(x(value), head, x(value), top, "axis"))
        behind.append(centred(name, x(value), head - 4, "faint", WIDTH) if name else "")
    if panel.chance is not None:
        at, name = x(panel.chance), f"chance {panel.chance:.0f}"
        behind.append(line(at, head, at, top, "chance", stroke_dasharray="2 2"))
        behind.append(centred(name, at, head - 4, "faint", WIDTH))
    below = [centred(name, x(v), top + LINE, "faint", WIDTH) for v, name in ticks.items()]
    below += [
        text(name, WIDTH / 2, top + (2.2 + number) * LINE, "faint", "middle")
        for number, name in enumerate(names)
    ]
    if stamp:
        below.append(text(stamp, WIDTH / 2, top / 2, "stamp", "middle"))
    height = top + (1.5 + len(names)) * LINE
    told = "; ".join(" ".join(f"{r.label} {r.text} {r.verdict}".split()) for r in panel.rows)
    svg = element(
        "svg",
        "".join([*behind, *parts, *below]),
        class_="chart",
        viewBox=f"0 0 {WIDTH:g} {height:.0f}",
        role="img",
        aria_label=f"{' '.join(f'{panel.title} {panel.x_label}'.split())}: {told}.",
    )
    return Chart(panel.title, svg)


def _row(row: IntervalRow, x: Scale, top: float) -> tuple[str, float]:
    """Draw a row below `top`, and return it with its height."""
    lines, told = row.label.splitlines() or [""], f"{row.text}  {row.verdict}".strip()
    if widest(lines[-1:]) + widest([told]) > x.end - x.start - TEXT:
        lines.append("")
    foot = top + LINE * len(lines)
    middle = foot + BAR / 2
    parts = [text(each, SIDE, top + LINE * (n + 0.8)) for n, each in enumerate(lines) if each]
    parts.append(text(told, WIDTH - SIDE, foot - 0.2 * LINE, "value", "end"))
    if row.expected:
        low, high = (_within(end, x) for end in row.expected)
        place: dict[str, Any] = {"x": low, "y": foot + 2, "width": high - low, "height": BAR - 4}
        parts.insert(0, element("rect", class_="expected", **place))
    if row.ends:
        (least, first), (most, last) = min(row.ends), max(row.ends)
        parts.append(line(_within(least, x), middle, _within(most, x), middle, "axis"))
        names, at = (first, last), (_within(least, x), _within(most, x))
        for name, middle_of in zip(names, _apart(names, at), strict=True):
            parts.append(text(name, middle_of, foot + BAR, "faint", "middle"))
    if row.floor is not None:
        parts.append(line(_within(row.floor, x), middle - 8, _within(row.floor, x), middle + 8,
                          "axis"))  # fmt: skip
    interval, marks = row.interval, [element("title", escape(_told(row)))]
    shown = visible(row, (x.low, x.high))
    marks += [
        line(x(value), middle - 11, x(value), middle - 5, "bar")
        for value in row.values
        if x.low <= value <= x.high
    ]
    if shown is not None:
        marks.append(_bar(shown, x, middle))
    if row.inner is not None:
        low, high = (_within(end, x) for end in row.inner)
        marks.append(line(low, middle, high, middle, "bar thick"))
    if interval.mean is not None and x.low <= interval.mean <= x.high:
        marks.append(marker(row.loss, x(interval.mean), middle, hollow=row.hollow))
    parts.append(element("g", "".join(marks), class_=color_class(row.loss)))
    return "".join(parts), foot + BAR - top


def _apart(names: tuple[str, str], at: tuple[float, float]) -> tuple[float, float]:
    """Return where the middles of two names stand: near `at`, beside each other and inside."""
    halves = [(widest([name]) + LETTER) / 2 for name in names]
    gap = sum(halves)
    spare = max(0.0, gap - (at[1] - at[0])) / 2
    first = min(max(halves[0], at[0] - spare), WIDTH - halves[1] - gap)
    last = min(max(first + gap, at[1] + spare), WIDTH - halves[1])
    return first, last


def _within(value: float, x: Scale) -> float:
    """Return the position of a value, or the nearer end of the axis."""
    if x.log and value <= 0:
        return x.start
    return min(max(x(value), x.start), x.end)


def _bar(shown: Visible, x: Scale, middle: float) -> str:
    """Draw a bar, with an arrow at an end that it continues beyond."""
    start, end = x(shown.low), x(shown.high)
    d = f"M{start:.1f} {middle:.1f}H{end:.1f}"
    if shown.continues[0]:
        d += f"M{start + 6:.1f} {middle - 5:.1f}l-6 5l6 5"
    if shown.continues[1]:
        d += f"M{end - 6:.1f} {middle - 5:.1f}l6 5l-6 5"
    return element("path", d=d, class_="bar")


def _told(row: IntervalRow) -> str:
    """Return the numbers of a row in words."""
    words = [f"{' '.join(row.label.split())}:"]
    interval = row.interval
    if interval.mean is not None:
        words.append(short_number(interval.mean))
    if interval.low is not None and interval.high is not None:
        words.append(f"({short_number(interval.low)} to {short_number(interval.high)})")
    return " ".join(words)


def _limits(panel: RowPanel) -> tuple[float, float]:
    """Return the ends of the axis: the panel's own, or what its rows need."""
    shown = [value for row in panel.rows for value in row.values]
    for row in panel.rows:
        interval = row.interval
        shown += [
            v for v in (interval.mean, interval.low, interval.high, row.floor) if v is not None
        ]
        shown += [value for value, _ in row.ends]
        shown += row.expected or ()
    shown += [*panel.references, *([] if panel.chance is None else [panel.chance])]
    return axis_ends(shown, panel.limits, log=panel.log, margin=0.05)
