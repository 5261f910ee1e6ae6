"""Claim: does the gradient of the sum of probabilities vanish?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean as mean
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from lossbench.benchmarks.config import WRONG_START_PROBABILITY, RunConfig
from lossbench.benchmarks.format import magnitude
from lossbench.benchmarks.plots.curves import Axis, CurvePanel, draw_curves, log_odds_ticks
from lossbench.benchmarks.records.claim import ClaimFigure, ClaimTable, Measure
from lossbench.benchmarks.stats.intervals import Interval, mean_interval, paired_difference
from lossbench.benchmarks.training.result import RunResult

from .claim import Analysis, Claim, ClaimTrainer, Size
from .figures import figure, training_curve
from .gradients import (
    FORMULAS,
    SURE,
    SURE_LOG_ODDS,
    concatenate,
    deviation,
    formula_curve,
    recorded,
    slope,
)
from .measures import above, at_most, below, table, within
from .runs import accuracies, chance_level, tested, train_seeds
from .text import mean_text, signed

SUM, REFERENCE = "probability-sum", "cross-entropy"
IN_P = {SUM: "p (1 - p)", REFERENCE: "1 - p"}
"""|dL/dz| of both losses; p is the probability of the right class."""

# Initial probability of a cat; None: that of the drawn weights.
NORMAL, WRONG = None, WRONG_START_PROBABILITY
STARTS = {NORMAL: "normal", WRONG: "confidently wrong"}
RATE = 0.1
# Largest relative difference of a measured gradient from p (1 - p): the rounding of float32.
ROUNDING = 1e-4
# Where the model is sure, |dL/dz|, which is at most 0.25, has vanished below the first limit. Where
# it is wrong, that of cross-entropy must be above the second.
VANISHED, LARGE = 0.01, 0.9

P_EDGES = (0.0, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0)
TICKS = (0.0001, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)
LIMIT = 10.0  # of the log-odds drawn


class Cell(NamedTuple):
    """A loss and an initial function, trained with all seeds."""

    loss: str
    start: float | None


CELLS = tuple(Cell(loss, start) for start in STARTS for loss in IN_P)


@dataclass
class ProbabilitySum(Analysis):
    """Runs with the sum of probabilities and with cross-entropy from two starts."""

    runs: dict[Cell, list[RunResult]]

    @classmethod
    def train(cls, trainer: ClaimTrainer, size: Size) -> Self:
        configs = {
            cell: RunConfig(
                cell.loss,
                0,
                RATE,
                initial_probability=cell.start,
                epochs=size.epochs,
                evaluations=6,
                record_examples=True,
            )
            for cell in CELLS
        }
        trainer.say(f"{SUM} and {REFERENCE} from a {' and a '.join(STARTS.values())} start")
        return cls(train_seeds(trainer, configs, size.seeds))

    def __post_init__(self) -> None:
        self.chance = chance_level(self.runs[CELLS[0]][0].test)
        # Per loss and seed, the examples of both starts.
        self.examples = {
            loss: [
                recorded(runs)
                for runs in zip(*(self.runs[Cell(loss, start)] for start in STARTS), strict=True)
            ]
            for loss in IN_P
        }
        self.accuracies = {cell: accuracies(runs) for cell, runs in self.runs.items()}
        self.sure_wrong = {
            loss: mean_over_seeds([each.sure_wrong for each in seeds])
            for loss, seeds in self.examples.items()
        }

    def measures(self) -> Sequence[Measure]:
        examples = self.examples[SUM]
        return (
            above(
                f"{SUM}, normal start: test accuracy beyond chance, points",
                mean_interval([a - self.chance for a in self.accuracies[Cell(SUM, NORMAL)]]),
                0.0,
                "0 points",
            ),
            within(
                f"{SUM}: slope of measured |dL/dz| over p (1 - p)",
                finite_interval([slope(SUM, each) for each in examples]),
                1 - ROUNDING,
                1 + ROUNDING,
                f"1 ± {ROUNDING:g}",
            ),
            at_most(
                f"{SUM}: relative difference of measured |dL/dz| from p (1 - p), largest",
                [deviation(SUM, each) for each in examples],
                ROUNDING,
                len(examples),
            ),
            below(
                f"{SUM}: mean |dL/dz| where the right class has p < {SURE:g}",
                self.sure_wrong[SUM],
                VANISHED,
            ),
            below(
                f"{SUM}: mean |dL/dz| where the wrong class has p < {SURE:g}",
                mean_over_seeds([each.sure_right for each in examples]),
                VANISHED,
            ),
            above(
                f"{REFERENCE}: mean |dL/dz| where the right class has p < {SURE:g}",
                self.sure_wrong[REFERENCE],
                LARGE,
            ),
        )

    def sentence(self) -> str:
        trained, reference, stuck, freed = (mean_text(self.accuracies[cell]) for cell in CELLS)
        ours, other = (magnitude(self.sure_wrong[loss].mean) for loss in IN_P)
        return (
            f"Maximising the sum of probabilities reaches {trained} % test accuracy (chance "
            f"{self.chance:.1f}, cross-entropy {reference}); where the model is sure of the wrong "
            f"class, the mean |dL/dz| is {ours}, that of cross-entropy {other}; from a confidently "
            f"wrong start it ends at {stuck} %, cross-entropy at {freed} %."
        )

    def figures(self) -> Sequence[ClaimFigure]:
        return (self._gradient_figure(), self._training_figure())

    def _gradient_figure(self) -> ClaimFigure:
        curves, ends = [], []
        for loss, formula in IN_P.items():
            examples = concatenate(self.examples[loss])
            curves.append(formula_curve(loss, examples, f"{loss}: {formula}", LIMIT, 50, 1))
            wrong = examples.sure_wrong
            ends.append(f"{loss} {magnitude(float(wrong.mean()) if len(wrong) else None)}")
        panel = CurvePanel(
            curves,
            Axis(
                "probability p of the right class\n"
                "← sure of the wrong class            sure of the right class →",
                ticks=log_odds_ticks(TICKS),
                limits=(-LIMIT, LIMIT),
            ),
            Axis("|dL/dz|", limits=(-0.03, 1.04)),
            verticals=(SURE_LOG_ODDS, -SURE_LOG_ODDS),
        )
        return figure(
            "gradient.png",
            draw_curves,
            [panel],
            title="Where does the gradient of the logit vanish?",
            caption=(
                "Markers: training examples. Lines: the formulas. Beyond the grey lines the model "
                "is sure of a class."
            ),
            alt=(
                f"Dots are measured gradients, lines the formulas {' and '.join(IN_P.values())}. "
                f"Mean |dL/dz| where the right class has p below {SURE:g}: {', '.join(ends)}."
            ),
        )

    def _training_figure(self) -> ClaimFigure:
        panels, results = [], []
        for start, name in STARTS.items():
            curves = [
                training_curve(self.runs[Cell(loss, start)], "validation_accuracy", 100)
                for loss in IN_P
            ]
            x, y_axis = Axis("training steps"), Axis("validation accuracy, %")
            panels.append(CurvePanel(curves, x, y_axis, f"{name} start", self.chance))
            results.append(f"{name} start: " + ", ".join(curve.label for curve in curves))
        return figure(
            "training.png",
            draw_curves,
            panels,
            title="Training from a normal and from a confidently wrong start",
            caption=f"Thin: each of {len(self.runs[CELLS[0]])} seeds; thick: their mean.",
            alt=(
                f"Validation accuracy at the end, %. {'; '.join(results)}; "
                f"chance {self.chance:.1f}."
            ),
            height=3.2,
            share_y=True,
        )

    def tables(self) -> Sequence[ClaimTable]:
        return (self._gradient_table(), self._accuracy_table())

    def _gradient_table(self) -> ClaimTable:
        examples = {loss: concatenate(seeds) for loss, seeds in self.examples.items()}
        rows = []
        for low, high in pairwise(P_EDGES):
            cells = [f"{low:g} to {high:g}"]
            for loss in IN_P:
                each = examples[loss]
                inside = (each.p >= low) & ((each.p < high) | (high == 1.0))
                columns = (each.magnitude[inside], FORMULAS[loss].magnitude(each.odds[inside]))
                means = [float(column.mean()) if inside.any() else None for column in columns]
                cells += [f"{inside.sum():,}", *map(magnitude, means)]
            rows.append(tuple(cells))
        fits = "; ".join(
            f"{loss}: slope {finite_interval([slope(loss, each) for each in seeds]).mean:.6f}, "
            "largest relative difference "
            f"{max(deviation(loss, each) for each in seeds):.1e}"
            for loss, seeds in self.examples.items()
        )
        headings = [
            f"{loss}: {column}"
            for loss in IN_P
            for column in ("examples", "mean |dL/dz|", f"mean {IN_P[loss]}")
        ]
        return ClaimTable(
            "|dL/dz| by the probability of the right class",
            ("p of the right class", *headings),
            tuple(rows),
            (f"Training examples of every seed and both starts. Measured over predicted: {fits}.",),
        )

    def _accuracy_table(self) -> ClaimTable:
        return table(
            "Test accuracy and gradients of training",
            CELLS,
            {
                "loss, start": lambda cell: f"{cell.loss}, {STARTS[cell.start]}",
                "test accuracy, %": lambda cell: mean_text(self.accuracies[cell]),
                "recall of cats, %": lambda cell: mean_text(
                    [
                        100 * float(each.predicted[each.labels == 1].mean())
                        for each in tested(self.runs[cell])
                    ]
                ),
                "mean |dL/dz| when wrong, first": lambda cell: self._when_wrong(cell, 0),
                "last": lambda cell: self._when_wrong(cell, -1),
                "distance of the parameters": lambda cell: magnitude(
                    mean(run.parameter_distance for run in self.runs[cell])
                ),
                "seeds": lambda cell: str(len(self.runs[cell])),
            },
            "Mean ± half the 95 % t interval over seeds. Distance: Euclidean, of all parameters "
            f"from their initial values. Chance: {self.chance:.1f} %.",
        )

    def _when_wrong(self, cell: Cell, index: int) -> str:
        return magnitude(mean(run.evaluations[index].logit_when_wrong for run in self.runs[cell]))

    def notes(self) -> Sequence[str]:
        ours, other = (self.accuracies[Cell(loss, NORMAL)] for loss in IN_P)
        difference = paired_difference(ours, other)
        return (
            "The loss is 1 minus the probability of the right class, so that minimising it "
            "maximises their sum; it is half the absolute error of the probabilities of both "
            "classes.",
            f"Both losses have a learning rate of {RATE:g}. With it, from the normal start, "
            f"{SUM} is {signed(difference.mean)} points from cross-entropy. This depends on the "
            "rate too, since its largest gradient is a quarter of the other's.",
            "The gradient of cross-entropy vanishes at one end only, where the model is right.",
        )


def finite_interval(values: Sequence[float]) -> Interval:
    """Return the mean of the finite values with its 95 % t interval."""
    return mean_interval([float(value) for value in values if np.isfinite(value)])


def mean_over_seeds(seeds: Sequence[NDArray[np.float64]]) -> Interval:
    """Return the mean over seeds of each seed's mean; seeds without values do not count."""
    return finite_interval([float(values.mean()) for values in seeds if values.size])


