"""SVG charts of curves, from the same panels as the PNG figures."""

from __future__ import annotations

import itertools
import json
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .canvas import Label, line_style, spread
from .curves import Axis, Curve, CurvePanel, area_of, label_of
from .readings import class_of, floats, readings
from .svg import (
    LETTER,
    TEXT,
    Chart,
    Scale,
    axis_ends,
    color_class,
    element,
    line,
    marker,
    path,
    text,
    ticks_of,
    widest,
)

WIDTH, HEIGHT = 480.0, 330.0
SMALL_WIDTH, SMALL_HEIGHT = 240.0, 180.0
MAX_POINTS, ALL_POINTS = 400, 4000
"""Points of a line that are drawn, and of all lines of a chart: a page stays small."""
MAX_READ, ALL_READ = 200, 2000
"""Positions whose values can be read, and values of a chart."""
LONG = 22
"""Letters of a label that stands on one line."""
GAP = "   "
"""What stands between the two parts of a name of an axis."""
FEWEST = 40
"""Points and positions that every line keeps."""


class _Axes(NamedTuple):
    """Size of a chart, the scales of its axes, and the names of their ticks by value."""

    width: float
    height: float
    x: Scale
    y: Scale
    x_ticks: Mapping[float, str]
    y_ticks: Mapping[float, str]


def curve_chart(panel: CurvePanel, *, small: bool = False, stamp: str = "") -> Chart:
    """Draw a panel of curves.

    Args:
        panel: the panel; its title is that of the chart.
        small: draw one of many small charts beside each other, without names of axes.
        stamp: a warning across the chart.
    """
    labels = [] if small else _labels(panel)
    names = [] if small else _name_lines(panel.x.label)
    axes = _axes(panel, labels, len(names), small)
    x, y, at_left = axes.x, axes.y, panel.label_side == "left"
    drawn = sorted(panel.curves, key=_order)
    points = _share(MAX_POINTS, ALL_POINTS, panel) if not small else FEWEST
    positions = _share(MAX_READ, ALL_READ, panel) if not small else FEWEST
    parts = [
        _grid(panel, x, y, axes.x_ticks, axes.y_ticks),
        "" if small else text(panel.y.label, 0, TEXT, "faint"),
        *(
            _name(name, x, axes.width, y.start + TEXT * (2.6 + 1.25 * number))
            for number, name in enumerate(names)
        ),
        _inside(x, y, "".join(_line(curve, x, y, points) for curve in drawn)),
        *(_markers(curve, x, y) for curve in drawn),
        _write_labels(labels, y, x.start if at_left else x.end, at_left),
        *(
            text(each, x.start + 8, y.end + TEXT * (1 + 1.2 * number), "faint")
            for number, each in enumerate([] if small else panel.text.splitlines())
        ),
        text(stamp, (x.start + x.end) / 2, (y.start + y.end) / 2, "stamp", "middle")
        if stamp
        else "",
        line(0, y.end, 0, y.start, "cursor"),
    ]
    svg = element(
        "svg",
        "".join(parts),
        class_="chart",
        viewBox=f"0 0 {axes.width:g} {axes.height:g}",
        role="img",
        tabindex="0",
        aria_label=_described(panel),
        data_values=json.dumps(readings(panel, x, positions), separators=(",", ":")),
    )
    inside = panel.text.splitlines() if small else []
    return Chart(f"{panel.title}: {', '.join(inside)}" if inside else panel.title, svg)


def _axes(panel: CurvePanel, labels: Sequence[Label], names: int, small: bool) -> _Axes:
    """Lay out a chart with some labels and as many lines of names below it."""
    width = SMALL_WIDTH if small else WIDTH
    texts = [each for label in labels for each in label.text.splitlines()]
    height = SMALL_HEIGHT if small else max(HEIGHT, 90 + 1.15 * TEXT * len(texts))
    x_ends = _ends(panel.x, [floats(curve.x) for curve in panel.curves], 0.02)
    y_ends = _ends(panel.y, [part for curve in panel.curves for part in _heights(curve)], 0.06)
    x_ticks = panel.x.ticks or ticks_of(*x_ends, log=panel.x.log, count=3 if small else 5)
    y_ticks = panel.y.ticks or ticks_of(*y_ends, log=panel.y.log, count=4 if small else 6)
    beside = 44 + widest(texts) if labels else 0.7 * TEXT
    before = 8 + widest(y_ticks.values())
    at_left = panel.label_side == "left"
    start, end = (beside, width - before) if at_left else (before, width - beside)
    foot = height - TEXT * (1.7 + 1.25 * names)
    x = Scale(*x_ends, start, end, panel.x.log)
    y = Scale(*y_ends, foot, (0.7 if small else 2.0) * TEXT, panel.y.log, panel.y.floor)
    return _Axes(width, height, x, y, x_ticks, y_ticks)


def _name_lines(name: str) -> list[str]:
    """Return the lines of the name of an axis; one that is too long is wrapped."""
    letters = int(WIDTH / LETTER)
    return [
        each
        for line in name.splitlines()
        for each in ([line] if GAP in line else textwrap.wrap(line, letters))
    ]


