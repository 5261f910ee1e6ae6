"""Claim: does training on the count of errors change any parameter?"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean as mean
from typing import NamedTuple

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.format import magnitude
from lossbench.benchmarks.plots.curves import Axis, CurvePanel
from lossbench.benchmarks.plots.panels import PanelFigure
from lossbench.benchmarks.records.claim import ClaimTable, Measure
from lossbench.benchmarks.training.result import RunResult

from .claim import Analysis, Claim
from .design import Design, Expected, Quantity, Tested
from .figures import figure, training_curve
from .measures import at_most, table, tests_table
from .runs import Runs, chance_level, validation_accuracy
from .text import mean_text, signed

ZERO_ONE, REFERENCE = "zero-one", "cross-entropy"
# The default model, and the same without batch normalisation, whose predictions depend on nothing
# but its parameters.
MODEL, PLAIN = "convnet", "plainnet"
MODELS = {PLAIN: "without batch normalisation", MODEL: "default model"}
RATE, EXTREME = 0.1, 1000.0
# Points that cross-entropy must gain from the same start. Without that there would be nothing to
# learn, and unchanged parameters would show nothing.
GAIN = 5.0


class Cell(NamedTuple):
    """A model, a loss and a learning rate, trained with all seeds."""

    model: str
    loss: str
    rate: float


CELLS = tuple(
    Cell(model, loss, rate)
    for model in MODELS
    for loss, rate in ((ZERO_ONE, RATE), (ZERO_ONE, EXTREME), (REFERENCE, RATE))
)
UNCHANGED, LEARNS = Cell(PLAIN, ZERO_ONE, RATE), Cell(PLAIN, REFERENCE, RATE)


DESIGN = Design(
    question="What does a network learn from the count of its errors?",
    expects=(
        Expected("cross-entropy from the same start: validation accuracy gained", "above", GAIN),
    ),
    cells={
        cell: RunConfig(
            cell.loss, 0, cell.rate, model=cell.model, epochs=2, evaluations=6, test=True
        )
        for cell in CELLS
    },
    looks=(3,),
)


class ZeroOne(Analysis):
    """Runs with zero-one and cross-entropy from the same initial parameters."""

    @property
    def zero_one_runs(self) -> list[RunResult]:
        """All runs with zero-one."""
        return [run for cell in CELLS if cell.loss == ZERO_ONE for run in self.runs[cell]]

    def measures(self) -> Sequence[Measure]:
        runs, seeds = self.zero_one_runs, len(self.runs[UNCHANGED])
        return (
            at_most(
                "zero-one: distance of all parameters from their initial values, largest of all "
                "networks",
                [run.parameter_distance for run in runs],
                0.0,
                seeds,
            ),
            at_most(
                "zero-one: mean |dL/dz| and norm of the parameter gradient at any evaluation, "
                "largest",
                [largest_gradient(run) for run in runs],
                0.0,
                seeds,
            ),
            at_most(
                f"zero-one, {MODELS[PLAIN]}: validation accuracy at any evaluation minus that at "
                "the start, largest difference, points",
                [largest_change(run) for run in runs if run.config.model == PLAIN],
                0.0,
                seeds,
            ),
            *(test.measure for test in self.tests()),
        )

    def tests(self) -> list[Tested]:
        """Test whether there was anything to learn."""
        return DESIGN.test([Quantity(tuple(gain(run) for run in self.runs[LEARNS]))])

    def sentence(self) -> str:
        runs = self.zero_one_runs
        return (
            f"Trained with zero-one, the parameters of {len(runs)} networks changed by at most "
            f"{magnitude(max(run.parameter_distance for run in runs))}."
        )

    def figures(self) -> Sequence[PanelFigure]:
        seeds, cells = len(self.runs[UNCHANGED]), (LEARNS, UNCHANGED)
        chance = chance_level(self.runs[UNCHANGED][0].validation)
        accuracy = [training_curve(self.runs[cell], "validation_accuracy", 100) for cell in cells]
        gradient = [training_curve(self.runs[cell], "logit_mean_abs") for cell in cells]
        distances = ", ".join(
            f"{cell.loss} {magnitude(mean_distance(self.runs[cell]))}" for cell in cells
        )
        accuracies, gradients = (
            "; ".join(curve.label for curve in curves) for curves in (accuracy, gradient)
        )
        steps = Axis("training steps")
        panels = [
            CurvePanel(accuracy, steps, Axis("validation accuracy, %"), chance=chance),
            CurvePanel(gradient, steps, Axis("mean |dL/dz|", limits=(-0.02, None))),
        ]
        start = figure(
            "start.png",
            panels,
            title="Does a network learn from the count of its errors?",
            caption=(
                f"Thin: each of {seeds} seeds; thick: their mean. Distance of the parameters from "
                f"their initial values: {distances}."
            ),
            alt=(
                f"Network {MODELS[PLAIN]}, mean of {seeds} seeds at the end, validation accuracy "
                f"in %: {accuracies}; chance  {chance:.1f}. Mean |dL/dz|: {gradients}. "
                f"Distance of the parameters from their initial values: {distances}."
            ),
        )
        return (start,)

    def tables(self) -> Sequence[ClaimTable]:
        return (
            tests_table(self.tests()),
            table(
                "Networks with the same initial parameters",
                self.runs.items(),
                {
                    "loss": lambda item: item[0].loss,
                    "network": lambda item: MODELS[item[0].model],
                    "learning rate": lambda item: f"{item[0].rate:,g}",
                    "distance of the parameters, least to most": lambda item: _range(item[1]),
                    "validation accuracy at the start, %": lambda item: mean_text(
                        [100 * run.evaluations[0].validation_accuracy for run in item[1]]
                    ),
                    "at the end, %": lambda item: mean_text(
                        list(map(validation_accuracy, item[1]))
                    ),
                    "mean |dL/dz|, first → last": lambda item: " → ".join(
                        magnitude(mean(run.evaluations[at].logit_mean_abs for run in item[1]))
                        for at in (0, -1)
                    ),
                    "seeds": lambda item: str(len(item[1])),
                },
                "Distance: Euclidean, of all parameters from their initial values. Accuracy: mean "
                "± half the 95 % t interval over seeds. A zero without decimals is exactly zero.",
            ),
        )

    def notes(self) -> Sequence[str]:
        changes = [gain(run) for run in self.runs[Cell(MODEL, ZERO_ONE, RATE)]]
        return (
            "Batch normalisation tracks the means and variances of its inputs, whatever the loss. "
            "So the validation accuracy of the default model changed with zero-one although its "
            f"parameters did not, by {signed(min(changes))} to {signed(max(changes))} points. "
            "Hence the network without it.",
            "No weight decay is used, which would change parameters whatever the loss.",
            "This is a result about following the gradient. A search that needs no gradient can "
            "minimise the count of errors.",
        )


def _range(runs: Runs) -> str:
    distances = [run.parameter_distance for run in runs]
    return f"{magnitude(min(distances))} to {magnitude(max(distances))}"


def mean_distance(runs: Runs) -> float:
    """Return the mean distance of the parameters from their initial values."""
    return mean(run.parameter_distance for run in runs)


def largest_gradient(run: RunResult) -> float:
    """Return the largest gradient of the logit and the parameters in a run; NaN if one is NaN."""
    values = [v for each in run.evaluations for v in (each.logit_mean_abs, each.parameter_norm)]
    return sum(values) if any(value != value for value in values) else max(values)


def largest_change(run: RunResult) -> float:
    """Return the largest change of a run's validation accuracy from its first one, in points."""
    start, *later = [100 * each.validation_accuracy for each in run.evaluations]
    return max((abs(value - start) for value in later), default=0.0)


def gain(run: RunResult) -> float:
    """Return the validation accuracy at the end minus that at the start, in points."""
    return validation_accuracy(run) - 100 * run.evaluations[0].validation_accuracy


CLAIM = Claim(
    name="zero-one",
    claim="The count of errors has no gradient, so that training on it changes no parameter.",
    refuted_by=(
        "A parameter changes, a gradient is not 0, or accuracy changes where only parameters can "
        "change it; or cross-entropy learns nothing from that start either."
    ),
    procedure=(
        "Networks are trained with zero-one and with cross-entropy from the same initial weights, "
        f"on the same batches, at a learning rate of {RATE:g}, and with zero-one at "
        f"{EXTREME:,.0f} as well; one network is the default model, one the same without batch "
        "normalisation. With zero-one the distance of all parameters from their initial values "
        "must be 0, exactly, and so must mean |dL/dz| and the norm of the parameter gradient at "
        "every evaluation, and, without batch normalisation, the change of validation accuracy. "
        f"Cross-entropy must gain more than {signed(GAIN, None)} points of validation accuracy "
        "from the same start."
    ),
    source="a step function has derivative 0 wherever it has one",
    kind="proved and checked",
    design=DESIGN,
    analysis=ZeroOne,
)
