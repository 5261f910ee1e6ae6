"""Claim: does sigmoid-mse stall where a confidently wrong start is no matter to cross-entropy?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean as mean
from typing import NamedTuple

import numpy as np

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.plots.curves import Axis, Curve, CurvePanel
from lossbench.benchmarks.plots.panels import PanelFigure
from lossbench.benchmarks.records.claim import ClaimTable, Measure
from lossbench.benchmarks.training.rate_search import is_end, is_tie
from lossbench.benchmarks.training.result import RunResult

from .claim import Analysis, Claim
from .design import Design, Expected, Quantity, Tested
from .figures import figure, tests_figure
from .gradients import FORMULAS, Array, concatenate, deviation, error_axis, formula_curve, recorded
from .measures import at_most, table, tests_table, with_interval
from .steps import count_steps, in_times, quotient, ratio, search_in_steps, tie_note
from .text import optional

REFERENCE, OTHER = "cross-entropy", "sigmoid-mse"
IN_F = {REFERENCE: "f - t", OTHER: "(f - t) f (1 - f)"}
# Probability of a dog that the network gives every image at the start.
CONFIDENCES = (0.5, 0.9, 0.99, 0.999, 0.9999)
EVEN, SUREST = CONFIDENCES[0], CONFIDENCES[-1]
# Steps are counted to this validation accuracy.
ACCURACY = 0.6
PERCENT = f"{100 * ACCURACY:g} %"
# The learning rates reach beyond the fastest one of either loss from an even start.
RATES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
# Largest relative rounding error of float32, with a margin.
ROUNDING = 1e-5

LIMIT = 9.6  # of the log-odds drawn


class Cell(NamedTuple):
    """Loss, confidence of the start, and the confidence from which its rate is the fastest."""

    loss: str
    confidence: float
    tuned_from: float


def config_of(loss: str, confidence: float, epochs: int, optimizer: str = "sgd") -> RunConfig:
    """Return the run of a loss from a start, at a constant rate, until it has the accuracy."""
    return RunConfig(
        loss,
        0,
        0.1,
        epochs=epochs,
        optimizer=optimizer,
        schedule="constant",
        evaluations=24,
        initial_probability=1 - confidence,
        stop_at_accuracy=ACCURACY,
        record_examples=True,
    )


CELLS = (
    *(Cell(loss, confidence, EVEN) for loss in IN_F for confidence in CONFIDENCES),
    *(Cell(loss, SUREST, SUREST) for loss in IN_F),
)
OVER = "sigmoid-mse over cross-entropy, steps"
DESIGN = Design(
    question="Does sigmoid-mse stall where it starts out confidently wrong?",
    expects=(
        Expected(f"{OVER} from {SUREST:g} over those from {EVEN:g}", "above", 2.0, "times"),
        Expected(f"{OVER} from {EVEN:g}", "within", 2.0, "times"),
        Expected(
            f"{OVER} from {SUREST:g}, each at the rate that is fastest from there",
            "above",
            1.25,
            "times",
        ),
    ),
    cells={cell: config_of(cell.loss, cell.confidence, 8) for cell in CELLS},
    searches={cell: config_of(cell.loss, cell.tuned_from, 2) for cell in CELLS},
    rates=RATES,
    search_seeds=3,
)


@dataclass
class Saturation(Analysis):
    """Runs of both losses from all starts."""

    def __post_init__(self) -> None:
        self.steps = {cell: count_steps(runs, ACCURACY) for cell, runs in self.runs.items()}
        self.rates = {cell: runs[0].config.learning_rate for cell, runs in self.runs.items()}
        self.examples = {
            loss: [
                recorded([run])
                for cell, runs in self.runs.items()
                for run in runs
                if cell.loss == loss
            ]
            for loss in IN_F
        }
        self.interaction = quotient(self.over(SUREST), self.over(EVEN))

    @staticmethod
    def score(run: RunResult) -> float:
        """Return minus the logarithm of the steps; never reached counts as ten times the run."""
        steps = count_steps([run], run.config.stop_at_accuracy or ACCURACY)
        return -math.log(float(steps.value[0]) * (1 if steps.reached[0] else 10))

    def over(self, confidence: float, tuned_from: float = EVEN) -> Quantity:
        """Return the ratio of the steps of sigmoid-mse over those of cross-entropy."""
        other, reference = (
            self.steps[Cell(loss, confidence, tuned_from)] for loss in (OTHER, REFERENCE)
        )
        return ratio(other, reference)

    def slope(self, loss: str) -> Sequence[float]:
        """Return per seed the slope of ln steps over ln 1/(1 - confidence), at the matched rate."""
        x = -np.log1p(-np.array(CONFIDENCES))
        y = [np.log(self.steps[Cell(loss, c, EVEN)].value) for c in CONFIDENCES]
        return [float(each) for each in np.polyfit(x, np.array(y), 1)[0]]

    def tests(self) -> list[Tested]:
        """Test the ratios."""
        return DESIGN.test([self.interaction, self.over(EVEN), self.over(SUREST, SUREST)])

    def measures(self) -> Sequence[Measure]:
        return (
            *(test.measure for test in self.tests()),
            at_most(
                "measured dL/dz against f - t and (f - t) f (1 - f), largest relative difference "
                "of all examples",
                [deviation(loss, run) for loss, runs in self.examples.items() for run in runs],
                ROUNDING,
                len(self.interaction.values),
            ),
        )

    def sentence(self) -> str:
        return (
            f"Relative to an even start, sigmoid-mse takes {with_interval(self.tests()[0])} times "
            "the steps of cross-entropy from a start that is "
            f"{100 * SUREST:g} % sure of the wrong class."
        )

    def figures(self) -> Sequence[PanelFigure]:
        return (
            self._steps_figure(),
            self._gradient_figure(),
            tests_figure(self.tests(), [OTHER] * 3),
        )

    def _steps_figure(self) -> PanelFigure:
        curves, ends = [], []
        for shift, loss in zip((-0.05, 0.05), IN_F, strict=True):
            each = [self.steps[Cell(loss, confidence, EVEN)] for confidence in CONFIDENCES]
            x = np.arange(len(each)) + shift
            at = np.repeat(x, [len(s.value) for s in each])
            values = np.concatenate([s.value for s in each])
            reached = np.concatenate([s.reached for s in each])
            curves.append(
                Curve(
                    loss,
                    x,
                    [s.mean for s in each],
                    f"{loss}\nrate {self.rates[Cell(loss, EVEN, EVEN)]:g}",
                    markers="filled",
                    points=(at[reached], values[reached]),
                    point_marker="_",
                    arrows=list(zip(at[~reached], values[~reached], strict=True)),
                )
            )
            ends.append(f"{loss} {each[-1].in_words()}")
        panel = CurvePanel(
            curves,
            Axis(
                "probability of a dog at the start",
                ticks={i: f"{c:g}" for i, c in enumerate(CONFIDENCES)},
            ),
            Axis("training steps", log=True),
        )
        return figure(
            "steps.png",
            [panel],
            title="How long does it take to recover from a confidently wrong start?",
            caption=(
                f"Training steps to {PERCENT} validation accuracy (chance: 50 %). Tick: a seed; "
                "arrow: not reached when training ended. Each loss at the constant rate that is "
                "fastest for it from the even start."
            ),
            alt=f"From the surest start: {'; '.join(ends)}.",
        )

    def _gradient_figure(self) -> PanelFigure:
        curves, ends = [], []
        for loss, formula in IN_F.items():
            label = f"{loss}\n{formula}"
            curves.append(
                formula_curve(loss, concatenate(self.examples[loss]), label, -LIMIT, 120, 4)
            )
            sure = float(FORMULAS[loss].magnitude(np.full(1, -np.log(9999.0)))[0])
            ends.append(f"{loss} {sure:.2g}")
        panel = CurvePanel(
            curves,
            error_axis(LIMIT),
            Axis("|dL/dz| of an example", log=True, limits=(2e-5, 3)),
            verticals={0: ""},
        )
        return figure(
            "gradients.png",
            [panel],
            title="What is left of the gradient where the model is confidently wrong?",
            caption="Ring: a training example of some network. Line: the formula.",
            alt=f"|dL/dz| at an error of 0.9999, by formula: {'; '.join(ends)}.",
        )

    def tables(self) -> Sequence[ClaimTable]:
        steps = table(
            f"Steps to {PERCENT} validation accuracy, by how sure the start is of the wrong class",
            CELLS,
            {
                "loss": lambda cell: cell.loss,
                "sure at the start": lambda cell: f"{cell.confidence:g}",
                "rate": lambda cell: f"{self.rates[cell]:g}",
                "which is the fastest from": lambda cell: f"{cell.tuned_from:g}",
                "steps": lambda cell: str(self.steps[cell]),
                "sigmoid-mse over cross-entropy": lambda cell: in_times(self.over(*cell[1:])),
            },
            "Steps: geometric mean over seeds (least to most); '1 of 3 in 281': one of three runs "
            "reached the accuracy, training ended after 281 steps. Ratio: sigmoid-mse over "
            "cross-entropy, geometric mean; a run that did not reach the accuracy counts with the "
            "steps of its training, which makes it a bound (≥, ≤).",
            "Slope of ln steps over ln 1/(1 - confidence) at the rates of the even start, mean "
            f"over seeds: {', '.join(f'{loss} {mean(self.slope(loss)):.2f}' for loss in IN_F)}. "
            "0: the start does not matter; 1: steps grow as the gradient shrinks.",
        )
        gradients = table(
            "Measured gradients against the formulas",
            [(loss, concatenate(runs)) for loss, runs in self.examples.items()],
            {
                "loss": lambda item: item[0],
                "|dL/dz| by formula, e = |f - t|": lambda item: FORMULAS[item[0]].formula,
                "examples": lambda item: f"{len(item[1].magnitude):,}",
                "relative difference, at most": lambda item: f"{deviation(*item):.0e}",
                "median |dL/dz| where e > 0.999": lambda item: _median(
                    item[1].magnitude[item[1].odds < -math.log(999)]
                ),
            },
        )
        search = search_in_steps(
            {
                f"{cell.loss}, from {cell.confidence:g}": scores
                for cell, scores in self.searched.items()
                if cell.confidence == cell.tuned_from
            }
        )
        return (steps, tests_table(self.tests()), gradients, search)

    def notes(self) -> Sequence[str]:
        notes = [
            "The start is the bias of the last layer: the output is about the same for every "
            "image. A network that has become sure of wrong predictions by training is another "
            "matter.",
            "The learning rate is constant: with a schedule, the number of steps would depend on "
            "the length of training.",
            "A rate of its own for the wrong start is more than a loss gets in practice, where the "
            "start is not known to be wrong.",
        ]
        for cell, rate in self.rates.items():
            if is_tie(self.searched[cell]):
                notes.append(tie_note(f"{cell.loss}, from {cell.tuned_from:g}", rate))
            elif is_end(rate, RATES):
                more = (
                    ", which would make the lead of cross-entropy from there longer"
                    if cell.loss == REFERENCE and cell.tuned_from == SUREST
                    else ""
                )
                notes.append(
                    f"{cell.loss} is fastest from {cell.tuned_from:g} at {rate:g}, an end of the "
                    f"rates tried: one beyond it may be faster still{more}."
                )
        return list(dict.fromkeys(notes))


def _median(values: Array) -> str:
    return optional(float(np.median(values)) if len(values) else None, ".1e")


CLAIM = Claim(
    name="saturation",
    claim=(
        "From a confidently wrong start sigmoid-mse, whose gradient (f - t) f (1 - f) vanishes "
        "there, stalls, while cross-entropy, whose gradient is f - t, recovers."
    ),
    refuted_by=(
        "From that start sigmoid-mse loses no more on cross-entropy than from an even one; or it "
        "does not with a learning rate of its own; or gradients are not f - t and "
        "(f - t) f (1 - f)."
    ),
    procedure=(
        "Cats and dogs; the bias of the last layer makes the network start with a probability of "
        f"about {', '.join(f'{c:g}' for c in CONFIDENCES)} that any image is a dog. Steps to "
        f"{PERCENT} validation accuracy at a constant learning rate. Each loss has the rate that "
        f"is fastest for it from the even start, of {RATES[0]:g} to {RATES[-1]:g}, chosen on other "
        f"networks; from {SUREST:g} also the rate that is fastest for it from there. The measure "
        f"is the ratio of steps from {SUREST:g} over the ratio from {EVEN:g}, paired by seed. A "
        "run that does not reach the accuracy counts with the steps of its training, which makes a "
        "ratio a bound: it decides nothing that could reverse. No measured dL/dz may differ from "
        f"its formula by more than {ROUNDING:g}, relative."
    ),
    source=(
        "Nielsen 2015, Neural Networks and Deep Learning, chapter 3; Glorot and Bengio 2010, "
        "AISTATS (plateaus of squared error)"
    ),
    design=DESIGN,
    analysis=Saturation,
)