def _name(name: str, x: Scale, width: float, at: float) -> str:
    """Write the name of the horizontal axis; what stands apart in it stands at the ends."""
    parts = [each.strip() for each in name.split(GAP) if each.strip()]
    apart = max(2 * TEXT, x.end - x.start - widest(["".join(parts)])) if parts[1:] else 0.0
    total = widest(["".join(parts)]) + apart * (len(parts) - 1)
    start = max(0.0, min((x.start + x.end - total) / 2, width - total))
    if not parts[1:]:
        return text(name, start + total / 2, at, "faint", "middle")
    return text(parts[0], start, at, "faint") + text(parts[-1], start + total, at, "faint", "end")


def _share(most: int, total: int, panel: CurvePanel) -> int:
    return max(FEWEST, min(most, total // max(1, len(panel.curves))))


def _heights(curve: Curve) -> list[NDArray[np.float64]]:
    """Return all y of a curve, for the limits of the axis."""
    ends = [end for each in curve.intervals for end in (each.low, each.high) if end is not None]
    parts = (curve.y, *(curve.band or ()), *curve.seeds, curve.points[1], ends)
    return [*map(floats, parts), floats([1.2 * value for _, value in curve.arrows])]


def _ends(axis: Axis, values: Iterable[NDArray[np.float64]], margin: float) -> tuple[float, float]:
    every = np.concatenate([np.empty(0), *(each.ravel() for each in values)]).tolist()
    return axis_ends(every, axis.limits, log=axis.log, margin=margin)


def _labels(panel: CurvePanel) -> list[Label]:
    found = [label_of(curve, panel) for curve in panel.curves]
    labels = [label._replace(text=_stacked(label.text)) for label in found if label is not None]
    if panel.chance is not None:
        labels.append(Label(panel.chance, f"chance  {panel.chance:.1f}", None))
    return labels


def _stacked(label: str) -> str:
    """Put the value of a long label below its name."""
    return label if len(label) <= LONG else label.replace("  ", "\n")


def _described(panel: CurvePanel) -> str:
    """Say in words what the chart shows: every label, with its last value."""
    ends = [" ".join(label.text.split()) for label in _labels(panel)]
    what = " ".join(f"{panel.title} {panel.y.label}".split())
    return f"{what}: {'; '.join(ends)}." if ends else f"{what}."


def _grid(
    panel: CurvePanel,
    x: Scale,
    y: Scale,
    x_ticks: Mapping[float, str],
    y_ticks: Mapping[float, str],
) -> str:
    """Draw grid and ticks, and the reference lines of the panel."""
    at_left = panel.label_side == "left"
    parts = []
    for value, name in y_ticks.items():
        if y.low <= value <= y.high:
            side = x.end + 5 if at_left else x.start - 5
            parts.append(line(x.start, y(value), x.end, y(value), "grid"))
            anchor = None if at_left else "end"
            parts.append(text(name, side, y(value) + 0.35 * TEXT, "faint", anchor))
    inside = {x(value): name for value, name in x_ticks.items() if x.low <= value <= x.high}
    parts += [line(at, y.start, at, y.start + 4, "axis") for at in inside]
    parts += [text(n, at, y.start + 1.35 * TEXT, "faint", "middle") for at, n in _fit(inside)]
    parts.append(line(x.start, y.start, x.end, y.start, "axis"))
    for value, name in panel.verticals.items():
        parts.append(line(x(value), y.start, x(value), y.end, "axis"))
        parts.append(text(name, x(value), y.end - 4, "faint", "middle") if name else "")
    for value, name in panel.horizontals.items():
        parts.append(line(x.start, y(value), x.end, y(value), "axis"))
        parts.append(text(name, x.start + 4, y(value) - 4, "faint") if name else "")
    if panel.chance is not None:
        at = y(panel.chance)
        parts.append(line(x.start, at, x.end, at, "chance", stroke_dasharray="2 2"))
    return "".join(parts)


def _fit(names: Mapping[float, str]) -> list[tuple[float, str]]:
    """Return the names of ticks, by position, that stand apart: all, every second one, ..."""
    ordered = sorted(names.items())
    for step in range(1, len(ordered)):
        kept = ordered[len(ordered) // 2 % step :: step]
        if all(
            b[0] - a[0] > widest([a[1] + b[1]]) / 2 + 0.3 * TEXT
            for a, b in itertools.pairwise(kept)
        ):
            return kept
    return ordered[:1]


def _order(curve: Curve) -> tuple[bool, float]:
    return not curve.muted, line_style(curve.loss)["zorder"]


def _inside(x: Scale, y: Scale, content: str) -> str:
    """Cut content at the ends of the axes."""
    box = (x.start, y.end, x.end - x.start, y.start - y.end)
    view = " ".join(f"{each:.1f}" for each in box)
    sizes = dict(zip(("x", "y", "width", "height"), box, strict=True))
    return element("svg", content, viewBox=view, **sizes)


def _line(curve: Curve, x: Scale, y: Scale, most: int) -> str:
    """Draw band, seeds and line of a curve, of at most `most` points each."""
    at = [x(value) for value in floats(curve.x).ravel()]

    def heights(values: ArrayLike) -> list[tuple[float, float]]:
        points = list(zip(at, map(y, floats(values).tolist()), strict=True))
        if len(points) <= most:
            return points
        kept = np.linspace(0, len(points) - 1, most).round().astype(int)
        return [points[index] for index in kept]

    parts = []
    if curve.band is not None:
        low, high = map(heights, curve.band)
        parts.append(path([*low, *reversed(high)], "band"))
    parts += [path(heights(seed), "thin") for seed in curve.seeds]
    points = heights(curve.y)
    if sum(not math.isnan(height) for _, height in points) > 1:
        style = dashes(curve.loss, False if curve.muted else curve.emphasis)
        parts.append(path(points, "line", **style))
    for middle, each in zip(at, curve.intervals, strict=False):
        if each.low is not None and each.high is not None:
            parts.append(line(middle, y(each.low), middle, y(each.high), "bar"))
    for start, value in curve.arrows:
        tip = y(value) - 12
        head = f"M{x(start):.1f} {y(value):.1f}V{tip:.1f}m-4 5l4 -5l4 5"
        parts.append(element("path", d=head, class_="bar"))
    return element("g", "".join(parts), class_=class_of(curve))


def dashes(loss: str, emphasis: bool | None = None) -> dict[str, str]:
    """Return width and dashes of the line of a loss, as attributes."""
    style = line_style(loss)
    width = {None: 0.8 * style["linewidth"], True: 3.4, False: 1.3}[emphasis]
    found = {"stroke_width": f"{width:.1f}"}
    if not isinstance(style["linestyle"], str):
        offset, lengths = style["linestyle"]
        found["stroke_dasharray"] = " ".join(f"{length:g}" for length in lengths)
        found["stroke_dashoffset"] = f"{offset:g}"
    return found


def _markers(curve: Curve, x: Scale, y: Scale) -> str:
    """Draw the markers of a curve that lie between the ends of the axes."""

    def seen(at: float, height: float) -> bool:
        inside = x.low <= at <= x.high and (y.floor is not None or y.low <= height)
        return inside and height <= y.high

    parts = []
    for at, height in zip(*(floats(part).tolist() for part in curve.points), strict=True):
        if not seen(at, height):
            continue
        if curve.point_marker == "_":
            parts.append(line(x(at) - 5, y(height), x(at) + 5, y(height), "bar"))
        elif curve.point_marker:
            parts.append(element("circle", cx=x(at), cy=y(height), r=2.2, class_="point"))
        else:
            parts.append(marker(curve.loss, x(at), y(height), size=4, hollow=True))
    points = list(zip(floats(curve.x).tolist(), floats(curve.y).tolist(), strict=True))
    for index, (at, height) in enumerate(points):
        chosen = index == curve.chosen
        if curve.shares and seen(at, height):
            radius = 1.3 * math.sqrt(area_of(curve.shares[index]) / math.pi)
            parts.append(element("circle", cx=x(at), cy=y(height), r=radius, class_="mark"))
        if (curve.markers or chosen) and seen(at, height):
            hollow = curve.markers == "hollow" and not chosen
            size = 7.0 if chosen else 5.0
            parts.append(marker(curve.loss, x(at), y(height), size=size, hollow=hollow))
    return element("g", "".join(parts), class_=class_of(curve)) if parts else ""


def _write_labels(labels: list[Label], y: Scale, edge: float, at_left: bool) -> str:
    """Write each label beside the axes, with a sample of its line, as near to its end as fits."""
    if not labels:
        return ""
    # Heights rise from below, positions from above.
    ordered = sorted(labels, key=lambda label: -y(label.y))
    ends = np.array([y.start - y(label.y) for label in ordered])
    room = y.start - y.end
    most = max(len(label.text.splitlines()) for label in labels)
    gap = min(1.2 * TEXT * most, 0.97 * room / max(1, len(ordered) - 1))
    heights = y.start - spread(ends, gap, 0.02 * room, 0.99 * room)
    away = -1 if at_left else 1
    parts = []
    for label, height in zip(ordered, heights.tolist(), strict=True):
        sample = dashes(label.loss) if label.loss else {"stroke_dasharray": "2 2"}
        sample.pop("stroke_dashoffset", None)  # the sample is too short for it
        ends_at = edge + away * 12, edge + away * 32
        parts += [
            line(edge + away * 2, y(label.y), edge + away * 10, height, "leader"),
            element(
                "g",
                line(ends_at[0], height, ends_at[1], height, "line", **sample),
                class_=color_class(label.loss) if label.loss else "c-muted",
            ),
            *(
                text(
                    each,
                    edge + away * 37,
                    height + TEXT * (0.35 + 1.15 * (number - label.text.count("\n") / 2)),
                    "",
                    "end" if at_left else None,
                )
                for number, each in enumerate(label.text.splitlines())
            ),
        ]
    return "".join(parts)
