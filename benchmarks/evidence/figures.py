"""Figures that several claims have."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from lossbench.benchmarks.format import MINUS, magnitude, number
from lossbench.benchmarks.plots.curves import Axis, Curve, CurvePanel
from lossbench.benchmarks.plots.intervals import IntervalRow, RowPanel
from lossbench.benchmarks.plots.panels import PanelFigure
from lossbench.benchmarks.stats.intervals import Interval, mean_interval

from .design import Tested
from .runs import Runs

LABEL_WIDTH = 46
"""Characters of a line of a quantity's name."""


def figure(
    name: str,
    panels: Sequence[CurvePanel] | Sequence[RowPanel],
    *,
    title: str,
    caption: str,
    alt: str,
    columns: int = 1,
) -> PanelFigure:
    """Return a figure with a title and a caption.

    Args:
        name: file name.
        panels: panels of the figure.
        title: title of the figure.
        caption: text below the title.
        alt: the numbers of the figure in words, for readers who do not see it.
        columns: panels beside each other.
    """
    alt = f"{title} {alt}" if title.endswith("?") else f"{title}. {alt}"
    return PanelFigure(name, alt, title, caption, panels, columns)


def seed_row(
    label: str, loss: str, values: Sequence[float], text: str = "{:.1f}", **style: Any
) -> IntervalRow:
    """Return the row of one value per seed: their mean with its 95 % interval, and ticks.

    Args:
        label: name at the left.
        loss: loss whose style it has.
        values: one per seed.
        text: format of the mean at the right.
        style: further fields of `IntervalRow`.
    """
    interval = mean_interval(values)
    told = text.format(interval.mean).replace("-", MINUS)
    return IntervalRow(label, loss, interval, values, told, **style)


def tests_figure(tests: Sequence[Tested], losses: Sequence[str]) -> PanelFigure:
    """Show the interval of each tested quantity; the shade is where the claim expects it.

    Args:
        tests: the quantities; those of one unit share a panel.
        losses: loss whose style each of them has.
    """
    rows: dict[str, list[IntervalRow]] = {}
    for (expected, quantity, measured, _), loss in zip(tests, losses, strict=True):
        ends = expected.range
        row = IntervalRow(
            textwrap.fill(expected.quantity, LABEL_WIDTH),
            loss,
            Interval(measured.value, measured.low, measured.high, len(quantity.values)),
            text=number(measured.value),
            verdict=measured.verdict,
            expected=(math.exp(ends[0]), math.exp(ends[1])) if expected.is_ratio else ends,
        )
        rows.setdefault(expected.unit, []).append(row)
    panels = [
        RowPanel(
            each,
            "ratio" if unit == "times" else unit,
            references={1.0 if unit == "times" else 0.0: ""},
            log=unit == "times",
        )
        for unit, each in rows.items()
    ]
    results = "; ".join(
        f"{test.measure.name}: {number(test.measure.value)}, expected {test.measure.wanted}, "
        f"{test.measure.verdict}"
        for test in tests
    )
    return figure(
        "differences.png",
        panels,
        title="Expected and measured",
        caption=(
            "Marker: mean over seeds; bar: its interval over all looks. Shaded: where the claim "
            "expects it."
        ),
        alt=f"{results}.",
    )


def training_curve(runs: Runs, column: str, scale: float = 1.0) -> Curve:
    """Return the curve of a column of `Evaluation`, times `scale`, over steps.

    It is the mean over the runs, whose own curves are thin lines. The label is the last value: in
    percent if `scale` is 100.
    """
    values = scale * np.array([[getattr(each, column) for each in run.evaluations] for run in runs])
    steps, mean = [each.step for each in runs[0].evaluations], values.mean(0)
    last, loss = float(mean[-1]), runs[0].config.loss
    label = f"{loss}  {last:.1f}" if scale == 100 else f"{loss}  {magnitude(last)}"
    return Curve(loss, steps, mean, label, seeds=list(values))


def rate_axis(rates: Iterable[float]) -> Axis:
    """Return the axis of learning rates, with a tick at each."""
    ticks = {rate: f"{rate:g}" for rate in sorted(set(rates))}
    return Axis("peak learning rate", log=True, ticks=ticks)


def search_figure(
    title: str,
    searched: Mapping[str, Mapping[float, float]],
    names: Mapping[str, str],
    chance: float,
    y_label: str = "validation accuracy, %",
) -> PanelFigure:
    """Show the search for learning rates: its score against the rate, per loss.

    Args:
        title: title of the figure.
        searched: per loss, the mean score in percent by ascending rate.
        names: name of each loss.
        chance: score of always predicting one class, in percent.
        y_label: name of the score.
    """
    curves, best = [], []
    for loss, scores in searched.items():
        rates, y = list(scores), list(scores.values())
        top = int(np.argmax(y))
        curves.append(
            Curve(loss, rates, y, f"{names[loss]}  {y[-1]:.1f}", markers="hollow", chosen=top)
        )
        best.append(f"{names[loss]} {y[top]:.1f} at {rates[top]:g}")
    x = rate_axis(rate for scores in searched.values() for rate in scores)
    return figure(
        "rates.png",
        [CurvePanel(curves, x, Axis(y_label), chance=chance)],
        title=title,
        caption="Marker: mean over the seeds of the search; filled: the rate chosen.",
        alt=f"Best {y_label.removesuffix(', %')} in %: {'; '.join(best)}.",
    )