CLAIM = Claim(
    name="probability-sum",
    question="Why not maximise the sum of the right classes' probabilities?",
    claim=(
        "That trains, but its gradient p (1 - p) vanishes at both ends: where the model is sure of "
        "the right class, and where it is sure of the wrong one."
    ),
    refuted_by=(
        "Test accuracy is not above chance, a measured gradient is not p (1 - p), or it has not "
        "vanished where p is near 0 or near 1; or that of cross-entropy has vanished where the "
        "model is wrong."
    ),
    procedure=(
        f"Networks are trained with {SUM} and with cross-entropy, with the same seeds and a "
        f"learning rate of {RATE:g}, from the normal start and from one that gives every image a "
        f"probability of {WRONG:g} of being a cat. Test accuracy from the normal start must be "
        "above chance (by above 0 points). For training examples recorded all through training, "
        "measured |dL/dz| is compared with p (1 - p), p being the probability of the right class: "
        f"the slope of the regression must be within 1 ± {ROUNDING:g}, and no example may differ "
        f"by more than {ROUNDING:g} of it, the rounding of float32. Where the right class or the "
        f"wrong one has p < {SURE:g}, mean |dL/dz| must be below {VANISHED:g}; that of "
        f"cross-entropy where the right class has it must be above {LARGE:g}. Intervals are 95 % t "
        "intervals over seeds."
    ),
    source="Ghosh et al. 2017, arXiv 1712.09482 (as mean absolute error)",
    sizes={
        "quick": Size(epochs=2, seeds=3),
        "standard": Size(epochs=4, seeds=5),
        "full": Size(epochs=15, seeds=10),
    },
    analysis=ProbabilitySum,
)
