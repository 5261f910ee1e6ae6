"""Claim: does training on the count of errors move any parameter?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean as mean
from typing import NamedTuple

import numpy as np

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.plots.canvas import DPI, RC, Label, render_png
from lossbench.benchmarks.records.claim import ClaimFigure, ClaimTable, Finding, Measure, verdict_of
from lossbench.benchmarks.stats.intervals import mean_interval
from lossbench.benchmarks.stats.verdict import verdict_above
from lossbench.benchmarks.training.result import RunResult

from .claim import Budget, Claim, Trainer
from .figures.training_curves import draw_curve, finish
from .measures.contrasts import plus_minus, signed
from .measures.limits import at_most, size
from .measures.networks import over_seeds

ZERO_ONE, REFERENCE = "zero-one", "cross-entropy"
# The default model, and the same without batch normalisation, in which nothing but parameters can
# change an answer.
MODEL, PLAIN = "convnet", "plainnet"
MODELS = {PLAIN: "without batch normalisation", MODEL: "default model"}
RATE, EXTREME = 0.1, 1000.0
# What cross-entropy must gain from the same start, in points: without that there would be nothing
# to learn, and standing still would show nothing.
GAIN = 5.0


class Size(NamedTuple):
    """Epochs and seeds of a budget."""

    epochs: int
    seeds: int


SIZES: dict[Budget, Size] = {"quick": Size(3, 3), "standard": Size(4, 5), "full": Size(15, 10)}


class Cell(NamedTuple):
    """A loss, a model and a rate, trained with all seeds."""

    model: str
    loss: str
    rate: float


CELLS = tuple(
    Cell(model, loss, rate)
    for model in MODELS
    for loss, rate in ((ZERO_ONE, RATE), (ZERO_ONE, EXTREME), (REFERENCE, RATE))
)
STILL, LEARNS = Cell(PLAIN, ZERO_ONE, RATE), Cell(PLAIN, REFERENCE, RATE)

Found = Mapping[Cell, Sequence[RunResult]]


def examine(trainer: Trainer) -> Finding:
    epochs, seeds = SIZES[trainer.budget]
    configs = [
        RunConfig(
            loss=cell.loss,
            seed=0,
            learning_rate=cell.rate,
            model=cell.model,
            epochs=epochs,
            evaluations=6,
        )
        for cell in CELLS
    ]
    trainer.say(f"the count of errors and cross-entropy from the same {seeds} starts")
    found = dict(zip(CELLS, over_seeds(trainer, configs, seeds), strict=True))
    measures = measures_of(found)
    return Finding(
        verdict_of(measures),
        sentence_of(found),
        measures,
        (draw(found),),
        (table_of(found),),
        notes_of(found),
    )


def measures_of(found: Found) -> tuple[Measure, ...]:
    """Measure what must be exactly 0 in every network, and that cross-entropy learns."""
    still = [result for cell in CELLS if cell.loss == ZERO_ONE for result in found[cell]]
    plain = [result for result in still if result.config.model == PLAIN]
    gained = mean_interval([gain(result) for result in found[LEARNS]])
    seeds = len(found[STILL])
    return (
        at_most(
            "zero-one: distance of all parameters from where they began, largest of all networks",
            [result.parameter_distance for result in still],
            0.0,
            seeds,
        ),
        at_most(
            "zero-one: mean |dL/dz| and norm of the parameter gradient at any evaluation, largest",
            [largest_gradient(result) for result in still],
            0.0,
            seeds,
        ),
        at_most(
            f"zero-one, {MODELS[PLAIN]}: validation accuracy at any evaluation minus that at the "
            "start, largest difference, points",
            [largest_change(result) for result in plain],
            0.0,
            seeds,
        ),
        Measure(
            "cross-entropy from the same starts: validation accuracy gained, points",
            gained.mean,
            gained.low,
            gained.high,
            f"above {signed(GAIN, None)} points",
            verdict_above(gained, GAIN),
        ),
    )


def largest_gradient(result: RunResult) -> float:
    """Return the largest gradient of the logit and the parameters in a run; NaN if one is NaN."""
    values = [
        v for point in result.evaluations for v in (point.logit_mean_abs, point.parameter_norm)
    ]
    return sum(values) if any(value != value for value in values) else max(values)


def largest_change(result: RunResult) -> float:
    """Return the largest change of validation accuracy from the start, in points."""
    began, *later = [100 * point.validation_accuracy for point in result.evaluations]
    return max((abs(value - began) for value in later), default=0.0)


def ends(result: RunResult) -> tuple[float, float]:
    """Return the validation accuracy at the start and at the end, in percent."""
    assert result.validation is not None
    # A network that has diverged still names a class.
    return (
        100 * result.evaluations[0].validation_accuracy,
        100 * float(result.validation.correct.mean()),
    )


def gain(result: RunResult) -> float:
    """Return the validation accuracy at the end minus that at the start, in points."""
    began, ended = ends(result)
    return ended - began


def sentence_of(found: Found) -> str:
    still = [result for cell in CELLS if cell.loss == ZERO_ONE for result in found[cell]]
    gained = mean_interval([gain(result) for result in found[LEARNS]])
    return (
        f"Trained on the count of errors, the parameters of {len(still)} networks moved by "
        f"{size(max(result.parameter_distance for result in still))} at most, learning rates of "
        f"{RATE:g} and {EXTREME:,.0f} alike; from the same starts cross-entropy moved them by "
        f"{size(mean(o.parameter_distance for o in found[LEARNS]))} and gained "
        f"{plus_minus(gained)} points of validation accuracy."
    )


def table_of(found: Found) -> ClaimTable:
    rows = []
    for cell in CELLS:
        began, ended = zip(*(ends(result) for result in found[cell]), strict=True)
        moved = [result.parameter_distance for result in found[cell]]
        first, last = (
            mean(result.evaluations[at].logit_mean_abs for result in found[cell]) for at in (0, -1)
        )
        rows.append(
            (
                cell.loss,
                MODELS[cell.model],
                f"{cell.rate:,g}",
                f"{size(min(moved))} to {size(max(moved))}",
                plus_minus(mean_interval(began)),
                plus_minus(mean_interval(ended)),
                f"{size(first)} → {size(last)}",
                str(len(moved)),
            )
        )
    return ClaimTable(
        "Where networks of the same start end",
        (
            "loss",
            "network",
            "learning rate",
            "distance moved, least to most",
            "validation accuracy at the start, %",
            "at the end, %",
            "mean |dL/dz|, first → last",
            "seeds",
        ),
        tuple(rows),
        (
            "Distance moved: Euclidean, over all parameters. Accuracy: mean ± half the 95 % t "
            "interval over seeds. A zero without decimals is exactly zero.",
        ),
    )


def notes_of(found: Found) -> tuple[str, ...]:
    changes = [gain(result) for result in found[Cell(MODEL, ZERO_ONE, RATE)]]
    return (
        "Batch normalisation counts the means and variances of what it sees, whatever the loss. So "
        "with the default model's parameters untouched by zero-one its validation accuracy still "
        f"changed, by {signed(min(changes))} to {signed(max(changes))} points: it is as little "
        "trained as before. Hence the network without it.",
        "No weight decay is used, which would move parameters whatever the loss.",
        "That nothing moves is a fact about following the gradient. The count of errors is what "
        "one wants to be small, and a search that needs no gradient can make it so.",
    )


def draw(found: Found) -> ClaimFigure:
    """Draw validation accuracy and |dL/dz| over steps, for both losses from the same starts."""
    import matplotlib
    from matplotlib.figure import Figure

    seeds = len(found[STILL])
    title = "Does a network learn from the count of its errors?"
    accuracy, gradient = [], []
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(10, 7.4), dpi=DPI)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(1.15, 1))
        figure.subplots_adjust(left=0.085, right=0.70, top=0.94, bottom=0.085, hspace=0.26)
        upper.set_title(title)
        upper.set_ylabel("validation accuracy, %")
        lower.set_title("How hard does an answer push on the logit?")
        lower.set_ylabel("mean |dL/dz|")
        lower.set_xlabel(f"training steps (thin: each of {seeds} seeds, thick: their mean)")
        for cell in (LEARNS, STILL):
            end = draw_curve(upper, found[cell], cell.loss, "validation_accuracy", 100)
            accuracy.append(Label(end, f"{cell.loss}  {end:.1f}", cell.loss))
            end = draw_curve(lower, found[cell], cell.loss, "logit_mean_abs")
            gradient.append(Label(end, f"{cell.loss}  {size(end)}", cell.loss))
        lower.set_ylim(bottom=min(-0.02, lower.get_ylim()[0]))
        finish(upper, accuracy, gap=0.085, chance=chance_of(found[STILL][0]))
        finish(lower, gradient, gap=0.085)
        moved = ", ".join(
            f"{cell.loss} {size(mean(o.parameter_distance for o in found[cell]))}"
            for cell in (LEARNS, STILL)
        )
        figure.text(0.715, 0.02, f"Distance that parameters\nmoved: {moved}", fontsize=9.5)
        alt = (
            f"{title} Network {MODELS[PLAIN]}, mean of {seeds} seeds at the end, validation "
            f"accuracy in %: {'; '.join(label.text for label in accuracy)}. Mean |dL/dz|: "
            f"{'; '.join(label.text for label in gradient)}. Distance moved: {moved}."
        )
        return ClaimFigure("start.png", render_png(figure, alt), alt)


def chance_of(result: RunResult) -> float:
    """Return the validation accuracy of always predicting the most frequent class, in percent."""
    assert result.validation is not None
    labels = result.validation.labels
    return 100 * float(np.bincount(labels).max() / len(labels))


CLAIM = Claim(
    name="zero-one",
    question="What does a network learn from the count of its errors?",
    claim=(
        "Nothing: the count of errors has no gradient, so parameters do not move at all and "
        "accuracy stays where it began."
    ),
    refuted_by=(
        "A parameter moves, a gradient is not 0, or accuracy changes while parameters are all that "
        "could change it; or there is nothing to learn from that start for cross-entropy either."
    ),
    procedure=(
        "Networks are trained with zero-one and with cross-entropy from the same initial weights, "
        f"on the same batches, at a learning rate of {RATE:g}, and with zero-one at "
        f"{EXTREME:,.0f} as well; one network is the default model, one the same without batch "
        "normalisation. With zero-one the distance of all parameters from where they began must "
        "be 0, exactly, and so must mean |dL/dz| and the norm of the parameter gradient at every "
        "evaluation, and, without batch normalisation, the change of validation accuracy. "
        f"Cross-entropy must gain more than {signed(GAIN, None)} points of validation accuracy "
        "from there, by the 95 % t interval over seeds."
    ),
    source="a step function has derivative 0 wherever it has one",
    examine=examine,
)
