"""Figures of the claim `probability-sum`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lossbench.benchmarks.evidence.measures.gradient_formulas import GRADIENT_FORMULAS
from lossbench.benchmarks.evidence.measures.limits import size
from lossbench.benchmarks.evidence.measures.logit_gradients import (
    END,
    FORMULAS,
    LOW,
    LogitGradients,
)
from lossbench.benchmarks.evidence.measures.networks import chance_of
from lossbench.benchmarks.plots.canvas import DPI, FAINT, RC, Label, line_style, render_png
from lossbench.benchmarks.plots.palette import loss_style
from lossbench.benchmarks.records.claim import ClaimFigure
from lossbench.benchmarks.training.result import RunResult

from .training_curves import draw_curve, finish

REACH = 10.0
SHOWN = (0.0001, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)


def draw_gradient(seen: Mapping[str, LogitGradients]) -> ClaimFigure:
    """Draw measured |dL/dz| and the closed forms against the probability of the right class."""
    import matplotlib
    from matplotlib.figure import Figure

    title = "Where does the push on the logit die?"
    z = np.linspace(-REACH, REACH, 400)
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(10, 5.4), dpi=DPI)
        axes = figure.subplots()
        figure.subplots_adjust(left=0.075, right=0.97, top=0.90, bottom=0.165)
        axes.set_title(title)
        axes.set_ylabel("|dL/dz|")
        axes.set_xlabel(
            "probability p that the model gives to the right class\n"
            "← sure of the wrong class            sure of the right class →"
        )
        for loss, runs in seen.items():
            color = line_style(loss)["color"]
            axes.plot(z, GRADIENT_FORMULAS[loss].magnitude(z), color=color, linewidth=1.4, zorder=3)
            dots = thinned(runs)
            axes.plot(
                dots.odds,
                dots.magnitude,
                linestyle="none",
                marker=loss_style(loss)["marker"],
                markersize=6.5,
                color=color,
                markerfacecolor="white",
                zorder=4,
            )
            # On the left of its curve, where the two are apart.
            high = float(GRADIENT_FORMULAS[loss].magnitude(np.array(LOW)))
            axes.annotate(
                f"{loss}: {FORMULAS[loss]}",
                (-REACH + 0.3, high),
                xytext=(0, 9 if high < 0.5 else -20),
                textcoords="offset points",
                color=color,
                fontweight="bold",
            )
        for end in (LOW, -LOW):
            axes.axvline(end, color=FAINT, linewidth=0.9, linestyle=(0, (1, 3)))
        axes.set_xticks([np.log(p / (1 - p)) for p in SHOWN], [f"{p:g}" for p in SHOWN])
        axes.set_xlim(-REACH, REACH)
        axes.set_ylim(-0.03, 1.04)
        axes.grid(axis="y", color="#E6E6E6")
        axes.set_axisbelow(True)
        axes.annotate(
            "dots: measured in training\nlines: the closed forms\ndotted: where the model is sure",
            (0.985, 0.97),
            xycoords="axes fraction",
            ha="right",
            va="top",
            color=FAINT,
        )
        ends = ", ".join(f"{loss} {mean_of(runs.wrong)}" for loss, runs in seen.items())
        alt = (
            f"{title} Dots are measured gradients, lines the closed forms "
            f"{' and '.join(FORMULAS.values())}. Mean |dL/dz| where the right class has p below "
            f"{END:g}: {ends}."
        )
        return ClaimFigure("gradient.png", render_png(figure, alt), alt)


def mean_of(values: np.ndarray) -> str:
    return size(float(values.mean()) if len(values) else None)


def thinned(runs: LogitGradients) -> LogitGradients:
    """Keep one example per step along the axis, so that dots do not hide the curve."""
    inner = np.abs(runs.odds) < REACH
    odds, push = runs.odds[inner], runs.magnitude[inner]
    _, first = np.unique(np.round(2.5 * odds), return_index=True)
    return LogitGradients(odds[first], push[first])


def draw_training(starts: Mapping[str, Mapping[str, Sequence[RunResult]]]) -> ClaimFigure:
    """Draw validation accuracy over steps: one panel per start, one line per loss."""
    import matplotlib
    from matplotlib.figure import Figure

    title, said = "What that does to training", []
    chance, seeds = 50.0, 0
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(10, 7.2), dpi=DPI)
        panels = figure.subplots(len(starts), 1, sharex=True, sharey=True)
        figure.subplots_adjust(left=0.085, right=0.68, top=0.94, bottom=0.09, hspace=0.26)
        for axes, (name, runs) in zip(panels, starts.items(), strict=True):
            axes.set_title(f"{title}: {name}")
            axes.set_ylabel("validation accuracy, %")
            labels = []
            for loss, results in runs.items():
                end = draw_curve(axes, results, loss, "validation_accuracy", 100)
                labels.append(Label(end, f"{loss}  {end:.1f}", loss))
                chance, seeds = chance_of(results), len(results)
            said.append(f"{name}: " + ", ".join(label.text for label in labels))
            finish(axes, labels, gap=0.095, chance=chance)
        panels[-1].set_xlabel(f"training steps (thin: each of {seeds} seeds, thick: their mean)")
        alt = f"{title}: validation accuracy at the end, %. {'; '.join(said)}; chance {chance:.1f}."
        return ClaimFigure("training.png", render_png(figure, alt), alt)
