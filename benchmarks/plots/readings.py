"""The values of curves that a reader sees beside the pointer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .curves import Axis, Curve, CurvePanel
from .svg import Scale, color_class, short_number

NEAR = 16
"""Units between points of different curves that are read together."""


def readings(panel: CurvePanel, x: Scale, positions: int) -> dict[str, Any]:
    """Return what a reader sees beside the pointer.

    Args:
        panel: the panel.
        x: its horizontal scale.
        positions: the most positions; more are thinned evenly.

    Points of several curves that are drawn beside each other, so that they do not hide each other,
    are one position.

    Returns:
        x: positions, rising. at: the value at each, as text. lines: per curve its name, its class,
        and the text of its value at each position, None where it has none.
    """
    grid = np.unique(np.concatenate([np.empty(0), *(floats(c.x) for c in panel.curves)]))
    if len(grid) > positions:
        grid = grid[np.linspace(0, len(grid) - 1, positions).round().astype(int)]
    told = {index: _texts(curve) for index, curve in enumerate(panel.curves)}
    groups = _beside(grid.tolist(), list(told.values()), x)
    lines = []
    for index, curve in enumerate(panel.curves):
        if any(value is not None for value in told[index].values()):
            found = [[told[index][v] for v in group if v in told[index]] for group in groups]
            each = [values[0] if values else None for values in found]
            lines.append([curve.name or curve.loss, class_of(curve), each])
    name, middles = panel.x.label.partition("\n")[0], [float(np.mean(group)) for group in groups]
    at = [f"{name} {_tick_near(v, panel.x, x) or short_number(v)}".strip() for v in middles]
    return {"x": [round(x(v), 1) for v in middles], "at": at, "lines": lines}


def _beside(grid: list[float], told: list[dict[float, str | None]], x: Scale) -> list[list[float]]:
    """Group positions nearer than `NEAR`, unless a curve has two of them."""
    groups: list[list[float]] = []
    for at in grid:
        last = groups[-1] if groups else []
        near = bool(last) and x(at) - x(last[0]) < NEAR
        if near and not any(at in each and any(v in each for v in last) for each in told):
            last.append(at)
        else:
            groups.append([at])
    return groups


def _tick_near(value: float, axis: Axis, x: Scale) -> str | None:
    """Return the name of the tick at a position, if there is one."""
    return next((name for at, name in axis.ticks.items() if abs(x(at) - x(value)) < 1), None)


def _texts(curve: Curve) -> dict[float, str | None]:
    """Return the text of each value of a curve, by x: '64.4 (62.9 to 66.1)'."""
    if curve.band is not None:
        ends = list(zip(*map(floats, curve.band), strict=True))
    elif curve.seeds:
        seeds = np.array(curve.seeds, float)
        ends = list(zip(np.nanmin(seeds, axis=0), np.nanmax(seeds, axis=0), strict=True))
    else:
        known = [(each.low, each.high) for each in curve.intervals]
        ends = [(math.nan if a is None else a, math.nan if b is None else b) for a, b in known]
    texts: dict[float, str | None] = {}
    for index, (x, y) in enumerate(zip(floats(curve.x), floats(curve.y), strict=True)):
        value = None if math.isnan(y) else short_number(y)
        if value and index < len(ends) and not math.isnan(sum(ends[index])):
            value += f" ({short_number(ends[index][0])} to {short_number(ends[index][1])})"
        texts[float(x)] = value
    return texts


def class_of(curve: Curve) -> str:
    """Return the class that gives an element the colour of a curve."""
    return "c-muted" if curve.muted else color_class(curve.loss)


def floats(values: ArrayLike) -> NDArray[np.float64]:
    """Return values as float64."""
    return np.asarray(values, float)
