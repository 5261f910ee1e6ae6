"""Figures of a comparison; comparison.png shows accuracy and gradient during training."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lossbench.benchmarks.config import REFERENCE
from lossbench.benchmarks.format import magnitude, percent
from lossbench.benchmarks.plots.canvas import (
    DPI,
    RC,
    SYNTHETIC,
    figure_height,
    label_margin,
    render_png,
    short_name,
    stamp_synthetic,
)
from lossbench.benchmarks.plots.closed_forms import closed_form_panels, draw_closed_forms
from lossbench.benchmarks.plots.curves import Axis, Curve, CurvePanel, draw_panel
from lossbench.benchmarks.plots.forest import differences_panel, draw_differences
from lossbench.benchmarks.plots.svg import Chart
from lossbench.benchmarks.plots.svg_curves import curve_chart
from lossbench.benchmarks.plots.svg_rows import row_chart
from lossbench.benchmarks.records.reading import Experiment, Run

from .differences import MARGIN, compared, verdict_words

LOWEST_DECADE = -9  # smaller gradients are rounding errors of float32


class Drawn(NamedTuple):
    """A figure as a PNG and as charts of an HTML page."""

    png: bytes
    charts: tuple[Chart, ...]


def draw_figures(experiment: Experiment, summary: dict[str, Any]) -> dict[str, Drawn]:
    """Draw the figures of an experiment, and return them by file name.

    differences.png is left out if nothing was compared with cross-entropy, closed_forms.png if
    none of the losses is registered.
    """
    synthetic, classes = summary["synthetic"], summary["classes"]
    stamp = SYNTHETIC if synthetic else ""
    differences = compared(summary)
    words = {name: verdict_words(each) for name, each in differences.items()}
    curves = comparison_panels(experiment, summary)
    forms = closed_form_panels(list(summary["losses"]), classes)
    charts = {
        "differences.png": [row_chart(differences_panel(differences, MARGIN, words), stamp=stamp)]
        if differences
        else [],
        "comparison.png": [curve_chart(panel, stamp=stamp) for panel in curves],
        "closed_forms.png": [curve_chart(panel, stamp=stamp) for panel in forms],
    }
    figures = {
        "differences.png": draw_differences(differences, MARGIN, words, synthetic=synthetic),
        "comparison.png": draw_comparison(experiment, summary, curves),
        "closed_forms.png": draw_closed_forms(forms, synthetic=synthetic),
    }
    return {
        name: Drawn(png, tuple(charts[name])) for name, png in figures.items() if png is not None
    }


def charts_beside_reference(experiment: Experiment, summary: dict[str, Any]) -> tuple[Chart, ...]:
    """Draw the accuracy of each loss beside that of cross-entropy, in grey; () without one."""
    runs = {name: experiment.compared[name] for name in summary["losses"]}
    if REFERENCE not in runs:
        return ()
    panel = accuracy_panel(runs, summary)
    stamp = SYNTHETIC if summary["synthetic"] else ""
    return tuple(
        curve_chart(each, small=True, stamp=stamp) for each in beside_reference(panel, runs)
    )


def comparison_panels(experiment: Experiment, summary: dict[str, Any]) -> list[CurvePanel]:
    """Return two panels over training steps: accuracy, and |dL/dz| of wrong examples.

    Accuracy is that on validation images, or on training images without a validation split. A line
    is the mean over finished seeds, its band reaches from the lowest to the highest. The marker at
    its end is the mean accuracy on the test images.
    """
    return [accuracy_panel(experiment.compared, summary), gradient_panel(experiment.compared)]


def draw_comparison(
    experiment: Experiment, summary: dict[str, Any], panels: Sequence[CurvePanel]
) -> bytes:
    """Draw the panels of `comparison_panels` below each other."""
    runs = experiment.compared
    with matplotlib.rc_context(RC):
        height = figure_height(len(runs))
        figure = Figure(figsize=(10, height), dpi=DPI)
        grid = figure.subplots(2, 1, sharex=True, height_ratios=(1.15, 1))
        right, top, bottom = 0.735 - label_margin(runs), 1 - 1.05 / height, 0.63 / height
        figure.subplots_adjust(left=0.095, right=right, top=top, bottom=bottom, hspace=0.24)
        figure.text(0.012, 1 - 0.2 / height, caption(experiment, summary), va="top", fontsize=10.5)
        for axes, panel in zip(grid, panels, strict=True):
            draw_panel(axes, panel, gap=0.088)
        grid[0].set_xlabel("")
        grid[0].tick_params(labelbottom=True)
        figure.align_ylabels()
        if summary["synthetic"]:
            stamp_synthetic(figure)
        return render_png(figure, f"{summary['note'] or ''} {caption(experiment, summary)}".strip())


def caption(experiment: Experiment, summary: dict[str, Any]) -> str:
    """Describe data, model and start on one line; line, band and marker on a second."""
    data = experiment.about.get("data", {})
    model = experiment.about.get("model", {})
    images = SYNTHETIC if summary["synthetic"] else str(data.get("name", "?"))
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


def accuracy_panel(runs: dict[str, list[Run]], summary: dict[str, Any]) -> CurvePanel:
    """Return the curves of accuracy over steps, with a marker for the accuracy on test images.

    A curve ends at its label; the label of a marker replaces it.
    """
    column, chance = summary["curve"], summary["chance"]
    held_out = column == "validation_accuracy"
    curves = []
    for loss, group in runs.items():
        tested = summary["losses"][loss]["test_accuracy"]["mean"]
        curve = _mean_curve(loss, group, column, percent, 100)
        if curve is not None:
            curves.append(curve if tested is None else replace(curve, label=""))
        if tested is not None:
            last = max(run.rows[-1].step for run in group)
            label = f"{short_name(loss)}  {percent(tested)}"
            name = f"{loss}, test images"
            mark = Curve(loss, [last], [100 * tested], label, markers="filled", name=name)
            curves.append(mark)
    return CurvePanel(
        curves,
        _steps_axis(runs),
        Axis("accuracy, %"),
        f"How often is the model right{' on images it never saw' * held_out}?",
        None if chance is None else 100 * chance,
    )


def gradient_panel(runs: dict[str, list[Run]]) -> CurvePanel:
    """Return the curves of |dL/dz| over steps: of wrong predictions, or of all without any."""
    column = "logit_when_wrong"
    if not _measured(runs, column):
        column = "logit_mean_abs"
    wrong = column == "logit_when_wrong"
    low, high, below = decades_of(_measured(runs, column))
    # A logarithmic axis has no zero, so zeros are drawn a decade below all else, with a label.
    floor = 10.0 ** (low - 1)
    ticks = {10.0**d: power_of_ten(d) for d in range(low, high + 1, max(1, (high - low) // 5))}
    if below:
        ticks[floor] = below
    limits = 10.0 ** (low - (1.15 if below else 0.1)), 10.0 ** (high + 0.1)
    label = "mean |dL/dz| when wrong" if wrong else "mean |dL/dz|"
    found = [_mean_curve(loss, group, column, magnitude) for loss, group in runs.items()]
    return CurvePanel(
        [curve for curve in found if curve is not None],
        _steps_axis(runs),
        Axis(label, log=True, ticks=ticks, limits=limits, floor=floor),
        f"How large is the logit gradient{' of wrong predictions' * wrong}?",
    )


def beside_reference(panel: CurvePanel, losses: Iterable[str]) -> list[CurvePanel]:
    """Return a panel per loss, with the curves of that loss and those of cross-entropy in grey.

    All panels have the same limits, and no labels.
    """
    ends = [
        np.concatenate([np.ravel(np.asarray(part, float)) for part in (c.y, *(c.band or ()))])
        for c in panel.curves
    ]
    values = np.concatenate(ends)
    least, most = float(np.nanmin(values)), float(np.nanmax(values))
    limits = panel.y.limits if panel.y.log else (least, most)
    grey = [
        replace(curve, muted=True, label="", markers="")
        for curve in panel.curves
        if curve.loss == REFERENCE
    ]
    return [
        replace(
            panel,
            curves=[
                *grey,
                *(replace(curve, label="") for curve in panel.curves if curve.loss == loss),
            ],
            y=replace(panel.y, limits=limits),
            title=loss,
        )
        for loss in losses
        if loss != REFERENCE
    ]


def _steps_axis(runs: dict[str, list[Run]]) -> Axis:
    last = max(run.rows[-1].step for group in runs.values() for run in group)
    return Axis("training steps", limits=(-0.015 * last, 1.015 * last) if last else (None, None))


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


def _mean_curve(
    loss: str, runs: list[Run], column: str, form: Callable[[float], str], scale: float = 1
) -> Curve | None:
    """Return the mean of a column over runs, with a band from the lowest to the highest run.

    Args:
        loss: loss of the runs.
        runs: its runs.
        column: column of results.csv.
        form: formats the last mean for the label.
        scale: factor of the values.
    """
    steps, values = _over_steps(runs, column)
    if not len(steps):
        return None
    ends = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
    mean = np.nanmean(values, axis=0)
    label = f"{short_name(loss)}  {form(float(mean[-1]))}"
    band = (scale * ends[0], scale * ends[1]) if len(runs) > 1 else None
    return Curve(loss, steps, scale * mean, label, band=band)


def _over_steps(runs: list[Run], column: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the steps at which any run has a value, and the values (runs, steps), else NaN."""
    by_step = [{row.step: row.measured(column) for row in run.rows} for run in runs]
    steps = sorted({step for run in by_step for step, value in run.items() if value is not None})
    values = [[run.get(step) for step in steps] for run in by_step]
    return np.array(steps, dtype=np.int64), np.array(values, dtype=np.float64)
