"""Figures of a comparison; comparison.png shows accuracy and gradient during training."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lossbench.benchmarks.format import magnitude, percent
from lossbench.benchmarks.plots.canvas import (
    CHANCE_STYLE,
    DPI,
    RC,
    Label,
    figure_height,
    label_lines,
    label_margin,
    line_style,
    render_png,
    short_name,
    stamp_synthetic,
)
from lossbench.benchmarks.plots.closed_forms import draw_closed_forms
from lossbench.benchmarks.plots.forest import draw_differences
from lossbench.benchmarks.plots.palette import loss_style
from lossbench.benchmarks.records.reading import Experiment, Run

from .differences import MARGIN

LOWEST_DECADE = -9  # smaller gradients are rounding errors of float32


def draw_figures(experiment: Experiment, summary: dict[str, Any]) -> dict[str, bytes]:
    """Draw the figures of an experiment, and return them by file name.

    differences.png is left out if nothing was compared with cross-entropy, closed_forms.png if
    none of the losses is registered.
    """
    losses = summary["losses"].items()
    differences = {n: loss["minus_cross_entropy"] for n, loss in losses}
    figures = {
        "differences.png": draw_differences(
            {name: each for name, each in differences.items() if each is not None},
            MARGIN,
            synthetic=summary["synthetic"],
        ),
        "comparison.png": draw_comparison(experiment, summary),
        "closed_forms.png": draw_closed_forms(
            list(summary["losses"]),
            synthetic=summary["synthetic"],
            classes=summary["classes"],
        ),
    }
    return {name: png for name, png in figures.items() if png is not None}


def draw_comparison(experiment: Experiment, summary: dict[str, Any]) -> bytes:
    """Draw two panels over training steps: accuracy, and |dL/dz| of wrong examples.

    Accuracy is that on validation images, or on training images without a validation split. A line
    is the mean over finished seeds, its band reaches from the lowest to the highest. The marker at
    its end is the mean accuracy on the test images.
    """
    runs = experiment.compared
    with matplotlib.rc_context(RC):
        height = figure_height(len(runs))
        figure = Figure(figsize=(10, height), dpi=DPI)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(1.15, 1))
        right, top, bottom = 0.735 - label_margin(runs), 1 - 1.05 / height, 0.63 / height
        figure.subplots_adjust(left=0.095, right=right, top=top, bottom=bottom, hspace=0.24)
        figure.text(0.012, 1 - 0.2 / height, caption(experiment, summary), va="top", fontsize=10.5)
        _draw_accuracy(upper, runs, summary)
        _draw_gradient(lower, runs)
        figure.align_ylabels()
        if summary["synthetic"]:
            stamp_synthetic(figure)
        return render_png(figure, f"{summary['note'] or ''} {caption(experiment, summary)}".strip())


def caption(experiment: Experiment, summary: dict[str, Any]) -> str:
    """Describe data, model and start on one line; line, band and marker on a second."""
    data = experiment.about.get("data", {})
    model = experiment.about.get("model", {})
    images = "SYNTHETIC IMAGES" if summary["synthetic"] else str(data.get("name", "?"))
    parts = [f"{data.get('train', 0):,} training", f"{data.get('test', 0):,} test"]
    if data.get("validation"):
        parts.insert(1, f"{data['validation']:,} validation")
    seeds = len(summary["seeds"])
    fewest = min(len(loss["test_accuracy"]["per_seed"]) for loss in summary["losses"].values())
    count = f"{seeds}" if fewest == seeds else f"{fewest} to {seeds}"
    split = "validation" if summary["curve"] == "validation_accuracy" else "training"
    lines = f"Line: {split} images"
    if seeds > 1:
        lines += f", mean of {count} seeds; band: lowest to highest"
    lines += ". Marker at its end, and number: test images."
    return (
        f"{images}, {', '.join(parts[:-1])} and {parts[-1]} images, {model.get('name', '?')} with "
        f"{model.get('parameters', 0):,} parameters, {summary['start']} start.\n{lines}"
    )


def _draw_accuracy(axes: Axes, runs: dict[str, list[Run]], summary: dict[str, Any]) -> None:
    curve, chance = summary["curve"], summary["chance"]
    held_out = curve == "validation_accuracy"
    axes.set_title(f"How often is the model right{' on images it never saw' * held_out}?")
    axes.set_ylabel("accuracy, %")
    axes.tick_params(labelbottom=True)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    ends = {label.loss: label for label in _draw_lines(axes, runs, curve, _percents, percent)}
    axes.margins(x=0.015)
    labels = []
    for loss, group in runs.items():
        tested = summary["losses"][loss]["test_accuracy"]["mean"]
        if tested is None:
            labels += [ends[loss]] if loss in ends else []
            continue
        last = max(run.rows[-1].step for run in group)
        style = loss_style(loss)
        axes.plot(
            last,
            100 * tested,
            color=style["color"],
            marker=style["marker"],
            markersize=9,
            markeredgecolor="white",
            zorder=8,
            clip_on=False,
        )
        labels.append(Label(100 * tested, f"{short_name(loss)}  {percent(tested)}", loss))
    if chance is not None:
        axes.axhline(100 * chance, **CHANCE_STYLE, zorder=7)
        labels.append(Label(100 * chance, f"chance  {percent(chance)}", None))
    label_lines(axes, labels, gap=0.088)


def _percents(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return 100 * values


def _draw_gradient(axes: Axes, runs: dict[str, list[Run]]) -> None:
    column = "logit_when_wrong"
    if not _measured(runs, column):
        column = "logit_mean_abs"
    wrong = column == "logit_when_wrong"
    axes.set_title(f"How large is the logit gradient{' of wrong predictions' * wrong}?")
    axes.set_ylabel("mean |dL/dz| when wrong" if wrong else "mean |dL/dz|")
    axes.set_xlabel("training steps")
    low, high, below = decades_of(_measured(runs, column))
    # A logarithmic axis has no zero, so zeros are drawn a decade below all else, with a label.
    floor = 10.0 ** (low - 1)
    labels = _draw_lines(axes, runs, column, lambda values: values.clip(floor), magnitude)
    axes.set_yscale("log")
    axes.set_ylim(10.0 ** (low - (1.15 if below else 0.1)), 10.0 ** (high + 0.1))
    ticks = {10.0**d: power_of_ten(d) for d in range(low, high + 1, max(1, (high - low) // 5))}
    if below:
        ticks[floor] = below
    axes.set_yticks(list(ticks), list(ticks.values()))
    axes.minorticks_off()
    label_lines(axes, labels, gap=0.088)


class Decades(NamedTuple):
    """Exponents at the ends of a logarithmic axis, and the label of the values below it."""

    low: int
    high: int
    below: str | None


def decades_of(values: list[float]) -> Decades:
    """Return the decades that hold `values`; zeros and the tiniest lie below them."""
    positive = [value for value in values if value > 0]
    low = math.floor(math.log10(min(positive, default=0.1)))
    high = math.ceil(math.log10(max(positive, default=1)))
    low = max(low, LOWEST_DECADE)
    hidden = {value for value in values if value < 10.0**low}
    below = f"< {power_of_ten(low)}" if hidden - {0} else "0"
    return Decades(low, max(high, low + 1), below if hidden else None)


def _measured(runs: dict[str, list[Run]], column: str) -> list[float]:
    """Return all values of a column."""
    rows = [row for group in runs.values() for run in group for row in run.rows]
    return [value for row in rows if (value := row.measured(column)) is not None]


def power_of_ten(exponent: int) -> str:
    """Format a power of ten: 0.01, 1 or 100, and 1e-5 where it would have many zeros."""
    return f"{10.0**exponent:g}" if -4 < exponent < 4 else f"1e{exponent}"


def _draw_lines(
    axes: Axes,
    runs: dict[str, list[Run]],
    column: str,
    scale: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    form: Callable[[float], str],
) -> list[Label]:
    """Draw a line and a band per loss, and return their labels with the final mean."""
    labels = []
    for loss, group in runs.items():
        steps, values = _over_steps(group, column)
        if not len(steps):
            continue
        style = line_style(loss)
        points, mean = scale(values), scale(np.nanmean(values, axis=0))
        if len(group) > 1:
            low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
            axes.fill_between(steps, low, high, color=style["color"], alpha=0.10, linewidth=0)
        axes.plot(steps, mean, **style)
        final = float(np.nanmean(values[:, -1]))
        labels.append(Label(float(mean[-1]), f"{short_name(loss)}  {form(final)}", loss))
    axes.margins(x=0.0)
    axes.grid(axis="y", color="#E6E6E6", zorder=0)
    axes.set_axisbelow(True)
    return labels


def _over_steps(runs: list[Run], column: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the steps at which any run has a value, and the values (runs, steps), else NaN."""
    by_step = [{row.step: row.measured(column) for row in run.rows} for run in runs]
    steps = sorted({step for run in by_step for step, value in run.items() if value is not None})
    values = [[run.get(step) for step in steps] for run in by_step]
    return np.array(steps, dtype=np.int64), np.array(values, dtype=np.float64)
