"""Figures that several claims have."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from lossbench.benchmarks.format import magnitude
from lossbench.benchmarks.plots.curves import Axis, Curve, CurvePanel, draw_curves
from lossbench.benchmarks.plots.intervals import IntervalRow, RowPanel, draw_intervals
from lossbench.benchmarks.records.claim import ClaimFigure
from lossbench.benchmarks.stats.intervals import mean_interval

from .measures import HypothesisTest
from .runs import Runs
from .text import signed


def figure(
    name: str,
    draw: Callable[..., bytes],
    *content: Any,
    title: str,
    caption: str,
    alt: str,
    **layout: Any,
) -> ClaimFigure:
    """Draw a figure with a title and a caption.

    Args:
        name: file name.
        draw: function of plots/ that draws it.
        content: panels of the figure.
        title: title of the figure.
        caption: text below the title.
        alt: the numbers of the figure in words, for readers who do not see it.
        layout: further arguments of `draw`.
    """
    alt = f"{title} {alt}" if title.endswith("?") else f"{title}. {alt}"
    png = draw(*content, title=title, caption=caption, description=alt, **layout)
    return ClaimFigure(name, png, alt)


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
    return IntervalRow(label, loss, interval, values, text.format(interval.mean), **style)


def hypothesis_figure(x_label: str, tests: Sequence[HypothesisTest]) -> ClaimFigure:
    """Draw the interval of each tested contrast; green is where the claim expects it."""
    rows = [
        IntervalRow(
            each.name,
            each.loss,
            each.contrast.interval,
            text=signed(measured.value),
            verdict=measured.verdict,
            hollow=each.hollow,
            expected=(
                (each.threshold, math.inf) if each.side == "above" else (-math.inf, each.threshold)
            ),
        )
        for each, _, measured in tests
    ]
    results = "; ".join(
        f"{measured.name}: {signed(measured.value)}, wanted {measured.wanted}, {measured.verdict}"
        for _, _, measured in tests
    )
    return figure(
        "differences.png",
        draw_intervals,
        [RowPanel(rows, x_label, references={0: ""})],
        title="Expected and measured differences",
        caption="Marker: mean over seeds; bar: 95 % interval. Green: where the claim expects it.",
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
) -> ClaimFigure:
    """Draw the search for learning rates: validation accuracy against the rate, per loss.

    Args:
        title: title of the figure.
        searched: per loss, the mean validation accuracy by ascending rate, as a fraction; 0 if a
            network diverged.
        names: name of each loss.
        chance: accuracy of always predicting one class, in percent.
    """
    curves, best = [], []
    lowest = chance - 3
    for loss, accuracy in searched.items():
        rates, y = list(accuracy), [100 * fraction for fraction in accuracy.values()]
        top = int(np.argmax(y))
        label = f"{names[loss]}  {y[-1]:.1f}"
        shown = np.maximum(y, lowest)
        curves.append(Curve(loss, rates, shown, label, markers="hollow", chosen=top))
        best.append(f"{names[loss]} {y[top]:.1f} at {rates[top]:g}")
    x = rate_axis(rate for accuracy in searched.values() for rate in accuracy)
    y_axis = Axis("validation accuracy, %", limits=(lowest - 1, None))
    return figure(
        "rates.png",
        draw_curves,
        [CurvePanel(curves, x, y_axis, chance=chance)],
        title=title,
        caption=(
            "Marker: mean over the seeds of the search; filled: the rate chosen. A diverged "
            "network has accuracy 0, drawn at the lower edge."
        ),
        alt=f"Best validation accuracy in %: {'; '.join(best)}.",
        height=3.8,
    )
